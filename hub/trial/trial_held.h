// trial_held.h - answers that are on their way in a trial: settlements and messages, each with the
// time at which it comes.
//
// Threads:   as trial.h.
//
// Ownership: what is added is copied; an input is good until trial_held_drop.
//
// Failure:   ERR_NO_MEMORY; ERR_FULL beyond TRIAL_HELD_MAX.
#ifndef PIPIT_TRIAL_TRIAL_HELD_H
#define PIPIT_TRIAL_TRIAL_HELD_H

#include "core/core.h"

struct trial_held;

struct trial_held *trial_held_create(void);       // NULL: out of memory.
void trial_held_destroy(struct trial_held *held); // NULL is fine.

enum err trial_held_add_settlement(struct trial_held *held, int64_t at_ms,
                                   const struct settlement *settlement, struct error *e);
enum err trial_held_add_message(struct trial_held *held, int64_t at_ms,
                                const struct message *message, struct error *e);

int64_t trial_held_next_ms(const struct trial_held *held);              // INT64_MAX: nothing is.
uint32_t trial_held_due(const struct trial_held *held, int64_t now_ms); // So many come by then.
// The one that comes first: by time, then in the order in which they were added. There is one.
void trial_held_first(const struct trial_held *held, struct input *out_input);
void trial_held_drop(struct trial_held *held);

#endif
