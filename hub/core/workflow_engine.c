// workflow_engine.c - what begins an instance and moves it from outside. What one makes others do
// stands in a list and comes after it: nothing here calls itself.
#include "core/workflow_move.h"

#include <stdlib.h>
#include <string.h>

enum task_kind {
    TASK_DRIVE,
    TASK_CHILD, // Another's has ended.
    TASK_CANCEL
};

struct engine_task {
    struct engine_task *next;
    enum task_kind kind;
    int64_t instance;
    uint32_t execution;       // CHILD: of the step that runs it.
    int64_t child;            // CHILD
    enum workflow_cancel how; // CANCEL
    const char *reason;       // CANCEL; NULL.
};

static enum err add_task(struct workflows *workflows, const struct engine_task *task,
                         struct error *e)
{
    struct workflow_engine *engine = &workflows->engine;
    struct engine_task *copy = event_memory_take(workflows->memory, sizeof(*copy));
    if (copy == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for what workflows make others do");
    }
    *copy = *task;
    copy->next = NULL;
    if (engine->first == NULL) {
        engine->first = copy;
    } else {
        engine->last->next = copy;
    }
    engine->last = copy;
    return ERR_OK;
}

// ---- children -----------------------------------------------------------------------------------

enum err workflow_engine_tell_parent(struct visit *child, struct error *e)
{
    const struct engine_task task = {
        .kind = TASK_CHILD,
        .instance = child->instance->parent,
        .execution = child->instance->parent_execution,
        .child = child->instance->id,
    };
    return task.instance == 0 ? ERR_OK : add_task(child->workflows, &task, e);
}

enum err workflow_engine_cancel_child(struct visit *parent, int64_t child, enum workflow_cancel how,
                                      struct error *e)
{
    const char *why = how == CANCEL_ABANDON ? "was given up by an operator" : "has cancelled it";
    const struct engine_task task = {
        .kind = TASK_CANCEL,
        .instance = child,
        .how = how,
        .reason = visit_text(parent, "workflow %s, which runs it, %s",
                             parent->instance->definition->name, why),
    };
    return add_task(parent->workflows, &task, e);
}

// What the child's `end` gave, as the event that `take` reads.
static enum err read_result(struct workflows *workflows, const struct workflow_instance *child,
                            struct error *e)
{
    char *text = child->result == NULL ? NULL : json_dumps(child->result, JSON_COMPACT);
    const char *body =
        event_memory_text(workflows->memory, bytes_from_text(text == NULL ? "{}" : text));
    struct message *message = event_memory_take(workflows->memory, sizeof(*message));
    bool is_whole = message != NULL && body != NULL && (text != NULL || child->result == NULL);
    free(text);
    if (!is_whole) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's result");
    }
    *message = (struct message){
        .topic = bytes_from_text("$workflow/result"),
        .payload = bytes_from_text(body),
        .content_type = bytes_from_text("application/json"),
        .received_ms = workflows->now_ms,
    };
    struct event *event;
    event_batch_clear(workflows->answers);
    enum err rc = event_batch_add(workflows->answers, message, &event, e);
    return rc == ERR_OK ? event_validate(event, e) : rc;
}

static const char *reason_of(const struct visit *parent, const struct workflow_instance *child)
{
    const char *state = workflow_state_names[child->state];
    return visit_text(parent, "workflow %s, key %s has %s: %s", child->definition->name, child->key,
                      child->state == INSTANCE_CANCELLED ? "been cancelled" : state,
                      child->reason == NULL ? "no reason is known" : child->reason);
}

