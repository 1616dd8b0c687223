// rule_cost.h - what a rule costs an event, measured with everything in memory.
//
// Threads:   one at a time.
//
// Ownership: borrows everything for the call.
//
// Failure:   ERR_NOT_FOUND: there is no such rule; the trial's.
#ifndef PIPIT_TRIAL_RULE_COST_H
#define PIPIT_TRIAL_RULE_COST_H

#include "config/config.h"
#include "core/core.h"

struct rule_cost_options {
    const struct config *config;
    const char *rule;
    const struct message *messages; // The sample; repeated or cut to `events`.
    uint32_t message_count;
    uint64_t events; // Of a round.
    uint32_t rounds; // The median counts.
};

// Nanoseconds of processor time an event, each the median of its rounds.
struct rule_cost {
    double total_ns;
    double read_ns;      // Decode, identify, the books' commit: what is there without the rule.
    double rule_ns;      // Its statement, or its window.
    double outbox_ns;    // Render its deliveries and store them.
    double instructions; // Of SQLite's virtual machine, in the rule's statement, an event: exact.
    uint64_t events, sample, deliveries, rejected, late; // Of one round.
};

enum err rule_cost_measure(const struct rule_cost_options *options, struct rule_cost *out_cost,
                           struct error *e);

#endif
