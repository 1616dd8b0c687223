#include "frame.h"

// CLOSED ─open─▶ WIRING ─wire is open─▶ DIALLING ─connected─▶ UP
//   ▲                                       │                  │ damaged frame, hang-up
//   └── close, from everywhere ◀────────────┴──── ENDED ◀──────┘
enum state { CLOSED = 0, WIRING, DIALLING, UP, ENDED };

static struct pipit_framed *framed_of(struct pipit_transport *transport)
{
    return (struct pipit_framed *)(void *)transport;
}

static struct pipit_transport *wire_of(const struct pipit_framed *framed)
{
    return framed->options->wire;
}

// The wire itself is gone, or the call is: nothing more is read or written until close.
static enum pipit_err end(struct pipit_framed *framed, enum pipit_hang_up reason)
{
    framed->reason = reason;
    framed->state = ENDED;
    return PIPIT_ERR_UNREACHABLE;
}

// ---- towards the modem --------------------------------------------------------------------------

// Gives the wire what waits, as far as it takes it.
static enum pipit_err flush(struct pipit_framed *framed)
{
    while (framed->send_at < framed->send_end) {
        int32_t taken = wire_of(framed)->type->write(wire_of(framed),
                                                     framed->options->send_memory + framed->send_at,
                                                     (size_t)(framed->send_end - framed->send_at));
        if (taken < 0) {
            return (enum pipit_err)taken;
        }
        if (taken == 0) {
            return PIPIT_OK;
        }
        framed->send_at = (uint16_t)(framed->send_at + taken);
    }
    framed->send_at = 0;
    framed->send_end = 0;
    return PIPIT_OK;
}

// Over the room behind what still waits, which moves to the front.
static struct pipit_frame_writer writer_begin(struct pipit_framed *framed)
{
    uint8_t *memory = framed->options->send_memory;
    uint16_t len = (uint16_t)(framed->send_end - framed->send_at);
    memmove(memory, memory + framed->send_at, len);
    framed->send_at = 0;
    framed->send_end = len;
    return (struct pipit_frame_writer){
        .ptr = memory, .size = framed->options->send_bytes, .len = len};
}

static bool send_control(struct pipit_framed *framed, enum pipit_frame_kind kind, uint16_t value)
{
    struct pipit_frame_writer writer = writer_begin(framed);
    if (writer.size - writer.len < PIPIT_FRAME_CONTROL) {
        return false;
    }
    pipit_frame_control(&writer, kind, framed->call, value);
    framed->send_end = (uint16_t)writer.len;
    return true;
}

// One frame, handed to the wire as far as it takes it; returns the bytes of content.
static size_t send_data(struct pipit_framed *framed, const uint8_t *ptr, size_t len)
{
    struct pipit_frame_writer writer = writer_begin(framed);
    pipit_frame_begin(&writer, PIPIT_FRAME_DATA, framed->send_number++);
    size_t taken = pipit_frame_add(&writer, ptr, len < framed->send_max ? len : framed->send_max);
    pipit_frame_end(&writer);
    framed->send_end = (uint16_t)writer.len;
    return taken;
}

// Frame after frame while the wire takes them: who writes more than fits a frame need not be woken.
static int32_t framed_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipit_framed *framed = framed_of(transport);
    size_t taken = 0;
    if (framed->state != UP) {
        return PIPIT_ERR_UNREACHABLE;
    }
    enum pipit_err rc = flush(framed);
    while (rc == PIPIT_OK && framed->send_end == 0 && taken < len) {
        taken += send_data(framed, ptr + taken, len - taken);
        rc = flush(framed);
    }
    return rc == PIPIT_OK ? (int32_t)taken : (int32_t)rc;
}

// ---- from the modem -----------------------------------------------------------------------------

