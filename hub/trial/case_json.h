// case_json.h - two JSON values compared, and shown.
//
// Threads:   any.
//
// Ownership: texts live in the arena given.
//
// Failure:   NULL without memory.
#ifndef PIPIT_TRIAL_CASE_JSON_H
#define PIPIT_TRIAL_CASE_JSON_H

#include <stdbool.h>

#include "base/arena.h"

struct json_t;

struct json_compare {
    double tolerance;
    bool is_subset; // Members of objects that are not expected do not matter.
    struct arena *arena;
};

// "mean: expected 25.0, got 24.0"; NULL when they are the same.
const char *json_difference(const struct json_compare *how, const struct json_t *expected,
                            const struct json_t *got);

// Compact, members sorted, numbers with the fewest digits.
const char *json_show(struct arena *arena, const struct json_t *json);

#endif
