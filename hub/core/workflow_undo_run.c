// workflow_undo_run.c - children on their parent's undo list. One that was told to undo itself has
// an entry there, as a step that is done has: what the parent did before is not undone until the
// child is over.
//
//   {"step": of its run, "child": its id, "run": execution of that visit, "path", ["scope"]}
//
// The parent waits while such an entry is the last of its list, without a token; those of a list
// that is being undone stand before it. One that had completed when it was told becomes an entry
// of the step itself, whose undo is for that.
#include "core/workflow_move.h"

static int64_t child_of(const json_t *entry)
{
    return json_integer_value(json_object_get(entry, "child"));
}

enum err workflow_undo_child(struct visit *visit, int64_t child, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    size_t count = json_array_size(instance->undo);
    bool is_behind = instance->state == INSTANCE_UNDOING && count > 0;
    json_t *entry = workflow_undo_entry(visit);
    bool is_whole = entry != NULL &&
                    json_object_set_new(entry, "child", json_integer(child)) == 0 &&
                    json_object_set_new(entry, "run", json_integer(visit->token->execution)) == 0;
    workflow_instance_touch(instance, visit->workflows->now_ms);
    if (!is_whole) {
        json_decref(entry);
    }
    if (!is_whole ||
        json_array_insert_new(instance->undo, is_behind ? count - 1 : count, entry) != 0) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a workflow that is undone");
    }
    return ERR_OK;
}

// Its entry goes, or becomes one of the step that ran it.
static enum err settle(struct workflow_instance *instance, size_t index, bool is_done,
                       struct error *e)
{
    json_t *entry = json_array_get(instance->undo, index);
    json_int_t step = json_integer_value(json_object_get(entry, "step"));
    bool is_undone = is_done && step >= 0 && step < instance->definition->step_count &&
                     instance->definition->steps[step].undo != PLACE_NONE;
    if (!is_undone) {
        json_array_remove(instance->undo, index);
        return ERR_OK;
    }
    json_object_del(entry, "child");
    return json_object_set(entry, "execution", json_object_get(entry, "run")) == 0
               ? ERR_OK
               : error_set(e, ERR_NO_MEMORY, "out of memory for a workflow that is undone");
}

enum err workflow_undo_child_over(struct visit *visit, int64_t child, bool is_done, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    size_t count = json_array_size(instance->undo), index = count;
    while (index > 0 && child_of(json_array_get(instance->undo, index - 1)) != child) {
        index--;
    }
    if (index == 0 || workflow_state_is_over(instance->state)) {
        return ERR_OK;
    }
    workflow_instance_touch(instance, visit->workflows->now_ms);
    bool is_awaited = instance->state == INSTANCE_UNDOING && index == count;
    enum err rc = settle(instance, index - 1, is_done, e);
    return rc == ERR_OK && is_awaited ? workflow_undo_go_on(visit, e) : rc;
}

// So that an operator finds what it waits for.
static enum err note(struct visit *visit, const struct workflow_instance *child, struct error *e)
{
    const json_t *entry = workflow_undo_last(visit->instance);
    struct workflow_token token = {
        .step = (workflow_place)json_integer_value(json_object_get(entry, "step")),
        .execution = (uint32_t)json_integer_value(json_object_get(entry, "run")),
        .attempt = 1,
    };
    const char *name = visit->instance->definition->steps[token.step].workflow;
    long long id = child_of(entry);
    const struct workflow_entry written = {
        .kind = ENTRY_UNDOING,
        .token = &token,
        .reason = child == NULL
                      ? visit_text(visit,
                                   "it waits for workflow %s, instance %lld, which cannot be used "
                                   "any more: pipit workflow cancel --abandon %lld",
                                   name, id, id)
                      : visit_text(visit,
                                   "it waits until workflow %s, key %s (instance %lld) has undone "
                                   "what it did",
                                   name, child->key, id),
        .take_data = json_pack("{s:s, s:s*, s:I}", "workflow", name, "key",
                               child == NULL ? NULL : child->key, "instance", (json_int_t)id),
    };
    return workflow_journal_add(visit->workflows, visit->instance, &written, e);
}

enum err workflow_undo_children(struct visit *visit, bool *out_is_waiting, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    *out_is_waiting = false;
    for (int64_t id = child_of(workflow_undo_last(instance)); id != 0;
         id = child_of(workflow_undo_last(instance))) {
        struct workflow_instance *child = NULL;
        struct error why = {.text = ""};
        enum err rc = workflow_instance_get(visit->workflows->instances, id, &child, &why);
        bool is_resting = rc == ERR_INVALID; // Its definition cannot be used: an operator's.
        if (rc != ERR_OK && !is_resting) {
            return error_set(e, rc, "%s", why.text);
        }
        if (is_resting || (child != NULL && !workflow_state_is_over(child->state))) {
            *out_is_waiting = true;
            return note(visit, is_resting ? NULL : child, e);
        }
        rc = settle(instance, json_array_size(instance->undo) - 1,
                    child != NULL && child->state == INSTANCE_COMPLETED, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

enum err workflow_undo_abandon(struct visit *visit, struct error *e)
{
    struct workflow_instance *instance = visit->instance;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < instance->token_count; i++) {
        struct workflow_token *token = &instance->tokens[i];
        bool is_running = instance->definition->steps[token->step].kind == STEP_RUN;
        if (!token->is_gone && is_running && token->delivery != 0) {
            rc = workflow_engine_cancel_child(visit, (int64_t)token->delivery, CANCEL_ABANDON, e);
            token->delivery = 0;
        }
    }
    size_t index;
    const json_t *entry;
    json_array_foreach(instance->undo, index, entry)
    {
        if (rc == ERR_OK && child_of(entry) != 0) {
            rc = workflow_engine_cancel_child(visit, child_of(entry), CANCEL_ABANDON, e);
        }
    }
    return rc;
}
