// uart.h - a transport over a serial line to a modem in transparent mode, from two functions.
// Threads:   as pipit.h.
// Ownership: the options outlive the line.
// Failure:   the line tells nobody that it is broken: lost bytes show as an answer that does not
//            come, and a connection ends by the client's timeouts. For a line that damages bytes
//            there is framed.h.
//
// What the modem does: without a call the first byte dials the broker, and bytes then pass both
// ways. When a call has ended it throws away what the device still sends, until the device has been
// silent for a while; the silence before each connection, the guard time, must be longer than that.
// What comes of the former connection during it is dropped. A device that was reset in mid-call
// cannot say so: its CONNECT goes into the old call, the broker ends that, and the next attempt,
// after the client's timeout_s, has a call of its own.
#ifndef PIPIT_UART_H
#define PIPIT_UART_H

#include "client.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIPIT_UART_GUARD_MS 200u

// Zero means the default everywhere.
struct pipit_uart_options {
    // The two that a porter writes. Neither blocks. Bytes taken or given; 0: none can be now.
    size_t (*write)(void *context, const uint8_t *ptr, size_t len);
    size_t (*read)(void *context, uint8_t *ptr, size_t size);
    void *context;
    uint16_t guard_ms; // Silence before a connection: PIPIT_UART_GUARD_MS.
};

struct pipit_uart {
    struct pipit_transport base;              // Hand &uart.base to pipit_client_options.
    const struct pipit_uart_options *options; // private from here
    uint32_t silent_at_ms;                    // Since when, while it is being opened.
    bool is_silent;
};

// PIPIT_ERR_ARGUMENT when a function is missing. The line is not touched.
enum pipit_err pipit_uart_init(struct pipit_uart *uart, const struct pipit_uart_options *options);

#ifdef __cplusplus
}
#endif

#endif
