// core_batch.c - the messages of a batch: decode, check, identify, dedupe, rules, quarantine,
// count.
//
// An event is counted once. It is a duplicate when its sequence was seen before. Else it is
// rejected when it cannot be read, or when a rule failed on it and none gave a delivery; routed
// when a rule gave at least one delivery, also if the route shed it (that is counted as dropped);
// filtered when no rule wanted it. A rejected event with a sequence is marked as seen and receipted
// all the same: it would be no better if it were sent again.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/core_parts.h"
#include "core/receipt.h"
#include "core/window.h"

#define EVENTS_KEPT_MAX 8192 // Room for more is given back when it is not needed any more: 6 MB.

void core_batch_clear(struct batch *batch)
{
    if (batch->events != NULL) {
        event_batch_clear(batch->events);
    }
    batch->failure_count = 0;
}

void core_batch_deinit(struct batch *batch)
{
    event_batch_destroy(batch->events);
    free(batch->slots);
    free(batch->is_skipped);
    free(batch->failures);
    free(batch->tallies);
    free(batch->tallied);
    *batch = (struct batch){0};
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a batch");
}

static enum err reserve_events(struct batch *batch, uint32_t count, struct error *e)
{
    bool is_far_too_large = batch->capacity > EVENTS_KEPT_MAX && count < batch->capacity / 4;
    if (count <= batch->capacity && !is_far_too_large) {
        return ERR_OK;
    }
    uint32_t capacity = batch->capacity == 0 || is_far_too_large ? 64 : batch->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    batch->capacity = 0;
    event_batch_destroy(batch->events);
    free(batch->slots);
    free(batch->is_skipped);
    batch->events = NULL;
    batch->slots = calloc((size_t)capacity + 1, sizeof(batch->slots[0]));
    batch->is_skipped = calloc(capacity, sizeof(batch->is_skipped[0]));
    if (batch->slots == NULL || batch->is_skipped == NULL) {
        return no_memory(e);
    }
    enum err rc = event_batch_create(&batch->events, capacity, e);
    batch->capacity = rc == ERR_OK ? capacity : 0;
    return rc;
}

static enum err reserve_rules(struct batch *batch, uint32_t rules, struct error *e)
{
    if (rules <= batch->rule_capacity) {
        return ERR_OK;
    }
    batch->rule_capacity = 0;
    free(batch->tallies);
    free(batch->tallied);
    batch->tallies = calloc(rules, sizeof(batch->tallies[0]));
    batch->tallied = calloc(rules, sizeof(batch->tallied[0]));
    if (batch->tallies == NULL || batch->tallied == NULL) {
        return no_memory(e);
    }
    batch->rule_capacity = rules;
    return ERR_OK;
}

static enum err quarantine(struct core *core, const struct rejection *rejection, struct error *e)
{
    struct bytes topic = rejection->message->topic;
    snprintf(core->rejection, sizeof(core->rejection), "%.*s: %s",
             (int)(topic.len < 120 ? topic.len : 120), (const char *)topic.ptr, rejection->reason);
    core->outcome.rejection = core->rejection;
    return quarantine_put(core->quarantine, rejection, core->spec, &core->memory, &core->ledger, e);
}

enum err core_reject(struct core *core, const struct message *message, const char *reason,
                     struct error *e)
{
    const struct rejection rejection = {message, reason, NULL, "", core->now_ms};
    core->ledger.books.rejected++;
    core->outcome.rejected++;
    return quarantine(core, &rejection, e);
}

static const char *keep_text(struct core *core, const char *text)
{
    const char *copy = event_memory_text(&core->memory, bytes_from_text(text));
    return copy == NULL ? "out of memory for the reason" : copy;
}

void core_mark_rejected(struct core *core, uint32_t index, const char *reason)
{
    core->batch.slots[index].fate = FATE_REJECTED;
    core->batch.slots[index].reason = keep_text(core, reason);
    core->batch.is_skipped[index] = true;
}

