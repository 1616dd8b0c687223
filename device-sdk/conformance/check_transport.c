#include "check.h"

#define GUARD_BYTES  8u
#define GUARD        0xA5u
#define CHUNK_MAX    96u
#define READ_MAX     64u
#define ORDER_BYTES  20000u
#define UNDER_WAY    4096u // Where the peer has flow control.
#define HANG_UP      "pipit: hang up!\n"
#define PRESSURE_MAX 0x4000000u

// ---- calls, each held to its contract ----------------------------------------------------------

static bool is_quick(struct check_run *run, uint32_t begin_ms, const char *call)
{
    uint32_t ms = check_now(run) - begin_ms;
    if (ms <= CHECK_CALL_MAX || ++run->slow_count <= CHECK_SLOW_MAX) {
        return true;
    }
    (void)check_fail(run, call);
    check_add(run, " blocked for ");
    check_add_number(run, ms);
    check_add(run, " ms");
    return false;
}

// Bytes taken; negative after check_fail.
static int32_t line_write(struct check_run *run, const uint8_t *ptr, size_t len)
{
    struct pipit_transport *transport = run->options->transport;
    uint32_t begin_ms = check_now(run);
    int32_t count = transport->type->write(transport, ptr, len);
    if (!is_quick(run, begin_ms, "write")) {
        return -1;
    }
    if (count > 0 && (size_t)count > len) {
        (void)check_fail(run, "write took more bytes than it was given");
        return -1;
    }
    if (count < 0) {
        (void)check_fail(run, "write says that the connection is gone, and it is not");
    }
    return count;
}

// Reads at most READ_MAX bytes to memory + at. Bytes read; negative after check_fail.
static int32_t line_read(struct check_run *run, size_t at, size_t size)
{
    struct pipit_transport *transport = run->options->transport;
    uint8_t *ptr = run->options->memory + GUARD_BYTES + at;
    memset(run->options->memory, GUARD, 2 * GUARD_BYTES + at + size);
    uint32_t begin_ms = check_now(run);
    int32_t count = transport->type->read(transport, ptr, size);
    if (!is_quick(run, begin_ms, "read")) {
        return -1;
    }
    if (count > 0 && (size_t)count > size) {
        (void)check_fail(run, "read gave more bytes than there was room for");
        return -1;
    }
    size_t used = count > 0 ? (size_t)count : 0;
    for (size_t i = 0; i < 2 * GUARD_BYTES + at + size; i++) {
        bool is_data = i >= GUARD_BYTES + at && i < GUARD_BYTES + at + used;
        if (!is_data && run->options->memory[i] != GUARD) {
            (void)check_fail(run, "read wrote beside its place: is the address taken as a word's?");
            return -1;
        }
    }
    if (count < 0) {
        (void)check_fail(run, "read says that the connection is gone, and it is not");
    }
    return count;
}

static void line_close(struct check_run *run)
{
    const struct pipit_transport_type *type = run->options->transport->type;
    if (type->close != NULL) {
        type->close(run->options->transport);
    }
    run->is_open = false;
}

static bool line_open(struct check_run *run)
{
    struct pipit_transport *transport = run->options->transport;
    uint32_t begin_ms = check_now(run);
    enum pipit_err rc = transport->type->open == NULL ? PIPIT_OK : PIPIT_ERR_BUSY;
    while (rc == PIPIT_ERR_BUSY && check_now(run) - begin_ms <= check_timeout(run)) {
        uint32_t call_ms = check_now(run);
        rc = transport->type->open(transport, call_ms);
        if (!is_quick(run, call_ms, "open")) {
            line_close(run);
            return false;
        }
        check_idle(run);
    }
    run->is_open = rc == PIPIT_OK;
    if (!run->is_open) {
        line_close(run);
        (void)check_fail(run, rc == PIPIT_ERR_BUSY ? "open never ends" : "open fails: ");
        check_add(run, rc == PIPIT_ERR_BUSY ? "" : pipit_err_text(rc));
    }
    return run->is_open;
}

