#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "modem.h"
#include "net.h"

static void forget_line(struct modem *modem)
{
    line_clear(&modem->up);
    line_clear(&modem->down);
    pipit_frame_reader_init(&modem->reader, modem->body, sizeof(modem->body));
    modem->is_device_blocked = false;
    modem->is_device_left = false;
    modem->is_device_ending = false;
}

void device_close(struct modem *modem)
{
    if (modem->device >= 0) {
        modem_log(modem, "MODEM-UNPLUGGED", "state=%s", call_state_name(modem));
        net_close(&modem->device);
    }
}

void device_accept(struct modem *modem)
{
    int fd = net_accept(modem->device_listener);
    if (fd < 0) {
        return;
    }
    device_close(modem);
    call_end(modem, PIPIT_HANG_UP_ASKED, false);
    forget_line(modem);
    modem->state = CALL_IDLE;
    modem->flow = modem->flow == FLOW_HALF_OPEN ? FLOW_FORWARD : modem->flow;
    modem->device = fd;
    modem->call = 0;
    modem->heard_at_ms = modem->now_ms;
    modem->totals.devices++;
    modem_log(modem, "MODEM-PLUGGED", "devices=%llu", (unsigned long long)modem->totals.devices);
}

void device_readable(struct modem *modem)
{
    uint8_t bytes[16384];
    size_t room = line_room(&modem->up);
    ssize_t got = read(modem->device, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        device_close(modem);
        modem->is_device_left = true;
        line_clear(&modem->down);
        return;
    }
    modem->heard_at_ms = modem->now_ms;
    line_put(&modem->up, bytes, (size_t)got, modem->now_ms);
}

static void pump_up(struct modem *modem)
{
    const uint8_t *ptr = NULL;
    size_t len = 0, taken = 1;
    while (taken > 0 && (len = line_peek(&modem->up, modem->now_ms, &ptr)) > 0) {
        taken = call_take(modem, ptr, len);
        if (taken > 0) {
            line_take(&modem->up, taken);
        }
    }
    // The last thing that a device said goes to the broker before it is told.
    if (modem->is_device_left && modem->up.len == 0 && modem->state != CALL_DIALLING) {
        modem->is_device_left = false;
        if (modem->flow != FLOW_HALF_OPEN) {
            call_end_gently(modem, PIPIT_HANG_UP_ASKED);
        }
    }
}

static void pump_down(struct modem *modem)
{
    const uint8_t *ptr = NULL;
    size_t len = 0;
    while (modem->device >= 0 && !modem->is_device_blocked &&
           (len = line_peek(&modem->down, modem->now_ms, &ptr)) > 0 &&
           (len = line_pace(&modem->down, len, modem->now_ms)) > 0) {
        ssize_t sent = send(modem->device, ptr, len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            device_close(modem);
            modem->is_device_left = true;
            line_clear(&modem->down);
            return;
        }
        modem->is_device_blocked = sent < 0;
        if (sent > 0) {
            line_take(&modem->down, (size_t)sent);
            line_wrote(&modem->down, modem->now_ms);
        }
    }
    if (modem->is_device_ending && modem->down.len == 0) {
        device_close(modem);
        forget_line(modem);
        modem->state = CALL_IDLE;
    }
}

void device_pump(struct modem *modem)
{
    if (modem->flow != FLOW_STALLED) {
        pump_up(modem);
        pump_down(modem);
    }
}

static uint64_t paced_ms(const struct line *line, uint64_t due_ms)
{
    bool is_paced = line->faults.split_bytes > 0 && line->next_write_ms > due_ms;
    return is_paced ? line->next_write_ms : due_ms;
}

uint64_t device_due_ms(const struct modem *modem)
{
    uint64_t due_ms = UINT64_MAX;
    if (modem->flow == FLOW_STALLED) {
        return due_ms;
    }
    if (line_due_ms(&modem->up) > modem->now_ms || call_has_room(modem)) {
        due_ms = line_due_ms(&modem->up);
    }
    if (modem->down.len > 0 && modem->device >= 0 && !modem->is_device_blocked) {
        uint64_t down_ms = paced_ms(&modem->down, line_due_ms(&modem->down));
        due_ms = down_ms < due_ms ? down_ms : due_ms;
    }
    if (modem->to_broker_len > 0 && modem->broker >= 0 && !modem->is_broker_blocked &&
        modem->state != CALL_DIALLING && modem->flow == FLOW_FORWARD) {
        uint64_t up_ms = paced_ms(&modem->up, 0);
        due_ms = up_ms < due_ms ? up_ms : due_ms;
    }
    return due_ms;
}
