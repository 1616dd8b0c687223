// workflow_key.h - the key that an event gives for a workflow, or why it gives none.
//
// Threads:   core thread.
//
// Ownership: the key lives in the source's memory.
//
// Failure:   ERR_INVALID with a sentence for the quarantine.
#ifndef PIPIT_CORE_WORKFLOW_KEY_H
#define PIPIT_CORE_WORKFLOW_KEY_H

#include "core/event.h"
#include "core/event_value.h"
#include "core/workflow_query.h"

// What the key was made of.
struct key_source {
    const struct workflow_query *query; // Its first expression is the key.
    struct event *event;
    struct event_memory *memory;
};

// As workflow_key_text. The sentence has the expression in it, and where the key is NULL what the
// event lacks.
enum err workflow_key_of_event(const struct key_source *source, const struct event_value *value,
                               const char **out_text, struct error *e);

#endif
