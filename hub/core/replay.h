// replay.h - deliveries of a replay on their way into the outbox, each chunk of them exactly once.
// Threads:   core thread.
// Ownership: replays_create creates; chunks are borrowed for the call.
// Failure:   ERR_NOT_FOUND, ERR_INVALID: refused, with what to do; else of the store's kind.
#ifndef PIPIT_CORE_REPLAY_H
#define PIPIT_CORE_REPLAY_H

#include "core/core.h"
#include "core/outbox.h"

#define REPLAYS_KEPT 1000 // Rows of pipit_replay; the oldest make room.

struct replays;

enum err replays_create(struct replays **out_replays, struct store *store, struct error *e);
void replays_destroy(struct replays *replays); // NULL is fine.

// A number for it, or the one that its token has already, in *out_replay; *out_chunks: that are
// there.
enum err replays_begin(struct replays *replays, const struct replay_chunk *chunk, int64_t now_ms,
                       uint64_t *out_replay, uint64_t *out_chunks, struct error *e);
// Adds the chunk's deliveries to what outbox_write is to write, unless they are there already;
// *out_added: how many.
enum err replays_put(struct replays *replays, struct outbox *outbox,
                     const struct replay_chunk *chunk, int64_t now_ms, uint64_t *out_chunks,
                     uint64_t *out_added, struct error *e);

#endif
