#include "core/rule_statement.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/event_value.h"
#include "core/function_sites.h"
#include "core/rule_feed.h"
#include "core/rule_values.h"
#include "core/sql_hint.h"
#include "core/topic.h"

#define NO_TABLE  "no such table: "
#define NO_COLUMN "no such column: "

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a rule");
}

static enum err config_error(struct error *e, int32_t offset, const char *text)
{
    error_set(e, ERR_CONFIG, "%s", text);
    e->offset = offset;
    return ERR_CONFIG;
}

static enum err sqlite_error(const struct rule_statement *statement, struct error *e)
{
    sqlite3 *db = statement->space->db;
    if (sqlite3_errcode(db) == SQLITE_NOMEM) {
        return no_memory(e);
    }
    int32_t offset = sqlite3_error_offset(db);
    config_error(e, offset, sqlite3_errmsg(db));
    table_name_clean(e->text);
    return ERR_CONFIG;
}

static bool looks_like_filter(const char *name)
{
    return strpbrk(name, "/+#") != NULL;
}

static enum err take_filter(struct rule_statement *statement, const char *sql, const char *filter,
                            struct error *e)
{
    statement->filter = strdup(filter);
    if (statement->filter == NULL) {
        return no_memory(e);
    }
    enum err rc =
        table_name_make(&statement->table_name, sql, filter, ++statement->space->next_name, e);
    return rc == ERR_OK ? rule_table_show(statement, e) : rc;
}

// SQLite asked for a table: the topic filter, if it is one and the first.
static enum err add_filter(struct rule_statement *statement, const char *sql, const char *table,
                           struct error *e)
{
    const char *place = strstr(sql, table); // SQLite gives none for tables.
    int32_t offset = place == NULL ? -1 : (int32_t)(place - sql);
    bool may_feed = statement->space->feeds != NULL || statement->frame != NULL;
    if (strcasecmp(table, LATEST_TABLE) == 0 && may_feed) {
        return rule_feeds_make_latest(statement->space, e);
    }
    const char *problem = topic_filter_problem(bytes_from_text(table));
    if (statement->frame != NULL) {
        error_set(e, ERR_CONFIG,
                  "no such table: %s (expressions see the event that they are for, and reference "
                  "tables)",
                  table);
    } else if (!looks_like_filter(table)) {
        error_set(
            e, ERR_CONFIG,
            "no such table: %s (a topic filter has a /, + or # in it; for a topic of one level "
            "write \"%s/#\")",
            table, table);
    } else if (problem != NULL) {
        error_set(e, ERR_CONFIG, "topic filter \"%s\" %s", table, problem);
    } else if (statement->filter != NULL) {
        error_set(
            e, ERR_CONFIG,
            "the statement reads two topic filters, \"%s\" and \"%s\"; a rule sees one event at "
            "a time, so write one rule for each",
            statement->filter, table);
    } else {
        return take_filter(statement, sql, table, e);
    }
    e->offset = offset;
    return ERR_CONFIG;
}

// Copies the identifier at sql, without its quotes, and gives what follows it; NULL: there is none.
static const char *take_identifier(const char *sql, char *out_name, size_t size, bool *out_quoted)
{
    static const char closing[] = {['"'] = '"', ['`'] = '`', ['['] = ']'};
    char first = sql[0];
    *out_quoted = first == '"' || first == '`' || first == '[';
    size_t len = 0;
    if (!*out_quoted) {
        while ((isalnum((unsigned char)*sql) || strchr("_$", *sql) != NULL || (*sql & 0x80) != 0) &&
               *sql != '\0' && len + 1 < size) {
            out_name[len++] = *sql++;
        }
        out_name[len] = '\0';
        return len == 0 ? NULL : sql;
    }
    char close = closing[(unsigned char)first];
    for (sql++; *sql != '\0' && len + 1 < size; sql++) {
        if (*sql == close && (close == ']' || sql[1] != close)) {
            out_name[len] = '\0';
            return sql + 1;
        }
        sql += *sql == close; // A doubled quote.
        out_name[len++] = *sql;
    }
    return NULL;
}

static const char *skip_blanks(const char *sql)
{
    while (isspace((unsigned char)*sql)) {
        sql++;
    }
    return sql;
}

static bool has_field(const struct rule_statement *statement, const char *field)
{
    for (uint32_t i = 0; i < statement->field_count; i++) {
        if (strcasecmp(statement->fields[i], field) == 0) {
            return true;
        }
    }
    enum event_column column = event_column_find(field);
    return column != EVENT_COLUMN_COUNT && rule_statement_has_column(statement, column);
}

