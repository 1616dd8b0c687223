// explain_terms.c - the condition of a rule, term by term, and the columns that an event lacks.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "base/option.h"
#include "core/column_check.h"
#include "core/event_value.h"
#include "core/field_path.h"
#include "core/sql_words.h"
#include "trial/explain_parts.h"

#define COLUMNS_MAX 24  // Shown of one term.
#define NAMES_MAX   200 // Fields of the event that a hint is chosen from.
#define NAME_MAX    200

// The columns that the words of a term name.
struct columns {
    struct arena *arena;
    const char *names[COLUMNS_MAX];
    uint32_t count;
};

static bool is_column(const struct rules *rules, uint32_t rule_index, const char *name)
{
    const char *const *fields;
    uint32_t count = rules_fields(rules, rule_index, &fields);
    for (uint32_t i = 0; i < count; i++) {
        if (strcasecmp(fields[i], name) == 0) {
            return true;
        }
    }
    return event_column_find(name) != EVENT_COLUMN_COUNT;
}

static void columns_add(struct columns *columns, const char *name)
{
    for (uint32_t i = 0; i < columns->count; i++) {
        if (strcasecmp(columns->names[i], name) == 0) {
            return;
        }
    }
    if (columns->count < COLUMNS_MAX) {
        const char *copy = arena_text(columns->arena, name, strlen(name));
        columns->names[columns->count] = copy;
        columns->count += copy != NULL;
    }
}

// Of a term with a SELECT in it none: they may be another table's.
static void columns_find(struct columns *columns, const struct rules *rules, uint32_t rule_index,
                         struct bytes term)
{
    struct sql_word word = sql_word_next(&term);
    bool is_behind_dot = false;
    columns->count = 0;
    while (word.kind != SQL_END) {
        char name[NAME_MAX];
        struct sql_word next = sql_word_next(&term);
        bool is_name = sql_word_name(&word, name, sizeof(name)) && !sql_word_is_keyword(&word);
        if (sql_word_is(&word, "select")) {
            columns->count = 0;
            return;
        }
        if (is_name && !is_behind_dot && !sql_word_is(&next, "(") && !sql_word_is(&next, ".") &&
            is_column(rules, rule_index, name)) {
            columns_add(columns, name);
        }
        is_behind_dot = sql_word_is(&word, ".");
        word = next;
    }
}

// A name as SQL has it.
static const char *quoted(struct arena *arena, const char *name)
{
    char *text = arena_alloc(arena, 2 * strlen(name) + 3), *at = text;
    if (text == NULL) {
        return "";
    }
    *at++ = '"';
    for (; *name != '\0'; name++) {
        *at++ = *name;
        if (*name == '"') {
            *at++ = '"';
        }
    }
    *at = '"';
    return text;
}

static const char *query_text(struct arena *arena, const struct sql_clauses *clauses,
                              struct bytes term, const struct columns *columns)
{
    const char *sql =
        arena_print(arena, "SELECT (%.*s) AS value", (int)term.len, (const char *)term.ptr);
    for (uint32_t i = 0; sql != NULL && i < columns->count; i++) {
        sql =
            arena_print(arena, "%s, %s AS \"column %u\"", sql, quoted(arena, columns->names[i]), i);
    }
    return sql == NULL ? NULL
                       : arena_print(arena, "%s FROM %.*s", sql, (int)clauses->from.len,
                                     (const char *)clauses->from.ptr);
}

static json_t *truth(const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        return json_null();
    }
    bool is_true = json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
    return json_boolean(is_true);
}

static json_t *term_json(struct bytes term, const struct columns *columns, const json_t *row)
{
    json_t *shown = json_object();
    for (uint32_t i = 0; i < columns->count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "column %u", i);
        json_t *value = json_object_get(row, name);
        json_object_set(shown, columns->names[i], value == NULL ? json_null() : value);
    }
    return json_pack("{s:s%, s:o, s:o}", "sql", term.ptr, term.len, "value",
                     truth(json_object_get(row, "value")), "columns", shown);
}

static void add_note(json_t *rule, const char *text)
{
    json_t *notes = json_object_get(rule, "notes");
    if (notes == NULL) {
        notes = json_array();
        json_object_set_new(rule, "notes", notes);
    }
    json_array_append_new(notes, json_string(text));
}

