#include "core/proto_unpack.h"

#include "base/utf8.h"
#include "core/proto_parts.h"

static void *take(void *context, size_t size)
{
    return event_memory_take(context, size);
}

static void give_back(void *context, void *piece)
{
    (void)context; // The whole batch is given back at once.
    (void)piece;
}

struct ProtobufCMessage *proto_unpack(const struct ProtobufCMessageDescriptor *type,
                                      struct bytes bytes, struct event_memory *memory)
{
    ProtobufCAllocator allocator = {take, give_back, memory};
    return protobuf_c_message_unpack(type, &allocator, bytes.len, bytes.ptr);
}

// ---- depth --------------------------------------------------------------------------------------

// Takes a varint off the front; false when it is cut short or too long.
static bool take_varint(struct bytes *rest, uint64_t *out_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < rest->len && i < 10; i++) {
        number |= (uint64_t)(rest->ptr[i] & 0x7F) << (7 * i);
        if ((rest->ptr[i] & 0x80) == 0) {
            *rest = bytes_of(rest->ptr + i + 1, rest->len - i - 1);
            *out_number = number;
            return true;
        }
    }
    return false;
}

// Takes the value behind a tag; what has a length is given in out_within. False: malformed, which
// protobuf-c will say, or a group, which it refuses.
static bool take_value(struct bytes *rest, unsigned wire_type, struct bytes *out_within)
{
    uint64_t len = 0;
    *out_within = bytes_of(NULL, 0);
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(rest, &len);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        len = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!take_varint(rest, &len)) {
            return false;
        }
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        len = 4;
        break;
    default:
        return false;
    }
    if (len > rest->len) {
        return false;
    }
    *out_within = bytes_of(rest->ptr, (size_t)len);
    *rest = bytes_of(rest->ptr + len, rest->len - (size_t)len);
    return true;
}

bool proto_is_deeper(const struct ProtobufCMessageDescriptor *type, struct bytes bytes,
                     unsigned levels)
{
    uint64_t tag;
    struct bytes within;
    if (levels == 0) {
        return true;
    }
    while (bytes.len > 0 && take_varint(&bytes, &tag) &&
           take_value(&bytes, (unsigned)(tag & 7), &within)) {
        const ProtobufCFieldDescriptor *field =
            (tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED
                ? protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3))
                : NULL;
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            proto_is_deeper(field->descriptor, within, levels - 1)) {
            return true;
        }
    }
    return false;
}

// ---- texts --------------------------------------------------------------------------------------

// What was taken for a text knows its length.
struct bytes proto_text(const char *text)
{
    return text == NULL || text == protobuf_c_empty_string
               ? bytes_of("", 0)
               : bytes_of(text, event_memory_size(text) - 1);
}

const char *proto_text_problem(const char *text)
{
    struct bytes all = proto_text(text);
    if (all.len > 0 && memchr(all.ptr, '\0', all.len) != NULL) {
        return "holds a NUL character";
    }
    return utf8_is_valid(all) ? NULL : "is not valid UTF-8";
}
