// workflow_inbox.c - events that workflows have made for the hub itself, until a batch takes them.
#include <stdlib.h>

#include "core/sql.h"
#include "core/stored_message.h"
#include "core/workflow_parts.h"

struct workflow_inbox {
    struct store *store;
    sqlite3_stmt *put, *first, *drop, *count;
    uint64_t rows, rows_committed;
};

#define STATEMENTS(inbox)                                                                          \
    {                                                                                              \
        {"INSERT INTO pipit_inbox(event, hops, created, topic, payload, content_type, properties)" \
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",                                                   \
         &(inbox)->put},                                                                           \
            {"SELECT id, event, hops, created, topic, payload, content_type, properties"           \
             " FROM pipit_inbox ORDER BY id LIMIT ?1",                                             \
             &(inbox)->first},                                                                     \
            {"DELETE FROM pipit_inbox WHERE id <= ?1", &(inbox)->drop},                            \
        {                                                                                          \
            "SELECT count(*) FROM pipit_inbox", &(inbox)->count                                    \
        }                                                                                          \
    }

static enum err count_rows(struct workflow_inbox *inbox, struct error *e)
{
    bool has_row;
    enum err rc = sql_next(inbox->store, inbox->count, "count the inbox", &has_row, e);
    if (rc == ERR_OK) {
        inbox->rows = inbox->rows_committed = sql_u64(inbox->count, 0);
        sqlite3_reset(inbox->count);
    }
    return rc;
}

enum err workflow_inbox_create(struct workflow_inbox **out_inbox, struct store *store,
                               struct error *e)
{
    struct workflow_inbox *inbox = calloc(1, sizeof(*inbox));
    if (inbox == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the inbox");
    }
    inbox->store = store;
    const struct sql_text texts[] = STATEMENTS(inbox);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    rc = rc == ERR_OK ? count_rows(inbox, e) : rc;
    if (rc != ERR_OK) {
        workflow_inbox_destroy(inbox);
        return rc;
    }
    *out_inbox = inbox;
    return ERR_OK;
}

void workflow_inbox_destroy(struct workflow_inbox *inbox)
{
    if (inbox != NULL) {
        const struct sql_text texts[] = STATEMENTS(inbox);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(inbox);
    }
}

enum err workflow_inbox_put(struct workflow_inbox *inbox, const struct inbox_entry *entry,
                            struct bytes properties, int64_t now_ms, struct error *e)
{
    sqlite3_stmt *put = inbox->put;
    sql_bind_text(put, 1, bytes_from_text(entry->event_id));
    sqlite3_bind_int64(put, 2, entry->hops);
    sqlite3_bind_int64(put, 3, now_ms);
    sql_bind_text(put, 4, entry->message.topic);
    sql_bind_blob(put, 5, entry->message.payload);
    sql_bind_text(put, 6, entry->message.content_type);
    sql_bind_blob(put, 7, properties);
    enum err rc = sql_run(inbox->store, put, "put an event into the inbox", e);
    inbox->rows += rc == ERR_OK;
    return rc;
}

static enum err read_entry(struct workflow_inbox *inbox, struct event_memory *memory,
                           struct inbox_entry *out_entry, struct error *e)
{
    sqlite3_stmt *row = inbox->first;
    const struct message message = {
        .topic = sql_bytes(row, 4),
        .payload = sql_bytes(row, 5),
        .content_type = sql_bytes(row, 6),
        .qos = 1,
        .received_ms = sqlite3_column_int64(row, 3),
    };
    out_entry->event_id = event_memory_text(memory, sql_bytes(row, 1));
    out_entry->hops = (uint32_t)sqlite3_column_int64(row, 2);
    if (out_entry->event_id == NULL ||
        !stored_message_copy(&message, sql_bytes(row, 7), memory, &out_entry->message)) {
        sqlite3_reset(row);
        return error_set(e, ERR_NO_MEMORY, "out of memory for an event of the inbox");
    }
    return ERR_OK;
}

// Reads up to WORKFLOW_INBOX_MAX of them; *out_last is the id of the last.
static enum err read_entries(struct workflow_inbox *inbox, struct event_memory *memory,
                             struct inbox_entry *entries, uint32_t *out_count, int64_t *out_last,
                             struct error *e)
{
    uint32_t count = 0;
    bool has_row = true;
    enum err rc = ERR_OK;
    sqlite3_bind_int(inbox->first, 1, WORKFLOW_INBOX_MAX);
    while (rc == ERR_OK && has_row) {
        rc = sql_next(inbox->store, inbox->first, "read the inbox", &has_row, e);
        if (rc == ERR_OK && has_row) {
            *out_last = sqlite3_column_int64(inbox->first, 0);
            rc = read_entry(inbox, memory, &entries[count], e);
            count++;
        }
    }
    *out_count = count;
    return rc;
}

enum err workflow_inbox_take(struct workflow_inbox *inbox, struct event_memory *memory,
                             const struct inbox_entry **out_entries, uint32_t *out_count,
                             struct error *e)
{
    *out_entries = NULL;
    *out_count = 0;
    if (inbox->rows == 0) {
        return ERR_OK;
    }
    struct inbox_entry *entries = event_memory_take(memory, WORKFLOW_INBOX_MAX * sizeof(*entries));
    if (entries == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for events of the inbox");
    }
    uint32_t count;
    int64_t last = 0;
    enum err rc = read_entries(inbox, memory, entries, &count, &last, e);
    if (rc == ERR_OK) {
        sqlite3_bind_int64(inbox->drop, 1, last);
        rc = sql_run(inbox->store, inbox->drop, "take events out of the inbox", e);
    }
    if (rc == ERR_OK) {
        inbox->rows -= count;
        *out_entries = entries;
        *out_count = count;
    }
    return rc;
}

bool workflow_inbox_is_empty(const struct workflow_inbox *inbox)
{
    return inbox->rows_committed == 0;
}

void workflow_inbox_commit(struct workflow_inbox *inbox)
{
    inbox->rows_committed = inbox->rows;
}

void workflow_inbox_rollback(struct workflow_inbox *inbox)
{
    inbox->rows = inbox->rows_committed;
}
