#include "core/workflows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/workflow_parts.h"

#define WORKFLOW_RESTING_MS 600000 // Timers of instances that rest are looked at so often.
#define WORKFLOW_PRUNE_ROWS 1000   // Dropped of what has run out, in a batch.

static struct workflow_definition *find_definition(void *context, int64_t definition_id)
{
    const struct workflows *workflows = context;
    return workflows->set == NULL ? NULL : workflow_set_find(workflows->set, definition_id);
}

static enum err create_all(struct workflows *workflows, struct error *e)
{
    struct store *store = workflows->store;
    enum err rc =
        workflow_instances_create(&workflows->instances, store, find_definition, workflows, e);
    rc = rc == ERR_OK ? workflow_waits_create(&workflows->waits, store, e) : rc;
    rc = rc == ERR_OK ? workflow_kept_create(&workflows->kept, store, e) : rc;
    rc = rc == ERR_OK ? workflow_inbox_create(&workflows->inbox, store, e) : rc;
    rc = rc == ERR_OK ? workflow_presence_create(&workflows->presence, store, e) : rc;
    rc = rc == ERR_OK ? workflow_journal_create(&workflows->journal, store, e) : rc;
    rc = rc == ERR_OK ? workflow_tally_create(&workflows->tally, store, e) : rc;
    return rc == ERR_OK ? event_batch_create(&workflows->answers, 1, e) : rc;
}

enum err workflows_create(struct workflows **out_workflows, const struct workflows_parts *parts,
                          const struct workflow_sink *sink, struct error *e)
{
    struct workflows *workflows = calloc(1, sizeof(*workflows));
    if (workflows == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for workflows");
    }
    workflows->store = parts->store;
    workflows->space = parts->space;
    workflows->books = parts->books;
    workflows->memory = parts->memory;
    workflows->sink = sink;
    workflows->is_idle = true;
    enum err rc = create_all(workflows, e);
    if (rc != ERR_OK) {
        workflows_destroy(workflows);
        return rc;
    }
    *out_workflows = workflows;
    return ERR_OK;
}

void workflows_destroy(struct workflows *workflows)
{
    if (workflows == NULL) {
        return;
    }
    event_batch_destroy(workflows->answers);
    workflow_instances_destroy(workflows->instances);
    workflow_waits_destroy(workflows->waits);
    workflow_kept_destroy(workflows->kept);
    workflow_inbox_destroy(workflows->inbox);
    workflow_presence_destroy(workflows->presence);
    workflow_journal_destroy(workflows->journal);
    workflow_tally_destroy(workflows->tally);
    workflow_set_destroy(workflows->set);
    free(workflows);
}

void workflows_set_outbox(struct workflows *workflows, struct outbox *outbox)
{
    workflows->outbox = outbox;
}

// ---- definitions --------------------------------------------------------------------------------

enum err workflows_prepare(struct workflows *workflows, const struct core_spec *spec,
                           struct workflow_set **out_set, struct notes *notes, struct error *e)
{
    const struct workflow_set_parts parts = {workflows->store, workflows->space, spec,
                                             workflows->now_ms};
    return workflow_set_create(out_set, &parts, notes, e);
}

static void look_whether_idle(struct workflows *workflows)
{
    workflows->is_idle = workflows->set == NULL || (!workflow_set_has_current(workflows->set) &&
                                                    workflow_set_active(workflows->set) == 0 &&
                                                    workflow_inbox_is_empty(workflows->inbox));
}

void workflows_use(struct workflows *workflows, const struct core_spec *spec,
                   const struct formats *formats, struct workflow_set *take_set)
{
    event_batch_clear(workflows->answers); // Its event uses the formats.
    event_batch_set_formats(workflows->answers, formats);
    workflow_instances_forget(workflows->instances); // They use the definitions.
    workflow_set_destroy(workflows->set);
    workflows->set = take_set;
    workflows->spec = spec;
    workflows->formats = formats;
    look_whether_idle(workflows);
}

struct workflow_definition *workflows_current(const struct workflows *workflows, const char *name)
{
    return workflow_set_current(workflows->set, name);
}

