// core_world.h - a core over a store in memory, for fuzz targets that give it messages: the step
// succeeds whatever they are, and the books balance.
// Threads: one. Ownership: the process's. Failure: asserts.
#ifndef PIPIT_TESTS_CORE_WORLD_H
#define PIPIT_TESTS_CORE_WORLD_H

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/core.h"
#include "store/store.h"

#define WORLD_TAKE_MAX 256

struct core_world {
    struct store *store;
    struct core *core;
    const struct core_spec *spec;
    int64_t now_ms;
};

static inline void world_check(enum err rc, const struct error *e)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e->text);
    }
    assert(rc == ERR_OK);
}

static inline void world_open(struct core_world *world)
{
    struct store_options options = {.path = ":memory:"};
    struct error e = {0};
    if (world->store == NULL) {
        world_check(store_open(&world->store, &options, &e), &e);
    }
    world_check(core_open(&world->core, world->store, world->spec, &e), &e);
}

// What was in memory only is gone then.
static inline void world_reopen(struct core_world *world)
{
    core_close(world->core);
    world_open(world);
}

static inline void world_check_books(const struct core_world *world)
{
    struct books b;
    core_books(world->core, &b);
    assert(b.received == b.routed + b.filtered + b.duplicate + b.rejected);
    assert(b.enqueued == b.delivered + b.waiting + b.dead + b.dropped);
}

static inline void world_settle(struct core_world *world)
{
    const struct delivery *taken[WORLD_TAKE_MAX];
    struct input inputs[WORLD_TAKE_MAX];
    struct outcome outcome;
    struct error e = {0};
    uint32_t count = core_take(world->core, 0, WORLD_TAKE_MAX, 1 << 24, world->now_ms, taken);
    for (uint32_t i = 0; i < count; i++) {
        inputs[i] = (struct input){.kind = INPUT_SETTLEMENT};
        inputs[i].settlement =
            (struct settlement){.delivery_id = taken[i]->id, .verdict = VERDICT_DONE};
    }
    if (count > 0) {
        world_check(core_step(world->core, inputs, count, world->now_ms, &outcome, &e), &e);
    }
}

static inline void world_give(struct core_world *world, const struct message *message,
                              struct outcome *out_outcome)
{
    const struct input input = {.kind = INPUT_MESSAGE, .message = *message};
    struct error e = {0};
    world->now_ms += 1000;
    world_check(core_step(world->core, &input, 1, world->now_ms, out_outcome, &e), &e);
    world_check_books(world);
}

#endif
