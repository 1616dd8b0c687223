// workflow_undo.c - what comes when nobody handles a failure, or an operator cancels: what was done
// is undone, the newest first, one list after the other.
//
//   failure ──▶ failure: park? ──yes──▶ PARKED ──retry──▶ RUNNING, the failed step again
//                  │ no                    │ cancel
//                  ▼                       ▼
//   cancel ───▶ UNDOING: list ──▶ list ──▶ ... ──▶ FAILED or CANCELLED (goal)
//                  │    ▲
//          a step failed │ retry: that step again
//                  ▼    │
//                 PARKED
//
// An entry stays on the instance's list until its steps are over: deliveries of those go under the
// key of the branch that is undone (workflow_send.c), behind what it sent before. Entries of other
// instances that it ran: workflow_undo_run.c.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/workflow_move.h"

#define PATH_BYTES 128 // "/<branch>" as deep as WORKFLOW_DEPTH_MAX.

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for what a workflow undoes");
}

bool workflow_set_reason(struct workflow_instance *instance, const char *error, const char *reason)
{
    char *new_error = error == NULL ? NULL : strdup(error);
    char *new_reason = reason == NULL ? NULL : strdup(reason);
    if ((error != NULL && new_error == NULL) || (reason != NULL && new_reason == NULL)) {
        free(new_error);
        free(new_reason);
        return false;
    }
    free(instance->error);
    free(instance->reason);
    instance->error = new_error;
    instance->reason = new_reason;
    return true;
}

static enum err note_instance(struct visit *visit, enum workflow_entry_kind kind, struct error *e)
{
    bool has_result = kind == ENTRY_COMPLETED && visit->instance->result != NULL;
    const struct workflow_entry entry = {
        .kind = kind,
        .error = visit->instance->error,
        .reason = visit->instance->reason,
        .take_data = has_result ? json_incref(visit->instance->result) : NULL,
    };
    return workflow_journal_add(visit->workflows, visit->instance, &entry, e);
}

enum err workflow_arm(struct visit *visit, struct error *e)
{
    int64_t within_ms = visit->instance->definition->within_ms;
    const struct workflow_wait wait = {
        .instance = visit->instance->id,
        .due_ms = visit->workflows->now_ms + within_ms,
    };
    return within_ms == 0 ? ERR_OK : workflow_wait_put(visit->workflows->waits, &wait, e);
}

static enum err disarm(struct visit *visit, struct error *e)
{
    return visit->instance->definition->within_ms == 0
               ? ERR_OK
               : workflow_wait_drop(visit->workflows->waits, visit->instance->id, 0, e);
}

// ---- tokens that end ----------------------------------------------------------------------------

void workflow_token_drop(struct workflow_token *token)
{
    workflow_token_clear(token);
    token->is_gone = true;
}

enum err workflow_stop(struct visit *visit, struct error *e)
{
    struct workflow_token *token = visit->token;
    if (visit->step->kind != STEP_RUN) {
        return workflow_withdraw(visit->workflows, token, e);
    }
    int64_t child = (int64_t)token->delivery;
    token->delivery = 0;
    if (child == 0) {
        return ERR_OK;
    }
    enum err rc = workflow_undo_child(visit, child, e);
    return rc == ERR_OK ? workflow_engine_cancel_child(visit, child, CANCEL_UNDO, e) : rc;
}

// What the token waited for is none of its business any more.
static enum err interrupt(struct visit *visit, struct error *e)
{
    struct workflow_token *token = visit->token;
    bool is_outside = visit->step->kind == STEP_CALL || visit->step->kind == STEP_COMMAND;
    token->is_sent |= is_outside && token->phase == TOKEN_WAITING;
    enum err rc = workflow_stop(visit, e);
    if (rc == ERR_OK && token->phase != TOKEN_READY) {
        rc = workflow_wait_drop(visit->workflows->waits, visit->instance->id, token->id, e);
    }
    token->phase = TOKEN_READY;
    token->deadline_ms = 0;
    return rc;
}

// It leaves its step without being done; what it has sent may have happened.
static enum err leave(struct visit *visit, struct error *e)
{
    const struct tally_departure departure = {
        .definition = visit->instance->definition,
        .step = visit->token->step,
        .arrived_ms = visit->token->arrived_ms,
    };
    enum err rc = interrupt(visit, e);
    if (rc == ERR_OK && visit->token->is_sent) {
        rc = workflow_undo_note(visit, e);
    }
    return rc == ERR_OK ? workflow_tally_depart(visit->workflows, &departure, e) : rc;
}

