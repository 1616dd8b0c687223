#include "trial/trial.h"

#include <stdlib.h>

#include "base/arena.h"
#include "store/store_view.h"
#include "trial/trial_parts.h"

#define TAKE_COUNT       64
#define TAKE_BYTES       1000000
#define IDLE_ROUNDS_MAX  1000                 // Of a clock that timers do not let go on.
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
static struct core_spec trial_spec(const struct config *config)
{
    struct core_spec spec = config->core;
    spec.store_limit_bytes = STORE_LIMIT;
    spec.quarantine_limit_bytes = QUARANTINE_LIMIT;
    spec.disk_reserve_bytes = 0;
    spec.is_mirror_on = false;
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
    trial->inputs = calloc(TRIAL_BATCH_MAX, sizeof(trial->inputs[0]));
    enum err rc = ERR_OK;
    if (trial->inputs == NULL || !handout_init(&trial->given) || !handout_init(&trial->pending)) {
        rc = no_memory(e);
    }
    rc = rc == ERR_OK ? config_read_rows(options->config, NULL, NULL, e) : rc;
    trial->spec = trial_spec(options->config);
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
    free(trial->inputs);
    free(trial);
}

// The target has taken them.
static enum err settle(struct trial *trial, const struct delivery *const *deliveries,
                       uint32_t count, struct error *e)
{
    struct input inputs[TAKE_COUNT];
    struct outcome outcome;
    for (uint32_t i = 0; i < count; i++) {
        inputs[i] = (struct input){
            .kind = INPUT_SETTLEMENT,
            .settlement = {.delivery_id = deliveries[i]->id, .verdict = VERDICT_DONE}};
    }
    return core_step(trial->core, inputs, count, trial->now_ms, &outcome, e);
}

// Everything that a target can have now: a key's next delivery comes when the one before is done.
static enum err collect_from(struct trial *trial, uint32_t target, struct error *e)
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
            rc = settle(trial, taken, count, e);
        }
    }
    return rc;
}

static enum err collect(struct trial *trial, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < trial->spec.target_count; i++) {
        rc = collect_from(trial, i, e);
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
    *out_is_over = next_ms == INT64_MAX || next_ms > until_ms;
    if (*out_is_over) {
        return ERR_OK;
    }
    trial->now_ms = next_ms > trial->now_ms ? next_ms : trial->now_ms;
    enum err rc = timer_ms <= trial->now_ms ? tick(trial, e) : ERR_OK;
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
    enum err rc = collect(trial, e);
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

struct core *trial_core(struct trial *trial)
{
    return trial->core;
}
