#include "trial/trial.h"

#include <stdlib.h>

#include "base/arena.h"
#include "store/store_view.h"
#include "trial/trial_held.h"
#include "trial/trial_parts.h"

#define TAKE_COUNT       64
#define TAKE_BYTES       1000000
#define IDLE_ROUNDS_MAX  20000                // Of a clock that timers do not let go on.
#define STORE_LIMIT      (1024 * 1024 * 1024) // Of the store in memory.
#define QUARANTINE_LIMIT (16 * 1024 * 1024)

// Deliveries that have gone out: the ones that are given and the ones for the next trial_take.
struct handout {
    struct arena *arena;
    struct trial_delivery *deliveries;
    uint32_t count, capacity;
};

struct trial {
    const struct config *config;
    struct core_spec spec;
    struct playback playback; // For a trial of one rule.
    struct store *store;
    struct core *core;
    struct handout given, pending;
    struct input *inputs; // TRIAL_BATCH_MAX of them.
    int64_t now_ms;
    bool is_forgetful;
    uint64_t last_rejection;
    struct trial_held *held; // Answers that are on their way.
    trial_answer_fn *answer; // NULL: everything is taken at once.
    void *context;
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for the trial");
}

static bool handout_init(struct handout *handout)
{
    *handout = (struct handout){.arena = arena_create()};
    return handout->arena != NULL;
}

static void handout_deinit(struct handout *handout)
{
    arena_destroy(handout->arena);
    free(handout->deliveries);
    *handout = (struct handout){0};
}

static struct bytes copy_bytes(struct arena *arena, struct bytes bytes)
{
    const char *copy = arena_text(arena, bytes.len == 0 ? "" : (const char *)bytes.ptr, bytes.len);
    return bytes_of(copy, copy == NULL ? 0 : bytes.len);
}

static const char *copy_text(struct arena *arena, const char *text)
{
    return (const char *)copy_bytes(arena, bytes_from_text(text)).ptr;
}

static enum err handout_add(struct handout *handout, const struct delivery *delivery,
                            uint32_t target, int64_t at_ms, struct error *e)
{
    if (handout->count == handout->capacity) {
        uint32_t capacity = handout->capacity == 0 ? 64 : handout->capacity * 2;
        struct trial_delivery *more =
            reallocarray(handout->deliveries, capacity, sizeof(handout->deliveries[0]));
        if (more == NULL) {
            return no_memory(e);
        }
        handout->deliveries = more;
        handout->capacity = capacity;
    }
    struct trial_delivery copy = {target, at_ms, *delivery};
    copy.delivery.idempotency_key = copy_text(handout->arena, delivery->idempotency_key);
    copy.delivery.rule = copy_text(handout->arena, delivery->rule);
    copy.delivery.content_type = copy_text(handout->arena, delivery->content_type);
    copy.delivery.key = copy_bytes(handout->arena, delivery->key);
    copy.delivery.topic = copy_bytes(handout->arena, delivery->topic);
    copy.delivery.payload = copy_bytes(handout->arena, delivery->payload);
    copy.delivery.properties = copy_bytes(handout->arena, delivery->properties);
    handout->deliveries[handout->count++] = copy;
    return arena_is_exhausted(handout->arena) ? no_memory(e) : ERR_OK;
}

// What does not fit a trial: bounds of a disk, and what would be kept for later.
static struct core_spec trial_spec(const struct config *config, bool has_workflows)
{
    struct core_spec spec = config->core;
    spec.workflow_count = has_workflows ? spec.workflow_count : 0;
    spec.store_limit_bytes = STORE_LIMIT;
    spec.quarantine_limit_bytes = QUARANTINE_LIMIT;
    spec.disk_reserve_bytes = 0;
    spec.is_mirror_on = spec.is_telling_workflows = false;
    spec.history = (struct history_spec){0};
    return spec;
}

static enum err trial_open(struct trial *trial, const struct trial_options *options,
                           struct error *e)
{
    const struct store_options store = {.path = ":memory:"};
    enum err rc = store_open(&trial->store, &store, e);
    if (rc == ERR_OK) {
        store_set_now(trial->store, options->now_ms);
    }
    if (rc == ERR_OK && options->births != NULL) {
        rc = store_view_copy_births(options->births, trial->store, e);
    }
    if (rc == ERR_OK) {
        rc = core_open(&trial->core, trial->store, &trial->spec, e);
    }
    return rc;
}

