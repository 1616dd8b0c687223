// rule_branch.h - the branches of rules: which events of a batch go to a rule's `else` and `late`
// routes.
// Threads:   core thread.
// Ownership: rule_branches_create creates; the lists are kept from batch to batch.
// Failure:   ERR_NO_MEMORY only.
#ifndef PIPIT_CORE_RULE_BRANCH_H
#define PIPIT_CORE_RULE_BRANCH_H

#include "base/error.h"
#include "core/spec.h"

struct rule_branches;

enum err rule_branches_create(struct rule_branches **out_branches, const struct core_spec *spec,
                              struct error *e);
void rule_branches_destroy(struct rule_branches *branches); // NULL is fine.

// What compiles as the statement of a branch whose parent reads that filter; free() it. NULL: out
// of memory.
char *rule_branch_sql(const char *filter);

// The event goes to that branch of the rule, if the rule has one, when the rule's run is over.
// Putting one twice in a row is putting it once.
enum err rule_branches_put(struct rule_branches *branches, uint32_t rule, enum branch branch,
                           uint32_t event, struct error *e);

// Calls run for each branch of the rule that has events, with the branch's own index as a rule and
// its events in their order, and forgets them.
typedef enum err rule_branch_fn(void *context, uint32_t branch_rule, const uint32_t *events,
                                uint32_t count, struct error *e);
enum err rule_branches_each(struct rule_branches *branches, uint32_t rule, rule_branch_fn *run,
                            void *context, struct error *e);

// Forgets all events.
void rule_branches_clear(struct rule_branches *branches);

#endif
