// worker.h - one thread for one target: opens its connector, sends batches, answers with verdicts.
// Threads:   create/destroy/offer/collect on the hub thread; the connector runs on the worker's
// own. Ownership: deliveries are borrowed from the core until collected. Failure:   a target that
// is down is retried by the worker itself, with exponential backoff and jitter.
#ifndef PIPIT_DELIVERY_WORKER_H
#define PIPIT_DELIVERY_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "connectors/connector.h"
#include "core/core.h"

struct worker;

struct worker_options {
    const char *hub_id, *name;
    const struct connector_type *type;
    const struct options *options; // Must outlive the worker.
    int64_t backoff_min_ms, backoff_max_ms;
    int bell_fd;   // eventfd that is rung when there is something to collect.
    uint32_t seed; // For jitter.
};

enum err worker_create(struct worker **out_worker, const struct worker_options *options,
                       struct error *e);
void worker_destroy(
    struct worker *worker); // Stops the thread; what is in flight counts as not sent.

// How many deliveries it would take now; 0 while it is busy or its target is down.
uint32_t worker_room(const struct worker *worker);

// Gives it a batch; it must have room.
void worker_offer(struct worker *worker, const struct delivery *const *batch, uint32_t count);

// Copies finished verdicts out (reasons live until the next collect); returns how many.
uint32_t worker_collect(struct worker *worker, struct settlement *out_settlements, uint32_t max);

struct worker_state {
    bool is_up;
    uint32_t in_flight;
    int64_t down_since_ms; // Wall clock; 0 when up.
    char last_error[300];
};
void worker_state(const struct worker *worker, struct worker_state *out_state);

#endif
