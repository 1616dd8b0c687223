#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "modem.h"
#include "net.h"

static const char *const reasons[] = {"none",    "asked", "unreachable",
                                      "carrier", "frame", "no-call"};

static void enter(struct modem *modem, enum call_state state)
{
    modem->state = state;
    modem->state_at_ms = modem->now_ms;
}

const char *call_state_name(const struct modem *modem)
{
    static const char *const names[] = {"idle", "dialling", "up", "ending", "lost"};
    return names[modem->state];
}

// ---- frames to the device -----------------------------------------------------------------------

// A control frame that finds no room is lost: the device asks again.
static void say(struct modem *modem, enum pipit_frame_kind kind, uint16_t call, uint16_t value)
{
    uint8_t memory[PIPIT_FRAME_CONTROL];
    struct pipit_frame_writer writer = {.ptr = memory, .size = sizeof(memory)};
    pipit_frame_control(&writer, kind, call, value);
    if (modem->device >= 0 && line_room(&modem->down) >= writer.len) {
        line_put(&modem->down, memory, writer.len, modem->now_ms);
    }
}

// ---- begin --------------------------------------------------------------------------------------

void call_dial(struct modem *modem)
{
    assert(modem->broker < 0);
    modem->flow = modem->flow == FLOW_HALF_OPEN ? FLOW_FORWARD : modem->flow;
    modem->to_broker_len = 0;
    modem->call_up = 0;
    modem->call_down = 0;
    modem->up_number = 0;
    modem->down_number = 0;
    modem->is_exchanged = false;
    modem->is_broker_shut = false;
    modem->is_broker_blocked = false;
    enter(modem, CALL_DIALLING);
    modem_log(modem, "MODEM-DIAL", "broker=%u call=%u", modem->options.broker, modem->call);
    modem->broker = net_connect(modem->options.broker);
    if (modem->broker < 0) {
        modem->totals.refused++;
        modem_log(modem, "MODEM-REFUSED", "err=\"%s\"", strerror(errno));
        call_end(modem, PIPIT_HANG_UP_UNREACHABLE, true);
    }
}

void call_connected(struct modem *modem)
{
    int error = net_connected(modem->broker);
    if (error != 0) {
        modem->totals.refused++;
        modem_log(modem, "MODEM-REFUSED", "err=\"%s\"", strerror(error));
        call_end(modem, PIPIT_HANG_UP_UNREACHABLE, true);
        return;
    }
    modem->totals.calls++;
    modem_log(modem, "MODEM-UP", "call=%u", modem->call);
    enter(modem, CALL_UP);
    if (modem->options.is_framed) {
        say(modem, PIPIT_FRAME_CONNECTED, modem->call, CONTENT_MAX);
    }
}

// ---- end ----------------------------------------------------------------------------------------

static void count_end(struct modem *modem, enum pipit_hang_up reason)
{
    modem->totals.ended++;
    modem->totals.bad += reason == PIPIT_HANG_UP_FRAME;
    modem->totals.carrier += reason == PIPIT_HANG_UP_CARRIER;
    modem->totals.asked += reason == PIPIT_HANG_UP_ASKED;
}

void call_end(struct modem *modem, enum pipit_hang_up reason, bool is_told)
{
    bool was_up = modem->state == CALL_UP || modem->state == CALL_ENDING;
    if (modem->state == CALL_IDLE || modem->state == CALL_LOST) {
        return;
    }
    if (modem->flow == FLOW_HALF_OPEN && reason != PIPIT_HANG_UP_CARRIER && modem->broker >= 0) {
        broker_leave(modem);
    }
    net_close(&modem->broker);
    modem->to_broker_len = 0;
    if (was_up) {
        count_end(modem, reason);
        modem_log(modem, "MODEM-END", "call=%u reason=%s up=%" PRIu64 " down=%" PRIu64, modem->call,
                  reasons[reason], modem->call_up, modem->call_down);
    }
    if (modem->options.is_framed) {
        enter(modem, CALL_IDLE);
        if (is_told) {
            say(modem, PIPIT_FRAME_HANG_UP, modem->call, (uint16_t)reason);
        }
    } else {
        enter(modem, modem->device >= 0 ? CALL_LOST : CALL_IDLE);
    }
    modem->is_device_ending = modem->options.is_device_closed && modem->device >= 0;
}

void call_end_gently(struct modem *modem, enum pipit_hang_up reason)
{
    if (modem->state == CALL_UP && modem->flow == FLOW_FORWARD) {
        modem->reason = reason;
        enter(modem, CALL_ENDING);
    } else if (modem->state != CALL_ENDING) {
        call_end(modem, reason, reason != PIPIT_HANG_UP_ASKED);
    }
}

// ---- bytes of the device ------------------------------------------------------------------------

// For the broker, as much as there is room for and kill-after leaves.
static size_t forward(struct modem *modem, const uint8_t *ptr, size_t len)
{
    uint64_t limit = modem->up.faults.kill_after;
    size_t room = TO_BROKER_MAX - modem->to_broker_len;
    if (modem->flow == FLOW_HALF_OPEN) {
        modem->totals.swallowed += len;
        return len;
    }
    len = len < room ? len : room;
    if (limit > 0 && modem->call_up + len > limit) {
        len = limit > modem->call_up ? (size_t)(limit - modem->call_up) : 0;
    }
    memcpy(modem->to_broker + modem->to_broker_len, ptr, len);
    modem->to_broker_len += len;
    modem->call_up += len;
    return len;
}

