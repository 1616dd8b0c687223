// stored_message.h - a message in the store and back: its user properties are one blob there.
// Threads:   core thread.
// Ownership: what is read back lives in the memory that is handed in.
// Failure:   NULL or false when memory is out.
#ifndef PIPIT_CORE_STORED_MESSAGE_H
#define PIPIT_CORE_STORED_MESSAGE_H

#include "core/core.h"
#include "core/event_memory.h"

// Name, value, name, value, ... each ended by a zero byte, as in struct delivery. An empty one has
// a ptr, too.
bool stored_properties(const struct message *message, struct event_memory *memory,
                       struct bytes *out_packed);
// Copies of what `from` and packed hold.
bool stored_message_copy(const struct message *from, struct bytes packed,
                         struct event_memory *memory, struct message *out_message);

#endif
