// clock.h - the part of a board that counts milliseconds.
// Threads:   clock_tick is the interrupt's.
// Ownership: none.
// Failure:   none.
#ifndef CLOCK_H
#define CLOCK_H

void clock_init(void);
void clock_tick(void); // Of the SysTick vector; boards without one leave it empty.

#endif