static enum pipit_err at_connected(struct pipit_framed *framed)
{
    uint16_t call = pipit_frame_value(&framed->reader, 0);
    uint16_t largest = pipit_frame_value(&framed->reader, 2);
    if (framed->state == DIALLING && call == framed->call && largest > 0) {
        framed->state = UP;
        framed->send_max = largest;
        framed->send_number = 0;
        framed->receive_number = 0;
        return PIPIT_OK;
    }
    // The answer to a dial that was repeated in vain comes before all data; later it says that the
    // modem has begun another call.
    bool is_repeated = call == framed->call && framed->receive_number == 0;
    return framed->state == DIALLING || is_repeated ? PIPIT_OK : end(framed, PIPIT_HANG_UP_CARRIER);
}

static enum pipit_err at_hang_up(struct pipit_framed *framed)
{
    uint16_t call = pipit_frame_value(&framed->reader, 0);
    bool is_ours = call == framed->call || (call == 0 && framed->state == UP);
    if (framed->reader.content_len < 3 || !is_ours) {
        return PIPIT_OK; // Of a former call.
    }
    uint8_t reason = framed->reader.ptr[2 + 2];
    return end(framed, reason <= PIPIT_HANG_UP_NO_CALL ? (enum pipit_hang_up)reason
                                                       : PIPIT_HANG_UP_CARRIER);
}

static enum pipit_err at_data(struct pipit_framed *framed)
{
    if (framed->state != UP) {
        return PIPIT_OK; // Of a former call.
    }
    if (framed->reader.ptr[1] != framed->receive_number) {
        framed->bad_frames++;
        return end(framed, PIPIT_HANG_UP_FRAME);
    }
    framed->receive_number++;
    framed->taken = 0;
    framed->data_end = framed->reader.content_len;
    return PIPIT_OK;
}

static enum pipit_err at_byte(struct pipit_framed *framed, uint8_t byte)
{
    enum pipit_frame_result result = pipit_frame_take(&framed->reader, byte);
    if (result == PIPIT_FRAME_NONE || (result == PIPIT_FRAME_BAD && framed->state != UP)) {
        return PIPIT_OK;
    }
    if (result == PIPIT_FRAME_BAD) {
        framed->bad_frames++;
        return end(framed, PIPIT_HANG_UP_FRAME);
    }
    switch (framed->reader.ptr[0]) {
    case PIPIT_FRAME_DATA:
        return at_data(framed);
    case PIPIT_FRAME_CONNECTED:
        return at_connected(framed);
    case PIPIT_FRAME_HANG_UP:
        return at_hang_up(framed);
    default:
        return PIPIT_OK; // Of a later version.
    }
}

// Reads until data is there, the wire is dry, or the state has changed.
static enum pipit_err receive(struct pipit_framed *framed)
{
    uint8_t state = framed->state;
    enum pipit_err rc = PIPIT_OK;
    while (rc == PIPIT_OK && framed->state == state && framed->taken == framed->data_end) {
        if (framed->raw_at == framed->raw_end) {
            int32_t got =
                wire_of(framed)->type->read(wire_of(framed), framed->raw, sizeof(framed->raw));
            if (got <= 0) {
                return (enum pipit_err)got;
            }
            framed->raw_at = 0;
            framed->raw_end = (uint8_t)got;
        }
        rc = at_byte(framed, framed->raw[framed->raw_at++]);
    }
    return rc;
}

static int32_t framed_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipit_framed *framed = framed_of(transport);
    if (framed->state != UP) {
        return PIPIT_ERR_UNREACHABLE;
    }
    enum pipit_err rc = flush(framed);
    if (rc == PIPIT_OK && framed->taken == framed->data_end) {
        rc = receive(framed);
    }
    if (rc != PIPIT_OK) {
        return rc;
    }
    size_t len = (size_t)(framed->data_end - framed->taken);
    len = len < size ? len : size;
    memcpy(ptr, framed->reader.ptr + 2 + framed->taken, len);
    framed->taken = (uint16_t)(framed->taken + len);
    return (int32_t)len;
}

// ---- calls --------------------------------------------------------------------------------------

static uint32_t dial_ms(const struct pipit_framed *framed)
{
    return framed->options->dial_ms > 0 ? framed->options->dial_ms : 1000;
}

