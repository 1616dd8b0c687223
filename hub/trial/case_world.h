// case_world.h - the world outside of a case: targets that answer as it says, devices that reply.
//
// Threads:   one.
//
// Ownership: borrows configuration, case and arena; what it gives lives in the arena.
//
// Failure:   what a step needs and the case does not say is told to `fault`.
#ifndef PIPIT_TRIAL_CASE_WORLD_H
#define PIPIT_TRIAL_CASE_WORLD_H

#include "base/arena.h"
#include "trial/case_file.h"
#include "trial/trial.h"

#define CASE_TIMEOUT_MS 30000 // Of a target that has no option `timeout`.

struct case_world {
    const struct config *config;
    const struct case_spec *spec;
    struct trial *trial; // Set before its first step.
    struct arena *arena;
    uint32_t *used; // By answer: so often.
    struct reply reply;
    struct message message; // Of the answer that is given now.
    void (*fault)(void *context, struct position at, const char *sentence);
    void *context; // Of fault.
};

// A trial_answer_fn; context is the world.
enum err case_world_answer(void *context, const struct trial_delivery *delivery,
                           struct trial_answer *inout_answer, struct error *e);
// Answers that nobody has asked for are faults.
void case_world_conclude(struct case_world *world);

#endif
