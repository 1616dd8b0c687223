// workflow_move.h - what a token does next: what the kinds of steps say, and the engine does.
//
//   step.enter ──▶ WAIT ──news──▶ step.hear ──▶ STAY: it does not fit, nothing changes
//      ▲ │           ▲                 │
//      │ └───────────│────────┬────────┘
//      │             │        ├──▶ DONE, TO ──▶ the next step, its branch's or the instance's end
//      └─── AGAIN ◀──│────────┤
//      ▲             │        └──▶ FAIL ──▶ attempts left: backs off ──▶ its step's on_error, its
//      └─────────────┘                      parent's, or the instance fails
//
// Threads:   core thread.
//
// Ownership: a move's texts live in the batch's memory, its data is owned by it until it is made.
//
// Failure:   of the store's kind: the transaction has to be rolled back. What fails in a workflow
// is a move.
#ifndef PIPIT_CORE_WORKFLOW_MOVE_H
#define PIPIT_CORE_WORKFLOW_MOVE_H

#include "core/workflow_parts.h"

#define WORKFLOW_MOVES_ALL_MAX                                                                     \
    40000                        // Steps of all branches of an instance, and of those that it runs.
#define WORKFLOW_UNDOS_MAX 10000 // Steps of an instance that can be undone.

struct visit {
    struct workflows *workflows;
    struct workflow_instance *instance;
    const struct workflow_step *step; // The token's.
    struct workflow_token *token;     // Until a token is added: see visit_of.
};

enum move_kind {
    MOVE_STAY,
    MOVE_WAIT,
    MOVE_AGAIN, // The same attempt from its beginning.
    MOVE_DONE,
    MOVE_TO,
    MOVE_FAIL,
    MOVE_OVER, // The instance.
    MOVE_COUNT
};

struct move {
    enum move_kind kind;
    // WAIT: until then (0: no time), for an event with this value at the step, or for this device.
    int64_t due_ms;
    const char *value, *device;
    workflow_place place;      // TO
    enum workflow_error error; // FAIL
    const char *reason;        // FAIL
    bool has_happened;         // FAIL: what the step does outside may have been done.
    int64_t retry_after_ms;    // FAIL: another attempt not before; 0: as the step says.
    json_t *data;              // For the journal; OVER: the result.
};

// A branch of a parallel or for_each has ended.
struct branch_end {
    bool is_failed;
    uint32_t branch;
    const char *reason; // is_failed
};

struct step_type {
    enum err (*enter)(struct visit *visit, struct move *move, struct error *e);
    // NULL: it does not wait for news.
    enum err (*hear)(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                     struct error *e);
    // NULL: it has no branches.
    enum err (*join)(struct visit *visit, const struct branch_end *end, struct move *move,
                     struct error *e);
};
extern const struct step_type step_emit, step_call, step_command, step_await, step_sleep,
    step_until, step_if, step_switch, step_parallel, step_for_each, step_set, step_run, step_end,
    step_fail, step_goto;

// ---- workflow_move.c ----------------------------------------------------------------------------

// visit->token NULL: there is no such token any more.
struct visit visit_of(struct workflows *workflows, struct workflow_instance *instance,
                      uint32_t token_id);
// Runs every token that is ready until all wait or the instance is over.
enum err workflow_drive(struct workflows *workflows, struct workflow_instance *instance,
                        struct error *e);
// Steps of the instance since something came in.
uint32_t *workflow_moves(const struct workflows *workflows, struct workflow_instance *instance);
// News for the token that fit what it waits for move it; others change nothing.
enum err workflow_hear(struct visit *visit, const struct workflow_news_item *news, struct error *e);
// The token begins to be at a step.
enum err workflow_arrive(struct visit *visit, workflow_place step, struct error *e);
// The journal's entry of the token; takes data.
enum err visit_note(struct visit *visit, enum workflow_entry_kind kind, json_t *take_data,
                    struct error *e);
