// wire.h - protobuf's bytes: every one is checked against the room as it is written and read.
// Threads:   functions of their arguments.
// Ownership: readers point into the caller's bytes.
// Failure:   a sink keeps its first error; a reader says PIPIT_ERR_MALFORMED.
#ifndef PIPIT_WIRE_H
#define PIPIT_WIRE_H

#include "pipit/pipit.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

void pipit_sink_init(struct pipit_sink *sink, uint8_t *ptr, size_t size);

// What does not fit is not written whole, and noted as PIPIT_ERR_SIZE.
void pipit_sink_varint(struct pipit_sink *sink, uint8_t number, uint64_t value);
void pipit_sink_bytes(struct pipit_sink *sink, uint8_t number, struct pipit_bytes value);
void pipit_sink_byte(struct pipit_sink *sink, unsigned byte);
void pipit_sink_raw(struct pipit_sink *sink, struct pipit_bytes value);
// PIPIT_ERR_ARGUMENT for an empty name or an unknown kind, PIPIT_ERR_TEXT for what is not UTF-8.
void pipit_sink_field(struct pipit_sink *sink, uint8_t number, const struct pipit_field *field);
// Fills in the length of what was written behind `at`, where one byte was left for it.
void pipit_sink_length(struct pipit_sink *sink, size_t at);
void pipit_sink_fail(struct pipit_sink *sink, enum pipit_err rc);

uint64_t pipit_wire_zigzag(int64_t value);

// Strict: no overlong form, no surrogates, at most U+10FFFF, no NUL.
bool pipit_wire_is_utf8(struct pipit_bytes text);
// One topic level, or several when `has_levels`: not empty, without + # and control characters, and
// valid UTF-8.
bool pipit_wire_is_name(struct pipit_bytes name, size_t len_max, bool has_levels);
bool pipit_wire_is_equal(struct pipit_bytes a, struct pipit_bytes b);

// One element of a message.
struct wire_item {
    uint32_t number;
    enum wire_type type;
    uint64_t value;           // varint and fixed
    struct pipit_bytes bytes; // WIRE_BYTES
};

// Takes the next element off the front of `rest`. PIPIT_ERR_EMPTY at the end.
enum pipit_err pipit_wire_next(struct pipit_bytes *rest, struct wire_item *out_item);
enum pipit_err pipit_wire_field(struct pipit_bytes encoded, struct pipit_field *out_field);

struct pipit_wire_receipt {
    uint32_t boot;
    pipit_sequence upto;
    struct pipit_bytes bitmap;
};

enum pipit_err pipit_wire_receipt(struct pipit_bytes encoded,
                                  struct pipit_wire_receipt *out_receipt);
// Every field of it is checked, so that pipit_command_next cannot fail later.
enum pipit_err pipit_wire_command(struct pipit_bytes encoded, struct pipit_command *out_command);

#endif