static bool is_ready(struct check_run *run)
{
    if (run->options->transport == NULL) {
        return check_leave_out(run, "there is no transport");
    }
    if (!run->is_clock_right) {
        return check_leave_out(run, "the clock has to be right first");
    }
    return run->is_open || line_open(run);
}

// ---- sending and taking back -------------------------------------------------------------------

// One exchange: what the generators have made and found so far.
struct exchange {
    struct check_stream sent;
    struct check_stream taken;
    uint32_t sent_count; // Bytes that write has taken.
    uint32_t taken_count;
    uint32_t news_at_ms;
    uint8_t chunk[CHUNK_MAX + 4];
    uint8_t chunk_at;
    uint8_t chunk_end;
    bool was_full; // Write has once taken less than it was given.
};

static void exchange_init(struct check_run *run, struct exchange *exchange, uint32_t seed)
{
    memset(exchange, 0, sizeof(*exchange));
    exchange->sent.state = seed;
    exchange->taken.state = seed;
    exchange->news_at_ms = check_now(run);
}

// Writes once, at most `max` bytes, from any alignment. False after check_fail.
static bool exchange_send(struct check_run *run, struct exchange *exchange, uint32_t max)
{
    if (exchange->chunk_at == exchange->chunk_end) {
        uint32_t len = 1 + exchange->sent_count % CHUNK_MAX;
        uint8_t at = (uint8_t)(exchange->sent_count & 3u);
        len = len < max ? len : max;
        exchange->chunk_at = at;
        exchange->chunk_end = at;
        while (len-- > 0) {
            exchange->chunk[exchange->chunk_end++] = check_stream_next(&exchange->sent);
        }
    }
    size_t len = (size_t)(exchange->chunk_end - exchange->chunk_at);
    int32_t count = line_write(run, exchange->chunk + exchange->chunk_at, len);
    if (count < 0) {
        return false;
    }
    exchange->was_full = exchange->was_full || (size_t)count < len;
    exchange->chunk_at = (uint8_t)(exchange->chunk_at + count);
    exchange->sent_count += (uint32_t)count;
    if (count > 0) {
        exchange->news_at_ms = check_now(run);
    }
    return true;
}

static bool wrong_byte(struct check_run *run, uint32_t place, uint8_t want, uint8_t got)
{
    (void)check_fail(run, "byte ");
    check_add_number(run, place);
    check_add(run, " came as ");
    check_add_byte(run, got);
    check_add(run, " instead of ");
    check_add_byte(run, want);
    check_add(run, ": lost, doubled, changed or out of order");
    return false;
}

// Reads once and compares. False after check_fail.
static bool exchange_take(struct check_run *run, struct exchange *exchange, size_t size)
{
    size_t at = exchange->taken_count & 3u;
    int32_t count = line_read(run, at, size);
    for (int32_t i = 0; i < count; i++) {
        uint8_t want = check_stream_next(&exchange->taken);
        uint8_t got = run->options->memory[GUARD_BYTES + at + (size_t)i];
        if (exchange->taken_count == exchange->sent_count) {
            return check_fail(run, "more bytes come back than were sent");
        }
        if (got != want) {
            return wrong_byte(run, exchange->taken_count, want, got);
        }
        exchange->taken_count++;
    }
    if (count > 0) {
        exchange->news_at_ms = check_now(run);
    } else if (count == 0) {
        check_idle(run);
    }
    return count >= 0;
}

static bool is_silent(struct check_run *run, const struct exchange *exchange)
{
    if (check_now(run) - exchange->news_at_ms <= check_timeout(run)) {
        return false;
    }
    (void)check_fail(run, "of ");
    check_add_number(run, exchange->sent_count);
    check_add(run, " bytes that write took ");
    check_add_number(run, exchange->taken_count);
    check_add(run, " came back: the rest is lost");
    return true;
}