// One that is parked has left already.
static enum err end_token(struct visit *visit, struct error *e)
{
    enum err rc = ERR_OK;
    if (visit->instance->state != INSTANCE_PARKED || visit->token->phase != TOKEN_READY) {
        rc = leave(visit, e);
        rc = rc == ERR_OK ? visit_note(visit, ENTRY_CANCELLED, NULL, e) : rc;
    }
    workflow_token_drop(visit->token);
    return rc;
}

// Branches stand behind what they are branches of. A parent's path is needed until they have ended,
// so they end from the last to the first.
static bool is_below(const struct workflow_instance *instance, const struct workflow_token *token,
                     uint32_t parent_id)
{
    for (uint32_t depth = 0; depth <= WORKFLOW_DEPTH_MAX && token != NULL; depth++) {
        if (token->parent == parent_id) {
            return true;
        }
        token = token->parent == 0 ? NULL : workflow_token_find(instance, token->parent);
    }
    return false;
}

enum err workflow_end_branches(struct visit *visit, uint32_t token_id, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    enum err rc = ERR_OK;
    for (uint32_t i = instance->token_count; rc == ERR_OK && i > 0; i--) {
        struct workflow_token *token = &instance->tokens[i - 1];
        if (!token->is_gone && (token_id == 0 || is_below(instance, token, token_id))) {
            struct visit ended = {visit->workflows, instance,
                                  &instance->definition->steps[token->step], token};
            rc = end_token(&ended, e);
        }
    }
    return rc;
}

// ---- the list -----------------------------------------------------------------------------------

// As workflow_send.c writes it into keys.
static void write_path(const struct visit *visit, char out_path[PATH_BYTES])
{
    uint32_t branches[WORKFLOW_DEPTH_MAX];
    uint32_t depth = 0;
    const struct workflow_token *token = visit->token;
    while (token != NULL && token->parent != 0 && depth < WORKFLOW_DEPTH_MAX) {
        branches[depth++] = token->branch;
        token = workflow_token_find(visit->instance, token->parent);
    }
    int len = 0;
    out_path[0] = '\0';
    while (depth > 0) {
        len += snprintf(out_path + len, PATH_BYTES - (size_t)len, "/%u", branches[--depth]);
    }
}

// A visit that was parked when it might have happened is listed already.
static void forget(struct workflow_instance *instance, uint32_t execution)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(instance->undo, index, entry)
    {
        if (json_integer_value(json_object_get(entry, "execution")) == execution) {
            json_array_remove(instance->undo, index);
            return;
        }
    }
}

json_t *workflow_undo_entry(const struct visit *visit)
{
    char path[PATH_BYTES];
    write_path(visit, path);
    const json_t *scope = workflow_token_scope(visit->instance, visit->token);
    return json_pack("{s:I, s:s, s:o*}", "step", (json_int_t)visit->token->step, "path", path,
                     "scope", scope == NULL ? NULL : json_deep_copy(scope));
}

enum err workflow_undo_note(struct visit *visit, struct error *e)
{
    if (visit->instance->state != INSTANCE_RUNNING || visit->step->undo == PLACE_NONE) {
        return ERR_OK;
    }
    json_t *entry = workflow_undo_entry(visit);
    json_t *execution = json_integer(visit->token->execution);
    if (entry == NULL || json_object_set_new(entry, "execution", execution) != 0) {
        json_decref(entry);
        return no_memory(e);
    }
    workflow_instance_touch(visit->instance, visit->workflows->now_ms);
    if (visit->token->is_sent) {
        forget(visit->instance, visit->token->execution);
    }
    return json_array_append_new(visit->instance->undo, entry) == 0 ? ERR_OK : no_memory(e);
}

json_t *workflow_undo_last(const struct workflow_instance *instance)
{
    size_t count = json_array_size(instance->undo);
    return count == 0 ? NULL : json_array_get(instance->undo, count - 1);
}

static workflow_place undone_step(const struct workflow_instance *instance)
{
    json_int_t step = json_integer_value(json_object_get(workflow_undo_last(instance), "step"));
    bool is_known = step >= 0 && step < instance->definition->step_count &&
                    instance->definition->steps[step].undo != PLACE_NONE;
    return is_known ? (workflow_place)step : PLACE_NONE;
}

