#include "trial/case_world.h"

#include <inttypes.h>
#include <jansson.h>
#include <pipit/v1/pipit.pb-c.h>

#include "config/workflow_json.h"
#include "core/outbox.h"
#include "core/sql.h"
#include "core/topic.h"
#include "core/workflow_ticket.h"
#include "core/workflows.h"
#include "trial/case_decode.h"

// The first answer that fits and is not used up; NULL: none.
static const struct case_answer *find(struct case_world *world, const struct case_answer *like,
                                      struct bytes topic, struct bytes command)
{
    const struct case_spec *spec = world->spec;
    for (uint32_t i = 0; i < spec->answer_count; i++) {
        const struct case_answer *answer = &spec->answers[i];
        bool fits =
            answer->is_reply == like->is_reply && answer->target == like->target &&
            world->used[i] < answer->times &&
            topic_filter_matches(bytes_from_text(answer->topic), topic) &&
            (!answer->is_reply || topic_filter_matches(bytes_from_text(answer->command), command));
        if (fits) {
            world->used[i]++;
            return answer;
        }
    }
    return NULL;
}

// ---- what nobody has said -----------------------------------------------------------------------

static bool takes(struct bytes definition, const char *step)
{
    json_t *json = json_loadb((const char *)definition.ptr, definition.len, 0, NULL);
    const json_t *found = json == NULL ? NULL : workflow_json_step(json, step);
    bool is_taking = json_object_size(json_object_get(found, "take")) > 0;
    json_decref(json);
    return is_taking;
}

// Who has sent it, as a text; NULL: no step of a workflow that takes something of the answer.
static enum err find_taker(struct case_world *world, const char *key, const char **out_taker,
                           struct error *e)
{
    struct store *store = trial_store(world->trial);
    struct workflow_ticket ticket;
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {
        "SELECT e.step, d.text, w.name, i.key FROM pipit_workflow_entry e"
        " JOIN pipit_workflow_instance i ON i.id = e.instance"
        " JOIN pipit_workflow_definition d ON d.id = i.definition"
        " JOIN pipit_workflow w ON w.id = i.workflow WHERE e.instance = ?1 AND e.execution = ?2"
        " ORDER BY e.number LIMIT 1",
        &read};
    *out_taker = NULL;
    if (!workflow_ticket_read(bytes_from_text(key), store_id(store), &ticket)) {
        return ERR_OK;
    }
    enum err rc = sql_prepare(store, &text, 1, e);
    if (rc != ERR_OK) {
        return rc;
    }
    bool has_row = false;
    sqlite3_bind_int64(read, 1, ticket.instance);
    sqlite3_bind_int64(read, 2, ticket.execution);
    rc = sql_next(store, read, "look for a step", &has_row, e);
    if (rc == ERR_OK && has_row) {
        const char *step = (const char *)sqlite3_column_text(read, 0);
        if (takes(sql_bytes(read, 1), step)) {
            *out_taker = arena_print(world->arena, "step %s of %s/%s", step,
                                     (const char *)sqlite3_column_text(read, 2),
                                     (const char *)sqlite3_column_text(read, 3));
        }
    }
    sql_finalize(&text, 1);
    return rc;
}

static void tell(struct case_world *world, const char *sentence)
{
    world->fault(world->context, world->spec->at, sentence == NULL ? "out of memory" : sentence);
}

// ---- targets ------------------------------------------------------------------------------------

static int64_t timeout_of(const struct config_target *target)
{
    bool has_option = option_find(options_table(target->options), "timeout") != NULL;
    return has_option ? option_int(target->options, "timeout") : CASE_TIMEOUT_MS;
}

// How long the connector waits for an answer. The step's own timer comes first where it ends the
// call.
static int64_t patience(const struct config_target *target, const struct delivery *delivery)
{
    int64_t timeout_ms = timeout_of(target);
    bool is_shorter = delivery->timeout_ms > 0 && delivery->timeout_ms < timeout_ms;
    return is_shorter ? delivery->timeout_ms + 1 : timeout_ms;
}

