// time_text.h - points in time as text, RFC 3339, and lengths of it as a configuration has them.
// Threads:   any.
// Ownership: nothing is kept.
// Failure:   false, and nothing is written.
#ifndef PIPIT_BASE_TIME_TEXT_H
#define PIPIT_BASE_TIME_TEXT_H

#include "base/bytes.h"

#define TIME_TEXT_BYTES  25              // "2026-11-21T11:04:13.250Z" and a NUL.
#define TIME_TEXT_MAX_MS 253402300799999 // The end of the year 9999.

// Milliseconds since 1970-01-01 UTC, from the year 0 on; finer digits are cut off. False: it is no
// RFC 3339 time with an offset.
bool time_text_read(struct bytes text, int64_t *out_ms);

// In UTC; what lies before 1970 or behind 9999 becomes the nearest that does not.
void time_text_write(int64_t ms, char out_text[TIME_TEXT_BYTES]);

#define DURATION_TEXT_BYTES 32 // A number, "min" and a NUL.

// 300000 is "5 min": in the largest unit that gives a whole number. ms is not below 0.
char *duration_text_write(int64_t ms, char out_text[DURATION_TEXT_BYTES]);

// "min" is 60000. 0: there is no such unit.
int64_t duration_unit_ms(struct bytes name);

#endif
