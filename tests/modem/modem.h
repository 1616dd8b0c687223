// modem.h - what the parts of the modem share: the sockets, the call, both directions of the line.
// Threads:   one loop (modem.c), which sleeps in one place.
// Ownership: struct modem owns its sockets; all memory is in it, so everything has a bound.
// Failure:   what a peer does ends a connection or a call, never the modem.
//
// up:   device socket ─▶ line up (faults) ─▶ frames off ─▶ to_broker ─▶ broker socket
// down: broker socket ─▶ frames on ─▶ line down (faults) ─▶ device socket
//
// IDLE ─dial─▶ DIALLING ─▶ UP ─device hangs up─▶ ENDING (what it said still goes to the broker)
//  ▲               │        │                       │
//  └── silence ── LOST ◀────┴── the call has ended ◀┘   (with frames there is no LOST)
#ifndef MODEM_H
#define MODEM_H

#include <sys/types.h>

#include "frame.h"
#include "options.h"

#define CONTENT_MAX    1024u // Bytes a data frame from the device.
#define TO_BROKER_MAX  8192u
#define GHOSTS_MAX     8u // Connections of half-open calls that the broker still holds.
#define CONTROLS_MAX   8u
#define CONTROL_LINE   256u
#define PATIENCE_MS    5000u // For the broker to take a connection, or a call's last bytes.
#define MODEM_POLL_MAX (4u + GHOSTS_MAX + CONTROLS_MAX)

enum call_state { CALL_IDLE = 0, CALL_DIALLING, CALL_UP, CALL_ENDING, CALL_LOST };
enum flow { FLOW_FORWARD = 0, FLOW_HALF_OPEN, FLOW_STALLED };

struct control {
    int fd;
    size_t len;
    char line[CONTROL_LINE];
};

struct totals {
    uint64_t devices;   // Connections of the device side.
    uint64_t calls;     // That reached the broker,
    uint64_t refused;   // and that did not.
    uint64_t ended;     // Calls, whatever ended them:
    uint64_t killed;    // of these by kill-after,
    uint64_t bad;       // by a frame that was damaged, missing or repeated,
    uint64_t carrier;   // by the broker,
    uint64_t asked;     // by the device or the control socket.
    uint64_t thrown;    // Bytes of the device that had no call to go to.
    uint64_t swallowed; // Bytes that came while half open.
};

struct modem {
    struct options options;
    struct totals totals;
    uint64_t now_ms;
    int device_listener;
    int control_listener;
    uint16_t device_port;
    uint16_t control_port;
    struct control controls[CONTROLS_MAX];

    int device;
    bool is_device_blocked; // Until it is writable.
    bool is_device_left;    // Its socket is closed; what it said is still on the way.
    bool is_device_ending;  // To be closed when it has what is on the way.
    uint64_t heard_at_ms;   // When the device said something last.

    int broker;
    int ghosts[GHOSTS_MAX];
    bool is_broker_blocked;
    bool is_broker_shut; // Our side of it.
    enum call_state state;
    enum flow flow;
    enum pipit_hang_up reason; // Of the end that is under way.
    uint64_t state_at_ms;      // When the state began.
    uint64_t call_up;          // Bytes of this call, for kill-after.
    uint64_t call_down;
    size_t to_broker_len;
    uint8_t to_broker[TO_BROKER_MAX];

    uint16_t call; // The device's number of it, with frames.
    uint16_t device_max;
    uint8_t up_number;
    uint8_t down_number;
    bool is_exchanged; // Data has passed in this call.
    struct pipit_frame_reader reader;
    uint8_t body[CONTENT_MAX + PIPIT_FRAME_OVERHEAD];

    struct line up;
    struct line down;
};

// A line on stderr with --verbose: level=info at=modem id=<id> and what the format adds.
void modem_log(const struct modem *modem, const char *id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- call.c: dialling, hanging up, and what the device's bytes do
void call_dial(struct modem *modem);
void call_connected(struct modem *modem);
// At once: what waits for the broker is lost. `is_told`: the device gets a hang-up frame.
void call_end(struct modem *modem, enum pipit_hang_up reason, bool is_told);
// After the broker has got what waits for it.
void call_end_gently(struct modem *modem, enum pipit_hang_up reason);
// Takes bytes that have come through the line; returns how many, 0 when there is no room.
size_t call_take(struct modem *modem, const uint8_t *ptr, size_t len);
bool call_has_room(const struct modem *modem);
// What time does: kill-after, patience, silence, dialling at once. `is_silent`: nothing of the
// device waits.
void call_tick(struct modem *modem, bool is_silent);
// When call_tick wants to be called.
uint64_t call_due_ms(const struct modem *modem);
const char *call_state_name(const struct modem *modem);

// ---- broker.c: its socket, and those of calls that it does not know to be over
void broker_readable(struct modem *modem);
void broker_write(struct modem *modem);
bool broker_wants_read(const struct modem *modem);
// Leaves the socket open, unread, until the broker closes it.
void broker_leave(struct modem *modem);
void broker_ghost_readable(int *ghost);

// ---- device.c: its socket and the line
void device_accept(struct modem *modem);
void device_close(struct modem *modem);
void device_readable(struct modem *modem);
// From the line up to the call, and from the line down to the socket.
void device_pump(struct modem *modem);
uint64_t device_due_ms(const struct modem *modem);

// ---- control.c
void control_init(struct modem *modem);
void control_accept(struct modem *modem);
void control_readable(struct modem *modem, struct control *control);

#endif