// One term over the event. A join may give several rows; the first that the term is true of counts.
static enum err explain_term(const struct explain_options *options,
                             const struct sql_clauses *clauses, struct bytes term,
                             struct columns *columns, json_t *rule, struct error *e)
{
    json_t *rows = NULL;
    struct error why = {0};
    const char *sql = query_text(columns->arena, clauses, term, columns);
    enum err rc = sql == NULL ? error_set(&why, ERR_NO_MEMORY, "out of memory")
                              : explain_query(options, sql, &rows, &why);
    if (rc == ERR_NO_MEMORY) {
        return error_set(e, rc, "%s", why.text);
    }
    if (rc != ERR_OK) { // A term that only makes sense in its place.
        char note[400];
        snprintf(note, sizeof(note), "%.*s: cannot be told apart (%.200s)",
                 (int)(term.len < 100 ? term.len : 100), (const char *)term.ptr, why.text);
        add_note(rule, note);
        return ERR_OK;
    }
    const json_t *best = json_array_get(rows, 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *value = truth(json_object_get(json_array_get(rows, i), "value"));
        best = json_is_true(value) ? json_array_get(rows, i) : best;
        json_decref(value);
    }
    if (best == NULL) {
        add_note(rule, "what it joins has no row for this event");
    } else {
        json_array_append_new(json_object_get(rule, "terms"), term_json(term, columns, best));
    }
    json_decref(rows);
    return ERR_OK;
}

// ---- columns that are not there -----------------------------------------------------------------

struct names {
    struct arena *arena;
    const char *names[NAMES_MAX + 1];
    uint32_t count;
};

static void collect_names(struct names *names, const char *prefix, const json_t *fields)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)fields, key, value)
    {
        const char *name = arena_print(names->arena, "%s%s", prefix, key);
        if (name == NULL || names->count == NAMES_MAX) {
            return;
        }
        names->names[names->count++] = name;
        const char *deeper = arena_print(names->arena, "%s.", name);
        if (json_is_object(value) && deeper != NULL) {
            collect_names(names, deeper, value);
        }
    }
}

static bool has_path(const json_t *fields, const char *path)
{
    static const char prefix[] = "fields."; // Names a field that is called like a standard column.
    if (strncasecmp(path, prefix, sizeof(prefix) - 1) == 0 &&
        json_object_get(fields, path) == NULL) {
        path += sizeof(prefix) - 1;
    }
    return field_path_find((json_t *)(uintptr_t)fields, path) != NULL;
}

static void find_missing(const struct rule_spec *spec, const struct rules *rules,
                         uint32_t rule_index, const json_t *fields, struct arena *arena,
                         json_t *rule)
{
    struct names names = {.arena = arena};
    const char *const *columns;
    uint32_t count = rules_fields(rules, rule_index, &columns);
    json_t *missing = json_array();
    collect_names(&names, "", fields);
    for (uint32_t i = 0; i < count; i++) {
        if (column_is_of_window(spec, columns[i]) || has_path(fields, columns[i])) {
            continue;
        }
        const char *near = nearest_name(columns[i], names.names);
        json_t *one = json_pack("{s:s}", "column", columns[i]);
        if (near != NULL) {
            json_object_set_new(one, "nearest", json_string(near));
        }
        json_array_append_new(missing, one);
    }
    if (json_array_size(missing) > 0) {
        json_object_set(rule, "missing", missing);
    }
    json_decref(missing);
}

enum err explain_terms(const struct explain_options *options, const struct rules *rules,
                       uint32_t rule_index, const struct json_t *fields, struct json_t *rule,
                       struct error *e)
{
    const char *sql = options->config->core.rules[rule_index].sql;
    struct sql_clauses clauses;
    struct columns columns = {.arena = arena_create()};
    enum err rc = columns.arena == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory") : ERR_OK;
    if (rc == ERR_OK) {
        find_missing(&options->config->core.rules[rule_index], rules, rule_index, fields,
                     columns.arena, rule);
    }
    if (rc == ERR_OK && !sql_clauses_find(bytes_from_text(sql), &clauses)) {
        add_note(rule, "its statement is no plain SELECT and is not taken apart");
        clauses.where = (struct bytes){0};
    }
    struct bytes rest = rc == ERR_OK ? clauses.where : (struct bytes){0}, term;
    json_object_set_new(rule, "terms", json_array());
    for (uint32_t i = 0; rc == ERR_OK && i < EXPLAIN_TERMS_MAX && sql_term_next(&rest, &term);
         i++) {
        columns_find(&columns, rules, rule_index, term);
        rc = explain_term(options, &clauses, term, &columns, rule, e);
    }
    arena_destroy(columns.arena);
    return rc;
}
