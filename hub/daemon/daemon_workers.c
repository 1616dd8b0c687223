#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon_parts.h"

// Jitter need not be hard to guess, only different from target to target and hub to hub.
static uint32_t seed_of(const char *hub_id, const char *name)
{
    uint32_t hash = 2166136261U; // FNV-1a.
    for (const char *text = hub_id; text != NULL; text = text == hub_id ? name : NULL) {
        for (const char *c = text; *c != '\0'; c++) {
            hash = (hash ^ (uint8_t)*c) * 16777619U;
        }
    }
    return hash ^ (uint32_t)clock_wall_ms();
}

static enum err slot_open(struct daemon *daemon, struct worker_slot *slot, struct error *e)
{
    const char *hub_id = option_text(slot->config->hub, "id");
    struct worker_options options = {
        .hub_id = hub_id,
        .name = slot->spec->name,
        .type = slot->spec->type,
        .options = slot->spec->options,
        .backoff_min_ms = slot->core_spec->backoff_min_ms,
        .backoff_max_ms = slot->core_spec->backoff_max_ms,
        .bell_fd = daemon->bell_fd,
        .seed = seed_of(hub_id, slot->spec->name),
    };
    slot->in_flight = 0;
    enum err rc = worker_create(&slot->worker, &options, e);
    if (rc != ERR_OK) {
        slot->worker = NULL;
        daemon->ensure_at_ms = daemon->now_ms + ENSURE_MS;
    }
    return rc;
}

static struct worker_slot *slots_make(const struct config *config, struct error *e)
{
    struct worker_slot *slots = calloc(config->target_count + 1, sizeof(slots[0]));
    if (slots == NULL) {
        error_set(e, ERR_NO_MEMORY, "out of memory for %u targets", config->target_count);
        return NULL;
    }
    for (uint32_t i = 0; i < config->target_count; i++) {
        slots[i].spec = &config->targets[i];
        slots[i].core_spec = &config->core.targets[i];
        slots[i].config = config;
    }
    return slots;
}

enum err workers_create(struct daemon *daemon, struct error *e)
{
    daemon->workers = slots_make(daemon->config, e);
    if (daemon->workers == NULL) {
        return ERR_NO_MEMORY;
    }
    daemon->worker_count = daemon->config->target_count;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < daemon->worker_count; i++) {
        rc = slot_open(daemon, &daemon->workers[i], e);
    }
    return rc;
}

void workers_close(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        worker_destroy(daemon->workers[i].worker);
        daemon->workers[i].worker = NULL;
        daemon->workers[i].in_flight = 0;
    }
}

void workers_destroy(struct daemon *daemon)
{
    workers_close(daemon);
    free(daemon->workers);
    daemon->workers = NULL;
    daemon->worker_count = 0;
}

static void slot_finish(struct daemon *daemon, struct worker_slot *slot)
{
    if (slot->worker == NULL) {
        return;
    }
    worker_stop(slot->worker);
    batch_collect_stopped(daemon, slot);
    worker_destroy(slot->worker); // NULL when the store failed meanwhile.
    slot->worker = NULL;
}

void workers_finish(struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        slot_finish(daemon, &daemon->workers[i]);
    }
}

void workers_ensure(struct daemon *daemon)
{
    for (uint32_t i = 0; daemon->core != NULL && i < daemon->worker_count; i++) {
        struct error e = {0};
        if (daemon->workers[i].worker == NULL &&
            slot_open(daemon, &daemon->workers[i], &e) != ERR_OK) {
            log_line(LOG_ERROR, "deliver", "DELIVER-FAILED", "retry_in_ms=%d err=\"%s\"", ENSURE_MS,
                     e.text);
        }
    }
}

static void feed_worker(struct daemon *daemon, uint32_t index, int64_t wall_ms)
{
    const struct delivery *taken[TAKE_COUNT_MAX];
    struct worker_slot *slot = &daemon->workers[index];
    uint32_t room = slot->worker == NULL ? 0 : worker_room(slot->worker);
    room = room < TAKE_COUNT_MAX ? room : TAKE_COUNT_MAX;
    if (room == 0) {
        return;
    }
    uint32_t count = core_take(daemon->core, index, room, TAKE_BYTES_MAX, wall_ms, taken);
    if (count > 0) {
        worker_offer(slot->worker, taken, count);
        slot->in_flight += count;
    }
}

// Nothing can be had while all that waits is in flight already.
void workers_feed(struct daemon *daemon)
{
    struct books books;
    if (daemon->core == NULL) {
        return;
    }
    core_books(daemon->core, &books);
    daemon->fed_wall_ms = clock_wall_ms();
    if (books.waiting <= workers_in_flight(daemon) + daemon->settlement_count) {
        return;
    }
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        feed_worker(daemon, i, daemon->fed_wall_ms);
    }
}

uint32_t workers_in_flight(const struct daemon *daemon)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        count += daemon->workers[i].in_flight;
    }
    return count;
}

bool workers_any_up(const struct daemon *daemon)
{
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        struct worker_state state = {0};
        if (daemon->workers[i].worker != NULL) {
            worker_state(daemon->workers[i].worker, &state);
        }
        if (state.is_up) {
            return true;
        }
    }
    return false;
}

static struct worker_slot *slot_named(struct daemon *daemon, const char *name)
{
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        if (strcmp(daemon->workers[i].spec->name, name) == 0) {
            return &daemon->workers[i];
        }
    }
    return NULL;
}

static bool is_same(const struct worker_slot *a, const struct worker_slot *b)
{
    return a->spec->type == b->spec->type && options_equal(a->spec->options, b->spec->options) &&
           a->core_spec->backoff_min_ms == b->core_spec->backoff_min_ms &&
           a->core_spec->backoff_max_ms == b->core_spec->backoff_max_ms;
}

struct worker_slot *workers_plan(struct daemon *daemon, const struct config *config,
                                 struct reload_changes *changes, struct error *e)
{
    struct worker_slot *slots = slots_make(config, e);
    for (uint32_t i = 0; slots != NULL && i < config->target_count; i++) {
        struct worker_slot *old = slot_named(daemon, slots[i].spec->name);
        bool is_kept = old != NULL && old->worker != NULL && is_same(old, &slots[i]);
        changes->added += old == NULL;
        changes->kept += is_kept;
        changes->changed += old != NULL && !is_kept;
        if (is_kept) {
            old->is_moving = true;
        }
    }
    changes->removed = daemon->worker_count - changes->kept - changes->changed;
    for (uint32_t i = 0; slots != NULL && i < daemon->worker_count; i++) {
        if (!daemon->workers[i].is_moving) {
            slot_finish(daemon, &daemon->workers[i]); // Its deliveries wait in the outbox again.
        }
    }
    return slots;
}

void workers_adopt(struct daemon *daemon, const struct config *config,
                   struct worker_slot *take_slots)
{
    for (uint32_t i = 0; i < config->target_count; i++) {
        struct worker_slot *old = slot_named(daemon, take_slots[i].spec->name);
        if (old != NULL && old->is_moving) {
            old->is_moving = false;
            take_slots[i] = *old; // It borrows from the configuration that it was made of.
            old->worker = NULL;
        }
    }
    workers_destroy(daemon);
    daemon->workers = take_slots;
    daemon->worker_count = config->target_count;
    workers_ensure(daemon);
}

void workers_keep(struct daemon *daemon, struct worker_slot *take_slots)
{
    free(take_slots);
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        daemon->workers[i].is_moving = false;
    }
    workers_ensure(daemon);
}
