#include "core/tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_value.h"
#include "core/sql.h"

#define NAME_BYTES_MAX 64

const char *table_name_problem(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    static const char *const taken[] = {"pipit_", "sqlite_", "pragma_", "json_"};
    size_t len = strlen(name);
    if (len == 0 || len > NAME_BYTES_MAX || strspn(name, letters) != len ||
        (name[0] >= '0' && name[0] <= '9')) {
        return "must be 1 to 64 letters, digits or '_', a letter first";
    }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (strncasecmp(name, taken[i], strlen(taken[i])) == 0) {
            return "begins like a table of the hub or of SQLite";
        }
    }
    return strcasecmp(name, "latest") == 0 ? "is the built-in table" : NULL;
}

// Statements that are used now and then: prepared for one use.
static enum err prepare(struct store *store, const char *sql, sqlite3_stmt **out_statement,
                        struct error *e)
{
    int rc = sqlite3_prepare_v2(store_db(store), sql, -1, out_statement, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_fail(store, rc, sql, e);
}

static enum err run(struct store *store, char *sql, struct error *e)
{
    if (sql == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
    }
    int rc = sqlite3_exec(store_db(store), sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? ERR_OK : store_fail(store, rc, "change a table", e);
}

// ---- columns ------------------------------------------------------------------------------------

// Of all values of a column: what joins compare it as. Only an index on a column of the other
// side's kind can be used.
static const char *affinity_of(const struct table_data *data, uint32_t column)
{
    bool has_text = false, has_real = false, has_integer = false, has_blob = false;
    for (uint64_t row = 0; row < data->row_count; row++) {
        switch (data->values[row * data->column_count + column].kind) {
        case VALUE_NULL:
            break;
        case VALUE_BOOLEAN:
        case VALUE_INTEGER:
            has_integer = true;
            break;
        case VALUE_REAL:
            has_real = true;
            break;
        case VALUE_TEXT:
        case VALUE_JSON:
            has_text = true;
            break;
        case VALUE_BLOB:
        case VALUE_TREE:
            has_blob = true;
            break;
        }
    }
    if (has_blob || (has_text && (has_integer || has_real))) {
        return "BLOB"; // As each value is.
    }
    return has_text ? "TEXT" : has_real ? "NUMERIC" : has_integer ? "INTEGER" : "TEXT";
}

// CREATE TABLE, which is also how the definition is remembered.
static char *definition_of(const struct table_spec *spec, const struct table_data *data)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    bool has_key = false;
    sqlite3_str_appendf(sql, "CREATE TABLE \"%w\"(", spec->name);
    for (uint32_t i = 0; i < data->column_count; i++) {
        bool is_key = spec->key != NULL && strcasecmp(spec->key, data->columns[i]) == 0;
        sqlite3_str_appendf(sql, "%s\"%w\" %s%s", i == 0 ? "" : ", ", data->columns[i],
                            affinity_of(data, i), is_key ? " NOT NULL PRIMARY KEY" : "");
        has_key |= is_key;
    }
    sqlite3_str_appendall(sql, has_key ? ") WITHOUT ROWID" : ")");
    return sqlite3_str_finish(sql);
}

static enum err check_columns(const struct table_spec *spec, const struct table_data *data,
                              struct error *e)
{
    bool has_key = spec->key == NULL;
    if (data->column_count == 0 || data->column_count > TABLE_COLUMNS_MAX) {
        return error_set(e, ERR_CONFIG, "table \"%s\": %u columns; 1 to %d are possible",
                         spec->name, data->column_count, TABLE_COLUMNS_MAX);
    }
    for (uint32_t i = 0; i < data->column_count; i++) {
        has_key |= spec->key != NULL && strcasecmp(spec->key, data->columns[i]) == 0;
        for (uint32_t j = 0; j < i; j++) {
            if (strcasecmp(data->columns[i], data->columns[j]) == 0) {
                return error_set(e, ERR_CONFIG, "table \"%s\": two columns are called '%.80s'",
                                 spec->name, data->columns[i]);
            }
        }
    }
    return has_key ? ERR_OK
                   : error_set(e, ERR_CONFIG, "table \"%s\": key: there is no column '%.80s'",
                               spec->name, spec->key);
}

// ---- the register -------------------------------------------------------------------------------

struct registered {
    char *definition, *fingerprint; // NULL: the table is not ours.
};

static void registered_deinit(struct registered *registered)
{
    free(registered->definition);
    free(registered->fingerprint);
}

static enum err find_registered(struct store *store, const char *name,
                                struct registered *out_registered, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;
    *out_registered = (struct registered){NULL, NULL};
    enum err rc = prepare(
        store, "SELECT definition, fingerprint FROM pipit_table WHERE name = ?1 COLLATE NOCASE",
        &statement, e);
    if (rc == ERR_OK) {
        sql_bind_text(statement, 1, bytes_from_text(name));
        rc = sql_next(store, statement, "read the register of tables", &has_row, e);
    }
    if (rc == ERR_OK && has_row) {
        out_registered->definition = strdup((const char *)sqlite3_column_text(statement, 0));
        out_registered->fingerprint = strdup((const char *)sqlite3_column_text(statement, 1));
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum err check_free(struct store *store, const char *name, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false;
    enum err rc =
        prepare(store, "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE", &statement, e);
    if (rc == ERR_OK) {
        sql_bind_text(statement, 1, bytes_from_text(name));
        rc = sql_next(store, statement, "look for a table", &has_row, e);
    }
    sqlite3_finalize(statement);
    return rc == ERR_OK && has_row
               ? error_set(e, ERR_CONFIG,
                           "table \"%s\": the store has a table of that name that the hub did not "
                           "make; choose another name, or drop it with the sqlite3 shell",
                           name)
               : rc;
}

static enum err register_table(struct store *store, const struct table_data *data,
                               const char *definition, struct error *e)
{
    return run(store,
               sqlite3_mprintf("INSERT OR REPLACE INTO pipit_table(name, definition, fingerprint,"
                               " rows) VALUES (%Q, %Q, %Q, %lld)",
                               data->table, definition, data->fingerprint,
                               (long long)data->row_count),
               e);
}

static enum err drop(struct store *store, const char *name, struct error *e)
{
    enum err rc = run(store, sqlite3_mprintf("DROP TABLE IF EXISTS \"%w\"", name), e);
    return rc == ERR_OK
               ? run(store, sqlite3_mprintf("DELETE FROM pipit_table WHERE name = %Q", name), e)
               : rc;
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
        sql_bind_text(statement, index, value->bytes);
        break;
    case VALUE_BLOB:
        sql_bind_blob(statement, index, value->bytes);
        break;
    case VALUE_NULL:
    case VALUE_TREE:
        sqlite3_bind_null(statement, index);
        break;
    }
}

// The only constraint there is is the key's.
static enum err key_error(const struct table_spec *spec, const struct table_data *data,
                          uint64_t row, struct error *e)
{
    uint32_t column = 0;
    while (strcasecmp(data->columns[column], spec->key) != 0) {
        column++;
    }
    const struct event_value *value = &data->values[row * data->column_count + column];
    char text[80] = "";
    if (value->kind == VALUE_TEXT) {
        snprintf(text, sizeof(text), "'%.*s'", (int)(value->bytes.len < 60 ? value->bytes.len : 60),
                 (const char *)value->bytes.ptr);
    } else if (value->kind == VALUE_INTEGER) {
        snprintf(text, sizeof(text), "%" PRId64, value->integer);
    } else if (value->kind == VALUE_REAL) {
        real_to_text(value->real, text);
    }
    return value->kind == VALUE_NULL
               ? error_set(e, ERR_CONFIG, "table \"%s\": row %" PRIu64 ": the key %s is empty",
                           spec->name, row + 1, spec->key)
               : error_set(e, ERR_CONFIG,
                           "table \"%s\": row %" PRIu64 ": the key %s %s is there twice",
                           spec->name, row + 1, spec->key, text);
}

static char *insert_of(const struct table_spec *spec, uint32_t columns)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "INSERT INTO \"%w\" VALUES (?", spec->name);
    for (uint32_t i = 1; i < columns; i++) {
        sqlite3_str_appendall(sql, ", ?");
    }
    sqlite3_str_appendall(sql, ")");
    return sqlite3_str_finish(sql);
}

