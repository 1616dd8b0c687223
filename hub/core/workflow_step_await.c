// workflow_step_await.c - await: an event that matches, one that was kept first.
#include "base/time_text.h"
#include "core/workflow_move.h"

enum err workflow_await_value(struct workflows *workflows, const struct workflow_instance *instance,
                              const struct workflow_token *token, const char **out_value,
                              struct error *e)
{
    struct workflow_query *match = instance->definition->steps[token->step].query;
    struct event_value value;
    bool has_row;
    if (match == NULL) {
        *out_value = event_memory_text(workflows->memory, bytes_from_text(instance->key));
        return *out_value != NULL ? ERR_OK : error_set(e, ERR_NO_MEMORY, "out of memory for a key");
    }
    struct query_input input;
    workflows_input(workflows, instance, token, &input);
    enum err rc = workflow_query_run(match, &input, &value, &has_row, e);
    if (rc != ERR_OK) {
        return rc;
    }
    struct error why = {.text = ""};
    rc = workflow_key_text(&value, workflows->memory, out_value, &why);
    return rc == ERR_OK ? ERR_OK
                        : error_set(e, rc, "step %s: match %s",
                                    instance->definition->steps[token->step].name, why.text);
}

static enum err take(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e)
{
    move->kind = MOVE_DONE;
    move->data = json_pack("{s:s}", "event", news->event_id == NULL ? "" : news->event_id);
    workflow_record_event(move->data, news->batch, news->event_index);
    return visit_take(visit, news, move, e);
}

static enum err take_kept(struct visit *visit, struct move *move, struct error *e)
{
    struct event_batch *batch = visit->workflows->answers;
    const struct workflow_news_item news = {
        .kind = NEWS_EVENT,
        .batch = batch,
        .event_id = event_id(event_batch_at(batch, 0)),
    };
    return take(visit, &news, move, e);
}

static enum err enter(struct visit *visit, struct move *move, struct error *e)
{
    const char *value;
    bool is_taken = false;
    enum err rc = workflow_await_value(visit->workflows, visit->instance, visit->token, &value, e);
    if (rc == ERR_OK && visit->step->keep_ms > 0) {
        rc = workflow_match_kept(visit->workflows, visit->instance, visit->token, &is_taken, e);
    }
    if (rc != ERR_OK) {
        return move_fail_on(visit, rc, WORKFLOW_EXPRESSION, move, e);
    }
    if (is_taken) {
        return take_kept(visit, move, e);
    }
    move->kind = MOVE_WAIT;
    move->value = value;
    move->due_ms = visit_deadline(visit);
    move->data = json_pack("{s:s}", "awaits", value);
    if (move->due_ms != 0) {
        json_object_set_new(move->data, "until", json_integer(move->due_ms));
    }
    return ERR_OK;
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
                  visit_text(visit, "step %s: no event has come within %s", visit->step->name,
                             duration_text_write(visit->step->within_ms, within)));
        return ERR_OK;
    }
    return news->kind == NEWS_EVENT ? take(visit, news, move, e) : ERR_OK;
}

const struct step_type step_await = {.enter = enter, .hear = hear};
