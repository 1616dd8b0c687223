#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/cbor_tape.h"

#define SHOWN (JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15))

static struct bytes of_hex(const char *hex, uint8_t *out)
{
    size_t len = 0;
    for (; hex[0] != '\0'; hex += 2) {
        while (*hex == ' ') {
            hex++;
        }
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[len++] = (uint8_t)byte;
    }
    return bytes_of(out, len);
}

// Most are from RFC 8949, appendix A.
static void values_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *why, *hex, *path, *want; // want NULL: there is none.
    } cases[] = {
        {"zero", "00", "value", "0"},
        {"one byte", "1818", "value", "24"},
        {"two bytes", "1903e8", "value", "1000"},
        {"eight bytes", "1b000000e8d4a51000", "value", "1000000000000"},
        {"the largest", "1bffffffffffffffff", "value", "1.84467440737096e19"},
        {"the largest that SQL has", "1b7fffffffffffffff", "value", "9223372036854775807"},
        {"below zero", "3863", "value", "-100"},
        {"the smallest that SQL has", "3b7fffffffffffffff", "value", "-9223372036854775808"},
        {"smaller still", "3bffffffffffffffff", "value", "-1.84467440737096e19"},
        {"a bignum", "c249010000000000000000", "value", "1.84467440737096e19"},
        {"a bignum below zero", "c349010000000000000000", "value", "-1.84467440737096e19"},
        {"a bignum that is small", "c24400000007", "value", "7"},
        {"a bignum of nothing", "c240", "value", "0"},
        {"a small one below zero", "c34107", "value", "-8"},
        {"half precision", "f93e00", "value", "1.5"},
        {"the smallest half", "f90001", "value", "5.9604645e-8"},
        {"single precision is its shortest decimal", "fa41d8cccd", "value", "27.1"},
        {"double precision", "fb3ff199999999999a", "value", "1.1"},
        {"an infinity is nothing in JSON", "f97c00", "value", "null"},
        {"NaN", "f97e00", "value", "null"},
        {"false", "f4", "value", "false"},
        {"true", "f5", "value", "true"},
        {"null", "f6", "value", "null"},
        {"undefined", "f7", "value", "null"},
        {"a simple value without meaning", "f0", "value", "null"},
        {"another", "f8ff", "value", "null"},
        {"a time as text", "c074323031332d30332d32315432303a30343a30305a", "value",
         "\"2013-03-21T20:04:00Z\""},
        {"a time as number", "c11a514b67b0", "value", "1363896240"},
        {"tags within tags", "d9d9f7c100", "value", "0"},
        {"bytes", "4401020304", "value", "\"01020304\""},
        {"text", "6449455446", "value", "\"IETF\""},
        {"no text", "60", "value", "\"\""},
        {"text in chunks", "7f657374726561646d696e67ff", "value", "\"streaming\""},
        {"no chunks", "7fff", "value", "\"\""},
        {"bytes in chunks", "5f42010243030405ff", "value", "\"0102030405\""},
        {"two texts in chunks", "827f6161ff7f61626163ff", "1", "\"bc\""},
        {"an array", "83010203", "1", "2"},
        {"beyond it", "83010203", "3", NULL},
        {"arrays within", "8301820203820405", "2.0", "4"},
        {"a whole array within", "8301820203820405", "1", "[2,3]"},
        {"an open array", "9f018202039f0405ffff", "2.1", "5"},
        {"an empty one", "80", "0", NULL},
        {"a map", "a26161016162820203", "b", "[2,3]"},
        {"into it", "a26161016162820203", "b.1", "3"},
        {"an open map", "bf61610161629f0203ffff", "b.0", "2"},
        {"no such key", "a26161016162820203", "c", NULL},
        {"a key that is a number", "a201020304", "3", "4"},
        {"below zero, too", "a12004", "-1", "4"},
        {"a key with a dot", "a163612e6207", "a.b", "7"},
        {"a map in a map", "a16161a1616207", "a.b", "7"},
        {"of two with one key the first", "a2616101616102", "a", "1"},
        {"a whole that is a map has no value", "a0", "value", NULL},
        {"nothing within a number", "a1616101", "a.b", NULL},
        {"an empty step", "a1616101", "a.", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t buffer[100];
        struct event_memory memory;
        struct cbor_tape tape;
        struct error e = {0};
        event_memory_init(&memory);
        if (cbor_tape_read(&tape, of_hex(cases[i].hex, buffer), &memory, &e) != ERR_OK) {
            fail_msg("%s: %s", cases[i].why, e.text);
        }
        const struct cbor_node *node = cbor_tape_find(&tape, cases[i].path);
        json_t *json = node == NULL ? NULL : cbor_node_to_json(node);
        char *text = json == NULL ? NULL : json_dumps(json, SHOWN);
        if ((text == NULL) != (cases[i].want == NULL) ||
            (text != NULL && strcmp(text, cases[i].want) != 0)) {
            fail_msg("%s: %s", cases[i].why, text == NULL ? "absent" : text);
        }
        free(text);
        json_decref(json);
        event_memory_deinit(&memory);
    }
}