bool workflows_are_idle(const struct workflows *workflows)
{
    return workflows->is_idle;
}

void workflows_input(const struct workflows *workflows, const struct workflow_instance *instance,
                     const struct workflow_token *token, struct query_input *out_input)
{
    *out_input = (struct query_input){
        .now_ms = workflows->now_ms,
        .memory = workflows->memory,
        .steps_max = workflows->spec->rule_steps_max,
        .memory_max = workflows->spec->rule_memory_max,
    };
    if (instance != NULL) {
        out_input->variables = instance->variables;
        out_input->scope = token == NULL ? NULL : workflow_token_scope(instance, token);
        out_input->key = instance->key;
        out_input->workflow = instance->definition->name;
        out_input->error = instance->error;
        out_input->reason = instance->reason;
        const json_t *failure = token == NULL ? NULL : workflow_token_failure(instance, token);
        if (failure != NULL) {
            out_input->error = json_string_value(json_array_get(failure, 0));
            out_input->reason = json_string_value(json_array_get(failure, 1));
        }
        out_input->instance = instance->id;
        out_input->started_ms = instance->started_ms;
    }
}

// ---- a batch ------------------------------------------------------------------------------------

void workflows_set_now(struct workflows *workflows, int64_t now_ms)
{
    workflows->now_ms = now_ms;
}

// What the event's playback says of who may see it: one workflow, all, or (of a rule's) none.
static bool is_for_workflows(struct event *event)
{
    const struct playback *playback = event_message(event)->playback;
    return playback == NULL || playback->rule == NULL ||
           strncmp(playback->rule, WORKFLOW_RULE, sizeof(WORKFLOW_RULE) - 1) == 0;
}

enum err workflows_run(struct workflows *workflows, struct event_batch *batch,
                       const uint32_t *events, uint32_t count, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (is_for_workflows(event_batch_at(batch, events[i]))) {
            rc = workflow_match_event(workflows, batch, events[i], e);
        }
    }
    return rc;
}

// The body as the only event of `answers`; none where there is no body or it cannot be read.
static enum err read_answer(struct workflows *workflows, const struct reply *reply,
                            struct workflow_news_item *news, struct error *e)
{
    struct message *message = event_memory_take(workflows->memory, sizeof(*message));
    struct event *event;
    struct error why = {.text = ""};
    if (message == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an answer");
    }
    *message = (struct message){
        .topic = bytes_from_text(WORKFLOW_ANSWER_TOPIC),
        .payload = reply->body,
        .content_type = bytes_from_text(reply->content_type == NULL ? "" : reply->content_type),
        .received_ms = workflows->now_ms,
    };
    event_batch_clear(workflows->answers);
    enum err rc = event_batch_add(workflows->answers, message, &event, &why);
    rc = rc == ERR_OK ? event_validate(event, &why) : rc;
    if (rc == ERR_NO_MEMORY) {
        return error_set(e, rc, "%s", why.text);
    }
    if (rc == ERR_OK) {
        news->batch = workflows->answers;
    } else {
        event_batch_clear(workflows->answers);
        news->is_cut = true;
        news->reason = event_memory_text(workflows->memory, bytes_from_text(why.text));
    }
    return ERR_OK;
}

enum err workflows_find_ticket(struct workflows *workflows, const struct workflow_ticket *ticket,
                               struct workflow_instance **out_instance, uint32_t *out_token,
                               struct error *e)
{
    *out_token = 0;
    enum err rc =
        workflow_instance_get_usable(workflows->instances, ticket->instance, out_instance, e);
    const struct workflow_instance *instance = rc == ERR_OK ? *out_instance : NULL;
    if (instance == NULL || instance->started_ms != ticket->started_ms ||
        workflow_state_is_over(instance->state)) {
        return rc;
    }
    const struct workflow_token *token = workflow_token_of(instance, ticket->execution);
    *out_token = token == NULL || token->step != ticket->step ? 0 : token->id;
    return ERR_OK;
}

