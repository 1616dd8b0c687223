// workflow_kept.h - events that came before an instance waited for them, whole, until their time is
// over; bounded, the oldest make room.
// Threads:   core thread.
// Ownership: workflow_kept_create creates; what is read lives in the memory handed in.
// Failure:   of the store's kind.
#ifndef PIPIT_CORE_WORKFLOW_KEPT_H
#define PIPIT_CORE_WORKFLOW_KEPT_H

#include "core/event.h"
#include "core/event_memory.h"
#include "store/store.h"

#define WORKFLOW_KEPT_MAX 100000 // Of all workflows.

struct workflow_kept;

enum err workflow_kept_create(struct workflow_kept **out_kept, struct store *store,
                              struct error *e);
void workflow_kept_destroy(struct workflow_kept *kept); // NULL is fine.

struct kept_place {
    int64_t workflow;
    const char *step, *value;
};

enum err workflow_kept_put(struct workflow_kept *kept, const struct kept_place *place,
                           struct event *event, int64_t until_ms, struct event_memory *memory,
                           struct error *e);

struct kept_event {
    int64_t id;
    struct message message;
    const char *event_id, *group, *device; // "" when unknown.
    uint32_t boot;
    uint64_t sequence;
    bool has_time;
    int64_t time_ms;
};
struct kept_search {
    struct kept_place place;
    int64_t after_id;            // 0: from the first.
    int64_t now_ms;              // Those that have run out by then are left out.
    struct event_memory *memory; // What is found lives there.
};
// The first of those; id 0: there is none.
enum err workflow_kept_next(struct workflow_kept *kept, const struct kept_search *search,
                            struct kept_event *out_event, struct error *e);
enum err workflow_kept_drop(struct workflow_kept *kept, int64_t id, struct error *e);
// Those that have run out, at most rows_max.
enum err workflow_kept_prune(struct workflow_kept *kept, int64_t now_ms, uint32_t rows_max,
                             struct error *e);
int64_t workflow_kept_due_ms(struct workflow_kept *kept); // INT64_MAX: nothing to prune.

void workflow_kept_commit(struct workflow_kept *kept);
void workflow_kept_rollback(struct workflow_kept *kept);

#endif
