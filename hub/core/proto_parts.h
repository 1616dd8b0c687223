// proto_parts.h - what a protobuf type of run time is made of, for proto_*.c: protobuf-c's own
// descriptors, as protoc-c would have generated them, and what those do not say.
// Threads:   one at a time.
// Ownership: everything lives in the set.
// Failure:   as proto_dynamic.h.
#ifndef PIPIT_CORE_PROTO_PARTS_H
#define PIPIT_CORE_PROTO_PARTS_H

#include <protobuf/descriptor_set.pb-c.h>

#include "core/proto_dynamic.h"

struct proto_type {
    ProtobufCMessageDescriptor base; // First: messages point to it.
    struct proto_set *set;
    const bool *is_required; // By field: protobuf-c is told "optional", so that we can say which
                             // one is missing.
    const char *const *names;
    bool is_map_entry;
    bool is_to_be_checked; // It or one below has texts or required fields.
    unsigned depth;        // Of messages within it; beyond PROTO_DEPTH_MAX: there may be more.
};

static inline const struct proto_type *proto_type_of(const ProtobufCMessage *message)
{
    return (const struct proto_type *)(const void *)message->descriptor;
}

static inline const struct proto_type *proto_type_below(const ProtobufCFieldDescriptor *field)
{
    return field->descriptor;
}

static inline void *proto_member(const ProtobufCMessage *message, unsigned offset)
{
    return (uint8_t *)(uintptr_t)message + offset;
}

// One field of a path; of a repeated field the element, of a map the key, which has a value of the
// field `value` in the entry.
struct path_step {
    const ProtobufCFieldDescriptor *field;
    bool is_element;
    uint32_t index;
    struct bytes key; // ptr NULL: it is no map's.
};

struct proto_path {
    const char *text;
    uint32_t count;
    struct path_step steps[PROTO_DEPTH_MAX];
};

// proto_set.c
struct arena *proto_set_arena(struct proto_set *set);
const ProtobufCFieldDescriptor *proto_field_find(const ProtobufCMessageDescriptor *type,
                                                 struct bytes name);
bool proto_field_is_map(const ProtobufCFieldDescriptor *field);
// Bytes that one value of a type of field takes in a message.
size_t proto_value_bytes(ProtobufCType type);

// The text says what is wrong with the name, and the nearest that is there.
enum err proto_no_field(const struct proto_type *type, struct bytes name, enum err code,
                        struct error *e);

// proto_read.c: texts are UTF-8 and required fields are there; else the text names the field.
enum err proto_check(const ProtobufCMessage *message, struct error *e);
// A map's entry of a key as people write it, NULL when there is none; of several the last.
ProtobufCMessage *proto_map_entry(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, struct bytes key);

#endif