enum err workflow_undo_go_on(struct visit *visit, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    bool is_waiting;
    enum err rc = workflow_undo_children(visit, &is_waiting, e);
    while (rc == ERR_OK && !is_waiting && workflow_undo_last(instance) != NULL &&
           undone_step(instance) == PLACE_NONE) {
        json_array_remove(instance->undo, json_array_size(instance->undo) - 1); // Not ours.
        rc = workflow_undo_children(visit, &is_waiting, e);
    }
    if (rc != ERR_OK || is_waiting) {
        return rc;
    }
    if (workflow_undo_last(instance) == NULL) {
        return workflow_finish(visit, instance->goal, e);
    }
    workflow_place first = instance->definition->steps[undone_step(instance)].undo;
    json_t *scope = json_object_get(workflow_undo_last(instance), "scope");
    rc = workflow_token_add(instance, first, &visit->token, e);
    if (rc != ERR_OK) {
        return rc;
    }
    visit->token->scope = json_is_object(scope) ? json_deep_copy(scope) : NULL;
    if (json_is_object(scope) && visit->token->scope == NULL) {
        return no_memory(e);
    }
    return workflow_arrive(visit, first, e);
}

enum err workflow_undo_begin(struct visit *visit, enum workflow_state goal, struct error *e)
{
    enum err rc = workflow_end_branches(visit, 0, e);
    rc = rc == ERR_OK ? disarm(visit, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    visit->instance->goal = goal;
    if (workflow_undo_last(visit->instance) == NULL) {
        return workflow_finish(visit, goal, e);
    }
    visit->instance->state = INSTANCE_UNDOING;
    rc = note_instance(visit, ENTRY_UNDOING, e);
    return rc == ERR_OK ? workflow_undo_go_on(visit, e) : rc;
}

enum err workflow_undo_next(struct visit *visit, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    workflow_place step = undone_step(instance);
    // The entry names the step that has been undone, not the last one of its list.
    struct workflow_token undone = {
        .step = step == PLACE_NONE ? visit->token->step : step,
        .execution = (uint32_t)json_integer_value(
            json_object_get(workflow_undo_last(instance), "execution")),
        .attempt = 1,
    };
    workflow_token_drop(visit->token);
    enum err rc = workflow_end_branches(visit, 0, e);
    visit->token = &undone;
    rc = rc == ERR_OK ? visit_note(visit, ENTRY_UNDONE, NULL, e) : rc; // Its branch is listed yet.
    visit->token = NULL;
    if (rc == ERR_OK && workflow_undo_last(instance) != NULL) {
        json_array_remove(instance->undo, json_array_size(instance->undo) - 1);
    }
    return rc == ERR_OK ? workflow_undo_go_on(visit, e) : rc;
}

// ---- failure and parking ------------------------------------------------------------------------

// Its tokens stay where they are, ready, and wait for nothing; the one that failed does already.
static enum err park(struct visit *visit, const char *error, const char *reason, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    enum err rc = disarm(visit, e);
    for (uint32_t i = 0; rc == ERR_OK && i < instance->token_count; i++) {
        struct workflow_token *token = &instance->tokens[i];
        struct visit one = {visit->workflows, instance, &instance->definition->steps[token->step],
                            token};
        bool has_branches = one.step->kind == STEP_PARALLEL || one.step->kind == STEP_FOR_EACH;
        if (token->is_gone || token == visit->token) {
            continue;
        }
        if (has_branches && token->phase == TOKEN_WAITING) { // It waits on, but for no time.
            rc = workflow_wait_drop(visit->workflows->waits, instance->id, token->id, e);
        } else {
            rc = leave(&one, e);
        }
    }
    instance->state = INSTANCE_PARKED;
    const struct workflow_entry entry = {
        .kind = ENTRY_PARKED, .token = visit->token, .error = error, .reason = reason};
    return rc == ERR_OK ? workflow_journal_add(visit->workflows, instance, &entry, e) : rc;
}

enum err workflow_unhandled(struct visit *visit, const struct move *failure, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    if (instance->state == INSTANCE_UNDOING) {
        return park(visit, workflow_error_names[failure->error], failure->reason, e);
    }
    instance->goal = INSTANCE_FAILED;
    if (instance->definition->is_parking) {
        return park(visit, instance->error, instance->reason, e);
    }
    workflow_token_drop(visit->token);
    return workflow_undo_begin(visit, INSTANCE_FAILED, e);
}

enum err workflow_overdue(struct workflows *workflows, struct workflow_instance *instance,
                          struct error *e)
{
    struct visit visit = {.workflows = workflows, .instance = instance};
    int64_t within_ms = instance->definition->within_ms;
    if (instance->state != INSTANCE_RUNNING || within_ms == 0) {
        return ERR_OK;
    }
    const char *reason = visit_text(&visit, "the workflow has taken longer than its within, %lld s",
                                    (long long)(within_ms / 1000));
    if (!workflow_set_reason(instance, workflow_error_names[WORKFLOW_TIMEOUT], reason)) {
        return no_memory(e);
    }
    instance->goal = INSTANCE_FAILED;
    return instance->definition->is_parking ? park(&visit, instance->error, instance->reason, e)
                                            : workflow_undo_begin(&visit, INSTANCE_FAILED, e);
}

bool workflow_is_parked_undoing(const struct workflow_instance *instance)
{
    for (uint32_t i = 0; i < instance->token_count; i++) {
        const struct workflow_token *token = &instance->tokens[i];
        if (!token->is_gone && instance->definition->steps[token->step].is_undo) {
            return true;
        }
    }
    return false;
}

// Tries again what the token failed at. Where it may have happened it is the same visit, so that
// the receiver knows it again; where it was refused it is another one, or it would be told the same
// again.
static enum err again(struct visit *visit, struct error *e)
{
    struct workflow_token *token = visit->token;
    uint32_t execution = token->execution;
    bool is_sent = token->is_sent;
    enum err rc = workflow_arrive(visit, token->step, e);
    if (is_sent) {
        token->execution = execution;
        token->is_sent = true;
    }
    return rc;
}

// The branches' own time begins anew, as the instance's does.
static enum err arm_branches(struct visit *visit, struct error *e)
{
    struct workflow_token *token = visit->token;
    const struct workflow_wait wait = {
        .instance = visit->instance->id,
        .token = token->id,
        .due_ms = token->deadline_ms = visit_deadline(visit),
    };
    return wait.due_ms == 0 ? ERR_OK : workflow_wait_put(visit->workflows->waits, &wait, e);
}

enum err workflow_undo_retry(struct visit *visit, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    bool is_undoing = workflow_is_parked_undoing(instance);
    instance->state = is_undoing ? INSTANCE_UNDOING : INSTANCE_RUNNING;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < instance->token_count; i++) {
        visit->token = &instance->tokens[i];
        if (visit->token->is_gone) {
            continue;
        }
        visit->step = &instance->definition->steps[visit->token->step];
        rc = visit->token->phase == TOKEN_READY ? again(visit, e) : arm_branches(visit, e);
    }
    visit->token = NULL;
    if (rc == ERR_OK && !is_undoing) {
        workflow_set_reason(instance, NULL, NULL);
        rc = workflow_arm(visit, e);
    }
    return rc == ERR_OK ? note_instance(visit, ENTRY_RETRIED, e) : rc;
}

