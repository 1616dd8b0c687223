// daemon_batch.c - one batch: settlements, messages and operations into one transaction, and what
// follows from it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon_parts.h"

#define COLLECT_MAX          256
#define LOG_INTERVAL_MS      1000
#define LOG_FULL_INTERVAL_MS 60000 // A full store stays full for long.

enum err batch_reserve(struct daemon *daemon, const struct config *config, struct error *e)
{
    uint32_t events = (uint32_t)option_int(config->hub, "batch_events");
    uint32_t capacity = SETTLE_COUNT_MAX + events + CONTROL_CLIENTS_MAX;
    if (capacity <= daemon->input_capacity) {
        return ERR_OK;
    }
    // Pages that are never written to cost nothing: a quiet hub stays small.
    struct input *inputs = realloc(daemon->inputs, capacity * sizeof(inputs[0]));
    daemon->inputs = inputs == NULL ? daemon->inputs : inputs;
    uint16_t *owners = realloc(daemon->owners, events * sizeof(owners[0]));
    daemon->owners = owners == NULL ? daemon->owners : owners;
    if (inputs == NULL || owners == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for batches of %u events", events);
    }
    daemon->input_capacity = capacity;
    return ERR_OK;
}

void batch_use(struct daemon *daemon)
{
    daemon->batch_limit = (uint32_t)option_int(daemon->config->hub, "batch_events");
}

// Settlements end where messages begin, so that both, or settlements alone, are one row of inputs.
static struct input *settlements(const struct daemon *daemon)
{
    return daemon->inputs + SETTLE_COUNT_MAX - daemon->settlement_count;
}

static void settlement_add(struct daemon *daemon, const struct settlement *settlement)
{
    if (daemon->settlement_count == 0) {
        daemon->settle_at_ms = daemon->now_ms + SETTLE_DEFER_MS;
    }
    daemon->settlement_count++;
    struct input *input = settlements(daemon);
    input->kind = INPUT_SETTLEMENT;
    input->settlement = *settlement;
    daemon->has_reasons |= settlement->reason != NULL || settlement->reply != NULL;
    daemon->must_settle |= settlement->verdict != VERDICT_DONE || settlement->reply != NULL;
}

// The texts of reasons and replies are the worker's until its next collect: nothing more is
// collected before they are committed. What is left over makes no new ring, so it is asked for.
static void collect_worker(struct daemon *daemon, struct worker_slot *slot)
{
    struct settlement found[COLLECT_MAX];
    for (;;) {
        uint32_t room = SETTLE_COUNT_MAX - daemon->settlement_count;
        if (room == 0 || daemon->has_reasons) {
            daemon->must_collect = true;
            return;
        }
        uint32_t max = room < COLLECT_MAX ? room : COLLECT_MAX;
        uint32_t count = worker_collect(slot->worker, found, max);
        for (uint32_t i = 0; i < count; i++) {
            settlement_add(daemon, &found[i]);
        }
        slot->in_flight -= count < slot->in_flight ? count : slot->in_flight;
        if (count < max) {
            return;
        }
    }
}

static void collect_all(struct daemon *daemon)
{
    daemon->must_collect = false;
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        if (daemon->workers[i].worker != NULL) {
            collect_worker(daemon, &daemon->workers[i]);
        }
    }
}

// Which source a receipt goes back through: the one that the device's events came from.
static bool has_device(const struct daemon *daemon, uint32_t source, const char *topic)
{
    static const char ending[] = "/receipt";
    const struct input *messages = daemon->inputs + SETTLE_COUNT_MAX;
    size_t len = strlen(topic), prefix = len < sizeof(ending) ? 0 : len - (sizeof(ending) - 1);
    for (uint32_t i = 0; i < daemon->message_count; i++) {
        struct bytes from = messages[i].message.topic;
        if (daemon->owners[i] == source && from.len > prefix &&
            memcmp(from.ptr, topic, prefix) == 0 && from.ptr[prefix] == '/') {
            return true;
        }
    }
    return false;
}

