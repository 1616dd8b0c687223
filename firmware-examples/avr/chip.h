// chip.h - the parts of an ATmega328P that the example needs: UART to a modem, clock, EEPROM, ADC.
// Threads:   the UART and the clock have interrupts of their own; call from the main program only.
// Ownership: holds the UART, timer 0, the ADC and the first four bytes of the EEPROM.
// Failure:   none; a full receive ring (64 bytes) loses bytes, and the broker's answer is missed.
#ifndef AVR_CHIP_H
#define AVR_CHIP_H

#include <pipit/client.h>

void chip_init(void);

// Milliseconds since chip_init; wraps.
uint32_t chip_now_ms(void);
// Sleeps until the next interrupt, at most a millisecond.
void chip_sleep(void);

// Counts up from 1 with each call, in the EEPROM: one call a start.
uint32_t chip_boot_count(void);

// The voltage at A0, 0 to 5000.
uint16_t chip_millivolts(void);

// A modem in transparent mode at 115,200 baud: dials while DTR (PD4) is high, DCD (PD3) is high
// when it is connected.
extern struct pipit_transport chip_modem;

// For the simulator, a chip ignores both: words on the console, and the end of the run.
void chip_print(const char *text);
void chip_exit(uint8_t status) __attribute__((noreturn));

#endif
