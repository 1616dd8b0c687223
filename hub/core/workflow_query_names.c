#include "core/workflow_query_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/option.h"
#include "core/sql_hint.h"
#include "core/sql_words.h"

#define WORD_MAX 200

#define NAME(id, name)         name,
#define MY_PLACE(id, name)     MY_##id,
#define ANSWER_PLACE(id, name) ANSWER_##id,
#define ITEMS_PLACE(id, name)  ITEMS_##id,

enum my_place { MY_NAMES(MY_PLACE) MY_COUNT };
enum answer_place { ANSWER_NAMES(ANSWER_PLACE) ANSWER_COUNT };
enum items_place { ITEMS_NAMES(ITEMS_PLACE) ITEMS_COUNT };

static const char *const my_names[] = {MY_NAMES(NAME) NULL};
static const char *const answer_names[] = {ANSWER_NAMES(NAME) NULL};
static const char *const items_names[] = {ITEMS_NAMES(NAME) NULL};

static struct event_value text_value(const char *text)
{
    return text == NULL ? (struct event_value){.kind = VALUE_NULL}
                        : (struct event_value){.kind = VALUE_TEXT, .bytes = bytes_from_text(text)};
}

static struct event_value integer_value(int64_t integer)
{
    return (struct event_value){.kind = VALUE_INTEGER, .integer = integer};
}

static struct event_value variable_value(const struct query_input *input, const char *name)
{
    json_t *json = json_object_get(input->scope, name);
    struct event_value value = {.kind = VALUE_NULL};
    json = json == NULL ? json_object_get(input->variables, name) : json;
    if (json != NULL) {
        value_of_json(json, &value);
    }
    return value;
}

static struct event_value my_value(const struct query_input *input, enum my_place place)
{
    switch (place) {
    case MY_KEY:
        return text_value(input->key);
    case MY_WORKFLOW:
        return text_value(input->workflow);
    case MY_INSTANCE:
        return integer_value(input->instance);
    case MY_STARTED:
        return integer_value(input->started_ms);
    case MY_ERROR:
        return text_value(input->error);
    case MY_REASON:
        return text_value(input->reason);
    case MY_COUNT:
        break;
    }
    return text_value(NULL);
}

static void my_column(void *context, uint32_t column, struct event_value *out_value)
{
    const struct query_names *names = context;
    const struct query_input *input = names->query->input;
    uint32_t place = names->places[column];
    *out_value = place == PLACE_VARIABLE ? variable_value(input, names->columns[column])
                                         : my_value(input, (enum my_place)place);
}

static void answer_column(void *context, uint32_t column, struct event_value *out_value)
{
    const struct query_names *names = context;
    const struct query_input *input = names->query->input;
    bool is_status = names->places[column] == ANSWER_STATUS;
    *out_value = is_status ? integer_value(input->status) : text_value(input->answer_reason);
}

static void items_column(void *context, uint32_t column, struct event_value *out_value)
{
    const struct query_names *names = context;
    const struct query_input *input = names->query->input;
    const uint32_t counts[ITEMS_COUNT] = {input->done, input->failed, input->total};
    *out_value = integer_value(counts[names->places[column]]);
}

static const struct {
    const char *alias;
    const char *const *builtins;
    void (*column)(void *context, uint32_t column, struct event_value *out_value);
} tables[QUERY_TABLE_COUNT] = {
    [TABLE_MY] = {"my", my_names, my_column},
    [TABLE_ANSWER] = {"answer", answer_names, answer_column},
    [TABLE_ITEMS] = {"items", items_names, items_column},
};

// What is computed before there is an instance has an event alone.
static bool has_table(const struct query_spec *spec, enum query_table table)
{
    switch (table) {
    case TABLE_MY:
        return spec->over != QUERY_EVENT || spec->variables != NULL;
    case TABLE_ANSWER:
        return spec->over == QUERY_ANSWER;
    case TABLE_ITEMS:
        return spec->over == QUERY_ITEMS;
    case QUERY_TABLE_COUNT:
        break;
    }
    return false;
}

