// config_diff.h - what two configurations say differently, by section and name, for people.
//
// Threads:   any.
//
// Ownership: names are the configurations'.
//
// Failure:   none. It compares what is written: what stands in files that it names is not looked
// at.
#ifndef PIPIT_CONFIG_CONFIG_DIFF_H
#define PIPIT_CONFIG_CONFIG_DIFF_H

#include "config/config.h"

// section "rules", name "overheat", what "added", "changed" or "removed".
typedef void config_change_fn(void *context, const char *section, const char *name,
                              const char *what);

void config_diff(const struct config *before, const struct config *after, config_change_fn *each,
                 void *context);

#endif
