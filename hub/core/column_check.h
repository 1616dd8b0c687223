// column_check.h - the column that no event can have: a payload field that a rule names and that no
// configured schema of its topics has.
//
// Threads:   core thread.
//
// Ownership: borrows everything for the call.
//
// Failure:   ERR_CONFIG, e->offset into the rule's SQL, the nearest field in the text.
#ifndef PIPIT_CORE_COLUMN_CHECK_H
#define PIPIT_CORE_COLUMN_CHECK_H

#include "core/format.h"
#include "core/rules.h"

// A column that a rule has by its window, not by the payload: window_start and the like.
bool column_is_of_window(const struct rule_spec *rule, const char *column);

enum err columns_check(const struct core_spec *spec, const struct formats *formats,
                       const struct rules *rules, struct error *e);

#endif