// Into the batch if it can be read at all. What is too large is still decoded: its identity is
// needed to tell its device not to send it again.
static enum err add_message(struct core *core, const struct message *message, uint32_t input,
                            struct error *e)
{
    struct event *event;
    struct error why = {0};
    uint32_t index = event_batch_count(core->batch.events);
    core->ledger.books.received++;
    enum err rc = event_batch_add(core->batch.events, message, &event, &why);
    if (rc == ERR_NO_MEMORY) {
        return error_set(e, rc, "%s", why.text);
    }
    if (rc != ERR_OK) {
        return core_reject(core, message, why.text, e);
    }
    core->batch.slots[index] = (struct slot){.fate = FATE_NEW};
    core->batch.is_skipped[index] = false;
    rc = core_note_sparkplug(core, index, input, e);
    if (rc != ERR_OK || core->batch.is_skipped[index]) {
        return rc;
    }
    if (message->payload.len > core->spec->payload_bytes_max) {
        char reason[160];
        snprintf(reason, sizeof(reason), "the payload has %zu bytes, payload_max is %u",
                 message->payload.len, core->spec->payload_bytes_max);
        core_mark_rejected(core, index, reason);
    } else if (event_validate(event, &why) != ERR_OK) {
        core_mark_rejected(core, index, why.text);
    }
    return ERR_OK;
}

// The message's event, or its events. An empty batch says nothing: it counts as filtered.
static enum err add_events(struct core *core, const struct message *message, uint32_t input,
                           struct error *e)
{
    const struct split *split = core->batch.splits;
    struct books *books = &core->ledger.books;
    if (split == NULL || split->input != input) {
        return add_message(core, message, input, e);
    }
    core->batch.splits = split->next;
    books->received += split->problem != NULL || split->count == 0;
    if (split->problem != NULL) {
        return core_reject(core, message, split->problem, e);
    }
    books->filtered += split->count == 0;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < split->count; i++) {
        rc = add_message(core, &split->messages[i], input, e);
    }
    return rc;
}

