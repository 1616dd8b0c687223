// case_cbor.c - JSON as CBOR [RFC 8949, 4.1 preferred serialization]: the shortest heads, whole
// numbers as integers, others as double or, where that loses nothing, single.
#include <jansson.h>

#include "trial/case_parts.h"

enum major { MAJOR_UNSIGNED, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

struct cbor {
    uint8_t *out; // NULL: only the length is wanted.
    size_t len;
};

static void put(struct cbor *cbor, const void *bytes, size_t len)
{
    if (cbor->out != NULL) {
        memcpy(cbor->out + cbor->len, bytes, len);
    }
    cbor->len += len;
}

static void put_big_endian(struct cbor *cbor, uint64_t value, size_t len)
{
    for (size_t i = len; i > 0; i--) {
        uint8_t byte = (uint8_t)(value >> (8 * (i - 1)));
        put(cbor, &byte, 1);
    }
}

static void put_head(struct cbor *cbor, enum major major, uint64_t value)
{
    uint8_t first = (uint8_t)(major << 5);
    size_t len = value < 24 ? 0 : value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : 0;
    if (value > UINT16_MAX) {
        len = value <= UINT32_MAX ? 4 : 8;
    }
    static const uint8_t codes[] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    first = (uint8_t)(first | (len == 0 ? (uint8_t)value : codes[len]));
    put(cbor, &first, 1);
    put_big_endian(cbor, value, len);
}

static void put_real(struct cbor *cbor, double real)
{
    float single = (float)real;
    uint8_t first = (double)single == real ? 0xFA : 0xFB;
    uint64_t wide;
    uint32_t narrow;
    put(cbor, &first, 1);
    if (first == 0xFA) {
        memcpy(&narrow, &single, sizeof(narrow));
        put_big_endian(cbor, narrow, 4);
    } else {
        memcpy(&wide, &real, sizeof(wide));
        put_big_endian(cbor, wide, 8);
    }
}

static void put_text(struct cbor *cbor, const char *text, size_t len)
{
    put_head(cbor, MAJOR_TEXT, len);
    put(cbor, text, len);
}

static void put_simple(struct cbor *cbor, uint8_t byte)
{
    put(cbor, &byte, 1);
}

static void put_value(struct cbor *cbor, const json_t *json)
{
    const char *key;
    json_t *member;
    size_t i;
    json_int_t whole = json_integer_value(json);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        put_head(cbor, MAJOR_MAP, json_object_size(json));
        json_object_foreach((json_t *)json, key, member)
        {
            put_text(cbor, key, strlen(key));
            put_value(cbor, member);
        }
        break;
    case JSON_ARRAY:
        put_head(cbor, MAJOR_ARRAY, json_array_size(json));
        json_array_foreach(json, i, member)
        {
            put_value(cbor, member);
        }
        break;
    case JSON_STRING:
        put_text(cbor, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        put_head(cbor, whole < 0 ? MAJOR_NEGATIVE : MAJOR_UNSIGNED,
                 whole < 0 ? (uint64_t)(-(whole + 1)) : (uint64_t)whole);
        break;
    case JSON_REAL:
        put_real(cbor, json_real_value(json));
        break;
    case JSON_FALSE:
        put_simple(cbor, 0xF4);
        break;
    case JSON_TRUE:
        put_simple(cbor, 0xF5);
        break;
    case JSON_NULL:
        put_simple(cbor, 0xF6);
        break;
    }
}

const uint8_t *case_cbor_encode(struct arena *arena, const struct json_t *json, size_t *out_len)
{
    struct cbor cbor = {0};
    put_value(&cbor, json);
    cbor.out = arena_alloc(arena, cbor.len);
    cbor.len = 0;
    if (cbor.out != NULL) {
        put_value(&cbor, json);
    }
    *out_len = cbor.len;
    return cbor.out;
}
