#include "frame.h"

#define FLAG     0x7Eu
#define ESCAPE   0x7Du
#define FLIP     0x20u
#define CRC_GOOD 0xF0B8u // Of a body with its check.

enum reading { HUNTING = 0, INSIDE, ESCAPED, BROKEN };

// The polynomial x^16 + x^12 + x^5 + 1, reversed, for eight bits at once: no table, no loop.
uint16_t pipit_frame_crc(uint16_t crc, uint8_t byte)
{
    uint8_t low = (uint8_t)(byte ^ crc);
    low = (uint8_t)(low ^ (low << 4));
    uint16_t wide = low; // Where int has 16 bits a shift would touch its sign.
    return (uint16_t)((crc >> 8) ^ (wide << 8) ^ (wide << 3) ^ (wide >> 4));
}

// ---- writing ------------------------------------------------------------------------------------

static void put_escaped(struct pipit_frame_writer *writer, uint8_t byte)
{
    if (byte == FLAG || byte == ESCAPE) {
        writer->ptr[writer->len++] = ESCAPE;
        byte ^= FLIP;
    }
    writer->ptr[writer->len++] = byte;
}

static void put(struct pipit_frame_writer *writer, uint8_t byte)
{
    writer->crc = pipit_frame_crc(writer->crc, byte);
    put_escaped(writer, byte);
}

void pipit_frame_begin(struct pipit_frame_writer *writer, enum pipit_frame_kind kind,
                       uint8_t number)
{
    writer->crc = 0xFFFF;
    writer->ptr[writer->len++] = FLAG;
    put(writer, (uint8_t)kind);
    put(writer, number);
}

size_t pipit_frame_add(struct pipit_frame_writer *writer, const uint8_t *ptr, size_t len)
{
    size_t taken = 0;
    while (taken < len && writer->size - writer->len >= 2 + 5) { // It, the check and the flag.
        put(writer, ptr[taken++]);
    }
    return taken;
}

void pipit_frame_end(struct pipit_frame_writer *writer)
{
    uint16_t check = (uint16_t)~writer->crc;
    put_escaped(writer, (uint8_t)check);
    put_escaped(writer, (uint8_t)(check >> 8));
    writer->ptr[writer->len++] = FLAG;
}

void pipit_frame_control(struct pipit_frame_writer *writer, enum pipit_frame_kind kind,
                         uint16_t call, uint16_t value)
{
    pipit_frame_begin(writer, kind, 0);
    put(writer, (uint8_t)call);
    put(writer, (uint8_t)(call >> 8));
    put(writer, (uint8_t)value);
    if (kind != PIPIT_FRAME_HANG_UP) {
        put(writer, (uint8_t)(value >> 8));
    }
    pipit_frame_end(writer);
}

// ---- reading ------------------------------------------------------------------------------------

void pipit_frame_reader_init(struct pipit_frame_reader *reader, uint8_t *ptr, uint16_t size)
{
    memset(reader, 0, sizeof(*reader));
    reader->ptr = ptr;
    reader->size = size;
}

// A flag ends one frame and begins the next; nothing between two flags is no frame.
static enum pipit_frame_result at_flag(struct pipit_frame_reader *reader)
{
    enum pipit_frame_result result = PIPIT_FRAME_NONE;
    if (reader->state == INSIDE && reader->len >= PIPIT_FRAME_OVERHEAD && reader->crc == CRC_GOOD) {
        reader->content_len = (uint16_t)(reader->len - PIPIT_FRAME_OVERHEAD);
        result = PIPIT_FRAME_GOOD;
    } else if (reader->state > INSIDE || (reader->state == INSIDE && reader->len > 0)) {
        result = PIPIT_FRAME_BAD;
    }
    reader->state = INSIDE;
    reader->len = 0;
    reader->crc = 0xFFFF;
    return result;
}

enum pipit_frame_result pipit_frame_take(struct pipit_frame_reader *reader, uint8_t byte)
{
    if (byte == FLAG) {
        return at_flag(reader);
    }
    if (reader->state == HUNTING || reader->state == BROKEN) {
        return PIPIT_FRAME_NONE;
    }
    if (byte == ESCAPE && reader->state == INSIDE) {
        reader->state = ESCAPED;
        return PIPIT_FRAME_NONE;
    }
    if (reader->len == reader->size || (reader->state == ESCAPED && byte == ESCAPE)) {
        reader->state = BROKEN;
        return PIPIT_FRAME_NONE;
    }
    if (reader->state == ESCAPED) {
        byte ^= FLIP;
        reader->state = INSIDE;
    }
    reader->crc = pipit_frame_crc(reader->crc, byte);
    reader->ptr[reader->len++] = byte;
    return PIPIT_FRAME_NONE;
}

uint16_t pipit_frame_value(const struct pipit_frame_reader *reader, uint16_t offset)
{
    if (offset + 2u > reader->content_len) {
        return 0;
    }
    const uint8_t *at = reader->ptr + 2 + offset;
    return (uint16_t)(at[0] | ((uint16_t)at[1] << 8));
}
