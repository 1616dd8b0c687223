#include "core/workflow_move.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static const struct step_type *const types[STEP_KIND_COUNT] = {
    [STEP_EMIT] = &step_emit,
    [STEP_CALL] = &step_call,
    [STEP_COMMAND] = &step_command,
    [STEP_AWAIT] = &step_await,
    [STEP_SLEEP] = &step_sleep,
    [STEP_UNTIL] = &step_until,
    [STEP_IF] = &step_if,
    [STEP_SWITCH] = &step_switch,
    [STEP_PARALLEL] = &step_parallel,
    [STEP_FOR_EACH] = &step_for_each,
    [STEP_SET] = &step_set,
    [STEP_RUN] = &step_run,
    [STEP_END] = &step_end,
    [STEP_FAIL] = &step_fail,
    [STEP_GOTO] = &step_goto,
};

// ---- visits -------------------------------------------------------------------------------------

struct visit visit_of(struct workflows *workflows, struct workflow_instance *instance,
                      uint32_t token_id)
{
    struct visit visit = {.workflows = workflows, .instance = instance};
    visit.token = token_id == 0 ? NULL : workflow_token_find(instance, token_id);
    if (visit.token != NULL) {
        visit.step = &instance->definition->steps[visit.token->step];
    }
    return visit;
}

// What is no UTF-8 (a peer's words, a character that was cut at the end) could not be told on.
static void clean(char *text)
{
    size_t len = strlen(text);
    uint32_t code_point;
    for (size_t i = 0; i < len;) {
        size_t length = utf8_decode(bytes_of((uint8_t *)text + i, len - i), &code_point);
        text[i] = length == 0 ? '?' : text[i];
        i += length == 0 ? 1 : length;
    }
}