static enum err add_all(struct core *core, const struct input *inputs, uint32_t count,
                        struct error *e)
{
    uint32_t derived = rules_have_derived(core->rules) ? DERIVED_MAX : 0;
    uint32_t events;
    enum err rc = core_split(core, inputs, count, &events, e);
    if (rc == ERR_OK) {
        rc = reserve_events(&core->batch, events + derived, e);
    }
    if (rc == ERR_OK) {
        rc = reserve_rules(&core->batch, core->spec->rule_count, e);
    }
    if (rc == ERR_OK) {
        event_batch_set_formats(core->batch.events, core->formats);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (inputs[i].kind == INPUT_MESSAGE) {
            rc = add_events(core, &inputs[i].message, i, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < core->played_count; i++) {
        rc = add_events(core, &core->played[i], count + i, e);
    }
    return rc;
}

static enum err on_identify_failure(void *context, uint32_t event_index, uint32_t rule_index,
                                    const char *reason, struct error *e)
{
    (void)rule_index;
    (void)e;
    core_mark_rejected(context, event_index, reason);
    return ERR_OK;
}

static enum err see(struct core *core, uint32_t index, struct error *e)
{
    struct event *event = event_batch_at(core->batch.events, index);
    const struct event_identity *identity = event_identity(event);
    const struct playback *playback = event_message(event)->playback;
    bool is_known = playback != NULL && playback->is_known;
    bool was_seen = is_known && playback->rule != NULL; // It came as far as to that rule.
    if (identity->key[0] == '\0' || identity->sequence == 0 || was_seen) {
        return ERR_OK;
    }
    bool is_new, is_ours = event_kind(event) == EVENT_PIPIT;
    struct dedupe_entry *entry;
    enum err rc = dedupe_see(core->dedupe, identity, is_ours, &is_new, &entry, e);
    if (rc != ERR_OK) {
        return rc;
    }
    entry->wants_receipt |= is_ours && !is_known && event_wants_receipt(event);
    if (!is_new && !is_known && !core->spec->fault_no_dedupe) {
        core->batch.slots[index].fate = FATE_DUPLICATE;
        core->batch.is_skipped[index] = true;
    }
    return ERR_OK;
}

static void name_event(struct core *core, uint32_t index)
{
    struct event *event = event_batch_at(core->batch.events, index);
    const struct playback *playback = event_message(event)->playback;
    if (playback != NULL && playback->event_id != NULL) {
        event_set_id(event, playback->event_id); // Whatever its identity would make of it.
    }
    if (!core->batch.is_skipped[index] && event_id(event)[0] == '\0') {
        char id[40];
        snprintf(id, sizeof(id), "%s/%" PRIu64, store_id(core->store), core->ledger.next_event++);
        event_set_id(event, id);
    }
}

static struct rule_tally *tally_of(struct batch *batch, uint32_t rule)
{
    struct rule_tally *tally = &batch->tallies[rule];
    if (tally->matched == 0 && tally->failures == 0 && tally->rows == 0) {
        batch->tallied[batch->tallied_count++] = rule;
    }
    return tally;
}

struct rule_tally *core_tally(struct core *core, uint32_t rule_index)
{
    return tally_of(&core->batch, rule_index);
}

static enum err on_output(void *context, const struct rule_output *output, struct error *e)
{
    struct core *core = context;
    struct rule_output own = *output;
    struct error why = {0};
    if (own.window != NULL) { // Behind what the batch's events give.
        own.event_index = own.root_index = core->batch.capacity;
    }
    core->batch.slots[own.event_index].is_routed = true;
    const struct rule_spec *rule = &core->spec->rules[own.rule_index];
    if (rule->routes[own.route_index].target == ROUTE_TO_RULES) {
        return core_derive(core, &own, e);
    }
    enum err rc = outbox_add(core->outbox, &own, event_id(own.source), &why);
    if (rc == ERR_FULL) {
        core->batch.is_too_much = true;
        snprintf(core->batch.too_much, sizeof(core->batch.too_much), "%.199s", why.text);
    }
    return rc == ERR_OK ? ERR_OK : error_set(e, rc, "%s", why.text);
}

enum err core_keep_failure(struct core *core, const struct message *message, const char *event_id,
                           const char *rule, const char *reason, struct error *e)
{
    struct batch *batch = &core->batch;
    if (batch->failure_count == BATCH_FAILURES_MAX) {
        return ERR_OK;
    }
    if (batch->failures == NULL) {
        batch->failures = calloc(BATCH_FAILURES_MAX, sizeof(batch->failures[0]));
        if (batch->failures == NULL) {
            return no_memory(e);
        }
    }
    batch->failures[batch->failure_count++] =
        (struct failure){message, keep_text(core, event_id), rule, keep_text(core, reason)};
    return ERR_OK;
}

enum err core_note_failure(struct core *core, const struct message *message, const char *event_id,
                           uint32_t rule_index, const char *reason, struct error *e)
{
    tally_of(&core->batch, rule_index)->failures++;
    core->batch.round_failures++;
    return core_keep_failure(core, message, event_id, core->spec->rules[rule_index].name, reason,
                             e);
}

static enum err on_failure(void *context, uint32_t event_index, uint32_t rule_index,
                           const char *reason, struct error *e)
{
    struct core *core = context;
    struct event *event = event_batch_at(core->batch.events, event_index);
    if (rule_index == UINT32_MAX) { // A table cannot take it: nobody does.
        core_mark_rejected(core, event_index, reason);
        return ERR_OK;
    }
    core->batch.slots[event_index].is_failed = true;
    return core_note_failure(core, event_message(event), event_id(event), rule_index, reason, e);
}

static void on_ran(void *context, uint32_t event_index, uint32_t rule_index, uint32_t rows)
{
    (void)event_index;
    struct rule_tally *tally = tally_of(&((struct core *)context)->batch, rule_index);
    tally->matched++;
    tally->rows += rows;
}

static void count_round(struct core *core)
{
    struct batch *batch = &core->batch;
    core->ledger.books.rule_failures += batch->round_failures;
    core->ledger.books.derived += batch->derived_count;
    for (uint32_t i = 0; i < batch->tallied_count; i++) {
        rule_count_add(core->rule_count, batch->tallied[i], &batch->tallies[batch->tallied[i]]);
    }
}

static enum err write_round(struct core *core, struct error *e)
{
    count_round(core);
    memo_end_round(core->memo);
    enum err rc = outbox_write(core->outbox, &core->ledger.books, e);
    return rc == ERR_OK ? windows_write(rules_windows(core->rules), &core->ledger.books.late, e)
                        : rc;
}

static void end_round(struct batch *batch)
{
    event_batch_truncate(batch->events, event_batch_count(batch->events) - batch->derived_count);
    batch->derived_count = 0;
    batch->derived_bytes = 0;
    batch->round_failures = 0;
    while (batch->tallied_count > 0) {
        batch->tallies[batch->tallied[--batch->tallied_count]] = (struct rule_tally){0};
    }
}

// As if the rules had not run over first..end.
static void undo_round(struct core *core, uint32_t first, uint32_t end, uint32_t failures)
{
    outbox_forget_added(core->outbox, 0);
    windows_forget(rules_windows(core->rules));
    memo_undo_round(core->memo);
    core->batch.failure_count = failures;
    for (uint32_t i = first; i < end; i++) {
        core->batch.slots[i].is_routed = core->batch.slots[i].is_failed = false;
    }
}

// Which events the rules see: all of first..end that are to be seen.
static void choose(struct core *core, uint32_t first, uint32_t end)
{
    uint32_t count = event_batch_count(core->batch.events);
    for (uint32_t i = 0; i < count; i++) {
        bool is_in = i >= first && i < end && core->batch.slots[i].fate == FATE_NEW;
        core->batch.is_skipped[i] = !is_in;
    }
}

// Rules over first..end. When they give more than memory should hold, each half by itself; an event
// that alone is too much is rejected.
static enum err run_rules(struct core *core, uint32_t first, uint32_t end, struct error *e)
{
    const struct rule_sink sink = {core, on_output, on_failure, on_ran};
    struct batch *batch = &core->batch;
    uint32_t failures = batch->failure_count;
    batch->is_too_much = false;
    enum err rc = rules_run(core->rules, batch->events, batch->is_skipped, core->now_ms, &sink, e);
    bool is_too_much = batch->is_too_much;
    if (rc == ERR_OK && !is_too_much) {
        rc = write_round(core, e);
        rc = rc == ERR_OK ? core_run_workflows(core, first, end, e) : rc;
    }
    end_round(batch);
    if (!is_too_much) {
        return rc;
    }
    undo_round(core, first, end, failures);
    if (end - first <= 1) {
        core_mark_rejected(core, first, batch->too_much);
        return ERR_OK;
    }
    uint32_t middle = first + (end - first) / 2;
    choose(core, first, middle);
    rc = run_rules(core, first, middle, e);
    if (rc == ERR_OK) {
        choose(core, middle, end);
        rc = run_rules(core, middle, end, e);
    }
    return rc;
}

enum err core_fire_round(struct core *core, uint32_t keys_max, bool *out_more, bool *out_too_much,
                         struct error *e)
{
    const struct rule_sink sink = {core, on_output, on_failure, on_ran};
    struct batch *batch = &core->batch;
    uint32_t failures = batch->failure_count;
    batch->is_too_much = false;
    enum err rc =
        rules_fire(core->rules, keys_max, batch->events, core->now_ms, &sink, out_more, e);
    *out_too_much = batch->is_too_much;
    if (rc == ERR_OK && !batch->is_too_much) {
        rc = write_round(core, e);
        rc = rc == ERR_OK ? core_run_workflows(core, 0, 0, e) : rc;
    }
    end_round(batch);
    if (!*out_too_much) {
        return rc;
    }
    undo_round(core, 0, 0, failures);
    return ERR_OK;
}

static enum err tell_failures(struct core *core, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < core->batch.failure_count; i++) {
        const struct failure *failure = &core->batch.failures[i];
        const struct rejection rejection = {failure->message, failure->reason, failure->rule,
                                            failure->event_id, core->now_ms};
        rc = quarantine(core, &rejection, e);
    }
    return rc;
}

static enum err count_event(struct core *core, uint32_t index, struct error *e)
{
    const struct slot *slot = &core->batch.slots[index];
    struct books *books = &core->ledger.books;
    if (slot->fate == FATE_DUPLICATE) {
        books->duplicate++;
    } else if (slot->fate == FATE_REJECTED) {
        struct event *event = event_batch_at(core->batch.events, index);
        return core_reject(core, event_message(event), slot->reason, e);
    } else if (slot->is_routed) {
        books->routed++;
    } else if (slot->is_failed) { // Its reason is in the quarantine already.
        books->rejected++;
        core->outcome.rejected++;
    } else {
        books->filtered++;
    }
    return ERR_OK;
}

static enum err identify(struct core *core, struct error *e)
{
    const struct rule_sink sink = {core, on_output, on_identify_failure, on_ran};
    uint32_t count = event_batch_count(core->batch.events);
    enum err rc = rules_identify(core->rules, core->batch.events, core->batch.is_skipped,
                                 core->now_ms, &sink, e);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = see(core, i, e);
        name_event(core, i);
    }
    return rc;
}

