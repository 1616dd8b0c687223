// history.h - events that were let in, kept whole for replay; bounded in time and bytes, the oldest
// make room, and all of them for anything else the store must hold.
// Threads:   core thread.
// Ownership: history_create creates; events and messages are borrowed.
// Failure:   of the store's kind. What is counted is counted in the ledger.
#ifndef PIPIT_CORE_HISTORY_H
#define PIPIT_CORE_HISTORY_H

#include "core/books.h"
#include "core/event.h"
#include "core/event_memory.h"

#define HISTORY_PRUNE_MS   60000 // A quiet hub looks no more often for what has become too old.
#define HISTORY_PRUNE_ROWS 1000  // That go at a time, beside as many as came.

struct history;

enum err history_create(struct history **out_history, struct store *store, struct error *e);
void history_destroy(struct history *history); // NULL is fine.

bool history_wants(const struct history_spec *spec, struct bytes topic);
// memory: for the while of the batch.
enum err history_put(struct history *history, struct event *event, struct event_memory *memory,
                     struct ledger *ledger, struct error *e);

// At most rows_max of the oldest: those that are too old, or too much for limit_bytes.
enum err history_prune(struct history *history, const struct history_spec *spec, int64_t now_ms,
                       uint32_t rows_max, struct ledger *ledger, struct error *e);
// The oldest, until so many bytes of them are gone.
enum err history_give_way(struct history *history, uint64_t bytes, struct ledger *ledger,
                          struct error *e);

// When history_prune has something to do; INT64_MAX: the history is empty.
int64_t history_due_ms(const struct history *history, const struct history_spec *spec,
                       const struct ledger *ledger);

#endif
