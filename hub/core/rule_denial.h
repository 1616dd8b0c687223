// rule_denial.h - executions that are not tried again. A statement that takes far too much memory
// in a single instruction costs the whole transaction, since SQLite rolls it back; the batch is
// then done once more without it. Everything before it comes out the same, so that its place in
// the batch names it.
// Threads:   core thread.
// Ownership: the denials own their list; statements are compared, never followed.
// Failure:   false, out of memory.
#ifndef PIPIT_CORE_RULE_DENIAL_H
#define PIPIT_CORE_RULE_DENIAL_H

#include <stdbool.h>
#include <stdint.h>

#define RULE_DENIALS_MAX 8 // Of a statement in a batch; then it is denied the rest of the batch.

struct rule_denial;
struct rule_statement;

struct rule_denials {
    struct rule_denial *list;
    uint32_t count, capacity;
    uint32_t windows; // Run so far in this try.
    bool has_new;     // This try has failed because of one.
};

void rule_denials_deinit(struct rule_denials *denials);
// place: index of the event, or number of the window. False: out of memory.
bool rule_denials_add(struct rule_denials *denials, const struct rule_statement *statement,
                      uint32_t place, bool is_window);
bool rule_is_denied(const struct rule_denials *denials, const struct rule_statement *statement,
                    uint32_t place, bool is_window);

#endif
