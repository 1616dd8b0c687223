#include "core/history.h"

#include <stdlib.h>

#include "core/sql.h"
#include "core/stored_message.h"
#include "core/topic.h"

#define ROW_BYTES 40 // What a row takes beside its texts and payload.

struct history {
    struct store *store;
    sqlite3_stmt *insert, *oldest, *drop;
    int64_t oldest_ms, pruned_ms; // Of the oldest row, when it was last looked at.
};

#define STATEMENTS(history)                                                                        \
    {                                                                                              \
        {"INSERT INTO pipit_history(received, event, device, time, topic, payload, content_type,"  \
         " properties, qos, retain) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",             \
         &(history)->insert},                                                                      \
            {"SELECT id, received, length(CAST(event AS BLOB)) + length(CAST(device AS BLOB)) +"   \
             " length(CAST(topic AS BLOB)) + length(payload) +"                                    \
             " length(CAST(content_type AS BLOB)) + length(properties)"                            \
             " FROM pipit_history ORDER BY id",                                                    \
             &(history)->oldest},                                                                  \
        {                                                                                          \
            "DELETE FROM pipit_history WHERE id <= ?1", &(history)->drop                           \
        }                                                                                          \
    }

enum err history_create(struct history **out_history, struct store *store, struct error *e)
{
    struct history *history = calloc(1, sizeof(*history));
    if (history == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the history");
    }
    history->store = store;
    const struct sql_text texts[] = STATEMENTS(history);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        history_destroy(history);
        return rc;
    }
    *out_history = history;
    return ERR_OK;
}

void history_destroy(struct history *history)
{
    if (history != NULL) {
        const struct sql_text texts[] = STATEMENTS(history);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(history);
    }
}

bool history_wants(const struct history_spec *spec, struct bytes topic)
{
    bool is_wanted = spec->keep_ms > 0 && spec->topics == NULL;
    const char *const *filter = spec->keep_ms > 0 ? spec->topics : NULL;
    for (; filter != NULL && *filter != NULL && !is_wanted; filter++) {
        is_wanted = topic_filter_matches(bytes_from_text(*filter), topic);
    }
    return is_wanted;
}

enum err history_put(struct history *history, struct event *event, struct event_memory *memory,
                     struct ledger *ledger, struct error *e)
{
    const struct message *message = event_message(event);
    struct bytes id = bytes_from_text(event_id(event)), properties;
    struct bytes device = bytes_from_text(event_identity(event)->key);
    sqlite3_stmt *insert = history->insert;
    int64_t time_ms;
    if (!stored_properties(message, memory, &properties)) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an event of the history");
    }
    sqlite3_bind_int64(insert, 1, message->received_ms);
    sql_bind_text(insert, 2, id);
    sql_bind_text(insert, 3, device);
    sqlite3_bind_null(insert, 4);
    if (event_time_ms(event, &time_ms)) {
        sqlite3_bind_int64(insert, 4, time_ms);
    }
    sql_bind_text(insert, 5, message->topic);
    sql_bind_blob(insert, 6, message->payload);
    sql_bind_text(insert, 7, message->content_type);
    sql_bind_blob(insert, 8, properties);
    sqlite3_bind_int(insert, 9, message->qos);
    sqlite3_bind_int(insert, 10, message->is_retained);
    ledger->history_rows++;
    ledger->history_bytes += ROW_BYTES + id.len + device.len + message->topic.len +
                             message->payload.len + message->content_type.len + properties.len;
    return sql_run(history->store, insert, "put into the history", e);
}

// What is to go, from the oldest on.
struct clearance {
    int64_t before_ms; // Older than this,
    uint64_t bytes;    // or so many bytes,
    uint32_t rows_max; // but no more rows.
};

static void count_out(struct ledger *ledger, uint64_t rows, uint64_t bytes)
{
    ledger->history_rows -= rows < ledger->history_rows ? rows : ledger->history_rows;
    ledger->history_bytes -= bytes < ledger->history_bytes ? bytes : ledger->history_bytes;
}

