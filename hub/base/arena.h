// arena.h - many small pieces of memory with one end: given back together.
//
// Threads:   one at a time.
//
// Ownership: the arena owns every piece; arena_destroy wipes and frees them all.
//
// Failure:   arena_alloc gives NULL when memory is out and arena_is_exhausted stays true, so that a
// long walk may check once at its end.
#ifndef PIPIT_BASE_ARENA_H
#define PIPIT_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

struct arena *arena_create(void);
void arena_destroy(struct arena *arena); // NULL is fine.

void *arena_alloc(struct arena *arena, size_t size_bytes); // Zeroed, aligned for anything.
char *arena_text(struct arena *arena, const char *text, size_t len); // A copy with a final NUL.
char *arena_print(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool arena_is_exhausted(const struct arena *arena);

#endif
