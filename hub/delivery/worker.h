// worker.h - one thread for one target: opens its connector, sends batches, answers with verdicts.
//
// Threads:   create/destroy/stop/room/offer/collect on the hub thread; worker_state from any; the
// connector runs on the worker's own.
//
// Ownership: deliveries are borrowed from the core until collected.
//
// Failure:   a target that is down is connected to again by the worker itself, with exponential
// backoff and jitter; deliveries wait in the core meanwhile. A connection that breaks with several
// deliveries on their way gives them all back as NOT_SENT and goes on with one at a time until past
// the spot, so that only the one that breaks connections collects attempts.
#ifndef PIPIT_DELIVERY_WORKER_H
#define PIPIT_DELIVERY_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "connectors/connector.h"
#include "core/core.h"

struct worker;

struct worker_options {
    const char *hub_id, *name; // Must outlive the worker, as must options.
    const struct connector_type *type;
    const struct options *options;
    int64_t backoff_min_ms, backoff_max_ms;
    int bell_fd;   // eventfd, rung when there is something to collect or there is room again.
    uint32_t seed; // For jitter.
};

enum err worker_create(struct worker **out_worker, const struct worker_options *options,
                       struct error *e);

// Ends the thread; a send that is under way is given up, which takes no longer than a write to the
// disk or a name lookup. What is in flight can then be collected, unfinished ones as NOT_SENT.
void worker_stop(struct worker *worker);
void worker_destroy(struct worker *worker); // Stops, too. NULL is fine.

// How many deliveries it would take now; 0 while it is busy or its target is down.
uint32_t worker_room(const struct worker *worker);

// Gives it a batch; it must have room.
void worker_offer(struct worker *worker, const struct delivery *const *batch, uint32_t count);

// Copies finished verdicts out (reasons and replies live until the next collect); returns how many.
// Call it until it returns less than max.
uint32_t worker_collect(struct worker *worker, struct settlement *out_settlements, uint32_t max);

struct worker_state {
    bool is_up;
    uint32_t in_flight;    // Offered and not collected.
    int64_t down_since_ms; // Wall clock; 0 when up.
    char last_error[300];  // Empty: none yet.
};
void worker_state(const struct worker *worker, struct worker_state *out_state);

#endif
