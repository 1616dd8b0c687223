// JSON texts as rows of nodes, beside what jansson makes of the same.
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/json_tape.h"

static struct event_memory memory;
static struct json_tape tape;

static enum err read_text(const char *text, struct error *e)
{
    event_memory_reset(&memory);
    return json_tape_read(&tape, bytes_from_text(text), &memory, e);
}

static void paths_lead_to_values(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":{\"b\":[1,-2.5,{\"c\":\"x\\u00e9\\n\"}],\"d.e\":true},\"f.g\":null,\"\":7,"
        "\"big\":9223372036854775807,\"small\":-9223372036854775808,\"long\":0.1234567890123456789,"
        "\"exp\":1.5e3,\"zero\":-0}";
    static const struct {
        const char *why, *path;
        enum value_kind kind;
        int64_t integer;
        double real;
        const char *bytes;
    } cases[] = {
        {"an item of a list", "a.b.0", VALUE_INTEGER, 1, 0, NULL},
        {"a negative real", "a.b.1", VALUE_REAL, 0, -2.5, NULL},
        {"escapes are taken out", "a.b.2.c", VALUE_TEXT, 0, 0, "x\xc3\xa9\n"},
        {"an object is its text", "a.b.2", VALUE_JSON, 0, 0, "{\"c\":\"x\\u00e9\\n\"}"},
        {"a list, too", "a.b", VALUE_JSON, 0, 0, "[1,-2.5,{\"c\":\"x\\u00e9\\n\"}]"},
        {"a dot in a name at the top", "f.g", VALUE_NULL, 0, 0, NULL},
        {"an empty name", "", VALUE_INTEGER, 7, 0, NULL},
        {"the largest", "big", VALUE_INTEGER, INT64_MAX, 0, NULL},
        {"the smallest", "small", VALUE_INTEGER, INT64_MIN, 0, NULL},
        {"more digits than a double has", "long", VALUE_REAL, 0, 0.1234567890123456789, NULL},
        {"an exponent", "exp", VALUE_REAL, 0, 1500, NULL},
        {"zero with a sign", "zero", VALUE_INTEGER, 0, 0, NULL},
    };
    struct error e;
    assert_int_equal(read_text(text, &e), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct json_node *node = json_tape_find(&tape, cases[i].path);
        struct event_value value;
        if (node == NULL) {
            fail_msg("%s: nothing at %s", cases[i].why, cases[i].path);
        }
        json_node_value(node, &value);
        bool is_same = value.kind == cases[i].kind;
        is_same = is_same && (value.kind != VALUE_INTEGER || value.integer == cases[i].integer);
        is_same = is_same && (value.kind != VALUE_REAL || value.real == cases[i].real);
        is_same = is_same && (cases[i].bytes == NULL ||
                              bytes_equal(value.bytes, bytes_from_text(cases[i].bytes)));
        if (!is_same) {
            fail_msg("%s: %s", cases[i].why, cases[i].path);
        }
    }
    assert_int_equal(read_text("\"\\ud83d\\ude00 \\\\ud8\"", &e), ERR_OK); // A whole pair is fine.
    assert_int_equal(tape.nodes[0].text_len, 9);
    assert_int_equal(read_text(text, &e), ERR_OK);
    static const char *const nothing[] = {"b", "a.b.3", "a.b.x", "a.b.", "a.", ".a", "a.b.0.c"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_null(json_tape_find(&tape, nothing[i]));
    }
}

static void faults_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *want;
    } cases[] = {
        {"nothing", "", "line 1, column 1"},
        {"cut off", "{\"a\":[1,2", "line 1, column 10"},
        {"no comma", "[1\n 2]", "line 2, column 2"},
        {"no colon", "{\"a\" 1}", "column 6"},
        {"no word of JSON", "nul", "does not parse"},
        {"a comment", "[1 /* one */]", "does not parse"},
        {"a comma at the end", "[1,]", "column 4"},
        {"a bare name", "{a:1}", "column 2"},
        {"a control character", "\"a\tb\"", "does not parse"},
        {"half a pair, escaped", "\"\\ud800\"", "does not parse"},
        {"a surrogate as bytes", "\"\xed\xa0\x80\"", "does not parse"},
        {"twice, in an inner object", "{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", "has a member twice"},
        {"twice among many",
         "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,"
         "\"l\":1,\"m\":1,\"a\":2}",
         "has a member twice"},
        {"more than a double", "1e999", "has a number that is too large"},
        {"more than 64 bits", "[9223372036854775808]", "64 bits"},
        {"two texts", "1 2", "does not parse"},
        {"a blank that is none", "[1,\f2]", "does not parse"},
        {"half a text behind it", "{\"a\":1} \"b", "is followed by something else"},
        {"and behind a number", "17\"b", "is followed by something else"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        enum err rc = read_text(cases[i].text, &e);
        if (rc != ERR_INVALID || strstr(e.text, cases[i].want) == NULL) {
            fail_msg("%s: %d %s", cases[i].why, rc, e.text);
        }
    }
}

