// conformance.h - tells whether a port is right: its clock, entropy, transport and spool.
// Threads:   as pipit.h.
// Ownership: options and their memory outlive the run; nothing is kept after it.
// Failure:   a check that fails is printed with what was seen; the others go on.
//
// Runs on the target, without stdio and malloc. The transport's other end sends back every byte:
// the program conformance/echo on a computer, or a wire from TX to RX.
#ifndef PIPIT_CONFORMANCE_H
#define PIPIT_CONFORMANCE_H

#include "pipit/client.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIPIT_CONFORMANCE_MEMORY_MIN 256u

// Zero means the default everywhere; a function that is NULL leaves its checks out.
struct pipit_conformance_options {
    void (*print)(void *context, const char *text); // Required. Lines end in \n.
    uint32_t (*now_ms)(void *context);              // Required: the clock for pipit_poll.
    // Lets the clock show `now_ms` from now on, so that one sees it wrap. False: it cannot be set.
    bool (*clock_set)(void *context, uint32_t now_ms);
    uint32_t (*entropy)(void *context);
    void (*idle)(void *context); // Called while waiting: sleeps a millisecond, or polls a driver.
    struct pipit_transport *transport;
    // Opens the spool: an empty one at first, the same again after spool_close. Policy
    // PIPIT_REFUSE.
    struct pipit_spool *(*spool_open)(void *context);
    void (*spool_close)(void *context);
    void *context;
    uint8_t *memory; // Required.
    size_t memory_bytes;
    uint32_t window_bytes;   // That may be sent and not read: a UART's receive buffer. Any number.
    uint32_t pressure_bytes; // Without a pause the line takes fewer at once: 64 MB.
    uint32_t timeout_ms;     // The longest silence of the line: 5 s.
    bool is_spool_kept;      // Events outlive spool_close.
    bool is_peer_echo;       // The peer is conformance/echo, which hangs up when it is asked to.
};

// How many checks have failed. 0: the port is right, as far as it was checked.
unsigned pipit_conformance_run(const struct pipit_conformance_options *options);

#ifdef __cplusplus
}
#endif

#endif
