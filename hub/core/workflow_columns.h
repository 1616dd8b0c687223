// workflow_columns.h - the field that no event can have: one that a workflow names and that neither
// the formats of its topics nor the rule whose rows they are give.
//
// Threads:   core thread.
//
// Ownership: borrows everything for the call.
//
// Failure:   ERR_CONFIG, the fault's path and e->offset say where, the nearest field is in the
// text.
#ifndef PIPIT_CORE_WORKFLOW_COLUMNS_H
#define PIPIT_CORE_WORKFLOW_COLUMNS_H

#include "core/format.h"
#include "core/rules.h"
#include "core/workflow_definition.h"

struct workflow_givers {
    const struct core_spec *spec;
    const struct formats *formats;
    const struct rules *rules; // Compiled of the spec.
};

enum err workflow_columns_check(const struct workflow_definition *definition,
                                const struct workflow_givers *givers,
                                struct workflow_fault *out_fault, struct error *e);

#endif
