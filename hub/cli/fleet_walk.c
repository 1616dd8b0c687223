#include "cli/fleet_walk.h"

#include <stdio.h>
#include <stdlib.h>

struct climate {
    float temp, humidity, battery;
    bool is_moving;
};

struct walk {
    uint64_t random;
    uint32_t devices, turn;
    char name[32];
    struct climate climates[];
};

// splitmix64: any seed will do.
static uint64_t random_next(struct walk *walk)
{
    uint64_t z = walk->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// -1 to 1.
static float random_step(struct walk *walk)
{
    return (float)(random_next(walk) >> 40) / (float)(1 << 23) - 1.0f;
}

// A step of at most `size`, drawn back to the middle, within low and high.
static float wander(struct walk *walk, float value, float size, float low, float high)
{
    float middle = (low + high) / 2;
    float next = value + size * random_step(walk) + (middle - value) * 0.005f;
    float rounded = (float)(int)(next * 100 + 0.5f) / 100;
    return rounded < low ? low : rounded > high ? high : rounded;
}

struct walk *walk_create(uint32_t devices, uint64_t seed)
{
    struct walk *walk = calloc(1, sizeof(*walk) + devices * sizeof(walk->climates[0]));
    if (walk == NULL) {
        return NULL;
    }
    walk->random = seed;
    walk->devices = devices;
    for (uint32_t i = 0; i < devices; i++) {
        walk->climates[i] = (struct climate){.temp = 20 + 6 * random_step(walk),
                                             .humidity = 55 + 20 * random_step(walk),
                                             .battery = 3.9f + 0.2f * random_step(walk)};
    }
    return walk;
}

void walk_destroy(struct walk *walk)
{
    free(walk);
}

void walk_next(struct walk *walk, struct row *row)
{
    struct climate *climate = &walk->climates[walk->turn];
    snprintf(walk->name, sizeof(walk->name), "device-%05u", walk->turn + 1);
    walk->turn = (walk->turn + 1) % walk->devices;
    climate->temp = wander(walk, climate->temp, 0.4f, 5, 40);
    climate->humidity = wander(walk, climate->humidity, 1.0f, 20, 95);
    climate->battery = wander(walk, climate->battery, 0.01f, 3.0f, 4.2f);
    climate->is_moving = random_next(walk) % 20 == 0 ? !climate->is_moving : climate->is_moving;
    row->device = walk->name;
    row->fields[row->field_count++] = PIPIT_FLOAT("temp", climate->temp);
    row->fields[row->field_count++] = PIPIT_FLOAT("humidity", climate->humidity);
    row->fields[row->field_count++] = PIPIT_FLOAT("battery", climate->battery);
    row->fields[row->field_count++] = PIPIT_BOOL("motion", climate->is_moving);
}
