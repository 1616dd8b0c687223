// workflow_send.c - what steps send: events to the inbox; messages, calls and commands to the
// outbox.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/workflow_message.h"
#include "core/workflow_parts.h"

#define KEY_BYTES_MAX 512 // "<workflow>/<instance>/<branch>/...".

struct sending {
    struct workflows *workflows;
    struct workflow_instance *instance;
    struct workflow_token *token;
    const struct workflow_step *step;
    struct query_input input;
    char ticket[WORKFLOW_TICKET_BYTES];
    struct workflow_made made;
};

static const struct workflow_step *step_of(const struct workflow_instance *instance,
                                           const struct workflow_token *token)
{
    return &instance->definition->steps[token->step];
}

static void begin(struct sending *sending)
{
    const struct workflow_ticket ticket = {
        .instance = sending->instance->id,
        .execution = sending->token->execution,
        .step = sending->token->step,
        .started_ms = sending->instance->started_ms,
    };
    workflow_ticket_make(sending->ticket, store_id(sending->workflows->store), &ticket);
    workflows_input(sending->workflows, sending->instance, sending->token, &sending->input);
}

// Of a step that is undone, in which branch that was: "/<branch>...", see workflow_undo.c.
static const char *undone_path(const struct workflow_instance *instance,
                               const struct workflow_step *step)
{
    const json_t *last = json_array_get(instance->undo, json_array_size(instance->undo) - 1);
    const char *path = step->is_undo ? json_string_value(json_object_get(last, "path")) : NULL;
    return path == NULL ? "" : path;
}

// What is sent in one branch keeps its order, also with what undoes it; branches do not hold each
// other up.
static void make_key(const struct sending *sending, char out_key[KEY_BYTES_MAX])
{
    uint32_t branches[WORKFLOW_DEPTH_MAX];
    uint32_t depth = 0;
    const struct workflow_token *token = sending->token;
    while (token != NULL && token->parent != 0 && depth < WORKFLOW_DEPTH_MAX) {
        branches[depth++] = token->branch;
        token = workflow_token_find(sending->instance, token->parent);
    }
    int len = snprintf(out_key, KEY_BYTES_MAX, "%.128s/%" PRId64 "%.128s",
                       sending->instance->definition->name, sending->instance->id,
                       undone_path(sending->instance, sending->step));
    while (depth > 0) {
        len += snprintf(out_key + len, KEY_BYTES_MAX - (size_t)len, "/%" PRIu32, branches[--depth]);
    }
}

// ---- to the hub itself --------------------------------------------------------------------------

static enum err send_inside(struct sending *sending, struct error *e)
{
    const struct workflow_made *made = &sending->made;
    if (made->topic.len == 0) {
        return error_set(e, ERR_INVALID, "an event for rules needs a topic");
    }
    const struct inbox_entry entry = {
        .event_id = sending->ticket,
        .hops = sending->instance->hops + 1, // Too many: see workflows_hops_problem.
        .message = {.topic = made->topic,
                    .payload = made->payload,
                    .content_type = bytes_from_text(made->content_type)},
    };
    return workflow_inbox_put(sending->workflows->inbox, &entry, made->properties,
                              sending->workflows->now_ms, e);
}

// ---- to targets ---------------------------------------------------------------------------------

static enum err send_outside(struct sending *sending, bool is_answered, struct error *e)
{
    const struct workflow_message *message = &sending->step->message;
    bool is_command = sending->step->kind == STEP_COMMAND;
    char key[KEY_BYTES_MAX];
    make_key(sending, key);
    const struct outbox_call call = {
        .workflow = sending->instance->definition->name,
        .target = message->target,
        .is_answered = is_answered,
        .delivery = {.idempotency_key = sending->ticket,
                     .key = bytes_from_text(key),
                     .topic = sending->made.topic,
                     .payload = sending->made.payload,
                     .content_type = sending->made.content_type,
                     .properties = sending->made.properties,
                     .qos = is_command ? 1 : message->qos,
                     .is_retained = !is_command && message->is_retained,
                     .timeout_ms = is_answered && !is_command ? sending->step->within_ms : 0},
    };
    uint64_t id = 0;
    struct workflows *workflows = sending->workflows;
    enum err rc = outbox_put_call(workflows->outbox, &call, workflows->books, &id, e);
    if (rc == ERR_OK && is_answered) {
        sending->token->delivery = id;
    }
    return rc;
}

static enum err send_message(struct sending *sending, struct error *e)
{
    enum err rc = workflow_message_make(sending->step, &sending->input, &sending->made, e);
    if (rc != ERR_OK) {
        return rc;
    }
    bool is_call = sending->step->kind == STEP_CALL;
    return sending->step->message.target == NULL ? send_inside(sending, e)
                                                 : send_outside(sending, is_call, e);
}

// Kept with the token: what the expression gives may be another device by the time of the reply.
static enum err note_device(struct sending *sending, struct error *e)
{
    json_t *device = json_pack("[s]", sending->made.device);
    if (device == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a command's device");
    }
    json_decref(sending->token->items);
    sending->token->items = device;
    return ERR_OK;
}

static enum err send_command(struct sending *sending, struct error *e)
{
    int64_t expires_ms = sending->step->expires_ms;
    expires_ms = expires_ms == 0 ? 0 : sending->workflows->now_ms + expires_ms;
    enum err rc = workflow_command_make(sending->step, &sending->input, sending->ticket, expires_ms,
                                        &sending->made, e);
    rc = rc == ERR_OK ? send_outside(sending, true, e) : rc;
    return rc == ERR_OK ? note_device(sending, e) : rc;
}

bool workflow_send_is_asked(const struct workflow_token *token, const char *device)
{
    const char *asked = json_string_value(json_array_get(token->items, 0));
    return asked != NULL && strcmp(asked, device) == 0;
}

enum err workflow_send(struct workflows *workflows, struct workflow_instance *instance,
                       struct workflow_token *token, json_t **out_sent, struct error *e)
{
    struct sending sending = {.workflows = workflows,
                              .instance = instance,
                              .token = token,
                              .step = step_of(instance, token)};
    begin(&sending);
    // What an earlier attempt has left behind would only come after this one.
    enum err rc = workflow_withdraw(workflows, token, e);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = sending.step->kind == STEP_COMMAND ? send_command(&sending, e) : send_message(&sending, e);
    if (rc == ERR_OK) {
        *out_sent = workflow_record_sent(sending.step, &sending.made);
    }
    return rc;
}

enum err workflow_withdraw(struct workflows *workflows, struct workflow_token *token,
                           struct error *e)
{
    if (token->delivery == 0) {
        return ERR_OK;
    }
    enum err rc = outbox_withdraw(workflows->outbox, token->delivery, workflows->books, e);
    if (rc == ERR_OK) {
        token->delivery = 0;
    }
    return rc;
}

enum err workflow_send_device(struct workflows *workflows, const struct workflow_instance *instance,
                              const struct workflow_token *token, const char **out_device,
                              struct error *e)
{
    struct query_input input;
    workflows_input(workflows, instance, token, &input);
    return workflow_command_device(step_of(instance, token), &input, out_device, e);
}
