// proto_dynamic.h - protobuf messages of types that are known at run time only: from a
// FileDescriptorSet as `protoc --include_imports --descriptor_set_out` writes it.
//
// Fields are named by dotted paths in the words of the .proto: "location.lat", "items.0.name",
// "labels.site" (a map's entry). An enum is the name of its value, or the number where the .proto
// has no name for it; bytes are a blob; a message, a repeated field and a map are trees. What is
// not set is absent, except for fields without presence (proto3 scalars), which have their zero.
//
// Threads:   one at a time; types are not written to after proto_set_message.
//
// Ownership: types belong to their set, which keeps nothing of the bytes it was made of. Messages
// and their texts live in the event_memory they were made in.
//
// Failure:   as each function says; the text names the field at fault.
#ifndef PIPIT_CORE_PROTO_DYNAMIC_H
#define PIPIT_CORE_PROTO_DYNAMIC_H

#include "base/error.h"
#include "core/event_memory.h"
#include "core/event_value.h"

#define PROTO_DEPTH_MAX     32      // Messages within messages, of a payload.
#define PROTO_SET_BYTES_MAX 4194304 // Of a FileDescriptorSet.
#define PROTO_FIELDS_MAX    1000    // Of one message type.
#define PROTO_TYPES_MAX     10000   // Messages and enums of a set.

struct ProtobufCMessage;
struct proto_set;
struct proto_type; // A message type.
struct proto_path; // Where in a message of a type a value goes.

// ERR_CONFIG: not a FileDescriptorSet, or beyond the bounds above.
enum err proto_set_create(struct proto_set **out_set, struct bytes descriptors, struct error *e);
void proto_set_destroy(struct proto_set *set); // NULL is fine.

// The message of that full name ("acme.Meter", with or without a leading dot). ERR_CONFIG: there is
// none (the nearest is named), a type that it needs is not in the set, or it has a group.
enum err proto_set_message(struct proto_set *set, const char *name,
                           const struct proto_type **out_type, struct error *e);
const char *proto_type_name(const struct proto_type *type); // Full name.
// Can a message of the type have a value at the path? Any index and any key of a map can.
bool proto_type_has(const struct proto_type *type, const char *path);
// Names of the type's own fields, NULL-terminated.
const char *const *proto_type_fields(const struct proto_type *type);

// ---- reading ------------------------------------------------------------------------------------

// ERR_INVALID: malformed, nested too deep, text that is not UTF-8, a required field is missing, or
// it takes more memory than a payload of its size should.
enum err proto_read(const struct proto_type *type, struct bytes bytes, struct event_memory *memory,
                    struct ProtobufCMessage **out_message, struct error *e);
// False: nothing is there. A tree is new and the caller's.
bool proto_get(const struct ProtobufCMessage *message, const char *path,
               struct event_value *out_value);
// A new object; NULL without memory. Blobs are hexadecimal text, NaN and infinities null.
struct json_t *proto_to_json(const struct ProtobufCMessage *message);

// ---- writing ------------------------------------------------------------------------------------

// ERR_CONFIG: there is no such field (the nearest is named). The path lives as long as the set.
enum err proto_path_create(const struct proto_path **out_path, struct proto_set *set,
                           const struct proto_type *type, const char *path, struct error *e);
// Empty, in memory; NULL without memory.
struct ProtobufCMessage *proto_make(const struct proto_type *type, struct event_memory *memory);
// Sets the field (NULL: leaves it unset; another member of a oneof goes). Trees and JSON text fill
// messages, repeated fields and maps. Borrows the value's bytes until the message is packed.
// ERR_INVALID: the value does not fit the field's type; the text names the field.
enum err proto_put(struct ProtobufCMessage *message, const struct proto_path *path,
                   const struct event_value *value, struct event_memory *memory, struct error *e);
// ERR_INVALID: a required field is not set. The bytes are in memory.
enum err proto_pack(const struct ProtobufCMessage *message, struct event_memory *memory,
                    struct bytes *out_bytes, struct error *e);

#endif
