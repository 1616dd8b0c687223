// replay_events.h - a stretch of the history goes through a trial, at the times at which it was
// received.
//
// Threads:   one.
//
// Ownership: borrows everything for the call.
//
// Failure:   of the store's, the trial's and the callback's kind.
#ifndef PIPIT_CLI_REPLAY_EVENTS_H
#define PIPIT_CLI_REPLAY_EVENTS_H

#include "store/store_view.h"
#include "trial/trial.h"

struct replay_stretch {
    struct view_history_filter filter;
    const char *topic; // Filter; NULL: any.
};

struct replay_tally {
    uint64_t events, deliveries, rejected;
};

// Each delivery that would be made, in order.
typedef enum err replay_delivery_fn(void *context, const struct delivery *delivery,
                                    const char *target, struct error *e);

struct replay_run {
    const struct config *config;
    const char *rule;
    const char *id_prefix; // What ids of events and windows are to begin with; "": nothing.
    replay_delivery_fn *each;
    trial_rejection_fn *rejected;
    void *context;
};

// Windows that are open at the end are closed. *out_matched: as the rule counts.
enum err replay_events(struct store_view *view, const struct replay_stretch *stretch,
                       const struct replay_run *run, struct replay_tally *out_tally,
                       struct error *e);

#endif
