// window_parts.h - what windows are made of, for the files that work on them: window.c (rules and
// what enters), window_key.c (keys: cache and store), window_span.c (which windows there are),
// window_close.c (closing), window_row.c (packed rows), window_scan.c (reading them again).
// Threads:   core thread.
// Ownership: windows own keys, stages and statements; rules, specs and the store are borrowed.
// Failure:   as window.h.
#ifndef PIPIT_CORE_WINDOW_PARTS_H
#define PIPIT_CORE_WINDOW_PARTS_H

#include <uthash.h>

#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/sql.h"
#include "core/window.h"

#define NEVER  INT64_MAX // No time is so late.
#define ALWAYS INT64_MIN // No time is so early.

// ---- rows ---------------------------------------------------------------------------------------

// Bytes that grow.
struct window_bytes {
    uint8_t *data;
    size_t len, capacity;
};

// What is kept of an event: a standard column, or a payload field.
struct window_column {
    const char *field; // NULL: the standard column.
    enum event_column column;
};

// Appends the event's row; offset_ms is its time from the start of its pane.
enum err window_row_add(struct window_bytes *bytes, uint64_t offset_ms, struct event *event,
                        const struct window_column *columns, uint32_t count, struct error *e);
// Reads the row at *inout_at; values may be NULL. false: these are not such bytes.
bool window_row_read(const uint8_t **inout_at, const uint8_t *end, uint64_t *out_offset_ms,
                     struct event_value *values, uint32_t count);
// Sorts the rows by time; equal ones keep their order.
enum err window_rows_sort(struct window_bytes *bytes, uint32_t rows, uint32_t columns,
                          struct error *e);
enum err window_bytes_reserve(struct window_bytes *bytes, size_t more, struct error *e);

// ---- keys ---------------------------------------------------------------------------------------

// Rows that are not in the store yet: a chunk to be.
struct window_stage {
    int64_t pane, number, first, last;
    uint32_t rows;
    bool is_unsorted;
    struct window_bytes bytes;
    struct window_stage *next;
};

// Tumbling, hopping, sliding: a pane that has rows; first is its number. Session: a session, first
// and last are the times of its first and last event.
struct window_span {
    int64_t first, last;
    uint32_t rows;
};

struct window_key {
    struct window_rule *rule;
    int64_t id;        // In the store; 0: not yet.
    int64_t watermark; // Largest time seen; ALWAYS: none.
    int64_t closed;    // Windows that end here or earlier are closed.
    int64_t arrived;   // When an event last came, by the hub's clock.
    int64_t number;    // Of the next chunk; of a count window: of the next event.
    int64_t due;       // In the store: not earlier than this there is something to do.
    int64_t keep_from; // Chunks of panes before this one are of no use; ALWAYS: unchanged.
    struct window_span *spans;
    uint32_t span_count, span_capacity;
    struct window_stage *stages, *last_stage; // In the order of their numbers.
    bool is_touched;                          // Ahead of the store.
    bool is_listed;                           // In windows->dirty.
    bool is_recent;                           // Used since the cache was last cleared out.
    struct window_key *next_dirty;
    UT_hash_handle hh; // By rule and text.
    uint32_t name_bytes;
    char name[]; // The rule's index in 4 bytes, then the key's text.
};

struct window_tally {
    uint64_t late, overflow, closed;
};

struct window_rule {
    struct windows *windows;
    uint32_t index;
    const struct rule_spec *rule;
    struct window_spec spec; // Defaults filled in.
    int64_t pane_ms;         // Of a count window: events.
    struct rule_statement *statement;
    struct rule_statement *chooser; // Gives key and where of an event; NULL: none is needed.
    struct window_column *columns;
    uint32_t column_count;
    int *places;        // Of each column of the statement's table: into columns, or enum extra.
    uint32_t time_at;   // Of a count window: where time is in columns; received is behind it.
    bool wants_count;   // The statement names window_count.
    char *options;      // What makes it the same window across a reload, beside the SQL.
    int64_t id;         // pipit_window
    uint64_t key_count; // In the store, and new ones.
    uint64_t key_count_committed;
    struct window_tally round, now, committed;
    bool is_dirty; // Counters.
};

// Places of columns that are not the event's.
enum extra { EXTRA_NONE = -1, EXTRA_START = -2, EXTRA_END = -3, EXTRA_KEY = -4, EXTRA_COUNT = -5 };

// Rows of one key from `from` on and before `to`, in order of time.
struct window_scan {
    struct window_rule *rule;
    struct window_key *key;
    int64_t from, to;
    int64_t start_ms, end_ms; // As the statement sees them; ALWAYS: of the rows.
    uint32_t rows_max;
    int64_t count;                      // Rows; -1: not counted yet.
    const struct window_bytes *pending; // One row more, the newest; NULL: none.
    int64_t pending_pane;
    struct window_run *runs; // A heap, the earliest row first.
    uint32_t run_count, run_capacity;
    bool has_chunk, is_open; // Of the statement `chunks`: it stands on one that was not taken.
    uint32_t given;
    bool is_over;
    struct event_value *values; // Of the row at hand, if has_values.
    uint32_t value_capacity;
    bool has_values;
};