static void publish_receipts(struct daemon *daemon, const struct outcome *outcome)
{
    uint32_t sources = 0;
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        sources += daemon->sources[i].read > 0;
    }
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        const struct source_slot *slot = &daemon->sources[i];
        for (uint32_t n = 0; slot->read > 0 && n < outcome->receipt_count; n++) {
            const struct receipt *receipt = &outcome->receipts[n];
            if (sources == 1 || has_device(daemon, i, receipt->topic)) {
                // A lost one costs a resend: receipts are cumulative.
                source_publish(slot->source, receipt->topic, receipt->payload, 0, false, NULL);
            }
        }
    }
}

// first: of the messages among the inputs. A lost one is made again by the node's next messages.
static void publish_requests(struct daemon *daemon, const struct outcome *outcome, uint32_t first)
{
    for (uint32_t i = 0; i < outcome->request_count; i++) {
        const struct request *request = &outcome->requests[i];
        uint32_t message = request->input - first;
        if (request->input >= first && message < daemon->message_count) {
            const struct source_slot *slot = &daemon->sources[daemon->owners[message]];
            source_publish(slot->source, request->topic, request->payload, 0, false, NULL);
            log_line_limited(LOG_INFO, "intake", "INTAKE-REBIRTH", LOG_INTERVAL_MS,
                             "source=%s topic=%s", slot->spec->name, request->topic);
        }
    }
}

static void acknowledge(struct daemon *daemon, const struct outcome *outcome)
{
    publish_receipts(daemon, outcome);
    status_mirror(daemon, outcome);
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        struct source_slot *slot = &daemon->sources[i];
        if (slot->read > 0) {
            source_acknowledge(slot->source);
        }
    }
    read_forget(daemon);
}

static void log_rejections(const struct outcome *outcome)
{
    if (outcome->rejected > 0) {
        log_line_limited(LOG_WARN, "intake", "INTAKE-REJECTED", LOG_INTERVAL_MS,
                         "count=%u err=\"%s\"", outcome->rejected,
                         outcome->rejection == NULL ? "a rule failed" : outcome->rejection);
    } else if (outcome->rejection != NULL) {
        log_line_limited(LOG_WARN, "rules", "RULE-FAILED", LOG_INTERVAL_MS, "err=\"%s\"",
                         outcome->rejection);
    }
}

// Dropped, but neither by an operator nor with a workflow's knowledge.
static uint64_t shed_of(const struct books *books)
{
    return books->dropped - books->dead_dropped - books->answered;
}

static void log_shed(const struct books *before, const struct books *now)
{
    uint64_t shed = shed_of(now), shed_before = shed_of(before);
    if (shed > shed_before) {
        log_line_limited(LOG_WARN, "deliver", "DELIVER-SHED", LOG_INTERVAL_MS,
                         "count=%llu dropped=%llu err=\"given up by the limit, sample or rate of a "
                         "route\"",
                         (unsigned long long)(shed - shed_before), (unsigned long long)shed);
    }
}

static void log_dead(const struct daemon *daemon, uint64_t count)
{
    const char *reason = "";
    for (uint32_t i = 0; i < daemon->settlement_count; i++) {
        const struct settlement *settlement = &settlements(daemon)[i].settlement;
        reason = settlement->reason != NULL ? settlement->reason : reason;
    }
    log_line_limited(LOG_WARN, "deliver", "DELIVER-DEAD", LOG_INTERVAL_MS, "count=%llu err=\"%s\"",
                     (unsigned long long)count, reason);
}

static void log_outcome(const struct daemon *daemon, const struct outcome *outcome,
                        const struct books *before)
{
    struct books books;
    core_books(daemon->core, &books);
    log_rejections(outcome);
    log_shed(before, &books);
    if (daemon->must_settle && books.dead > before->dead) {
        log_dead(daemon, books.dead - before->dead);
    }
}

static void settled(struct daemon *daemon)
{
    daemon->settlement_count = 0;
    daemon->has_reasons = daemon->must_settle = false;
}