bool rule_statement_has_column(const struct rule_statement *statement, enum event_column column)
{
    bool is_body = statement->frame != NULL && statement->frame->is_body;
    return !is_body || column == EVENT_COLUMN_PAYLOAD || column == EVENT_COLUMN_FIELDS;
}

// The column that SQLite misses.
struct missing_column {
    char name[EVENT_NAME_MAX * 4];
    bool has_table, is_quoted;
};

static bool find_at(const char *sql, int offset, struct missing_column *out_missing)
{
    bool is_quoted;
    if (offset < 0 || (size_t)offset >= strlen(sql)) {
        return false;
    }
    const char *rest = take_identifier(sql + offset, out_missing->name, sizeof(out_missing->name),
                                       &out_missing->is_quoted);
    if (rest == NULL) {
        return false;
    }
    rest = skip_blanks(rest);
    out_missing->has_table = *rest == '.';
    return !out_missing->has_table ||
           take_identifier(skip_blanks(rest + 1), out_missing->name, sizeof(out_missing->name),
                           &is_quoted) != NULL;
}

// In the ON of a join SQLite gives no place, but the name alone: "e.celsius" is a table's column,
// unless the SQL has it so in quotes.
static bool find_named(const char *sql, const char *name, struct missing_column *out_missing)
{
    char quoted[2][sizeof(out_missing->name) + 3];
    if (strlen(name) >= sizeof(out_missing->name)) {
        return false;
    }
    snprintf(quoted[0], sizeof(quoted[0]), "\"%.*s\"", (int)sizeof(out_missing->name), name);
    snprintf(quoted[1], sizeof(quoted[1]), "[%.*s]", (int)sizeof(out_missing->name), name);
    out_missing->is_quoted = strstr(sql, quoted[0]) != NULL || strstr(sql, quoted[1]) != NULL;
    const char *dot = strchr(name, '.');
    out_missing->has_table = dot != NULL && !out_missing->is_quoted;
    const char *column = out_missing->has_table ? dot + 1 : name;
    size_t len = strlen(column);
    if (len == 0) {
        return false;
    }
    memcpy(out_missing->name, column, len + 1);
    return true;
}

static bool find_missing(const char *sql, int offset, const char *name,
                         struct missing_column *out_missing)
{
    return offset < 0 ? find_named(sql, name, out_missing) : find_at(sql, offset, out_missing);
}

static enum err keep_field(struct rule_statement *statement, const char *name, struct error *e)
{
    if (statement->field_count == RULE_FIELDS_MAX) {
        return config_error(e, -1, "the statement names more than 256 payload fields");
    }
    char **fields =
        reallocarray(statement->fields, statement->field_count + 1, sizeof(statement->fields[0]));
    if (fields == NULL) {
        return no_memory(e);
    }
    statement->fields = fields;
    fields[statement->field_count] = strdup(name);
    if (fields[statement->field_count] == NULL) {
        return no_memory(e);
    }
    statement->field_count++;
    return ERR_OK;
}

// What stands before its dot says whose it is meant to be.
static bool may_be_field(const struct rule_frame *frame, const char *name,
                         const struct missing_column *missing)
{
    if (frame == NULL || !missing->has_table) {
        return frame == NULL || !frame->is_body;
    }
    size_t len = strlen(frame->alias);
    return strncasecmp(name, frame->alias, len) == 0 && name[len] == '.';
}

static enum err add_field(struct rule_statement *statement, const char *sql, const char *name,
                          struct error *e)
{
    struct missing_column missing;
    enum err rc;
    sqlite3 *db = statement->space->db;
    int offset = sqlite3_error_offset(db);
    if (statement->filter == NULL || !find_missing(sql, offset, name, &missing) ||
        !may_be_field(statement->frame, name, &missing)) {
        return sqlite_error(statement, e);
    }
    if (has_field(statement, missing.name)) { // It is there, and still not what was meant.
        sqlite_error(statement, e);
        if (missing.has_table && !missing.is_quoted) {
            size_t len = strlen(e->text);
            snprintf(e->text + len, sizeof(e->text) - len,
                     " (a payload field with a dot is written in double quotes: \"a.b\")");
        }
        return ERR_CONFIG;
    }
    rc = keep_field(statement, missing.name, e);
    if (rc != ERR_OK) {
        e->offset = offset;
        return rc;
    }
    rule_table_hide(statement); // To be seen with one column more.
    return rule_table_show(statement, e);
}

