// workflow_set_rows.h - versions of workflows in the store: the configured ones are written, those
// that instances run on are read, the others go.
//
// Threads:   core thread.
//
// Ownership: lists live in the rows' memory.
//
// Failure:   of the store's kind.
#ifndef PIPIT_CORE_WORKFLOW_SET_ROWS_H
#define PIPIT_CORE_WORKFLOW_SET_ROWS_H

#include "core/event_memory.h"
#include "core/spec.h"
#include "store/store.h"

// A version that is configured or that instances run on.
struct set_row {
    struct set_row *next;
    int64_t id, workflow;
    const char *name, *version, *text;
    bool is_current;
    uint64_t active; // Instances that are not over.
};

// What this configuration changes of a workflow that was configured.
struct set_change {
    struct set_change *next;
    const char *name, *old_version, *new_version;
    bool is_gone;
    uint64_t active; // Instances of older versions.
};

struct set_rows {
    struct store *store;
    struct event_memory memory;
    struct set_row *first; // Configured ones first, in the order of the spec, then by id.
    struct set_change *changes;
};

// In a transaction.
enum err set_rows_update(struct set_rows *rows, const struct core_spec *spec, int64_t now_ms,
                         struct error *e);

#endif
