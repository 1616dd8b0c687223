#include <stdio.h>

#include "admin/control_request.h"
#include "daemon/daemon_parts.h"

static json_t *outcome_json(const struct operation *operation, const struct outcome *outcome)
{
    if (operation->kind == OPERATION_REPLAY_BEGIN || operation->kind == OPERATION_REPLAY_CHUNK) {
        return json_pack("{s:I, s:I}", "replay", (json_int_t)outcome->replay, "chunks",
                         (json_int_t)outcome->chunks);
    }
    json_t *json = json_pack("{s:I}", "operated", (json_int_t)outcome->operated);
    if (json != NULL && operation->kind == OPERATION_QUARANTINE_REPLAY) {
        json_object_set_new(json, "skipped", json_integer((json_int_t)outcome->skipped));
        json_object_set_new(json, "skip", json_string(outcome->skip));
        if (outcome->operated_upto != UINT64_MAX) {
            json_object_set_new(json, "upto", json_integer((json_int_t)outcome->operated_upto));
        }
    }
    if (json != NULL && operation->kind == OPERATION_WORKFLOW_REPLAY) {
        json_object_set_new(json, "instance", json_integer((json_int_t)outcome->instance));
    }
    return json;
}

static void operate(struct daemon *daemon, const struct control_ask *ask)
{
    struct error e = {0};
    struct outcome outcome;
    enum err rc =
        daemon->core == NULL
            ? error_set(&e, ERR_UNAVAILABLE, "the store cannot be used now: %s", daemon->reason)
            : batch_operate(daemon, &ask->operation, &outcome, &e);
    if (rc == ERR_OK) {
        control_answer(daemon->control, ask->client, outcome_json(&ask->operation, &outcome));
    } else {
        control_refuse(daemon->control, ask->client, e.text, rc == ERR_FULL ? "full" : NULL);
    }
}

static void reload(struct daemon *daemon, const struct control_ask *ask)
{
    struct error e = {0};
    json_t *reply = NULL;
    if (daemon_reload(daemon, ask->is_dry, &reply, &e) == ERR_OK) {
        control_answer(daemon->control, ask->client, reply);
    } else {
        control_refuse(daemon->control, ask->client, e.text, NULL);
    }
}

void control_serve(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->ask_count; i++) {
        const struct control_ask *ask = &daemon->asks[i];
        if (ask->op == CONTROL_STATUS) {
            control_answer(daemon->control, ask->client, daemon_status(daemon));
        } else if (ask->op == CONTROL_RELOAD) {
            reload(daemon, ask);
        } else {
            operate(daemon, ask);
        }
        control_request_destroy(ask->request);
    }
    daemon->ask_count = 0;
}
