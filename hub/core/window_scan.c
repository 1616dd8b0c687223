// window_scan.c - the rows of a window in order of time: chunks from the store, one after the other
// as they begin, merged with what this round has added. Equal times come as they arrived.
#include <stdlib.h>
#include <string.h>

#include "core/window_parts.h"

enum { CHUNK_PANE, CHUNK_FIRST, CHUNK_NUMBER, CHUNK_ROWS, CHUNK_DATA };

// Sorted rows of one pane; the first of them at hand.
struct window_run {
    const uint8_t *at, *next, *end; // at: the row at hand.
    uint8_t *owned;                 // NULL: they are staged.
    int64_t base, time, number;
};

void window_scan_begin(struct window_scan *scan, struct window_key *key, int64_t from, int64_t to)
{
    scan->rule = key->rule;
    scan->key = key;
    scan->from = from;
    scan->to = to;
    scan->rows_max = UINT32_MAX;
    scan->count = -1;
    scan->pending = NULL;
}

static void close_runs(struct window_scan *scan)
{
    for (uint32_t i = 0; i < scan->run_count; i++) {
        free(scan->runs[i].owned);
    }
    scan->run_count = 0;
    if (scan->is_open) {
        sqlite3_reset(scan->rule->windows->chunks);
        scan->is_open = scan->has_chunk = false;
    }
}

void window_scan_end(struct window_scan *scan)
{
    close_runs(scan);
    scan->is_over = true;
    scan->pending = NULL;
}

void window_scan_deinit(struct window_scan *scan)
{
    free(scan->runs);
    free(scan->values);
}