static size_t take_transparent(struct modem *modem, const uint8_t *ptr, size_t len)
{
    if (modem->state == CALL_IDLE && modem->device >= 0) { // Who has left dials no more.
        call_dial(modem);
    }
    if (modem->state == CALL_DIALLING) { // What is said meanwhile waits in the line.
        return 0;
    }
    if (modem->state == CALL_UP) {
        return forward(modem, ptr, len);
    }
    modem->totals.thrown += len;
    return len;
}

static void at_dial(struct modem *modem, uint16_t call, uint16_t device_max)
{
    bool is_same = call == modem->call && !modem->is_exchanged;
    if (call == 0 || device_max == 0) {
        return;
    }
    if (is_same && modem->state == CALL_DIALLING) {
        return; // The answer is on its way.
    }
    if (is_same && modem->state == CALL_UP) {
        say(modem, PIPIT_FRAME_CONNECTED, call, CONTENT_MAX);
        return;
    }
    call_end(modem, PIPIT_HANG_UP_ASKED, false);
    modem->call = call;
    modem->device_max = device_max < CONTENT_MAX ? device_max : CONTENT_MAX;
    call_dial(modem);
}

static void at_data(struct modem *modem)
{
    if (modem->state == CALL_IDLE) {
        say(modem, PIPIT_FRAME_HANG_UP, 0, PIPIT_HANG_UP_NO_CALL);
    }
    if (modem->state != CALL_UP) {
        modem->totals.thrown += modem->reader.content_len;
        return;
    }
    if (modem->body[1] != modem->up_number) {
        call_end(modem, PIPIT_HANG_UP_FRAME, true);
        return;
    }
    modem->up_number++;
    modem->is_exchanged = true;
    (void)forward(modem, modem->body + 2, modem->reader.content_len);
}

static void at_frame(struct modem *modem)
{
    uint16_t call = pipit_frame_value(&modem->reader, 0);
    switch (modem->body[0]) {
    case PIPIT_FRAME_DATA:
        at_data(modem);
        break;
    case PIPIT_FRAME_DIAL:
        at_dial(modem, call, pipit_frame_value(&modem->reader, 2));
        break;
    case PIPIT_FRAME_HANG_UP:
        if (modem->reader.content_len >= 3 && (call == modem->call || call == 0)) {
            call_end_gently(modem, PIPIT_HANG_UP_ASKED);
        }
        break;
    default:
        break;
    }
}

// A frame's content goes whole or not at all, so none is read without room for the largest; and
// before a call is over nothing is heard of the next.
bool call_has_room(const struct modem *modem)
{
    if (modem->options.is_framed) {
        return modem->state != CALL_ENDING && TO_BROKER_MAX - modem->to_broker_len >= CONTENT_MAX;
    }
    return modem->state != CALL_DIALLING && modem->to_broker_len < TO_BROKER_MAX;
}

static size_t take_framed(struct modem *modem, const uint8_t *ptr, size_t len)
{
    size_t taken = 0;
    while (taken < len && call_has_room(modem)) {
        enum pipit_frame_result result = pipit_frame_take(&modem->reader, ptr[taken++]);
        if (result == PIPIT_FRAME_GOOD) {
            at_frame(modem);
        } else if (result == PIPIT_FRAME_BAD && modem->state == CALL_UP) {
            call_end(modem, PIPIT_HANG_UP_FRAME, true);
        }
    }
    return taken;
}

size_t call_take(struct modem *modem, const uint8_t *ptr, size_t len)
{
    return modem->options.is_framed ? take_framed(modem, ptr, len)
                                    : take_transparent(modem, ptr, len);
}

// ---- time ---------------------------------------------------------------------------------------

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t call_due_ms(const struct modem *modem)
{
    switch (modem->state) {
    case CALL_DIALLING:
    case CALL_ENDING:
        return modem->state_at_ms + PATIENCE_MS;
    case CALL_LOST:
        return later(modem->heard_at_ms, modem->state_at_ms) + modem->options.redial_idle_ms;
    case CALL_UP:
        return modem->options.idle_hangup_ms == 0
                   ? UINT64_MAX
                   : later(modem->heard_at_ms, modem->state_at_ms) + modem->options.idle_hangup_ms;
    case CALL_IDLE:
        break;
    }
    return UINT64_MAX;
}

static bool is_used_up(const struct line *line, uint64_t bytes)
{
    return line->faults.kill_after > 0 && bytes >= line->faults.kill_after;
}

static void kill_after(struct modem *modem)
{
    if (modem->state == CALL_UP &&
        (is_used_up(&modem->up, modem->call_up) || is_used_up(&modem->down, modem->call_down))) {
        modem->totals.killed++;
        call_end_gently(modem, PIPIT_HANG_UP_CARRIER);
    }
}

void call_tick(struct modem *modem, bool is_silent)
{
    kill_after(modem);
    bool is_due = modem->now_ms >= call_due_ms(modem);
    if (is_due && modem->state == CALL_DIALLING) {
        modem->totals.refused++;
        modem_log(modem, "MODEM-REFUSED", "err=\"no answer\"");
        call_end(modem, PIPIT_HANG_UP_UNREACHABLE, true);
    } else if (is_due && modem->state == CALL_ENDING) {
        call_end(modem, modem->reason, modem->reason != PIPIT_HANG_UP_ASKED);
    } else if (is_due && is_silent && modem->state == CALL_UP) {
        call_end_gently(modem, PIPIT_HANG_UP_ASKED);
    } else if (is_due && is_silent && modem->state == CALL_LOST) {
        modem_log(modem, "MODEM-READY", "silent_ms=%u", modem->options.redial_idle_ms);
        enter(modem, CALL_IDLE);
    }
    if (modem->state == CALL_IDLE && modem->options.is_dialled_at_once && modem->device >= 0 &&
        !modem->is_device_ending) {
        call_dial(modem);
    }
}
