// option_value.h - one value of an option: from text to number, and back for people.
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   ERR_CONFIG with what was written and what is allowed; out_value is left alone.
#ifndef PIPIT_BASE_OPTION_VALUE_H
#define PIPIT_BASE_OPTION_VALUE_H

#include "base/option.h"

// BOOL (0, 1), INT, SIZE (bytes), DURATION (ms) and ENUM (index) give a number; texts give 0.
enum err option_value_parse(const struct option_spec *row, const char *text, int64_t *out_value,
                            struct error *e);

#endif
