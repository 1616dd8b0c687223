// spool_record.h - the records of a file spool: head, body and a CRC over both, always whole.
//
// Each record starts with this head, little-endian:
//   0 'P' 1 'S' 2 flag 3 kind 4 body length (4) 8 boot (4) 12 sequence (8) 20 mark (8) 28 crc (4)
// The CRC-32 covers the head but for flag and crc, and the body. The flag is 0xFF while the event
// waits; releasing it writes one byte. The first record of a file is a start.
//
// Threads:   any, no state.
// Failure:   false; errno says why reading or writing failed.
#ifndef PIPIT_PORTS_POSIX_SPOOL_RECORD_H
#define PIPIT_PORTS_POSIX_SPOOL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_BYTES    32u
#define FLAG_AT       2u
#define FLAG_WAITING  0xFFu
#define FLAG_RELEASED 0x00u
#define KIND_START    0x01u // A start of the device: the boot number, and the mark so far.
#define KIND_EVENT    0x02u
#define LIMIT_MAX     0x40000000u // Bytes of a spool, and so of a body.

struct pipit_record_head {
    uint8_t flag;
    uint8_t kind;
    bool has_mark;
    uint32_t len;
    uint32_t boot;
    uint64_t sequence;
    uint64_t mark;
    uint32_t crc;
};

// Writes the head in front of a body that is already in place.
void pipit_record_put(uint8_t *record, const struct pipit_record_head *head);
// False: these are no head's bytes. The CRC is not looked at.
bool pipit_record_get(const uint8_t *record, struct pipit_record_head *out_head);
bool pipit_record_is_waiting(const struct pipit_record_head *head);
// Is there a record at `at` that ends within `size` and whose CRC is right?
bool pipit_record_is_whole(int fd, uint32_t at, uint32_t size, struct pipit_record_head *out_head);

bool pipit_read_all(int fd, uint8_t *ptr, size_t len, uint32_t at);
bool pipit_write_all(int fd, const uint8_t *ptr, size_t len, uint32_t at);

#endif