static void what_is_broken_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *why, *hex, *want;
    } cases[] = {
        {"nothing", "", "byte 0 of 0: it is cut short"},
        {"a cut number", "19 03", "byte 0 of 2: it is cut short"},
        {"a cut text", "62 61", "byte 0 of 2: it is cut short"},
        {"a cut array", "82 81 01", "byte 3 of 3: it is cut short"},
        {"an open array without an end", "9f 01", "it is cut short"},
        {"chunks without an end", "7f 61 61", "it is cut short"},
        {"a tag of nothing", "c1", "it is cut short"},
        {"a length that lies", "9b ff ff ff ff ff ff ff ff", "more items than bytes follow"},
        {"members that lie", "bb 7f ff ff ff ff ff ff ff", "more items than bytes follow"},
        {"a text that lies", "7b 7f ff ff ff ff ff ff ff", "it is cut short"},
        {"more behind it", "00 00", "byte 1 of 2: more bytes follow the value"},
        {"a break by itself", "ff", "a break stands where nothing ends"},
        {"a break in a closed array", "81 ff", "a break stands where nothing ends"},
        {"a break for a value", "bf 61 61 ff", "a break stands where nothing ends"},
        {"a break behind a tag", "9f c1 ff", "a break stands where nothing ends"},
        {"a number among chunks", "7f 01 ff", "has something else among them"},
        {"bytes among texts", "7f 41 61 ff", "has something else among them"},
        {"chunks among chunks", "7f 7f ff ff", "has something else among them"},
        {"a reserved head", "1c", "no item begins like this"},
        {"a short simple value in long form", "f8 10", "no item begins like this"},
        {"text that is not UTF-8", "61 ff", "a text is not valid UTF-8"},
        {"a key that is an array", "a1 80 01", "neither text nor a whole number"},
        {"a key that is bytes", "a1 41 00 01", "neither text nor a whole number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t buffer[100];
        struct event_memory memory;
        struct cbor_tape tape;
        struct error e = {0};
        event_memory_init(&memory);
        enum err rc = cbor_tape_read(&tape, of_hex(cases[i].hex, buffer), &memory, &e);
        if (rc != ERR_INVALID || strstr(e.text, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].why, rc == ERR_OK ? "taken" : e.text);
        }
        event_memory_deinit(&memory);
    }
}

static enum err read_many(const void *bytes, size_t len, struct error *e)
{
    struct event_memory memory;
    struct cbor_tape tape;
    event_memory_init(&memory);
    event_memory_set_budget(&memory, 64 * len + 65536);
    enum err rc = cbor_tape_read(&tape, bytes_of(bytes, len), &memory, e);
    event_memory_deinit(&memory);
    return rc;
}

static void depth_items_and_memory_are_bounded(void **state)
{
    (void)state;
    struct error e = {0};
    uint8_t deep[CBOR_DEPTH_MAX + 2];
    memset(deep, 0x81, sizeof(deep));
    deep[CBOR_DEPTH_MAX] = 0;
    assert_int_equal(read_many(deep, CBOR_DEPTH_MAX + 1, &e), ERR_OK);
    deep[CBOR_DEPTH_MAX] = 0x81;
    deep[CBOR_DEPTH_MAX + 1] = 0;
    assert_int_equal(read_many(deep, CBOR_DEPTH_MAX + 2, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "it is nested deeper than 32 levels"));
    size_t len = 200000;
    uint8_t *many = calloc(1, len);
    many[0] = 0x9f;
    assert_int_equal(read_many(many, len, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "byte 65536 of 200000: it has too many items"));
    memset(many, 0x60, len); // A text of 100,000 chunks without a byte is one item.
    many[0] = 0x7f;
    many[len - 1] = 0xff;
    assert_int_equal(read_many(many, len, &e), ERR_OK);
    for (size_t i = 1; i + 1 < len; i += 2) {
        memcpy(many + i, "aa", 2);
    }
    many[len - 1] = 0xff;
    assert_int_equal(read_many(many, len - len % 2, &e), ERR_OK);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(what_is_broken_is_told),
        cmocka_unit_test(depth_items_and_memory_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