// Workflows see tables as they are after their own event, as rules do.
static enum err run_all(struct core *core, uint32_t events, struct error *e)
{
    uint32_t first = 0;
    enum err rc = ERR_OK;
    for (uint32_t i = 1; rc == ERR_OK && i < events; i++) {
        const struct event *event = event_batch_at(core->batch.events, i);
        if (core->batch.slots[i].fate == FATE_NEW && rules_cut_before(core->rules, event)) {
            choose(core, first, i);
            rc = run_rules(core, first, i, e);
            first = i;
        }
    }
    if (rc == ERR_OK && first > 0) {
        choose(core, first, events);
    }
    return rc == ERR_OK ? run_rules(core, first, events, e) : rc;
}

enum err core_take_messages(struct core *core, const struct input *inputs, uint32_t count,
                            struct error *e)
{
    enum err rc = core_fire_workflows(core, e);
    rc = rc == ERR_OK ? add_all(core, inputs, count, e) : rc;
    uint32_t events = rc == ERR_OK ? event_batch_count(core->batch.events) : 0;
    if (rc == ERR_OK && events > 0) {
        rc = identify(core, e);
        rc = rc == ERR_OK ? run_all(core, events, e) : rc;
    }
    if (rc == ERR_OK) {
        rc = core_fire_windows(core, e);
    }
    if (rc == ERR_OK) {
        rc = tell_failures(core, e);
    }
    if (rc == ERR_OK) {
        rc = core_history_keep(core, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < events; i++) {
        rc = count_event(core, i, e);
    }
    // An event without its name must not count as one that has none.
    bool is_whole = rc != ERR_OK || events == 0 || event_batch_is_whole(core->batch.events);
    return is_whole ? rc : no_memory(e);
}

static enum err make_receipts(struct core *core, struct error *e)
{
    uint32_t count = 0;
    const struct dedupe_entry *entry;
    for (entry = dedupe_touched(core->dedupe); entry != NULL; entry = entry->next_touched) {
        count += entry->wants_receipt;
    }
    struct receipt *receipts =
        count == 0 ? NULL : event_memory_take(&core->memory, count * sizeof(receipts[0]));
    if (count > 0 && receipts == NULL) {
        return no_memory(e);
    }
    enum err rc = ERR_OK;
    uint32_t made = 0;
    for (entry = dedupe_touched(core->dedupe); rc == ERR_OK && entry != NULL;
         entry = entry->next_touched) {
        if (entry->wants_receipt) {
            rc = receipt_make(entry, &core->memory, &receipts[made++], e);
        }
    }
    core->outcome.receipts = receipts;
    core->outcome.receipt_count = rc == ERR_OK ? made : 0;
    return rc;
}

static enum err mirror_event(struct core *core, struct event *event, const char **out_topic,
                             const char **out_line, struct error *e)
{
    struct bytes topic = event_message(event)->topic;
    size_t size = topic.len + strlen(core->spec->hub_id) + sizeof("pipit/v1/$hub//mirror/");
    char *text = event_memory_take(&core->memory, size);
    char *json = event_to_json(event);
    const char *line =
        json == NULL ? NULL : event_memory_text(&core->memory, bytes_from_text(json));
    free(json);
    if (text == NULL || line == NULL) {
        return no_memory(e);
    }
    snprintf(text, size, "pipit/v1/$hub/%s/mirror/%.*s", core->spec->hub_id, (int)topic.len,
             (const char *)topic.ptr);
    *out_topic = text;
    *out_line = line;
    return ERR_OK;
}

static enum err make_mirror(struct core *core, struct error *e)
{
    uint32_t count = event_batch_count(core->batch.events), made = 0;
    const char **topics = event_memory_take(&core->memory, count * sizeof(topics[0]) + 1);
    const char **lines = event_memory_take(&core->memory, count * sizeof(lines[0]) + 1);
    enum err rc = topics == NULL || lines == NULL ? no_memory(e) : ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (core->batch.slots[i].fate == FATE_NEW) {
            struct event *event = event_batch_at(core->batch.events, i);
            rc = mirror_event(core, event, &topics[made], &lines[made], e);
            made += rc == ERR_OK;
        }
    }
    core->outcome.mirror = lines;
    core->outcome.mirror_topics = topics;
    core->outcome.mirror_count = rc == ERR_OK ? made : 0;
    return rc;
}

void core_tell(struct core *core)
{
    sparkplug_requests(core->sparkplug, &core->memory, &core->outcome.requests,
                       &core->outcome.request_count, NULL);
    if (make_receipts(core, NULL) == ERR_OK && core->spec->is_mirror_on &&
        core->batch.events != NULL) {
        make_mirror(core, NULL);
    }
}