// One transaction over the settlements and what follows them, count inputs together. What it could
// not do is for the caller.
static enum err step(struct daemon *daemon, uint32_t count, struct outcome *out_outcome,
                     struct error *e)
{
    struct books before;
    core_books(daemon->core, &before);
    int64_t wall_ms = clock_wall_ms();
    enum err rc = core_step(daemon->core, settlements(daemon), count, wall_ms, out_outcome, e);
    if (rc == ERR_OK) {
        daemon->stepped_wall_ms = wall_ms;
        log_outcome(daemon, out_outcome, &before);
        settled(daemon);
    }
    return rc;
}

static bool is_passing(enum err rc)
{
    return rc == ERR_FULL || rc == ERR_NO_MEMORY;
}

// What is left to do when the transaction could not be made; retry_at: when it is tried again.
static void fail(struct daemon *daemon, enum err rc, int64_t *out_retry_at_ms,
                 const struct error *e)
{
    if (!is_passing(rc)) {
        daemon_seal(daemon, rc, e->text);
        return;
    }
    *out_retry_at_ms = daemon->now_ms + ROOM_CHECK_MS;
    log_line_limited(LOG_ERROR, "store", "STORE-FULL", LOG_FULL_INTERVAL_MS, "err=\"%s\"", e->text);
}

// Without messages: nothing has to leave before what workflows did is told.
static enum err step_and_tell(struct daemon *daemon, uint32_t count, struct outcome *out_outcome,
                              struct error *e)
{
    enum err rc = step(daemon, count, out_outcome, e);
    if (rc == ERR_OK) {
        status_transitions(daemon, out_outcome);
    }
    return rc;
}

static void step_settlements(struct daemon *daemon)
{
    struct error e = {0};
    struct outcome outcome = {0};
    enum err rc = step_and_tell(daemon, daemon->settlement_count, &outcome, &e);
    if (rc != ERR_OK) {
        fail(daemon, rc, &daemon->retry_at_ms, &e);
    }
}

// What there was no room for together may fit in parts.
static void batch_shrink(struct daemon *daemon)
{
    uint32_t half = daemon->message_count / 2;
    daemon->batch_limit = half > BATCH_LIMIT_MIN ? half : BATCH_LIMIT_MIN;
}

static void batch_grow(struct daemon *daemon)
{
    uint32_t max = (uint32_t)option_int(daemon->config->hub, "batch_events");
    daemon->batch_limit = daemon->batch_limit < max / 2 ? daemon->batch_limit * 2 : max;
}

static void step_messages(struct daemon *daemon)
{
    struct error e = {0};
    struct outcome outcome = {0};
    uint32_t settlement_count = daemon->settlement_count;
    enum err rc = step(daemon, settlement_count + daemon->message_count, &outcome, &e);
    if (rc == ERR_OK) {
        batch_grow(daemon);
        workers_feed(daemon); // First, so that targets and acknowledgements go out side by side.
        publish_requests(daemon, &outcome, settlement_count);
        acknowledge(daemon, &outcome);
        status_transitions(daemon, &outcome);
    } else if (is_passing(rc)) {
        batch_shrink(daemon);
        daemon_fill(daemon, e.text);
    } else {
        fail(daemon, rc, &daemon->retry_at_ms, &e);
    }
}

void batch_flush(struct daemon *daemon)
{
    if (daemon->core != NULL && daemon->message_count > 0) {
        step_messages(daemon);
    }
}

// Nothing is wrong with the store.
static bool is_refusal(enum err rc)
{
    return rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_FULL;
}

