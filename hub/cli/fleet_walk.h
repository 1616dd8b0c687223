// fleet_walk.h - made-up devices: a climate that wanders plausibly, the same for the same seed.
// Threads:   one.
// Ownership: a row's texts belong to the walk and live until the next call.
// Failure:   NULL when memory is out.
#ifndef PIPIT_CLI_FLEET_WALK_H
#define PIPIT_CLI_FLEET_WALK_H

#include "cli/fleet_rows.h"

struct walk;

struct walk *walk_create(uint32_t devices, uint64_t seed);
void walk_destroy(struct walk *walk); // NULL is fine.

// Fills all of the row but its number; the devices take turns.
void walk_next(struct walk *walk, struct row *row);

#endif
