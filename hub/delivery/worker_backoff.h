// worker_backoff.h - how long to wait before the next try: exponential with decorrelated jitter, so
// that what failed together does not come back together.
//
// Threads:   one at a time.
//
// Ownership: embedded by value.
//
// Failure:   none.
#ifndef PIPIT_DELIVERY_WORKER_BACKOFF_H
#define PIPIT_DELIVERY_WORKER_BACKOFF_H

#include <stdint.h>

struct worker_backoff {
    int64_t min_ms, max_ms, last_ms;
    uint64_t random;
};

void worker_backoff_init(struct worker_backoff *backoff, int64_t min_ms, int64_t max_ms,
                         uint32_t seed);

// Between min_ms and three times the last wait, at most max_ms.
int64_t worker_backoff_next_ms(struct worker_backoff *backoff);
void worker_backoff_reset(struct worker_backoff *backoff); // It went well: begin with min_ms again.

#endif
