#include "intake/backoff.h"

#include <sys/random.h>

#include "base/clock.h"

static uint64_t random_number(void)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number)) {
        number = (uint64_t)clock_monotonic_us() * UINT64_C(0x9E3779B97F4A7C15);
        number ^= number >> 32;
    }
    return number;
}

int64_t backoff_next(struct backoff *backoff, int64_t min_ms, int64_t max_ms)
{
    if (min_ms > max_ms) {
        min_ms = max_ms;
    }
    int64_t last_ms = backoff->last_ms < min_ms ? min_ms : backoff->last_ms;
    int64_t top_ms = last_ms > max_ms / 3 ? max_ms : last_ms * 3;
    if (top_ms < min_ms) {
        top_ms = min_ms;
    }
    backoff->last_ms = min_ms + (int64_t)(random_number() % (uint64_t)(top_ms - min_ms + 1));
    return backoff->last_ms;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->last_ms = 0;
}
