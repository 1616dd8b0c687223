// window.h - the windows of all rules that have one: events enter them, kept in the store by key;
// when a window ends its rule's statement runs once over its rows.
//
// Threads:   core thread.
//
// Ownership: borrows specs, space, statements and store.
//
// Failure:   windows_add: ERR_CONFIG. The rest of the store's kind; then windows_rollback. What is
// in memory is a cache of the store: it is forgotten and read again.
#ifndef PIPIT_CORE_WINDOW_H
#define PIPIT_CORE_WINDOW_H

#include "core/core.h"
#include "core/event.h"
#include "core/notes.h"
#include "core/rule_statement.h"
#include "store/store.h"

#define WINDOW_KEY_BYTES_MAX  400    // Of a key, so that it has room in an idempotency key.
#define WINDOW_KEYS_CACHED    16384  // Of all rules in memory between batches: about 4 MB.
#define WINDOW_PANES_MAX      10000  // Open at a time for one key.
#define WINDOW_ROWS_DEFAULT   100000 // Where the spec has 0.
#define WINDOW_KEYS_DEFAULT   100000
#define WINDOW_CHUNK_BYTES    65536 // A chunk that is so large is followed by another.
#define WINDOW_DUE_KEYS_MAX   256   // That one call of windows_fire looks at.
#define WINDOW_ROUNDS_MAX     64    // Of firing in one step; what is left is due at once again.
#define WINDOW_CLOCK_SLACK_MS 1000  // The clock may step back so far without being told of.

struct windows;

// One run of a rule's statement over the rows of a window.
struct window_result {
    const struct rule_rows *rows;
    uint32_t row_count; // About; for the budget of SQLite instructions.
    // The event whose arrival made it, in the batch that entered; UINT32_MAX: the window closed.
    uint32_t event_index;
    // Without such an event: what stands for it in outputs, its id and its key as topic.
    struct event_batch *batch;
    const char *id;
    struct bytes key;
    int64_t start_ms, end_ms;
    const char *problem; // Not NULL: it is given up for this, and does not run.
};

// Who runs statements and is told what becomes of events.
struct window_sink {
    void *context;
    // *out_failed: the statement failed on the window; it has been told.
    enum err (*run)(void *context, uint32_t rule_index, const struct window_result *result,
                    bool *out_failed, struct error *e);
    // The rule's filter matched the event and it is in a window now, or not.
    void (*entered)(void *context, uint32_t rule_index, uint32_t event_index, bool is_kept);
    enum err (*late)(void *context, uint32_t rule_index, uint32_t event_index, struct error *e);
    enum err (*failure)(void *context, uint32_t rule_index, uint32_t event_index,
                        const char *reason, struct error *e);
    // A window of the key has more than rows_max events; told once a rule and round.
    void (*left_out)(void *context, uint32_t rule_index, struct bytes key, uint32_t rows_max);
};

enum err windows_create(struct windows **out_windows, struct rule_space *space,
                        const struct core_spec *spec, struct error *e);
void windows_destroy(struct windows *windows); // NULL is fine.

// The rule at this index of the spec has a window and this statement.
enum err windows_add(struct windows *windows, uint32_t rule_index, struct rule_statement *statement,
                     struct error *e);
// The rule's routes ask for nothing but what its statement gives: ERR_CONFIG.
enum err window_outputs_check(const struct rule_spec *rule, sqlite3_stmt *compiled,
                              struct error *e);
bool windows_has(const struct windows *windows, uint32_t rule_index);

// Finds what the store has of each rule's windows; what belongs to rules that are gone or have
// changed is dropped and noted. In a transaction.
enum err windows_attach(struct windows *windows, struct store *store, struct notes *notes,
                        struct error *e);

// Before anything else of a step: when the clock has stepped back, nothing waits for it to catch
// up.
enum err windows_set_now(struct windows *windows, int64_t now_ms, struct error *e);

// The events (indexes into the batch) enter the rule's windows, in order; between rule_space_begin
// and rule_space_end, as windows_fire.
enum err windows_enter(struct windows *windows, uint32_t rule_index, struct event_batch *batch,
                       const uint32_t *events, uint32_t count, const struct window_sink *sink,
                       struct error *e);
// Whether windows_fire may find something to do.
bool windows_is_due(const struct windows *windows);
// Closes what is due by time, of at most keys_max keys. *out_more: there is more. keys_max 0: gives
// the windows of one key up.
enum err windows_fire(struct windows *windows, uint32_t keys_max, const struct window_sink *sink,
                      bool *out_more, struct error *e);

// Everything since the last windows_write into the store. Adds to *inout_late.
enum err windows_write(struct windows *windows, uint64_t *inout_late, struct error *e);
// As if nothing had been done since the last windows_write.
void windows_forget(struct windows *windows);

enum err windows_flush(struct windows *windows, struct error *e); // Before the commit.
void windows_commit(struct windows *windows);
void windows_rollback(struct windows *windows);

int64_t windows_next_due_ms(const struct windows *windows); // As core_next_timer_ms.
void windows_counters(const struct windows *windows, core_counter_fn *each, void *context);

// For tests of the arithmetic: the end of the first window after `closed_ms` that an event at
// time_ms is in (INT64_MIN: none is closed).
int64_t window_first_end(const struct window_spec *window, int64_t time_ms, int64_t closed_ms);
int64_t window_last_end(const struct window_spec *window, int64_t time_ms);

// What the times of a window's rows are cut into: what the largest such piece is.
int64_t window_step_ms(const struct window_spec *window);

#endif
