// workflow_step_time.c - steps that wait for a time: sleep, until. Never early; at once when it is
// over.
#include "base/time_text.h"
#include "core/workflow_move.h"

static enum err wait_until(const struct visit *visit, int64_t at_ms, struct move *move)
{
    move->kind = at_ms > visit->workflows->now_ms ? MOVE_WAIT : MOVE_DONE;
    move->due_ms = at_ms;
    move->data = json_pack("{s:I}", "until", (json_int_t)at_ms);
    return ERR_OK;
}

static enum err enter_sleep(struct visit *visit, struct move *move, struct error *e)
{
    (void)e;
    int64_t now_ms = visit->workflows->now_ms, for_ms = visit->step->for_ms;
    return wait_until(visit, for_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + for_ms, move);
}

// Milliseconds since 1970, or ISO 8601.
static bool read_time(const struct event_value *value, int64_t *out_ms)
{
    switch (value->kind) {
    case VALUE_INTEGER:
        *out_ms = value->integer;
        return true;
    case VALUE_REAL:
        *out_ms = (int64_t)value->real;
        return value->real > -9e18 && value->real < 9e18;
    case VALUE_TEXT:
        return time_text_read(value->bytes, out_ms);
    default:
        return false;
    }
}

static enum err enter_until(struct visit *visit, struct move *move, struct error *e)
{
    struct event_value *values;
    enum err rc = visit_query(visit, visit->step->query, NULL, &values, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    int64_t at_ms;
    if (!read_time(&values[0], &at_ms)) {
        move_fail(move, WORKFLOW_EXPRESSION,
                  visit_text(visit,
                             "step %s: `until` needs milliseconds since 1970 or a time like "
                             "2026-01-31T12:00:00Z",
                             visit->step->name));
        return ERR_OK;
    }
    return wait_until(visit, at_ms, move);
}

static enum err hear(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e)
{
    (void)visit;
    (void)e;
    move->kind = news->kind == NEWS_TIME ? MOVE_DONE : MOVE_STAY;
    return ERR_OK;
}

const struct step_type step_sleep = {.enter = enter_sleep, .hear = hear};
const struct step_type step_until = {.enter = enter_until, .hear = hear};
