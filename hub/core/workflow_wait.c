#include "core/workflow_wait.h"

#include <stdlib.h>

#include "core/sql.h"

struct workflow_waits {
    struct store *store;
    sqlite3_stmt *put, *drop, *due, *is_due, *like, *first;
    bool is_changed;  // In this transaction.
    bool knows_first; // first_ms is what the store says.
    int64_t first_ms;
};

#define STATEMENTS(waits)                                                                          \
    {                                                                                              \
        {"INSERT OR REPLACE INTO pipit_workflow_wait(instance, token, definition, step, value,"    \
         " due) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",                                                  \
         &(waits)->put},                                                                           \
            {"DELETE FROM pipit_workflow_wait WHERE instance = ?1 AND token = ?2",                 \
             &(waits)->drop},                                                                      \
            {"SELECT instance, token, definition, step, value, due FROM pipit_workflow_wait"       \
             " WHERE due <= ?1 ORDER BY due, instance, token LIMIT ?2",                            \
             &(waits)->due},                                                                       \
            {"SELECT 1 FROM pipit_workflow_wait WHERE instance = ?1 AND token = ?2"                \
             " AND due <= ?3",                                                                     \
             &(waits)->is_due},                                                                    \
            {"SELECT instance, token, definition, step, value, due FROM pipit_workflow_wait"       \
             " WHERE definition = ?1 AND step = ?2 AND value = ?3 AND (instance, token) > (?4, "   \
             "?5)"                                                                                 \
             " ORDER BY instance, token LIMIT ?6",                                                 \
             &(waits)->like},                                                                      \
        {                                                                                          \
            "SELECT due FROM pipit_workflow_wait WHERE due IS NOT NULL ORDER BY due LIMIT 1",      \
                &(waits)->first                                                                    \
        }                                                                                          \
    }

enum err workflow_waits_create(struct workflow_waits **out_waits, struct store *store,
                               struct error *e)
{
    struct workflow_waits *waits = calloc(1, sizeof(*waits));
    if (waits == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for what workflows wait for");
    }
    waits->store = store;
    const struct sql_text texts[] = STATEMENTS(waits);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        workflow_waits_destroy(waits);
        return rc;
    }
    *out_waits = waits;
    return ERR_OK;
}

void workflow_waits_destroy(struct workflow_waits *waits)
{
    if (waits != NULL) {
        const struct sql_text texts[] = STATEMENTS(waits);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(waits);
    }
}

enum err workflow_wait_put(struct workflow_waits *waits, const struct workflow_wait *wait,
                           struct error *e)
{
    sqlite3_stmt *put = waits->put;
    sqlite3_bind_int64(put, 1, wait->instance);
    sqlite3_bind_int64(put, 2, wait->token);
    sqlite3_bind_int64(put, 3, wait->definition);
    sqlite3_bind_int64(put, 4, wait->step);
    sqlite3_bind_null(put, 5);
    sqlite3_bind_null(put, 6);
    if (wait->value != NULL) {
        sql_bind_text(put, 5, bytes_from_text(wait->value));
    }
    if (wait->due_ms != 0) {
        sqlite3_bind_int64(put, 6, wait->due_ms);
    }
    waits->is_changed = true;
    return sql_run(waits->store, put, "note what a workflow waits for", e);
}

enum err workflow_wait_drop(struct workflow_waits *waits, int64_t instance, uint32_t token,
                            struct error *e)
{
    sqlite3_bind_int64(waits->drop, 1, instance);
    sqlite3_bind_int64(waits->drop, 2, token);
    waits->is_changed = true;
    return sql_run(waits->store, waits->drop, "forget what a workflow waits for", e);
}