struct windows {
    struct rule_space *space;
    struct store *store; // NULL: only compiled.
    const struct core_spec *spec;
    struct window_rule **rules;  // By index in the spec; NULL: it has no window.
    struct window_rule **active; // Those that have one.
    uint32_t active_count;
    struct window_key *keys;  // The cache.
    struct window_key *dirty; // What the batch has touched.
    int64_t now_ms, known_now_ms, next_due, next_due_committed;
    bool has_due;      // next_due is to be asked for.
    bool is_giving_up; // See windows_fire.
    struct window_scan scan;
    struct window_bytes row;
    struct event_memory memory;
    struct event_batch *results; // One event, which stands for a window in outputs.
    struct message result_message;
    struct bytes result_key;
    sqlite3_stmt *find_key, *add_key, *save_key, *save_due, *drop_key, *idle_keys, *drop_chunks,
        *drop_all_chunks, *add_chunk, *chunks, *due_keys, *next_due_key, *clamp, *save_tally;
};

// window_key.c
enum err window_key_get(struct window_rule *rule, struct bytes text, struct window_key **out_key,
                        struct error *e);
struct bytes window_key_text(const struct window_key *key);
// It will be ahead of the store.
void window_key_touch(struct window_key *key);
// The row in `bytes` becomes one of the pane.
enum err window_key_stage(struct window_key *key, int64_t pane, int64_t time,
                          const struct window_bytes *row, struct error *e);
// Panes before this one are of no use any more.
void window_key_drop_panes(struct window_key *key, int64_t pane);
enum err window_keys_prepare(struct windows *windows, struct error *e);
void window_keys_finalize(struct windows *windows);
void window_keys_forget(struct windows *windows, bool is_all); // Dirty ones; all, or the touched.
enum err window_keys_write(struct windows *windows, struct error *e);
void window_keys_trim(struct windows *windows);
void window_keys_clear(struct windows *windows);

// So many events of a window of the key are left out.
void window_leave_out(struct window_key *key, uint32_t count, const struct window_sink *sink);

// window_span.c
int64_t window_pane(const struct window_rule *rule, int64_t time);
// The window that ends next: false when nothing is open.
struct window_extent {
    int64_t start, end; // Of its rows, end is not in it.
    int64_t closes;     // Its end as the windows count it.
    uint32_t rows;
    bool is_cut; // The rows are those of more than it.
};
bool window_next(const struct window_key *key, struct window_extent *out_extent);
// It has been closed.
enum err window_close_span(struct window_key *key, const struct window_extent *extent,
                           struct error *e);
// By time: windows that have ended by limit take nothing any more, those without rows neither.
void window_pass(struct window_key *key, int64_t limit);
// When time alone will close something, NEVER: it will not.
int64_t window_due(const struct window_key *key);
// An event at this time: too late, or where it goes. ERR_INVALID: too many panes.
bool window_is_late(const struct window_key *key, int64_t time);
enum err window_span_add(struct window_key *key, int64_t time, bool is_left_out, struct error *e);
// Rows there are already in the window (or pane) it would enter.
uint32_t window_span_rows(const struct window_key *key, int64_t time);

// window_scan.c
extern const struct rule_rows window_scan_rows_template;
void window_scan_begin(struct window_scan *scan, struct window_key *key, int64_t from, int64_t to);
enum err window_scan_count(struct window_scan *scan, uint32_t *out_rows, struct error *e);
// Time of the first row, NEVER when there is none.
enum err window_scan_first(struct window_scan *scan, int64_t *out_time, struct error *e);
// Of a count window: the time of the first row's event, else when it was received.
enum err window_scan_start(struct window_scan *scan, int64_t *out_ms, struct error *e);
void window_scan_end(struct window_scan *scan);
void window_scan_deinit(struct window_scan *scan);

// window_close.c
// Closes all windows of the key that end at limit or earlier.
enum err window_close_until(struct window_key *key, int64_t limit, const struct window_sink *sink,
                            struct error *e);
// The statement over a scan that an event has just made complete.
enum err window_run_scan(struct window_scan *scan, uint32_t event_index,
                         const struct window_sink *sink, bool *out_failed, struct error *e);

// window_compile.c
enum err window_rule_create(struct window_rule **out_rule, struct windows *windows,
                            uint32_t rule_index, struct rule_statement *statement, struct error *e);
void window_rule_destroy(struct window_rule *rule); // NULL is fine.

// window_choose.c: which events enter, and under which key.
struct window_choice {
    bool is_in;
    struct bytes key;
};
// One for each of the count events, in the windows' memory. What fails is told and stays out.
enum err window_choose(struct window_rule *rule, struct event_batch *batch, const uint32_t *events,
                       uint32_t count, const struct window_sink *sink,
                       struct window_choice **out_choices, struct error *e);

#endif