enum err workflows_answer(struct workflows *workflows, const struct workflow_answer *answer,
                          struct error *e)
{
    struct workflow_ticket ticket;
    struct workflow_instance *instance;
    uint32_t token;
    struct bytes key = bytes_from_text(answer->idempotency_key);
    if (answer->verdict == VERDICT_NOT_SENT ||
        !workflow_ticket_read(key, store_id(workflows->store), &ticket)) {
        return ERR_OK;
    }
    enum err rc = workflows_find_ticket(workflows, &ticket, &instance, &token, e);
    if (rc != ERR_OK || token == 0) {
        return rc;
    }
    struct workflow_news_item news = {
        .kind = NEWS_ANSWER,
        .verdict = answer->verdict,
        .reason = answer->reason,
        .delivery = answer->delivery,
        .retry_after_ms = answer->retry_after_ms,
    };
    if (answer->reply != NULL) {
        news.status = answer->reply->status;
        news.is_cut = answer->reply->is_cut;
        if (!news.is_cut && answer->reply->body.len > 0) {
            rc = read_answer(workflows, answer->reply, &news, e);
        }
    }
    instance->hops = 0; // What comes from outside is no chain of our own events.
    return rc == ERR_OK ? workflow_engine_tell(workflows, instance, token, &news, e) : rc;
}

// ---- time ---------------------------------------------------------------------------------------

// Of an instance that rests: looked at again later.
static enum err postpone(struct workflows *workflows, const struct workflow_wait *wait,
                         struct error *e)
{
    struct workflow_wait later = *wait;
    later.due_ms = workflows->now_ms + WORKFLOW_RESTING_MS;
    return workflow_wait_put(workflows->waits, &later, e);
}

// What began with a pause is no chain of events at once: see WORKFLOW_HOPS_MAX.
static void end_chain(struct workflow_instance *instance, uint32_t token_id)
{
    const struct workflow_token *token = workflow_token_find(instance, token_id);
    enum step_kind kind = token == NULL || token->step >= instance->definition->step_count
                              ? STEP_KIND_COUNT
                              : instance->definition->steps[token->step].kind;
    if (kind == STEP_SLEEP || kind == STEP_UNTIL) {
        instance->hops = 0;
    }
}

static enum err fire(struct workflows *workflows, const struct workflow_wait *wait, struct error *e)
{
    const struct workflow_news_item news = {.kind = NEWS_TIME};
    bool is_kept = (workflows->spec->faults & FAULT_WORKFLOW_TIMER_KEPT) != 0;
    struct workflow_instance *instance = NULL;
    struct error why = {.text = ""};
    bool is_due;
    enum err rc = workflow_wait_is_due(workflows->waits, wait, workflows->now_ms, &is_due, e);
    if (rc != ERR_OK || !is_due) {
        return rc;
    }
    rc = workflow_instance_get(workflows->instances, wait->instance, &instance, &why);
    if (rc == ERR_INVALID) {
        return postpone(workflows, wait, e);
    }
    if (rc != ERR_OK) {
        return error_set(e, rc, "%s", why.text);
    }
    // Whatever the engine makes of it: a time is told once.
    rc = workflow_wait_drop(workflows->waits, wait->instance, wait->token, e);
    if (rc == ERR_OK && instance != NULL) {
        end_chain(instance, wait->token);
        rc = workflow_engine_tell(workflows, instance, wait->token, &news, e);
    }
    return rc == ERR_OK && is_kept ? workflow_wait_put(workflows->waits, wait, e) : rc;
}

