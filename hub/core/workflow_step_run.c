// workflow_step_run.c - run: another workflow, waited for or not. The token keeps the child's id
// where others keep their delivery's.
#include <string.h>

#include "base/time_text.h"
#include "core/workflow_move.h"

static enum err give(const struct visit *visit, json_t *with, const char *name, json_t *take_value,
                     struct error *e)
{
    (void)visit;
    return json_object_set_new(with, name, take_value) == 0
               ? ERR_OK
               : error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's variables");
}

// All variables that the child has, as they begin: null where only an event could tell.
static enum err begin_variables(struct visit *visit, const struct workflow_definition *definition,
                                json_t *variables, struct move *move, struct error *e)
{
    struct query_input input;
    struct event_value *values = event_memory_take(
        visit->workflows->memory, (definition->variable_count + 1) * sizeof(values[0]));
    bool has_row = false;
    enum err rc = values == NULL || variables == NULL
                      ? error_set(e, ERR_NO_MEMORY, "out of memory for a workflow")
                      : ERR_OK;
    if (rc == ERR_OK && definition->filter == NULL) {
        workflows_input(visit->workflows, NULL, NULL, &input);
        rc = move_fail_on(visit, workflow_query_run(definition->start, &input, values, &has_row, e),
                          WORKFLOW_EXPRESSION, move, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && move->kind != MOVE_FAIL && i < definition->variable_count;
         i++) {
        json_t *value = json_null();
        if (has_row) {
            rc = move_fail_on(visit, query_value_to_json(&values[i + 1], &value, e),
                              WORKFLOW_EXPRESSION, move, e);
        }
        if (rc == ERR_OK && move->kind != MOVE_FAIL) {
            rc = give(visit, variables, definition->variables[i], value, e);
        }
    }
    return rc;
}

// Those that are given before those that it begins with.
static enum err make_variables(struct visit *visit, const struct workflow_definition *definition,
                               json_t *given, json_t **out_variables, struct move *move,
                               struct error *e)
{
    json_t *variables = json_object();
    const char *name;
    json_t *value;
    enum err rc = begin_variables(visit, definition, variables, move, e);
    json_object_foreach(given, name, value)
    {
        uint32_t variable = workflow_variable_find(definition, name);
        if (rc != ERR_OK || move->kind == MOVE_FAIL) {
            break;
        }
        if (variable == UINT32_MAX) {
            move_fail(move, WORKFLOW_EXPRESSION,
                      visit_text(visit, "step %s: workflow %s has no variable %s",
                                 visit->step->name, definition->name, name));
        } else {
            rc = give(visit, variables, definition->variables[variable], json_incref(value), e);
        }
    }
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        json_decref(variables);
        return rc;
    }
    *out_variables = variables;
    return ERR_OK;
}

static enum err find_key(struct visit *visit, const char **out_key, struct move *move,
                         struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    struct error why = {.text = ""};
    rc = workflow_key_text(&values[0], visit->workflows->memory, out_key, &why);
    if (rc == ERR_INVALID) {
        move_fail(move, WORKFLOW_EXPRESSION,
                  visit_text(visit, "step %s: the key %s", visit->step->name, why.text));
        return ERR_OK;
    }
    return rc == ERR_OK ? rc : error_set(e, rc, "%s", why.text);
}

// spec->take_variables is the caller's until it is handed to workflow_start.
static enum err make_spec(struct visit *visit, struct instance_spec *spec, struct move *move,
                          struct error *e)
{
    json_t *given = NULL;
    enum err rc = find_key(visit, &spec->key, move, e);
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        rc = visit_object(visit, visit->step->query, 1, &given, move, e);
    }
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        rc = make_variables(visit, spec->definition, given, &spec->take_variables, move, e);
    }
    json_decref(given);
    return rc;
}

static void began(struct visit *visit, int64_t child, const char *key, struct move *move)
{
    move->data = json_pack("{s:s, s:s, s:I}", "workflow", visit->step->workflow, "key", key,
                           "instance", (json_int_t)child);
    if (!visit->step->is_waited) {
        move->kind = MOVE_DONE;
        return;
    }
    if (child == 0) {
        move_fail(move, WORKFLOW_REFUSED,
                  visit_text(visit, "step %s: workflow %s, key %s is running already",
                             visit->step->name, visit->step->workflow, key));
        return;
    }
    visit->token->delivery = (uint64_t)child;
    move->kind = MOVE_WAIT;
    move->due_ms = visit_deadline(visit);
}

static enum err enter(struct visit *visit, struct move *move, struct error *e)
{
    const struct workflow_instance *instance = visit->instance;
    struct instance_spec spec = {
        .definition = workflows_current(visit->workflows, visit->step->workflow),
        .event = instance->event,
        .hops = instance->hops + 1,
        .parent = visit->step->is_waited ? instance->id : 0,
        .parent_execution = visit->step->is_waited ? visit->token->execution : 0,
        .now_ms = visit->workflows->now_ms,
    };
    if (spec.definition == NULL) {
        move_fail(move, WORKFLOW_FAILED,
                  visit_text(visit, "step %s: workflow %s is not configured (any more)",
                             visit->step->name, visit->step->workflow));
        return ERR_OK;
    }
    enum err rc = make_spec(visit, &spec, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    int64_t child = 0;
    rc = workflow_start(visit->workflows, &spec, &child, e);
    if (rc == ERR_OK) {
        began(visit, child, spec.key, move);
    }
    return move_fail_on(visit, rc, WORKFLOW_BOUND, move, e);
}

static enum err hear(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e)
{
    if (visit->token->phase != TOKEN_WAITING) {
        return ERR_OK;
    }
    if (news->kind == NEWS_TIME) {
        char within[DURATION_TEXT_BYTES];
        move_fail(move, WORKFLOW_TIMEOUT,
                  visit_text(visit, "step %s: workflow %s has not ended within %s",
                             visit->step->name, visit->step->workflow,
                             duration_text_write(visit->step->within_ms, within)));
        return ERR_OK;
    }
    if (news->kind != NEWS_CHILD) {
        return ERR_OK;
    }
    if (news->verdict != VERDICT_DONE) {
        bool is_cancelled = news->status == INSTANCE_CANCELLED;
        move_fail(move, is_cancelled ? WORKFLOW_CANCELLED : WORKFLOW_FAILED, news->reason);
        return ERR_OK;
    }
    move->kind = MOVE_DONE;
    move->data = json_object();
    enum err rc = visit_take(visit, news, move, e);
    move->has_happened = true;
    return rc;
}

const struct step_type step_run = {.enter = enter, .hear = hear};
