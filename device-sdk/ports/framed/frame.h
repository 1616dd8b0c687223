// frame.h - the frames of framed.h: written into memory, and read byte by byte. Used by both ends.
// Threads:   none of its own; a writer and a reader belong to one thread each.
// Ownership: memory is the caller's.
// Failure:   a writer is given room enough by contract; a reader says PIPIT_FRAME_BAD and goes on.
#ifndef PIPIT_FRAME_H
#define PIPIT_FRAME_H

#include "pipit/framed.h"

#define PIPIT_FRAME_OVERHEAD 4u  // Of a body: kind, number and check.
#define PIPIT_FRAME_CONTROL  16u // Bytes on the line that hold any frame but data.
// Bytes on the line that hold a data frame of n bytes, whatever they are.
#define PIPIT_FRAME_LINE(n) (2u * (n) + 9u)

enum pipit_frame_kind {
    PIPIT_FRAME_DATA = 1,
    PIPIT_FRAME_DIAL,
    PIPIT_FRAME_CONNECTED,
    PIPIT_FRAME_HANG_UP
};

// CRC-16/X.25 begun with 0xFFFF, a byte at a time; the check on the line is its complement.
uint16_t pipit_frame_crc(uint16_t crc, uint8_t byte);

// ---- writing

struct pipit_frame_writer {
    uint8_t *ptr;
    size_t size;
    size_t len;
    uint16_t crc;
};

// Needs PIPIT_FRAME_LINE(0) bytes of room, which is also enough for the end.
void pipit_frame_begin(struct pipit_frame_writer *writer, enum pipit_frame_kind kind,
                       uint8_t number);
// Takes what fits for sure with the frame's end behind it; returns how many bytes.
size_t pipit_frame_add(struct pipit_frame_writer *writer, const uint8_t *ptr, size_t len);
void pipit_frame_end(struct pipit_frame_writer *writer);
// A whole frame: dial and connected (`value`: the largest content), or hang-up (the reason).
// Needs PIPIT_FRAME_CONTROL bytes of room.
void pipit_frame_control(struct pipit_frame_writer *writer, enum pipit_frame_kind kind,
                         uint16_t call, uint16_t value);

// ---- reading

enum pipit_frame_result { PIPIT_FRAME_NONE = 0, PIPIT_FRAME_GOOD, PIPIT_FRAME_BAD };

// `size` is the largest body; the first frame begins with the first flag.
void pipit_frame_reader_init(struct pipit_frame_reader *reader, uint8_t *ptr, uint16_t size);
// After PIPIT_FRAME_GOOD the kind is ptr[0], the number ptr[1] and the content, content_len bytes,
// at ptr + 2, until the next byte is taken.
enum pipit_frame_result pipit_frame_take(struct pipit_frame_reader *reader, uint8_t byte);
// A number of two bytes at `offset` of the content; 0 where the content is too short for it.
uint16_t pipit_frame_value(const struct pipit_frame_reader *reader, uint16_t offset);

#endif