static enum pipit_err dial(struct pipit_framed *framed, uint32_t now_ms)
{
    uint16_t largest = (uint16_t)(framed->options->receive_bytes - PIPIT_FRAME_OVERHEAD);
    bool is_sent = send_control(framed, PIPIT_FRAME_DIAL, largest);
    // Behind what the last call left waiting there may be no room yet: soon again.
    framed->dialled_at_ms = is_sent ? now_ms : now_ms - dial_ms(framed);
    return flush(framed);
}

static enum pipit_err wire_up(struct pipit_framed *framed, uint32_t now_ms)
{
    enum pipit_err rc = PIPIT_OK;
    if (wire_of(framed)->type->open != NULL) {
        rc = wire_of(framed)->type->open(wire_of(framed), now_ms);
    }
    if (rc != PIPIT_OK) {
        return rc;
    }
    framed->state = DIALLING;
    framed->call = framed->call == UINT16_MAX ? 1 : (uint16_t)(framed->call + 1);
    return dial(framed, now_ms);
}

static enum pipit_err framed_open(struct pipit_transport *transport, uint32_t now_ms)
{
    struct pipit_framed *framed = framed_of(transport);
    enum pipit_err rc = PIPIT_OK;
    if (framed->state == CLOSED) {
        framed->state = WIRING;
        framed->reason = PIPIT_HANG_UP_NONE;
    }
    if (framed->state == WIRING) {
        rc = wire_up(framed, now_ms);
    } else if (framed->state == DIALLING && now_ms - framed->dialled_at_ms >= dial_ms(framed)) {
        rc = dial(framed, now_ms);
    }
    if (rc == PIPIT_OK && framed->state == DIALLING) {
        rc = flush(framed);
    }
    if (rc == PIPIT_OK && framed->state == DIALLING) {
        rc = receive(framed);
    }
    if (rc != PIPIT_OK) {
        return rc;
    }
    if (framed->state == ENDED) {
        return PIPIT_ERR_UNREACHABLE;
    }
    return framed->state == UP ? PIPIT_OK : PIPIT_ERR_BUSY;
}

static void framed_close(struct pipit_transport *transport)
{
    struct pipit_framed *framed = framed_of(transport);
    if (framed->state >= DIALLING) {
        // What the wire does not take now goes with the next call's dial, in this order.
        if (send_control(framed, PIPIT_FRAME_HANG_UP, PIPIT_HANG_UP_ASKED)) {
            (void)flush(framed);
        }
    }
    if (framed->state != CLOSED && wire_of(framed)->type->close != NULL) {
        wire_of(framed)->type->close(wire_of(framed));
        framed->send_at = 0;
        framed->send_end = 0;
        framed->raw_at = 0;
        framed->raw_end = 0;
        pipit_frame_reader_init(&framed->reader, framed->reader.ptr, framed->reader.size);
    }
    framed->state = CLOSED;
    framed->taken = 0;
    framed->data_end = 0;
}

static const struct pipit_transport_type framed_type = {
    .write = framed_write, .read = framed_read, .open = framed_open, .close = framed_close};

enum pipit_err pipit_framed_init(struct pipit_framed *framed,
                                 const struct pipit_framed_options *options)
{
    if (options->wire == NULL || options->send_memory == NULL || options->receive_memory == NULL ||
        options->send_bytes < PIPIT_FRAMED_SEND_MIN || options->send_bytes > UINT16_MAX ||
        options->receive_bytes < PIPIT_FRAMED_RECEIVE_MIN || options->receive_bytes > UINT16_MAX) {
        return PIPIT_ERR_ARGUMENT;
    }
    memset(framed, 0, sizeof(*framed));
    framed->base.type = &framed_type;
    framed->options = options;
    framed->call = options->call;
    pipit_frame_reader_init(&framed->reader, options->receive_memory,
                            (uint16_t)options->receive_bytes);
    return PIPIT_OK;
}
