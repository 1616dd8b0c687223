// trial.h - the rules of a configuration on a store in memory, with a clock that the caller moves:
// what `pipit test`, `explain`, `bench-rule` and every dry run use. It is the hub's own core.
//
// Threads:   one at a time.
//
// Ownership: borrows the configuration; deliveries are the trial's until the next trial_take.
//
// Failure:   ERR_CONFIG as config_check; the rest as core_step.
#ifndef PIPIT_TRIAL_TRIAL_H
#define PIPIT_TRIAL_TRIAL_H

#include "config/config.h"
#include "core/core.h"

struct store_view;
struct trial;

struct trial_delivery {
    uint32_t target; // Index in the configuration.
    int64_t at_ms;   // When it went out.
    struct delivery delivery;
};

// What comes of a delivery: the target's verdict after a while, and perhaps a message, such as a
// device's reply to a command.
struct trial_answer {
    enum verdict verdict;
    const char *reason;        // For RETRY and REJECT; NULL: none.
    const struct reply *reply; // What the target says; NULL: nothing.
    int64_t retry_after_ms;    // As in struct settlement.
    int64_t after_ms;
    const struct message *message; // NULL: none.
    int64_t message_after_ms;
};
// *inout_answer is done, at once; what it points to is copied.
typedef enum err trial_answer_fn(void *context, const struct trial_delivery *delivery,
                                 struct trial_answer *inout_answer, struct error *e);

struct trial_options {
    const struct config *config;
    const char *rule;      // Only this one sees what comes, and what it feeds sees that; NULL: all.
    const char *id_prefix; // See struct core_spec.
    int64_t now_ms;        // The clock at the start.
    struct store_view *births; // Sparkplug nodes are known as in this store; NULL: none is.
    bool is_forgetful;         // What goes out is counted, not kept: trial_take gives nothing.
    bool has_workflows;        // Those of the configuration run, too.
    trial_answer_fn *answer;   // NULL: targets take everything at once and say nothing.
    void *context;             // Of answer.
};

#define TRIAL_BATCH_MAX  20000   // Messages of one trial_step.
#define TRIAL_TIMERS_MAX 1000000 // Timers that one call lets fire.
#define TRIAL_HELD_MAX   20000   // Answers that are on their way at the same time.

// Reads the tables that come from files, too.
enum err trial_create(struct trial **out_trial, const struct trial_options *options,
                      struct error *e);
void trial_destroy(struct trial *trial); // NULL is fine.

// Steps the core with the messages, after everything that is due before now_ms has happened at its
// own time; where workflows run, also what is due at now_ms: what has been sent has been answered
// before the next event comes. now_ms may be less than before: a clock that steps back.
enum err trial_step(struct trial *trial, const struct message *messages, uint32_t count,
                    int64_t now_ms, struct error *e);
// Time passes until now_ms: timers fire and deliveries become due one after the other, each at its
// time.
enum err trial_advance(struct trial *trial, int64_t now_ms, struct error *e);
// So far that every window that is open now has been closed.
enum err trial_close_windows(struct trial *trial, struct error *e);
int64_t trial_now_ms(const struct trial *trial);

// What has gone out since the last call, in that order, and by target at each moment. A target
// takes what is due when the clock moves on and when it is asked for here, so that within a moment
// classes of priority show.
enum err trial_take(struct trial *trial, const struct trial_delivery **out_deliveries,
                    uint32_t *out_count, struct error *e);

// What was rejected since the last call. rule: the one that failed; NULL: the message could not be
// used at all.
struct trial_rejection {
    struct bytes topic;
    const char *rule, *reason;
};
typedef void trial_rejection_fn(void *context, const struct trial_rejection *rejection);
enum err trial_rejections(struct trial *trial, trial_rejection_fn *each, void *context,
                          struct error *e);

// An operator's wish, at trial_now_ms; as core_step refuses it.
enum err trial_operate(struct trial *trial, const struct operation *operation, struct error *e);

struct core *trial_core(struct trial *trial); // For its books and counters.
struct store *trial_store(struct trial *trial);

#endif
