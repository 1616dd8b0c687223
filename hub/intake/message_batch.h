// message_batch.h - messages that were read and are not acknowledged yet, with their bytes.
//
// Threads:   one at a time.
//
// Ownership: owns copies of everything; message_batch_reset gives them back and keeps a little
// memory for the next batch.
//
// Failure:   NULL and false when memory is out; what was there stays as it was.
#ifndef PIPIT_INTAKE_MESSAGE_BATCH_H
#define PIPIT_INTAKE_MESSAGE_BATCH_H

#include "core/core.h"

struct batch_chunk;

struct message_batch {
    struct message *messages;
    uint32_t count, capacity;
    uint32_t given; // The first so many have been handed out.
    uint64_t bytes; // Of topics, payloads and properties, with what they cost in memory.
    struct batch_chunk *chunks, *spare;
};

void message_batch_init(struct message_batch *batch);
void message_batch_deinit(struct message_batch *batch);

// Copies a message, its properties included.
bool message_batch_add(struct message_batch *batch, const struct message *message);
void message_batch_reset(struct message_batch *batch);

#endif