enum err workflows_fire(struct workflows *workflows, struct error *e)
{
    struct workflow_wait_list due = {.memory = workflows->memory, .count_max = WORKFLOW_TIMERS_MAX};
    enum err rc = ERR_OK;
    if (workflow_waits_next_due_ms(workflows->waits) <= workflows->now_ms) {
        rc = workflow_waits_due(workflows->waits, workflows->now_ms, &due, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < due.count; i++) {
        rc = fire(workflows, &due.waits[i], e);
    }
    if (rc == ERR_OK && workflow_kept_due_ms(workflows->kept) <= workflows->now_ms) {
        rc = workflow_kept_prune(workflows->kept, workflows->now_ms, WORKFLOW_PRUNE_ROWS, e);
    }
    if (rc == ERR_OK) {
        rc = workflow_instances_prune(workflows->instances, workflows->now_ms, WORKFLOW_PRUNE_ROWS,
                                      e);
    }
    return rc;
}

// ---- what workflows tell the hub ----------------------------------------------------------------

enum err workflows_take_inbox(struct workflows *workflows, const struct message **out_messages,
                              uint32_t *out_count, struct error *e)
{
    const struct inbox_entry *entries;
    uint32_t count;
    *out_messages = NULL;
    *out_count = 0;
    enum err rc = workflow_inbox_take(workflows->inbox, workflows->memory, &entries, &count, e);
    if (rc != ERR_OK || count == 0) {
        return rc;
    }
    struct message *messages = event_memory_take(workflows->memory, count * sizeof(messages[0]));
    struct playback *playbacks = event_memory_take(workflows->memory, count * sizeof(playbacks[0]));
    if (messages == NULL || playbacks == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for events of workflows");
    }
    for (uint32_t i = 0; i < count; i++) {
        playbacks[i] = (struct playback){.event_id = entries[i].event_id, .hops = entries[i].hops};
        messages[i] = entries[i].message;
        messages[i].playback = &playbacks[i];
    }
    *out_messages = messages;
    *out_count = count;
    return ERR_OK;
}

bool workflows_hops_problem(const struct message *message, char *out, size_t size)
{
    const struct playback *playback = message->playback;
    if (playback == NULL || playback->hops <= WORKFLOW_HOPS_MAX) {
        return false;
    }
    snprintf(out, size,
             "events of workflows have led to one another %u times at once, at most %d may: this "
             "one is %.200s; a workflow starts itself, or several each other, without a pause",
             playback->hops, WORKFLOW_HOPS_MAX, playback->event_id);
    return true;
}

// ---- the end of a batch -------------------------------------------------------------------------

int64_t workflows_next_due_ms(const struct workflows *workflows)
{
    if (!workflow_inbox_is_empty(workflows->inbox)) {
        return INT64_MIN;
    }
    int64_t due[] = {
        workflow_waits_next_due_ms(workflows->waits),
        workflow_kept_due_ms(workflows->kept),
        workflow_instances_due_ms(workflows->instances),
    };
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < sizeof(due) / sizeof(due[0]); i++) {
        first = due[i] < first ? due[i] : first;
    }
    return first;
}

enum err workflows_flush(struct workflows *workflows, struct error *e)
{
    enum err rc = workflow_instances_write(workflows->instances, e);
    return rc == ERR_OK ? workflow_tally_flush(workflows->tally, workflows->now_ms, e) : rc;
}

static void forget_batch(struct workflows *workflows)
{
    event_batch_clear(workflows->answers);
    workflow_instances_forget(workflows->instances);
    workflow_journal_clear(workflows->journal);
    workflows->engine = (struct workflow_engine){.is_running = false};
}

void workflows_commit(struct workflows *workflows, struct outcome *inout_outcome)
{
    workflow_waits_commit(workflows->waits);
    workflow_kept_commit(workflows->kept);
    workflow_inbox_commit(workflows->inbox);
    workflow_tally_commit(workflows->tally);
    workflow_set_commit(workflows->set);
    workflow_journal_tell(workflows->journal, inout_outcome);
    forget_batch(workflows);
    look_whether_idle(workflows);
}

void workflows_rollback(struct workflows *workflows)
{
    workflow_waits_rollback(workflows->waits);
    workflow_kept_rollback(workflows->kept);
    workflow_inbox_rollback(workflows->inbox);
    workflow_tally_rollback(workflows->tally);
    if (workflows->set != NULL) {
        workflow_set_rollback(workflows->set);
    }
    forget_batch(workflows);
}

void workflows_counters(const struct workflows *workflows, core_counter_fn *each, void *context)
{
    workflow_tally_tell(workflows->tally, each, context);
    if (workflows->is_idle) {
        return;
    }
    each(context, "workflows/running", workflow_set_active(workflows->set));
    each(context, "workflows/unknown_replies", workflows->unknown_replies);
}