// A text in the batch's memory; "" where there is no memory.
const char *visit_text(const struct visit *visit, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// The same of a text that is somebody else's: up to a zero byte, and ? for what is no UTF-8.
const char *visit_reason(const struct visit *visit, struct bytes text);
int64_t visit_deadline(const struct visit *visit); // Of an attempt that begins now; 0: none.
void move_fail(struct move *move, enum workflow_error error, const char *reason);
// What failed with ERR_INVALID becomes a move, anything else stays an error.
enum err move_fail_on(const struct visit *visit, enum err rc, enum workflow_error error,
                      struct move *move, struct error *e);

// ---- workflow_values.c: expressions of a step ---------------------------------------------------

// The query's values, in the batch's memory. move->kind is MOVE_FAIL afterwards where they cannot
// be had. news: NULL, or what its expressions see beside the variables.
enum err visit_query(struct visit *visit, struct workflow_query *query,
                     const struct workflow_news_item *news, struct event_value **out_values,
                     struct move *move, struct error *e);
// An object of the query's values by their names.
enum err visit_object(struct visit *visit, struct workflow_query *query, uint32_t first,
                      json_t **out_object, struct move *move, struct error *e);
// Puts what came back into variables, as `take` says; move->data tells of it. In a for_each the
// item's own.
enum err visit_take(struct visit *visit, const struct workflow_news_item *news, struct move *move,
                    struct error *e);
// As `set` says.
enum err visit_set(struct visit *visit, struct move *move, struct error *e);

// ---- workflow_retry.c ---------------------------------------------------------------------------

// When the step is tried again after this error; 0: it is not.
int64_t workflow_retry_at(const struct visit *visit, const struct move *move);

// ---- workflow_undo.c ----------------------------------------------------------------------------

// The token's step is done, or may have been.
enum err workflow_undo_note(struct visit *visit, struct error *e);
// Nothing of the token is waited for any more; what it has sent is taken back where that is
// possible.
enum err workflow_stop(struct visit *visit, struct error *e);
// Ends all branches of the token; 0: all tokens.
enum err workflow_end_branches(struct visit *visit, uint32_t token_id, struct error *e);
// The token is gone.
void workflow_token_drop(struct workflow_token *token);
// Nobody handles the token's error: it parks or begins to undo.
enum err workflow_unhandled(struct visit *visit, const struct move *failure, struct error *e);
// The instance's own time is over.
enum err workflow_overdue(struct workflows *workflows, struct workflow_instance *instance,
                          struct error *e);
enum err workflow_undo_begin(struct visit *visit, enum workflow_state goal, struct error *e);
// One list is over.
enum err workflow_undo_next(struct visit *visit, struct error *e);
enum err workflow_undo_retry(struct visit *visit, struct error *e);
bool workflow_is_parked_undoing(const struct workflow_instance *instance);
enum err workflow_finish(struct visit *visit, enum workflow_state state, struct error *e);
bool workflow_set_reason(struct workflow_instance *instance, const char *error, const char *reason);
// The instance's deadline, from now on.
enum err workflow_arm(struct visit *visit, struct error *e);

// What names the token's visit in the list, but for its execution; NULL: out of memory.
json_t *workflow_undo_entry(const struct visit *visit);
// The next list, or it waits for a child; the instance is over when there is none.
enum err workflow_undo_go_on(struct visit *visit, struct error *e);

// ---- workflow_undo_run.c ------------------------------------------------------------------------

// The token's child is told to undo itself: what the instance did before is undone after that.
enum err workflow_undo_child(struct visit *visit, int64_t child, struct error *e);
// The child is over; is_done: it has completed. The instance goes on if it waited for it.
enum err workflow_undo_child_over(struct visit *visit, int64_t child, bool is_done,
                                  struct error *e);
// Drops those at the list's end that are over. *out_is_waiting: the last one is not.
enum err workflow_undo_children(struct visit *visit, bool *out_is_waiting, struct error *e);
// All children that it waits for are given up, as it is.
enum err workflow_undo_abandon(struct visit *visit, struct error *e);

// ---- workflow_engine.c --------------------------------------------------------------------------

// Afterwards, when this instance has made its moves: the child's parent is told, the child is
// cancelled.
enum err workflow_engine_tell_parent(struct visit *child, struct error *e);
enum err workflow_engine_cancel_child(struct visit *parent, int64_t child, enum workflow_cancel how,
                                      struct error *e);

#endif
