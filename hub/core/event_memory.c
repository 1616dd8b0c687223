#include "core/event_memory.h"

#include <stdint.h>
#include <stdlib.h>

#define BLOCK_BYTES  32768
#define HEADER_BYTES 8 // Before each piece: its size, which also keeps it aligned.

struct event_memory_block {
    struct event_memory_block *next;
    size_t used, size;
    uint64_t bytes[];
};

void event_memory_init(struct event_memory *memory)
{
    *memory = (struct event_memory){.budget_bytes = SIZE_MAX};
}

static void free_blocks(struct event_memory_block *block)
{
    while (block != NULL) {
        struct event_memory_block *next = block->next;
        free(block);
        block = next;
    }
}

void event_memory_deinit(struct event_memory *memory)
{
    free_blocks(memory->blocks);
    free_blocks(memory->spare);
    event_memory_init(memory);
}

void event_memory_reset(struct event_memory *memory)
{
    memory->is_out_of_memory = false;
    size_t kept = 0;
    for (struct event_memory_block *block = memory->spare; block != NULL; block = block->next) {
        kept += block->size;
    }
    struct event_memory_block *block = memory->blocks;
    while (block != NULL) {
        struct event_memory_block *next = block->next;
        if (block->size == BLOCK_BYTES && kept + block->size <= EVENT_MEMORY_KEPT_MAX) {
            block->next = memory->spare;
            memory->spare = block;
            kept += block->size;
        } else {
            free(block);
        }
        block = next;
    }
    memory->blocks = NULL;
    event_memory_set_budget(memory, SIZE_MAX);
}

void event_memory_set_budget(struct event_memory *memory, size_t budget_bytes)
{
    memory->budget_bytes = budget_bytes;
    memory->is_over_budget = false;
}

static struct event_memory_block *add_block(struct event_memory *memory, size_t size)
{
    struct event_memory_block *block = memory->spare;
    if (size <= BLOCK_BYTES && block != NULL) {
        memory->spare = block->next;
    } else {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof(*block) + room);
        if (block == NULL) {
            memory->is_out_of_memory = true;
            return NULL;
        }
        block->size = room;
    }
    block->used = 0;
    block->next = memory->blocks;
    memory->blocks = block;
    return block;
}

void *event_memory_take(struct event_memory *memory, size_t size_bytes)
{
    if (size_bytes > memory->budget_bytes || size_bytes > SIZE_MAX / 2) {
        memory->is_over_budget = true;
        return NULL;
    }
    size_t size = (size_bytes + 2 * HEADER_BYTES - 1) / HEADER_BYTES * HEADER_BYTES;
    struct event_memory_block *block = memory->blocks;
    if (block == NULL || block->size - block->used < size) {
        block = add_block(memory, size);
    }
    if (block == NULL) {
        return NULL;
    }
    if (memory->budget_bytes != SIZE_MAX) {
        memory->budget_bytes -= size_bytes;
    }
    uint64_t *header = block->bytes + block->used / HEADER_BYTES;
    *header = size_bytes;
    block->used += size;
    return header + 1;
}

char *event_memory_text(struct event_memory *memory, struct bytes text)
{
    char *copy = event_memory_take(memory, text.len + 1);
    if (copy != NULL) {
        if (text.len > 0) {
            memcpy(copy, text.ptr, text.len);
        }
        copy[text.len] = '\0';
    }
    return copy;
}

size_t event_memory_size(const void *piece)
{
    return (size_t)((const uint64_t *)piece)[-1];
}
