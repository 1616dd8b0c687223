// case_run.h - a case played on a trial of its own, and what came out otherwise than it says.
//
// Threads:   one at a time.
//
// Ownership: a result owns its texts.
//
// Failure:   what the core refuses is a failure of the case; ERR_NO_MEMORY ends the run.
#ifndef PIPIT_TRIAL_CASE_RUN_H
#define PIPIT_TRIAL_CASE_RUN_H

#include "trial/case_file.h"

// One thing that is not as expected.
struct case_fault {
    struct position at;   // In the case file.
    const char *sentence; // "bus: json: mean: expected 25.0, got 24.0"
    const char *expected; // Lines to be compared; either may be NULL.
    const char *got;
};

#define CASE_FAULTS_MAX 20 // Kept of a case; what is beyond is counted.

struct case_result {
    const struct case_spec *spec;
    struct arena *arena;
    struct case_fault faults[CASE_FAULTS_MAX];
    uint32_t fault_count; // May be above CASE_FAULTS_MAX.
    uint32_t events, deliveries;
};

enum err case_run(const struct config *config, const struct case_spec *spec,
                  struct case_result *out_result, struct error *e);
void case_result_deinit(struct case_result *result); // Also of a zeroed one.

#endif
