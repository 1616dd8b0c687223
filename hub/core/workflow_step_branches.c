// workflow_step_branches.c - steps with branches of their own: parallel, for_each. Each branch is a
// token whose parent waits; it tells its parent when it has ended.
#include <string.h>

#include "base/time_text.h"
#include "core/workflow_move.h"

#define ITEM_SHOWN_BYTES 60
#define ITEM_LEVELS_MAX  1000 // Of 2,048 that Jansson reads, and an item stands in other things.

static uint32_t live_tokens(const struct workflow_instance *instance)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < instance->token_count; i++) {
        count += !instance->tokens[i].is_gone;
    }
    return count;
}

static void fail_tokens(const struct visit *visit, struct move *move)
{
    move_fail(move, WORKFLOW_BOUND,
              visit_text(visit, "step %s: an instance has %d branches at most", visit->step->name,
                         WORKFLOW_TOKENS_MAX));
}

// A branch that begins there has no steps.
static bool is_nothing(workflow_place first)
{
    return first == PLACE_NONE || first == PLACE_JOIN;
}

// The visit's token may have moved in memory afterwards.
static enum err add_branch(struct visit *visit, uint32_t branch, workflow_place first,
                           json_t *take_scope, struct error *e)
{
    uint32_t parent_id = visit->token->id;
    struct visit child = *visit;
    enum err rc = workflow_token_add(visit->instance, first, &child.token, e);
    *visit = visit_of(visit->workflows, visit->instance, parent_id);
    if (rc != ERR_OK) {
        json_decref(take_scope);
        return rc;
    }
    child.token->parent = parent_id;
    child.token->branch = branch;
    child.token->scope = take_scope;
    return workflow_arrive(&child, first, e);
}

// What comes to nothing any more ends: the branches that are left.
static enum err end_others(struct visit *visit, struct error *e)
{
    return workflow_end_branches(visit, visit->token->id, e);
}

// ---- parallel -----------------------------------------------------------------------------------

static void wait_for_branches(const struct visit *visit, struct move *move)
{
    move->kind = MOVE_WAIT;
    move->due_ms = visit_deadline(visit);
    move->data = json_pack("{s:i}", "branches", (int)visit->token->total);
}

static enum err parallel_done(struct visit *visit, struct move *move, struct error *e)
{
    move->kind = MOVE_DONE;
    move->data = json_pack("{s:i, s:i}", "done", (int)visit->token->done, "failed",
                           (int)visit->token->failed);
    return end_others(visit, e);
}

static enum err enter_parallel(struct visit *visit, struct move *move, struct error *e)
{
    const struct workflow_step *step = visit->step;
    struct workflow_token *token = visit->token;
    if (live_tokens(visit->instance) + step->branch_count > WORKFLOW_TOKENS_MAX) {
        fail_tokens(visit, move);
        return ERR_OK;
    }
    token->total = token->begun = step->branch_count;
    token->done = token->failed = 0;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < step->branch_count; i++) {
        workflow_place first = step->branches[i].first;
        if (is_nothing(first)) {
            visit->token->done++;
        } else {
            rc = add_branch(visit, i, first, NULL, e);
        }
    }
    if (rc == ERR_OK && visit->token->done >= step->wait_count) {
        return parallel_done(visit, move, e);
    }
    wait_for_branches(visit, move);
    return rc;
}

static enum err join_parallel(struct visit *visit, const struct branch_end *end, struct move *move,
                              struct error *e)
{
    struct workflow_token *token = visit->token;
    token->done += !end->is_failed;
    token->failed += end->is_failed;
    if (token->done >= visit->step->wait_count) {
        return parallel_done(visit, move, e);
    }
    if (token->total - token->failed >= visit->step->wait_count) {
        return ERR_OK;
    }
    move_fail(move, WORKFLOW_FAILED,
              visit_text(visit, "branch %s: %s", visit->step->branches[end->branch].name,
                         end->reason == NULL ? "" : end->reason));
    return end_others(visit, e);
}

static enum err hear_branches(struct visit *visit, const struct workflow_news_item *news,
                              struct move *move, struct error *e)
{
    if (news->kind != NEWS_TIME || visit->token->phase != TOKEN_WAITING) {
        return ERR_OK;
    }
    char within[DURATION_TEXT_BYTES];
    move_fail(move, WORKFLOW_TIMEOUT,
              visit_text(visit, "step %s: %u of %u branches have ended within %s",
                         visit->step->name, visit->token->done + visit->token->failed,
                         visit->token->total, duration_text_write(visit->step->within_ms, within)));
    return end_others(visit, e);
}

// ---- for_each -----------------------------------------------------------------------------------

// The item beside what the branch around has.
static enum err make_scope(const struct visit *visit, json_t **out_scope, struct error *e)
{
    const json_t *outer = workflow_token_scope(visit->instance, visit->token);
    json_t *scope = outer == NULL ? json_object() : json_deep_copy(outer);
    const char *name = visit->instance->definition->variables[visit->step->item_variable];
    json_t *item = json_array_get(visit->token->items, visit->token->begun);
    if (scope == NULL || json_object_set_new(scope, name, json_deep_copy(item)) != 0) {
        json_decref(scope);
        return error_set(e, ERR_NO_MEMORY, "out of memory for an item of a workflow");
    }
    *out_scope = scope;
    return ERR_OK;
}

// How many items may begin now.
static uint32_t room(const struct visit *visit)
{
    const struct workflow_token *token = visit->token;
    uint32_t running = token->begun - token->done - token->failed;
    uint32_t left = token->total - token->begun;
    if (visit->step->is_wave && running > 0) {
        return 0;
    }
    uint32_t free = visit->step->at_once > running ? visit->step->at_once - running : 0;
    return left < free ? left : free;
}

