// moment.h - a point in time as a person writes it.
//
// Threads:   any.
//
// Ownership: nothing is kept.
//
// Failure:   false: it is none of what is known.
#ifndef PIPIT_CLI_MOMENT_H
#define PIPIT_CLI_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#define MOMENT_FORMS                                                                               \
    "2026-05-04T03:02:01Z, 2026-05-04 03:02 (local time), 2026-05-04, '2 h ago' or 'now'"

// Milliseconds since 1970. now_ms: what "ago" counts from.
bool moment_parse(const char *text, int64_t now_ms, int64_t *out_ms);

#endif
