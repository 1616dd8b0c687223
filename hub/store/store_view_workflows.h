// store_view_workflows.h - workflows, their instances and what has happened in them, for people:
// read-only, also beside a running hub.
//
// Threads:   one.
//
// Ownership: what a callback is given lives for that call.
//
// Failure:   as store_view.h. A callback that returns false ends the walk without an error.
#ifndef PIPIT_STORE_STORE_VIEW_WORKFLOWS_H
#define PIPIT_STORE_STORE_VIEW_WORKFLOWS_H

#include "store/store_view.h"

// What is read between the two is of one moment. Nothing may hold the write-ahead log of a running
// hub for long.
enum err store_view_freeze(struct store_view *view, struct error *e);
void store_view_thaw(struct store_view *view); // Also when it is not frozen.

struct view_workflow {
    const char *name;
    const char *version; // That new instances get; NULL: the workflow is not configured.
    uint64_t started, queued, running, undoing, parked, completed, failed, cancelled, ignored;
};
typedef bool view_workflow_fn(void *context, const struct view_workflow *workflow);
enum err store_view_workflows(struct store_view *view, view_workflow_fn *each, void *context,
                              struct error *e);

// The text of a definition; not called when there is none.
typedef bool view_definition_fn(void *context, const char *text);
enum err store_view_definition(struct store_view *view, int64_t definition,
                               view_definition_fn *each, void *context, struct error *e);

// Which instances. Numbers 0 and texts NULL are any.
struct view_instance_filter {
    int64_t id;
    const char *workflow, *key;
    uint32_t states;        // Bits, 1 << the state's number.
    int64_t from_ms, to_ms; // When it was started, to_ms itself not included.
    bool is_newest_first;
    uint64_t rows_max;
};

struct view_entry {
    uint32_t number, execution, attempt;
    int64_t at_ms;
    const char *step;                         // "": it is about the instance.
    const char *what, *error, *reason, *data; // error, reason, data (JSON): NULL, none.
    const char *branch;                       // JSON; NULL: the step is in none.
};

struct view_instance {
    int64_t id, definition;
    const char *workflow, *version, *key;
    bool is_configured; // The workflow is.
    bool is_current;    // Its version is the one that new instances get.
    int state, goal;    // As core/workflow_instance.h numbers them.
    int64_t started_ms, changed_ms, ended_ms, until_ms; // 0: not yet.
    int64_t due_ms; // The earliest time that one of its branches waits for; 0: none.
    const char *event;
    int64_t parent; // Instance that runs it; 0: none.
    const char *start, *variables, *tokens, *undo, *error, *reason, *result; // JSON; NULL: none.
    struct view_entry parked; // Why it is parked; number 0: it is not.
};
typedef bool view_instance_fn(void *context, const struct view_instance *instance);
enum err store_view_instances(struct store_view *view, const struct view_instance_filter *filter,
                              view_instance_fn *each, void *context, struct error *e);
// How many the filter takes, whatever its rows_max.
enum err store_view_instance_count(struct store_view *view,
                                   const struct view_instance_filter *filter, uint64_t *out_count,
                                   struct error *e);

typedef bool view_entry_fn(void *context, const struct view_entry *entry);
enum err store_view_entries(struct store_view *view, int64_t instance, view_entry_fn *each,
                            void *context, struct error *e);

struct view_wait {
    uint32_t token, step;
    int64_t definition; // 0 with step 0: `value` is a device that shall be online.
    const char *value;  // NULL: only the time.
    int64_t due_ms;     // 0: never.
};
typedef bool view_wait_fn(void *context, const struct view_wait *wait);
enum err store_view_waits(struct store_view *view, int64_t instance, view_wait_fn *each,
                          void *context, struct error *e);

// Visits of a step of a version; see core/workflow_tally.c for what they add up to.
struct view_step {
    const char *workflow, *version, *name;
    int64_t definition;
    uint32_t step;
    bool is_configured, is_current;
    uint64_t arrived, departed, failed, retried;
    int64_t residence_ms, area_ms, first_ms, last_ms;
};
typedef bool view_step_fn(void *context, const struct view_step *step);
enum err store_view_steps(struct store_view *view, const char *workflow, view_step_fn *each,
                          void *context, struct error *e); // NULL: of all workflows.

#endif