const char *visit_text(const struct visit *visit, const char *format, ...)
{
    char text[sizeof((struct error){0}.text)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    clean(text);
    const char *copy = event_memory_text(visit->workflows->memory, bytes_from_text(text));
    return copy == NULL ? "" : copy;
}

const char *visit_reason(const struct visit *visit, struct bytes text)
{
    char *copy = event_memory_take(visit->workflows->memory, text.len + 1);
    if (copy == NULL) {
        return "";
    }
    memcpy(copy, text.len == 0 ? (const uint8_t *)"" : text.ptr, text.len);
    copy[text.len] = '\0';
    clean(copy);
    return copy;
}

int64_t visit_deadline(const struct visit *visit)
{
    return visit->step->within_ms == 0 ? 0 : visit->workflows->now_ms + visit->step->within_ms;
}

enum err visit_note(struct visit *visit, enum workflow_entry_kind kind, json_t *take_data,
                    struct error *e)
{
    const struct workflow_entry entry = {
        .kind = kind, .token = visit->token, .take_data = take_data};
    return workflow_journal_add(visit->workflows, visit->instance, &entry, e);
}

static enum err note_error(struct visit *visit, enum workflow_entry_kind kind,
                           const struct move *move, json_t *take_data, struct error *e)
{
    const struct workflow_entry entry = {
        .kind = kind,
        .token = visit->token,
        .error = workflow_error_names[move->error],
        .reason = move->reason,
        .take_data = take_data,
    };
    return workflow_journal_add(visit->workflows, visit->instance, &entry, e);
}

void move_fail(struct move *move, enum workflow_error error, const char *reason)
{
    move->kind = MOVE_FAIL;
    move->error = error;
    move->reason = reason;
}

enum err move_fail_on(const struct visit *visit, enum err rc, enum workflow_error error,
                      struct move *move, struct error *e)
{
    if (rc != ERR_INVALID) {
        return rc;
    }
    move_fail(move, error, visit_text(visit, "%s", e->text));
    return ERR_OK;
}

// ---- from place to place ------------------------------------------------------------------------

enum err workflow_arrive(struct visit *visit, workflow_place step, struct error *e)
{
    struct workflow_token *token = visit->token;
    token->step = step;
    token->execution = visit->instance->next_execution++;
    token->attempt = 1;
    token->phase = TOKEN_READY;
    token->arrived_ms = visit->workflows->now_ms;
    token->deadline_ms = 0;
    token->delivery = 0;
    token->is_sent = false;
    token->total = token->begun = token->done = token->failed = 0;
    json_decref(token->items);
    token->items = NULL;
    visit->step = &visit->instance->definition->steps[step];
    workflow_instance_touch(visit->instance, visit->workflows->now_ms);
    return workflow_tally_arrive(visit->workflows, visit->instance->definition, step, e);
}

static enum err depart(struct visit *visit, bool is_failed, struct error *e)
{
    const struct tally_departure departure = {
        .definition = visit->instance->definition,
        .step = visit->token->step,
        .arrived_ms = visit->token->arrived_ms,
        .is_failed = is_failed,
    };
    return workflow_tally_depart(visit->workflows, &departure, e);
}

static enum err make_move(struct visit *visit, struct move *take_move, struct error *e);

// The branch that the token is has ended: its parent's business. Calls itself as deep as steps
// stand within steps, WORKFLOW_DEPTH_MAX.
static enum err join(struct visit *visit, const struct move *failure, struct error *e)
{
    const struct branch_end end = {
        .is_failed = failure != NULL,
        .branch = visit->token->branch,
        .reason = failure == NULL ? NULL : failure->reason,
    };
    struct visit parent = visit_of(visit->workflows, visit->instance, visit->token->parent);
    workflow_token_drop(visit->token);
    if (parent.token == NULL || types[parent.step->kind]->join == NULL) {
        return error_set(e, ERR_INTERNAL, "workflow %s, instance %lld: a branch without its step",
                         visit->instance->definition->name, (long long)visit->instance->id);
    }
    struct move move = {0};
    enum err rc = types[parent.step->kind]->join(&parent, &end, &move, e);
    if (rc != ERR_OK) {
        json_decref(move.data);
        return rc;
    }
    return make_move(&parent, &move, e);
}

// failure: what led there, by a step's catch; NULL: the flow.
static enum err go(struct visit *visit, workflow_place place, const struct move *failure,
                   struct error *e)
{
    switch (place) {
    case PLACE_END:
        return workflow_finish(visit, INSTANCE_COMPLETED, e);
    case PLACE_JOIN:
        return join(visit, failure, e);
    case PLACE_UNDONE:
        return workflow_undo_next(visit, e);
    case PLACE_FAIL:
        return workflow_unhandled(visit, failure, e);
    case PLACE_NONE:
        return error_set(e, ERR_INTERNAL, "workflow %s: step %s leads nowhere",
                         visit->instance->definition->name, visit->step->name);
    default:
        return workflow_arrive(visit, place, e);
    }
}

// ---- moves --------------------------------------------------------------------------------------

static enum err make_stay(struct visit *visit, struct move *move, struct error *e)
{
    (void)visit;
    (void)e;
    json_decref(move->data);
    return ERR_OK;
}

static enum err make_wait(struct visit *visit, struct move *move, struct error *e)
{
    struct workflow_token *token = visit->token;
    const struct workflow_wait wait = {
        .instance = visit->instance->id,
        .token = token->id,
        .definition = move->device != NULL ? 0 : visit->instance->definition->id,
        .step = move->device != NULL ? 0 : token->step,
        .value = move->device != NULL ? move->device : move->value,
        .due_ms = move->due_ms,
    };
    token->phase = move->device != NULL ? TOKEN_OFFLINE : TOKEN_WAITING;
    token->deadline_ms = move->due_ms;
    enum err rc = ERR_OK;
    if (wait.value != NULL || wait.due_ms != 0) {
        rc = workflow_wait_put(visit->workflows->waits, &wait, e);
    }
    if (rc != ERR_OK) {
        json_decref(move->data);
        return rc;
    }
    return visit_note(visit, ENTRY_ENTERED, move->data, e);
}

static enum err unwait(struct visit *visit, struct error *e)
{
    bool is_waiting = visit->token->phase != TOKEN_READY;
    visit->token->phase = TOKEN_READY;
    visit->token->deadline_ms = 0;
    return is_waiting ? workflow_wait_drop(visit->workflows->waits, visit->instance->id,
                                           visit->token->id, e)
                      : ERR_OK;
}

static enum err make_again(struct visit *visit, struct move *move, struct error *e)
{
    json_decref(move->data);
    workflow_instance_touch(visit->instance, visit->workflows->now_ms);
    return unwait(visit, e);
}

static enum err make_to(struct visit *visit, struct move *move, struct error *e)
{
    enum err rc = visit_note(visit, ENTRY_DONE, move->data, e);
    rc = rc == ERR_OK ? unwait(visit, e) : rc;
    rc = rc == ERR_OK ? depart(visit, false, e) : rc;
    return rc == ERR_OK ? go(visit, move->place, NULL, e) : rc;
}

static enum err make_done(struct visit *visit, struct move *move, struct error *e)
{
    enum err rc = workflow_undo_note(visit, e);
    if (rc != ERR_OK) {
        json_decref(move->data);
        return rc;
    }
    move->place = visit->step->next;
    return make_to(visit, move, e);
}

static enum err back_off(struct visit *visit, const struct move *move, int64_t at_ms,
                         struct error *e)
{
    struct workflow_token *token = visit->token;
    const struct workflow_wait wait = {
        .instance = visit->instance->id, .token = token->id, .due_ms = at_ms};
    token->phase = TOKEN_BACKOFF;
    token->deadline_ms = at_ms;
    enum err rc = workflow_wait_put(visit->workflows->waits, &wait, e);
    if (rc == ERR_OK) {
        rc = workflow_tally_retry(visit->workflows, visit->instance->definition, token->step, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    json_t *data = json_pack("{s:I}", "until", (json_int_t)at_ms);
    return note_error(visit, ENTRY_RETRYING, move, data, e);
}

static enum err give_up(struct visit *visit, const struct move *move, struct error *e)
{
    enum err rc = note_error(visit, ENTRY_ERROR, move, NULL, e);
    if (rc == ERR_OK && visit->token->is_sent) {
        rc = workflow_undo_note(visit, e);
    }
    rc = rc == ERR_OK ? depart(visit, true, e) : rc;
    const char *error = workflow_error_names[move->error];
    bool is_running = visit->instance->state == INSTANCE_RUNNING;
    bool is_known = !is_running || workflow_set_reason(visit->instance, error, move->reason);
    if (is_running && visit->token->parent != 0) { // Others of its branches may fail meanwhile.
        is_known = is_known && workflow_token_fail(visit->token, error, move->reason);
    }
    if (rc == ERR_OK && !is_known) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for what a workflow failed with");
    }
    return rc == ERR_OK ? go(visit, visit->step->catch, move, e) : rc;
}

static enum err make_fail(struct visit *visit, struct move *move, struct error *e)
{
    json_decref(move->data);
    visit->token->is_sent |= move->has_happened;
    enum err rc = workflow_stop(visit, e);
    rc = rc == ERR_OK ? unwait(visit, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    int64_t at_ms = workflow_retry_at(visit, move);
    return at_ms != 0 ? back_off(visit, move, at_ms, e) : give_up(visit, move, e);
}

static enum err make_over(struct visit *visit, struct move *move, struct error *e)
{
    bool is_undoing = visit->instance->state == INSTANCE_UNDOING;
    if (is_undoing) {
        json_decref(move->data);
    } else {
        json_decref(visit->instance->result);
        visit->instance->result = move->data;
    }
    enum err rc = visit_note(visit, ENTRY_DONE, NULL, e);
    rc = rc == ERR_OK ? depart(visit, false, e) : rc;
    return rc == ERR_OK ? go(visit, is_undoing ? PLACE_UNDONE : PLACE_END, NULL, e) : rc;
}

static enum err make_move(struct visit *visit, struct move *take_move, struct error *e)
{
    static enum err (*const makers[MOVE_COUNT])(struct visit *, struct move *, struct error *) = {
        [MOVE_STAY] = make_stay, [MOVE_WAIT] = make_wait, [MOVE_AGAIN] = make_again,
        [MOVE_DONE] = make_done, [MOVE_TO] = make_to,     [MOVE_FAIL] = make_fail,
        [MOVE_OVER] = make_over,
    };
    return makers[take_move->kind](visit, take_move, e);
}

// ---- until all wait -----------------------------------------------------------------------------

static enum err hear(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e)
{
    const struct step_type *type = types[visit->step->kind];
    if (visit->token->phase == TOKEN_BACKOFF && news->kind == NEWS_TIME) {
        visit->token->attempt++;
        move->kind = MOVE_AGAIN;
        return ERR_OK;
    }
    return type->hear == NULL ? ERR_OK : type->hear(visit, news, move, e);
}

enum err workflow_hear(struct visit *visit, const struct workflow_news_item *news, struct error *e)
{
    const struct workflow_token *token = visit->token;
    bool is_early = news->kind == NEWS_TIME &&
                    (token->deadline_ms == 0 || token->deadline_ms > visit->workflows->now_ms);
    if (token->phase == TOKEN_READY || is_early) {
        return ERR_OK;
    }
    struct move move = {0};
    enum err rc = hear(visit, news, &move, e);
    if (rc != ERR_OK) {
        json_decref(move.data);
        return rc;
    }
    return make_move(visit, &move, e);
}

static bool is_active(const struct workflow_instance *instance)
{
    return instance->state == INSTANCE_RUNNING || instance->state == INSTANCE_UNDOING;
}

// A bound that the step would go beyond; NULL: none.
static const char *beyond(const struct visit *visit, uint32_t moves, uint32_t moves_all)
{
    if (moves > WORKFLOW_MOVES_MAX || moves_all > WORKFLOW_MOVES_ALL_MAX) {
        return visit_text(visit, "step %s: %u steps without waiting", visit->step->name,
                          moves > WORKFLOW_MOVES_MAX ? WORKFLOW_MOVES_MAX : WORKFLOW_MOVES_ALL_MAX);
    }
    if (visit->step->undo != PLACE_NONE &&
        json_array_size(visit->instance->undo) >= WORKFLOW_UNDOS_MAX) {
        return visit_text(visit, "step %s: %u steps that can be undone are the most",
                          visit->step->name, WORKFLOW_UNDOS_MAX);
    }
    return NULL;
}

// One step of the token, as it stands there.
static enum err step_on(struct visit *visit, const char *bound, struct error *e)
{
    struct move move = {0};
    enum err rc = ERR_OK;
    if (bound != NULL) {
        move_fail(&move, WORKFLOW_BOUND, bound);
    } else {
        rc = types[visit->step->kind]->enter(visit, &move, e);
    }
    if (rc != ERR_OK) {
        json_decref(move.data);
        return rc;
    }
    return make_move(visit, &move, e);
}

uint32_t *workflow_moves(const struct workflows *workflows, struct workflow_instance *instance)
{
    if (instance->round != workflows->engine.round) {
        instance->round = workflows->engine.round;
        instance->moves = 0;
    }
    return &instance->moves;
}

static enum err run_token(struct workflows *workflows, struct workflow_instance *instance,
                          uint32_t token_id, struct error *e)
{
    enum err rc = ERR_OK;
    struct visit visit = visit_of(workflows, instance, token_id);
    for (uint32_t moves = 1; rc == ERR_OK && is_active(instance) && visit.token != NULL &&
                             visit.token->phase == TOKEN_READY;
         moves++) {
        rc = step_on(&visit, beyond(&visit, moves, ++*workflow_moves(workflows, instance)), e);
        visit = visit_of(workflows, instance, token_id);
    }
    return rc;
}

static const struct workflow_token *next_ready(const struct workflow_instance *instance)
{
    for (uint32_t i = 0; i < instance->token_count; i++) {
        const struct workflow_token *token = &instance->tokens[i];
        if (!token->is_gone && token->phase == TOKEN_READY) {
            return token;
        }
    }
    return NULL;
}

// Forgets tokens that have ended. Nobody points to any.
static void reap(struct workflow_instance *instance)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < instance->token_count; i++) {
        if (!instance->tokens[i].is_gone) {
            instance->tokens[kept++] = instance->tokens[i];
        }
    }
    instance->token_count = kept;
}

enum err workflow_drive(struct workflows *workflows, struct workflow_instance *instance,
                        struct error *e)
{
    enum err rc = ERR_OK;
    const struct workflow_token *ready = next_ready(instance);
    while (rc == ERR_OK && is_active(instance) && ready != NULL) {
        rc = run_token(workflows, instance, ready->id, e);
        reap(instance);
        ready = next_ready(instance);
    }
    reap(instance);
    return rc;
}
