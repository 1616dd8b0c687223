// workflow_instance.h - one run of a workflow: its variables, its tokens (where the flow stands,
// one in each branch), what there is to undo. In memory while a batch works on it.
//
// Threads:   core thread.
//
// Ownership: workflow_instances own those that are loaded, until the batch is over.
//
// Failure:   of the store's kind; ERR_INVALID from a load whose row cannot be read (it is not
// ours). Memory follows the store: what is not written is forgotten by a rollback.
//
//   QUEUED ──▶ RUNNING ──end──▶ COMPLETED
//     │          │ │ ▲
//     │          │ │ └─retry── PARKED ◀── an undo failed, or failure: park
//     │          │ └──fails──▶ UNDOING ──▶ FAILED
//     └─cancel───┴──cancel───▶ UNDOING ──▶ CANCELLED
#ifndef PIPIT_CORE_WORKFLOW_INSTANCE_H
#define PIPIT_CORE_WORKFLOW_INSTANCE_H

#include <jansson.h>
#include <uthash.h>

#include "core/workflow_definition.h"
#include "store/store.h"

#define WORKFLOW_TOKENS_MAX          10000 // Of one instance.
#define WORKFLOW_VARIABLES_BYTES_MAX 65536 // Of one instance, as JSON; a `take` beyond it fails.

enum workflow_state {
    INSTANCE_QUEUED, // Behind another of its key.
    INSTANCE_RUNNING,
    INSTANCE_UNDOING,
    INSTANCE_PARKED, // For an operator.
    INSTANCE_COMPLETED,
    INSTANCE_FAILED,
    INSTANCE_CANCELLED,
    INSTANCE_STATE_COUNT
};
extern const char *const workflow_state_names[INSTANCE_STATE_COUNT]; // "running"
static inline bool workflow_state_is_over(enum workflow_state state)
{
    return state >= INSTANCE_COMPLETED;
}

enum token_phase {
    TOKEN_READY,   // Is to run its step.
    TOKEN_WAITING, // For an event, answer, reply, time, its branches, or the workflow that it runs.
    TOKEN_OFFLINE, // For the device of its command to be online.
    TOKEN_BACKOFF, // For its next attempt.
};

struct workflow_token {
    uint32_t id;     // Of this instance; never used twice.
    uint32_t parent; // The token that waits for this branch; 0: none.
    uint32_t branch; // Which one of the parent's: index of the branch or item.
    workflow_place step;
    uint32_t execution; // Numbers the visits of steps in the instance: names this one outside.
    uint32_t attempt;   // From 1 on.
    enum token_phase phase;
    int64_t arrived_ms;  // At the step.
    int64_t deadline_ms; // For the attempt (within), 0: none.
    uint64_t delivery;   // What of it is in the outbox, 0: nothing; of run: the child's id.
    bool is_sent;        // Something of it may have happened outside.
    json_t *scope;       // Variables of this branch alone (for_each); NULL: the parent's.
    json_t *failure;     // [error, reason] that this branch handles (on_error); NULL: none.
    // Of a parallel or for_each:
    json_t *items; // Of for_each; of command: only the device that it was sent to.
    uint32_t total, begun, done, failed;
    bool is_gone; // It has ended; dropped when the instance is written.
};

struct workflow_instance {
    int64_t id;
    struct workflow_definition *definition;
    const char *key;
    enum workflow_state state;
    int64_t started_ms, changed_ms, ended_ms; // ended_ms 0: not yet.
    const char *event;                        // Id of the event that started it.
    uint32_t hops;                            // How often an event of a workflow led to another.
    int64_t parent;                           // Instance that runs it; 0: none.
    uint32_t parent_execution;
    json_t *start;     // Variables that it began with.
    json_t *variables; // By name.
    struct workflow_token *tokens;
    uint32_t token_count, token_capacity;
    // What there is to undo, the last one first to go: [{"step": n, "execution": n, "path":
    // "/<branch>/...", ["scope": {...}]}]; of children that undo themselves: workflow_undo_run.c.
    json_t *undo;
    uint32_t next_token, next_execution, next_entry; // From 1 on.
    char *error, *reason;                            // Of its failure; NULL.
    enum workflow_state goal; // Of UNDOING and PARKED: what it will be, FAILED or CANCELLED.
    json_t *result;           // Of end; NULL.
    bool is_new, is_dirty;
    uint8_t counted;                    // By the tally: under 1 + this state; 0: not yet.
    UT_hash_handle hh;                  // By id.
    struct workflow_instance *next_due; // For lists of who loads them.
    uint64_t round;                     // Of the engine, in which it has made so many moves.
    uint32_t moves;
};

