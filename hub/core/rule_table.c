// rule_table.c - the virtual table that a topic filter is: the rows are the events at hand, the
// columns are the standard ones and the payload fields that the statement names.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_value.h"
#include "core/rule_statement.h"

struct table {
    sqlite3_vtab base;
    struct rule_statement *statement;
};

// The position is the space's: one statement runs at a time and has one cursor.
struct cursor {
    sqlite3_vtab_cursor base;
};

// A $ before the name makes room for a field of that name.
static void declare_standard(sqlite3_str *sql, const struct rule_statement *statement)
{
    static const char *const declarations[] = {
#define DECLARATION(id, name, type) name "\" " type,
        EVENT_COLUMNS(DECLARATION)
#undef DECLARATION
    };
    for (int i = 0; i < EVENT_COLUMN_COUNT; i++) {
        bool is_there = rule_statement_has_column(statement, (enum event_column)i);
        sqlite3_str_appendf(sql, "%s\"%s%s", i == 0 ? "" : ",", is_there ? "" : "$",
                            declarations[i]);
    }
}

// WITHOUT ROWID, so that a payload field may be called rowid.
static int declare(sqlite3 *db, const struct rule_statement *statement)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE event(");
    declare_standard(sql, statement);
    for (uint32_t i = 0; i < statement->field_count; i++) {
        sqlite3_str_appendf(sql, ",\"%w\" HIDDEN", statement->fields[i]);
    }
    bool has_id = rule_statement_has_column(statement, EVENT_COLUMN_ID);
    sqlite3_str_appendf(sql, ",PRIMARY KEY(\"%sid\")) WITHOUT ROWID", has_id ? "" : "$");
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
    struct rule_statement *statement = context;
    struct rule_space *space = statement->space;
    const struct rule_statement *compiling = space->compiling;
    space->compiling = NULL; // The declaration is ours and would be fenced.
    int rc = declare(db, statement);
    space->compiling = compiling;
    if (rc != SQLITE_OK) {
        *out_error = sqlite3_mprintf("%s", sqlite3_errmsg(db));
        return rc;
    }
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return SQLITE_NOMEM;
    }
    table->statement = statement;
    statement->table = &table->base;
    *out_table = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

// One row, dear to get again: SQLite makes it the outermost loop of any join, also of one whose
// other side is found by a function of the event alone (topic_part), and a batch is one scan.
static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    ((struct table *)table)->statement->columns_used |= info->colUsed;
    info->estimatedCost = 1000;
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

static const struct rule_statement *statement_of(const sqlite3_vtab_cursor *cursor)
{
    return ((const struct table *)cursor->pVtab)->statement;
}

static struct rule_scan *scan_of(const sqlite3_vtab_cursor *cursor)
{
    return &statement_of(cursor)->space->scan;
}

// rule_statement_run has set the scan to its first event. A statement that comes back to its table
// (an inner loop) sees the same one event again, for then the scan holds one only.
static int table_filter(sqlite3_vtab_cursor *cursor, int number, const char *text, int argc,
                        sqlite3_value **argv)
{
    (void)number;
    (void)text;
    (void)argc;
    (void)argv;
    struct rule_scan *scan = scan_of(cursor);
    if (scan->rows != NULL) {
        return scan->rows->rewind(scan->rows->context);
    }
    if (scan->end == 1) {
        scan->position = 0;
    }
    return SQLITE_OK;
}

static int table_next(sqlite3_vtab_cursor *cursor)
{
    struct rule_space *space = statement_of(cursor)->space;
    const struct rule_rows *rows = space->scan.rows;
    if (rows != NULL) {
        return rows->next(rows->context);
    }
    space->scan.position++;
    if (space->scan.end > 1) { // The budget is for each event; a single one may be come back to.
        space->steps = 0;
    }
    return SQLITE_OK;
}

static int table_eof(sqlite3_vtab_cursor *cursor)
{
    const struct rule_scan *scan = scan_of(cursor);
    return scan->rows != NULL ? scan->rows->is_over(scan->rows->context)
                              : scan->position >= scan->end;
}

static int table_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int index)
{
    const struct rule_statement *statement = statement_of(cursor);
    const struct rule_rows *rows = statement->space->scan.rows;
    if (rows != NULL) {
        rows->column(rows->context, index, context);
        return SQLITE_OK;
    }
    struct event *event = rule_space_event(statement->space);
    struct event_value value;
    if (event == NULL) {
        sqlite3_result_null(context);
        return SQLITE_OK;
    }
    if (index < EVENT_COLUMN_COUNT) {
        event_column(event, (enum event_column)index, &value);
    } else {
        const char *field = statement->fields[index - EVENT_COLUMN_COUNT];
        bool is_prefixed = strncasecmp(field, "fields.", 7) == 0;
        event_field(event, is_prefixed ? field + 7 : field, &value);
    }
    value_result(&value, context);
    return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out_rowid)
{
    *out_rowid = scan_of(cursor)->position;
    return SQLITE_OK;
}

// No xCreate: the table is there under its module's name and cannot be created.
const sqlite3_module rule_table_module = {
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