static uint32_t window(const struct check_run *run)
{
    return run->options->window_bytes != 0 ? run->options->window_bytes : UNDER_WAY;
}

// Sends `total` bytes and takes them back, never more than the window under way.
static bool exchange_run(struct check_run *run, struct exchange *exchange, uint32_t total,
                         size_t read_size)
{
    while (exchange->taken_count < total) {
        uint32_t under_way = exchange->sent_count - exchange->taken_count;
        uint32_t room = under_way < window(run) ? window(run) - under_way : 0;
        uint32_t left = total - exchange->sent_count;
        bool has_chunk = exchange->chunk_at < exchange->chunk_end; // Counted in the room already.
        if ((has_chunk || (room > 0 && left > 0)) &&
            !exchange_send(run, exchange, left < room ? left : room)) {
            return false;
        }
        if (!exchange_take(run, exchange, read_size) || is_silent(run, exchange)) {
            return false;
        }
    }
    return true;
}

// ---- checks ------------------------------------------------------------------------------------

static bool transport_opens(struct check_run *run)
{
    return is_ready(run);
}

static bool transport_is_silent(struct check_run *run)
{
    if (!is_ready(run)) {
        return false;
    }
    int32_t count = 0;
    for (unsigned i = 0; i <= CHECK_SLOW_MAX && count == 0; i++) {
        count = line_read(run, i, READ_MAX);
    }
    return count > 0 ? check_fail(run, "bytes come that were not sent") : count == 0;
}

static bool transport_takes_nothing(struct check_run *run)
{
    uint8_t byte = 0;
    if (!is_ready(run)) {
        return false;
    }
    int32_t count = line_write(run, &byte, 0);
    if (count == 0) {
        count = line_read(run, 1, 0);
    }
    return count == 0;
}

// Waits for one byte. -1 when none comes, -2 after check_fail.
static int value_back(struct check_run *run)
{
    uint32_t begin_ms = check_now(run);
    while (check_now(run) - begin_ms <= check_timeout(run)) {
        int32_t count = line_read(run, 3, 1);
        if (count != 0) {
            return count > 0 ? run->options->memory[GUARD_BYTES + 3] : -2;
        }
        check_idle(run);
    }
    return -1;
}

static bool value_passes(struct check_run *run, uint8_t value)
{
    uint32_t begin_ms = check_now(run);
    int32_t count = 0;
    while (count == 0 && check_now(run) - begin_ms <= check_timeout(run)) {
        count = line_write(run, &value, 1);
    }
    if (count < 0) {
        return false;
    }
    int back = count > 0 ? value_back(run) : -1;
    if (back == value || back == -2) {
        return back == value;
    }
    (void)check_fail(run, "");
    check_add_byte(run, value);
    check_add(run, back < 0 ? " does not come back" : " comes back as ");
    if (back >= 0) {
        check_add_byte(run, (uint8_t)back);
    }
    check_add(run, value == 0x11 || value == 0x13 ? ": is there software flow control (XON, XOFF)?"
                   : value == '\r' || value == '\n' ? ": are line ends translated?"
                   : value >= 0x80                  ? ": are there 8 data bits?"
                                                    : "");
    return false;
}

static bool transport_passes_values(struct check_run *run)
{
    if (!is_ready(run)) {
        return false;
    }
    for (unsigned value = 0; value < 256; value++) {
        if (!value_passes(run, (uint8_t)value)) {
            line_close(run); // What comes late must not count in the next check.
            return false;
        }
    }
    return true;
}

static bool transport_keeps_order(struct check_run *run)
{
    struct exchange exchange;
    if (!is_ready(run)) {
        return false;
    }
    exchange_init(run, &exchange, 0x50697069u);
    if (!exchange_run(run, &exchange, ORDER_BYTES, READ_MAX) ||
        !exchange_run(run, &exchange, ORDER_BYTES + 500, 1)) { // A byte each read.
        line_close(run);
        return false;
    }
    return true;
}

