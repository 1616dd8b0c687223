#include <stdlib.h>

#include "core/workflow_query_parts.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a value");
}

// What becomes of the row.
struct row_taker {
    struct workflow_query *query;
    query_row_fn *each;
    void *context;
    bool has_row, has_failed;
};

static enum err take_row(void *context, uint32_t event_index, sqlite3_stmt *row, struct error *e)
{
    (void)event_index;
    struct row_taker *taker = context;
    taker->has_row = true;
    return taker->each(taker->context, row, e);
}

static enum err take_end(void *context, uint32_t event_index, uint32_t rows, struct error *e)
{
    (void)context;
    (void)event_index;
    (void)rows;
    (void)e;
    return ERR_OK;
}

// The sentence is in e already.
static enum err take_failure(void *context, uint32_t event_index, const char *reason,
                             struct error *e)
{
    (void)event_index;
    (void)reason;
    (void)e;
    ((struct row_taker *)context)->has_failed = true;
    return ERR_OK;
}

static enum err show_values(struct workflow_query *query, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < query->frame.value_count; i++) {
        rc = rule_values_show(&query->values[i], query->space, e);
    }
    return rc;
}

static enum err run(struct row_taker *taker, const struct query_input *input, struct error *e)
{
    struct workflow_query *query = taker->query;
    const struct rule_reader reader = {taker, take_row, take_end, take_failure};
    struct error own;
    e = e == NULL ? &own : e;
    enum err rc = show_values(query, e);
    if (rc != ERR_OK) {
        return rc;
    }
    query->input = input;
    rule_space_begin(query->space, input->steps_max, input->memory_max, input->now_ms);
    struct event_batch *batch = query->filter == NULL ? NULL : input->batch; // None is at hand.
    rc = rule_statement_run_framed(query->statement, batch, input->event_index, &reader, e);
    rule_space_end(query->space);
    query->input = NULL;
    return rc == ERR_OK && taker->has_failed ? ERR_INVALID : rc;
}

enum err workflow_query_row(struct workflow_query *query, const struct query_input *input,
                            query_row_fn *each, void *context, struct error *e)
{
    struct row_taker taker = {query, each, context, false, false};
    return run(&taker, input, e);
}

// ---- values -------------------------------------------------------------------------------------

struct values_taker {
    struct workflow_query *query;
    struct event_memory *memory;
    struct event_value *out_values;
};

// SQLite's bytes end with the row.
static enum err keep(struct event_value *value, struct event_memory *memory, struct error *e)
{
    bool has_bytes =
        value->kind == VALUE_TEXT || value->kind == VALUE_BLOB || value->kind == VALUE_JSON;
    if (!has_bytes) {
        return ERR_OK;
    }
    char *copy = event_memory_text(memory, value->bytes);
    if (copy == NULL) {
        return no_memory(e);
    }
    value->bytes = bytes_of(copy, value->bytes.len);
    return ERR_OK;
}

static enum err fill_template(const struct values_taker *taker,
                              const struct query_expression *expression, sqlite3_stmt *row,
                              struct event_value *out_value, struct error *e)
{
    struct text_writer *writer = &taker->query->writer;
    uint32_t column = expression->column;
    enum err rc = ERR_OK;
    writer->len = 0;
    for (uint32_t i = 0; rc == ERR_OK && i < expression->template.count; i++) {
        const struct workflow_piece *piece = &expression->template.pieces[i];
        struct event_value value;
        if (!piece->is_expression) {
            rc = text_writer_add(writer, piece->text, e);
            continue;
        }
        value_of_sqlite(sqlite3_column_value(row, (int)column++), &value);
        rc = workflow_template_add(piece, &value, expression->is_url, writer, e);
    }
    *out_value = (struct event_value){.kind = VALUE_TEXT};
    return rc == ERR_OK ? text_writer_keep(writer, taker->memory, &out_value->bytes, e) : rc;
}

static enum err take_values(void *context, sqlite3_stmt *row, struct error *e)
{
    const struct values_taker *taker = context;
    const struct workflow_query *query = taker->query;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < query->expression_count; i++) {
        const struct query_expression *expression = &query->expressions[i];
        struct event_value *value = &taker->out_values[i];
        if (expression->is_template) {
            rc = fill_template(taker, expression, row, value, e);
        } else {
            value_of_sqlite(sqlite3_column_value(row, (int)expression->column), value);
            rc = keep(value, taker->memory, e);
        }
    }
    return rc;
}

enum err workflow_query_run(struct workflow_query *query, const struct query_input *input,
                            struct event_value *out_values, bool *out_has_row, struct error *e)
{
    struct values_taker values = {query, input->memory, out_values};
    struct row_taker taker = {query, take_values, &values, false, false};
    enum err rc = run(&taker, input, e);
    if (rc == ERR_OK) {
        *out_has_row = taker.has_row;
    }
    return rc;
}

enum err query_value_to_json(const struct event_value *value, json_t **out_json, struct error *e)
{
    const char *problem = NULL;
    json_t *json = value_to_json(value, &problem);
    if (json == NULL) {
        return problem == NULL ? no_memory(e) : error_set(e, ERR_INVALID, "%s", problem);
    }
    *out_json = json;
    return ERR_OK;
}

// A text is true by the number that it begins with.
bool query_value_is_true(const struct event_value *value)
{
    char number[64];
    size_t len = value->bytes.len < sizeof(number) - 1 ? value->bytes.len : sizeof(number) - 1;
    switch (value->kind) {
    case VALUE_BOOLEAN:
    case VALUE_INTEGER:
        return value->integer != 0;
    case VALUE_REAL:
        return value->real != 0;
    case VALUE_TEXT:
    case VALUE_BLOB:
    case VALUE_JSON:
        if (len > 0) {
            memcpy(number, value->bytes.ptr, len);
        }
        number[len] = '\0';
        number[strspn(number, " \t\n\v\f\r+-.0123456789eE")] = '\0'; // No infinity, no hex.
        return strtod(number, NULL) != 0;
    case VALUE_NULL:
    case VALUE_TREE:
        break;
    }
    return false;
}