static enum err tell_parent(struct visit *parent, const struct workflow_instance *child,
                            struct error *e)
{
    bool is_done = child->state == INSTANCE_COMPLETED;
    enum err rc = read_result(parent->workflows, child, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const struct workflow_news_item news = {
        .kind = NEWS_CHILD,
        .batch = parent->workflows->answers,
        .verdict = is_done ? VERDICT_DONE : VERDICT_REJECT,
        .status = child->state,
        .reason = is_done ? NULL : reason_of(parent, child),
    };
    parent->token->delivery = 0;
    return workflow_hear(parent, &news, e);
}

// The instance of that id, NULL also where it cannot be read: it rests.
static enum err find(struct workflows *workflows, int64_t id,
                     struct workflow_instance **out_instance, struct error *e)
{
    *out_instance = NULL;
    enum err rc = workflow_instance_get(workflows->instances, id, out_instance, e);
    if (rc == ERR_INVALID) {
        *out_instance = NULL;
        return ERR_OK;
    }
    return rc;
}

// It is waited for no more by what its parent undoes.
static enum err child_has_undone(struct workflows *workflows, struct workflow_instance *parent,
                                 int64_t child, bool is_done, struct error *e)
{
    struct visit visit = {.workflows = workflows, .instance = parent};
    enum err rc = workflow_undo_child_over(&visit, child, is_done, e);
    return rc == ERR_OK ? workflow_drive(workflows, parent, e) : rc;
}

static enum err child_has_ended(struct workflows *workflows, const struct engine_task *task,
                                struct error *e)
{
    struct workflow_instance *parent, *child;
    enum err rc = find(workflows, task->instance, &parent, e);
    rc = rc == ERR_OK ? find(workflows, task->child, &child, e) : rc;
    if (rc != ERR_OK || parent == NULL || child == NULL) {
        return rc;
    }
    rc = child_has_undone(workflows, parent, child->id, child->state == INSTANCE_COMPLETED, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const struct workflow_token *token = workflow_token_of(parent, task->execution);
    if (token == NULL || (int64_t)token->delivery != task->child) {
        return ERR_OK; // It does not wait for this one any more.
    }
    struct visit visit = visit_of(workflows, parent, token->id);
    if (visit.step->kind != STEP_RUN) {
        return ERR_OK;
    }
    // A child that came to its end without waiting is nothing that its parent has waited for.
    *workflow_moves(workflows, parent) += *workflow_moves(workflows, child);
    rc = tell_parent(&visit, child, e);
    return rc == ERR_OK ? workflow_drive(workflows, parent, e) : rc;
}

// ---- the list -----------------------------------------------------------------------------------

static enum err cancel(struct workflows *workflows, struct workflow_instance *instance,
                       enum workflow_cancel how, const char *reason, struct error *e);

static enum err do_task(struct workflows *workflows, const struct engine_task *task,
                        struct error *e)
{
    struct workflow_instance *instance;
    if (task->kind == TASK_CHILD) {
        return child_has_ended(workflows, task, e);
    }
    enum err rc = find(workflows, task->instance, &instance, e);
    if (rc != ERR_OK || instance == NULL || workflow_state_is_over(instance->state)) {
        return rc;
    }
    return task->kind == TASK_DRIVE ? workflow_drive(workflows, instance, e)
                                    : cancel(workflows, instance, task->how, task->reason, e);
}

// Whether the caller is the outermost, which does what is on the list.
static bool begin(struct workflows *workflows)
{
    bool is_first = !workflows->engine.is_running;
    if (is_first) {
        workflows->engine =
            (struct workflow_engine){.is_running = true, .round = workflows->engine.round + 1};
    }
    return is_first;
}

static enum err finish(struct workflows *workflows, enum err rc, struct error *e)
{
    struct workflow_engine *engine = &workflows->engine;
    while (rc == ERR_OK && engine->first != NULL) {
        const struct engine_task *task = engine->first;
        engine->first = task->next;
        rc = do_task(workflows, task, e);
    }
    *engine = (struct workflow_engine){.round = engine->round};
    return rc;
}

static enum err drive_later(struct workflows *workflows, const struct workflow_instance *instance,
                            struct error *e)
{
    const struct engine_task task = {.kind = TASK_DRIVE, .instance = instance->id};
    return add_task(workflows, &task, e);
}

// ---- beginning and news -------------------------------------------------------------------------

static enum err start(struct workflows *workflows, struct workflow_instance *instance,
                      struct error *e)
{
    struct visit visit = {.workflows = workflows, .instance = instance};
    instance->state = INSTANCE_RUNNING;
    const struct workflow_entry entry = {.kind = ENTRY_STARTED,
                                         .take_data = json_deep_copy(instance->variables)};
    enum err rc = workflow_journal_add(workflows, instance, &entry, e);
    rc = rc == ERR_OK ? workflow_arm(&visit, e) : rc;
    rc = rc == ERR_OK ? workflow_token_add(instance, 0, &visit.token, e) : rc;
    rc = rc == ERR_OK ? workflow_arrive(&visit, 0, e) : rc;
    return rc == ERR_OK ? drive_later(workflows, instance, e) : rc;
}

enum err workflow_engine_begin(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e)
{
    bool is_first = begin(workflows);
    enum err rc = start(workflows, instance, e);
    return is_first ? finish(workflows, rc, e) : rc;
}

static enum err tell(struct workflows *workflows, struct workflow_instance *instance,
                     uint32_t token_id, const struct workflow_news_item *news, struct error *e)
{
    enum err rc = ERR_OK;
    if (token_id == 0) {
        rc = news->kind == NEWS_TIME ? workflow_overdue(workflows, instance, e) : ERR_OK;
    } else {
        struct visit visit = visit_of(workflows, instance, token_id);
        rc = visit.token == NULL ? ERR_OK : workflow_hear(&visit, news, e);
    }
    return rc == ERR_OK ? workflow_drive(workflows, instance, e) : rc;
}

enum err workflow_engine_tell(struct workflows *workflows, struct workflow_instance *instance,
                              uint32_t token_id, const struct workflow_news_item *news,
                              struct error *e)
{
    if (instance->state != INSTANCE_RUNNING && instance->state != INSTANCE_UNDOING) {
        return ERR_OK; // Too late.
    }
    bool is_first = begin(workflows);
    enum err rc = tell(workflows, instance, token_id, news, e);
    return is_first ? finish(workflows, rc, e) : rc;
}

// ---- operators ----------------------------------------------------------------------------------

static enum err refuse_cancel(const struct workflow_instance *instance, enum workflow_cancel how,
                              struct error *e)
{
    const char *name = instance->definition->name;
    if (workflow_state_is_over(instance->state)) {
        return error_set(e, ERR_INVALID, "workflow %s, key %s: it is over already, it has %s%s",
                         name, instance->key, instance->state == INSTANCE_CANCELLED ? "been " : "",
                         workflow_state_names[instance->state]);
    }
    if (how == CANCEL_ABANDON) {
        return ERR_OK;
    }
    if (instance->state == INSTANCE_UNDOING) {
        return error_set(
            e, ERR_INVALID,
            "workflow %s, key %s: it is being undone already; to stop that: pipit workflow "
            "cancel --abandon %lld",
            name, instance->key, (long long)instance->id);
    }
    if (instance->state == INSTANCE_PARKED && workflow_is_parked_undoing(instance)) {
        return error_set(
            e, ERR_INVALID,
            "workflow %s, key %s: an undo of it has failed; once it can succeed: pipit "
            "workflow retry %lld; or leave things as they are: pipit workflow cancel "
            "--abandon %lld",
            name, instance->key, (long long)instance->id, (long long)instance->id);
    }
    return ERR_OK;
}

static enum err cancel(struct workflows *workflows, struct workflow_instance *instance,
                       enum workflow_cancel how, const char *reason, struct error *e)
{
    struct visit visit = {.workflows = workflows, .instance = instance};
    if (refuse_cancel(instance, how, NULL) != ERR_OK) {
        return ERR_OK; // It has become so meanwhile.
    }
    if (!workflow_set_reason(instance, workflow_error_names[WORKFLOW_CANCELLED],
                             reason == NULL ? "an operator has cancelled it" : reason)) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for why a workflow is cancelled");
    }
    enum err rc = how == CANCEL_ABANDON ? workflow_undo_abandon(&visit, e) : ERR_OK;
    if (rc == ERR_OK) {
        rc = how == CANCEL_ABANDON || instance->state == INSTANCE_QUEUED
                 ? workflow_finish(&visit, INSTANCE_CANCELLED, e)
                 : workflow_undo_begin(&visit, INSTANCE_CANCELLED, e);
    }
    return rc == ERR_OK ? workflow_drive(workflows, instance, e) : rc;
}

enum err workflow_engine_cancel(struct workflows *workflows, struct workflow_instance *instance,
                                enum workflow_cancel how, const char *reason, struct error *e)
{
    enum err rc = refuse_cancel(instance, how, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const struct engine_task task = {
        .kind = TASK_CANCEL, .instance = instance->id, .how = how, .reason = reason};
    bool is_first = begin(workflows);
    rc = add_task(workflows, &task, e);
    return is_first ? finish(workflows, rc, e) : rc;
}

enum err workflow_engine_retry(struct workflows *workflows, struct workflow_instance *instance,
                               struct error *e)
{
    if (instance->state != INSTANCE_PARKED) {
        return error_set(
            e, ERR_INVALID, "workflow %s, key %s: it is %s, only one that is parked can be retried",
            instance->definition->name, instance->key, workflow_state_names[instance->state]);
    }
    struct visit visit = {.workflows = workflows, .instance = instance};
    bool is_first = begin(workflows);
    enum err rc = workflow_undo_retry(&visit, e);
    rc = rc == ERR_OK ? drive_later(workflows, instance, e) : rc;
    return is_first ? finish(workflows, rc, e) : rc;
}

enum err workflow_engine_child_gone(struct workflows *workflows, struct workflow_instance *parent,
                                    int64_t child, struct error *e)
{
    bool is_first = begin(workflows);
    enum err rc = child_has_undone(workflows, parent, child, false, e);
    return is_first ? finish(workflows, rc, e) : rc;
}
