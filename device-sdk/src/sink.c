#include "wire.h"

#define VARINT_MAX 10u

void pipit_sink_init(struct pipit_sink *sink, uint8_t *ptr, size_t size)
{
    sink->ptr = ptr;
    sink->size = size;
    sink->len = 0;
    sink->rc = PIPIT_OK;
}

void pipit_sink_fail(struct pipit_sink *sink, enum pipit_err rc)
{
    if (sink->rc == PIPIT_OK) {
        sink->rc = rc;
    }
}

static bool sink_has_room(struct pipit_sink *sink, size_t need)
{
    if (sink->rc == PIPIT_OK && need > sink->size - sink->len) {
        sink->rc = PIPIT_ERR_SIZE;
    }
    return sink->rc == PIPIT_OK;
}

uint64_t pipit_wire_zigzag(int64_t value)
{
    uint64_t bits = (uint64_t)value << 1;
    return value < 0 ? ~bits : bits;
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value > 0x7F) {
        value >>= 7;
        size++;
    }
    return size;
}

// The caller has checked that there is room.
static void put_varint(struct pipit_sink *sink, uint64_t value)
{
    while (value > 0x7F) {
        sink->ptr[sink->len++] = (uint8_t)((value & 0x7F) | 0x80);
        value >>= 7;
    }
    sink->ptr[sink->len++] = (uint8_t)value;
}

static void put_tag(struct pipit_sink *sink, uint8_t number, enum wire_type type)
{
    sink->ptr[sink->len++] = (uint8_t)((unsigned)number << 3 | (unsigned)type);
}

static void put_bytes(struct pipit_sink *sink, uint8_t number, struct pipit_bytes value)
{
    put_tag(sink, number, WIRE_BYTES);
    put_varint(sink, value.len);
    if (value.len > 0) {
        memcpy(sink->ptr + sink->len, value.ptr, value.len);
        sink->len += value.len;
    }
}

static void put_fixed(struct pipit_sink *sink, uint64_t value, unsigned size)
{
    while (size-- > 0) {
        sink->ptr[sink->len++] = (uint8_t)value;
        value >>= 8;
    }
}

void pipit_sink_varint(struct pipit_sink *sink, uint8_t number, uint64_t value)
{
    if (sink_has_room(sink, 1 + varint_size(value))) {
        put_tag(sink, number, WIRE_VARINT);
        put_varint(sink, value);
    }
}

void pipit_sink_bytes(struct pipit_sink *sink, uint8_t number, struct pipit_bytes value)
{
    if (value.len > SIZE_MAX - VARINT_MAX - 1) {
        pipit_sink_fail(sink, PIPIT_ERR_SIZE);
    } else if (sink_has_room(sink, 1 + varint_size(value.len) + value.len)) {
        put_bytes(sink, number, value);
    }
}

void pipit_sink_raw(struct pipit_sink *sink, struct pipit_bytes value)
{
    if (sink_has_room(sink, value.len) && value.len > 0) {
        memcpy(sink->ptr + sink->len, value.ptr, value.len);
        sink->len += value.len;
    }
}

static uint64_t field_varint(const struct pipit_field *field)
{
    if (field->kind == PIPIT_KIND_BOOL) {
        return field->value.boolean ? 1 : 0;
    }
    return field->kind == PIPIT_KIND_SIGNED ? pipit_wire_zigzag(field->value.integer)
                                            : field->value.counter;
}

// Bytes of the value with its tag; 0 for an unknown kind.
static size_t value_size(const struct pipit_field *field)
{
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
    case PIPIT_KIND_SIGNED:
    case PIPIT_KIND_UNSIGNED:
        return 1 + varint_size(field_varint(field));
    case PIPIT_KIND_FLOAT:
        return 5;
    case PIPIT_KIND_DOUBLE:
        return 9;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        return 1 + varint_size(field->value.bytes.len) + field->value.bytes.len;
    }
    return 0;
}

static void put_value(struct pipit_sink *sink, const struct pipit_field *field)
{
    uint8_t number = (uint8_t)field->kind;
    uint32_t single;
    uint64_t real;
    switch (field->kind) {
    case PIPIT_KIND_FLOAT:
        memcpy(&single, &field->value.single, sizeof(single));
        put_tag(sink, number, WIRE_FIXED32);
        put_fixed(sink, single, 4);
        break;
    case PIPIT_KIND_DOUBLE:
        memcpy(&real, &field->value.real, sizeof(real));
        put_tag(sink, number, WIRE_FIXED64);
        put_fixed(sink, real, 8);
        break;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        put_bytes(sink, number, field->value.bytes);
        break;
    default:
        put_tag(sink, number, WIRE_VARINT);
        put_varint(sink, field_varint(field));
        break;
    }
}

static enum pipit_err field_check(const struct pipit_field *field)
{
    if (field->name.len == 0 || field->name.ptr == NULL) {
        return PIPIT_ERR_ARGUMENT;
    }
    if (!pipit_wire_is_utf8(field->name)) {
        return PIPIT_ERR_TEXT;
    }
    if (field->kind == PIPIT_KIND_TEXT || field->kind == PIPIT_KIND_DATA) {
        if (field->value.bytes.len > (SIZE_MAX >> 1) || field->name.len > (SIZE_MAX >> 2)) {
            return PIPIT_ERR_SIZE;
        }
        if (field->value.bytes.len > 0 && field->value.bytes.ptr == NULL) {
            return PIPIT_ERR_ARGUMENT;
        }
    }
    if (field->kind == PIPIT_KIND_TEXT && !pipit_wire_is_utf8(field->value.bytes)) {
        return PIPIT_ERR_TEXT;
    }
    return value_size(field) > 0 ? PIPIT_OK : PIPIT_ERR_ARGUMENT;
}

void pipit_sink_field(struct pipit_sink *sink, uint8_t number, const struct pipit_field *field)
{
    enum pipit_err rc = field_check(field);
    if (rc != PIPIT_OK) {
        pipit_sink_fail(sink, rc);
        return;
    }
    size_t size = 1 + varint_size(field->name.len) + field->name.len + value_size(field);
    if (sink_has_room(sink, 1 + varint_size(size) + size)) {
        put_tag(sink, number, WIRE_BYTES);
        put_varint(sink, size);
        put_bytes(sink, 1, field->name);
        put_value(sink, field);
    }
}