enum err trial_create(struct trial **out_trial, const struct trial_options *options,
                      struct error *e)
{
    struct trial *trial = calloc(1, sizeof(*trial));
    if (trial == NULL) {
        return no_memory(e);
    }
    trial->config = options->config;
    trial->playback.rule = options->rule;
    trial->now_ms = options->now_ms;
    trial->is_forgetful = options->is_forgetful;
    trial->answer = options->answer;
    trial->context = options->context;
    trial->held = trial_held_create();
    trial->inputs = calloc(TRIAL_BATCH_MAX, sizeof(trial->inputs[0]));
    enum err rc = ERR_OK;
    if (trial->inputs == NULL || trial->held == NULL || !handout_init(&trial->given) ||
        !handout_init(&trial->pending)) {
        rc = no_memory(e);
    }
    rc = rc == ERR_OK ? config_read_rows(options->config, NULL, NULL, e) : rc;
    trial->spec = trial_spec(options->config, options->has_workflows);
    trial->spec.id_prefix = options->id_prefix;
    rc = rc == ERR_OK ? trial_open(trial, options, e) : rc;
    if (rc != ERR_OK) {
        trial_destroy(trial);
        return rc;
    }
    *out_trial = trial;
    return ERR_OK;
}

void trial_destroy(struct trial *trial)
{
    if (trial == NULL) {
        return;
    }
    core_close(trial->core);
    store_close(trial->store);
    handout_deinit(&trial->given);
    handout_deinit(&trial->pending);
    trial_held_destroy(trial->held);
    free(trial->inputs);
    free(trial);
}

// What each of them comes to; what comes later is held.
static enum err ask(struct trial *trial, const struct delivery *delivery, uint32_t target,
                    struct settlement *out_settlement, bool *out_is_now, struct error *e)
{
    const struct trial_delivery got = {target, trial->now_ms, *delivery};
    struct trial_answer answer = {.verdict = VERDICT_DONE};
    enum err rc = trial->answer == NULL ? ERR_OK : trial->answer(trial->context, &got, &answer, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_settlement = (struct settlement){.delivery_id = delivery->id,
                                          .verdict = answer.verdict,
                                          .reason = answer.reason,
                                          .reply = answer.reply,
                                          .retry_after_ms = answer.retry_after_ms};
    *out_is_now = answer.after_ms == 0 && answer.reply == NULL && answer.reason == NULL;
    if (!*out_is_now) {
        rc = trial_held_add_settlement(trial->held, trial->now_ms + answer.after_ms, out_settlement,
                                       e);
    }
    if (rc == ERR_OK && answer.message != NULL) {
        rc = trial_held_add_message(trial->held, trial->now_ms + answer.message_after_ms,
                                    answer.message, e);
    }
    return rc;
}

static enum err settle(struct trial *trial, const struct delivery *const *deliveries,
                       uint32_t count, uint32_t target, struct error *e)
{
    struct input inputs[TAKE_COUNT];
    struct outcome outcome;
    uint32_t input_count = 0;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        bool is_now = false;
        struct input *input = &inputs[input_count];
        *input = (struct input){.kind = INPUT_SETTLEMENT};
        rc = ask(trial, deliveries[i], target, &input->settlement, &is_now, e);
        input_count += is_now;
    }
    if (rc == ERR_OK && input_count > 0) {
        rc = core_step(trial->core, inputs, input_count, trial->now_ms, &outcome, e);
    }
    return rc;
}

// Everything that a target can have now: a key's next delivery comes when the one before is done.
static enum err collect_from(struct trial *trial, uint32_t target, bool *inout_any, struct error *e)
{
    const struct delivery *taken[TAKE_COUNT];
    enum err rc = ERR_OK;
    uint32_t count = TAKE_COUNT;
    while (rc == ERR_OK && count > 0) {
        count = core_take(trial->core, target, TAKE_COUNT, TAKE_BYTES, trial->now_ms, taken);
        for (uint32_t i = 0; rc == ERR_OK && !trial->is_forgetful && i < count; i++) {
            rc = handout_add(&trial->pending, taken[i], target, trial->now_ms, e);
        }
        if (rc == ERR_OK && count > 0) {
            *inout_any = true;
            rc = settle(trial, taken, count, target, e);
        }
    }
    return rc;
}

static enum err collect(struct trial *trial, struct error *e)
{
    enum err rc = ERR_OK;
    bool any = true; // An answer may make a delivery for another target.
    while (rc == ERR_OK && any) {
        any = false;
        for (uint32_t i = 0; rc == ERR_OK && i < trial->spec.target_count; i++) {
            rc = collect_from(trial, i, &any, e);
        }
    }
    return rc;
}

// Answers whose time has come, one after the other: each may change what the next one means.
static enum err release(struct trial *trial, struct error *e)
{
    enum err rc = ERR_OK;
    uint32_t count = trial_held_due(trial->held, trial->now_ms);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        struct input input;
        struct outcome outcome;
        trial_held_first(trial->held, &input);
        if (input.kind == INPUT_MESSAGE) {
            input.message.received_ms = trial->now_ms;
        }
        rc = core_step(trial->core, &input, 1, trial->now_ms, &outcome, e);
        trial_held_drop(trial->held);
    }
    return rc;
}

static enum err tick(struct trial *trial, struct error *e)
{
    const struct input input = {.kind = INPUT_TICK};
    struct outcome outcome;
    return core_step(trial->core, &input, 1, trial->now_ms, &outcome, e);
}

