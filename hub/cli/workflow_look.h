// workflow_look.h - instances of workflows and what has happened in them as JSON, from a store's
// view: what `pipit workflow` prints, as it is or for people.
//
// Threads:   one.
//
// Ownership: a look borrows the view; JSON is the caller's.
//
// Failure:   NULL and false when out of memory; of the store's kind from those that take an error.
//
// Of an instance: {"id", "workflow", "key", "state", "version", "configured", "current", "event",
// "started", "changed", "ended", "due", "parent", "error", "reason", "result", "parked": {"step",
// "branch", "execution", "error", "reason"}, "steps": [{"step", "execution", "phase", "since",
// "attempt", "scope", "total", "done", "failed"}]}; "error" and "reason" say what the instance
// fails with or was cancelled for, "parked" what failed when it was parked: where an undo did that
// is another thing. Times are milliseconds since 1970, what there is not is left out. In full also
// "start", "variables", "undo": [{"step", "scope", "instance"}], the first to be undone first,
// "definition" and "history": [{"at", "step", "branch", "execution", "what", "attempt", "took",
// "error", "reason", "data"}]; its steps also "kind", "due", "for". "branch": [{"step", "branch" or
// "item" and "value"}], the outermost first.
#ifndef PIPIT_CLI_WORKFLOW_LOOK_H
#define PIPIT_CLI_WORKFLOW_LOOK_H

#include <jansson.h>

#include "store/store_view_workflows.h"

struct workflow_look;

enum err workflow_look_create(struct workflow_look **out_look, struct store_view *view,
                              struct error *e);
void workflow_look_destroy(struct workflow_look *look); // NULL is fine.

json_t *workflow_look_instance(struct workflow_look *look, const struct view_instance *instance);

// In full, with a walk of its own. *out_json NULL: there is none of that number.
enum err workflow_look_full(struct workflow_look *look, int64_t id, json_t **out_json,
                            struct error *e);

// Where the tokens of an instance are, by the counters of steps: each gets the step and since when
// it is there. False: these are no tokens, or out of memory.
typedef void look_token_fn(void *context, int64_t definition, uint32_t step, int64_t since_ms);
bool workflow_look_tokens(const struct view_instance *instance, look_token_fn *each, void *context);

#endif