// After a failed prepare: gives SQLite what it misses, or says what is wrong.
static enum err supply(struct rule_statement *statement, const char *sql, struct error *e)
{
    char *message = strdup(sqlite3_errmsg(statement->space->db)); // Other calls replace it.
    enum err rc;
    if (message != NULL) {
        table_name_clean(message);
    }
    if (message == NULL) {
        rc = no_memory(e);
    } else if (strncmp(message, NO_TABLE, strlen(NO_TABLE)) == 0) {
        const char *table = message + strlen(NO_TABLE);
        table += strncmp(table, "main.", 5) == 0 ? 5 : 0;
        rc = add_filter(statement, sql, table, e);
    } else if (strncmp(message, NO_COLUMN, strlen(NO_COLUMN)) == 0) {
        rc = add_field(statement, sql, message + strlen(NO_COLUMN), e);
    } else {
        rc = sqlite_error(statement, e);
    }
    free(message);
    return rc;
}

// What follows the statement's semicolon: nothing, or blanks and comments, which compile to
// nothing.
static enum err check_tail(struct rule_statement *statement, const char *sql, const char *tail,
                           struct error *e)
{
    sqlite3_stmt *more = NULL;
    int rc = sqlite3_prepare_v2(statement->space->db, tail, -1, &more, NULL);
    bool is_empty = rc == SQLITE_OK && more == NULL;
    sqlite3_finalize(more);
    return is_empty ? ERR_OK
                    : config_error(e, (int32_t)(tail - sql),
                                   "a rule is one statement; there is a second one");
}

// The SQL as SQLite is to see it: with the table's own name once the filter is known.
static const char *sql_of(const struct rule_statement *statement, const char *sql)
{
    return statement->table_name.sql == NULL ? sql : statement->table_name.sql;
}

static enum err compile(struct rule_statement *statement, const char *sql, const char **out_tail,
                        struct error *e)
{
    enum err rc = ERR_OK;
    // Each round adds one name, of which there is a bounded number.
    while (rc == ERR_OK && statement->compiled == NULL) {
        int sqlite_rc =
            sqlite3_prepare_v3(statement->space->db, sql_of(statement, sql), -1,
                               SQLITE_PREPARE_PERSISTENT, &statement->compiled, out_tail);
        if (sqlite_rc != SQLITE_OK) {
            rc = supply(statement, sql_of(statement, sql), e);
        } else if (statement->compiled == NULL) {
            rc = config_error(e, 0, "the statement is empty");
        }
    }
    return rc;
}

// What is not named would be called after the text with the table's own name in it.
static enum err check_columns(const struct rule_statement *statement, struct error *e)
{
    for (int i = 0; i < sqlite3_column_count(statement->compiled); i++) {
        if (table_name_is_in(sqlite3_column_name(statement->compiled, i))) {
            error_set(
                e, ERR_CONFIG,
                "column %d has no name: write AS <name> behind it, for the topic filter is in "
                "it",
                i + 1);
            e->offset = -1;
            return ERR_CONFIG;
        }
    }
    return ERR_OK;
}

static enum err check(struct rule_statement *statement, const char *sql, struct error *e)
{
    bool is_without_events = statement->frame != NULL && statement->frame->filter == NULL;
    if (statement->filter == NULL && !is_without_events) {
        return config_error(e, 0,
                            "the statement reads no topic filter; write FROM \"<topic filter>\"");
    }
    enum err rc = check_columns(statement, e);
    return rc == ERR_OK && !is_without_events ? rule_plan_check(statement, sql, e) : rc;
}

