// trial.h - the rules of a configuration on a store in memory, with a clock that the caller moves:
// what `pipit test`, `explain`, `bench-rule` and every dry run use. It is the hub's own core.
//
// Threads:   one at a time.
//
// Ownership: borrows the configuration; deliveries are the trial's until the next call.
//
// Failure:   ERR_CONFIG as config_check; the rest as core_step.
#ifndef PIPIT_TRIAL_TRIAL_H
#define PIPIT_TRIAL_TRIAL_H

#include "config/config.h"
#include "core/core.h"

struct trial;

struct trial_options {
    const struct config *config;
    const char *rule; // Only this one sees what comes, and what it feeds sees that; NULL: all.
    int64_t now_ms;   // The clock at the start.
};

// Reads the tables that come from files, too.
enum err trial_create(struct trial **out_trial, const struct trial_options *options,
                      struct error *e);
void trial_destroy(struct trial *trial); // NULL is fine.

// Steps the core with the messages, after every timer that is due before now_ms has fired at its
// own time. now_ms may be less than before: a clock that steps back.
enum err trial_step(struct trial *trial, const struct message *messages, uint32_t count,
                    int64_t now_ms, struct error *e);
// Time passes until now_ms: timers fire one after the other, each at its time.
enum err trial_advance(struct trial *trial, int64_t now_ms, struct error *e);
// So far that every window that is open now has been closed.
enum err trial_close_windows(struct trial *trial, struct error *e);

struct trial_delivery {
    const char *target; // Its name.
    const struct delivery *delivery;
};

// Everything that is due, in the order in which it was enqueued; settled as delivered with the next
// call of any function here.
enum err trial_take(struct trial *trial, const struct trial_delivery **out_deliveries,
                    uint32_t *out_count, struct error *e);

// What was rejected since the last call, newest reason of each: each(context, topic, reason).
typedef void trial_rejection_fn(void *context, struct bytes topic, const char *rule,
                                const char *reason);
enum err trial_rejections(struct trial *trial, trial_rejection_fn *each, void *context,
                          struct error *e);

struct core *trial_core(struct trial *trial); // For its books and counters.

#endif
