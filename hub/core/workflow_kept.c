#include "core/workflow_kept.h"

#include <stdlib.h>
#include <string.h>

#include "core/sql.h"
#include "core/stored_message.h"

struct workflow_kept {
    struct store *store;
    sqlite3_stmt *put, *next, *drop, *prune, *count, *drop_oldest, *first;
    uint64_t rows, rows_committed;
    bool is_counted, is_changed;
    bool knows_first;
    int64_t first_ms;
};

#define COLUMNS                                                                                    \
    "event, device, boot, sequence, time, received, topic, payload, content_type, properties,"     \
    " qos, retain"

#define STATEMENTS(kept)                                                                           \
    {                                                                                              \
        {"INSERT INTO pipit_workflow_kept(workflow, step, value, until, " COLUMNS ")"              \
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",        \
         &(kept)->put},                                                                            \
            {"SELECT id, " COLUMNS " FROM pipit_workflow_kept WHERE workflow = ?1 AND step = ?2"   \
             " AND value = ?3 AND id > ?4 AND until > ?5 ORDER BY id LIMIT 1",                     \
             &(kept)->next},                                                                       \
            {"DELETE FROM pipit_workflow_kept WHERE id = ?1", &(kept)->drop},                      \
            {"DELETE FROM pipit_workflow_kept WHERE id IN (SELECT id FROM pipit_workflow_kept"     \
             " WHERE until <= ?1 ORDER BY until LIMIT ?2)",                                        \
             &(kept)->prune},                                                                      \
            {"SELECT count(*) FROM pipit_workflow_kept", &(kept)->count},                          \
            {"DELETE FROM pipit_workflow_kept WHERE id ="                                          \
             " (SELECT min(id) FROM pipit_workflow_kept)",                                         \
             &(kept)->drop_oldest},                                                                \
        {                                                                                          \
            "SELECT until FROM pipit_workflow_kept ORDER BY until LIMIT 1", &(kept)->first         \
        }                                                                                          \
    }

enum err workflow_kept_create(struct workflow_kept **out_kept, struct store *store, struct error *e)
{
    struct workflow_kept *kept = calloc(1, sizeof(*kept));
    if (kept == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for kept events");
    }
    kept->store = store;
    const struct sql_text texts[] = STATEMENTS(kept);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        workflow_kept_destroy(kept);
        return rc;
    }
    *out_kept = kept;
    return ERR_OK;
}

void workflow_kept_destroy(struct workflow_kept *kept)
{
    if (kept != NULL) {
        const struct sql_text texts[] = STATEMENTS(kept);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(kept);
    }
}

// Counted when they are first asked for: a hub without workflows pays nothing.
static enum err count_rows(struct workflow_kept *kept, struct error *e)
{
    bool has_row;
    enum err rc =
        kept->is_counted ? ERR_OK : sql_next(kept->store, kept->count, "count", &has_row, e);
    if (rc == ERR_OK && !kept->is_counted) {
        kept->rows = kept->rows_committed = sql_u64(kept->count, 0);
        kept->is_counted = true;
        sqlite3_reset(kept->count);
    }
    return rc;
}

static void bind_event(sqlite3_stmt *put, struct event *event, struct bytes properties)
{
    const struct message *message = event_message(event);
    const struct event_identity *identity = event_identity(event);
    int64_t time_ms;
    sql_bind_text(put, 5, bytes_from_text(event_id(event)));
    sql_bind_text(put, 6, bytes_from_text(identity->key));
    sqlite3_bind_int64(put, 7, identity->boot);
    sql_bind_u64(put, 8, identity->sequence);
    sqlite3_bind_null(put, 9);
    if (event_time_ms(event, &time_ms)) {
        sqlite3_bind_int64(put, 9, time_ms);
    }
    sqlite3_bind_int64(put, 10, message->received_ms);
    sql_bind_text(put, 11, message->topic);
    sql_bind_blob(put, 12, message->payload);
    sql_bind_text(put, 13, message->content_type);
    sql_bind_blob(put, 14, properties);
    sqlite3_bind_int(put, 15, message->qos);
    sqlite3_bind_int(put, 16, message->is_retained);
}

enum err workflow_kept_put(struct workflow_kept *kept, const struct kept_place *place,
                           struct event *event, int64_t until_ms, struct event_memory *memory,
                           struct error *e)
{
    struct bytes properties;
    enum err rc = count_rows(kept, e);
    if (rc == ERR_OK && !stored_properties(event_message(event), memory, &properties)) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory for a kept event");
    }
    if (rc == ERR_OK && kept->rows >= WORKFLOW_KEPT_MAX) {
        rc = sql_run(kept->store, kept->drop_oldest, "make room for a kept event", e);
        kept->rows -= rc == ERR_OK;
    }
    if (rc != ERR_OK) {
        return rc;
    }
    sqlite3_bind_int64(kept->put, 1, place->workflow);
    sql_bind_text(kept->put, 2, bytes_from_text(place->step));
    sql_bind_text(kept->put, 3, bytes_from_text(place->value));
    sqlite3_bind_int64(kept->put, 4, until_ms);
    bind_event(kept->put, event, properties);
    kept->is_changed = true;
    kept->rows++;
    return sql_run(kept->store, kept->put, "keep an event for a workflow", e);
}

