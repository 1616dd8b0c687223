// window_compile.c - a rule's window: its options, the expressions that choose events, and what of
// an event the rule's statement wants to have kept.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/window_parts.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a rule's window");
}

static void fill_defaults(struct window_spec *spec)
{
    spec->rows_max = spec->rows_max == 0 ? WINDOW_ROWS_DEFAULT : spec->rows_max;
    spec->keys_max = spec->keys_max == 0 ? WINDOW_KEYS_DEFAULT : spec->keys_max;
    spec->every_count = spec->every_count == 0 ? spec->count : spec->every_count;
    spec->session_max_ms = spec->session_max_ms == 0 ? INT64_MAX / 4 : spec->session_max_ms;
    if (spec->kind == WINDOW_TUMBLING || spec->every_ms == 0) {
        spec->every_ms = spec->size_ms;
    }
}

// The configuration has checked it with better words; this is for those who build a spec
// themselves.
static enum err check_spec(const struct window_spec *spec, struct error *e)
{
    bool is_count = spec->kind == WINDOW_COUNT;
    bool has_size = is_count ? spec->count >= 1 && spec->count <= spec->rows_max
                             : spec->size_ms >= 1 && spec->size_ms <= INT64_MAX / 8;
    bool has_every = is_count ? spec->every_count <= spec->count : spec->every_ms <= spec->size_ms;
    if (!has_size || !has_every) {
        return error_set(e, ERR_CONFIG, "window: its size or its steps make no sense");
    }
    if (!is_count && spec->size_ms / window_step_ms(spec) > WINDOW_PANES_MAX) {
        return error_set(e, ERR_CONFIG,
                         "window: %" PRId64 " ms every %" PRId64 " ms makes more than %d pieces",
                         spec->size_ms, spec->every_ms, WINDOW_PANES_MAX);
    }
    return ERR_OK;
}

// ---- columns ------------------------------------------------------------------------------------

static enum extra extra_of(const char *name)
{
    static const struct {
        const char *name;
        enum extra extra;
    } extras[] = {{"window_start", EXTRA_START},
                  {"window_end", EXTRA_END},
                  {"window_key", EXTRA_KEY},
                  {"window_count", EXTRA_COUNT}};
    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        if (strcasecmp(extras[i].name, name) == 0) {
            return extras[i].extra;
        }
    }
    return EXTRA_NONE;
}

static int add_column(struct window_rule *rule, const char *field, enum event_column column)
{
    rule->columns[rule->column_count] = (struct window_column){field, column};
    return (int)rule->column_count++;
}

static bool is_used(const struct window_rule *rule, int column)
{
    bool is_time = column == EVENT_COLUMN_TIME || column == EVENT_COLUMN_RECEIVED;
    return (rule->statement->columns_used >> column & 1) != 0 ||
           (rule->spec.kind == WINDOW_COUNT && is_time);
}

static int place_field(struct window_rule *rule, const char *name)
{
    enum extra extra = extra_of(name);
    if (extra != EXTRA_NONE) {
        rule->wants_count |= extra == EXTRA_COUNT;
        return (int)extra;
    }
    bool is_prefixed = strncasecmp(name, "fields.", 7) == 0;
    return add_column(rule, is_prefixed ? name + 7 : name, EVENT_COLUMN_COUNT);
}

static enum err choose_columns(struct window_rule *rule, struct error *e)
{
    const struct rule_statement *statement = rule->statement;
    size_t most = EVENT_COLUMN_COUNT + (size_t)statement->field_count;
    rule->columns = calloc(most, sizeof(rule->columns[0]));
    rule->places = calloc(most, sizeof(rule->places[0]));
    if (rule->columns == NULL || rule->places == NULL) {
        return no_memory(e);
    }
    for (int i = 0; i < EVENT_COLUMN_COUNT; i++) {
        rule->time_at = i == EVENT_COLUMN_TIME ? rule->column_count : rule->time_at;
        rule->places[i] =
            is_used(rule, i) ? add_column(rule, NULL, (enum event_column)i) : EXTRA_NONE;
    }
    for (uint32_t i = 0; i < statement->field_count; i++) {
        rule->places[EVENT_COLUMN_COUNT + i] = place_field(rule, statement->fields[i]);
    }
    return ERR_OK;
}

// ---- what it is called with ---------------------------------------------------------------------

// Functions of one event, of which there is none when a window ends.
static const char *const event_functions[] = {"topic_part", "prop", "fields"};

static const char *event_function(const char *p4)
{
    for (size_t i = 0; i < sizeof(event_functions) / sizeof(event_functions[0]); i++) {
        size_t len = strlen(event_functions[i]);
        if (p4 != NULL && strncmp(p4, event_functions[i], len) == 0 && p4[len] == '(') {
            return event_functions[i];
        }
    }
    return NULL;
}

