// core_workflows.c - what a step has to do with workflows: the time that has passed, the events
// that they have made for the hub, the events of the batch, connectors' answers.
#include <stdio.h>
#include <string.h>

#include "core/core_parts.h"

static void on_taken(void *context, uint32_t event_index)
{
    struct core *core = context;
    core->batch.slots[event_index].is_routed = true;
}

// As a rule's failure, under the workflow's name.
static enum err on_failure(void *context, uint32_t event_index, const char *workflow,
                           const char *reason, struct error *e)
{
    struct core *core = context;
    struct event *event = event_batch_at(core->batch.events, event_index);
    size_t size = sizeof(WORKFLOW_RULE) + strlen(workflow);
    size_t whole = size + sizeof("workflow \"\": ") + strlen(reason);
    char *name = event_memory_take(&core->memory, size);
    char *sentence = event_memory_take(&core->memory, whole);
    if (name == NULL || sentence == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a workflow's failure");
    }
    snprintf(name, size, WORKFLOW_RULE "%s", workflow);
    snprintf(sentence, whole, "workflow \"%s\": %s", workflow, reason);
    core->batch.slots[event_index].is_failed = true;
    core->ledger.books.rule_failures++;
    return core_keep_failure(core, event_message(event), event_id(event), name, sentence, e);
}

enum err core_open_workflows(struct core *core, struct error *e)
{
    struct workflows_parts parts = {
        .store = core->store, .books = &core->ledger.books, .memory = &core->memory};
    struct workflow_set *set = NULL;
    core->workflow_sink = (struct workflow_sink){core, on_taken, on_failure};
    enum err rc = rule_space_get(store_db(core->store), &parts.space, e);
    rc = rc == ERR_OK ? workflows_create(&core->workflows, &parts, &core->workflow_sink, e) : rc;
    if (rc == ERR_OK) {
        rc = workflows_prepare(core->workflows, core->spec, &set, &core->notes, e);
    }
    if (rc == ERR_OK) {
        workflows_use(core->workflows, core->spec, core->formats, set);
    }
    return rc;
}

// ---- events of the batch ------------------------------------------------------------------------

static bool is_wanted(const struct core *core, uint32_t index)
{
    return core->batch.slots[index].fate == FATE_NEW;
}

// Where an event that rules made belongs: behind its root, or behind all (of a window that closed).
static uint32_t place_of(const struct core *core, uint32_t index, uint32_t first, uint32_t end)
{
    uint32_t root = core->batch.slots[index].root;
    return root >= first && root < end ? root - first : end - first;
}

// Each event and, behind it, those that rules made of it, as if each had come in a batch by itself:
// a counting sort by place. `at` has room for a number each place and one more.
static uint32_t put_in_order(const struct core *core, uint32_t first, uint32_t end, uint32_t *list,
                             uint32_t *at)
{
    const struct batch *batch = &core->batch;
    uint32_t all = event_batch_count(batch->events), derived = all - batch->derived_count;
    uint32_t count = 0;
    memset(at, 0, (end - first + 2) * sizeof(at[0]));
    for (uint32_t i = derived; i < all; i++) {
        at[place_of(core, i, first, end) + 1]++;
    }
    for (uint32_t i = first; i < end; i++) {
        at[i - first + 1] += at[i - first] + is_wanted(core, i);
        count += is_wanted(core, i);
    }
    for (uint32_t i = first; i < end; i++) {
        if (is_wanted(core, i)) {
            list[at[i - first]++] = i;
        }
    }
    for (uint32_t i = derived; i < all; i++) {
        list[at[place_of(core, i, first, end)]++] = i;
    }
    return count + batch->derived_count;
}

enum err core_run_workflows(struct core *core, uint32_t first, uint32_t end, struct error *e)
{
    const struct batch *batch = &core->batch;
    size_t events = (size_t)(end - first) + batch->derived_count, places = end - first + 2;
    if (workflows_are_idle(core->workflows)) {
        return ERR_OK;
    }
    uint32_t *list = event_memory_take(&core->memory, (events + places) * sizeof(list[0]));
    if (list == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for events of workflows");
    }
    uint32_t count = put_in_order(core, first, end, list, list + events);
    return workflows_run(core->workflows, batch->events, list, count, e);
}

// ---- time, and events of their own --------------------------------------------------------------

// Behind those that are played again; one that must not be let in is counted here.
static enum err play(struct core *core, const struct message *messages, uint32_t count,
                     struct error *e)
{
    struct message *played =
        event_memory_take(&core->memory, (core->played_count + count) * sizeof(played[0]));
    char reason[600];
    enum err rc = ERR_OK;
    if (played == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for events of workflows");
    }
    if (core->played_count > 0) {
        memcpy(played, core->played, core->played_count * sizeof(played[0]));
    }
    core->played = played;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (workflows_hops_problem(&messages[i], reason, sizeof(reason))) {
            core->ledger.books.received++;
            rc = core_reject(core, &messages[i], reason, e);
        } else {
            played[core->played_count++] = messages[i];
        }
    }
    return rc;
}

enum err core_fire_workflows(struct core *core, struct error *e)
{
    const struct message *messages;
    uint32_t count = 0;
    enum err rc = ERR_OK;
    if (workflows_next_due_ms(core->workflows) <= core->now_ms) {
        rc = workflows_take_inbox(core->workflows, &messages, &count, e);
        rc = rc == ERR_OK ? workflows_fire(core->workflows, e) : rc;
    }
    return rc == ERR_OK && count > 0 ? play(core, messages, count, e) : rc;
}

enum err core_settle(struct core *core, const struct settlement *settlement, struct error *e)
{
    const char *key = outbox_call_key(core->outbox, settlement);
    enum err rc = outbox_settle(core->outbox, settlement, &core->ledger.books, e);
    if (rc != ERR_OK || key == NULL) {
        return rc;
    }
    const struct workflow_answer answer = {
        .idempotency_key = key,
        .verdict = settlement->verdict,
        .reason = settlement->reason,
        .reply = settlement->reply,
        .delivery = settlement->delivery_id,
        .retry_after_ms = settlement->retry_after_ms,
    };
    return workflows_answer(core->workflows, &answer, e);
}
