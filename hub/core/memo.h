// memo.h - what rules remember from event to event: a value for each rule, call and key.
//
// Threads:   core thread.
//
// Ownership: values asked for are borrowed until the next memo call.
//
// Failure:   memory follows the store: what a round, an event or a transaction changed can be taken
// back. SQLite's codes where a function asks.
#ifndef PIPIT_CORE_MEMO_H
#define PIPIT_CORE_MEMO_H

#include "core/memo_value.h"
#include "core/notes.h"
#include "core/rules.h"
#include "store/store.h"

#define MEMO_ROWS_MAX       1000000 // In the store; those used longest ago make room.
#define MEMO_CACHE_MAX      16384   // In memory between two batches.
#define MEMO_TEXT_BYTES_MAX 4096    // Of a value that is a text or blob.
#define MEMO_KEY_BYTES_MAX  1024

struct memo;

// One call for one event.
struct memo_ask {
    int64_t rule; // As memo_claim gave it.
    int64_t site; // Number of the call in the rule's SQL.
    struct bytes key;
    uint64_t event;          // Names the event at hand until the batch is over.
    struct memo_value asked; // What the answer depends on: for the same event the same gives the
                             // same, however often SQLite asks.
    struct memo_value band;
};

struct memo_entry;

// max_rows 0: MEMO_ROWS_MAX.
enum err memo_create(struct memo **out_memo, struct store *store, uint64_t max_rows,
                     struct error *e);
void memo_destroy(struct memo *memo); // NULL is fine.

// In a transaction: tells each rule of the spec that remembers what its memory is called, and drops
// what rules remember that are gone or have another SQL.
enum err memo_claim(struct memo *memo, struct rules *rules, const struct core_spec *spec,
                    struct notes *notes, struct error *e);

// SQLITE_OK: *out_entry, with *out_before (type 0: nothing) and, when the event has asked the same
// before, *out_answer (else type 0).
int memo_find(struct memo *memo, const struct memo_ask *ask, struct memo_entry **out_entry,
              struct memo_value *out_before, struct memo_value *out_answer);
// SQLITE_OK, SQLITE_NOMEM, or SQLITE_TOOBIG.
int memo_keep(struct memo *memo, struct memo_entry *entry, const struct memo_ask *ask,
              const struct memo_value *value, const struct memo_value *answer);

// The rule failed on the event: it has left nothing.
void memo_forget_event(struct memo *memo, int64_t rule, uint64_t event);
// The round of rules is over: it stays, or has not been.
void memo_end_round(struct memo *memo);
void memo_undo_round(struct memo *memo);

enum err memo_flush(struct memo *memo, int64_t now_ms, struct error *e);
void memo_commit(struct memo *memo);
void memo_rollback(struct memo *memo);

#endif
