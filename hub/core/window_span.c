// window_span.c - which windows of a key there are, when they end, and what is too late for them.
//
// Tumbling and hopping windows lie on a grid from the epoch on: window k is every_ms * k until
// size_ms later. Their rows lie in panes of the largest size that fits into both, so that a row of
// several windows is kept once. A session is what lies closer together than size_ms; a longer one
// than session_max_ms is cut there.
#include <stdlib.h>
#include <string.h>

#include "core/window_parts.h"

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t greatest_common_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Sliding windows and sessions are read by time, so that their panes only say what can be dropped.
int64_t window_step_ms(const struct window_spec *spec)
{
    switch (spec->kind) {
    case WINDOW_TUMBLING:
    case WINDOW_HOPPING:
        return greatest_common_divisor(spec->size_ms, spec->every_ms);
    case WINDOW_SLIDING:
        return spec->size_ms < 8 ? 1 : spec->size_ms / 8;
    case WINDOW_COUNT:
        return spec->every_count;
    case WINDOW_SESSION:
    case WINDOW_NONE:
        break;
    }
    return spec->size_ms;
}

int64_t window_pane(const struct window_rule *rule, int64_t time)
{
    return floor_div(time, rule->pane_ms);
}

static bool is_on_grid(const struct window_spec *spec)
{
    return spec->kind == WINDOW_TUMBLING || spec->kind == WINDOW_HOPPING;
}

int64_t window_last_end(const struct window_spec *spec, int64_t time)
{
    return floor_div(time, spec->every_ms) * spec->every_ms + spec->size_ms;
}

int64_t window_first_end(const struct window_spec *spec, int64_t time, int64_t closed)
{
    int64_t first = floor_div(time - spec->size_ms, spec->every_ms) + 1;
    if (closed != ALWAYS) {
        int64_t open = floor_div(closed - spec->size_ms, spec->every_ms) + 1;
        first = open > first ? open : first;
    }
    return first * spec->every_ms + spec->size_ms;
}

void window_pass(struct window_key *key, int64_t limit)
{
    const struct window_spec *spec = &key->rule->spec;
    if (!is_on_grid(spec)) {
        return;
    }
    int64_t last = floor_div(limit - spec->size_ms, spec->every_ms);
    int64_t end = last * spec->every_ms + spec->size_ms;
    key->closed = end > key->closed ? end : key->closed;
}

static bool next_on_grid(const struct window_key *key, struct window_extent *out)
{
    const struct window_rule *rule = key->rule;
    const struct window_spec *spec = &rule->spec;
    int64_t end = window_first_end(spec, key->spans[0].first * rule->pane_ms, key->closed);
    *out = (struct window_extent){.start = end - spec->size_ms, .end = end, .closes = end};
    for (uint32_t i = 0; i < key->span_count && key->spans[i].first * rule->pane_ms < end; i++) {
        out->rows += key->spans[i].rows;
    }
    return true;
}

static int64_t session_end(const struct window_spec *spec, const struct window_span *span)
{
    int64_t end = span->last + spec->size_ms, cut = span->first + spec->session_max_ms;
    return end < cut ? end : cut;
}

bool window_next(const struct window_key *key, struct window_extent *out)
{
    const struct window_spec *spec = &key->rule->spec;
    if (key->span_count == 0 || spec->kind == WINDOW_SLIDING || spec->kind == WINDOW_COUNT) {
        return false;
    }
    if (is_on_grid(spec)) {
        return next_on_grid(key, out);
    }
    const struct window_span *span = &key->spans[0];
    int64_t end = session_end(spec, span);
    *out = (struct window_extent){.start = span->first,
                                  .end = end,
                                  .closes = end,
                                  .rows = span->rows,
                                  .is_cut = span->last >= end};
    return true;
}

static void remove_spans(struct window_key *key, uint32_t at, uint32_t count)
{
    key->span_count -= count;
    memmove(&key->spans[at], &key->spans[at + count],
            (key->span_count - at) * sizeof(key->spans[0]));
}

static void close_on_grid(struct window_key *key, int64_t end)
{
    const struct window_rule *rule = key->rule;
    uint32_t gone = 0;
    while (gone < key->span_count &&
           window_last_end(&rule->spec, key->spans[gone].first * rule->pane_ms) <= end) {
        gone++;
    }
    remove_spans(key, 0, gone);
    if (gone > 0) {
        window_key_drop_panes(key,
                              window_pane(rule, end - rule->spec.size_ms + rule->spec.every_ms));
    }
}

// What a cut leaves is the next session, from its own first event on.
static enum err close_session(struct window_key *key, int64_t end, struct error *e)
{
    struct window_span *span = &key->spans[0];
    if (span->last < end) {
        remove_spans(key, 0, 1);
        window_key_drop_panes(
            key, key->span_count == 0 ? NEVER : window_pane(key->rule, key->spans[0].first));
        return ERR_OK;
    }
    struct window_scan *scan = &key->rule->windows->scan;
    window_scan_begin(scan, key, end, span->last + 1);
    int64_t first;
    uint32_t rows = 0;
    enum err rc = window_scan_first(scan, &first, e);
    if (rc == ERR_OK) {
        rc = window_scan_count(scan, &rows, e);
    }
    window_scan_end(scan);
    if (rc != ERR_OK) {
        return rc;
    }
    if (first == NEVER) { // What is left was left out.
        remove_spans(key, 0, 1);
    } else {
        span->first = first;
        span->rows = rows;
    }
    window_key_drop_panes(key, window_pane(key->rule, end));
    return ERR_OK;
}

