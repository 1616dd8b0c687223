// window_close.c - windows that end: their rule's statement runs over their rows, once.
#include <inttypes.h>
#include <stdio.h>

#include "base/utf8.h"
#include "core/window_parts.h"

#define ID_BYTES (2 * WINDOW_KEY_BYTES_MAX + 80)

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return false;
        }
    }
    return utf8_is_valid(text);
}

// The same whenever this window is closed, and no other's. With the rule's name behind it it is the
// idempotency key. A key that is no text is in hexadecimal.
static void make_id(char out[ID_BYTES], const char *prefix, struct bytes key,
                    const struct window_extent *extent)
{
    char text[2 * WINDOW_KEY_BYTES_MAX + 4];
    if (is_printable(key)) {
        snprintf(text, sizeof(text), "%.*s", (int)key.len, (const char *)key.ptr);
    } else {
        size_t len = (size_t)snprintf(text, sizeof(text), "x'");
        for (size_t i = 0; i < key.len; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%02x", key.ptr[i]);
        }
        snprintf(text + len, sizeof(text) - len, "'");
    }
    snprintf(out, ID_BYTES, "%.28swindow/%s/%" PRId64 "-%" PRId64, prefix == NULL ? "" : prefix,
             text, extent->start, extent->end);
}

// The event that stands for the window where outputs want one: its key as topic, its end as time.
static enum err make_event(struct windows *windows, struct bytes key, const char *id,
                           const struct window_extent *extent, struct error *e)
{
    struct event *event;
    event_batch_clear(windows->results);
    windows->result_message = (struct message){
        .topic = bytes_from_text("window"),
        .payload = bytes_of("", 0),
        .content_type = bytes_of("", 0),
        .received_ms = windows->now_ms,
    };
    enum err rc = event_batch_add(windows->results, &windows->result_message, &event, e);
    if (rc == ERR_OK) {
        event_set_id(event, id);
        event_set_time(event, extent->end);
        windows->result_message.topic = key;
    }
    return rc;
}

void window_leave_out(struct window_key *key, uint32_t count, const struct window_sink *sink)
{
    struct window_rule *rule = key->rule;
    if (rule->round.overflow == 0) {
        sink->left_out(sink->context, rule->index, window_key_text(key), rule->spec.rows_max);
    }
    rule->round.overflow += count;
}

static enum err run_closed(struct window_key *key, const struct window_extent *extent,
                           const struct window_sink *sink, struct error *e)
{
    struct window_rule *rule = key->rule;
    struct windows *windows = rule->windows;
    struct window_scan *scan = &windows->scan;
    uint32_t most = rule->spec.rows_max;
    char id[ID_BYTES];
    make_id(id, windows->spec->id_prefix, window_key_text(key), extent);
    enum err rc = make_event(windows, window_key_text(key), id, extent, e);
    if (rc != ERR_OK) {
        return rc;
    }
    window_scan_begin(scan, key, extent->start, extent->end);
    scan->start_ms = extent->start;
    scan->end_ms = extent->end;
    scan->rows_max = most;
    scan->count = extent->rows < most ? extent->rows : most;
    if (!extent->is_cut && extent->rows > most) {
        window_leave_out(key, extent->rows - most, sink);
    }
    if (extent->is_cut) {
        uint32_t rows;
        rc = window_scan_count(scan, &rows, e);
        scan->count = rows;
    }
    if (rc != ERR_OK) {
        window_scan_end(scan);
        return rc;
    }
    struct rule_rows rows = window_scan_rows_template;
    rows.context = scan;
    const struct window_result result = {
        .rows = &rows,
        .row_count = (uint32_t)scan->count,
        .event_index = UINT32_MAX,
        .batch = windows->results,
        .id = id,
        .key = window_key_text(key),
        .start_ms = extent->start,
        .end_ms = extent->end,
        .problem =
            windows->is_giving_up ? "its windows make more deliveries than memory holds" : NULL,
    };
    bool has_failed = false;
    rc = sink->run(sink->context, rule->index, &result, &has_failed, e);
    window_scan_end(scan);
    return rc;
}

enum err window_close_until(struct window_key *key, int64_t limit, const struct window_sink *sink,
                            struct error *e)
{
    struct window_extent extent;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && window_next(key, &extent) && extent.closes <= limit) {
        if (extent.rows > 0) {
            rc = run_closed(key, &extent, sink, e);
            key->rule->round.closed++;
        }
        if (rc == ERR_OK) {
            rc = window_close_span(key, &extent, e);
        }
    }
    return rc;
}

enum err window_run_scan(struct window_scan *scan, uint32_t event_index,
                         const struct window_sink *sink, bool *out_failed, struct error *e)
{
    struct window_rule *rule = scan->rule;
    struct rule_rows rows = window_scan_rows_template;
    rows.context = scan;
    bool is_counted = scan->count >= 0; // A sliding one where nobody asked: it has about so many.
    const struct window_result result = {
        .rows = &rows,
        .row_count =
            is_counted ? (uint32_t)scan->count : window_span_rows(scan->key, scan->end_ms) + 1,
        .event_index = event_index,
        .key = window_key_text(scan->key),
        .start_ms = scan->start_ms,
        .end_ms = scan->end_ms,
    };
    enum err rc = sink->run(sink->context, rule->index, &result, out_failed, e);
    window_scan_end(scan);
    return rc;
}
