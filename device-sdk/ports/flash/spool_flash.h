// spool_flash.h - what the parts of the flash spool share: bytes in the flash, the log, opening.
//
// A sector holds records, each at a multiple of `step` (16 bytes, or a larger granule):
//     head  shape (4): length, bit 15: has a mark, bits 16-31: sequence >> 32;
//           then sequence (4), boot (4), crc (4)
//     flag  one granule: blank, or zeros when the record is released
//     body  the event, mark (8) if it has one, crc (4)
// The first one is the sector itself: it has no event, its sequence is its counter, and the upper
// part stands for version and geometry; its flag says that the sector is drained. Head and body
// enclose the flag, so that an erase that is cut does not take it alone. A start of the device is a
// head with sequence 0, and nothing else.
// Each part is programmed by itself, in this order, filled up to granules with 0xFF, and read back.
// The CRC-32 of a head begins with its address, that of a body with its head's. Words are in the
// processor's order.
//
// The sector with the greatest counter is written to. It and the starts in it hold the boot number,
// it and its events the mark. Nothing but a sector that is drained or not whole is ever erased: so
// what an erase leaves half done holds nothing.
//
// Threads:   those of the spool's device.
// Failure:   what fails seals the spool. A sealed spool programs and erases nothing, so that
//            callers need not look at each step; what could not be read is 0xFF.
#ifndef PIPIT_PORTS_FLASH_SPOOL_FLASH_H
#define PIPIT_PORTS_FLASH_SPOOL_FLASH_H

#include "pipit/flash.h"

#define FLASH_GRANULE_MAX 32u
#define FLASH_HEAD_BYTES  16u
#define FLASH_MARK_BYTES  8u
#define FLASH_CRC_BYTES   4u
#define FLASH_HAS_MARK    0x8000u

enum flash_kind {
    FLASH_BLANK = 0, // Nothing, or a program that was cut before it could be seen.
    FLASH_TORN,
    FLASH_START,
    FLASH_RELEASED,
    FLASH_WAITING,
};

struct flash_head {
    uint32_t shape;    // Length, has a mark, upper part of the sequence.
    uint32_t sequence; // Lower part; the counter of a sector.
    uint32_t boot;
    uint32_t crc;
    size_t body_bytes; // With mark and CRC; from here on not in the flash.
    uint32_t size;     // From this place to the next.
};

static inline size_t flash_len(const struct flash_head *head)
{
    return (size_t)(head->shape & (FLASH_HAS_MARK - 1));
}

static inline pipit_sequence flash_sequence(const struct flash_head *head)
{
    return (pipit_sequence)((uint64_t)(head->shape >> 16) << 32 | head->sequence);
}

// ---- spool_flash_record.c: bytes in the flash ----

uint32_t pipit_flash_crc(uint32_t crc, const void *ptr, size_t len);
void pipit_flash_get(struct pipit_flash_spool *spool, uint32_t address, void *ptr, size_t len);
// What a record of this shape takes.
void pipit_flash_measure(const struct pipit_flash_spool *spool, struct flash_head *head);
// What is at `at`, in the sector that ends at `stop`.
enum flash_kind pipit_flash_head_read(struct pipit_flash_spool *spool, uint32_t at, uint32_t stop,
                                      struct flash_head *out_head);
// The body into the memory. False: it is not whole, or does not fit.
bool pipit_flash_body_load(struct pipit_flash_spool *spool, uint32_t at,
                           const struct flash_head *head);
// A head where the log ends, of the present boot.
void pipit_flash_head_write(struct pipit_flash_spool *spool, struct flash_head *head);
// A whole record there: shape and sequence are set.
void pipit_flash_record_write(struct pipit_flash_spool *spool, struct flash_head *head,
                              const uint8_t *body, const uint64_t *mark);
void pipit_flash_release(struct pipit_flash_spool *spool, uint32_t at);

// ---- spool_flash_log.c: the order of sectors and records ----

// The upper part of a sector's sequence.
uint32_t pipit_flash_geometry(const struct pipit_flash *flash);
// Moves the place to the start of the sector behind it. True: it is in use, and its body is in the
// memory; else it is free.
bool pipit_flash_sector_next(struct pipit_flash_spool *spool, struct pipit_flash_place *place);
// To the sector in use with the lowest counter that is at least `counter`.
void pipit_flash_sector_seek(struct pipit_flash_spool *spool, struct pipit_flash_place *place,
                             uint32_t counter);
// Begins the erased sector in front of `stop`, and makes it the one that is written to.
void pipit_flash_sector_begin(struct pipit_flash_spool *spool, uint32_t stop, uint32_t counter);
// Begins the next free sector. There is one.
void pipit_flash_sector_take(struct pipit_flash_spool *spool);
void pipit_flash_sector_drain(struct pipit_flash_spool *spool, uint32_t stop);

// To the first waiting event at or behind `place`; false: there is none.
bool pipit_flash_waiting(struct pipit_flash_spool *spool, struct pipit_flash_place *place,
                         struct flash_head *out_head);
// Moves the tail to the first waiting event, and drains the sectors that it leaves.
void pipit_flash_tail_update(struct pipit_flash_spool *spool);
// Counts an event that goes; `is_read`: it was before the read position.
void pipit_flash_forget(struct pipit_flash_spool *spool, uint32_t size, bool is_read);
// Sees to it that there are `free_min` free sectors. False: nothing may be dropped for that.
bool pipit_flash_free_make(struct pipit_flash_spool *spool, uint32_t free_min);

extern const struct pipit_spool_type pipit_flash_spool_type;

#endif
