// workflow_operate.c - what operators wish of instances: cancel, retry, replay.
#include <inttypes.h>
#include <string.h>

#include "core/sql.h"
#include "core/workflow_parts.h"

// What is known of an instance whether or not its definition can still be used.
struct look {
    int64_t id, workflow, definition, parent;
    uint32_t parent_execution;
    const char *name, *key, *event, *start;
    const char *tokens;
    enum workflow_state state;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an operation");
}

static enum err read_look(struct workflows *workflows, sqlite3_stmt *row, struct look *look,
                          struct error *e)
{
    struct event_memory *memory = workflows->memory;
    look->workflow = sqlite3_column_int64(row, 0);
    look->definition = sqlite3_column_int64(row, 1);
    look->state = (enum workflow_state)sqlite3_column_int(row, 2);
    look->name = event_memory_text(memory, sql_bytes(row, 3));
    look->key = event_memory_text(memory, sql_bytes(row, 4));
    look->event = event_memory_text(memory, sql_bytes(row, 5));
    look->start = event_memory_text(memory, sql_bytes(row, 6));
    look->tokens = event_memory_text(memory, sql_bytes(row, 7));
    look->parent = sqlite3_column_int64(row, 8);
    look->parent_execution = (uint32_t)sqlite3_column_int64(row, 9);
    bool is_whole = look->name != NULL && look->key != NULL && look->event != NULL &&
                    look->start != NULL && look->tokens != NULL &&
                    look->state < INSTANCE_STATE_COUNT;
    return is_whole ? ERR_OK : no_memory(e);
}

static enum err look_at(struct workflows *workflows, uint64_t id, struct look *out_look,
                        struct error *e)
{
    sqlite3_stmt *statement = NULL;
    const struct sql_text text = {
        "SELECT i.workflow, i.definition, i.state, w.name, i.key, i.event, i.start,"
        " coalesce(i.tokens, '[]'), i.parent, i.parent_execution"
        " FROM pipit_workflow_instance i JOIN pipit_workflow w ON w.id = i.workflow"
        " WHERE i.id = ?1",
        &statement};
    bool has_row = false;
    enum err rc = sql_prepare(workflows->store, &text, 1, e);
    if (rc == ERR_OK) {
        sql_bind_u64(statement, 1, id);
        rc = sql_next(workflows->store, statement, "look for an instance", &has_row, e);
    }
    if (rc == ERR_OK && has_row) {
        *out_look = (struct look){.id = (int64_t)id};
        rc = read_look(workflows, statement, out_look, e);
    } else if (rc == ERR_OK) {
        rc = error_set(e, ERR_NOT_FOUND,
                       "there is no instance %" PRIu64
                       " (those that have ended are dropped after the workflow's 'keep')",
                       id);
    }
    sql_finalize(&text, 1);
    return rc;
}

static enum err refuse_ended(const struct look *look, const char *wish, struct error *e)
{
    return error_set(e, ERR_INVALID,
                     "instance %" PRId64 " (%s, key \"%.100s\") has %s%s: there is nothing to %s",
                     look->id, look->name, look->key,
                     look->state == INSTANCE_CANCELLED ? "been " : "",
                     workflow_state_names[look->state], wish);
}

// The step of another instance that runs it has failed.
static enum err tell_parent(struct workflows *workflows, const struct look *look, struct error *e)
{
    struct workflow_instance *parent = NULL;
    enum err rc = look->parent == 0 ? ERR_OK
                                    : workflow_instance_get_usable(workflows->instances,
                                                                   look->parent, &parent, e);
    if (rc != ERR_OK || parent == NULL) {
        return rc;
    }
    rc = workflow_engine_child_gone(workflows, parent, look->id, e);
    struct workflow_token *token = workflow_token_of(parent, look->parent_execution);
    if (rc != ERR_OK || token == NULL || token->delivery != (uint64_t)look->id) {
        return rc; // It does not wait for this one any more.
    }
    const struct workflow_news_item news = {
        .kind = NEWS_CHILD,
        .verdict = VERDICT_REJECT,
        .status = INSTANCE_CANCELLED,
        .reason = "the workflow that it runs was given up by an operator",
    };
    token->delivery = 0;
    return workflow_engine_tell(workflows, parent, token->id, &news, e);
}

// One whose definition cannot be used any more: nothing of it can be run, so it is just over.
static enum err abandon(struct workflows *workflows, const struct look *look, const char *reason,
                        struct error *e)
{
    bool was_there;
    enum err rc =
        workflow_instance_abandon(workflows->instances, look->id, workflows->now_ms, &was_there, e);
    if (rc == ERR_OK && was_there) {
        const struct tally_abandoned abandoned = {look->workflow, look->definition, look->name,
                                                  look->state, look->tokens};
        workflow_set_count(workflows->set, look->definition, -1);
        rc = workflow_tally_abandon(workflows, &abandoned, e);
        rc = rc == ERR_OK ? workflow_journal_abandon(workflows, look->id, reason, e) : rc;
    }
    if (rc == ERR_OK && was_there) {
        rc = tell_parent(workflows, look, e);
    }
    return rc == ERR_OK && was_there ? workflow_start_after(workflows, look->workflow, look->key, e)
                                     : rc;
}

