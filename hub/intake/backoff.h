// backoff.h - how long to wait before the next attempt: decorrelated jitter, so that many hubs do
// not come back to a broker at the same moment.
//
// Threads:   one at a time.
//
// Ownership: embedded by its user; nothing is allocated.
//
// Failure:   none; without random numbers from the kernel the clock stands in.
#ifndef PIPIT_INTAKE_BACKOFF_H
#define PIPIT_INTAKE_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t last_ms; // 0: the next is the first.
};

// Between min_ms and three times the last wait, at most max_ms.
int64_t backoff_next(struct backoff *backoff, int64_t min_ms, int64_t max_ms);
void backoff_reset(struct backoff *backoff);

#endif