// Does the connector read so much of a body?
static bool is_too_long(const struct config_target *target, size_t len)
{
    bool has_option = option_find(options_table(target->options), "body_max") != NULL;
    return has_option && len > (size_t)option_int(target->options, "body_max");
}

static void give_answer(struct case_world *world, const struct case_answer *said,
                        const struct delivery *delivery, struct trial_answer *answer)
{
    const struct config_target *target = &world->config->targets[said->target];
    answer->verdict = said->verdict;
    answer->after_ms = said->after_ms;
    answer->retry_after_ms = said->retry_after_ms;
    if (said->is_never || said->after_ms > patience(target, delivery)) {
        answer->verdict = VERDICT_RETRY;
        answer->after_ms = patience(target, delivery);
        answer->retry_after_ms = 0;
        answer->reason =
            arena_print(world->arena, "no answer within %" PRId64 " ms", answer->after_ms);
        return;
    }
    world->reply = (struct reply){.body = said->payload, .content_type = said->content_type};
    world->reply.status =
        said->has_status || strcmp(target->type->name, "http") == 0 ? said->status : 0;
    world->reply.is_cut = is_too_long(target, said->payload.len);
    if (world->reply.is_cut) {
        world->reply.body = (struct bytes){0};
    }
    answer->reply = &world->reply;
    if (said->verdict != VERDICT_DONE) {
        answer->reason = said->reason != NULL
                             ? said->reason
                             : arena_print(world->arena, "answered %" PRId32, said->status);
    }
}

static bool is_call(const struct delivery *delivery)
{
    return strncmp(delivery->rule, WORKFLOW_RULE, strlen(WORKFLOW_RULE)) == 0 &&
           delivery->route == OUTBOX_ROUTE_CALL;
}

static enum err answer_target(struct case_world *world, const struct trial_delivery *got,
                              struct trial_answer *answer, struct error *e)
{
    const struct delivery *delivery = &got->delivery;
    const struct config_target *target = &world->config->targets[got->target];
    const struct case_answer like = {.target = got->target};
    const struct case_answer *said = find(world, &like, delivery->topic, delivery->topic);
    if (said != NULL) {
        give_answer(world, said, delivery, answer);
        return ERR_OK;
    }
    if (!is_call(delivery)) {
        return ERR_OK;
    }
    const char *taker = NULL;
    enum err rc = find_taker(world, delivery->idempotency_key, &taker, e);
    if (taker != NULL) {
        tell(world, arena_print(world->arena,
                                "%s takes something of the answer to this, and the case does not "
                                "say what it is; add `- %s: {topic: \"%.*s\", json: {...}}` to "
                                "`answers`",
                                taker, target->name, (int)delivery->topic.len,
                                (const char *)delivery->topic.ptr));
    }
    const struct case_answer done = {.target = got->target, .status = 200, .content_type = ""};
    give_answer(world, &done, delivery, answer);
    return rc;
}

// ---- devices ------------------------------------------------------------------------------------

static enum err is_offline(struct case_world *world, struct bytes device, bool *out_is_offline,
                           struct error *e)
{
    struct store *store = trial_store(world->trial);
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {"SELECT 1 FROM pipit_presence WHERE device = ?1 AND online = 0",
                                  &read};
    enum err rc = sql_prepare(store, &text, 1, e);
    if (rc == ERR_OK) {
        sql_bind_text(read, 1, device);
        rc = sql_next(store, read, "look for a device", out_is_offline, e);
        sql_finalize(&text, 1);
    }
    return rc;
}

