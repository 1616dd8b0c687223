// window_row.c - what is kept of an event, packed: its time, then each value behind a byte that
// says its kind. Numbers are little-endian varints (signed ones zigzag), reals 8 bytes.
#include <stdlib.h>
#include <string.h>

#include "core/window_parts.h"

enum packed {
    PACKED_NULL,
    PACKED_FALSE,
    PACKED_TRUE,
    PACKED_INTEGER,
    PACKED_REAL,
    PACKED_TEXT,
    PACKED_BLOB,
    PACKED_JSON
};

#define VARINT_BYTES_MAX 10

enum err window_bytes_reserve(struct window_bytes *bytes, size_t more, struct error *e)
{
    if (bytes->capacity - bytes->len >= more) {
        return ERR_OK;
    }
    size_t capacity = bytes->capacity == 0 ? 64 : bytes->capacity;
    while (capacity - bytes->len < more) {
        capacity *= 2;
    }
    uint8_t *data = realloc(bytes->data, capacity);
    if (data == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's rows");
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return ERR_OK;
}

static void put_varint(struct window_bytes *bytes, uint64_t value)
{
    while (value >= 0x80) {
        bytes->data[bytes->len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes->data[bytes->len++] = (uint8_t)value;
}

static uint64_t zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static enum err put_bytes(struct window_bytes *bytes, enum packed kind, struct bytes text,
                          struct error *e)
{
    enum err rc = window_bytes_reserve(bytes, 1 + VARINT_BYTES_MAX + text.len, e);
    if (rc == ERR_OK) {
        bytes->data[bytes->len++] = (uint8_t)kind;
        put_varint(bytes, text.len);
        if (text.len > 0) {
            memcpy(bytes->data + bytes->len, text.ptr, text.len);
        }
        bytes->len += text.len;
    }
    return rc;
}

static enum err put_tree(struct window_bytes *bytes, const struct event_value *value,
                         struct error *e)
{
    char *text = json_to_text(value->tree);
    if (text == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's rows");
    }
    enum err rc = put_bytes(bytes, PACKED_JSON, bytes_from_text(text), e);
    free(text);
    return rc;
}

static enum err put_value(struct window_bytes *bytes, const struct event_value *value,
                          struct error *e)
{
    enum err rc = window_bytes_reserve(bytes, 1 + VARINT_BYTES_MAX, e);
    if (rc != ERR_OK) {
        return rc;
    }
    switch (value->kind) {
    case VALUE_NULL:
        bytes->data[bytes->len++] = PACKED_NULL;
        break;
    case VALUE_BOOLEAN:
        bytes->data[bytes->len++] = value->integer != 0 ? PACKED_TRUE : PACKED_FALSE;
        break;
    case VALUE_INTEGER:
        bytes->data[bytes->len++] = PACKED_INTEGER;
        put_varint(bytes, zigzag(value->integer));
        break;
    case VALUE_REAL:
        bytes->data[bytes->len++] = PACKED_REAL;
        memcpy(bytes->data + bytes->len, &value->real, sizeof(value->real));
        bytes->len += sizeof(value->real);
        break;
    case VALUE_TEXT:
        return put_bytes(bytes, PACKED_TEXT, value->bytes, e);
    case VALUE_BLOB:
        return put_bytes(bytes, PACKED_BLOB, value->bytes, e);
    case VALUE_JSON:
        return put_bytes(bytes, PACKED_JSON, value->bytes, e);
    case VALUE_TREE:
        return put_tree(bytes, value, e);
    }
    return ERR_OK;
}

enum err window_row_add(struct window_bytes *bytes, uint64_t offset_ms, struct event *event,
                        const struct window_column *columns, uint32_t count, struct error *e)
{
    enum err rc = window_bytes_reserve(bytes, VARINT_BYTES_MAX, e);
    if (rc == ERR_OK) {
        put_varint(bytes, offset_ms);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        struct event_value value;
        if (columns[i].field == NULL) {
            event_column(event, columns[i].column, &value);
        } else {
            event_field(event, columns[i].field, &value);
        }
        rc = put_value(bytes, &value, e);
    }
    return rc;
}

static bool get_varint(const uint8_t **inout_at, const uint8_t *end, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *inout_at < end; shift += 7) {
        uint8_t byte = *(*inout_at)++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool get_real(const uint8_t **inout_at, const uint8_t *end, double *out_real)
{
    if ((size_t)(end - *inout_at) < sizeof(*out_real)) {
        return false;
    }
    memcpy(out_real, *inout_at, sizeof(*out_real));
    *inout_at += sizeof(*out_real);
    return true;
}

static bool get_bytes(const uint8_t **inout_at, const uint8_t *end, struct bytes *out_bytes)
{
    uint64_t len;
    if (!get_varint(inout_at, end, &len) || len > (uint64_t)(end - *inout_at)) {
        return false;
    }
    *out_bytes = bytes_of(*inout_at, (size_t)len);
    *inout_at += len;
    return true;
}

static bool get_value(const uint8_t **inout_at, const uint8_t *end, struct event_value *out_value)
{
    if (*inout_at == end) {
        return false;
    }
    uint64_t number;
    uint8_t kind = *(*inout_at)++;
    switch (kind) {
    case PACKED_NULL:
        out_value->kind = VALUE_NULL;
        return true;
    case PACKED_FALSE:
    case PACKED_TRUE:
        out_value->kind = VALUE_BOOLEAN;
        out_value->integer = kind == PACKED_TRUE;
        return true;
    case PACKED_INTEGER:
        out_value->kind = VALUE_INTEGER;
        if (!get_varint(inout_at, end, &number)) {
            return false;
        }
        out_value->integer = unzigzag(number);
        return true;
    case PACKED_REAL:
        out_value->kind = VALUE_REAL;
        return get_real(inout_at, end, &out_value->real);
    case PACKED_TEXT:
    case PACKED_BLOB:
    case PACKED_JSON:
        out_value->kind = kind == PACKED_TEXT   ? VALUE_TEXT
                          : kind == PACKED_BLOB ? VALUE_BLOB
                                                : VALUE_JSON;
        return get_bytes(inout_at, end, &out_value->bytes);
    default:
        return false;
    }
}

bool window_row_read(const uint8_t **inout_at, const uint8_t *end, uint64_t *out_offset_ms,
                     struct event_value *values, uint32_t count)
{
    struct event_value unused;
    if (!get_varint(inout_at, end, out_offset_ms)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!get_value(inout_at, end, values == NULL ? &unused : &values[i])) {
            return false;
        }
    }
    return true;
}

struct sorted_row {
    uint64_t offset_ms;
    const uint8_t *at;
    size_t len;
};

static int by_time(const void *a, const void *b)
{
    const struct sorted_row *left = a, *right = b;
    if (left->offset_ms != right->offset_ms) {
        return left->offset_ms < right->offset_ms ? -1 : 1;
    }
    return left->at < right->at ? -1 : left->at > right->at; // As they came.
}

enum err window_rows_sort(struct window_bytes *bytes, uint32_t rows, uint32_t columns,
                          struct error *e)
{
    struct sorted_row *sorted = calloc(rows, sizeof(*sorted));
    uint8_t *data = malloc(bytes->capacity);
    if (sorted == NULL || data == NULL) {
        free(sorted);
        free(data);
        return error_set(e, ERR_NO_MEMORY, "out of memory for a window's rows");
    }
    const uint8_t *at = bytes->data, *end = bytes->data + bytes->len;
    for (uint32_t i = 0; i < rows; i++) {
        sorted[i].at = at;
        window_row_read(&at, end, &sorted[i].offset_ms, NULL, columns); // Packed by us just now.
        sorted[i].len = (size_t)(at - sorted[i].at);
    }
    qsort(sorted, rows, sizeof(*sorted), by_time);
    size_t len = 0;
    for (uint32_t i = 0; i < rows; i++) {
        memcpy(data + len, sorted[i].at, sorted[i].len);
        len += sorted[i].len;
    }
    free(sorted);
    free(bytes->data);
    bytes->data = data;
    return ERR_OK;
}
