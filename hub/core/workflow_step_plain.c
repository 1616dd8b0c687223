// workflow_step_plain.c - steps that never wait: if, switch, set, goto, end, fail.
#include <string.h>

#include "core/workflow_move.h"

static void move_into(struct visit *visit, const struct workflow_branch *branch, struct move *move)
{
    move->kind = MOVE_TO;
    move->place = branch == NULL || branch->first == PLACE_NONE ? visit->step->next : branch->first;
}

// ---- if, switch ---------------------------------------------------------------------------------

static const struct workflow_branch *branch_named(const struct workflow_step *step,
                                                  const char *name)
{
    for (uint32_t i = 0; i < step->branch_count; i++) {
        bool is_default = step->branches[i].name == NULL;
        if (is_default ? name == NULL : name != NULL && strcmp(step->branches[i].name, name) == 0) {
            return &step->branches[i];
        }
    }
    return NULL;
}

static enum err enter_if(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    bool is_true = query_value_is_true(&values[0]);
    uint32_t index = is_true ? 0 : 1;
    move_into(visit, index < visit->step->branch_count ? &visit->step->branches[index] : NULL,
              move);
    move->data = json_pack("{s:s}", "branch", is_true ? "then" : "else");
    return ERR_OK;
}

static enum err enter_switch(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    const char *name = NULL;
    if (values[0].kind != VALUE_NULL) {
        rc = workflow_key_text(&values[0], visit->workflows->memory, &name, e);
        if (rc != ERR_OK) {
            return move_fail_on(visit, rc, WORKFLOW_EXPRESSION, move, e);
        }
    }
    const struct workflow_branch *branch = name == NULL ? NULL : branch_named(visit->step, name);
    branch = branch == NULL ? branch_named(visit->step, NULL) : branch;
    move_into(visit, branch, move);
    move->data = json_pack("{s:s?, s:s}", "value", name, "branch",
                           branch == NULL         ? "none"
                           : branch->name == NULL ? "default"
                                                  : branch->name);
    return ERR_OK;
}

// ---- set, goto, end, fail -----------------------------------------------------------------------

static enum err enter_set(struct visit *visit, struct move *move, struct error *e)
{
    move->kind = MOVE_DONE;
    return visit_set(visit, move, e);
}

static enum err enter_goto(struct visit *visit, struct move *move, struct error *e)
{
    (void)visit;
    (void)e;
    move->kind = MOVE_DONE;
    return ERR_OK;
}

static enum err enter_end(struct visit *visit, struct move *move, struct error *e)
{
    move->kind = MOVE_OVER;
    return visit->step->query == NULL
               ? ERR_OK
               : visit_object(visit, visit->step->query, 0, &move->data, move, e);
}

static enum err enter_fail(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    bool is_text = values[0].kind == VALUE_TEXT || values[0].kind == VALUE_JSON;
    move_fail(move, WORKFLOW_FAILED, is_text ? visit_reason(visit, values[0].bytes) : "");
    return ERR_OK;
}

const struct step_type step_if = {.enter = enter_if};
const struct step_type step_switch = {.enter = enter_switch};
const struct step_type step_set = {.enter = enter_set};
const struct step_type step_goto = {.enter = enter_goto};
const struct step_type step_end = {.enter = enter_end};
const struct step_type step_fail = {.enter = enter_fail};
