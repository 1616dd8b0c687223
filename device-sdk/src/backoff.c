#include "device.h"

// xorshift32: enough to spread reconnects; never 0.
static uint32_t random_next(struct pipit_device *device)
{
    uint32_t x = device->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    device->random = x;
    return x;
}

// A number below `range`, without a division: range * x / 2^16 for 16 random bits x.
static uint32_t random_below(struct pipit_device *device, uint32_t range)
{
    uint32_t x = random_next(device) & 0xFFFFu;
    return (range >> 16) * x + ((range & 0xFFFFu) * x >> 16);
}

// Decorrelated jitter: random between base and three times the previous sleep, or the cap. Cutting
// the sleep itself at the cap would make most devices that are near it sleep equally long.
uint32_t pipit_backoff_next(struct pipit_device *device)
{
    uint32_t base = or_default(device->config->retry_base_ms, 500);
    uint32_t cap = or_default(device->config->retry_cap_ms, 60000);
    uint32_t previous = device->retry_ms < base ? base : device->retry_ms;
    uint32_t high = previous > UINT32_MAX / 3 ? UINT32_MAX : previous * 3;
    high = high < cap ? high : cap;
    base = base < high ? base : high;
    device->retry_ms = base + random_below(device, high - base + 1);
    return device->retry_ms;
}
