// event_memory.h - memory that lives as long as a batch: taken in small pieces, given back at once
// and kept for the next batch.
// Threads:   one at a time.
// Ownership: the pieces belong to the memory and end with event_memory_reset.
// Failure:   NULL when memory is out or the budget is used up.
#ifndef PIPIT_CORE_EVENT_MEMORY_H
#define PIPIT_CORE_EVENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define EVENT_MEMORY_KEPT_MAX 262144 // Bytes that a reset keeps for the next batch.

struct event_memory_block;

struct event_memory {
    struct event_memory_block *blocks; // The newest first; only it has room.
    struct event_memory_block *spare;
    size_t budget_bytes;   // What may still be taken.
    bool is_over_budget;   // Since the budget was set.
    bool is_out_of_memory; // Since the reset: a piece could not be had from the heap.
};

void event_memory_init(struct event_memory *memory);
void event_memory_deinit(struct event_memory *memory);
void event_memory_reset(struct event_memory *memory);

// Bounds what is taken from now on; SIZE_MAX: no bound.
void event_memory_set_budget(struct event_memory *memory, size_t budget_bytes);

void *event_memory_take(struct event_memory *memory,
                        size_t size_bytes); // Aligned to 8, not zeroed.
char *event_memory_text(struct event_memory *memory, struct bytes text); // A copy and a final NUL.

// The size that was asked for when this piece was taken.
size_t event_memory_size(const void *piece);

#endif
