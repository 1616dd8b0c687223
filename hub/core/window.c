// window.c - events enter the windows of their rule, one after the other; whatever a batch is cut
// into, the same happens.
#include "core/window.h"

#include <stdlib.h>
#include <string.h>

#include "core/window_parts.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for windows");
}

enum err windows_create(struct windows **out_windows, struct rule_space *space,
                        const struct core_spec *spec, struct error *e)
{
    struct windows *windows = calloc(1, sizeof(*windows));
    if (windows == NULL) {
        return no_memory(e);
    }
    windows->space = space;
    windows->spec = spec;
    windows->next_due = windows->next_due_committed = NEVER;
    windows->known_now_ms = NEVER;
    event_memory_init(&windows->memory);
    windows->rules = calloc((size_t)spec->rule_count + 1, sizeof(windows->rules[0]));
    windows->active = calloc((size_t)spec->rule_count + 1, sizeof(windows->active[0]));
    enum err rc = windows->rules == NULL || windows->active == NULL ? no_memory(e) : ERR_OK;
    if (rc == ERR_OK) {
        rc = event_batch_create(&windows->results, 1, e);
    }
    if (rc == ERR_OK) {
        *out_windows = windows;
    } else {
        windows_destroy(windows);
    }
    return rc;
}

void windows_destroy(struct windows *windows)
{
    if (windows == NULL) {
        return;
    }
    window_keys_clear(windows);
    window_keys_finalize(windows);
    for (uint32_t i = 0; i < windows->active_count; i++) {
        window_rule_destroy(windows->active[i]);
    }
    free(windows->rules);
    free(windows->active);
    free(windows->row.data);
    window_scan_deinit(&windows->scan);
    event_batch_destroy(windows->results);
    event_memory_deinit(&windows->memory);
    free(windows);
}

enum err windows_add(struct windows *windows, uint32_t rule_index, struct rule_statement *statement,
                     struct error *e)
{
    struct window_rule *rule = NULL;
    enum err rc = window_rule_create(&rule, windows, rule_index, statement, e);
    if (rc == ERR_OK) {
        windows->rules[rule_index] = rule;
        windows->active[windows->active_count++] = rule;
    }
    return rc;
}

bool windows_has(const struct windows *windows, uint32_t rule_index)
{
    return windows->rules[rule_index] != NULL;
}

// ---- entering -----------------------------------------------------------------------------------

// One event on its way into the windows of its key.
struct entry {
    struct window_rule *rule;
    struct window_key *key;
    struct event *event;
    uint32_t event_index;
    int64_t time, pane; // Of a count window: its number.
    const struct window_sink *sink;
};

// By arrival: what the clock says, but never where windows are closed already.
static int64_t arrival_time(const struct entry *entry)
{
    const struct window_key *key = entry->key;
    const struct window_spec *spec = &entry->rule->spec;
    int64_t time = event_message(entry->event)->received_ms, open;
    switch (spec->kind) {
    case WINDOW_TUMBLING:
    case WINDOW_HOPPING:
        open = key->closed == ALWAYS ? ALWAYS : key->closed - spec->size_ms + spec->every_ms;
        break;
    case WINDOW_SLIDING: // A clock that has stepped back further begins again.
        open = key->watermark == ALWAYS || key->watermark - time > spec->size_ms ? ALWAYS
                                                                                 : key->watermark;
        break;
    default:
        open = key->closed;
        break;
    }
    return time > open ? time : open;
}

// false: it is too late, or so early that its clock must be wrong. ERR_INVALID: it has no time.
static enum err find_time(struct entry *entry, bool *out_is_late, struct error *e)
{
    const struct window_spec *spec = &entry->rule->spec;
    *out_is_late = false;
    if (spec->kind == WINDOW_COUNT) {
        entry->time = entry->key->number;
    } else if (spec->is_by_arrival) {
        entry->time = arrival_time(entry);
    } else if (!event_time_ms(entry->event, &entry->time)) {
        return error_set(e, ERR_INVALID,
                         "the event has no time for the rule's window; use by: arrival, or give "
                         "its device a time");
    } else {
        int64_t received = event_message(entry->event)->received_ms;
        *out_is_late = window_is_late(entry->key, entry->time) ||
                       (spec->ahead_ms > 0 && entry->time > received + spec->ahead_ms);
    }
    entry->pane = window_pane(entry->rule, entry->time);
    return ERR_OK;
}