static bool is_in_text(struct bytes text, const char *name)
{
    size_t len = strlen(name);
    char word_name[256];
    for (;;) {
        struct sql_word word = sql_word_next(&text);
        if (word.kind == SQL_END) {
            return false;
        }
        // One that is cut short may be any of them.
        if (sql_word_name(&word, word_name, sizeof(word_name)) &&
            strncasecmp(word_name, name, len < sizeof(word_name) ? len + 1 : len) == 0) {
            return true;
        }
    }
}

static bool is_in_template(const struct workflow_template *template, const char *name)
{
    for (uint32_t i = 0; i < template->count; i++) {
        if (template->pieces[i].is_expression && is_in_text(template->pieces[i].text, name)) {
            return true;
        }
    }
    return false;
}

static bool is_mentioned(const struct workflow_query *query, const char *name)
{
    for (uint32_t i = 0; i < query->expression_count; i++) {
        const struct query_expression *expression = &query->expressions[i];
        if (expression->is_template ? is_in_template(&expression->template, name)
                                    : is_in_text(bytes_from_text(expression->text), name)) {
            return true;
        }
    }
    return query->where != NULL && is_in_text(bytes_from_text(query->where), name);
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an expression");
}

static enum err add_column(struct query_names *names, const char *name, uint32_t place,
                           struct error *e)
{
    names->columns[names->count] = strdup(name);
    if (names->columns[names->count] == NULL) {
        return no_memory(e);
    }
    names->places[names->count++] = place;
    return ERR_OK;
}