static bool is_before(const struct window_run *a, const struct window_run *b)
{
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static void sift_down(struct window_scan *scan)
{
    struct window_run moved = scan->runs[0];
    uint32_t at = 0, child = 1;
    while (child < scan->run_count) {
        if (child + 1 < scan->run_count && is_before(&scan->runs[child + 1], &scan->runs[child])) {
            child++;
        }
        if (!is_before(&scan->runs[child], &moved)) {
            break;
        }
        scan->runs[at] = scan->runs[child];
        at = child;
        child = 2 * at + 1;
    }
    scan->runs[at] = moved;
}

static int push_run(struct window_scan *scan, const struct window_run *run)
{
    if (scan->run_count == scan->run_capacity) {
        uint32_t capacity = scan->run_capacity == 0 ? 8 : 2 * scan->run_capacity;
        struct window_run *runs = reallocarray(scan->runs, capacity, sizeof(runs[0]));
        if (runs == NULL) {
            free(run->owned);
            return SQLITE_NOMEM;
        }
        scan->runs = runs;
        scan->run_capacity = capacity;
    }
    uint32_t at = scan->run_count++;
    while (at > 0 && is_before(run, &scan->runs[(at - 1) / 2])) {
        scan->runs[at] = scan->runs[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    scan->runs[at] = *run;
    return SQLITE_OK;
}

// Reads the time of the run's next row, passing over its values; *out_is_over: it has none.
static int run_advance(const struct window_scan *scan, struct window_run *run, bool *out_is_over)
{
    uint64_t offset;
    run->at = run->next;
    *out_is_over = run->at == run->end;
    if (*out_is_over) {
        return SQLITE_OK;
    }
    if (!window_row_read(&run->next, run->end, &offset, NULL, scan->rule->column_count)) {
        return SQLITE_CORRUPT;
    }
    run->time = run->base + (int64_t)offset;
    return SQLITE_OK;
}

static int add_run(struct window_scan *scan, struct window_run *run)
{
    bool is_over;
    int rc = run_advance(scan, run, &is_over);
    if (rc != SQLITE_OK || is_over) {
        free(run->owned);
        return rc;
    }
    return push_run(scan, run);
}

// The statement of chunks goes on to the next.
static int next_chunk(struct window_scan *scan)
{
    int rc = sqlite3_step(scan->rule->windows->chunks);
    scan->has_chunk = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int take_chunk(struct window_scan *scan)
{
    sqlite3_stmt *chunks = scan->rule->windows->chunks;
    struct bytes data = sql_bytes(chunks, CHUNK_DATA);
    uint8_t *copy = malloc(data.len + 1);
    if (copy == NULL) {
        return SQLITE_NOMEM;
    }
    memcpy(copy, data.len == 0 ? (const void *)"" : data.ptr, data.len);
    struct window_run run = {
        .next = copy,
        .end = copy + data.len,
        .owned = copy,
        .base = sqlite3_column_int64(chunks, CHUNK_PANE) * scan->rule->pane_ms,
        .number = sqlite3_column_int64(chunks, CHUNK_NUMBER),
    };
    int rc = add_run(scan, &run);
    return rc == SQLITE_OK ? next_chunk(scan) : rc;
}

// Every chunk that begins no later than the earliest row that is there.
static int fill(struct window_scan *scan)
{
    int rc = SQLITE_OK;
    while (rc == SQLITE_OK && scan->has_chunk &&
           (scan->run_count == 0 ||
            sqlite3_column_int64(scan->rule->windows->chunks, CHUNK_FIRST) <= scan->runs[0].time)) {
        rc = take_chunk(scan);
    }
    return rc;
}

static int open_chunks(struct window_scan *scan, int64_t first, int64_t last)
{
    sqlite3_stmt *chunks = scan->rule->windows->chunks;
    if (scan->key->id == 0) {
        return SQLITE_OK;
    }
    first = scan->key->keep_from > first ? scan->key->keep_from : first;
    sqlite3_bind_int64(chunks, 1, scan->key->id);
    sqlite3_bind_int64(chunks, 2, first);
    sqlite3_bind_int64(chunks, 3, last);
    scan->is_open = true;
    return next_chunk(scan);
}

static int open_stages(struct window_scan *scan, int64_t first, int64_t last)
{
    int rc = SQLITE_OK;
    struct window_stage *stage = scan->key->stages;
    for (; rc == SQLITE_OK && stage != NULL; stage = stage->next) {
        if (stage->pane < first || stage->pane > last) {
            continue;
        }
        if (stage->is_unsorted && window_rows_sort(&stage->bytes, stage->rows,
                                                   scan->rule->column_count, NULL) != ERR_OK) {
            return SQLITE_NOMEM;
        }
        stage->is_unsorted = false;
        struct window_run run = {
            .next = stage->bytes.data,
            .end = stage->bytes.data + stage->bytes.len,
            .base = stage->pane * scan->rule->pane_ms,
            .number = stage->number,
        };
        rc = add_run(scan, &run);
    }
    return rc;
}

static int open_pending(struct window_scan *scan)
{
    struct window_run run = {
        .next = scan->pending->data,
        .end = scan->pending->data + scan->pending->len,
        .base = scan->pending_pane * scan->rule->pane_ms,
        .number = INT64_MAX,
    };
    return add_run(scan, &run);
}

static int drop_first(struct window_scan *scan)
{
    bool is_over;
    int rc = run_advance(scan, &scan->runs[0], &is_over);
    if (rc != SQLITE_OK) {
        return rc;
    }
    if (is_over) {
        free(scan->runs[0].owned);
        scan->runs[0] = scan->runs[--scan->run_count];
    }
    if (scan->run_count > 0) {
        sift_down(scan);
    }
    return SQLITE_OK;
}

// From here on the first row that is in the window, or the end.
static int settle(struct window_scan *scan)
{
    int rc = fill(scan);
    scan->has_values = false;
    while (rc == SQLITE_OK && scan->run_count > 0 && scan->runs[0].time < scan->from) {
        rc = drop_first(scan);
        rc = rc == SQLITE_OK ? fill(scan) : rc;
    }
    if (rc == SQLITE_OK &&
        (scan->run_count == 0 || scan->runs[0].time >= scan->to || scan->given >= scan->rows_max)) {
        close_runs(scan);
        scan->is_over = true;
    }
    return rc;
}

static int reserve_values(struct window_scan *scan)
{
    uint32_t wanted = scan->rule->column_count + 1;
    if (wanted > scan->value_capacity) {
        struct event_value *values = reallocarray(scan->values, wanted, sizeof(values[0]));
        if (values == NULL) {
            return SQLITE_NOMEM;
        }
        scan->values = values;
        scan->value_capacity = wanted;
    }
    return SQLITE_OK;
}

static int open_all(struct window_scan *scan)
{
    int64_t first = window_pane(scan->rule, scan->from);
    int64_t last = window_pane(scan->rule, scan->to - 1);
    int rc = reserve_values(scan);
    if (rc == SQLITE_OK) {
        rc = open_chunks(scan, first, last);
    }
    if (rc == SQLITE_OK) {
        rc = open_stages(scan, first, last);
    }
    if (rc == SQLITE_OK && scan->pending != NULL) {
        rc = open_pending(scan);
    }
    return rc == SQLITE_OK ? settle(scan) : rc;
}

static int scan_rewind(void *context)
{
    struct window_scan *scan = context;
    close_runs(scan);
    scan->given = 0;
    scan->is_over = false;
    int rc = open_all(scan);
    if (rc != SQLITE_OK) {
        close_runs(scan);
        scan->is_over = true;
    }
    return rc;
}

static int scan_next(void *context)
{
    struct window_scan *scan = context;
    scan->given++;
    int rc = drop_first(scan);
    return rc == SQLITE_OK ? settle(scan) : rc;
}

static bool scan_is_over(const void *context)
{
    return ((const struct window_scan *)context)->is_over;
}

static enum err scan_error(const struct window_scan *scan, int rc, struct error *e)
{
    return rc == SQLITE_NOMEM ? error_set(e, ERR_NO_MEMORY, "out of memory for a window's rows")
                              : store_fail(scan->rule->windows->store, rc, "read a window", e);
}

enum err window_scan_count(struct window_scan *scan, uint32_t *out_rows, struct error *e)
{
    int rc = scan_rewind(scan);
    while (rc == SQLITE_OK && !scan->is_over) {
        rc = scan_next(scan);
    }
    *out_rows = scan->given;
    return rc == SQLITE_OK ? ERR_OK : scan_error(scan, rc, e);
}

enum err window_scan_first(struct window_scan *scan, int64_t *out_time, struct error *e)
{
    int rc = scan_rewind(scan);
    *out_time = scan->is_over ? NEVER : scan->runs[0].time;
    close_runs(scan);
    return rc == SQLITE_OK ? ERR_OK : scan_error(scan, rc, e);
}

// What a statement reads does not outlive the row, so that SQLite copies it.
static void give_value(const struct event_value *value, sqlite3_context *context)
{
    const char *text = value->bytes.len == 0 ? "" : (const char *)value->bytes.ptr;
    if (value->kind == VALUE_TEXT || value->kind == VALUE_JSON) {
        sqlite3_result_text64(context, text, value->bytes.len, SQLITE_TRANSIENT, SQLITE_UTF8);
        if (value->kind == VALUE_JSON) {
            sqlite3_result_subtype(context, SUBTYPE_JSON);
        }
    } else if (value->kind == VALUE_BLOB) {
        sqlite3_result_blob64(context, text, value->bytes.len, SQLITE_TRANSIENT);
    } else {
        value_result(value, context);
    }
}

static bool read_row(struct window_scan *scan)
{
    const struct window_run *run = &scan->runs[0];
    const uint8_t *at = run->at;
    uint64_t offset;
    scan->has_values = scan->has_values || window_row_read(&at, run->end, &offset, scan->values,
                                                           scan->rule->column_count);
    return scan->has_values;
}

enum err window_scan_start(struct window_scan *scan, int64_t *out_ms, struct error *e)
{
    int rc = scan_rewind(scan);
    if (rc == SQLITE_OK && !scan->is_over && read_row(scan)) {
        const struct event_value *time = &scan->values[scan->rule->time_at];
        *out_ms = time[0].kind == VALUE_INTEGER ? time[0].integer : time[1].integer;
    }
    close_runs(scan);
    return rc == SQLITE_OK ? ERR_OK : scan_error(scan, rc, e);
}

static void give_extra(const struct window_scan *scan, enum extra extra, sqlite3_context *context)
{
    struct bytes text;
    switch (extra) {
    case EXTRA_START:
        sqlite3_result_int64(context, scan->start_ms);
        break;
    case EXTRA_END:
        sqlite3_result_int64(context, scan->end_ms);
        break;
    case EXTRA_KEY:
        text = window_key_text(scan->key);
        sqlite3_result_text64(context, (const char *)text.ptr, text.len, SQLITE_TRANSIENT,
                              SQLITE_UTF8);
        break;
    case EXTRA_COUNT:
        sqlite3_result_int64(context, scan->count);
        break;
    case EXTRA_NONE:
        sqlite3_result_null(context);
        break;
    }
}

static void scan_column(void *context, int column, sqlite3_context *sqlite)
{
    struct window_scan *scan = context;
    int place = scan->rule->places[column];
    if (place < 0) {
        give_extra(scan, (enum extra)place, sqlite);
    } else if (scan->is_over || !read_row(scan)) {
        sqlite3_result_null(sqlite);
    } else {
        give_value(&scan->values[place], sqlite);
    }
}

const struct rule_rows window_scan_rows_template = {NULL, scan_rewind, scan_next, scan_is_over,
                                                    scan_column};