static int depth_left;

static json_t *any_json(void)
{
    static const double reals[] = {0.1, 27.1, 1e300, -2.2250738585072014e-308, 123456.789, 5e-324};
    switch (rand() % (depth_left > 0 ? 8 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(rand() % 2);
    case 2:
        return json_integer((json_int_t)((uint64_t)rand() << 33 ^ (uint64_t)rand()));
    case 3:
        return json_real(reals[rand() % 6] * (rand() % 100));
    case 4:
        return json_string(rand() % 2 ? "plain" : "\xe2\x82\xac \"\\\b\n");
    case 5:
        return json_real((double)rand() / 1000);
    case 6: {
        json_t *list = json_array();
        depth_left--;
        for (int n = rand() % 5; n > 0; n--) {
            json_array_append_new(list, any_json());
        }
        depth_left++;
        return list;
    }
    default: {
        json_t *object = json_object();
        depth_left--;
        for (int n = rand() % 20; n > 0; n--) {
            char name[16];
            snprintf(name, sizeof(name), "m%d", rand() % 30);
            json_object_set_new(object, name, any_json());
        }
        depth_left++;
        return object;
    }
    }
}

static void compare(uint32_t at, const json_t *json)
{
    const struct json_node *node = &tape.nodes[at];
    struct event_value value;
    json_node_value(node, &value);
    if (json_is_integer(json)) {
        assert_int_equal(value.kind, VALUE_INTEGER);
        assert_true(value.integer == json_integer_value(json));
    } else if (json_is_real(json)) {
        assert_int_equal(value.kind, VALUE_REAL);
        assert_true(value.real == json_real_value(json));
    } else if (json_is_string(json)) {
        assert_true(bytes_equal(value.bytes, bytes_from_text(json_string_value(json))));
    } else if (json_is_array(json)) {
        uint32_t item = at + 1;
        for (size_t i = 0; i < json_array_size(json); i++) {
            compare(item, json_array_get(json, i));
            item = tape.nodes[item].next;
        }
        assert_int_equal(item, node->next);
    } else if (json_is_object(json)) {
        uint32_t member = at + 1;
        for (; member < node->next; member = tape.nodes[member].next) {
            const struct json_node *found = &tape.nodes[member];
            json_t *wanted = json_object_getn(json, found->key, found->key_len);
            assert_non_null(wanted);
            compare(member, wanted);
        }
        assert_int_equal(member, node->next);
    } else {
        assert_int_equal(value.kind, json_is_null(json) ? VALUE_NULL : VALUE_BOOLEAN);
    }
}

static void it_agrees_with_jansson(void **state)
{
    (void)state;
    srand(7);
    for (int i = 0; i < 3000; i++) {
        depth_left = 4;
        json_t *json = any_json();
        char *text =
            json_dumps(json, JSON_ENCODE_ANY | (rand() % 2 ? JSON_COMPACT : JSON_INDENT(2)) |
                                 (rand() % 2 ? JSON_ENSURE_ASCII : 0));
        json_t *again = json_loads(text, JSON_DECODE_ANY, NULL);
        struct error e = {0};
        if (read_text(text, &e) != ERR_OK) {
            fail_msg("%s\n%s", e.text, text);
        }
        compare(0, again);
        json_decref(again);
        json_decref(json);
        free(text);
    }
}

// yajl moves such texts to memory of its own.
static void long_escaped_texts(void **state)
{
    (void)state;
    size_t len = 60000;
    char *text = malloc(2 * len + 3), *want = malloc(len);
    text[0] = '"';
    for (size_t i = 0; i < len; i++) {
        memcpy(text + 1 + 2 * i, "\\n", 2);
        want[i] = '\n';
    }
    memcpy(text + 1 + 2 * len, "\"", 2);
    struct error e = {0};
    assert_int_equal(read_text(text, &e), ERR_OK);
    struct event_value value;
    json_node_value(&tape.nodes[0], &value);
    assert_true(bytes_equal(value.bytes, bytes_of(want, len)));
    free(text);
    free(want);
}

static int begin(void **state)
{
    (void)state;
    event_memory_init(&memory);
    return 0;
}

static int end(void **state)
{
    (void)state;
    event_memory_deinit(&memory);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_lead_to_values),
        cmocka_unit_test(faults_have_a_place),
        cmocka_unit_test(it_agrees_with_jansson),
        cmocka_unit_test(long_escaped_texts),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
