// sim_workflows.h - what workflows did in a run: every step of every instance once, nothing early,
// the same name outside for the same step.
// Threads:   one.
// Failure:   as sim_history.h.
#ifndef PIPIT_SIM_WORKFLOWS_H
#define PIPIT_SIM_WORKFLOWS_H

#include <sqlite3.h>

#include "sim_history.h"

#define SIM_WORKFLOW_KEEP_MS 86400000 // Instances that have ended stay for the run.

// Waits for an answer, for the device's next event or a second, for two timers; each fourth fails
// then and undoes what it has called.
extern const struct workflow_spec sim_workflow;
bool sim_is_workflow(const char *rule); // Whether a delivery's rule is one.

// On its way to a target, which will say so. The body of its answer.
void sim_workflow_sent(struct sim_history *history, const struct delivery *delivery,
                       enum verdict verdict);
void sim_workflow_answer(const char *idempotency_key, char *out_body, size_t size);
// The step that took the answer has been committed.
void sim_workflow_done(const char *idempotency_key);

// At any time: what instances have written down.
void sim_workflows_check(struct sim_history *history, sqlite3 *db);
// When all is quiet.
void sim_workflows_check_end(struct sim_history *history, sqlite3 *db);

#endif
