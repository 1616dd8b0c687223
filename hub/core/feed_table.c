#include "core/feed_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_value.h"
#include "core/rule_feed.h"
#include "core/tables.h"

#define RENEWED "renewed"

struct feed_table {
    sqlite3 *db;
    char *name;
    uint32_t columns, key; // Of the SELECT; which one is the key.
    int64_t keep_ms;
    uint64_t rows_max, rows;
    bool is_counted;
    sqlite3_stmt *remove, *remove_unnamed, *insert, *oldest, *remove_row, *count;
};

enum err feed_table_error(sqlite3 *db, int sqlite_rc, struct error *e)
{
    const char *text = sqlite3_errmsg(db);
    switch (sqlite_rc & 0xFF) {
    case SQLITE_NOMEM:
        return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
    case SQLITE_FULL:
        return error_set(e, ERR_FULL, "%s", text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(e, ERR_CORRUPT, "%s", text);
    case SQLITE_IOERR:
        return error_set(e, ERR_IO, "%s", text);
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_INTERRUPT:
        return error_set(e, ERR_INVALID, "%s", text);
    default:
        return error_set(e, ERR_INTERNAL, "%s", text);
    }
}

static enum err prepare(struct feed_table *table, char *sql, sqlite3_stmt **out_statement,
                        struct error *e)
{
    int rc = sql == NULL ? SQLITE_NOMEM
                         : sqlite3_prepare_v3(table->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                              out_statement, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? ERR_OK : feed_table_error(table->db, rc, e);
}

static enum err run(sqlite3 *db, char *sql, struct error *e)
{
    int rc = sql == NULL ? SQLITE_NOMEM : sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? ERR_OK : feed_table_error(db, rc, e);
}

static enum err step(struct feed_table *table, sqlite3_stmt *statement, struct error *e)
{
    int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc == SQLITE_DONE ? ERR_OK : feed_table_error(table->db, rc, e);
}

// ---- definition ---------------------------------------------------------------------------------

static enum err check_columns(const struct table_spec *spec, sqlite3_stmt *compiled,
                              uint32_t *out_key, struct error *e)
{
    uint32_t count = (uint32_t)sqlite3_column_count(compiled);
    bool has_key = false;
    if (count > TABLE_COLUMNS_MAX) {
        return error_set(e, ERR_CONFIG, "more than %d columns", TABLE_COLUMNS_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(compiled, (int)i);
        if (strcasecmp(name, RENEWED) == 0) {
            return error_set(e, ERR_CONFIG,
                             "the column %s is there already: it says when a row was renewed",
                             RENEWED);
        }
        if (strcasecmp(name, spec->key) == 0) {
            has_key = true;
            *out_key = i;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcasecmp(name, sqlite3_column_name(compiled, (int)j)) == 0) {
                return error_set(e, ERR_CONFIG, "two columns are called '%.80s'", name);
            }
        }
    }
    return has_key ? ERR_OK
                   : error_set(e, ERR_CONFIG, "key: the SELECT gives no column '%.80s'", spec->key);
}

// An index is used only where both sides of a comparison are of one kind: what an event gives as
// device or topic is text, and so are most keys.
static const char *type_of(sqlite3_stmt *compiled, int column, bool is_key)
{
    const char *declared = sqlite3_column_decltype(compiled, column);
    if (declared != NULL && strcasecmp(declared, "INTEGER") == 0) {
        return "INTEGER";
    }
    return is_key || (declared != NULL && strcasecmp(declared, "TEXT") == 0) ? "TEXT" : "";
}

static char *definition_of(const struct table_spec *spec, sqlite3_stmt *compiled)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "CREATE TABLE \"%w\"(", spec->name);
    for (int i = 0; i < sqlite3_column_count(compiled); i++) {
        const char *name = sqlite3_column_name(compiled, i);
        bool is_key = strcasecmp(name, spec->key) == 0;
        sqlite3_str_appendf(sql, "\"%w\" %s%s, ", name, type_of(compiled, i, is_key),
                            is_key ? " NOT NULL PRIMARY KEY" : "");
    }
    sqlite3_str_appendall(sql, RENEWED " INTEGER NOT NULL)");
    return sqlite3_str_finish(sql);
}

