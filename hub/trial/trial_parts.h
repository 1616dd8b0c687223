// trial_parts.h - what trial.c leaves to others: the quarantine of its store, tables from files.
//
// Threads:   as trial.h.
//
// Ownership: nothing is kept.
//
// Failure:   of the store's kind.
#ifndef PIPIT_TRIAL_TRIAL_PARTS_H
#define PIPIT_TRIAL_TRIAL_PARTS_H

#include "store/store.h"
#include "trial/trial.h"

// Entries above *inout_last, which becomes the newest one's id.
enum err rejections_read(struct store *store, uint64_t *inout_last, trial_rejection_fn *each,
                         void *context, struct error *e);

#endif
