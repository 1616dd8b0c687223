// port.h - what the SDK needs of a target; port_template.c is to be filled in.
// Threads:   all is called from where pipit_poll is called.
// Ownership: the port owns its hardware.
// Failure:   as each function says; nothing blocks.
#ifndef PORTING_PORT_H
#define PORTING_PORT_H

#include <pipit/client.h>

// Clocks, pins, memory: called once, before all else.
void port_init(void);

// Milliseconds from any start; never goes back, and wraps after 2^32.
uint32_t port_now_ms(void);

// Lets the clock show `now_ms` from now on, as far down as it counts, so that the check sees it
// wrap. False: this clock cannot be set.
bool port_clock_set(uint32_t now_ms);

// Random bits: a hardware generator, noise of an ADC, or a number from production mixed with a
// start counter. Spreads the reconnects of many devices and begins the boot numbers of a new one.
uint32_t port_entropy(void);

// Sleeps until something may have come, a millisecond at most. May do nothing.
void port_idle(void);

// For people: a debug port, semihosting, or nothing.
void port_print(const char *text);

// The end of the run: 0 when the port is right. Shows it if there is a way, and stands still.
_Noreturn void port_end(int status);

// Bytes to the broker and back: pipit/client.h says what each of its functions must do.
struct pipit_transport *port_transport(void);

// Where events wait. Opens it, or opens it again after port_spool_close. NULL: it cannot be opened.
struct pipit_spool *port_spool_open(void);
void port_spool_close(void);

// True when what is in the spool outlives a reset.
extern const bool port_is_spool_kept;

// Bytes that the line may hold before the port reads them, as long as nothing holds the sender
// back: the receive buffer of a UART without flow control. 0: any number (TCP).
extern const uint32_t port_window_bytes;

// The longest time that the line may be silent while an answer is due. 0: 5 s.
extern const uint32_t port_timeout_ms;

#endif