// *out_definition: as it is in the register; NULL: the table is not ours, or is not there.
static enum err find_registered(sqlite3 *db, const char *name, char **out_definition,
                                bool *out_is_taken, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    *out_definition = NULL;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT (SELECT definition FROM pipit_table WHERE name = ?1 COLLATE"
                                " NOCASE), EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1"
                                " COLLATE NOCASE)",
                                -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        const char *definition = (const char *)sqlite3_column_text(statement, 0);
        *out_definition = definition == NULL ? NULL : strdup(definition);
        *out_is_taken = sqlite3_column_int(statement, 1) != 0;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? ERR_OK : feed_table_error(db, rc, e);
}

static enum err make(sqlite3 *db, const struct table_spec *spec, const char *definition,
                     struct error *e)
{
    enum err rc = run(db, sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\"", spec->name), e);
    rc = rc == ERR_OK ? run(db, sqlite3_mprintf("%s", definition), e) : rc;
    return rc == ERR_OK
               ? run(db,
                     sqlite3_mprintf("INSERT OR REPLACE INTO pipit_table(name, definition,"
                                     " fingerprint, rows) VALUES (%Q, 'events: ' || %Q, '', 0)",
                                     spec->name, definition),
                     e)
               : rc;
}

static enum err make_where_needed(sqlite3 *db, const struct table_spec *spec,
                                  sqlite3_stmt *compiled, struct error *e)
{
    char *registered = NULL, *definition = definition_of(spec, compiled);
    bool is_taken = false;
    enum err rc = definition == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a table")
                                     : find_registered(db, spec->name, &registered, &is_taken, e);
    bool is_same = registered != NULL && strncmp(registered, "events: ", 8) == 0 &&
                   strcmp(registered + 8, definition) == 0;
    if (rc == ERR_OK && registered == NULL && is_taken) {
        rc = error_set(e, ERR_CONFIG,
                       "the store has a table of that name that the hub did not make; choose "
                       "another name, or drop it with the sqlite3 shell");
    } else if (rc == ERR_OK && !is_same) {
        rc = make(db, spec, definition, e);
    }
    sqlite3_free(definition);
    free(registered);
    return rc;
}

// ---- open ---------------------------------------------------------------------------------------

static char *insert_of(const char *name, uint32_t columns)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "INSERT INTO \"%w\" VALUES (?", name);
    for (uint32_t i = 1; i < columns; i++) {
        sqlite3_str_appendall(sql, ", ?");
    }
    sqlite3_str_appendall(sql, ")");
    return sqlite3_str_finish(sql);
}

// A row that is renewed gets a new rowid: the smallest is the one that was renewed longest ago.
static enum err prepare_common(struct feed_table *table, const char *renewed, uint32_t columns,
                               struct error *e)
{
    enum err rc = prepare(table, insert_of(table->name, columns), &table->insert, e);
    rc = rc == ERR_OK ? prepare(table,
                                sqlite3_mprintf("SELECT rowid, %s FROM \"%w\" ORDER BY rowid"
                                                " LIMIT 1",
                                                renewed, table->name),
                                &table->oldest, e)
                      : rc;
    rc = rc == ERR_OK
             ? prepare(table, sqlite3_mprintf("DELETE FROM \"%w\" WHERE rowid = ?1", table->name),
                       &table->remove_row, e)
             : rc;
    return rc == ERR_OK
               ? prepare(table, sqlite3_mprintf("SELECT count(*) FROM \"%w\"", table->name),
                         &table->count, e)
               : rc;
}

static struct feed_table *table_create(sqlite3 *db, const char *name, uint64_t rows_max)
{
    struct feed_table *table = calloc(1, sizeof(*table));
    if (table == NULL || (table->name = strdup(name)) == NULL) {
        free(table);
        return NULL;
    }
    table->db = db;
    table->rows_max = rows_max;
    return table;
}

enum err feed_table_open(struct feed_table **out_table, sqlite3 *db, const struct table_spec *spec,
                         sqlite3_stmt *compiled, struct error *e)
{
    struct feed_table *table = table_create(db, spec->name, spec->rows_max);
    if (table == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
    }
    table->keep_ms = spec->keep_ms;
    table->columns = (uint32_t)sqlite3_column_count(compiled);
    enum err rc = check_columns(spec, compiled, &table->key, e);
    rc = rc == ERR_OK ? make_where_needed(db, spec, compiled, e) : rc;
    rc = rc == ERR_OK ? prepare_common(table, RENEWED, table->columns + 1, e) : rc;
    rc = rc == ERR_OK ? prepare(table,
                                sqlite3_mprintf("DELETE FROM \"%w\" WHERE \"%w\" = ?1", spec->name,
                                                spec->key),
                                &table->remove, e)
                      : rc;
    if (rc != ERR_OK) {
        feed_table_close(table);
        return rc;
    }
    *out_table = table;
    return ERR_OK;
}