static enum err prepare(struct rule_statement *statement, const char *sql, struct error *e)
{
    const char *tail = sql;
    enum err rc = compile(statement, sql, &tail, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (sqlite3_stmt_isexplain(statement->compiled) != 0) {
        return config_error(e, 0, "a rule is a SELECT, not an EXPLAIN");
    }
    if (sqlite3_bind_parameter_count(statement->compiled) > 0) {
        return config_error(e, -1, "a rule has no parameters (?, :name) to bind");
    }
    sql = sql_of(statement, sql);
    rc = check_tail(statement, sql, tail, e);
    return rc == ERR_OK ? check(statement, sql, e) : rc;
}

// What a frame says is known before SQLite asks for it.
static enum err use_frame(struct rule_statement *statement, const char *sql, struct error *e)
{
    const struct rule_frame *frame = statement->frame;
    if (frame == NULL || frame->filter == NULL) {
        return ERR_OK;
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < frame->field_count; i++) {
        rc = has_field(statement, frame->fields[i]) ? ERR_OK
                                                    : keep_field(statement, frame->fields[i], e);
    }
    return rc == ERR_OK ? take_filter(statement, sql, frame->filter, e) : rc;
}

static enum err create(struct rule_statement **out_statement, struct rule_space *space,
                       const char *sql, const struct rule_frame *frame, struct error *e)
{
    struct rule_statement *statement = calloc(1, sizeof(*statement));
    if (statement == NULL) {
        return no_memory(e);
    }
    statement->space = space;
    statement->frame = frame;
    space->compiling = statement;
    enum err rc = use_frame(statement, sql, e);
    rc = rc == ERR_OK ? prepare(statement, sql, e) : rc;
    space->compiling = NULL;
    rule_table_hide(statement); // Until it runs.
    if (rc == ERR_OK) {
        table_name_forget_places(&statement->table_name);
        *out_statement = statement;
    } else {
        e->offset = table_name_find_place(&statement->table_name, e->offset);
        if (frame == NULL) { // Expressions are told of it when their own text is at hand.
            sql_hint_duration(sql, e);
        }
        rule_statement_destroy(statement);
    }
    return rc;
}

static enum err check_sites(const struct rule_space *space, const struct function_sites *sites,
                            struct error *e)
{
    if (sites->count == 0 || space->may_remember) {
        return ERR_OK;
    }
    error_set(e, ERR_CONFIG,
              "%s() remembers from event to event, which only the sql of a rule without a window "
              "can; a window sees its events together: lag(x) OVER (ORDER BY time)",
              sites->name);
    e->offset = (int32_t)sites->sites[0].at - (int32_t)strlen(sites->name) - 1;
    return ERR_CONFIG;
}

// A column would be called after the text with the numbers in it.
static enum err check_names(const struct rule_statement *statement,
                            const struct function_sites *sites, struct error *e)
{
    for (int i = 0; i < sqlite3_column_count(statement->compiled); i++) {
        if (function_sites_is_name(sites, sqlite3_column_name(statement->compiled, i))) {
            return error_set(e, ERR_CONFIG,
                             "column %d has no name: write %s(...) AS <name>, for it is made of a "
                             "function that remembers",
                             i + 1, sites->name);
        }
    }
    return ERR_OK;
}

static enum err create_numbered(struct rule_statement **out_statement, struct rule_space *space,
                                const struct function_sites *sites, struct error *e)
{
    enum err rc = create(out_statement, space, sites->text, NULL, e);
    if (rc != ERR_OK) {
        e->offset = function_sites_place(sites, e->offset);
        return rc;
    }
    (*out_statement)->remembers = true;
    rc = check_names(*out_statement, sites, e);
    if (rc != ERR_OK) {
        rule_statement_destroy(*out_statement);
        *out_statement = NULL;
    }
    return rc;
}

enum err rule_statement_create(struct rule_statement **out_statement, struct rule_space *space,
                               const char *sql, struct error *e)
{
    return rule_statement_create_framed(out_statement, space, sql, NULL, e);
}

enum err rule_statement_create_framed(struct rule_statement **out_statement,
                                      struct rule_space *space, const char *sql,
                                      const struct rule_frame *frame, struct error *e)
{
    struct function_sites sites;
    enum err rc = function_sites_number(&sites, sql, e);
    if (rc != ERR_OK || sites.count == 0) {
        return rc == ERR_OK ? create(out_statement, space, sql, frame, e) : rc;
    }
    rc = check_sites(space, &sites, e);
    rc = rc == ERR_OK ? create_numbered(out_statement, space, &sites, e) : rc;
    function_sites_deinit(&sites);
    return rc;
}

enum err rule_statement_rest(struct rule_statement *statement, struct error *e)
{
    statement->resting = statement->table_name.sql == NULL
                             ? strdup(sqlite3_sql(statement->compiled))
                             : statement->table_name.sql;
    statement->table_name.sql = NULL;
    if (statement->resting == NULL) {
        return no_memory(e);
    }
    sqlite3_finalize(statement->compiled);
    statement->compiled = NULL;
    return ERR_OK;
}

int rule_statement_wake(struct rule_statement *statement)
{
    if (statement->compiled != NULL) {
        return SQLITE_OK;
    }
    int rc = sqlite3_prepare_v3(statement->space->db, statement->resting, -1,
                                SQLITE_PREPARE_PERSISTENT, &statement->compiled, NULL);
    if (rc == SQLITE_OK) {
        free(statement->resting);
        statement->resting = NULL;
    }
    return rc;
}

void rule_statement_destroy(struct rule_statement *statement)
{
    if (statement == NULL) {
        return;
    }
    sqlite3_finalize(statement->compiled);
    free(statement->resting);
    if (statement->table_name.name != NULL) {
        rule_table_hide(statement);
    }
    table_name_deinit(&statement->table_name);
    for (uint32_t i = 0; i < statement->field_count; i++) {
        free(statement->fields[i]);
    }
    free(statement->fields);
    free(statement->filter);
    free(statement);
}
