// What a line brings to a device with frames: damaged bytes, and whole frames with anything in
// them. What is read must be the content of the frames that a slow, simple reader of this file
// accepts.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../device-sdk/ports/framed/frame.h"
#include "fuzz.h"

const uint32_t fuzz_count = 100000;

#define RECEIVE_BYTES 24u // Small, so that bodies that are too long are common.
#define LINE_BYTES    (8 * FUZZ_INPUT_MAX)

struct line {
    struct pipit_transport base;
    uint8_t *due; // As long as the allocation, so that reading past it is caught.
    size_t len, taken, piece;
};

static int32_t line_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    (void)ptr;
    return (int32_t)len;
}

static int32_t line_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct line *line = (struct line *)(void *)transport;
    size_t len = line->len - line->taken;
    len = len < size ? len : size;
    len = len < line->piece ? len : line->piece;
    memcpy(ptr, line->due + line->taken, len);
    line->taken += len;
    return (int32_t)len;
}

static const struct pipit_transport_type line_type = {.write = line_write, .read = line_read};

// ---- the simple reader --------------------------------------------------------------------------

struct want {
    uint8_t data[LINE_BYTES];
    size_t len;
    uint8_t number;
    bool is_up, is_over;
};

static uint16_t slow_crc(const uint8_t *ptr, size_t len)
{
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < len; i++) {
        crc ^= ptr[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 1) != 0 ? (crc >> 1) ^ 0x8408 : crc >> 1);
        }
    }
    return (uint16_t)~crc;
}

// Bytes of content in the body between two flags; SIZE_MAX when it is damaged.
static size_t slow_body(const uint8_t *ptr, size_t len, uint8_t *body)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = ptr[i];
        if (byte == 0x7D) {
            i++;
            if (i == len || ptr[i] == 0x7D) {
                return SIZE_MAX;
            }
            byte = ptr[i] ^ 0x20;
        }
        body[out++] = byte;
    }
    bool is_good = out >= 4 && out <= RECEIVE_BYTES &&
                   slow_crc(body, out - 2) == (body[out - 2] | body[out - 1] << 8);
    return is_good ? out - 4 : SIZE_MAX;
}

static void slow_data(struct want *want, const uint8_t *body, size_t len)
{
    if (want->is_up && body[1] != want->number) {
        want->is_over = true;
    } else if (want->is_up) {
        want->number++;
        memcpy(want->data + want->len, body + 2, len);
        want->len += len;
    }
}

static void slow_frame(struct want *want, const uint8_t *ptr, size_t len)
{
    static uint8_t body[LINE_BYTES];
    size_t content = slow_body(ptr, len, body);
    if (content == SIZE_MAX) {
        want->is_over = want->is_up; // Before a call it is noise.
        return;
    }
    unsigned call = content >= 2 ? (unsigned)(body[2] | body[3] << 8) : 0;
    unsigned value = content >= 4 ? (unsigned)(body[4] | body[5] << 8) : 0;
    if (body[0] == PIPIT_FRAME_DATA) {
        slow_data(want, body, content);
    } else if (body[0] == PIPIT_FRAME_CONNECTED) {
        want->is_over |= want->is_up && (call != 1 || want->number != 0);
        want->is_up |= call == 1 && value > 0;
    } else if (body[0] == PIPIT_FRAME_HANG_UP && content >= 3) {
        want->is_over |= call == 1 || (call == 0 && want->is_up);
    }
}

static void slow_read(struct want *want, const uint8_t *ptr, size_t len)
{
    const uint8_t *flag = memchr(ptr, 0x7E, len);
    while (flag != NULL && !want->is_over) {
        const uint8_t *begin = flag + 1;
        flag = memchr(begin, 0x7E, (size_t)(ptr + len - begin));
        if (flag != NULL && flag > begin) {
            slow_frame(want, begin, (size_t)(flag - begin));
        }
    }
}

// ---- inputs -------------------------------------------------------------------------------------

// The rest of an input is the line itself, or (an odd first byte) bodies, each behind its length.
static size_t line_of(const uint8_t *ptr, size_t len, uint8_t *out)
{
    struct pipit_frame_writer writer = {.ptr = out, .size = LINE_BYTES};
    if (len == 0 || (ptr[0] & 1) == 0) {
        memcpy(out, ptr, len);
        return len;
    }
    for (size_t at = 1; at + 3 <= len;) {
        size_t content = ptr[at] % 32u;
        content = content < len - at - 3 ? content : len - at - 3;
        pipit_frame_begin(&writer, (enum pipit_frame_kind)(ptr[at + 1] % 6), ptr[at + 2]);
        assert(pipit_frame_add(&writer, ptr + at + 3, content) == content);
        pipit_frame_end(&writer);
        at += 3 + content;
    }
    return writer.len;
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const uint8_t call[] = {1, 4, 3, 0,   1,   0,   100, 0,                // connected
                                   5, 1, 0, 'h', 'e', '~', '}', 'o',              //
                                   2, 1, 1, 7,   8,   3,   4,   0,   1, 0, 2,     // hang-up
                                   4, 3, 0, 2,   0,   9,   0,   1,   1, 2, 0x7E}; //
    static uint8_t line[LINE_BYTES];
    if (index == 0) {
        memcpy(out, call, sizeof(call));
        return sizeof(call);
    }
    size_t len = line_of(call, sizeof(call), line);
    if (index > 1 || len + 1 > size) {
        return 0;
    }
    out[0] = 2;
    memcpy(out + 1, line, len);
    return len + 1;
}

static void read_line(struct line *line, const struct want *want)
{
    static uint8_t got[LINE_BYTES];
    uint8_t send_memory[PIPIT_FRAMED_SEND_MIN], *receive_memory = malloc(RECEIVE_BYTES);
    struct pipit_framed framed;
    struct pipit_framed_options options = {
        &line->base, send_memory, sizeof(send_memory), receive_memory, RECEIVE_BYTES, 0, 0};
    size_t len = 0;
    assert(receive_memory != NULL);
    assert(pipit_framed_init(&framed, &options) == PIPIT_OK);
    int32_t rc = framed.base.type->open(&framed.base, 0);
    while (rc >= 0 && (rc = framed.base.type->read(&framed.base, got + len, 7)) > 0) {
        len += (size_t)rc;
    }
    assert(len == want->len && memcmp(got, want->data, len) == 0);
    framed.base.type->close(&framed.base);
    free(receive_memory);
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static uint8_t bytes[LINE_BYTES];
    static struct want want;
    size_t line_len = line_of(ptr, len, bytes);
    struct line line = {.base = {&line_type}, .len = line_len, .piece = len % 40 + 1};
    line.due = malloc(line_len + 1);
    assert(line.due != NULL);
    memcpy(line.due, bytes, line_len);
    want.len = 0;
    want.number = 0;
    want.is_up = want.is_over = false;
    slow_read(&want, line.due, line_len);
    read_line(&line, &want);
    free(line.due);
}