static enum err pack(const struct entry *entry, struct error *e)
{
    struct window_rule *rule = entry->rule;
    struct window_bytes *row = &rule->windows->row;
    row->len = 0;
    return window_row_add(row, (uint64_t)(entry->time - entry->pane * rule->pane_ms), entry->event,
                          rule->columns, rule->column_count, e);
}

static void scan_with_entry(const struct entry *entry, struct window_scan *scan, int64_t from)
{
    window_scan_begin(scan, entry->key, from, entry->time + 1);
    scan->pending = &entry->rule->windows->row;
    scan->pending_pane = entry->pane;
}

// The statement over what the event sees behind itself.
static enum err run_sliding(const struct entry *entry, bool *out_failed, struct error *e)
{
    const struct window_rule *rule = entry->rule;
    struct window_scan *scan = &rule->windows->scan;
    uint32_t count;
    enum err rc = ERR_OK;
    scan_with_entry(entry, scan, entry->time - rule->spec.size_ms + 1);
    scan->start_ms = entry->time - rule->spec.size_ms;
    scan->end_ms = entry->time;
    if (rule->wants_count) {
        rc = window_scan_count(scan, &count, e);
        scan->count = rc == ERR_OK ? (int64_t)count : -1;
    }
    return rc == ERR_OK ? window_run_scan(scan, entry->event_index, entry->sink, out_failed, e)
                        : rc;
}

static int64_t time_or_arrival(const struct event *event)
{
    int64_t time;
    return event_time_ms(event, &time) ? time : event_message(event)->received_ms;
}

// The statement over the last `count` events, if this is the one that makes them complete.
static enum err run_count(const struct entry *entry, bool *out_failed, struct error *e)
{
    const struct window_rule *rule = entry->rule;
    struct window_scan *scan = &rule->windows->scan;
    int64_t first = entry->time + 1 - rule->spec.count;
    if (first < 0 || first % rule->spec.every_count != 0) {
        return ERR_OK;
    }
    scan_with_entry(entry, scan, first);
    scan->count = rule->spec.count;
    scan->end_ms = time_or_arrival(entry->event);
    scan->start_ms = scan->end_ms;
    enum err rc = window_scan_start(scan, &scan->start_ms, e);
    entry->rule->round.closed++;
    return rc == ERR_OK ? window_run_scan(scan, entry->event_index, entry->sink, out_failed, e)
                        : rc;
}

// What has gone out of the reach of all that may still come.
static void drop_old(const struct entry *entry)
{
    struct window_key *key = entry->key;
    const struct window_spec *spec = &entry->rule->spec;
    int64_t pane;
    if (spec->kind == WINDOW_COUNT) {
        int64_t done = key->number - spec->count; // A window has just begun to be the next.
        if (done >= 0 && done % spec->every_count == 0) {
            window_key_drop_panes(key, done / spec->every_count + 1);
        }
        return;
    }
    int64_t grace_ms = spec->is_by_arrival ? 0 : spec->grace_ms;
    pane = window_pane(entry->rule, key->watermark - grace_ms - spec->size_ms);
    uint32_t gone = 0;
    while (gone < key->span_count && key->spans[gone].first < pane) {
        gone++;
    }
    if (gone > 0) {
        key->span_count -= gone;
        memmove(key->spans, key->spans + gone, key->span_count * sizeof(key->spans[0]));
        window_key_drop_panes(key, pane);
    }
}

static enum err keep(const struct entry *entry, struct error *e)
{
    struct window_key *key = entry->key;
    enum err rc = window_span_add(key, entry->time, false, e);
    if (rc == ERR_OK) {
        rc = window_key_stage(key, entry->pane, entry->time, &entry->rule->windows->row, e);
    }
    if (rc == ERR_OK && entry->rule->spec.kind == WINDOW_COUNT) {
        key->number++;
    }
    return rc;
}

static void advance(const struct entry *entry)
{
    struct window_key *key = entry->key;
    bool is_back = entry->rule->spec.is_by_arrival && entry->time < key->watermark;
    key->watermark = entry->time > key->watermark || is_back ? entry->time : key->watermark;
}

// Sliding and count windows: the event completes one, or it fails and leaves nothing.
static enum err enter_and_run(const struct entry *entry, bool *out_is_in, struct error *e)
{
    bool is_count = entry->rule->spec.kind == WINDOW_COUNT, has_failed = false;
    enum err rc = is_count ? run_count(entry, &has_failed, e) : run_sliding(entry, &has_failed, e);
    *out_is_in = rc == ERR_OK && !has_failed;
    if (*out_is_in) {
        rc = keep(entry, e);
    }
    if (*out_is_in && rc == ERR_OK) {
        if (!is_count) {
            advance(entry);
        }
        drop_old(entry);
    }
    return rc;
}