struct workflow_instances;

// How it finds the definition of a row, which it does not own; NULL: there is none.
typedef struct workflow_definition *workflow_definition_fn(void *context, int64_t definition_id);

enum err workflow_instances_create(struct workflow_instances **out_instances, struct store *store,
                                   workflow_definition_fn *find, void *context, struct error *e);
void workflow_instances_destroy(struct workflow_instances *instances); // NULL is fine.

// From memory or the store. *out_instance NULL: there is none.
enum err workflow_instance_get(struct workflow_instances *instances, int64_t id,
                               struct workflow_instance **out_instance, struct error *e);
// NULL also where it rests, for its definition cannot be used.
enum err workflow_instance_get_usable(struct workflow_instances *instances, int64_t id,
                                      struct workflow_instance **out_instance, struct error *e);
struct instance_spec {
    struct workflow_definition *definition;
    const char *key, *event;
    uint32_t hops;
    int64_t parent;
    uint32_t parent_execution;
    json_t *take_variables; // An object of them.
    enum workflow_state state;
    int64_t now_ms;
};
// A new one, which gets its id at once; without a token.
enum err workflow_instance_add(struct workflow_instances *instances,
                               const struct instance_spec *spec,
                               struct workflow_instance **out_instance, struct error *e);
// Is to be written.
void workflow_instance_touch(struct workflow_instance *instance, int64_t now_ms);

// Of those of a key that are not over: who waits for its turn, and who has had it.
enum instance_turn { TURN_QUEUED, TURN_BEGUN };
struct instance_wanted {
    int64_t workflow; // definition->workflow_id
    const char *key;
    enum instance_turn turn;
    int64_t after_id; // 0: from the first.
};
// The oldest of those; *out_id 0: there is none. One that has begun in this batch has to be written
// first.
enum err workflow_instance_find(struct workflow_instances *instances,
                                const struct instance_wanted *wanted, int64_t *out_id,
                                struct error *e);
// Not over, of this workflow; of this definition.
enum err workflow_instances_count(struct workflow_instances *instances, int64_t definition_id,
                                  uint64_t *out_count, struct error *e);

// Pointers to tokens hold until the next add.
enum err workflow_token_add(struct workflow_instance *instance, workflow_place step,
                            struct workflow_token **out_token, struct error *e);
struct workflow_token *workflow_token_find(const struct workflow_instance *instance, uint32_t id);
struct workflow_token *workflow_token_of(const struct workflow_instance *instance,
                                         uint32_t execution);
// It is not at its step any more, by the counters: what a parked instance failed at has been left.
bool workflow_token_has_left(const struct workflow_instance *instance,
                             const struct workflow_token *token);
// The scope that its expressions see: its own or the nearest parent's.
const json_t *workflow_token_scope(const struct workflow_instance *instance,
                                   const struct workflow_token *token);
// What my.error and my.reason are for it: of its own or the nearest branch around, NULL: the
// instance's.
const json_t *workflow_token_failure(const struct workflow_instance *instance,
                                     const struct workflow_token *token);
// A step of its branch has failed. false: out of memory.
bool workflow_token_fail(struct workflow_token *token, const char *error, const char *reason);
void workflow_token_clear(struct workflow_token *token); // Frees what it has.

// Drops those that have ended longer ago than their definition's keep, at most rows_max with their
// entries; the others are due at once.
enum err workflow_instances_prune(struct workflow_instances *instances, int64_t now_ms,
                                  uint32_t rows_max, struct error *e);

// Writes what was touched; its next users load it again or find it in memory.
enum err workflow_instance_write(struct workflow_instances *instances,
                                 struct workflow_instance *instance, struct error *e);
enum err workflow_instances_write(struct workflow_instances *instances, struct error *e);
int64_t workflow_instances_due_ms(struct workflow_instances *instances); // Of prune; INT64_MAX.
// Ends one that cannot be loaded (its definition does not compile any more): cancelled, at once.
// *out_was_there false: there is none, or it is over.
enum err workflow_instance_abandon(struct workflow_instances *instances, int64_t id, int64_t now_ms,
                                   bool *out_was_there, struct error *e);
void workflow_instances_forget(struct workflow_instances *instances); // Of the batch, all of them.

#endif
