#include "core/workflow_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/event_value.h"
#include "core/sql.h"

struct workflow_rows {
    struct store *store;
    sqlite3_stmt *last_id, *read, *insert, *update, *queued, *begun, *count, *abandon,
        *forget_waits;
    sqlite3_stmt *until, *prune_entries, *prune;
};

#define STATEMENTS(rows)                                                                           \
    {                                                                                              \
        {"SELECT seq FROM sqlite_sequence WHERE name = 'pipit_workflow_instance'",                 \
         &(rows)->last_id},                                                                        \
            {"SELECT definition, key, state, started, changed, ended, event, hops, parent,"        \
             " parent_execution, start, variables, tokens, undo, next_token, next_execution,"      \
             " next_entry, error, reason, result, goal FROM pipit_workflow_instance"               \
             " WHERE id = ?1",                                                                     \
             &(rows)->read},                                                                       \
            {"INSERT INTO pipit_workflow_instance(id, workflow, definition, key, state, started,"  \
             " changed, event, hops, parent, parent_execution, start, next_token,"                 \
             " next_execution, next_entry, goal)"                                                  \
             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, 1, 1, 0)",            \
             &(rows)->insert},                                                                     \
            {"UPDATE pipit_workflow_instance SET state = ?2, changed = ?3, ended = ?4, until = "   \
             "?5,"                                                                                 \
             " variables = ?6, tokens = ?7, undo = ?8, next_token = ?9, next_execution = ?10,"     \
             " next_entry = ?11, error = ?12, reason = ?13, result = ?14, goal = ?15,"             \
             " started = ?16 WHERE id = ?1",                                                       \
             &(rows)->update},                                                                     \
            {"SELECT id, state FROM pipit_workflow_instance WHERE workflow = ?1 AND key = ?2"      \
             " AND ended IS NULL AND state = 0 AND id > ?3 ORDER BY id LIMIT 1",                   \
             &(rows)->queued},                                                                     \
            {"SELECT id, state FROM pipit_workflow_instance WHERE workflow = ?1 AND key = ?2"      \
             " AND ended IS NULL AND state IN (1, 2, 3) AND id > ?3 ORDER BY id LIMIT 1",          \
             &(rows)->begun},                                                                      \
            {"SELECT count(*) FROM pipit_workflow_instance WHERE ended IS NULL AND definition = "  \
             "?1",                                                                                 \
             &(rows)->count},                                                                      \
            {"UPDATE pipit_workflow_instance SET state = ?2, changed = ?3, ended = ?3,"            \
             " until = ?3 + coalesce((SELECT json_extract(text, '$.keep') FROM"                    \
             " pipit_workflow_definition AS d WHERE d.id = definition), 0),"                       \
             " tokens = NULL, undo = NULL WHERE id = ?1 AND ended IS NULL",                        \
             &(rows)->abandon},                                                                    \
            {"DELETE FROM pipit_workflow_wait WHERE instance = ?1", &(rows)->forget_waits},        \
            {"SELECT until FROM pipit_workflow_instance WHERE until IS NOT NULL ORDER BY until"    \
             " LIMIT 1",                                                                           \
             &(rows)->until},                                                                      \
            {"DELETE FROM pipit_workflow_entry WHERE instance IN (SELECT id FROM"                  \
             " pipit_workflow_instance WHERE until <= ?1 ORDER BY until, id LIMIT ?2)",            \
             &(rows)->prune_entries},                                                              \
        {                                                                                          \
            "DELETE FROM pipit_workflow_instance WHERE id IN (SELECT id FROM"                      \
            " pipit_workflow_instance WHERE until <= ?1 ORDER BY until, id LIMIT ?2)",             \
                &(rows)->prune                                                                     \
        }                                                                                          \
    }

enum err workflow_rows_create(struct workflow_rows **out_rows, struct store *store, struct error *e)
{
    struct workflow_rows *rows = calloc(1, sizeof(*rows));
    if (rows == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for workflows");
    }
    rows->store = store;
    const struct sql_text texts[] = STATEMENTS(rows);
    enum err rc = sql_prepare(store, texts, sizeof(texts) / sizeof(texts[0]), e);
    if (rc != ERR_OK) {
        workflow_rows_destroy(rows);
        return rc;
    }
    *out_rows = rows;
    return ERR_OK;
}

void workflow_rows_destroy(struct workflow_rows *rows)
{
    if (rows != NULL) {
        const struct sql_text texts[] = STATEMENTS(rows);
        sql_finalize(texts, sizeof(texts) / sizeof(texts[0]));
        free(rows);
    }
}

enum err workflow_rows_last_id(struct workflow_rows *rows, int64_t *out_id, struct error *e)
{
    bool has_row;
    enum err rc = sql_next(rows->store, rows->last_id, "look for the last instance", &has_row, e);
    *out_id = rc == ERR_OK && has_row ? sqlite3_column_int64(rows->last_id, 0) : 0;
    sqlite3_reset(rows->last_id);
    return rc;
}

// ---- reading ------------------------------------------------------------------------------------

enum column {
    COLUMN_DEFINITION,
    COLUMN_KEY,
    COLUMN_STATE,
    COLUMN_STARTED,
    COLUMN_CHANGED,
    COLUMN_ENDED,
    COLUMN_EVENT,
    COLUMN_HOPS,
    COLUMN_PARENT,
    COLUMN_PARENT_EXECUTION,
    COLUMN_START,
    COLUMN_VARIABLES,
    COLUMN_TOKENS,
    COLUMN_UNDO,
    COLUMN_NEXT_TOKEN,
    COLUMN_NEXT_EXECUTION,
    COLUMN_NEXT_ENTRY,
    COLUMN_ERROR,
    COLUMN_REASON,
    COLUMN_RESULT,
    COLUMN_GOAL
};

static bool is_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

// NULL stays NULL; false: it cannot be read.
static bool read_json(sqlite3_stmt *row, int column, json_t **out_json)
{
    *out_json = NULL;
    if (is_null(row, column)) {
        return true;
    }
    struct bytes text = sql_bytes(row, column);
    *out_json =
        json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return *out_json != NULL;
}

static bool read_text(sqlite3_stmt *row, int column, char **out_text)
{
    *out_text = NULL;
    if (is_null(row, column)) {
        return true;
    }
    struct bytes text = sql_bytes(row, column);
    *out_text = text.len == 0 ? strdup("") : strndup((const char *)text.ptr, text.len);
    return *out_text != NULL;
}

static void read_numbers(sqlite3_stmt *row, struct workflow_instance *instance)
{
    instance->state = (enum workflow_state)sqlite3_column_int(row, COLUMN_STATE);
    instance->goal = (enum workflow_state)sqlite3_column_int(row, COLUMN_GOAL);
    instance->started_ms = sqlite3_column_int64(row, COLUMN_STARTED);
    instance->changed_ms = sqlite3_column_int64(row, COLUMN_CHANGED);
    instance->ended_ms = sqlite3_column_int64(row, COLUMN_ENDED);
    instance->hops = (uint32_t)sqlite3_column_int64(row, COLUMN_HOPS);
    instance->parent = sqlite3_column_int64(row, COLUMN_PARENT);
    instance->parent_execution = (uint32_t)sqlite3_column_int64(row, COLUMN_PARENT_EXECUTION);
    instance->next_token = (uint32_t)sqlite3_column_int64(row, COLUMN_NEXT_TOKEN);
    instance->next_execution = (uint32_t)sqlite3_column_int64(row, COLUMN_NEXT_EXECUTION);
    instance->next_entry = (uint32_t)sqlite3_column_int64(row, COLUMN_NEXT_ENTRY);
}

static bool read_texts(sqlite3_stmt *row, struct workflow_instance *instance)
{
    char *key = NULL, *event = NULL;
    bool is_good = read_text(row, COLUMN_KEY, &key) && read_text(row, COLUMN_EVENT, &event) &&
                   read_text(row, COLUMN_ERROR, &instance->error) &&
                   read_text(row, COLUMN_REASON, &instance->reason);
    instance->key = key;
    instance->event = event;
    return is_good && key != NULL && event != NULL;
}

static bool read_trees(sqlite3_stmt *row, struct workflow_instance *instance)
{
    bool is_good = read_json(row, COLUMN_START, &instance->start) &&
                   read_json(row, COLUMN_VARIABLES, &instance->variables) &&
                   read_json(row, COLUMN_UNDO, &instance->undo) &&
                   read_json(row, COLUMN_RESULT, &instance->result);
    if (is_good && instance->variables == NULL) {
        instance->variables = json_deep_copy(instance->start);
    }
    if (is_good && instance->undo == NULL) {
        instance->undo = json_array();
    }
    return is_good && json_is_object(instance->start) && json_is_object(instance->variables) &&
           json_is_array(instance->undo) &&
           (is_null(row, COLUMN_TOKENS) ||
            workflow_tokens_read(instance, sql_bytes(row, COLUMN_TOKENS)));
}

static enum err read_row(struct workflow_rows *rows, struct workflow_instance *instance,
                         workflow_definition_fn *find, void *context, struct error *e)
{
    sqlite3_stmt *row = rows->read;
    int64_t definition = sqlite3_column_int64(row, COLUMN_DEFINITION);
    read_numbers(row, instance);
    instance->counted = (uint8_t)(1 + instance->state);
    instance->definition = find(context, definition);
    if (instance->definition == NULL) {
        return error_set(e, ERR_INVALID,
                         "instance %" PRId64
                         " runs on a definition that cannot be used any more; it can be looked at, "
                         "and given up with: pipit workflow cancel --abandon %" PRId64,
                         instance->id, instance->id);
    }
    bool is_good = read_texts(row, instance) && read_trees(row, instance) &&
                   instance->state < INSTANCE_STATE_COUNT && instance->goal < INSTANCE_STATE_COUNT;
    return is_good ? ERR_OK
                   : error_set(e, ERR_INVALID, "instance %" PRId64 " cannot be read", instance->id);
}

enum err workflow_rows_read(struct workflow_rows *rows, int64_t id, workflow_definition_fn *find,
                            void *context, struct workflow_instance **out_instance, struct error *e)
{
    bool has_row;
    sqlite3_bind_int64(rows->read, 1, id);
    *out_instance = NULL;
    enum err rc = sql_next(rows->store, rows->read, "read a workflow's instance", &has_row, e);
    if (rc != ERR_OK || !has_row) {
        return rc;
    }
    struct workflow_instance *instance = workflow_instance_create();
    if (instance == NULL) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory for an instance");
    } else {
        instance->id = id;
        rc = read_row(rows, instance, find, context, e);
    }
    sqlite3_reset(rows->read);
    if (rc != ERR_OK) {
        workflow_instance_destroy(instance);
        return rc;
    }
    *out_instance = instance;
    return ERR_OK;
}