void feed_table_close(struct feed_table *table)
{
    if (table == NULL) {
        return;
    }
    sqlite3_stmt *const statements[] = {table->remove, table->remove_unnamed, table->insert,
                                        table->oldest, table->remove_row,     table->count};
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        sqlite3_finalize(statements[i]);
    }
    free(table->name);
    free(table);
}

void feed_table_forget_count(struct feed_table *table)
{
    if (table != NULL) {
        table->is_counted = false;
    }
}

// ---- rows ---------------------------------------------------------------------------------------

static void bind(sqlite3_stmt *statement, int index, const struct event_value *value)
{
    switch (value->kind) {
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
        sqlite3_bind_int64(statement, index, value->integer);
        break;
    case VALUE_REAL:
        sqlite3_bind_double(statement, index, value->real);
        break;
    case VALUE_TEXT:
    case VALUE_JSON:
        sqlite3_bind_text64(statement, index,
                            value->bytes.ptr == NULL ? "" : (const char *)value->bytes.ptr,
                            value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        sqlite3_bind_blob64(statement, index, value->bytes.ptr, value->bytes.len, SQLITE_STATIC);
        break;
    case VALUE_NULL:
    case VALUE_TREE:
        sqlite3_bind_null(statement, index);
        break;
    }
}

static enum err count_rows(struct feed_table *table, struct error *e)
{
    if (table->is_counted) {
        return ERR_OK;
    }
    int rc = sqlite3_step(table->count);
    if (rc == SQLITE_ROW) {
        table->rows = (uint64_t)sqlite3_column_int64(table->count, 0);
        table->is_counted = true;
    }
    sqlite3_reset(table->count);
    return rc == SQLITE_ROW ? ERR_OK : feed_table_error(table->db, rc, e);
}

// false: the table is empty.
static enum err find_oldest(struct feed_table *table, bool *out_found, int64_t *out_rowid,
                            int64_t *out_renewed, struct error *e)
{
    int rc = sqlite3_step(table->oldest);
    *out_found = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        *out_rowid = sqlite3_column_int64(table->oldest, 0);
        *out_renewed = sqlite3_column_int64(table->oldest, 1);
        rc = SQLITE_DONE;
    }
    sqlite3_reset(table->oldest);
    return rc == SQLITE_DONE ? ERR_OK : feed_table_error(table->db, rc, e);
}

static enum err remove_oldest(struct feed_table *table, int64_t rowid, struct error *e)
{
    sqlite3_bind_int64(table->remove_row, 1, rowid);
    enum err rc = step(table, table->remove_row, e);
    table->rows -= rc == ERR_OK && table->rows > 0;
    return rc;
}

static enum err make_room(struct feed_table *table, struct error *e)
{
    enum err rc = ERR_OK;
    bool is_found = true;
    while (rc == ERR_OK && is_found && table->rows > table->rows_max) {
        int64_t rowid, renewed;
        rc = find_oldest(table, &is_found, &rowid, &renewed, e);
        rc = rc == ERR_OK && is_found ? remove_oldest(table, rowid, e) : rc;
    }
    return rc;
}

enum err feed_table_expire(struct feed_table *table, int64_t now_ms, struct error *e)
{
    bool is_found = table->keep_ms > 0;
    enum err rc = is_found ? count_rows(table, e) : ERR_OK;
    while (rc == ERR_OK && is_found) {
        int64_t rowid, renewed;
        rc = find_oldest(table, &is_found, &rowid, &renewed, e);
        is_found = is_found && renewed <= now_ms - table->keep_ms;
        rc = rc == ERR_OK && is_found ? remove_oldest(table, rowid, e) : rc;
    }
    return rc;
}

// After `remove` has been bound.
static enum err replace(struct feed_table *table, sqlite3_stmt *remove, struct error *e)
{
    enum err rc = count_rows(table, e);
    rc = rc == ERR_OK ? step(table, remove, e) : rc;
    if (rc == ERR_OK) {
        table->rows -= (uint64_t)sqlite3_changes64(table->db);
        rc = step(table, table->insert, e);
        table->rows += rc == ERR_OK;
    }
    return rc == ERR_OK ? make_room(table, e) : rc;
}