// The last row that is to go; 0: none.
static enum err look(struct history *history, const struct clearance *clearance, int64_t *out_last,
                     struct ledger *ledger, struct error *e)
{
    uint64_t rows = 0, bytes = 0;
    bool has_row = true, is_over = false;
    enum err rc = ERR_OK;
    *out_last = 0;
    while (rc == ERR_OK && has_row && !is_over) {
        rc = sql_next(history->store, history->oldest, "look into the history", &has_row, e);
        if (rc != ERR_OK || !has_row) {
            break;
        }
        int64_t received_ms = sqlite3_column_int64(history->oldest, 1);
        is_over = rows >= clearance->rows_max ||
                  (received_ms >= clearance->before_ms && bytes >= clearance->bytes);
        if (is_over) {
            history->oldest_ms = received_ms;
        } else {
            *out_last = sqlite3_column_int64(history->oldest, 0);
            bytes += ROW_BYTES + sql_u64(history->oldest, 2);
            rows++;
        }
    }
    sqlite3_reset(history->oldest);
    count_out(ledger, rows, bytes);
    if (rc == ERR_OK && !has_row) { // Somebody has emptied it, or it is empty now.
        ledger->history_rows = ledger->history_bytes = 0;
    }
    return rc;
}

static enum err clear(struct history *history, const struct clearance *clearance,
                      struct ledger *ledger, struct error *e)
{
    int64_t last = 0;
    enum err rc = look(history, clearance, &last, ledger, e);
    if (rc != ERR_OK || last == 0) {
        return rc;
    }
    sqlite3_bind_int64(history->drop, 1, last);
    return sql_run(history->store, history->drop, "take out of the history", e);
}

enum err history_prune(struct history *history, const struct history_spec *spec, int64_t now_ms,
                       uint32_t rows_max, struct ledger *ledger, struct error *e)
{
    struct clearance clearance = {.before_ms = INT64_MAX, .rows_max = rows_max};
    if (spec->keep_ms > 0) {
        clearance.before_ms = now_ms - spec->keep_ms;
        clearance.bytes = ledger->history_bytes > spec->limit_bytes
                              ? ledger->history_bytes - spec->limit_bytes
                              : 0;
    }
    bool is_due = clearance.bytes > 0 || now_ms >= history_due_ms(history, spec, ledger) ||
                  now_ms < history->pruned_ms;
    if (ledger->history_rows == 0 || !is_due) {
        return ERR_OK;
    }
    enum err rc = clear(history, &clearance, ledger, e);
    bool has_more = ledger->history_rows > 0 && history->oldest_ms < clearance.before_ms;
    history->pruned_ms = has_more ? now_ms - HISTORY_PRUNE_MS : now_ms; // Go on at once.
    return rc;
}

enum err history_give_way(struct history *history, uint64_t bytes, struct ledger *ledger,
                          struct error *e)
{
    struct clearance clearance = {.before_ms = INT64_MIN, .bytes = bytes, .rows_max = UINT32_MAX};
    return clear(history, &clearance, ledger, e);
}

int64_t history_due_ms(const struct history *history, const struct history_spec *spec,
                       const struct ledger *ledger)
{
    if (ledger->history_rows == 0) {
        return INT64_MAX;
    }
    int64_t old_ms = spec->keep_ms == 0 ? 0 : history->oldest_ms + spec->keep_ms;
    int64_t wait_ms = spec->keep_ms == 0 ? 100 : HISTORY_PRUNE_MS;
    if (spec->keep_ms > 0 && spec->keep_ms / 10 < wait_ms) {
        wait_ms = spec->keep_ms / 10;
    }
    int64_t next_ms = history->pruned_ms + wait_ms;
    return old_ms > next_ms ? old_ms : next_ms;
}
