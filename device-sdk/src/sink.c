#include "wire.h"

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

uint64_t pipit_wire_zigzag(int64_t value)
{
    uint64_t bits = (uint64_t)value << 1;
    return value < 0 ? ~bits : bits;
}

// Opens a gap of `len` bytes at the end. NULL when there is no room. After an error writing goes on
// within the bounds: nobody looks at the bytes any more.
static uint8_t *extend(struct pipit_sink *sink, size_t len)
{
    uint8_t *at = sink->ptr + sink->len;
    if (len > sink->size - sink->len) {
        pipit_sink_fail(sink, PIPIT_ERR_SIZE);
        return NULL;
    }
    sink->len += len;
    return at;
}

void pipit_sink_raw(struct pipit_sink *sink, struct pipit_bytes value)
{
    uint8_t *at = extend(sink, value.len);
    if (at != NULL && value.len > 0) {
        memcpy(at, value.ptr, value.len);
    }
}

void pipit_sink_byte(struct pipit_sink *sink, unsigned byte)
{
    size_t len = sink->len;
    if (len >= sink->size) {
        pipit_sink_fail(sink, PIPIT_ERR_SIZE);
        return;
    }
    sink->ptr[len] = (uint8_t)byte;
    sink->len = len + 1;
}

static void put_varint(struct pipit_sink *sink, uint64_t value)
{
    while (value > 0x7F) {
        pipit_sink_byte(sink, ((unsigned)value & 0x7F) | 0x80);
        value >>= 7;
    }
    pipit_sink_byte(sink, (unsigned)value);
}

static void put_tag(struct pipit_sink *sink, unsigned number, enum wire_type type)
{
    pipit_sink_byte(sink, number << 3 | (unsigned)type);
}

// A number of `size` bytes in memory, its lowest byte first.
static void put_fixed(struct pipit_sink *sink, enum wire_type type, unsigned number,
                      const void *value, size_t size)
{
    static const uint16_t one = 1;
    const uint8_t *bytes = value;
    size_t flip = *(const uint8_t *)&one == 1 ? 0 : size - 1;
    put_tag(sink, number, type);
    uint8_t *at = extend(sink, size);
    for (size_t i = 0; at != NULL && i < size; i++) {
        at[i] = bytes[i ^ flip];
    }
}

void pipit_sink_varint(struct pipit_sink *sink, uint8_t number, uint64_t value)
{
    put_tag(sink, number, WIRE_VARINT);
    put_varint(sink, value);
}

void pipit_sink_bytes(struct pipit_sink *sink, uint8_t number, struct pipit_bytes value)
{
    put_tag(sink, number, WIRE_BYTES);
    put_varint(sink, value.len);
    pipit_sink_raw(sink, value);
}

static void put_text(struct pipit_sink *sink, uint8_t number, struct pipit_bytes bytes,
                     bool is_text)
{
    if (bytes.len > 0 && bytes.ptr == NULL) {
        pipit_sink_fail(sink, PIPIT_ERR_ARGUMENT);
    } else if (PIPIT_WITH_TEXT_CHECKS && is_text && !pipit_wire_is_utf8(bytes)) {
        pipit_sink_fail(sink, PIPIT_ERR_TEXT);
    }
    pipit_sink_bytes(sink, number, bytes);
}

// Where a double has 32 bits (AVR) it travels as the float that it is.
static void put_real(struct pipit_sink *sink, const double *value)
{
    if (sizeof(*value) == 8) {
        put_fixed(sink, WIRE_FIXED64, PIPIT_KIND_DOUBLE, value, 8);
    } else {
        put_fixed(sink, WIRE_FIXED32, PIPIT_KIND_FLOAT, value, 4);
    }
}

static uint64_t varint_of(const struct pipit_field *field)
{
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        return field->value.boolean ? 1 : 0;
    case PIPIT_KIND_SIGNED:
        return pipit_wire_zigzag(field->value.integer);
    default:
        return field->value.counter;
    }
}

static void put_value(struct pipit_sink *sink, const struct pipit_field *field)
{
    uint8_t number = (uint8_t)field->kind;
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
    case PIPIT_KIND_SIGNED:
    case PIPIT_KIND_UNSIGNED:
        pipit_sink_varint(sink, number, varint_of(field));
        return;
    case PIPIT_KIND_FLOAT:
        put_fixed(sink, WIRE_FIXED32, number, &field->value.single, 4);
        return;
    case PIPIT_KIND_DOUBLE:
        put_real(sink, &field->value.real);
        return;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        put_text(sink, number, field->value.bytes, field->kind == PIPIT_KIND_TEXT);
        return;
    }
    pipit_sink_fail(sink, PIPIT_ERR_ARGUMENT);
}

void pipit_sink_length(struct pipit_sink *sink, size_t at)
{
    size_t len = sink->len - at - 1, left = len;
    uint8_t *ptr = sink->ptr + at;
    if (sink->rc != PIPIT_OK) {
        return;
    }
    for (; left > 0x7F; left >>= 7) { // One more byte for it.
        if (extend(sink, 1) == NULL) {
            return;
        }
        memmove(ptr + 2, ptr + 1, len);
        *ptr++ = (uint8_t)(left | 0x80);
    }
    *ptr = (uint8_t)left;
}

void pipit_sink_field(struct pipit_sink *sink, uint8_t number, const struct pipit_field *field)
{
    if (field->name.len == 0) {
        pipit_sink_fail(sink, PIPIT_ERR_ARGUMENT);
    }
    put_tag(sink, number, WIRE_BYTES);
    size_t at = sink->len;
    pipit_sink_byte(sink, 0);
    put_text(sink, 1, field->name, true);
    put_value(sink, field);
    pipit_sink_length(sink, at);
}