static enum err begin_items(struct visit *visit, struct move *move, struct error *e)
{
    uint32_t count = room(visit);
    if (count > 0 && live_tokens(visit->instance) + count > WORKFLOW_TOKENS_MAX) {
        fail_tokens(visit, move);
        return end_others(visit, e);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        json_t *scope = NULL;
        rc = make_scope(visit, &scope, e);
        if (rc == ERR_OK) {
            uint32_t item = visit->token->begun++;
            rc = add_branch(visit, item, visit->step->branches[0].first, scope, e);
        }
    }
    return rc;
}

static void items_done(struct visit *visit, struct move *move)
{
    const struct workflow_token *token = visit->token;
    move->kind = MOVE_DONE;
    move->data = json_pack("{s:i, s:i, s:i}", "total", (int)token->total, "done", (int)token->done,
                           "failed", (int)token->failed);
}

// How deep arrays and objects stand within one another in a JSON text.
static uint32_t levels_of(struct bytes json)
{
    uint32_t level = 0, most = 0;
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        uint8_t c = json.ptr[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
            continue;
        }
        is_string = c == '"';
        level += c == '[' || c == '{';
        level -= level > 0 && (c == ']' || c == '}');
        most = level > most ? level : most;
    }
    return most;
}

// With what there is instead: mostly a field that the event does not have.
static const char *no_array(const struct visit *visit, const struct event_value *value)
{
    const char *name = visit->step->name;
    if (value->kind == VALUE_NULL) {
        return visit_text(visit, "step %s: for_each needs a JSON array, not NULL", name);
    }
    if (value->kind != VALUE_TEXT && value->kind != VALUE_JSON) {
        return visit_text(visit, "step %s: for_each needs a JSON array, not a number or bytes",
                          name);
    }
    struct bytes text = value->bytes;
    size_t len = workflow_record_whole(text, ITEM_SHOWN_BYTES);
    return visit_text(visit, "step %s: for_each needs a JSON array, not '%.*s%s'", name, (int)len,
                      len == 0 ? "" : (const char *)text.ptr, len < text.len ? "..." : "");
}

// The value as an array; NULL: it is none that can be gone through, and the move says why.
static json_t *read_array(const struct visit *visit, const struct event_value *value,
                          struct move *move)
{
    const char *name = visit->step->name;
    bool is_text = value->kind == VALUE_TEXT || value->kind == VALUE_JSON;
    if (is_text && levels_of(value->bytes) > ITEM_LEVELS_MAX) {
        move_fail(move, WORKFLOW_BOUND,
                  visit_text(visit, "step %s: its items are more than %d levels deep", name,
                             ITEM_LEVELS_MAX));
        return NULL;
    }
    json_t *items = is_text ? json_loadb((const char *)value->bytes.ptr, value->bytes.len,
                                         JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                            : NULL;
    size_t count = json_array_size(items);
    if (json_is_array(items) && count <= WORKFLOW_ITEMS_MAX) {
        return items;
    }
    if (json_is_array(items)) {
        move_fail(move, WORKFLOW_BOUND,
                  visit_text(visit, "step %s: %zu items, %d are the most", name, count,
                             WORKFLOW_ITEMS_MAX));
    } else {
        move_fail(move, WORKFLOW_EXPRESSION, no_array(visit, value));
    }
    json_decref(items);
    return NULL;
}

static enum err read_items(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    json_t *items = read_array(visit, &values[0], move);
    if (items == NULL) {
        return ERR_OK;
    }
    struct workflow_token *token = visit->token;
    json_decref(token->items);
    token->items = items;
    token->total = (uint32_t)json_array_size(items);
    token->begun = token->done = token->failed = 0;
    return ERR_OK;
}

static enum err enter_for_each(struct visit *visit, struct move *move, struct error *e)
{
    enum err rc = read_items(visit, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    if (visit->token->total == 0 || is_nothing(visit->step->branches[0].first)) {
        visit->token->done = visit->token->total;
        items_done(visit, move);
        return ERR_OK;
    }
    rc = begin_items(visit, move, e);
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        wait_for_branches(visit, move);
    }
    return rc;
}

// Whether so many failures are enough; move->kind is MOVE_FAIL where `stop` itself failed.
static enum err must_stop(struct visit *visit, bool *out_must, struct move *move, struct error *e)
{
    struct event_value *values;
    *out_must = visit->token->failed > 0;
    if (visit->step->stop == NULL) {
        return ERR_OK;
    }
    enum err rc = visit_query(visit, visit->step->stop, NULL, &values, move, e);
    *out_must = rc == ERR_OK && move->kind != MOVE_FAIL && query_value_is_true(&values[0]);
    return rc;
}

static enum err join_for_each(struct visit *visit, const struct branch_end *end, struct move *move,
                              struct error *e)
{
    struct workflow_token *token = visit->token;
    bool must = false;
    token->done += !end->is_failed;
    token->failed += end->is_failed;
    workflow_instance_touch(visit->instance, visit->workflows->now_ms);
    enum err rc = must_stop(visit, &must, move, e);
    if (rc == ERR_OK && must) {
        move_fail(move, WORKFLOW_FAILED,
                  visit_text(visit, "step %s: %u of %u items have failed, the last: %s",
                             visit->step->name, token->failed, token->total,
                             end->reason == NULL ? "" : end->reason));
    }
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc == ERR_OK ? end_others(visit, e) : rc;
    }
    if (token->done + token->failed == token->total) {
        items_done(visit, move);
        return ERR_OK;
    }
    return begin_items(visit, move, e);
}

const struct step_type step_parallel = {
    .enter = enter_parallel, .hear = hear_branches, .join = join_parallel};
const struct step_type step_for_each = {
    .enter = enter_for_each, .hear = hear_branches, .join = join_for_each};
