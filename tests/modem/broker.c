#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "modem.h"
#include "net.h"

// Bytes to read now: what fits into the line, also as a frame, and what kill-after leaves.
static size_t read_max(const struct modem *modem)
{
    uint64_t limit = modem->down.faults.kill_after;
    size_t room = line_room(&modem->down);
    size_t max = room < 16384 ? room : 16384;
    if (modem->options.is_framed) { // Leaves room for control frames.
        bool is_room = room >= PIPIT_FRAME_LINE(modem->device_max) + 4 * PIPIT_FRAME_CONTROL;
        max = is_room ? modem->device_max : 0;
    }
    if (limit > 0 && modem->call_down + max > limit) {
        max = limit > modem->call_down ? (size_t)(limit - modem->call_down) : 0;
    }
    return max;
}

bool broker_wants_read(const struct modem *modem)
{
    if (modem->flow == FLOW_STALLED || modem->broker < 0) {
        return false;
    }
    return modem->state == CALL_ENDING ||
           (modem->state == CALL_UP && (modem->flow == FLOW_HALF_OPEN || read_max(modem) > 0));
}

static void pass_down(struct modem *modem, const uint8_t *ptr, size_t len)
{
    uint8_t memory[PIPIT_FRAME_LINE(CONTENT_MAX)];
    struct pipit_frame_writer writer = {.ptr = memory, .size = sizeof(memory)};
    modem->call_down += len;
    if (!modem->options.is_framed) {
        line_put(&modem->down, ptr, len, modem->now_ms);
        return;
    }
    modem->is_exchanged = true;
    pipit_frame_begin(&writer, PIPIT_FRAME_DATA, modem->down_number++);
    (void)pipit_frame_add(&writer, ptr, len);
    pipit_frame_end(&writer);
    line_put(&modem->down, memory, writer.len, modem->now_ms);
}

// The broker has hung up. A device behind a half-open line with frames is not told.
static void at_end(struct modem *modem)
{
    if (modem->state == CALL_ENDING) {
        call_end(modem, modem->reason, modem->reason != PIPIT_HANG_UP_ASKED);
    } else if (modem->flow == FLOW_HALF_OPEN && modem->options.is_framed) {
        net_close(&modem->broker);
    } else {
        call_end(modem, PIPIT_HANG_UP_CARRIER, true);
    }
}

void broker_readable(struct modem *modem)
{
    uint8_t bytes[16384];
    bool is_lost = modem->state == CALL_ENDING || modem->flow == FLOW_HALF_OPEN;
    ssize_t got = read(modem->broker, bytes, is_lost ? sizeof(bytes) : read_max(modem));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        at_end(modem);
        return;
    }
    if (is_lost) {
        modem->totals.swallowed += modem->flow == FLOW_HALF_OPEN ? (uint64_t)got : 0;
        return;
    }
    pass_down(modem, bytes, (size_t)got);
}

void broker_write(struct modem *modem)
{
    size_t len = line_pace(&modem->up, modem->to_broker_len, modem->now_ms);
    bool is_open = modem->state == CALL_UP || modem->state == CALL_ENDING;
    if (!is_open || modem->broker < 0 || modem->flow != FLOW_FORWARD) {
        return;
    }
    if (len > 0 && !modem->is_broker_blocked) {
        ssize_t sent = send(modem->broker, modem->to_broker, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            at_end(modem);
            return;
        }
        modem->is_broker_blocked = sent < 0;
        if (sent > 0) {
            line_wrote(&modem->up, modem->now_ms);
            modem->to_broker_len -= (size_t)sent;
            memmove(modem->to_broker, modem->to_broker + sent, modem->to_broker_len);
        }
    }
    // The broker closes when it has read everything; closing first could make that vanish.
    if (modem->state == CALL_ENDING && modem->to_broker_len == 0 && !modem->is_broker_shut) {
        (void)shutdown(modem->broker, SHUT_WR);
        modem->is_broker_shut = true;
    }
}

void broker_leave(struct modem *modem)
{
    net_close(&modem->ghosts[GHOSTS_MAX - 1]); // The oldest.
    memmove(modem->ghosts + 1, modem->ghosts, (GHOSTS_MAX - 1) * sizeof(modem->ghosts[0]));
    modem->ghosts[0] = modem->broker;
    modem->broker = -1;
}

void broker_ghost_readable(int *ghost)
{
    uint8_t bytes[4096];
    ssize_t got = read(*ghost, bytes, sizeof(bytes));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
        net_close(ghost);
    }
}
