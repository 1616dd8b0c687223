#include "line.h"

#include <assert.h>

static bool chance(struct sim_random *random, double probability)
{
    return (double)(sim_random_next(random) >> 11) * 0x1p-53 < probability;
}

// One draw a fault and byte, whatever its outcome, so that one fault does not move the other.
static bool suffer(struct line *line, uint8_t *byte)
{
    if (line->faults.drop <= 0 && line->faults.garble <= 0) {
        return true;
    }
    bool is_dropped = chance(&line->random, line->faults.drop);
    bool is_garbled = chance(&line->random, line->faults.garble);
    uint32_t bit = sim_random_below(&line->random, 8);
    if (is_dropped) {
        line->dropped++;
        return false;
    }
    if (is_garbled) {
        line->garbled++;
        *byte ^= (uint8_t)(1u << bit);
    }
    return true;
}

static struct line_piece *last_piece(struct line *line)
{
    return &line->pieces[(line->piece + line->piece_count - 1) % LINE_PIECES];
}

size_t line_room(const struct line *line)
{
    return line->piece_count == LINE_PIECES ? 0 : LINE_BYTES - line->len;
}

void line_put(struct line *line, const uint8_t *ptr, size_t len, uint64_t now_ms)
{
    assert(len <= line_room(line));
    uint64_t due_ms = now_ms + line->faults.delay_ms;
    if (line->piece_count > 0 && last_piece(line)->due_ms > due_ms) {
        due_ms = last_piece(line)->due_ms; // A shorter delay does not overtake.
    }
    size_t put = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = ptr[i];
        if (suffer(line, &byte)) {
            line->bytes[(line->begin + line->len + put) % LINE_BYTES] = byte;
            put++;
        }
    }
    if (put == 0) {
        return;
    }
    if (line->piece_count == 0 || last_piece(line)->due_ms != due_ms) {
        line->piece_count++;
        *last_piece(line) = (struct line_piece){.due_ms = due_ms};
    }
    last_piece(line)->len += put;
    line->len += put;
}

size_t line_peek(const struct line *line, uint64_t now_ms, const uint8_t **out_ptr)
{
    const struct line_piece *piece = &line->pieces[line->piece];
    if (line->piece_count == 0 || piece->due_ms > now_ms) {
        return 0;
    }
    size_t together = LINE_BYTES - line->begin;
    *out_ptr = line->bytes + line->begin;
    return piece->len < together ? piece->len : together;
}

void line_take(struct line *line, size_t len)
{
    struct line_piece *piece = &line->pieces[line->piece];
    assert(line->piece_count > 0 && len <= piece->len);
    piece->len -= len;
    line->len -= len;
    line->passed += len;
    line->begin = (line->begin + len) % LINE_BYTES;
    if (piece->len == 0) {
        line->piece = (line->piece + 1) % LINE_PIECES;
        line->piece_count--;
    }
}

uint64_t line_due_ms(const struct line *line)
{
    return line->piece_count == 0 ? UINT64_MAX : line->pieces[line->piece].due_ms;
}

void line_clear(struct line *line)
{
    line->len = 0;
    line->piece_count = 0;
}

size_t line_pace(const struct line *line, size_t len, uint64_t now_ms)
{
    if (line->faults.split_bytes == 0) {
        return len;
    }
    if (now_ms < line->next_write_ms) {
        return 0;
    }
    return len < line->faults.split_bytes ? len : line->faults.split_bytes;
}

void line_wrote(struct line *line, uint64_t now_ms)
{
    line->next_write_ms = now_ms + 1;
}
