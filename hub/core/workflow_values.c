// workflow_values.c - expressions of steps, and what becomes variables of an instance or an item.
#include <string.h>

#include "core/workflow_move.h"

enum err visit_query(struct visit *visit, struct workflow_query *query,
                     const struct workflow_news_item *news, struct event_value **out_values,
                     struct move *move, struct error *e)
{
    struct query_input input;
    workflows_input(visit->workflows, visit->instance, visit->token, &input);
    if (news != NULL) {
        input.batch = news->batch;
        input.event_index = news->event_index;
        input.status = news->status;
        input.answer_reason = news->reason;
    }
    input.done = visit->token->done;
    input.failed = visit->token->failed;
    input.total = visit->token->total;
    size_t size = (workflow_query_count(query) + 1) * sizeof(struct event_value);
    struct event_value *values = event_memory_take(visit->workflows->memory, size);
    if (values == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for values of a workflow");
    }
    memset(values, 0, size);
    bool has_row = false;
    *out_values = values;
    return move_fail_on(visit, workflow_query_run(query, &input, values, &has_row, e),
                        WORKFLOW_EXPRESSION, move, e);
}

static enum err name_value(const struct visit *visit, const char *name,
                           const struct event_value *value, json_t *object, struct move *move,
                           struct error *e)
{
    json_t *json = NULL;
    enum err rc = query_value_to_json(value, &json, e);
    if (rc == ERR_INVALID) {
        move_fail(move, WORKFLOW_EXPRESSION, visit_text(visit, "%s: %s", name, e->text));
        return ERR_OK;
    }
    if (rc == ERR_OK && json_object_set_new(object, name, json) != 0) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's variable");
    }
    return rc;
}

enum err visit_object(struct visit *visit, struct workflow_query *query, uint32_t first,
                      json_t **out_object, struct move *move, struct error *e)
{
    struct event_value *values;
    json_t *object = json_object();
    enum err rc = visit_query(visit, query, NULL, &values, move, e);
    for (uint32_t i = first;
         rc == ERR_OK && move->kind != MOVE_FAIL && i < workflow_query_count(query); i++) {
        rc = name_value(visit, workflow_query_name(query, i), &values[i], object, move, e);
    }
    if (rc != ERR_OK || move->kind == MOVE_FAIL || object == NULL) {
        json_decref(object);
        return rc == ERR_OK && object == NULL
                   ? error_set(e, ERR_NO_MEMORY, "out of memory for values of a workflow")
                   : rc;
    }
    *out_object = object;
    return ERR_OK;
}

// ---- assignment ---------------------------------------------------------------------------------

// The token whose scope it is: of an item of a for_each, or of an undo of one; NULL: none.
static struct workflow_token *scope_holder(const struct visit *visit)
{
    struct workflow_token *token = visit->token;
    for (uint32_t depth = 0; token != NULL && depth <= WORKFLOW_DEPTH_MAX; depth++) {
        if (token->scope != NULL) {
            return token;
        }
        token = token->parent == 0 ? NULL : workflow_token_find(visit->instance, token->parent);
    }
    return NULL;
}

// Replaces the object by one that has these, too, unless it would be too large.
static enum err merge(const struct visit *visit, json_t **inout_object, json_t *values,
                      struct move *move, struct error *e)
{
    if (json_object_size(values) == 0) {
        return ERR_OK;
    }
    json_t *merged = json_copy(*inout_object);
    if (merged == NULL || json_object_update(merged, values) != 0) {
        json_decref(merged);
        return error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's variables");
    }
    size_t size = json_dumpb(merged, NULL, 0, JSON_COMPACT);
    if (size > WORKFLOW_VARIABLES_BYTES_MAX) {
        json_decref(merged);
        move_fail(move, WORKFLOW_BOUND,
                  visit_text(visit, "the variables would have %zu bytes, %d are the most", size,
                             WORKFLOW_VARIABLES_BYTES_MAX));
        return ERR_OK;
    }
    json_decref(*inout_object);
    *inout_object = merged;
    return ERR_OK;
}

// What a query's values become: the item's own, and the instance's.
struct assignment {
    const uint32_t *variables; // What each value is for.
    const struct event_value *values;
    uint32_t count;
    bool is_own; // In an item they are its own; else only those that it has already.
    json_t *own, *shared, *all;
};

static enum err split(const struct visit *visit, struct assignment *assignment, struct move *move,
                      struct error *e)
{
    const struct workflow_token *holder = scope_holder(visit);
    const struct workflow_definition *definition = visit->instance->definition;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && move->kind != MOVE_FAIL && i < assignment->count; i++) {
        const char *name = definition->variables[assignment->variables[i]];
        bool is_own =
            holder != NULL && (assignment->is_own || json_object_get(holder->scope, name) != NULL);
        rc = name_value(visit, name, &assignment->values[i], assignment->all, move, e);
        json_t *value = json_object_get(assignment->all, name);
        json_t *object = is_own ? assignment->own : assignment->shared;
        if (rc == ERR_OK && value != NULL && json_object_set(object, name, value) != 0) {
            rc = error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's variables");
        }
    }
    return rc;
}

// The caller lets go of assignment->all, whatever comes of it.
static enum err assign(struct visit *visit, struct assignment *assignment, struct move *move,
                       struct error *e)
{
    assignment->own = json_object();
    assignment->shared = json_object();
    assignment->all = json_object();
    enum err rc = assignment->own != NULL && assignment->shared != NULL && assignment->all != NULL
                      ? split(visit, assignment, move, e)
                      : error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's variables");
    struct workflow_token *holder = scope_holder(visit);
    if (rc == ERR_OK && move->kind != MOVE_FAIL && holder != NULL) {
        rc = merge(visit, &holder->scope, assignment->own, move, e);
    }
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        rc = merge(visit, &visit->instance->variables, assignment->shared, move, e);
    }
    json_decref(assignment->own);
    json_decref(assignment->shared);
    return rc;
}

enum err visit_take(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                    struct error *e)
{
    struct event_value *values;
    if (visit->step->take == NULL) {
        return ERR_OK;
    }
    enum err rc = visit_query(visit, visit->step->take, news, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    struct assignment assignment = {.variables = visit->step->take_variables,
                                    .values = values,
                                    .count = workflow_query_count(visit->step->take),
                                    .is_own = true};
    rc = assign(visit, &assignment, move, e);
    if (rc == ERR_OK && move->data != NULL) {
        json_object_set(move->data, "taken", assignment.all);
    }
    json_decref(assignment.all);
    return rc;
}

enum err visit_set(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    struct assignment assignment = {.variables = visit->step->set_variables,
                                    .values = values,
                                    .count = workflow_query_count(visit->step->query)};
    rc = assign(visit, &assignment, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        json_decref(assignment.all);
        return rc;
    }
    move->data = assignment.all;
    return ERR_OK;
}