// The others: it goes in, and what has ended by its time closes.
static enum err enter_and_close(const struct entry *entry, struct error *e)
{
    const struct window_spec *spec = &entry->rule->spec;
    struct window_key *key = entry->key;
    enum err rc = keep(entry, e);
    if (rc != ERR_OK) {
        return rc;
    }
    advance(entry);
    int64_t limit = spec->is_by_arrival ? entry->time : key->watermark - spec->grace_ms;
    rc = window_close_until(key, limit, entry->sink, e);
    if (rc == ERR_OK && !spec->is_by_arrival) {
        window_pass(key, limit);
    }
    return rc;
}

// A clock that stepped back by more than a sliding window: what it holds is of another time.
static void begin_again(const struct entry *entry)
{
    struct window_key *key = entry->key;
    const struct window_spec *spec = &entry->rule->spec;
    if (spec->kind == WINDOW_SLIDING && spec->is_by_arrival && entry->time < key->watermark) {
        key->span_count = 0;
        window_key_drop_panes(key, NEVER);
    }
}

static enum err is_full(const struct entry *entry, bool *out_is_full, struct error *e)
{
    const struct window_spec *spec = &entry->rule->spec;
    uint32_t rows = window_span_rows(entry->key, entry->time);
    enum err rc = ERR_OK;
    if (spec->kind == WINDOW_SLIDING && rows >= spec->rows_max) { // Its panes are wider than it.
        struct window_scan *scan = &entry->rule->windows->scan;
        window_scan_begin(scan, entry->key, entry->time - spec->size_ms + 1, entry->time + 1);
        rc = window_scan_count(scan, &rows, e);
        window_scan_end(scan);
    }
    *out_is_full = spec->kind != WINDOW_COUNT && rows >= spec->rows_max;
    return rc;
}

// ERR_INVALID: the event fails in this rule.
static enum err enter(struct entry *entry, bool *out_is_late, bool *out_is_in, struct error *e)
{
    const struct window_spec *spec = &entry->rule->spec;
    bool is_full_up;
    enum err rc = find_time(entry, out_is_late, e);
    if (rc != ERR_OK || *out_is_late) {
        return rc;
    }
    window_key_touch(entry->key);
    entry->key->arrived = entry->rule->windows->now_ms;
    begin_again(entry);
    rc = is_full(entry, &is_full_up, e);
    if (rc == ERR_OK && is_full_up) {
        window_leave_out(entry->key, 1, entry->sink);
        return spec->kind == WINDOW_SESSION ? window_span_add(entry->key, entry->time, true, e)
                                            : ERR_OK;
    }
    if (rc == ERR_OK) {
        rc = pack(entry, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (spec->kind == WINDOW_SLIDING || spec->kind == WINDOW_COUNT) {
        return enter_and_run(entry, out_is_in, e);
    }
    *out_is_in = true;
    return enter_and_close(entry, e);
}

static enum err enter_one(struct entry *entry, struct bytes key_text, struct error *e)
{
    const struct window_sink *sink = entry->sink;
    uint32_t rule = entry->rule->index, event = entry->event_index;
    bool is_late = false, is_in = false;
    enum err rc = window_key_get(entry->rule, key_text, &entry->key, e);
    if (rc == ERR_OK) {
        rc = enter(entry, &is_late, &is_in, e);
    }
    if (rc == ERR_INVALID) {
        return sink->failure(sink->context, rule, event, e->text, e);
    }
    if (rc == ERR_OK && is_late) {
        entry->rule->round.late++;
        rc = sink->late(sink->context, rule, event, e);
    }
    if (rc == ERR_OK) {
        sink->entered(sink->context, rule, event, is_in);
    }
    return rc;
}

enum err windows_enter(struct windows *windows, uint32_t rule_index, struct event_batch *batch,
                       const uint32_t *events, uint32_t count, const struct window_sink *sink,
                       struct error *e)
{
    struct window_rule *rule = windows->rules[rule_index];
    struct window_choice *choices;
    enum err rc = window_choose(rule, batch, events, count, sink, &choices, e);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (choices[i].is_in) {
            struct entry entry = {.rule = rule,
                                  .event = event_batch_at(batch, events[i]),
                                  .event_index = events[i],
                                  .sink = sink};
            rc = enter_one(&entry, choices[i].key, e);
        }
    }
    event_memory_reset(&windows->memory);
    return rc;
}