// ---- writing ------------------------------------------------------------------------------------

// Texts of a row until it is written; NULL is NULL.
struct row_texts {
    char *start, *variables, *tokens, *undo, *result;
};

static void row_texts_deinit(struct row_texts *texts)
{
    free(texts->start);
    free(texts->variables);
    free(texts->tokens);
    free(texts->undo);
    free(texts->result);
}

static bool dump(const json_t *json, char **out_text)
{
    *out_text = json == NULL ? NULL : json_to_text(json);
    return json == NULL || *out_text != NULL;
}

static void bind_owned(sqlite3_stmt *statement, int index, const char *text)
{
    if (text == NULL) {
        sqlite3_bind_null(statement, index);
    } else {
        sql_bind_text(statement, index, bytes_from_text(text));
    }
}

enum err workflow_rows_insert(struct workflow_rows *rows, const struct workflow_instance *instance,
                              struct error *e)
{
    sqlite3_stmt *insert = rows->insert;
    char *start = NULL;
    if (!dump(instance->start, &start)) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an instance");
    }
    sqlite3_bind_int64(insert, 1, instance->id);
    sqlite3_bind_int64(insert, 2, instance->definition->workflow_id);
    sqlite3_bind_int64(insert, 3, instance->definition->id);
    sql_bind_text(insert, 4, bytes_from_text(instance->key));
    sqlite3_bind_int(insert, 5, (int)instance->state);
    sqlite3_bind_int64(insert, 6, instance->started_ms);
    sqlite3_bind_int64(insert, 7, instance->changed_ms);
    sql_bind_text(insert, 8, bytes_from_text(instance->event));
    sqlite3_bind_int64(insert, 9, instance->hops);
    sqlite3_bind_int64(insert, 10, instance->parent);
    sqlite3_bind_int64(insert, 11, instance->parent_execution);
    sql_bind_text(insert, 12, bytes_from_text(start));
    enum err rc = sql_run(rows->store, insert, "start a workflow", e);
    free(start);
    return rc;
}