// What the case says, or done; with the command's id.
static enum err give_reply(struct case_world *world, const struct case_answer *said,
                           const Pipit__V1__Command *command, struct bytes device,
                           struct trial_answer *answer, struct error *e)
{
    static const struct case_answer done;
    said = said == NULL ? &done : said;
    Pipit__V1__Reply *reply = pipit__v1__reply__unpack(NULL, said->payload.len, said->payload.ptr);
    if (reply == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a reply");
    }
    char *own_id = reply->id;
    reply->id = command->id;
    uint8_t *bytes = arena_alloc(world->arena, pipit__v1__reply__get_packed_size(reply) + 1);
    if (bytes != NULL) {
        world->message = (struct message){
            .topic =
                bytes_from_text(arena_print(world->arena, "pipit/v1/%.*s/reply/%s", (int)device.len,
                                            (const char *)device.ptr, command->name)),
            .payload = bytes_of(bytes, pipit__v1__reply__pack(reply, bytes)),
            .qos = 1,
        };
        answer->message = &world->message;
        answer->message_after_ms = said->after_ms;
    }
    reply->id = own_id;
    pipit__v1__reply__free_unpacked(reply, NULL);
    return bytes == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a reply") : ERR_OK;
}

static void tell_reply(struct case_world *world, const char *taker, struct bytes device,
                       const Pipit__V1__Command *command)
{
    tell(world, arena_print(world->arena,
                            "%s takes something of the reply to command %s, and the case does not "
                            "say what it is; add `- %.*s: {command: %s, fields: {...}}` to "
                            "`replies`",
                            taker, command->name, (int)device.len, (const char *)device.ptr,
                            command->name));
}

static enum err answer_device(struct case_world *world, const struct delivery *delivery,
                              const Pipit__V1__Command *command, struct trial_answer *answer,
                              struct error *e)
{
    const struct case_answer like = {.is_reply = true};
    struct bytes group = {0}, name = {0};
    topic_part(delivery->topic, 3, &group);
    topic_part(delivery->topic, 4, &name);
    struct bytes device = bytes_of(group.ptr, group.len + 1 + name.len); // They stand side by side.
    const struct case_answer *said = find(world, &like, device, bytes_from_text(command->name));
    if (said != NULL) {
        return said->is_never ? ERR_OK : give_reply(world, said, command, device, answer, e);
    }
    bool is_silent = false;
    const char *taker = NULL;
    enum err rc = is_offline(world, device, &is_silent, e);
    if (rc != ERR_OK || is_silent) {
        return rc;
    }
    rc = find_taker(world, delivery->idempotency_key, &taker, e);
    if (taker != NULL) {
        tell_reply(world, taker, device, command);
    }
    return rc == ERR_OK ? give_reply(world, NULL, command, device, answer, e) : rc;
}

enum err case_world_answer(void *context, const struct trial_delivery *delivery,
                           struct trial_answer *inout_answer, struct error *e)
{
    struct case_world *world = context;
    struct bytes payload = delivery->delivery.payload;
    Pipit__V1__Command *command = NULL;
    if (case_is_command(delivery->delivery.topic)) {
        command = pipit__v1__command__unpack(NULL, payload.len, payload.ptr);
    }
    if (command == NULL) {
        return answer_target(world, delivery, inout_answer, e);
    }
    const struct case_answer like = {.target = delivery->target};
    const struct case_answer *said =
        find(world, &like, delivery->delivery.topic, delivery->delivery.topic);
    enum err rc = ERR_OK;
    if (said != NULL) {
        give_answer(world, said, &delivery->delivery, inout_answer);
    }
    if (inout_answer->verdict == VERDICT_DONE) { // The broker has it, so that the device gets it.
        rc = answer_device(world, &delivery->delivery, command, inout_answer, e);
        inout_answer->message_after_ms += inout_answer->after_ms;
    }
    pipit__v1__command__free_unpacked(command, NULL);
    return rc;
}

void case_world_conclude(struct case_world *world)
{
    for (uint32_t i = 0; i < world->spec->answer_count; i++) {
        const struct case_answer *answer = &world->spec->answers[i];
        if (world->used[i] > 0) {
            continue;
        }
        const char *sentence =
            answer->is_reply
                ? arena_print(world->arena,
                              "replies: no command %s to %s (that one before it did not take) has "
                              "been sent",
                              answer->command, answer->topic)
                : arena_print(world->arena,
                              "answers: nothing (that one before it did not take) has been sent to "
                              "%s on %s",
                              world->config->targets[answer->target].name, answer->topic);
        world->fault(world->context, answer->at, sentence == NULL ? "out of memory" : sentence);
    }
}