enum err feed_table_check(const struct feed_table *table, const struct event_value *values,
                          uint32_t rows, struct error *e)
{
    for (uint32_t row = 0; row < rows; row++) {
        if (values[row * table->columns + table->key].kind == VALUE_NULL) {
            return error_set(e, ERR_INVALID, "the key is NULL; leave such rows out with WHERE");
        }
    }
    return ERR_OK;
}

enum err feed_table_put(struct feed_table *table, const struct event_value *values, int64_t now_ms,
                        struct error *e)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        bind(table->insert, (int)i + 1, &values[i]);
    }
    sqlite3_bind_int64(table->insert, (int)table->columns + 1, now_ms);
    bind(table->remove, 1, &values[table->key]);
    return replace(table, table->remove, e);
}

// ---- latest -------------------------------------------------------------------------------------

// An event of a device is named by device, type and group, any other one by its topic.
enum err feed_table_make_latest(sqlite3 *db, struct error *e)
{
    return run(db,
               sqlite3_mprintf("CREATE TABLE " LATEST_TABLE
                               "(device TEXT, device_group TEXT NOT NULL, type TEXT NOT NULL,"
                               " topic TEXT NOT NULL, time INTEGER, received INTEGER NOT NULL,"
                               " sequence INTEGER, fields TEXT, payload,"
                               " UNIQUE (device, type, device_group));"
                               "CREATE INDEX pipit_latest_topic ON " LATEST_TABLE "(topic)"),
               e);
}

enum err feed_table_open_latest(struct feed_table **out_table, sqlite3 *db, struct error *e)
{
    struct feed_table *table = table_create(db, LATEST_TABLE, LATEST_ROWS_MAX);
    if (table == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
    }
    enum err rc = prepare_common(table, "received", 9, e);
    rc = rc == ERR_OK ? prepare(table,
                                sqlite3_mprintf("DELETE FROM " LATEST_TABLE " WHERE device = ?1"
                                                " AND type = ?2 AND device_group = ?3"),
                                &table->remove, e)
                      : rc;
    rc = rc == ERR_OK ? prepare(table,
                                sqlite3_mprintf("DELETE FROM " LATEST_TABLE
                                                " WHERE topic = ?1 AND device IS NULL"),
                                &table->remove_unnamed, e)
                      : rc;
    if (rc != ERR_OK) {
        feed_table_close(table);
        return rc;
    }
    *out_table = table;
    return ERR_OK;
}

static void bind_name(sqlite3_stmt *statement, int index, const char *name)
{
    sqlite3_bind_text(statement, index, name, -1, SQLITE_STATIC);
}

static char *fields_text(struct event *event)
{
    struct event_value fields;
    event_column(event, EVENT_COLUMN_FIELDS, &fields);
    if (fields.kind == VALUE_TREE) {
        return json_to_text(fields.tree);
    }
    return fields.kind == VALUE_JSON || fields.kind == VALUE_TEXT
               ? strndup((const char *)fields.bytes.ptr, fields.bytes.len)
               : NULL;
}

static void bind_column(sqlite3_stmt *statement, int index, struct event *event,
                        enum event_column column)
{
    struct event_value value;
    event_column(event, column, &value);
    bind(statement, index, &value);
}

enum err feed_table_put_latest(struct feed_table *table, struct event *event, struct error *e)
{
    sqlite3_stmt *insert = table->insert, *remove = table->remove;
    const char *device = event_device(event);
    bool is_named = device[0] != '\0';
    char *fields = fields_text(event);
    bind_column(insert, 1, event, EVENT_COLUMN_DEVICE);
    bind_name(insert, 2, event_group(event));
    bind_name(insert, 3, event_type(event));
    bind_column(insert, 4, event, EVENT_COLUMN_TOPIC);
    bind_column(insert, 5, event, EVENT_COLUMN_TIME);
    bind_column(insert, 6, event, EVENT_COLUMN_RECEIVED);
    bind_column(insert, 7, event, EVENT_COLUMN_SEQUENCE);
    sqlite3_bind_text(insert, 8, fields, -1, SQLITE_STATIC);
    bind_column(insert, 9, event, EVENT_COLUMN_PAYLOAD);
    if (is_named) {
        bind_name(remove, 1, device);
        bind_name(remove, 2, event_type(event));
        bind_name(remove, 3, event_group(event));
    } else {
        remove = table->remove_unnamed;
        bind_column(remove, 1, event, EVENT_COLUMN_TOPIC);
    }
    enum err rc = replace(table, remove, e);
    sqlite3_clear_bindings(insert);
    free(fields);
    return rc;
}