static bool make_texts(const struct workflow_instance *instance, struct row_texts *texts)
{
    bool is_same = json_equal(instance->start, instance->variables);
    bool is_over = workflow_state_is_over(instance->state);
    bool has_undo = !is_over && json_array_size(instance->undo) > 0;
    texts->tokens = is_over ? NULL : workflow_tokens_text(instance);
    return (is_over || texts->tokens != NULL) &&
           dump(is_same ? NULL : instance->variables, &texts->variables) &&
           dump(has_undo ? instance->undo : NULL, &texts->undo) &&
           dump(instance->result, &texts->result);
}

static void bind_end(sqlite3_stmt *update, const struct workflow_instance *instance)
{
    sqlite3_bind_null(update, 4);
    sqlite3_bind_null(update, 5);
    if (workflow_state_is_over(instance->state)) {
        sqlite3_bind_int64(update, 4, instance->ended_ms);
        sqlite3_bind_int64(update, 5, instance->ended_ms + instance->definition->keep_ms);
    }
}

enum err workflow_rows_update(struct workflow_rows *rows, const struct workflow_instance *instance,
                              struct error *e)
{
    sqlite3_stmt *update = rows->update;
    struct row_texts texts = {0};
    if (!make_texts(instance, &texts)) {
        row_texts_deinit(&texts);
        return error_set(e, ERR_NO_MEMORY, "out of memory for an instance");
    }
    sqlite3_bind_int64(update, 1, instance->id);
    sqlite3_bind_int(update, 2, (int)instance->state);
    sqlite3_bind_int64(update, 3, instance->changed_ms);
    bind_end(update, instance);
    bind_owned(update, 6, texts.variables);
    bind_owned(update, 7, texts.tokens);
    bind_owned(update, 8, texts.undo);
    sqlite3_bind_int64(update, 9, instance->next_token);
    sqlite3_bind_int64(update, 10, instance->next_execution);
    sqlite3_bind_int64(update, 11, instance->next_entry);
    bind_owned(update, 12, instance->error);
    bind_owned(update, 13, instance->reason);
    bind_owned(update, 14, texts.result);
    sqlite3_bind_int(update, 15, (int)instance->goal);
    sqlite3_bind_int64(update, 16, instance->started_ms);
    enum err rc = sql_run(rows->store, update, "write a workflow's instance", e);
    row_texts_deinit(&texts);
    return rc;
}

