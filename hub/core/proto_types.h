// proto_types.h - between proto_set.c, which knows the names of a set, and proto_type.c, which
// makes protobuf-c's descriptors of them.
// Threads:   one at a time.
// Ownership: everything lives in the set's arena.
// Failure:   ERR_CONFIG names the type or field at fault; ERR_NO_MEMORY.
#ifndef PIPIT_CORE_PROTO_TYPES_H
#define PIPIT_CORE_PROTO_TYPES_H

#include <uthash.h>

#include "core/proto_parts.h"

// A message or an enum of a set.
struct proto_entry {
    const char *name; // Full, without the leading dot.
    bool is_proto3;
    const Descriptor__Message *message;         // One of these two is not NULL.
    const Descriptor__Enumeration *enumeration; //
    struct proto_type *made_message;            // Once it was asked for.
    ProtobufCEnumDescriptor *made_enum;
    UT_hash_handle hh;
};

struct proto_entry *proto_entry_find(const struct proto_set *set, const char *name);

// The type of the entry with all that it needs.
enum err proto_type_make(struct proto_set *set, struct proto_entry *entry,
                         const struct proto_type **out_type, struct error *e);

// proto_enum.c
enum err proto_enum_make(struct proto_set *set, struct proto_entry *entry, struct error *e);

// Consecutive numbers of a sorted list as protobuf-c wants them; NULL without memory.
struct proto_numbers {
    const void *items;
    size_t item_bytes, number_offset; // An int32_t or uint32_t is there.
    unsigned count;
};
const ProtobufCIntRange *proto_ranges(struct arena *arena, const struct proto_numbers *numbers,
                                      unsigned *out_count);

#endif
