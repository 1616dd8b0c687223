//   | size before, size, in use | bytes ... | size before, size, in use | bytes ... |
// First fit; neighbours that are free are joined at once, so no two free blocks touch.
#include "arena.h"

#include <stdalign.h>

#define ALIGNMENT 8u // Of every block, for 64-bit members.

struct block {
    uint32_t before; // Bytes of the block in front of it, 0: it is the first.
    uint32_t size;   // With this header; lowest bit: in use.
};

_Static_assert(sizeof(struct block) == ALIGNMENT, "what follows a header is aligned like it");

static struct pipit_tls_arena *current;

static uint32_t size_of(const struct block *block)
{
    return block->size & ~1u;
}

static bool is_used(const struct block *block)
{
    return (block->size & 1u) != 0;
}

static struct block *block_at(const struct pipit_tls_arena *arena, uint32_t offset)
{
    return offset < arena->size ? (struct block *)(void *)(arena->ptr + offset) : NULL;
}

static uint32_t offset_of(const struct pipit_tls_arena *arena, const struct block *block)
{
    return (uint32_t)((const uint8_t *)block - arena->ptr);
}

static struct block *next_of(const struct pipit_tls_arena *arena, const struct block *block)
{
    return block_at(arena, offset_of(arena, block) + size_of(block));
}

bool pipit_tls_arena_init(struct pipit_tls_arena *arena, uint8_t *ptr, size_t size)
{
    size_t skipped = (ALIGNMENT - (uintptr_t)ptr % ALIGNMENT) % ALIGNMENT;
    if (size > UINT32_MAX / 2 || size < skipped + 2 * sizeof(struct block)) {
        return false;
    }
    arena->ptr = ptr + skipped;
    arena->size = (uint32_t)((size - skipped) & ~(size_t)(ALIGNMENT - 1));
    arena->has_failed = false;
    *block_at(arena, 0) = (struct block){.before = 0, .size = arena->size};
    return true;
}

void pipit_tls_arena_use(struct pipit_tls_arena *arena)
{
    current = arena;
}

// Gives what is behind the first `size` bytes back as a free block of its own.
static void split(const struct pipit_tls_arena *arena, struct block *block, uint32_t size)
{
    uint32_t rest = size_of(block) - size;
    if (rest < 2 * sizeof(struct block)) {
        return;
    }
    struct block *after = next_of(arena, block);
    block->size = size;
    *next_of(arena, block) = (struct block){.before = size, .size = rest};
    if (after != NULL) {
        after->before = rest;
    }
}

static struct block *find(const struct pipit_tls_arena *arena, uint32_t size)
{
    struct block *block = block_at(arena, 0);
    while (block != NULL && (is_used(block) || size_of(block) < size)) {
        block = next_of(arena, block);
    }
    return block;
}

static void count(struct pipit_tls_arena *arena, const struct block *block)
{
    uint32_t end = offset_of(arena, block) + size_of(block);
    arena->peak = end > arena->peak ? end : arena->peak;
}

void *pipit_tls_arena_calloc(size_t items, size_t item_size)
{
    struct pipit_tls_arena *arena = current;
    if (items == 0 || item_size == 0) {
        return NULL; // As mbedTLS's own: nobody asks for it.
    }
    if (items > arena->size / item_size) {
        arena->has_failed = true;
        return NULL;
    }
    uint32_t size = (uint32_t)((items * item_size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
    struct block *block = find(arena, size + (uint32_t)sizeof(*block));
    if (block == NULL) {
        arena->has_failed = true;
        return NULL;
    }
    split(arena, block, size + (uint32_t)sizeof(*block));
    block->size |= 1u;
    count(arena, block);
    return memset(block + 1, 0, items * item_size);
}

// Makes one of a free block and the free one behind it.
static void join(const struct pipit_tls_arena *arena, struct block *block)
{
    const struct block *after = next_of(arena, block);
    if (after == NULL || is_used(after)) {
        return;
    }
    block->size += size_of(after);
    struct block *behind = next_of(arena, block);
    if (behind != NULL) {
        behind->before = size_of(block);
    }
}

void pipit_tls_arena_free(void *ptr)
{
    const struct pipit_tls_arena *arena = current;
    if (ptr == NULL) {
        return;
    }
    struct block *block = (struct block *)ptr - 1;
    block->size = size_of(block);
    join(arena, block);
    if (block->before != 0) {
        struct block *former = block_at(arena, offset_of(arena, block) - block->before);
        if (!is_used(former)) {
            join(arena, former);
        }
    }
}
