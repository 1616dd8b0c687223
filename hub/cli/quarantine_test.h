// quarantine_test.h - what quarantined messages would give now, by the configuration on disk.
//
// Threads:   one.
//
// Ownership: borrows everything for the call.
//
// Failure:   told on standard error; the exit code is returned.
#ifndef PIPIT_CLI_QUARANTINE_TEST_H
#define PIPIT_CLI_QUARANTINE_TEST_H

#include "cli/entry_walk.h"
#include "config/config.h"
#include "store/store_view.h"

// Each entry by itself, in a trial; nothing is changed. EXIT_FAILED: one of them would be rejected.
int quarantine_test(struct entry_walk *walk, struct store_view *view,
                    const struct view_filter *filter, const struct config *config);

#endif
