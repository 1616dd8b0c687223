// sequence_window.h - which sequences of one boot of a device were seen: all up to a point, and a
// bitmap of the 256 beyond it; and how many are missing.
// Threads:   any; plain data.
// Ownership: the caller's; nothing is allocated.
// Failure:   none.
#ifndef PIPIT_CORE_SEQUENCE_WINDOW_H
#define PIPIT_CORE_SEQUENCE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define SEQUENCE_WINDOW_BITS 256

struct sequence_window {
    uint64_t first; // Sequences before it are nobody's loss: they were before we knew the device.
    uint64_t upto;  // This one and all before it were seen, or are given up.
    uint64_t bits[SEQUENCE_WINDOW_BITS / 64]; // Bit i: upto + 1 + i was seen.
    uint64_t missing;                         // From first on, below the highest seen, not seen.
};

// first 0: wherever the first sequence stands.
void sequence_window_init(struct sequence_window *window, uint64_t first);

// Takes note of a sequence above 0; false when it was seen before, or is too old to be known.
bool sequence_window_add(struct sequence_window *window, uint64_t sequence);

uint64_t sequence_window_highest(const struct sequence_window *window); // 0: none yet.

// The bitmap's bytes, least significant bit first, without zeroes at the end; gives how many.
size_t sequence_window_bitmap(const struct sequence_window *window,
                              uint8_t out_bytes[SEQUENCE_WINDOW_BITS / 8]);
void sequence_window_set_bitmap(struct sequence_window *window, struct bytes bytes);

#endif
