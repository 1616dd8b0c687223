// sparkplug.h - what Sparkplug nodes have said of themselves: births with their aliases, where the
// count of messages stands, who is online. It lies in the store; the nodes used last are in memory.
//
//            NBIRTH                      NDEATH of the same bdSeq
//   unknown ────────▶ online ───────────────────────────────▶ offline
//                       │ ▲ NBIRTH                               │ NBIRTH: online
//     a gap in seq, an  ▼ │                                      │ data: as below
//     unknown alias   asked for a rebirth ◀──────────────────────┘
//     or device         (data is used as far as its metrics are known; asked again after
//                        SPARKPLUG_ASK_AGAIN_MS when there is still no birth)
//
// Threads:   core thread.
//
// Ownership: sparkplug_create creates.
//
// Failure:   of the store's kind, or ERR_NO_MEMORY; then sparkplug_rollback, which forgets
// everything that is ahead of the store.
#ifndef PIPIT_CORE_SPARKPLUG_H
#define PIPIT_CORE_SPARKPLUG_H

#include "core/event.h"
#include "core/event_memory.h"
#include "store/store.h"

#define SPARKPLUG_ASK_AGAIN_MS 10000
#define SPARKPLUG_NODES_MAX    4096  // In memory between batches.
#define SPARKPLUG_CACHED_MAX   50000 // Metrics of theirs: about 4 MB.

struct sparkplug;

enum err sparkplug_create(struct sparkplug **out_sparkplug, struct store *store, struct error *e);
void sparkplug_destroy(struct sparkplug *sparkplug); // NULL is fine.

// What becomes of the event.
struct sparkplug_verdict {
    bool is_duplicate;
    bool is_ignored;  // The will of a session that is over.
    char reason[240]; // Not empty: it cannot be read.
};

// Takes note of a Sparkplug event and gives its metrics their names and datatypes. Once for each
// event, in their order; input: its message's place among the inputs. Of any other event it does
// nothing.
enum err sparkplug_see(struct sparkplug *sparkplug, struct event *event, uint32_t input,
                       int64_t now_ms, struct sparkplug_verdict *out_verdict, struct error *e);

// Writes what the batch has changed.
enum err sparkplug_flush(struct sparkplug *sparkplug, struct error *e);
// Requests for a rebirth that the batch's events call for, to be asked before sparkplug_commit.
enum err sparkplug_requests(const struct sparkplug *sparkplug, struct event_memory *memory,
                            const struct request **out_requests, uint32_t *out_count,
                            struct error *e);
void sparkplug_commit(struct sparkplug *sparkplug);
void sparkplug_rollback(struct sparkplug *sparkplug);

#endif
