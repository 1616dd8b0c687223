// workflows.h - durable workflows within the core: what events, answers, times and operators do to
// instances, in the transaction that brought them.
//
// Threads:   core thread.
//
// Ownership: workflows_create creates; borrows everything it is given.
//
// Failure:   ERR_CONFIG for a definition (workflow_fault: where). A workflow that fails on an event
// is told to sink->failure. Other errors end the batch: the transaction has to be rolled back.
// Memory follows the store.
#ifndef PIPIT_CORE_WORKFLOWS_H
#define PIPIT_CORE_WORKFLOWS_H

#include "core/core.h"
#include "core/event.h"
#include "core/event_memory.h"
#include "core/notes.h"
#include "core/rule_space.h"

#define WORKFLOW_INSTANCES_DEFAULT 200000
#define WORKFLOW_HOPS_MAX          32          // Events that workflows make of each other's.
#define WORKFLOW_RULE              "workflow/" // And its name: what is said to be at fault.

struct formats;
struct outbox;
struct workflow_set;
struct workflows;

// What becomes of events.
struct workflow_sink {
    void *context;
    // It started an instance, was taken by one or is kept for one.
    void (*taken)(void *context, uint32_t event_index);
    // An expression failed on it.
    enum err (*failure)(void *context, uint32_t event_index, const char *workflow,
                        const char *reason, struct error *e);
};

struct workflows_parts {
    struct store *store;
    struct rule_space *space;
    struct books *books;
    struct event_memory *memory;
};

enum err workflows_create(struct workflows **out_workflows, const struct workflows_parts *parts,
                          const struct workflow_sink *sink, struct error *e);
void workflows_destroy(struct workflows *workflows); // NULL is fine.
// Where what they send goes; before the first batch.
void workflows_set_outbox(struct workflows *workflows, struct outbox *outbox);

// The definitions of a spec, compiled, and those in the store that instances run on. In a
// transaction: writes new versions; `notes` tells of workflows that are gone or have changed while
// instances of theirs run.
enum err workflows_prepare(struct workflows *workflows, const struct core_spec *spec,
                           struct workflow_set **out_set, struct notes *notes, struct error *e);
// From now on; that transaction has been committed. Takes the set.
void workflows_use(struct workflows *workflows, const struct core_spec *spec,
                   const struct formats *formats, struct workflow_set *take_set);
void workflow_set_destroy(struct workflow_set *set); // NULL is fine.

bool workflows_are_idle(const struct workflows *workflows); // None is configured, none is running.

// A batch begins.
void workflows_set_now(struct workflows *workflows, int64_t now_ms);
// These events of the batch, in this order: each one and then those that rules made of it.
enum err workflows_run(struct workflows *workflows, struct event_batch *batch,
                       const uint32_t *events, uint32_t count, struct error *e);
// The answer to a delivery that a step waits for, named by its idempotency key.
struct workflow_answer {
    const char *idempotency_key;
    enum verdict verdict;
    const char *reason;
    const struct reply *reply;
    uint64_t delivery;
    int64_t retry_after_ms; // As in struct settlement.
};
enum err workflows_answer(struct workflows *workflows, const struct workflow_answer *answer,
                          struct error *e);
// What is due, at most WORKFLOW_TIMERS_MAX of it.
enum err workflows_fire(struct workflows *workflows, struct error *e);
enum err workflows_operate(struct workflows *workflows, const struct operation *operation,
                           struct outcome *inout_outcome, struct error *e);

// Events that workflows have made for the hub, out of the inbox: to be added to the batch.
// Each has message.playback with its event id. Those beyond WORKFLOW_HOPS_MAX are among them:
// workflows_hops_problem.
enum err workflows_take_inbox(struct workflows *workflows, const struct message **out_messages,
                              uint32_t *out_count, struct error *e);

// Why an event of the inbox must not be let in: what it came of began too often with one like it.
// false: it may.
bool workflows_hops_problem(const struct message *message, char *out, size_t size);

// When something is due, wall clock; INT64_MAX: nothing. INT64_MIN: at once.
int64_t workflows_next_due_ms(const struct workflows *workflows);

enum err workflows_flush(struct workflows *workflows, struct error *e);
void workflows_commit(struct workflows *workflows, struct outcome *inout_outcome);
void workflows_rollback(struct workflows *workflows);
void workflows_counters(const struct workflows *workflows, core_counter_fn *each, void *context);

#endif
