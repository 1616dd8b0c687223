// workflow_wait.h - what tokens wait for: rows found by their time, by the value of an event at a
// step, or by the device that is offline. A token has one row at most.
// Threads:   core thread.
// Ownership: workflow_waits_create creates; lists live in the memory that they name.
// Failure:   of the store's kind. The next time follows the store: commit and rollback.
#ifndef PIPIT_CORE_WORKFLOW_WAIT_H
#define PIPIT_CORE_WORKFLOW_WAIT_H

#include "core/event_memory.h"
#include "core/workflow_instance.h"

struct workflow_waits;

enum err workflow_waits_create(struct workflow_waits **out_waits, struct store *store,
                               struct error *e);
void workflow_waits_destroy(struct workflow_waits *waits); // NULL is fine.

struct workflow_wait {
    int64_t instance;
    uint32_t token;
    int64_t definition; // 0 with step 0: `value` is a device that shall be online.
    uint32_t step;
    const char *value; // NULL: only the time.
    int64_t due_ms;    // 0: never.
};

// Replaces the token's.
enum err workflow_wait_put(struct workflow_waits *waits, const struct workflow_wait *wait,
                           struct error *e);
enum err workflow_wait_drop(struct workflow_waits *waits, int64_t instance, uint32_t token,
                            struct error *e); // None there: fine.

// What is looked for; the caller sets the first two.
struct workflow_wait_list {
    struct event_memory *memory; // The list lives there.
    uint32_t count_max;
    const struct workflow_wait *waits;
    uint32_t count;
};

// Those that are due at now_ms, the earliest first.
enum err workflow_waits_due(struct workflow_waits *waits, int64_t now_ms,
                            struct workflow_wait_list *inout_list, struct error *e);
// Is the token's own time over at now_ms? What was due may have been dealt with by another's.
enum err workflow_wait_is_due(struct workflow_waits *waits, const struct workflow_wait *wait,
                              int64_t now_ms, bool *out_is_due, struct error *e);
// Those that wait for this value at that step (0, 0: for that device), by instance, after the given
// instance and token (0, 0: from the first).
enum err workflow_waits_for(struct workflow_waits *waits, const struct workflow_wait *like,
                            struct workflow_wait_list *inout_list, struct error *e);

// The earliest time of all; INT64_MAX: none. As of the last commit.
int64_t workflow_waits_next_due_ms(struct workflow_waits *waits);

void workflow_waits_commit(struct workflow_waits *waits);
void workflow_waits_rollback(struct workflow_waits *waits);

#endif