// ---- many ---------------------------------------------------------------------------------------

enum err workflow_rows_next(struct workflow_rows *rows, int64_t workflow_id, const char *key,
                            enum instance_turn turn, int64_t *inout_id,
                            enum workflow_state *out_state, struct error *e)
{
    bool has_row;
    sqlite3_stmt *next = turn == TURN_QUEUED ? rows->queued : rows->begun;
    sqlite3_bind_int64(next, 1, workflow_id);
    sql_bind_text(next, 2, bytes_from_text(key));
    sqlite3_bind_int64(next, 3, *inout_id);
    enum err rc = sql_next(rows->store, next, "look for an instance", &has_row, e);
    *inout_id = rc == ERR_OK && has_row ? sqlite3_column_int64(next, 0) : 0;
    *out_state =
        *inout_id == 0 ? INSTANCE_STATE_COUNT : (enum workflow_state)sqlite3_column_int(next, 1);
    sqlite3_reset(next);
    return rc;
}

enum err workflow_rows_count(struct workflow_rows *rows, int64_t definition_id, uint64_t *out_count,
                             struct error *e)
{
    bool has_row;
    sqlite3_bind_int64(rows->count, 1, definition_id);
    enum err rc = sql_next(rows->store, rows->count, "count instances", &has_row, e);
    if (rc == ERR_OK) {
        *out_count = sql_u64(rows->count, 0);
        sqlite3_reset(rows->count);
    }
    return rc;
}

enum err workflow_rows_abandon(struct workflow_rows *rows, int64_t id, int64_t now_ms,
                               bool *out_was_there, struct error *e)
{
    sqlite3_bind_int64(rows->abandon, 1, id);
    sqlite3_bind_int(rows->abandon, 2, INSTANCE_CANCELLED);
    sqlite3_bind_int64(rows->abandon, 3, now_ms);
    enum err rc = sql_run(rows->store, rows->abandon, "give up an instance", e);
    *out_was_there = rc == ERR_OK && sqlite3_changes(store_db(rows->store)) > 0;
    if (rc == ERR_OK) {
        sqlite3_bind_int64(rows->forget_waits, 1, id);
        rc = sql_run(rows->store, rows->forget_waits, "give up an instance", e);
    }
    return rc;
}

enum err workflow_rows_prune(struct workflow_rows *rows, int64_t now_ms, uint32_t rows_max,
                             uint32_t *out_count, struct error *e)
{
    sqlite3_stmt *const both[] = {rows->prune_entries, rows->prune};
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < 2; i++) {
        sqlite3_bind_int64(both[i], 1, now_ms);
        sqlite3_bind_int64(both[i], 2, rows_max);
        rc = sql_run(rows->store, both[i], "drop instances that have ended", e);
    }
    *out_count = rc == ERR_OK ? (uint32_t)sqlite3_changes(store_db(rows->store)) : 0;
    return rc;
}

int64_t workflow_rows_until_ms(struct workflow_rows *rows)
{
    bool has_row = false;
    enum err rc = sql_next(rows->store, rows->until, "look for old instances", &has_row, NULL);
    int64_t until_ms = rc == ERR_OK && has_row ? sqlite3_column_int64(rows->until, 0) : INT64_MAX;
    sqlite3_reset(rows->until);
    return until_ms;
}
