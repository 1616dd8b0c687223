// workflow_ticket.h - how a visit of a step is named outside: idempotency key of its calls, id of
// its commands. "<store id>/w<instance>-<execution>-<step>-<started, milliseconds>": the same for
// every attempt. A hub that goes on from an older copy of the store does again what it had done
// since, under the same names; the step is in it so that another way from there on is not taken for
// that.
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   false: it is no such text.
#ifndef PIPIT_CORE_WORKFLOW_TICKET_H
#define PIPIT_CORE_WORKFLOW_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define WORKFLOW_TICKET_BYTES    65 // A command's id has 64 at most.
#define WORKFLOW_TICKET_STEP_MAX 999

struct workflow_ticket {
    int64_t instance;
    uint32_t execution, step;
    int64_t started_ms;
};

void workflow_ticket_make(char out_text[WORKFLOW_TICKET_BYTES], const char *store_id,
                          const struct workflow_ticket *ticket);
// Of this store only.
bool workflow_ticket_read(struct bytes text, const char *store_id,
                          struct workflow_ticket *out_ticket);

#endif