static bool read_wait(sqlite3_stmt *row, struct event_memory *memory, struct workflow_wait *wait)
{
    *wait = (struct workflow_wait){
        .instance = sqlite3_column_int64(row, 0),
        .token = (uint32_t)sqlite3_column_int64(row, 1),
        .definition = sqlite3_column_int64(row, 2),
        .step = (uint32_t)sqlite3_column_int64(row, 3),
        .due_ms = sqlite3_column_int64(row, 5),
    };
    if (sqlite3_column_type(row, 4) == SQLITE_NULL) {
        return true;
    }
    wait->value = event_memory_text(memory, sql_bytes(row, 4));
    return wait->value != NULL;
}

// All rows that the bound statement gives, at most count_max.
static enum err read_all(struct workflow_waits *waits, sqlite3_stmt *rows,
                         struct workflow_wait_list *inout_list, struct error *e)
{
    struct event_memory *memory = inout_list->memory;
    struct workflow_wait *list = NULL;
    bool has_row = false, is_whole = true;
    uint32_t count = 0;
    enum err rc = sql_next(waits->store, rows, "look for waiting workflows", &has_row, e);
    if (rc == ERR_OK && has_row) {
        list = event_memory_take(memory, inout_list->count_max * sizeof(list[0]));
        is_whole = list != NULL;
    }
    while (rc == ERR_OK && is_whole && has_row) {
        is_whole = read_wait(rows, memory, &list[count]);
        count++;
        rc = sql_next(waits->store, rows, "look for waiting workflows", &has_row, e);
    }
    sqlite3_reset(rows);
    if (rc == ERR_OK && !is_whole) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for waiting workflows");
    }
    inout_list->waits = list;
    inout_list->count = count;
    return rc;
}

enum err workflow_waits_due(struct workflow_waits *waits, int64_t now_ms,
                            struct workflow_wait_list *inout_list, struct error *e)
{
    sqlite3_bind_int64(waits->due, 1, now_ms);
    sqlite3_bind_int64(waits->due, 2, inout_list->count_max);
    return read_all(waits, waits->due, inout_list, e);
}

enum err workflow_wait_is_due(struct workflow_waits *waits, const struct workflow_wait *wait,
                              int64_t now_ms, bool *out_is_due, struct error *e)
{
    sqlite3_bind_int64(waits->is_due, 1, wait->instance);
    sqlite3_bind_int64(waits->is_due, 2, wait->token);
    sqlite3_bind_int64(waits->is_due, 3, now_ms);
    enum err rc = sql_next(waits->store, waits->is_due, "look for a timer", out_is_due, e);
    sqlite3_reset(waits->is_due);
    return rc;
}

enum err workflow_waits_for(struct workflow_waits *waits, const struct workflow_wait *like,
                            struct workflow_wait_list *inout_list, struct error *e)
{
    sqlite3_stmt *rows = waits->like;
    sqlite3_bind_int64(rows, 1, like->definition);
    sqlite3_bind_int64(rows, 2, like->step);
    sql_bind_text(rows, 3, bytes_from_text(like->value));
    sqlite3_bind_int64(rows, 4, like->instance);
    sqlite3_bind_int64(rows, 5, like->token);
    sqlite3_bind_int64(rows, 6, inout_list->count_max);
    return read_all(waits, rows, inout_list, e);
}

int64_t workflow_waits_next_due_ms(struct workflow_waits *waits)
{
    bool has_row = false;
    if (!waits->knows_first &&
        sql_next(waits->store, waits->first, "look for the next timer", &has_row, NULL) == ERR_OK) {
        waits->first_ms = has_row ? sqlite3_column_int64(waits->first, 0) : INT64_MAX;
        waits->knows_first = true;
        sqlite3_reset(waits->first);
    }
    return waits->knows_first ? waits->first_ms : INT64_MAX;
}

void workflow_waits_commit(struct workflow_waits *waits)
{
    waits->knows_first = waits->knows_first && !waits->is_changed;
    waits->is_changed = false;
}

void workflow_waits_rollback(struct workflow_waits *waits)
{
    waits->knows_first = waits->knows_first && !waits->is_changed;
    waits->is_changed = false;
}
