#include "wire.h"

bool pipit_wire_is_equal(struct pipit_bytes a, struct pipit_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// Bytes of the character at `ptr`, which is not ASCII; 0 when it is not valid.
static size_t utf8_length(const uint8_t *ptr, size_t len)
{
    uint8_t first = ptr[0];
    size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || size > len) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((ptr[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (first == 0xE0 && ptr[1] < 0xA0) || (first == 0xF0 && ptr[1] < 0x90);
    bool is_outside = (first == 0xED && ptr[1] > 0x9F) || (first == 0xF4 && ptr[1] > 0x8F);
    return is_overlong || is_outside ? 0 : size;
}

bool pipit_wire_is_utf8(struct pipit_bytes text)
{
    while (text.len > 0) {
        size_t size = (uint8_t)(*text.ptr - 1) < 0x7F ? 1 : utf8_length(text.ptr, text.len);
        if (size == 0) {
            return false;
        }
        text.ptr += size;
        text.len -= size;
    }
    return true;
}

bool pipit_wire_is_name(struct pipit_bytes name, size_t len_max, bool has_levels)
{
    uint8_t before = '/';
    if (name.len == 0 || name.len > len_max || name.ptr[0] == '$' ||
        (PIPIT_WITH_TEXT_CHECKS && !pipit_wire_is_utf8(name))) {
        return false;
    }
    for (; name.len > 0; name.len--) {
        uint8_t c = *name.ptr++;
        if (c == '/' ? before == '/' || !has_levels
                     : c < 0x20 || c == '#' || c == '+' || c == 0x7F) {
            return false;
        }
        before = c;
    }
    return before != '/';
}

#define VARINT_LAST 9u // Index of the last byte of the longest; it has one bit of the 64.

static enum pipit_err take_varint(struct pipit_bytes *rest, uint64_t *out_value)
{
    uint64_t value = 0;
    size_t last = 0;
    while (last < rest->len && last < VARINT_LAST && rest->ptr[last] > 0x7F) {
        last++;
    }
    if (last == rest->len || rest->ptr[last] > (last == VARINT_LAST ? 1 : 0x7F)) {
        return PIPIT_ERR_MALFORMED;
    }
    for (size_t i = last + 1; i-- > 0;) { // Constant shifts: others are calls on a Cortex-M0.
        value = value << 7 | (rest->ptr[i] & 0x7F);
    }
    rest->ptr += last + 1;
    rest->len -= last + 1;
    *out_value = value;
    return PIPIT_OK;
}

static enum pipit_err take_fixed(struct pipit_bytes *rest, unsigned size, uint64_t *out_value)
{
    uint64_t value = 0;
    if (rest->len < size) {
        return PIPIT_ERR_MALFORMED;
    }
    for (unsigned i = size; i-- > 0;) {
        value = value << 8 | rest->ptr[i];
    }
    rest->ptr += size;
    rest->len -= size;
    *out_value = value;
    return PIPIT_OK;
}

static enum pipit_err take_bytes(struct pipit_bytes *rest, struct pipit_bytes *out_bytes)
{
    uint64_t len;
    enum pipit_err rc = take_varint(rest, &len);
    if (rc != PIPIT_OK || len > rest->len) {
        return PIPIT_ERR_MALFORMED;
    }
    out_bytes->ptr = rest->ptr;
    out_bytes->len = (size_t)len;
    rest->ptr += out_bytes->len;
    rest->len -= out_bytes->len;
    return PIPIT_OK;
}

enum pipit_err pipit_wire_next(struct pipit_bytes *rest, struct wire_item *out_item)
{
    uint64_t tag;
    if (rest->len == 0) {
        return PIPIT_ERR_EMPTY;
    }
    enum pipit_err rc = take_varint(rest, &tag);
    if (rc != PIPIT_OK || tag > UINT32_MAX || tag < 8) {
        return PIPIT_ERR_MALFORMED;
    }
    out_item->number = (uint32_t)tag >> 3;
    out_item->type = (enum wire_type)(tag & 7);
    out_item->value = 0;
    out_item->bytes.ptr = NULL;
    out_item->bytes.len = 0;
    switch ((unsigned)(tag & 7)) {
    case WIRE_VARINT:
        return take_varint(rest, &out_item->value);
    case WIRE_FIXED64:
        return take_fixed(rest, 8, &out_item->value);
    case WIRE_BYTES:
        return take_bytes(rest, &out_item->bytes);
    case WIRE_FIXED32:
        return take_fixed(rest, 4, &out_item->value);
    default:
        return PIPIT_ERR_MALFORMED; // Groups are not part of proto3.
    }
}

static int64_t unzigzag(uint64_t value)
{
    uint64_t half = value >> 1;
    return (value & 1) != 0 ? -(int64_t)half - 1 : (int64_t)half;
}

// The wire type of each kind, by its field number.
static bool has_type(const struct wire_item *item, enum pipit_kind kind)
{
    switch (kind) {
    case PIPIT_KIND_FLOAT:
        return item->type == WIRE_FIXED32;
    case PIPIT_KIND_DOUBLE:
        return item->type == WIRE_FIXED64;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        return item->type == WIRE_BYTES;
    default:
        return item->type == WIRE_VARINT;
    }
}

// The bits of a double as those of the float below it in magnitude; what is too small becomes 0.
static uint32_t single_bits(uint64_t bits)
{
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000u;
    uint32_t exponent = (uint32_t)(bits >> 52) & 0x7FFu;
    uint32_t fraction = (uint32_t)(bits >> 29) & 0x7FFFFFu;
    if (exponent == 0x7FF && (bits << 12) != 0) {
        return sign | 0x7FC00000u; // Not a number.
    }
    if (exponent > 1023 + 127) {
        return sign | 0x7F800000u; // Infinite, or for a float as good as that.
    }
    return exponent > 1023 - 127 ? sign | (exponent - (1023 - 127)) << 23 | fraction : sign;
}

static void real_put(double *out_real, uint64_t bits)
{
    uint32_t single = single_bits(bits);
    if (sizeof(*out_real) == sizeof(bits)) {
        memcpy(out_real, &bits, sizeof(bits));
    } else { // A double of 32 bits: AVR.
        memcpy(out_real, &single, sizeof(single));
    }
}

static enum pipit_err field_value(const struct wire_item *item, struct pipit_field *field)
{
    uint32_t single = (uint32_t)item->value;
    field->kind = (enum pipit_kind)item->number;
    if (!has_type(item, field->kind)) {
        return PIPIT_ERR_MALFORMED;
    }
    switch (field->kind) {
    case PIPIT_KIND_BOOL:
        field->value.boolean = item->value != 0;
        return PIPIT_OK;
    case PIPIT_KIND_SIGNED:
        field->value.integer = unzigzag(item->value);
        return PIPIT_OK;
    case PIPIT_KIND_UNSIGNED:
        field->value.counter = item->value;
        return PIPIT_OK;
    case PIPIT_KIND_FLOAT:
        memcpy(&field->value.single, &single, sizeof(single));
        return PIPIT_OK;
    case PIPIT_KIND_DOUBLE:
        real_put(&field->value.real, item->value);
        return PIPIT_OK;
    case PIPIT_KIND_TEXT:
    case PIPIT_KIND_DATA:
        field->value.bytes = item->bytes;
        break;
    }
    return field->kind == PIPIT_KIND_DATA || pipit_wire_is_utf8(item->bytes) ? PIPIT_OK
                                                                             : PIPIT_ERR_MALFORMED;
}

enum pipit_err pipit_wire_field(struct pipit_bytes encoded, struct pipit_field *out_field)
{
    struct pipit_field field;
    struct wire_item item;
    bool has_value = false;
    enum pipit_err rc;
    memset(&field, 0, sizeof(field));
    while ((rc = pipit_wire_next(&encoded, &item)) == PIPIT_OK) {
        if (item.number == 1) {
            if (item.type != WIRE_BYTES || !pipit_wire_is_utf8(item.bytes)) {
                return PIPIT_ERR_MALFORMED;
            }
            field.name = item.bytes;
        } else if (item.number <= PIPIT_KIND_DATA) {
            if (field_value(&item, &field) != PIPIT_OK) {
                return PIPIT_ERR_MALFORMED;
            }
            has_value = true;
        }
    }
    if (rc != PIPIT_ERR_EMPTY || field.name.len == 0 || !has_value) {
        return PIPIT_ERR_MALFORMED;
    }
    *out_field = field;
    return PIPIT_OK;
}

static bool receipt_item(const struct wire_item *item, struct pipit_wire_receipt *receipt)
{
    switch (item->number) {
    case 1:
        receipt->boot = (uint32_t)item->value;
        return item->type == WIRE_VARINT && item->value <= UINT32_MAX;
    case 2:
        receipt->upto = (pipit_sequence)item->value;
        // Beyond this a bitmap could not be added to it without running over.
        return item->type == WIRE_VARINT && item->value <= (pipit_sequence)-1 / 2;
    case 3:
        receipt->bitmap = item->bytes;
        return item->type == WIRE_BYTES;
    default:
        return true;
    }
}

enum pipit_err pipit_wire_receipt(struct pipit_bytes encoded,
                                  struct pipit_wire_receipt *out_receipt)
{
    struct pipit_wire_receipt receipt;
    struct wire_item item;
    enum pipit_err rc;
    memset(&receipt, 0, sizeof(receipt));
    while ((rc = pipit_wire_next(&encoded, &item)) == PIPIT_OK) {
        if (!receipt_item(&item, &receipt)) {
            return PIPIT_ERR_MALFORMED;
        }
    }
    if (rc != PIPIT_ERR_EMPTY || receipt.bitmap.len > 0xFFFF) {
        return PIPIT_ERR_MALFORMED;
    }
    *out_receipt = receipt;
    return PIPIT_OK;
}

static bool command_item(const struct wire_item *item, struct pipit_command *command)
{
    struct pipit_field field;
    if (item->number > 6) {
        return true;
    }
    if ((item->type == WIRE_BYTES) == (item->number == 3)) {
        return false;
    }
    switch (item->number) {
    case 1:
        command->id = item->bytes;
        return pipit_wire_is_utf8(item->bytes);
    case 2:
        command->name = item->bytes;
        return pipit_wire_is_utf8(item->bytes);
    case 3:
        command->has_expires = true;
        command->expires = item->value;
        return item->type == WIRE_VARINT;
    case 4:
        return pipit_wire_field(item->bytes, &field) == PIPIT_OK;
    case 5:
        command->payload = item->bytes;
        return true;
    default:
        command->content_type = item->bytes;
        return pipit_wire_is_utf8(item->bytes);
    }
}

enum pipit_err pipit_wire_command(struct pipit_bytes encoded, struct pipit_command *out_command)
{
    struct pipit_command command;
    struct wire_item item;
    enum pipit_err rc;
    memset(&command, 0, sizeof(command));
    command.encoded = encoded;
    while ((rc = pipit_wire_next(&encoded, &item)) == PIPIT_OK) {
        if (!command_item(&item, &command)) {
            return PIPIT_ERR_MALFORMED;
        }
    }
    if (rc != PIPIT_ERR_EMPTY || command.id.len == 0 || command.id.len > PIPIT_COMMAND_ID_MAX) {
        return PIPIT_ERR_MALFORMED;
    }
    *out_command = command;
    return PIPIT_OK;
}
