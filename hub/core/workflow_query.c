#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/sql_words.h"
#include "core/workflow_query_parts.h"

#define ANSWER_FILTER "$answer/#"
#define SELECT_BEGIN  "SELECT ("

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an expression");
}

// Does a quoted piece go on to the end? What the statement says behind it would be shown as its
// text.
static bool is_open_quote(struct bytes word)
{
    size_t quotes = 0;
    for (size_t i = 0; i < word.len; i++) {
        quotes += word.ptr[i] == word.ptr[0];
    }
    return (word.ptr[0] == '\'' || word.ptr[0] == '"') && quotes % 2 != 0;
}

// Parentheses that close what they have not opened would put more than an expression into the
// statement.
static enum err check_shape(struct bytes text, struct error *e)
{
    struct bytes rest = text;
    uint32_t depth = 0, words = 0;
    for (;; words++) {
        struct sql_word word = sql_word_next(&rest);
        bool is_close = sql_word_is(&word, ")");
        if (word.kind == SQL_END) {
            break;
        }
        if (is_open_quote(word.text)) {
            error_set(e, ERR_CONFIG, "a %c has no second one behind it", word.text.ptr[0]);
            e->offset = (int32_t)(word.text.ptr - text.ptr);
            return ERR_CONFIG;
        }
        if (sql_word_is(&word, ";") || (is_close && depth == 0)) {
            error_set(e, ERR_CONFIG, "is not one expression");
            e->offset = (int32_t)(word.text.ptr - text.ptr);
            return ERR_CONFIG;
        }
        depth += sql_word_is(&word, "(");
        depth -= is_close;
    }
    return words > 0 && depth == 0 ? ERR_OK
                                   : error_set(e, ERR_CONFIG,
                                               words == 0 ? "there is no expression"
                                                          : "a ( has no ) in the expression");
}

// One expression alone, so that an error can name it and point into it.
static enum err check_alone(const struct workflow_query *query, struct bytes text, bool is_where,
                            struct error *e)
{
    enum err rc = check_shape(text, e);
    char *from = rc == ERR_OK ? query_names_from(query) : NULL;
    char *sql = from == NULL
                    ? NULL
                    : sqlite3_mprintf(SELECT_BEGIN "%.*s\n) AS x%s%s", (int)text.len,
                                      (const char *)text.ptr, from, is_where ? " WHERE x" : "");
    sqlite3_free(from);
    if (rc != ERR_OK || sql == NULL) {
        return rc == ERR_OK ? no_memory(e) : rc;
    }
    struct rule_statement *statement = NULL;
    rc = rule_statement_create_framed(&statement, query->space, sql, &query->frame, e);
    rule_statement_destroy(statement);
    sqlite3_free(sql);
    if (rc == ERR_CONFIG) {
        int32_t into = e->offset - (int32_t)(sizeof(SELECT_BEGIN) - 1);
        e->offset = into >= 0 && (size_t)into <= text.len ? into : -1;
    }
    return rc;
}

typedef enum err look_fn(const struct workflow_query *query, struct bytes text, bool is_where,
                         struct error *e);

static enum err look_shape(const struct workflow_query *query, struct bytes text, bool is_where,
                           struct error *e)
{
    (void)query;
    (void)is_where;
    return check_shape(text, e);
}

static enum err look_at(const struct workflow_query *query,
                        const struct query_expression *expression, look_fn *look, struct error *e)
{
    if (!expression->is_template) {
        return look(query, bytes_from_text(expression->text), false, e);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < expression->template.count; i++) {
        const struct workflow_piece *piece = &expression->template.pieces[i];
        rc = piece->is_expression ? look(query, piece->text, false, e) : ERR_OK;
        if (rc == ERR_CONFIG && e->offset >= 0) {
            e->offset += (int32_t)((const char *)piece->text.ptr - expression->text);
        }
    }
    return rc;
}

static enum err look_at_all(const struct workflow_query *query, look_fn *look, uint32_t *out_part,
                            struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < query->expression_count; i++) {
        *out_part = i;
        rc = look_at(query, &query->expressions[i], look, e);
    }
    if (rc == ERR_OK && query->where != NULL) {
        *out_part = query->expression_count;
        rc = look(query, bytes_from_text(query->where), true, e);
    }
    return rc;
}

// ---- the statement ------------------------------------------------------------------------------

static void put_column(sqlite3_str *sql, struct bytes text, const char *name, uint32_t column)
{
    sqlite3_str_appendf(sql, "%s(%.*s\n)", column == 0 ? "" : ",", (int)text.len,
                        (const char *)text.ptr);
    if (name != NULL) {
        sqlite3_str_appendf(sql, " AS \"%w\"", name);
    }
}

// Columns beside a condition have no names: it would take them for its own where a field is meant.
static void put_expression(sqlite3_str *sql, const struct query_expression *expression,
                           bool has_where)
{
    uint32_t column = expression->column;
    if (!expression->is_template) {
        put_column(sql, bytes_from_text(expression->text), has_where ? NULL : expression->name,
                   column);
        return;
    }
    for (uint32_t i = 0; i < expression->template.count; i++) {
        if (expression->template.pieces[i].is_expression) {
            put_column(sql, expression->template.pieces[i].text, NULL, column++);
        }
    }
}

static char *statement_text(const struct workflow_query *query)
{
    char *from = query_names_from(query);
    if (from == NULL) {
        return NULL;
    }
    sqlite3_str *sql = sqlite3_str_new(query->space->db);
    sqlite3_str_appendall(sql, "SELECT ");
    for (uint32_t i = 0; i < query->expression_count; i++) {
        put_expression(sql, &query->expressions[i], query->where != NULL);
    }
    sqlite3_str_appendall(sql, query->column_count == 0 ? "1" : "");
    sqlite3_str_appendall(sql, from);
    if (query->where != NULL) {
        sqlite3_str_appendf(sql, " WHERE (%s\n)", query->where);
    }
    sqlite3_free(from);
    return sqlite3_str_finish(sql);
}

