// JSON from anybody: taken or refused exactly as jansson does, with the same values.
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_tape.h"
#include "fuzz.h"

const uint32_t fuzz_count = 200000;

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const seeds[] = {
        "{\"data\":{\"co\":0.0045,\"light\":true,\"temp\":-27.10},\"id\":\"5e:44\",\"ts\":"
        "1594598735}",
        "[1,[2,[3,{\"a\":[]}]],{},\"\\u00e9\\n\\\"\\\\ "
        "\\ud83d\\ude00\",null,false,-0,1e-7,12.5E+3]",
        "{\"a\":1,\"b\":{\"a\":2,\"a.b\":3},\"\":\"\",\"c\":9223372036854775807,\"d\":-"
        "9223372036854775808}",
        "  \"text\"  ",
        "123456789012345678",
        "{\"k1\":1,\"k2\":1,\"k3\":1,\"k4\":1,\"k5\":1,\"k6\":1,\"k7\":1,\"k8\":1,\"k9\":1,\"k10\":"
        "1,"
        "\"k11\":1,\"k12\":1,\"k13\":1}",
    };
    size_t len = index < sizeof(seeds) / sizeof(seeds[0]) ? strlen(seeds[index]) : 0;
    if (len > 0) {
        memcpy(out, seeds[index], len < size ? len : size);
    }
    return len < size ? len : size;
}

static bool same_number(const struct event_value *value, const json_t *json)
{
    if (json_is_integer(json)) {
        return value->kind == VALUE_INTEGER && value->integer == json_integer_value(json);
    }
    return value->kind == VALUE_REAL && value->real == json_real_value(json);
}

static bool same_scalar(const struct json_node *node, const json_t *json)
{
    struct event_value value;
    json_node_value(node, &value);
    switch (json_typeof(json)) {
    case JSON_STRING:
        return value.kind == VALUE_TEXT &&
               bytes_equal(value.bytes,
                           bytes_of(json_string_value(json), json_string_length(json)));
    case JSON_NULL:
        return value.kind == VALUE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return value.kind == VALUE_BOOLEAN && value.integer == json_is_true(json);
    default:
        return same_number(&value, json);
    }
}

static bool same(const struct json_tape *tape, uint32_t at, const json_t *json)
{
    const struct json_node *node = &tape->nodes[at];
    if (!json_is_object(json) && !json_is_array(json)) {
        return node->next == at + 1 && same_scalar(node, json);
    }
    size_t count = 0;
    uint32_t i = at + 1;
    for (; i < node->next; i = tape->nodes[i].next) {
        const struct json_node *item = &tape->nodes[i];
        const json_t *wanted = json_is_object(json)
                                   ? json_object_getn(json, item->key, item->key_len)
                                   : json_array_get(json, count);
        if (wanted == NULL || !same(tape, i, wanted)) {
            return false;
        }
        count++;
    }
    return i == node->next &&
           count == (json_is_object(json) ? json_object_size(json) : json_array_size(json));
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    struct event_memory memory;
    struct json_tape tape;
    struct error e = {0};
    event_memory_init(&memory);
    enum err rc = json_tape_read(&tape, bytes_of(ptr, len), &memory, &e);
    json_t *json = json_loadb((const char *)ptr, len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool is_deep = rc == ERR_INVALID && strstr(e.text, "nested deeper") != NULL;
    bool has_nul = memchr(ptr, 0, len) != NULL; // jansson overlooks one at the end.
    if ((rc == ERR_OK) != (json != NULL) && !is_deep && !(has_nul && rc == ERR_INVALID)) {
        fprintf(stderr, "%.*s\n%s\n", (int)len, (const char *)ptr,
                rc == ERR_OK ? "taken by yajl alone" : e.text);
        abort();
    }
    assert(rc == ERR_OK || (rc == ERR_INVALID && e.text[0] != '\0'));
    if (rc == ERR_OK) {
        assert(tape.nodes[0].next == tape.count);
        assert(same(&tape, 0, json));
    }
    json_decref(json);
    event_memory_deinit(&memory);
}