static enum err add_columns(struct workflow_query *query, enum query_table table,
                            const struct query_spec *spec, struct error *e)
{
    struct query_names *names = &query->names[table];
    uint32_t variable_count = table == TABLE_MY ? spec->variable_count : 0;
    names->query = query;
    names->columns = calloc(variable_count + MY_COUNT, sizeof(names->columns[0]));
    names->places = calloc(variable_count + MY_COUNT, sizeof(names->places[0]));
    if (names->columns == NULL || names->places == NULL) {
        return no_memory(e);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < variable_count; i++) {
        if (is_mentioned(query, spec->variables[i])) {
            rc = add_column(names, spec->variables[i], PLACE_VARIABLE, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && tables[table].builtins[i] != NULL; i++) {
        if (is_mentioned(query, tables[table].builtins[i])) {
            rc = add_column(names, tables[table].builtins[i], i, e);
        }
    }
    return rc;
}

static enum err show_table(struct workflow_query *query, enum query_table table, struct error *e)
{
    struct query_names *names = &query->names[table];
    struct table_name name;
    enum err rc = table_name_make(&name, "", tables[table].alias, ++query->space->next_name, e);
    if (rc != ERR_OK) {
        return rc;
    }
    names->table = name.name;
    name.name = NULL;
    table_name_deinit(&name);
    struct rule_values *values = &query->values[query->frame.value_count++];
    *values = (struct rule_values){.alias = tables[table].alias,
                                   .table = names->table,
                                   .columns = (const char *const *)names->columns,
                                   .column_count = names->count,
                                   .column = tables[table].column,
                                   .context = names};
    return rule_values_show(values, query->space, e);
}

enum err query_names_create(struct workflow_query *query, const struct query_spec *spec,
                            struct error *e)
{
    enum err rc = ERR_OK;
    query->frame.filter = query->filter;
    query->frame.is_body = query->over == QUERY_ANSWER;
    query->frame.alias = query->over == QUERY_ANSWER ? "body" : "event";
    query->frame.values = query->values;
    for (int table = 0; rc == ERR_OK && table < QUERY_TABLE_COUNT; table++) {
        if (has_table(spec, (enum query_table)table)) {
            rc = add_columns(query, (enum query_table)table, spec, e);
        }
        if (rc == ERR_OK && query->names[table].count > 0) {
            rc = show_table(query, (enum query_table)table, e);
        }
    }
    if (query->over == QUERY_EVENT) { // A name of both is to be written with its table.
        query->frame.fields = (const char *const *)query->names[TABLE_MY].columns;
        query->frame.field_count = query->names[TABLE_MY].count;
    }
    return rc;
}

void query_names_destroy(struct workflow_query *query)
{
    for (uint32_t i = 0; i < query->frame.value_count; i++) {
        rule_values_hide(&query->values[i]);
    }
    for (int table = 0; table < QUERY_TABLE_COUNT; table++) {
        struct query_names *names = &query->names[table];
        for (uint32_t i = 0; i < names->count; i++) {
            free(names->columns[i]);
        }
        free(names->columns);
        free(names->places);
        free(names->table);
    }
}

char *query_names_from(const struct workflow_query *query)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    bool has_one = query->filter != NULL;
    if (has_one) {
        sqlite3_str_appendf(text, " FROM \"%w\" AS %s", query->filter, query->frame.alias);
    }
    for (uint32_t i = 0; i < query->frame.value_count; i++) {
        sqlite3_str_appendf(text, "%s \"%w\" AS %s", has_one ? " CROSS JOIN" : " FROM",
                            query->values[i].table, query->values[i].alias);
        has_one = true;
    }
    return sqlite3_str_length(text) > 0
               ? sqlite3_str_finish(text)
               : (sqlite3_free(sqlite3_str_finish(text)), sqlite3_mprintf(""));
}

// Replaces the sentence, not the place that it points at.
static void say(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct error *e, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(e->text, sizeof(e->text), format, arguments);
    va_end(arguments);
}

static void teach_ambiguous(enum query_over over, const char *name, struct error *e)
{
    static const char *const others[] = {[QUERY_VARIABLES] = "",
                                         [QUERY_EVENT] = "event",
                                         [QUERY_ANSWER] = "answer",
                                         [QUERY_ITEMS] = "items"};
    bool is_body = over == QUERY_ANSWER && strcasecmp(name, "reason") != 0;
    const char *other = is_body ? "body" : others[over];
    say(e, "\"%s\" is a name of the workflow and may be one of the %s, too: write my.%s or %s.%s",
        name, other, name, other, name);
}

static const char *nearest(const struct query_spec *spec, const char *name)
{
    const char **names = calloc(spec->variable_count + MY_COUNT + ITEMS_COUNT + 1, sizeof(*names));
    uint32_t count = 0;
    if (names == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < spec->variable_count; i++) {
        names[count++] = spec->variables[i];
    }
    memcpy(names + count, my_names, MY_COUNT * sizeof(*names));
    count += MY_COUNT;
    if (spec->over == QUERY_ITEMS) {
        memcpy(names + count, items_names, ITEMS_COUNT * sizeof(*names));
    }
    const char *found = nearest_name(name, names);
    free(names);
    return found;
}

static void teach_missing(const struct query_spec *spec, const char *name, struct error *e)
{
    const char *dot = strchr(name, '.');
    size_t table_len = dot == NULL ? 0 : (size_t)(dot - name);
    bool is_my = table_len == 2 && strncasecmp(name, "my", 2) == 0;
    if (dot != NULL && !is_my) {
        bool is_event = table_len == 5 && strncasecmp(name, "event", 5) == 0;
        bool is_answer = (table_len == 4 && strncasecmp(name, "body", 4) == 0) ||
                         (table_len == 6 && strncasecmp(name, "answer", 6) == 0);
        bool is_at_hand = is_answer && spec->over == QUERY_ANSWER;
        const char *why = is_at_hand  ? "of an answer there are answer.status, answer.reason and, "
                                        "of what it says, body.<name>"
                          : is_event  ? "no event is at hand here; take it over into a variable"
                          : is_answer ? "no answer is at hand here; take it over into a variable"
                                      : "there is no such name";
        say(e, "%s: %s", name, why);
        return;
    }
    const char *variable = is_my ? dot + 1 : name;
    if (spec->over == QUERY_EVENT && spec->variables == NULL) {
        say(e, "my.%s: there is no instance yet, the event alone is at hand", variable);
        return;
    }
    const char *near = nearest(spec, variable);
    say(e, "there is no variable \"%s\"%s%s%s%s%s", variable,
        near == NULL ? "" : " (did you mean \"", near == NULL ? "" : near,
        near == NULL ? "" : "\"?)",
        spec->over == QUERY_ANSWER ? "; a field of the answer is written body." : "",
        spec->over == QUERY_ANSWER ? variable : "");
}

static bool teach_keyword(const struct query_spec *spec, const char *word, struct error *e)
{
    for (uint32_t i = 0; i < spec->variable_count; i++) {
        if (strcasecmp(spec->variables[i], word) == 0) {
            say(e, "\"%s\" is a word of SQL: as a variable it is written in double quotes", word);
            return true;
        }
    }
    return false;
}

// Does it name one of those that it may name?
static bool names_any(const struct query_spec *spec, struct bytes text)
{
    bool does = false;
    for (uint32_t i = 0; i < spec->variable_count; i++) {
        does = does || is_in_text(text, spec->variables[i]);
    }
    for (uint32_t i = 0; i < MY_COUNT; i++) {
        does = does || is_in_text(text, my_names[i]);
    }
    return does;
}

// Whoever writes `device: plant/x` means the text. A condition, a time, a list or what is looked up
// is none, and beside an event or an answer a word is meant for a field.
static void hint_text(const struct query_spec *spec, uint32_t part, struct error *e)
{
    static const char *const no_texts[] = {"when", "at", "stop", "in", "on", "match", NULL};
    const struct query_part *one = part < spec->part_count ? &spec->parts[part] : NULL;
    if (one == NULL || one->name == NULL || one->is_template || spec->over != QUERY_VARIABLES ||
        name_is_among(one->name, no_texts) || !sql_looks_like_text(one->text) ||
        names_any(spec, bytes_from_text(one->text))) {
        return;
    }
    size_t len = strlen(e->text);
    bool is_path = strchr(one->text, '/') != NULL;
    if (is_path || nearest(spec, one->text) == NULL) {
        snprintf(e->text + len, sizeof(e->text) - len, "; a text stands in quotes: \"'%s'\"",
                 one->text);
    }
}

// Does SQLite's sentence begin so? Then what it is about, without its quotes and what follows them.
static bool take_name(const char *sentence, const char *begin, char out_name[WORD_MAX])
{
    size_t len = strlen(begin);
    if (strncmp(sentence, begin, len) != 0) {
        return false;
    }
    bool is_quoted = sentence[len] == '"';
    const char *name = sentence + len + is_quoted;
    size_t name_len = is_quoted ? strcspn(name, "\"") : strlen(name);
    snprintf(out_name, WORD_MAX, "%.*s", (int)name_len, name);
    return true;
}

void query_names_teach(const struct query_spec *spec, uint32_t part, struct error *e)
{
    const char *text = part < spec->part_count ? spec->parts[part].text : spec->where;
    bool is_quoted = e->offset >= 0 && text[e->offset] == '"';
    char name[WORD_MAX];
    if (take_name(e->text, "ambiguous column name: ", name)) {
        teach_ambiguous(spec->over, name, e);
    } else if (sql_hint_duration(text, e)) {
        return;
    } else if (take_name(e->text, "near ", name)) {
        if (!teach_keyword(spec, name, e)) {
            hint_text(spec, part, e);
        }
    } else if (take_name(e->text, "no such column: ", name) && is_quoted) {
        say(e, "there is no variable \"%s\"; a text is written in single quotes", name);
    } else if (take_name(e->text, "no such column: ", name) && strchr(name, ' ') == NULL) {
        teach_missing(spec, name, e);
        hint_text(spec, part, e);
    }
}
