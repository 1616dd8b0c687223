// case_instances.h - instances of workflows in a trial, against what a case says of them.
//
// Threads:   one.
//
// Ownership: texts live in the arena given.
//
// Failure:   of the store's kind; what is otherwise than expected is told to `fault`.
#ifndef PIPIT_TRIAL_CASE_INSTANCES_H
#define PIPIT_TRIAL_CASE_INSTANCES_H

#include "base/arena.h"
#include "store/store.h"
#include "trial/case_file.h"
#include "trial/case_run.h"

struct instance_judge {
    struct store *store;
    struct arena *arena;
    void (*fault)(void *context, struct case_fault fault);
    void *context;
};

enum err instances_judge(const struct instance_judge *judge, const struct case_spec *spec,
                         struct error *e);
// The id of the newest one that is not over; 0: there is none.
enum err instances_find(struct store *store, const char *workflow, const char *key, int64_t *out_id,
                        struct error *e);

#endif