// "<group>/<name>", as bind_event wrote it.
static bool split_device(const char *text, struct event_memory *memory, struct kept_event *out)
{
    const char *slash = strchr(text, '/');
    out->group = out->device = "";
    if (slash == NULL) {
        return true;
    }
    out->group = event_memory_text(memory, bytes_of(text, (size_t)(slash - text)));
    out->device = slash + 1;
    return out->group != NULL;
}

static bool read_event(sqlite3_stmt *row, struct event_memory *memory, struct kept_event *out)
{
    const struct message message = {
        .topic = sql_bytes(row, 7),
        .payload = sql_bytes(row, 8),
        .content_type = sql_bytes(row, 9),
        .received_ms = sqlite3_column_int64(row, 6),
        .qos = (uint8_t)sqlite3_column_int(row, 11),
        .is_retained = sqlite3_column_int(row, 12) != 0,
    };
    out->id = sqlite3_column_int64(row, 0);
    out->event_id = event_memory_text(memory, sql_bytes(row, 1));
    out->boot = (uint32_t)sqlite3_column_int64(row, 3);
    out->sequence = sql_u64(row, 4);
    out->has_time = sqlite3_column_type(row, 5) != SQLITE_NULL;
    out->time_ms = sqlite3_column_int64(row, 5);
    const char *device = event_memory_text(memory, sql_bytes(row, 2));
    return out->event_id != NULL && device != NULL && split_device(device, memory, out) &&
           stored_message_copy(&message, sql_bytes(row, 10), memory, &out->message);
}

enum err workflow_kept_next(struct workflow_kept *kept, const struct kept_search *search,
                            struct kept_event *out_event, struct error *e)
{
    *out_event = (struct kept_event){0};
    enum err rc = count_rows(kept, e);
    if (rc != ERR_OK || kept->rows == 0) {
        return rc;
    }
    bool has_row;
    sqlite3_bind_int64(kept->next, 1, search->place.workflow);
    sql_bind_text(kept->next, 2, bytes_from_text(search->place.step));
    sql_bind_text(kept->next, 3, bytes_from_text(search->place.value));
    sqlite3_bind_int64(kept->next, 4, search->after_id);
    sqlite3_bind_int64(kept->next, 5, search->now_ms);
    rc = sql_next(kept->store, kept->next, "look for a kept event", &has_row, e);
    if (rc == ERR_OK && has_row && !read_event(kept->next, search->memory, out_event)) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory for a kept event");
    }
    sqlite3_reset(kept->next);
    return rc;
}

static enum err run_drop(struct workflow_kept *kept, sqlite3_stmt *statement, struct error *e)
{
    kept->is_changed = true;
    enum err rc = sql_run(kept->store, statement, "drop kept events", e);
    if (rc == ERR_OK) {
        kept->rows -= (uint64_t)sqlite3_changes64(store_db(kept->store));
    }
    return rc;
}

enum err workflow_kept_drop(struct workflow_kept *kept, int64_t id, struct error *e)
{
    sqlite3_bind_int64(kept->drop, 1, id);
    return run_drop(kept, kept->drop, e);
}

enum err workflow_kept_prune(struct workflow_kept *kept, int64_t now_ms, uint32_t rows_max,
                             struct error *e)
{
    enum err rc = count_rows(kept, e);
    if (rc != ERR_OK || kept->rows == 0) {
        return rc;
    }
    sqlite3_bind_int64(kept->prune, 1, now_ms);
    sqlite3_bind_int64(kept->prune, 2, rows_max);
    return run_drop(kept, kept->prune, e);
}

int64_t workflow_kept_due_ms(struct workflow_kept *kept)
{
    bool has_row = false;
    if (!kept->knows_first &&
        sql_next(kept->store, kept->first, "look for kept events", &has_row, NULL) == ERR_OK) {
        kept->first_ms = has_row ? sqlite3_column_int64(kept->first, 0) : INT64_MAX;
        kept->knows_first = true;
        sqlite3_reset(kept->first);
    }
    return kept->knows_first ? kept->first_ms : INT64_MAX;
}

static void finish(struct workflow_kept *kept)
{
    kept->knows_first = kept->knows_first && !kept->is_changed;
    kept->is_changed = false;
}

void workflow_kept_commit(struct workflow_kept *kept)
{
    kept->rows_committed = kept->rows;
    finish(kept);
}

void workflow_kept_rollback(struct workflow_kept *kept)
{
    kept->rows = kept->rows_committed;
    finish(kept);
}
