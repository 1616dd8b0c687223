#include "core/table_script.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/function_list.h"
#include "core/tables.h"

#define SLICE_STEPS      10000
#define LENGTH_BYTES_MAX 1048576 // Of one value or statement.
#define PAGE_BYTES       4096
#define PAGES_BESIDE     4 // The schema and the like.

struct table_script {
    sqlite3 *db;
    uint64_t steps;
    bool is_fenced, is_over_steps;
    struct event_memory memory;
    const char **columns;
    struct event_value *values;
    size_t capacity; // Of values.
    struct table_data data;
};

static bool is_schema(const char *table)
{
    return table != NULL && strncasecmp(table, "sqlite_", 7) == 0;
}

// What depends on the clock would make another table of the same script.
static bool is_timeless(const char *function)
{
    static const char *const clocks[] = {"date",         "time",         "datetime",
                                         "julianday",    "strftime",     "unixepoch",
                                         "current_date", "current_time", "current_timestamp"};
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        if (strcasecmp(function, clocks[i]) == 0) {
            return false;
        }
    }
    return function_is_known(function);
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *schema, const char *trigger)
{
    (void)schema;
    (void)trigger;
    if (!((const struct table_script *)context)->is_fenced) {
        return SQLITE_OK;
    }
    switch (action) {
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX: // Of a PRIMARY KEY, too.
    case SQLITE_INSERT:
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
    case SQLITE_TRANSACTION: // BEGIN and COMMIT, as dumps have them.
    case SQLITE_REINDEX:     // A part of CREATE INDEX.
        return SQLITE_OK;
    case SQLITE_UPDATE: // A part of CREATE TABLE.
        return is_schema(first) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return is_timeless(second) ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static int count_steps(void *context)
{
    struct table_script *script = context;
    script->steps += SLICE_STEPS;
    script->is_over_steps = script->steps > TABLE_SCRIPT_STEPS_MAX;
    return script->is_over_steps;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a table's script");
}

static enum err open_scratch(struct table_script *script, uint64_t size_bytes, struct error *e)
{
    char pragma[80];
    int rc =
        sqlite3_open_v2(":memory:", &script->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_uint64 pages_max = size_bytes / PAGE_BYTES + PAGES_BESIDE;
    sqlite3_snprintf(sizeof(pragma), pragma, "PRAGMA max_page_count=%llu", pages_max);
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(script->db, pragma, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(script->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    }
    if (rc == SQLITE_OK) {
        // What this declares would be refused later.
        rc = sqlite3_exec(script->db, "SELECT 1 FROM json_each('[]'), json_tree('[]')", NULL, NULL,
                          NULL);
    }
    if (rc != SQLITE_OK) {
        return error_set(e, ERR_INTERNAL, "make a database for a script: %s", sqlite3_errstr(rc));
    }
    sqlite3_limit(script->db, SQLITE_LIMIT_LENGTH, LENGTH_BYTES_MAX);
    sqlite3_limit(script->db, SQLITE_LIMIT_EXPR_DEPTH, 200);
    sqlite3_limit(script->db, SQLITE_LIMIT_COLUMN, TABLE_COLUMNS_MAX);
    sqlite3_limit(script->db, SQLITE_LIMIT_VDBE_OP, 250000);
    sqlite3_limit(script->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(script->db, SQLITE_LIMIT_TRIGGER_DEPTH, 0);
    sqlite3_set_authorizer(script->db, authorize, script);
    sqlite3_progress_handler(script->db, SLICE_STEPS, count_steps, script);
    return ERR_OK;
}

static enum err step_error(const struct table_script *script, int rc, int32_t offset,
                           struct error *e)
{
    if ((rc & 0xFF) == SQLITE_NOMEM) {
        return no_memory(e);
    }
    if (script->is_over_steps) {
        error_set(e, ERR_CONFIG, "the script takes more than %d SQLite instructions",
                  TABLE_SCRIPT_STEPS_MAX);
    } else if ((rc & 0xFF) == SQLITE_FULL) {
        error_set(e, ERR_CONFIG, "the script makes more than the table's size");
    } else if ((rc & 0xFF) == SQLITE_AUTH) {
        error_set(e, ERR_CONFIG,
                  "%s: a script may CREATE TABLE and INSERT, with what SQLite computes of it",
                  sqlite3_errmsg(script->db));
    } else {
        error_set(e, ERR_CONFIG, "%s", sqlite3_errmsg(script->db));
    }
    e->offset = offset;
    return ERR_CONFIG;
}

static int32_t place(const struct table_script *script, const char *sql, const char *statement)
{
    int offset = sqlite3_error_offset(script->db);
    return (int32_t)(statement - sql) + (offset < 0 ? 0 : offset);
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t\r\n;");
}

// Each statement by itself, so that a fault has its place.
static enum err run_statements(struct table_script *script, const char *sql, struct error *e)
{
    const char *rest = skip_blanks(sql);
    while (*rest != '\0') {
        sqlite3_stmt *statement = NULL;
        const char *next = rest;
        int rc = sqlite3_prepare_v2(script->db, rest, -1, &statement, &next);
        int32_t at = rc == SQLITE_OK ? (int32_t)(rest - sql) : place(script, sql, rest);
        while (rc == SQLITE_OK && statement != NULL &&
               (rc = sqlite3_step(statement)) == SQLITE_ROW) {
            rc = SQLITE_OK;
        }
        if (rc != SQLITE_OK && rc != SQLITE_DONE) {
            enum err result = step_error(script, rc, at, e);
            sqlite3_finalize(statement);
            return result;
        }
        sqlite3_finalize(statement);
        rest = skip_blanks(next);
    }
    return ERR_OK;
}

static enum err copy_value(struct table_script *script, sqlite3_value *source,
                           struct event_value *out_value, struct error *e)
{
    value_of_sqlite(source, out_value);
    if (out_value->kind == VALUE_TEXT || out_value->kind == VALUE_JSON ||
        out_value->kind == VALUE_BLOB) {
        char *copy = event_memory_text(&script->memory, out_value->bytes);
        if (copy == NULL) {
            return no_memory(e);
        }
        out_value->bytes.ptr = (const uint8_t *)copy;
    }
    return ERR_OK;
}

static enum err reserve(struct table_script *script, size_t count, struct error *e)
{
    if (count <= script->capacity) {
        return ERR_OK;
    }
    size_t capacity = count * 2;
    struct event_value *values = reallocarray(script->values, capacity, sizeof(values[0]));
    if (values == NULL) {
        return no_memory(e);
    }
    script->values = values;
    script->capacity = capacity;
    return ERR_OK;
}

static enum err read_columns(struct table_script *script, sqlite3_stmt *statement, struct error *e)
{
    uint32_t count = (uint32_t)sqlite3_column_count(statement);
    script->columns = calloc(count + 1, sizeof(script->columns[0]));
    for (uint32_t i = 0; script->columns != NULL && i < count; i++) {
        script->columns[i] = event_memory_text(
            &script->memory, bytes_from_text(sqlite3_column_name(statement, (int)i)));
        if (script->columns[i] == NULL) {
            return no_memory(e);
        }
    }
    script->data.column_count = count;
    return script->columns == NULL ? no_memory(e) : ERR_OK;
}

static enum err read_row(struct table_script *script, sqlite3_stmt *statement, struct error *e)
{
    struct table_data *data = &script->data;
    size_t at = data->row_count * data->column_count;
    enum err rc = reserve(script, at + data->column_count, e);
    for (uint32_t i = 0; rc == ERR_OK && i < data->column_count; i++) {
        rc =
            copy_value(script, sqlite3_column_value(statement, (int)i), &script->values[at + i], e);
    }
    data->row_count++;
    return rc;
}

static enum err read_table(struct table_script *script, const struct table_script_options *options,
                           struct error *e)
{
    sqlite3_stmt *statement = NULL;
    char *sql = sqlite3_mprintf("SELECT * FROM main.\"%w\"", options->name);
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(script->db, sql, -1, &statement, NULL);
    sqlite3_free(sql);
    if (rc != SQLITE_OK) {
        return error_set(e, ERR_CONFIG, "the script makes no table \"%s\"", options->name);
    }
    enum err result = read_columns(script, statement, e);
    while (result == ERR_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        result =
            script->data.row_count == options->rows_max
                ? error_set(e, ERR_CONFIG, "the table has more than %u rows", options->rows_max)
                : read_row(script, statement, e);
    }
    if (result == ERR_OK && rc != SQLITE_DONE) {
        result = step_error(script, rc, -1, e);
    }
    sqlite3_finalize(statement);
    return result;
}

enum err table_script_run(struct table_script **out_script,
                          const struct table_script_options *options, struct error *e)
{
    struct table_script *script = calloc(1, sizeof(*script));
    if (script == NULL) {
        return no_memory(e);
    }
    event_memory_init(&script->memory);
    enum err rc = open_scratch(script, options->size_bytes, e);
    if (rc == ERR_OK) {
        script->is_fenced = true;
        rc = run_statements(script, options->sql, e);
        script->is_fenced = false;
    }
    rc = rc == ERR_OK ? read_table(script, options, e) : rc;
    sqlite3_close(script->db);
    script->db = NULL;
    if (rc != ERR_OK) {
        table_script_destroy(script);
        return rc;
    }
    script->data.table = options->name;
    script->data.columns = script->columns;
    script->data.values = script->values;
    *out_script = script;
    return ERR_OK;
}

void table_script_destroy(struct table_script *script)
{
    if (script == NULL) {
        return;
    }
    event_memory_deinit(&script->memory);
    free(script->columns);
    free(script->values);
    free(script);
}

const struct table_data *table_script_data(const struct table_script *script)
{
    return &script->data;
}
