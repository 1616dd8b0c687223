#include "core/rule_values.h"

#include <stdlib.h>

struct table {
    sqlite3_vtab base;
    const struct rule_values *values;
};

struct cursor {
    sqlite3_vtab_cursor base;
    bool is_over;
};

// No types: values stay what they are.
static int declare(sqlite3 *db, const struct rule_values *values)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    for (uint32_t i = 0; i < values->column_count; i++) {
        sqlite3_str_appendf(sql, "%s\"%w\"", i == 0 ? "" : ",", values->columns[i]);
    }
    sqlite3_str_appendall(sql, ")");
    char *text = sqlite3_str_finish(sql);
    int rc = text == NULL ? SQLITE_NOMEM : sqlite3_declare_vtab(db, text);
    sqlite3_free(text);
    return rc;
}

static int table_connect(sqlite3 *db, void *context, int argc, const char *const *argv,
                         sqlite3_vtab **out_table, char **out_error)
{
    (void)argc;
    (void)argv;
    struct rule_values *values = context;
    struct rule_space *space = values->space;
    const struct rule_statement *compiling = space->compiling;
    space->compiling = NULL; // The declaration is ours and would be fenced.
    int rc = declare(db, values);
    space->compiling = compiling;
    if (rc != SQLITE_OK) {
        *out_error = sqlite3_mprintf("%s", sqlite3_errmsg(db));
        return rc;
    }
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    table->values = values;
    *out_table = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

// One row, cheap: the events stay the outermost loop.
static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = 1;
    info->estimatedRows = 1;
    return SQLITE_OK;
}

static int table_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out_cursor)
{
    (void)table;
    struct cursor *cursor = calloc(1, sizeof(*cursor));
    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    *out_cursor = &cursor->base;
    return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int table_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
                        sqlite3_value **argv)
{
    (void)number;
    (void)text;
    (void)argc;
    (void)argv;
    ((struct cursor *)cursor)->is_over = false;
    return SQLITE_OK;
}

static int table_next(sqlite3_vtab_cursor *cursor)
{
    ((struct cursor *)cursor)->is_over = true;
    return SQLITE_OK;
}

static int table_eof(sqlite3_vtab_cursor *cursor)
{
    return ((struct cursor *)cursor)->is_over;
}

static int table_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int index)
{
    const struct rule_values *values = ((const struct table *)cursor->pVtab)->values;
    struct event_value value = {.kind = VALUE_NULL};
    values->column(values->context, (uint32_t)index, &value);
    value_result(&value, context);
    return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out_rowid)
{
    (void)cursor;
    *out_rowid = 1;
    return SQLITE_OK;
}

// No xCreate: the table is there under its module's name and cannot be created.
static const sqlite3_module module = {
    .iVersion = 0,
    .xConnect = table_connect,
    .xBestIndex = table_best_index,
    .xDisconnect = table_disconnect,
    .xOpen = table_open,
    .xClose = table_close,
    .xFilter = table_filter,
    .xNext = table_next,
    .xEof = table_eof,
    .xColumn = table_column,
    .xRowid = table_rowid,
};

enum err rule_values_show(struct rule_values *values, struct rule_space *space, struct error *e)
{
    if (values->space != NULL) {
        return ERR_OK;
    }
    values->space = space;
    int rc = sqlite3_create_module_v2(space->db, values->table, &module, values, NULL);
    if (rc != SQLITE_OK) {
        values->space = NULL;
        return error_set(e, rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_INTERNAL,
                         "register the values of \"%s\": %s", values->alias,
                         sqlite3_errmsg(space->db));
    }
    return ERR_OK;
}

void rule_values_hide(struct rule_values *values)
{
    if (values->space != NULL) {
        sqlite3_create_module_v2(values->space->db, values->table, NULL, NULL, NULL);
        values->space = NULL;
    }
}
