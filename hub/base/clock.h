// clock.h - the only place that reads a clock. The core takes time as an argument instead.
// Threads:   any.
// Ownership: nothing is allocated.
// Failure:   none: Linux has these clocks.
#ifndef PIPIT_BASE_CLOCK_H
#define PIPIT_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);      // Since 1970-01-01 UTC; may jump.
int64_t clock_monotonic_ms(void); // Never goes back.
int64_t clock_monotonic_us(void);
int64_t clock_cpu_ns(void); // Processor time of the process.

#endif