enum err batch_operate(struct daemon *daemon, const struct operation *operation,
                       struct outcome *out_outcome, struct error *e)
{
    *out_outcome = (struct outcome){0};
    batch_flush(daemon); // Messages would stand where the operation goes.
    if (daemon->core == NULL) {
        return error_set(e, ERR_UNAVAILABLE, "the store failed: %s", daemon->reason);
    }
    struct input *input = &daemon->inputs[SETTLE_COUNT_MAX];
    input->kind = INPUT_OPERATION;
    input->operation = *operation;
    enum err rc = step_and_tell(daemon, daemon->settlement_count + 1, out_outcome, e);
    if (rc != ERR_OK && !is_refusal(rc)) {
        struct error why = *e;
        fail(daemon, rc, &daemon->retry_at_ms, &why);
    }
    return rc;
}

// Nothing that waits in the outbox is held up by them, and messages may come any moment.
static bool may_wait(const struct daemon *daemon)
{
    struct books books;
    core_books(daemon->core, &books);
    return !daemon->must_settle && daemon->settlement_count < SETTLE_DEFER_COUNT &&
           daemon->now_ms < daemon->settle_at_ms && daemon->state == DAEMON_RUNNING &&
           books.waiting <= daemon->settlement_count + workers_in_flight(daemon);
}

int64_t batch_timer_due_ms(const struct daemon *daemon)
{
    if (daemon->core == NULL || daemon->message_count > 0) { // Messages take the timers along.
        return INT64_MAX;
    }
    int64_t wall_ms = clock_wall_ms(), due_ms = core_next_timer_ms(daemon->core);
    if (wall_ms + CLOCK_SLACK_MS < daemon->stepped_wall_ms) { // Nothing waits for the old time.
        due_ms = wall_ms;
    }
    if (due_ms == INT64_MAX) {
        return INT64_MAX;
    }
    int64_t at_ms = due_ms > wall_ms ? daemon->now_ms + (due_ms - wall_ms) : daemon->now_ms;
    return at_ms > daemon->tick_at_ms ? at_ms : daemon->tick_at_ms;
}

// Time has passed: what the core waited for is due. Where there is no room for it the settlements
// that it would have taken along go without.
static void step_timers(struct daemon *daemon)
{
    struct error e = {0};
    struct outcome outcome = {0};
    daemon->inputs[SETTLE_COUNT_MAX].kind = INPUT_TICK; // No message stands there.
    enum err rc = step_and_tell(daemon, daemon->settlement_count + 1, &outcome, &e);
    if (rc != ERR_OK) {
        fail(daemon, rc, &daemon->tick_at_ms, &e);
    }
    if (is_passing(rc) && daemon->settlement_count > 0 && daemon->now_ms >= daemon->retry_at_ms) {
        step_settlements(daemon);
    }
}

void batch_run(struct daemon *daemon)
{
    if (daemon->core == NULL) {
        return;
    }
    collect_all(daemon);
    if (read_messages(daemon) == READ_COMPLETE || daemon->must_settle) {
        batch_flush(daemon);
    }
    // Also those that a batch of messages could not take along.
    if (daemon->core != NULL && daemon->settlement_count > 0 && daemon->message_count == 0 &&
        daemon->now_ms >= daemon->retry_at_ms && !may_wait(daemon)) {
        step_settlements(daemon);
    }
    if (batch_timer_due_ms(daemon) <= daemon->now_ms) {
        step_timers(daemon);
    }
}

void batch_drop(struct daemon *daemon)
{
    daemon->settlement_count = 0;
    daemon->has_reasons = daemon->must_settle = daemon->must_collect = false;
    read_forget(daemon);
}

void batch_collect_stopped(struct daemon *daemon, struct worker_slot *slot)
{
    struct error e = {0};
    struct outcome outcome = {0};
    enum err rc = ERR_OK;
    batch_flush(daemon);
    do {
        daemon->must_collect = false;
        collect_worker(daemon, slot);
        rc = daemon->settlement_count == 0 || daemon->core == NULL
                 ? ERR_OK
                 : step_and_tell(daemon, daemon->settlement_count, &outcome, &e);
    } while (rc == ERR_OK && daemon->must_collect);
    if (rc != ERR_OK) { // Opening the store again forgets what was in flight.
        daemon_seal(daemon, rc, e.text);
    }
}
