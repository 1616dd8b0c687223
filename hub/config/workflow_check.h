// workflow_check.h - workflows of the file, compiled; those that lead to each other; what can
// hardly be meant.
//
// Threads:   one.
//
// Ownership: everything is borrowed.
//
// Failure:   faults and warnings go to the reader; memory that is out is seen in its arena.
#ifndef PIPIT_CONFIG_WORKFLOW_CHECK_H
#define PIPIT_CONFIG_WORKFLOW_CHECK_H

#include "config/parts.h"
#include "config/wired.h"

// Of config_check: definitions that do not compile, replies that nobody would hear, workflows that
// start themselves whatever happens. has_rules: rules and formats are fine.
enum err workflows_examine(struct reader *reader, const struct config_file *file, bool has_rules,
                           struct error *e);

// Of config_warn: filters that no source subscribes to, variables that nothing uses, workflows that
// nothing starts, those that may start themselves.
void workflows_warn(struct reader *reader, const struct config_file *file,
                    const struct wired *wired);

// ---- workflow_circle.c --------------------------------------------------------------------------

// Every circle of workflows. is_check: those that are gone round in any case and at once, which are
// faults; else the others, which are warnings.
void workflow_circles_tell(struct reader *reader, const struct config_file *file,
                           const struct wired *wired, bool is_check);

#endif
