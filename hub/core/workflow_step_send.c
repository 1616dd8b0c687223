// workflow_step_send.c - steps that send something: emit, call, command.
#include "base/time_text.h"
#include "core/workflow_move.h"

// What devices with the SDK say without having asked their program, see docs/PROTOCOL.md.
#define REPLY_BUSY      (-2)  // It has not begun and may later.
#define REPLY_TOO_LARGE (-3)  // The command, or the reply of one that has been run.
#define REPLY_EXPIRED   (-15) // It does not begin this attempt.

// Whether it may have happened is said by what comes of it, not by that it was sent.
static enum err send(struct visit *visit, struct move *move, struct error *e)
{
    bool was_sent = visit->token->is_sent;
    enum err rc = workflow_send(visit->workflows, visit->instance, visit->token, &move->data, e);
    visit->token->is_sent = was_sent;
    return move_fail_on(visit, rc, WORKFLOW_EXPRESSION, move, e);
}

static void wait_for_answer(const struct visit *visit, struct move *move)
{
    move->kind = MOVE_WAIT;
    move->due_ms = visit_deadline(visit);
    if (move->due_ms != 0) {
        json_t *until = json_integer(move->due_ms);
        move->data = move->data == NULL ? json_object() : move->data;
        json_object_set_new(move->data, "until", until);
    }
}

static void fail_unknown(struct move *move, enum workflow_error error, const char *reason)
{
    move_fail(move, error, reason);
    move->has_happened = true;
}

static void fail_late(const struct visit *visit, struct move *move)
{
    char within[DURATION_TEXT_BYTES];
    fail_unknown(move, WORKFLOW_TIMEOUT,
                 visit_text(visit, "step %s: nothing has come within %s", visit->step->name,
                            duration_text_write(visit->step->within_ms, within)));
}

static const char *reason_of(const struct visit *visit, const struct workflow_news_item *news)
{
    if (news->reason != NULL && news->reason[0] != '\0') {
        return visit_text(visit, "%s", news->reason);
    }
    return visit_text(visit, "status %d%s", (int)news->status,
                      news->status == REPLY_BUSY ? ", the device is busy" : "");
}

// What came back makes the step done.
static enum err take(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e)
{
    move->kind = MOVE_DONE;
    move->data = json_pack("{s:i}", "status", (int)news->status);
    workflow_record_event(move->data, news->batch, news->event_index);
    if (visit->step->take != NULL && news->is_cut) {
        fail_unknown(
            move, WORKFLOW_ANSWER,
            visit_text(visit, "step %s: the answer is too large to be read", visit->step->name));
        return ERR_OK;
    }
    enum err rc = visit_take(visit, news, move, e);
    move->has_happened = true;
    return rc;
}

// A settlement of an attempt before this one says nothing of this one, unless it has succeeded.
static bool is_stale(const struct visit *visit, const struct workflow_news_item *news)
{
    bool is_older = news->delivery != 0 && news->delivery != visit->token->delivery;
    return visit->token->phase != TOKEN_WAITING || is_older;
}

static void hear_failure(struct visit *visit, const struct workflow_news_item *news,
                         struct move *move)
{
    if (is_stale(visit, news)) {
        return;
    }
    visit->token->delivery = 0;
    if (news->verdict == VERDICT_RETRY) {
        fail_unknown(move, WORKFLOW_UNAVAILABLE, reason_of(visit, news));
        move->retry_after_ms = news->retry_after_ms;
    } else {
        move_fail(move, WORKFLOW_REFUSED, reason_of(visit, news));
    }
}

// ---- emit ---------------------------------------------------------------------------------------

static enum err enter_emit(struct visit *visit, struct move *move, struct error *e)
{
    move->kind = MOVE_DONE;
    return send(visit, move, e);
}

// ---- call ---------------------------------------------------------------------------------------

static enum err enter_call(struct visit *visit, struct move *move, struct error *e)
{
    enum err rc = send(visit, move, e);
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        wait_for_answer(visit, move);
    }
    return rc;
}

// An answer that comes while the next attempt backs off, or is on its way, is the answer.
static enum err hear_call(struct visit *visit, const struct workflow_news_item *news,
                          struct move *move, struct error *e)
{
    if (news->kind == NEWS_TIME) {
        fail_late(visit, move);
    } else if (news->kind == NEWS_ANSWER && news->verdict != VERDICT_DONE) {
        hear_failure(visit, news, move);
    } else if (news->kind == NEWS_ANSWER) {
        enum err rc = workflow_stop(visit, e);
        return rc == ERR_OK ? take(visit, news, move, e) : rc;
    }
    return ERR_OK;
}

// ---- command ------------------------------------------------------------------------------------