static enum err insert_rows(struct store *store, const struct table_spec *spec,
                            const struct table_data *data, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    char *sql = insert_of(spec, data->column_count);
    enum err rc = sql == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a table")
                              : prepare(store, sql, &statement, e);
    sqlite3_free(sql);
    for (uint64_t row = 0; rc == ERR_OK && row < data->row_count; row++) {
        for (uint32_t i = 0; i < data->column_count; i++) {
            bind(statement, (int)i + 1, &data->values[row * data->column_count + i]);
        }
        int sqlite_rc = sqlite3_step(statement);
        if ((sqlite_rc & 0xFF) == SQLITE_CONSTRAINT) {
            rc = key_error(spec, data, row, e);
        } else if (sqlite_rc != SQLITE_DONE) {
            rc = store_fail(store, sqlite_rc, "fill a table", e);
        }
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum table_change change_of(const struct registered *registered, const char *definition,
                                   const char *fingerprint)
{
    if (registered->definition == NULL || strcmp(registered->definition, definition) != 0) {
        return TABLE_COLUMNS;
    }
    return strcmp(registered->fingerprint, fingerprint) == 0 ? TABLE_SAME : TABLE_ROWS;
}

static enum err remake(struct store *store, const struct table_spec *spec,
                       const struct registered *registered, const char *definition, struct error *e)
{
    enum err rc = registered->definition != NULL ? drop(store, spec->name, e)
                                                 : check_free(store, spec->name, e);
    return rc == ERR_OK ? run(store, sqlite3_mprintf("%s", definition), e) : rc;
}

static enum err compare(struct store *store, const struct table_spec *spec,
                        const struct table_data *data, struct registered *out_registered,
                        char **out_definition, enum table_change *out_change, struct error *e)
{
    enum err rc = check_columns(spec, data, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_definition = definition_of(spec, data);
    if (*out_definition == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a table");
    }
    rc = find_registered(store, spec->name, out_registered, e);
    if (rc == ERR_OK) {
        *out_change = change_of(out_registered, *out_definition, data->fingerprint);
    }
    return rc;
}

enum err tables_compare(struct store *store, const struct table_spec *spec,
                        const struct table_data *data, enum table_change *out_change,
                        struct error *e)
{
    struct registered registered = {NULL, NULL};
    char *definition = NULL;
    enum err rc = compare(store, spec, data, &registered, &definition, out_change, e);
    registered_deinit(&registered);
    sqlite3_free(definition);
    return rc;
}

enum err tables_load(struct store *store, const struct table_spec *spec,
                     const struct table_data *data, struct error *e)
{
    struct registered registered = {NULL, NULL};
    char *definition = NULL;
    enum table_change change = TABLE_SAME;
    enum err rc = compare(store, spec, data, &registered, &definition, &change, e);
    if (rc == ERR_OK && change == TABLE_COLUMNS) {
        rc = remake(store, spec, &registered, definition, e);
    } else if (rc == ERR_OK && change == TABLE_ROWS) {
        rc = run(store, sqlite3_mprintf("DELETE FROM \"%w\"", spec->name), e);
    }
    if (rc == ERR_OK && change != TABLE_SAME) {
        rc = insert_rows(store, spec, data, e);
    }
    if (rc == ERR_OK && change != TABLE_SAME) {
        rc = register_table(store, data, definition, e);
    }
    registered_deinit(&registered);
    sqlite3_free(definition);
    return rc;
}

// ---- all of them --------------------------------------------------------------------------------

static bool is_wanted(const struct core_spec *spec, const char *name, const char *definition)
{
    bool is_file = strncmp(definition, "CREATE TABLE ", 13) == 0;
    for (uint32_t i = 0; i < spec->table_count; i++) {
        if (strcasecmp(spec->tables[i].name, name) == 0) {
            return (spec->tables[i].sql == NULL) == is_file;
        }
    }
    return false;
}

// One at a time, for the list changes under a reader.
static enum err find_unwanted(struct store *store, const struct core_spec *spec, char **out_name,
                              struct error *e)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = true;
    *out_name = NULL;
    enum err rc = prepare(store, "SELECT name, definition FROM pipit_table", &statement, e);
    while (rc == ERR_OK && has_row && *out_name == NULL) {
        rc = sql_next(store, statement, "read the register of tables", &has_row, e);
        if (rc == ERR_OK && has_row) {
            const char *name = (const char *)sqlite3_column_text(statement, 0);
            const char *definition = (const char *)sqlite3_column_text(statement, 1);
            *out_name = is_wanted(spec, name, definition) ? NULL : strdup(name);
        }
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum err drop_unwanted(struct store *store, const struct core_spec *spec, struct error *e)
{
    char *name = NULL;
    enum err rc = find_unwanted(store, spec, &name, e);
    while (rc == ERR_OK && name != NULL) {
        rc = drop(store, name, e);
        free(name);
        name = NULL;
        rc = rc == ERR_OK ? find_unwanted(store, spec, &name, e) : rc;
    }
    free(name);
    return rc;
}

enum err tables_apply(struct store *store, const struct core_spec *spec, struct error *e)
{
    enum err rc = drop_unwanted(store, spec, e);
    for (uint32_t i = 0; rc == ERR_OK && i < spec->table_count; i++) {
        if (spec->tables[i].data != NULL) {
            rc = tables_load(store, &spec->tables[i], spec->tables[i].data, e);
        }
    }
    return rc;
}

enum err tables_drop_latest(struct store *store, struct error *e)
{
    return run(store, sqlite3_mprintf("DROP TABLE IF EXISTS latest"), e);
}

void tables_tell(struct store *store, core_counter_fn *each, void *context)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(store),
                                "SELECT name, rows FROM pipit_table WHERE fingerprint <> ''", -1,
                                &statement, NULL);
    while (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        char name[NAME_BYTES_MAX + 20];
        snprintf(name, sizeof(name), "table/%.64s/rows", sqlite3_column_text(statement, 0));
        each(context, name, sql_u64(statement, 1));
    }
    sqlite3_finalize(statement);
}
