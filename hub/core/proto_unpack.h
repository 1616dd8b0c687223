// proto_unpack.h - bytes of protobuf into a message in a batch's memory, by protobuf-c: bounded in
// memory and in depth, and its texts with all their bytes.
// Threads:   one at a time.
// Ownership: the message and all in it are in the memory given.
// Failure:   NULL, true or a problem, as each function says; who asks knows what to call it.
#ifndef PIPIT_CORE_PROTO_UNPACK_H
#define PIPIT_CORE_PROTO_UNPACK_H

#include "core/event_memory.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

// NULL: malformed or cut short, or memory->is_over_budget.
struct ProtobufCMessage *proto_unpack(const struct ProtobufCMessageDescriptor *type,
                                      struct bytes bytes, struct event_memory *memory);
// Are the bytes nested deeper than that, as far as the type knows them? protobuf-c follows messages
// with its stack and does not look: to be asked first of a type that can hold itself.
bool proto_is_deeper(const struct ProtobufCMessageDescriptor *type, struct bytes bytes,
                     unsigned levels);

// A text of an unpacked message as it came: protobuf-c hands it out by its first NUL.
struct bytes proto_text(const char *text);
// "holds a NUL character", "is not valid UTF-8": protobuf-c does not look. NULL: nothing is wrong.
const char *proto_text_problem(const char *text);

#endif