// Until when it waits for the device: as long as an attempt may take, and there may be attempts.
static int64_t patience(const struct visit *visit)
{
    int64_t within_ms = visit->step->within_ms, retry_ms = visit->step->retry.within_ms;
    int64_t attempt_ends_ms = within_ms == 0 ? INT64_MAX : visit->workflows->now_ms + within_ms;
    int64_t retry_ends_ms = retry_ms == 0 ? INT64_MAX : visit->token->arrived_ms + retry_ms;
    int64_t ends_ms = attempt_ends_ms < retry_ends_ms ? attempt_ends_ms : retry_ends_ms;
    return ends_ms == INT64_MAX ? 0 : ends_ms;
}

static void fail_offline(const struct visit *visit, const char *device, struct move *move)
{
    move_fail(move, WORKFLOW_OFFLINE,
              visit_text(visit, "step %s: device %s is offline", visit->step->name, device));
}

static void wait_for_device(const struct visit *visit, const char *device, struct move *move)
{
    move->due_ms = patience(visit);
    if (move->due_ms != 0 && move->due_ms <= visit->workflows->now_ms) {
        fail_offline(visit, device, move);
        return;
    }
    move->kind = MOVE_WAIT;
    move->device = device;
    move->data = json_pack("{s:s, s:b}", "device", device, "online", 0);
}

static enum err look_for_device(struct visit *visit, const char **out_device, bool *out_is_online,
                                struct move *move, struct error *e)
{
    enum presence presence;
    enum err rc =
        workflow_send_device(visit->workflows, visit->instance, visit->token, out_device, e);
    if (rc == ERR_OK) {
        rc = workflow_presence_get(visit->workflows->presence, *out_device, &presence, e);
        *out_is_online = rc == ERR_OK && presence != PRESENCE_OFFLINE; // Or nothing is known.
    }
    return move_fail_on(visit, rc, WORKFLOW_EXPRESSION, move, e);
}

static enum err enter_command(struct visit *visit, struct move *move, struct error *e)
{
    const char *device = "";
    bool is_online = true;
    enum err rc = look_for_device(visit, &device, &is_online, move, e);
    if (rc != ERR_OK || move->kind == MOVE_FAIL) {
        return rc;
    }
    if (!is_online && visit->step->offline == OFFLINE_FAIL) {
        fail_offline(visit, device, move);
        return ERR_OK;
    }
    if (!is_online && visit->step->offline == OFFLINE_WAIT) {
        wait_for_device(visit, device, move);
        return ERR_OK;
    }
    rc = send(visit, move, e);
    if (rc == ERR_OK && move->kind != MOVE_FAIL) {
        json_object_set_new(move->data, "device", json_string(device));
        wait_for_answer(visit, move);
    }
    return rc;
}

// With the device's own code, which says more than its words may.
static const char *refusal_of(const struct visit *visit, const struct workflow_news_item *news)
{
    bool has_words = news->reason != NULL && news->reason[0] != '\0';
    return has_words ? visit_text(visit, "%s (status %d)", news->reason, (int)news->status)
                     : reason_of(visit, news);
}

static enum err hear_reply(struct visit *visit, const struct workflow_news_item *news,
                           struct move *move, struct error *e)
{
    enum err rc = workflow_stop(visit, e); // Of a next attempt.
    if (rc != ERR_OK) {
        return rc;
    }
    if (news->verdict == VERDICT_DONE) {
        return take(visit, news, move, e);
    }
    bool is_busy = news->status == REPLY_BUSY;
    if (news->status == REPLY_TOO_LARGE) {
        fail_unknown(move, WORKFLOW_ANSWER, refusal_of(visit, news));
        return ERR_OK;
    }
    // Whichever attempt it was: the device knows it by its id. But one that it did not begin it
    // does not remember, and may have begun another.
    visit->token->is_sent &= is_busy || news->status == REPLY_EXPIRED;
    move_fail(move, is_busy ? WORKFLOW_UNAVAILABLE : WORKFLOW_REFUSED, refusal_of(visit, news));
    return ERR_OK;
}

static enum err hear_command(struct visit *visit, const struct workflow_news_item *news,
                             struct move *move, struct error *e)
{
    bool is_offline = visit->token->phase == TOKEN_OFFLINE;
    switch (news->kind) {
    case NEWS_ONLINE:
        move->kind = is_offline ? MOVE_AGAIN : MOVE_STAY;
        return ERR_OK;
    case NEWS_REPLY:
        return hear_reply(visit, news, move, e);
    case NEWS_ANSWER:
        if (news->verdict != VERDICT_DONE) {
            hear_failure(visit, news, move);
        }
        return ERR_OK; // The broker has it: the device has not said anything yet.
    case NEWS_TIME:
        if (is_offline) {
            move_fail(move, WORKFLOW_OFFLINE,
                      visit_text(visit, "step %s: the device has not come online in time",
                                 visit->step->name));
        } else {
            fail_late(visit, move);
        }
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

const struct step_type step_emit = {.enter = enter_emit};
const struct step_type step_call = {.enter = enter_call, .hear = hear_call};
const struct step_type step_command = {.enter = enter_command, .hear = hear_command};
