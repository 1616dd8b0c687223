// case_match.h - one delivery against one expectation.
//
// Threads:   any.
//
// Ownership: texts live in the arena given.
//
// Failure:   out of memory shows as a difference.
#ifndef PIPIT_TRIAL_CASE_MATCH_H
#define PIPIT_TRIAL_CASE_MATCH_H

#include "base/arena.h"
#include "trial/case_file.h"
#include "trial/trial.h"

// The first thing in which the two differ ("json: mean: expected 25.0, got 24.0"); NULL: nothing.
const char *case_difference(const struct config *config, const struct case_expect *expect,
                            const struct trial_delivery *got, struct arena *arena);

// One line each for people: "mean/a  {"mean":25.0}".
const char *case_expect_line(const struct case_expect *expect, struct arena *arena);
// "2026-01-01T10:00:00Z"
const char *case_instant_text(struct arena *arena, int64_t ms);
const char *case_got_line(const struct config *config, const struct case_expect *expect,
                          const struct trial_delivery *got, struct arena *arena);

#endif