static enum err load(struct workflows *workflows, const struct look *look,
                     struct workflow_instance **out_instance, struct error *e)
{
    enum err rc = workflow_instance_get(workflows->instances, look->id, out_instance, e);
    return rc == ERR_OK && *out_instance == NULL
               ? error_set(e, ERR_NOT_FOUND, "there is no instance %" PRId64, look->id)
               : rc;
}

static enum err cancel(struct workflows *workflows, const struct operation *operation,
                       const struct look *look, struct error *e)
{
    struct workflow_instance *instance;
    if (workflow_state_is_over(look->state)) {
        return refuse_ended(look, "cancel", e);
    }
    enum err rc = load(workflows, look, &instance, e);
    if (rc == ERR_INVALID && operation->cancel == CANCEL_ABANDON) {
        return abandon(workflows, look, operation->reason, e);
    }
    return rc == ERR_OK ? workflow_engine_cancel(workflows, instance, operation->cancel,
                                                 operation->reason, e)
                        : rc;
}

static enum err retry(struct workflows *workflows, const struct look *look, struct error *e)
{
    struct workflow_instance *instance;
    if (workflow_state_is_over(look->state)) {
        return error_set(e, ERR_INVALID,
                         "instance %" PRId64 " (%s, key \"%.100s\") has ended; start it anew as it "
                         "was started with: pipit workflow replay %" PRId64,
                         look->id, look->name, look->key, look->id);
    }
    enum err rc = load(workflows, look, &instance, e);
    return rc == ERR_OK ? workflow_engine_retry(workflows, instance, e) : rc;
}

// The variables that it began with, as far as the definition has them now.
static enum err copy_variables(const struct look *look, const struct workflow_definition *now,
                               json_t **out_variables, struct error *e)
{
    json_t *before = json_loads(look->start, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *after = json_object();
    bool is_whole = json_is_object(before) && after != NULL;
    for (uint32_t i = 0; is_whole && i < now->variable_count; i++) {
        json_t *value = json_object_get(before, now->variables[i]);
        is_whole = json_object_set_new(after, now->variables[i],
                                       value == NULL ? json_null() : json_incref(value)) == 0;
    }
    json_decref(before);
    if (!is_whole) {
        json_decref(after);
        return no_memory(e);
    }
    *out_variables = after;
    return ERR_OK;
}

static enum err replay(struct workflows *workflows, const struct look *look,
                       struct outcome *inout_outcome, struct error *e)
{
    struct workflow_definition *definition = workflows_current(workflows, look->name);
    struct instance_spec spec = {.definition = definition, .key = look->key, .event = look->event};
    int64_t id = 0;
    if (!workflow_state_is_over(look->state)) {
        return error_set(e, ERR_INVALID,
                         "instance %" PRId64 " (%s, key \"%.100s\") has not ended, it is %s",
                         look->id, look->name, look->key, workflow_state_names[look->state]);
    }
    if (definition == NULL) {
        return error_set(e, ERR_INVALID,
                         "workflow %s of instance %" PRId64
                         " is not in the running configuration: add it again",
                         look->name, look->id);
    }
    enum err rc = copy_variables(look, definition, &spec.take_variables, e);
    rc = rc == ERR_OK ? workflow_start(workflows, &spec, &id, e) : rc;
    if (rc == ERR_OK && id == 0) {
        return error_set(e, ERR_INVALID,
                         "an instance of %s with the key \"%.100s\" is running, and 'running' is "
                         "ignore",
                         look->name, look->key);
    }
    inout_outcome->instance = (uint64_t)id;
    return rc;
}

enum err workflows_operate(struct workflows *workflows, const struct operation *operation,
                           struct outcome *inout_outcome, struct error *e)
{
    struct look look = {0};
    enum err rc = look_at(workflows, operation->first, &look, e);
    if (rc != ERR_OK) {
        return rc;
    }
    // As it is after what this batch has done so far.
    struct workflow_instance *instance = NULL;
    if (workflow_set_find(workflows->set, look.definition) != NULL &&
        workflow_instance_get(workflows->instances, look.id, &instance, NULL) == ERR_OK &&
        instance != NULL) {
        look.state = instance->state;
    }
    switch (operation->kind) {
    case OPERATION_WORKFLOW_CANCEL:
        rc = cancel(workflows, operation, &look, e);
        break;
    case OPERATION_WORKFLOW_RETRY:
        rc = retry(workflows, &look, e);
        break;
    case OPERATION_WORKFLOW_REPLAY:
        rc = replay(workflows, &look, inout_outcome, e);
        break;
    default:
        return error_set(e, ERR_INVALID, "this operation is not one of workflows");
    }
    inout_outcome->operated += rc == ERR_OK;
    return rc;
}