static enum err check_functions(struct window_rule *rule, struct error *e)
{
    enum { COLUMN_P4 = 5 };
    struct rule_statement *statement = rule->statement;
    sqlite3 *db = statement->space->db;
    sqlite3_stmt *program = NULL;
    enum err rc = rule_table_show(statement, e);
    char *text = sqlite3_mprintf("EXPLAIN %s", statement->table_name.sql);
    const char *found = NULL;
    statement->space->compiling = statement;
    if (rc == ERR_OK && text != NULL &&
        sqlite3_prepare_v2(db, text, -1, &program, NULL) == SQLITE_OK) {
        while (found == NULL && sqlite3_step(program) == SQLITE_ROW) {
            found = event_function((const char *)sqlite3_column_text(program, COLUMN_P4));
        }
    }
    statement->space->compiling = NULL;
    sqlite3_finalize(program);
    sqlite3_free(text);
    rule_table_hide(statement);
    if (rc == ERR_OK && found != NULL) {
        rc = error_set(e, ERR_CONFIG,
                       "%s() is of one event, and when a window ends there is none; it may stand "
                       "in the window's 'key' or 'where'",
                       found);
        e->offset = -1;
    }
    return rc;
}

// ---- key and where ------------------------------------------------------------------------------

static enum err check_expression(struct window_rule *rule, const char *what, const char *expression,
                                 struct error *e)
{
    char *sql = sqlite3_mprintf("SELECT (%s\n) FROM \"%w\"", expression, rule->statement->filter);
    struct rule_statement *statement = NULL;
    enum err rc = sql == NULL ? no_memory(e)
                              : rule_statement_create(&statement, rule->statement->space, sql, e);
    bool is_one = rc == ERR_OK && sqlite3_column_count(statement->compiled) == 1;
    rule_statement_destroy(statement);
    sqlite3_free(sql);
    if (rc == ERR_OK && !is_one) {
        rc = error_set(e, ERR_CONFIG, "is not one expression");
    }
    if (rc != ERR_OK) {
        error_wrap(e, "window: %s", what);
        e->offset = -1;
    }
    return rc;
}

static enum err compile_chooser(struct window_rule *rule, struct error *e)
{
    const struct window_spec *spec = &rule->spec;
    if (spec->key == NULL && spec->where == NULL) {
        return ERR_OK;
    }
    enum err rc = spec->key == NULL ? ERR_OK : check_expression(rule, "key", spec->key, e);
    if (rc == ERR_OK && spec->where != NULL) {
        rc = check_expression(rule, "where", spec->where, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    char *sql = sqlite3_mprintf(
        "SELECT (%s\n), (%s\n) IS TRUE FROM \"%w\"", spec->key == NULL ? "NULL" : spec->key,
        spec->where == NULL ? "TRUE" : spec->where, rule->statement->filter);
    rc = sql == NULL ? no_memory(e)
                     : rule_statement_create(&rule->chooser, rule->statement->space, sql, e);
    sqlite3_free(sql);
    return rc;
}

// What its contents in the store depend on: as long as this text and the SQL stay, they are of use.
static enum err describe(struct window_rule *rule, struct error *e)
{
    const struct window_spec *spec = &rule->spec;
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendf(text,
                        "kind %d size %lld every %lld longest %lld count %u/%u arrival %d "
                        "grace %lld key (%s) where (%s) columns",
                        (int)spec->kind, (long long)spec->size_ms, (long long)spec->every_ms,
                        (long long)spec->session_max_ms, spec->count, spec->every_count,
                        spec->is_by_arrival, (long long)spec->grace_ms,
                        spec->key == NULL ? "" : spec->key, spec->where == NULL ? "" : spec->where);
    for (uint32_t i = 0; i < rule->column_count; i++) {
        const struct window_column *column = &rule->columns[i];
        sqlite3_str_appendf(
            text, " %Q", column->field != NULL ? column->field : event_column_name(column->column));
    }
    char *finished = sqlite3_str_finish(text);
    if (finished != NULL) {
        rule->options = strdup(finished);
        sqlite3_free(finished);
    }
    return rule->options == NULL ? no_memory(e) : ERR_OK;
}

enum err window_rule_create(struct window_rule **out_rule, struct windows *windows,
                            uint32_t rule_index, struct rule_statement *statement, struct error *e)
{
    struct window_rule *rule = calloc(1, sizeof(*rule));
    if (rule == NULL) {
        return no_memory(e);
    }
    rule->windows = windows;
    rule->index = rule_index;
    rule->rule = &windows->spec->rules[rule_index];
    rule->spec = rule->rule->window;
    rule->statement = statement;
    fill_defaults(&rule->spec);
    enum err rc = check_spec(&rule->spec, e);
    if (rc == ERR_OK) {
        rule->pane_ms = window_step_ms(&rule->spec);
        rc = check_functions(rule, e);
    }
    if (rc == ERR_OK) {
        rc = choose_columns(rule, e);
    }
    if (rc == ERR_OK) {
        rc = compile_chooser(rule, e);
    }
    if (rc == ERR_OK) {
        rc = describe(rule, e);
    }
    if (rc == ERR_OK) {
        *out_rule = rule;
    } else {
        window_rule_destroy(rule);
    }
    return rc;
}

void window_rule_destroy(struct window_rule *rule)
{
    if (rule != NULL) {
        rule_statement_destroy(rule->chooser);
        free(rule->columns);
        free(rule->places);
        free(rule->options);
        free(rule);
    }
}
