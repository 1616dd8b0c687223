// workflow_set.h - the definitions in use: those configured, and those in the store that instances
// run on; which of their steps and starts a topic leads to, and how many instances each has.
//
// Threads:   core thread.
//
// Ownership: the set owns its definitions.
//
// Failure:   create: ERR_CONFIG for a configured definition; of the store's kind else. One in the
// store that does not compile any more is no failure: it is noted, and its instances rest.
#ifndef PIPIT_CORE_WORKFLOW_SET_H
#define PIPIT_CORE_WORKFLOW_SET_H

#include "core/notes.h"
#include "core/rule_space.h"
#include "core/spec.h"
#include "core/workflow_definition.h"

struct store;
struct workflow_set;

struct workflow_set_parts {
    struct store *store;
    struct rule_space *space;
    const struct core_spec *spec;
    int64_t now_ms;
};

// In a transaction: writes new versions, and which is the one of each workflow; drops those that
// nobody uses any more.
enum err workflow_set_create(struct workflow_set **out_set, const struct workflow_set_parts *parts,
                             struct notes *notes, struct error *e);

// NULL: there is none, or it does not compile any more.
struct workflow_definition *workflow_set_find(const struct workflow_set *set, int64_t id);
// The configured one of that name; NULL: there is none.
struct workflow_definition *workflow_set_current(const struct workflow_set *set, const char *name);
bool workflow_set_has_current(const struct workflow_set *set); // Is any configured?
bool workflow_set_has_commands(const struct workflow_set *set);

// Where an event may go: an await, or, with PLACE_NONE, the start of a configured workflow.
struct workflow_channel {
    struct workflow_definition *definition;
    workflow_place step;
};
// Those whose filter matches, awaits first, in the order of the configuration. Until the next call.
uint32_t workflow_set_match(struct workflow_set *set, struct bytes topic,
                            const struct workflow_channel *const **out_channels);

// Instances that are not over: of all definitions; of one that has more (+1) or fewer (-1) now.
uint64_t workflow_set_active(const struct workflow_set *set);
void workflow_set_count(struct workflow_set *set, int64_t definition_id, int change);
void workflow_set_commit(struct workflow_set *set);
void workflow_set_rollback(struct workflow_set *set);

#endif