static enum err compile_whole(struct workflow_query *query, struct error *e)
{
    char *sql = statement_text(query);
    if (sql == NULL) {
        return no_memory(e);
    }
    enum err rc =
        rule_statement_create_framed(&query->statement, query->space, sql, &query->frame, e);
    sqlite3_free(sql);
    if (rc == ERR_OK) {
        int columns = sqlite3_column_count(query->statement->compiled);
        uint32_t wanted = query->column_count == 0 ? 1 : query->column_count;
        return (uint32_t)columns == wanted ? rule_statement_rest(query->statement, e)
                                           : error_set(e, ERR_CONFIG, "is not one expression");
    }
    e->offset = -1; // Not into one of them.
    return rc;
}

// A comment that is left open hides what follows, and the whole may compile without that.
static bool may_hide(const struct workflow_query *query)
{
    bool may = query->where != NULL && strstr(query->where, "/*") != NULL;
    for (uint32_t i = 0; i < query->expression_count; i++) {
        may = may || strstr(query->expressions[i].text, "/*") != NULL;
    }
    return may;
}

// The whole says whether there is a fault; which expression is at fault is seen in each alone, and
// costs as much again for each.
static enum err compile(struct workflow_query *query, uint32_t *out_part, struct error *e)
{
    struct error fault;
    enum err rc = look_at_all(query, may_hide(query) ? check_alone : look_shape, out_part, e);
    rc = rc == ERR_OK ? compile_whole(query, e) : rc;
    if (rc == ERR_CONFIG && look_at_all(query, check_alone, out_part, &fault) == ERR_CONFIG) {
        *e = fault;
    }
    return rc;
}

// ---- what it is made of -------------------------------------------------------------------------

static enum err copy_text(char **out_copy, const char *text, struct error *e)
{
    *out_copy = text == NULL ? NULL : strdup(text);
    return text == NULL || *out_copy != NULL ? ERR_OK : no_memory(e);
}

static enum err copy_part(struct workflow_query *query, const struct query_part *part,
                          struct error *e)
{
    struct query_expression *expression = &query->expressions[query->expression_count++];
    expression->is_template = part->is_template;
    expression->is_url = part->is_url;
    expression->column = query->column_count;
    enum err rc = copy_text(&expression->name, part->name, e);
    rc = rc == ERR_OK ? copy_text(&expression->text, part->text, e) : rc;
    if (rc == ERR_OK && part->is_template) {
        rc = workflow_template_parse(&expression->template, expression->text, e);
    }
    query->column_count += part->is_template ? expression->template.expression_count : 1;
    return rc;
}

static enum err copy_spec(struct workflow_query *query, const struct query_spec *spec,
                          uint32_t *out_part, struct error *e)
{
    query->over = spec->over;
    query->expressions = calloc((size_t)spec->part_count + 1, sizeof(query->expressions[0]));
    if (query->expressions == NULL) {
        return no_memory(e);
    }
    const char *filter = spec->over == QUERY_ANSWER  ? ANSWER_FILTER
                         : spec->over == QUERY_EVENT ? spec->filter
                                                     : NULL;
    enum err rc = copy_text(&query->filter, filter, e);
    rc = rc == ERR_OK ? copy_text(&query->where, spec->where, e) : rc;
    for (uint32_t i = 0; rc == ERR_OK && i < spec->part_count; i++) {
        *out_part = i;
        rc = copy_part(query, &spec->parts[i], e);
    }
    return rc;
}

static enum err create(struct workflow_query *query, const struct query_spec *spec,
                       uint32_t *out_part, struct error *e)
{
    enum err rc = copy_spec(query, spec, out_part, e);
    rc = rc == ERR_OK ? query_names_create(query, spec, e) : rc;
    rc = rc == ERR_OK ? compile(query, out_part, e) : rc;
    for (uint32_t i = 0; i < query->frame.value_count; i++) {
        rule_values_hide(&query->values[i]); // Until it runs.
    }
    if (rc == ERR_CONFIG) {
        query_names_teach(spec, *out_part, e);
    }
    return rc;
}

enum err workflow_query_create(struct workflow_query **out_query, struct rule_space *space,
                               const struct query_spec *spec, uint32_t *out_part, struct error *e)
{
    struct workflow_query *query = calloc(1, sizeof(*query));
    *out_part = 0;
    if (query == NULL) {
        return no_memory(e);
    }
    query->space = space;
    enum err rc = create(query, spec, out_part, e);
    if (rc == ERR_OK) {
        *out_query = query;
    } else {
        workflow_query_destroy(query);
    }
    return rc;
}

void workflow_query_destroy(struct workflow_query *query)
{
    if (query == NULL) {
        return;
    }
    rule_statement_destroy(query->statement);
    query_names_destroy(query);
    for (uint32_t i = 0; i < query->expression_count; i++) {
        workflow_template_deinit(&query->expressions[i].template);
        free(query->expressions[i].name);
        free(query->expressions[i].text);
    }
    free(query->expressions);
    free(query->filter);
    free(query->where);
    text_writer_deinit(&query->writer);
    free(query);
}

uint32_t workflow_query_count(const struct workflow_query *query)
{
    return query->expression_count;
}

const char *workflow_query_name(const struct workflow_query *query, uint32_t index)
{
    return query->expressions[index].name;
}

const char *workflow_query_text(const struct workflow_query *query, uint32_t index)
{
    return query->expressions[index].text;
}
