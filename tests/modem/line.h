// line.h - one direction of the serial line: bytes that wait until they are due, and what befalls
// them on the way.
// Threads:   one.
// Ownership: bytes are copied; the line is plain memory of its owner.
// Failure:   none; line_room says how much it takes, which is the back-pressure.
#ifndef MODEM_LINE_H
#define MODEM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../simulation/sim_random.h"

#define LINE_BYTES  65536u
#define LINE_PIECES 4096u // Bytes with a time of their own: 4 s of delay at a piece a millisecond.

struct faults {
    uint32_t delay_ms;
    uint32_t split_bytes; // At most so many a write, and one write a millisecond; 0: no limit.
    double drop;          // Probability for each byte to vanish,
    double garble;        // and to have one bit flipped.
    uint64_t kill_after;  // Bytes of a call after which it is hung up; 0: never.
};

struct line_piece {
    uint64_t due_ms;
    size_t len;
};

struct line {
    struct faults faults;
    struct sim_random random;
    uint64_t passed;
    uint64_t dropped;
    uint64_t garbled;
    uint64_t next_write_ms; // For split.
    size_t begin;           // In bytes
    size_t len;
    size_t piece; // In pieces
    size_t piece_count;
    struct line_piece pieces[LINE_PIECES];
    uint8_t bytes[LINE_BYTES];
};

// How many bytes line_put takes now.
size_t line_room(const struct line *line);
// The same bytes in the same order meet the same fate, however they are cut into calls.
void line_put(struct line *line, const uint8_t *ptr, size_t len, uint64_t now_ms);
// Bytes that are due, as far as they lie together; returns how many.
size_t line_peek(const struct line *line, uint64_t now_ms, const uint8_t **out_ptr);
void line_take(struct line *line, size_t len);
// When the first byte is due; UINT64_MAX: there is none.
uint64_t line_due_ms(const struct line *line);
void line_clear(struct line *line);

// How many of len bytes may be written now, by split; line_wrote then sets the pace.
size_t line_pace(const struct line *line, size_t len, uint64_t now_ms);
void line_wrote(struct line *line, uint64_t now_ms);

#endif
