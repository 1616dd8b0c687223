// render_cbor.c - rows as CBOR maps: integers, floating-point numbers, texts, byte strings, true
// and false, null; a JSON column is nested.
#include <cbor.h>
#include <float.h>
#include <jansson.h>
#include <math.h>

#include "base/utf8.h"
#include "core/render_json.h"

#define HEAD_BYTES_MAX 9 // Of an item: its type, and a number of up to 8 bytes.

enum err cbor_row_check(sqlite3_stmt *compiled, struct error *e)
{
    int count = sqlite3_column_count(compiled);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < i; j++) {
            const char *name = sqlite3_column_name(compiled, i);
            if (strcmp(sqlite3_column_name(compiled, j), name) == 0) {
                return error_set(e, ERR_CONFIG,
                                 "two columns of the result are called \"%s\"; name one with AS",
                                 name);
            }
        }
    }
    return ERR_OK;
}

enum major { MAJOR_UNSIGNED, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };

// A head's first three bits are its major type, the rest is its number.
static enum err put_head(struct text_writer *writer, enum major major, uint64_t number,
                         struct error *e)
{
    unsigned char head[HEAD_BYTES_MAX];
    size_t len = cbor_encode_uint(number, head, sizeof(head));
    head[0] = (unsigned char)(head[0] | major << 5);
    return text_writer_add(writer, bytes_of(head, len), e);
}

static enum err put_string(struct text_writer *writer, enum major major, struct bytes string,
                           struct error *e)
{
    enum err rc = put_head(writer, major, string.len, e);
    return rc == ERR_OK ? text_writer_add(writer, string, e) : rc;
}

static enum err put_text(struct text_writer *writer, struct bytes text, struct error *e)
{
    if (!utf8_is_valid(text)) {
        return error_set(e, ERR_INVALID, "is not valid UTF-8");
    }
    return put_string(writer, MAJOR_TEXT, text, e);
}

static enum err put_integer(struct text_writer *writer, int64_t integer, struct error *e)
{
    return integer < 0 ? put_head(writer, MAJOR_NEGATIVE, ~(uint64_t)integer, e)
                       : put_head(writer, MAJOR_UNSIGNED, (uint64_t)integer, e);
}

static enum err put_real(struct text_writer *writer, double real, struct error *e)
{
    unsigned char bytes[HEAD_BYTES_MAX];
    bool is_single = fabs(real) <= FLT_MAX && fabs((double)(float)real - real) <= 0;
    size_t len = is_single ? cbor_encode_single((float)real, bytes, sizeof(bytes))
                           : cbor_encode_double(real, bytes, sizeof(bytes));
    return text_writer_add(writer, bytes_of(bytes, len), e);
}

static enum err put_boolean(struct text_writer *writer, bool is_true, struct error *e)
{
    unsigned char byte[HEAD_BYTES_MAX];
    size_t len = cbor_encode_bool(is_true, byte, sizeof(byte));
    return text_writer_add(writer, bytes_of(byte, len), e);
}

static enum err put_null(struct text_writer *writer, struct error *e)
{
    unsigned char byte[HEAD_BYTES_MAX];
    size_t len = cbor_encode_null(byte, sizeof(byte));
    return text_writer_add(writer, bytes_of(byte, len), e);
}

static enum err put_json(struct text_writer *writer, const json_t *json, struct error *e);

static enum err put_members(struct text_writer *writer, const json_t *object, struct error *e)
{
    json_t *borrowed = (json_t *)(uintptr_t)object; // Its iterators want it so.
    const char *name;
    json_t *member;
    enum err rc = put_head(writer, MAJOR_MAP, json_object_size(object), e);
    json_object_foreach(borrowed, name, member)
    {
        rc = rc == ERR_OK ? put_text(writer, bytes_from_text(name), e) : rc;
        rc = rc == ERR_OK ? put_json(writer, member, e) : rc;
    }
    return rc;
}

static enum err put_items(struct text_writer *writer, const json_t *array, struct error *e)
{
    enum err rc = put_head(writer, MAJOR_ARRAY, json_array_size(array), e);
    for (size_t i = 0; rc == ERR_OK && i < json_array_size(array); i++) {
        rc = put_json(writer, json_array_get(array, i), e);
    }
    return rc;
}

static enum err put_json(struct text_writer *writer, const json_t *json, struct error *e)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return put_members(writer, json, e);
    case JSON_ARRAY:
        return put_items(writer, json, e);
    case JSON_STRING:
        return put_text(writer, bytes_of(json_string_value(json), json_string_length(json)), e);
    case JSON_INTEGER:
        return put_integer(writer, json_integer_value(json), e);
    case JSON_REAL:
        return put_real(writer, json_real_value(json), e);
    case JSON_TRUE:
    case JSON_FALSE:
        return put_boolean(writer, json_is_true(json), e);
    case JSON_NULL:
        break;
    }
    return put_null(writer, e);
}

static enum err put_tree(struct text_writer *writer, const struct event_value *value,
                         struct error *e)
{
    const char *problem = NULL;
    json_t *json = value_to_json(value, &problem);
    if (json == NULL) {
        return problem == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a CBOR map")
                               : error_set(e, ERR_INVALID, "%s", problem);
    }
    enum err rc = put_json(writer, json, e);
    json_decref(json);
    return rc;
}

static enum err put_value(struct text_writer *writer, const struct event_value *value,
                          struct error *e)
{
    switch (value->kind) {
    case VALUE_NULL:
        return put_null(writer, e);
    case VALUE_BOOLEAN:
        return put_boolean(writer, value->integer != 0, e);
    case VALUE_INTEGER:
        return put_integer(writer, value->integer, e);
    case VALUE_REAL:
        return put_real(writer, value->real, e);
    case VALUE_TEXT:
        return put_text(writer, value->bytes, e);
    case VALUE_BLOB:
        return put_string(writer, MAJOR_BYTES, value->bytes, e);
    case VALUE_TREE:
    case VALUE_JSON:
        break;
    }
    return put_tree(writer, value, e);
}

static enum err put_row(struct text_writer *writer, const struct render_row *row, struct error *e)
{
    int count = sqlite3_column_count(row->compiled);
    enum err rc = put_head(writer, MAJOR_MAP, (uint64_t)count, e);
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        const char *name = sqlite3_column_name(row->compiled, i);
        struct event_value value;
        value_of_sqlite(sqlite3_column_value(row->compiled, i), &value);
        rc = put_text(writer, bytes_from_text(name), e);
        rc = rc == ERR_OK ? put_value(writer, &value, e) : rc;
        rc = rc == ERR_INVALID ? error_wrap(e, "column \"%s\"", name) : rc;
    }
    return rc;
}

enum err cbor_row_render(const struct render_row *row, struct text_writer *scratch,
                         struct bytes *out_payload, struct error *e)
{
    scratch->len = 0;
    enum err rc = put_row(scratch, row, e);
    return rc == ERR_OK ? text_writer_keep(scratch, row->memory, out_payload, e) : rc;
}