// ---- over ---------------------------------------------------------------------------------------

static enum workflow_entry_kind entry_of(enum workflow_state state)
{
    return state == INSTANCE_COMPLETED ? ENTRY_COMPLETED
           : state == INSTANCE_FAILED  ? ENTRY_FAILED
                                       : ENTRY_CANCELLED;
}

enum err workflow_finish(struct visit *visit, enum workflow_state state, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    if (visit->token != NULL) {
        workflow_token_drop(visit->token);
        visit->token = NULL;
    }
    enum err rc = workflow_end_branches(visit, 0, e);
    rc = rc == ERR_OK ? disarm(visit, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    if (state == INSTANCE_COMPLETED) {
        workflow_set_reason(instance, NULL, NULL);
    }
    json_array_clear(instance->undo);
    instance->state = state;
    instance->ended_ms = visit->workflows->now_ms;
    rc = note_instance(visit, entry_of(state), e);
    // At once, so that who looks for those of its key that are not over need not pass it by.
    rc = rc == ERR_OK ? workflow_instance_write(visit->workflows->instances, instance, e) : rc;
    rc = rc == ERR_OK ? workflow_engine_tell_parent(visit, e) : rc;
    return rc == ERR_OK ? workflow_start_next(visit->workflows, instance, e) : rc;
}
