#include "delivery/worker_backoff.h"

// splitmix64: good enough to spread waits, and the same for the same seed.
static uint64_t next_random(struct worker_backoff *backoff)
{
    backoff->random += 0x9e3779b97f4a7c15U;
    uint64_t z = backoff->random;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

void worker_backoff_init(struct worker_backoff *backoff, int64_t min_ms, int64_t max_ms,
                         uint32_t seed)
{
    backoff->min_ms = min_ms < 1 ? 1 : min_ms;
    backoff->max_ms = max_ms < backoff->min_ms ? backoff->min_ms : max_ms;
    backoff->random = seed;
    worker_backoff_reset(backoff);
}

int64_t worker_backoff_next_ms(struct worker_backoff *backoff)
{
    int64_t ceiling =
        backoff->last_ms > backoff->max_ms / 3 ? backoff->max_ms : backoff->last_ms * 3;
    uint64_t span = ceiling > backoff->min_ms ? (uint64_t)(ceiling - backoff->min_ms) : 0;
    backoff->last_ms = backoff->min_ms + (int64_t)(next_random(backoff) % (span + 1));
    return backoff->last_ms;
}

void worker_backoff_reset(struct worker_backoff *backoff)
{
    backoff->last_ms = backoff->min_ms;
}