// Writes without reading until no more is taken: that must be said by a short count, and all that
// was taken must come back.
static bool transport_presses_back(struct check_run *run)
{
    uint32_t max = run->options->pressure_bytes != 0 ? run->options->pressure_bytes : PRESSURE_MAX;
    struct exchange exchange;
    if (!is_ready(run)) {
        return false;
    }
    if (run->options->window_bytes != 0) {
        return check_leave_out(run, "the line has a window: it would lose what is not read");
    }
    exchange_init(run, &exchange, 0x74726565u);
    while (exchange.sent_count < max) {
        uint32_t before = exchange.sent_count;
        if (!exchange_send(run, &exchange, CHUNK_MAX)) {
            line_close(run);
            return false;
        }
        if (exchange.sent_count == before) {
            check_idle(run);
            if (check_now(run) - exchange.news_at_ms > CHECK_CALL_MAX) {
                break; // Nothing more is taken: full from end to end.
            }
        }
    }
    uint32_t total = exchange.sent_count + (uint32_t)(exchange.chunk_end - exchange.chunk_at);
    bool is_right = exchange.was_full && exchange_run(run, &exchange, total, READ_MAX);
    if (!exchange.was_full) {
        (void)check_fail(run, "write took ");
        check_add_number(run, exchange.sent_count);
        check_add(run, " bytes that nobody read: where are they?");
    }
    line_close(run);
    return is_right;
}

static bool transport_reopens(struct check_run *run)
{
    static const uint8_t old[] = "bytes of the former connection";
    struct exchange exchange;
    for (unsigned i = 0; i < 3; i++) {
        if (!is_ready(run) || line_write(run, old, sizeof(old)) < 0) {
            return false;
        }
        line_close(run);
        line_close(run); // Also when it is closed already.
        if (!line_open(run)) {
            return false;
        }
        exchange_init(run, &exchange, 77 + i);
        if (!exchange_run(run, &exchange, 300, READ_MAX)) {
            check_add(run, " (after close and open)");
            line_close(run);
            return false;
        }
    }
    return true;
}

static bool transport_tells_hang_up(struct check_run *run)
{
    const struct pipit_transport_type *type;
    static const uint8_t words[] = HANG_UP;
    if (!is_ready(run)) {
        return false;
    }
    if (!run->options->is_peer_echo) {
        return check_leave_out(run, "the peer cannot hang up (is_peer_echo)");
    }
    type = run->options->transport->type;
    if (line_write(run, words, sizeof(words) - 1) != (int32_t)(sizeof(words) - 1)) {
        return check_fail(run, "16 bytes were not taken at once");
    }
    uint32_t begin_ms = check_now(run);
    int32_t count = 0;
    while (count >= 0 && check_now(run) - begin_ms <= check_timeout(run)) {
        count = type->read(run->options->transport, run->options->memory, READ_MAX);
        check_idle(run);
    }
    line_close(run);
    if (count >= 0) {
        return check_fail(run, "the peer has hung up, and read goes on as if it had not");
    }
    return line_open(run); // A new connection can be made at once.
}

static bool transport_closes(struct check_run *run)
{
    if (run->options->transport == NULL) {
        return check_leave_out(run, "there is no transport");
    }
    line_close(run);
    line_close(run);
    return true;
}

const struct check check_transport[] = {
    {"transport: opens", transport_opens},
    {"transport: is silent while nothing is sent", transport_is_silent},
    {"transport: a length of 0 is no error", transport_takes_nothing},
    {"transport: every value passes", transport_passes_values},
    {"transport: bytes in order, any length and alignment", transport_keeps_order},
    {"transport: says when it is full", transport_presses_back},
    {"transport: closes and opens again", transport_reopens},
    {"transport: tells that the peer is gone", transport_tells_hang_up},
    {"transport: close may be called twice", transport_closes},
    {NULL, NULL},
};