// Lets happen what is due next, if it is by until_ms.
static enum err happen(struct trial *trial, int64_t until_ms, bool *out_is_over, struct error *e)
{
    int64_t timer_ms = core_next_timer_ms(trial->core), due_ms = core_next_due_ms(trial->core);
    int64_t next_ms = timer_ms < due_ms ? timer_ms : due_ms;
    int64_t held_ms = trial_held_next_ms(trial->held);
    next_ms = held_ms < next_ms ? held_ms : next_ms;
    *out_is_over = next_ms == INT64_MAX || next_ms > until_ms;
    if (*out_is_over) {
        return ERR_OK;
    }
    trial->now_ms = next_ms > trial->now_ms ? next_ms : trial->now_ms;
    enum err rc = release(trial, e);
    rc = rc == ERR_OK && timer_ms <= trial->now_ms ? tick(trial, e) : rc;
    return rc == ERR_OK ? collect(trial, e) : rc;
}

// Everything that is due by until_ms.
static enum err happen_until(struct trial *trial, int64_t until_ms, struct error *e)
{
    enum err rc = collect(trial, e);
    bool is_over = false;
    uint32_t idle = 0;
    for (uint32_t i = 0; rc == ERR_OK && !is_over; i++) {
        int64_t before_ms = trial->now_ms;
        rc = happen(trial, until_ms, &is_over, e);
        idle = trial->now_ms > before_ms ? 0 : idle + 1;
        if (rc == ERR_OK && !is_over && (idle > IDLE_ROUNDS_MAX || i == TRIAL_TIMERS_MAX)) {
            return error_set(e, ERR_FULL, "more than %d timers fire until then", (int)i);
        }
    }
    return rc;
}

enum err trial_advance(struct trial *trial, int64_t now_ms, struct error *e)
{
    enum err rc = ERR_OK;
    if (now_ms > trial->now_ms) {
        rc = happen_until(trial, now_ms, e);
    }
    trial->now_ms = rc == ERR_OK ? now_ms : trial->now_ms;
    return rc;
}

enum err trial_close_windows(struct trial *trial, struct error *e)
{
    return happen_until(trial, INT64_MAX - 1, e);
}

enum err trial_step(struct trial *trial, const struct message *messages, uint32_t count,
                    int64_t now_ms, struct error *e)
{
    if (count > TRIAL_BATCH_MAX) {
        return error_set(e, ERR_FULL, "%u messages are more than %d at once", count,
                         TRIAL_BATCH_MAX);
    }
    enum err rc = trial_advance(trial, now_ms, e);
    if (rc == ERR_OK && trial->spec.workflow_count > 0) {
        rc = happen_until(trial, now_ms, e);
    }
    for (uint32_t i = 0; i < count; i++) {
        trial->inputs[i] = (struct input){.kind = INPUT_MESSAGE, .message = messages[i]};
        if (messages[i].playback == NULL && trial->playback.rule != NULL) {
            trial->inputs[i].message.playback = &trial->playback;
        }
    }
    struct outcome outcome;
    rc = rc == ERR_OK ? core_step(trial->core, trial->inputs, count, now_ms, &outcome, e) : rc;
    if (rc == ERR_FULL) { // A route that holds: its target takes what waits.
        rc = collect(trial, e);
        rc = rc == ERR_OK ? core_step(trial->core, trial->inputs, count, now_ms, &outcome, e) : rc;
    }
    return rc;
}

int64_t trial_now_ms(const struct trial *trial)
{
    return trial->now_ms;
}

enum err trial_take(struct trial *trial, const struct trial_delivery **out_deliveries,
                    uint32_t *out_count, struct error *e)
{
    enum err rc = happen_until(trial, trial->now_ms, e);
    struct handout next;
    if (rc != ERR_OK || !handout_init(&next)) {
        return rc == ERR_OK ? no_memory(e) : rc;
    }
    handout_deinit(&trial->given);
    trial->given = trial->pending;
    trial->pending = next;
    *out_deliveries = trial->given.deliveries;
    *out_count = trial->given.count;
    return ERR_OK;
}

enum err trial_rejections(struct trial *trial, trial_rejection_fn *each, void *context,
                          struct error *e)
{
    return rejections_read(trial->store, &trial->last_rejection, each, context, e);
}

enum err trial_operate(struct trial *trial, const struct operation *operation, struct error *e)
{
    const struct input input = {.kind = INPUT_OPERATION, .operation = *operation};
    struct outcome outcome;
    enum err rc = happen_until(trial, trial->now_ms, e);
    return rc == ERR_OK ? core_step(trial->core, &input, 1, trial->now_ms, &outcome, e) : rc;
}

struct core *trial_core(struct trial *trial)
{
    return trial->core;
}

struct store *trial_store(struct trial *trial)
{
    return trial->store;
}
