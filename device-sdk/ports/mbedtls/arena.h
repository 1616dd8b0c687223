// arena.h - mbedTLS's memory: pieces of the one block that belongs to a connection.
// Threads:   one for all arenas: mbedTLS asks for memory without saying for which connection.
// Ownership: the block is the caller's.
// Failure:   NULL, and the arena remembers it: mbedTLS reports some of these as bad signatures.
#ifndef PIPIT_TLS_ARENA_H
#define PIPIT_TLS_ARENA_H

#include "pipit/tls.h"

// Everything that was in it is gone. False: too small for anything at all.
bool pipit_tls_arena_init(struct pipit_tls_arena *arena, uint8_t *ptr, size_t size);

// From which arena the calls below are served from now on.
void pipit_tls_arena_use(struct pipit_tls_arena *arena);

void *pipit_tls_arena_calloc(size_t count, size_t size);
void pipit_tls_arena_free(void *ptr); // NULL is allowed.

#endif