enum err window_close_span(struct window_key *key, const struct window_extent *extent,
                           struct error *e)
{
    if (extent->closes > key->closed) {
        key->closed = extent->closes;
    }
    if (is_on_grid(&key->rule->spec)) {
        close_on_grid(key, extent->closes);
        return ERR_OK;
    }
    return close_session(key, extent->closes, e);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t window_due(const struct window_key *key)
{
    const struct window_spec *spec = &key->rule->spec;
    struct window_extent next;
    int64_t end;
    if (spec->kind == WINDOW_SLIDING && key->span_count > 0) {
        end = key->watermark + spec->size_ms; // Then its rows are of no use.
    } else if (window_next(key, &next)) {
        end = next.closes;
    } else {
        return NEVER;
    }
    return spec->is_by_arrival ? end : later(end + spec->grace_ms, key->arrived + spec->idle_ms);
}

static bool is_in_session(const struct window_spec *spec, const struct window_span *span,
                          int64_t time)
{
    return time > span->first - spec->size_ms && time < span->last + spec->size_ms;
}

// Without a session that is open, an event whose own session had ended by now.
static bool is_late_session(const struct window_key *key, int64_t time)
{
    const struct window_spec *spec = &key->rule->spec;
    if (time < key->closed) {
        return true;
    }
    if (spec->is_by_arrival || key->watermark == ALWAYS ||
        time + spec->size_ms + spec->grace_ms > key->watermark) {
        return false;
    }
    for (uint32_t i = 0; i < key->span_count; i++) {
        if (is_in_session(spec, &key->spans[i], time)) {
            return false;
        }
    }
    return true;
}

bool window_is_late(const struct window_key *key, int64_t time)
{
    const struct window_spec *spec = &key->rule->spec;
    switch (spec->kind) {
    case WINDOW_TUMBLING:
    case WINDOW_HOPPING:
        return key->closed != ALWAYS && window_last_end(spec, time) <= key->closed;
    case WINDOW_SLIDING:
        return !spec->is_by_arrival && key->watermark != ALWAYS &&
               time < key->watermark - spec->grace_ms;
    case WINDOW_SESSION:
        return is_late_session(key, time);
    case WINDOW_COUNT:
    case WINDOW_NONE:
        break;
    }
    return false;
}

static enum err insert_span(struct window_key *key, uint32_t at, const struct window_span *span,
                            struct error *e)
{
    if (key->span_count == WINDOW_PANES_MAX) {
        return error_set(e, ERR_INVALID, "more than %d windows of one key would be open",
                         WINDOW_PANES_MAX);
    }
    if (key->span_count == key->span_capacity) {
        uint32_t capacity = key->span_capacity == 0 ? 2 : 2 * key->span_capacity;
        struct window_span *spans = reallocarray(key->spans, capacity, sizeof(spans[0]));
        if (spans == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for windows");
        }
        key->spans = spans;
        key->span_capacity = capacity;
    }
    memmove(&key->spans[at + 1], &key->spans[at], (key->span_count - at) * sizeof(key->spans[0]));
    key->spans[at] = *span;
    key->span_count++;
    return ERR_OK;
}

// Where a span that begins at first is, or would be. Most often it is the last one.
static uint32_t find_span(const struct window_key *key, int64_t first)
{
    uint32_t at = key->span_count;
    while (at > 0 && key->spans[at - 1].first >= first) {
        at--;
    }
    return at;
}

static enum err add_to_session(struct window_key *key, int64_t time, uint32_t rows, struct error *e)
{
    const struct window_spec *spec = &key->rule->spec;
    uint32_t at = 0;
    while (at < key->span_count && key->spans[at].last + spec->size_ms <= time) {
        at++;
    }
    if (at == key->span_count || !is_in_session(spec, &key->spans[at], time)) {
        return insert_span(key, at, &(struct window_span){time, time, rows}, e);
    }
    struct window_span *span = &key->spans[at];
    span->first = time < span->first ? time : span->first;
    span->last = time > span->last ? time : span->last;
    span->rows += rows;
    if (at + 1 < key->span_count && is_in_session(spec, &key->spans[at + 1], span->last)) {
        span->last = key->spans[at + 1].last;
        span->rows += key->spans[at + 1].rows;
        remove_spans(key, at + 1, 1);
    }
    return ERR_OK;
}

enum err window_span_add(struct window_key *key, int64_t time, bool is_left_out, struct error *e)
{
    const struct window_rule *rule = key->rule;
    uint32_t rows = is_left_out ? 0 : 1;
    if (rule->spec.kind == WINDOW_COUNT) {
        return ERR_OK;
    }
    if (rule->spec.kind == WINDOW_SESSION) {
        return add_to_session(key, time, rows, e);
    }
    int64_t pane = window_pane(rule, time);
    uint32_t at = find_span(key, pane);
    if (at < key->span_count && key->spans[at].first == pane) {
        key->spans[at].rows += rows;
        return ERR_OK;
    }
    return insert_span(key, at, &(struct window_span){pane, pane, rows}, e);
}

uint32_t window_span_rows(const struct window_key *key, int64_t time)
{
    const struct window_rule *rule = key->rule;
    uint64_t rows = 0;
    int64_t pane = window_pane(rule, time);
    for (uint32_t i = key->span_count; i > 0; i--) {
        const struct window_span *span = &key->spans[i - 1];
        bool is_in = rule->spec.kind == WINDOW_SESSION ? is_in_session(&rule->spec, span, time)
                     : rule->spec.kind == WINDOW_SLIDING
                         ? span->first >= window_pane(rule, time - rule->spec.size_ms)
                         : span->first == pane;
        rows += is_in ? span->rows : 0;
    }
    return rows < UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
}
