// cloudevent_batch.h - a batch of CloudEvents in JSON: one message that is several events. Each
// becomes a message of its own, as if it had come in structured mode.
//
// Threads:   core thread.
//
// Ownership: the messages are in the memory given and borrow from the one that came.
//
// Failure:   ERR_INVALID: it is one rejected event. ERR_NO_MEMORY.
#ifndef PIPIT_CORE_CLOUDEVENT_BATCH_H
#define PIPIT_CORE_CLOUDEVENT_BATCH_H

#include "core/event_memory.h"
#include "core/format.h"

#define CLOUDEVENT_BATCH_MAX 1000 // Events of a message.

bool cloudevent_is_batch(const struct formats *formats, const struct message *message);

// An empty batch is fine: *out_count is 0 then.
enum err cloudevent_split(const struct message *batch, struct event_memory *memory,
                          struct message **out_messages, uint32_t *out_count, struct error *e);

#endif
