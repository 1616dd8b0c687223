// Opening a spool: find the newest sector, read what waits, begin a new boot. And formatting.
#include "spool_flash.h"

#define NONE UINT32_MAX

// What follows from the geometry. False: it is not one that is allowed.
static bool flash_prepare(struct pipit_flash_spool *spool, struct pipit_flash *flash)
{
    uint32_t granule = flash->granule_bytes;
    memset(spool, 0, sizeof(*spool));
    spool->flash = flash;
    spool->step = granule < FLASH_HEAD_BYTES ? FLASH_HEAD_BYTES : granule;
    spool->first =
        (2 * spool->step - 1 + granule + FLASH_MARK_BYTES + FLASH_CRC_BYTES) & (0u - spool->step);
    return granule - 1 < FLASH_GRANULE_MAX && (granule & (granule - 1)) == 0 &&
           (flash->sector_bytes & (FLASH_GRANULE_MAX - 1)) == 0 && flash->sector_bytes >= 256 &&
           flash->sector_count >= 2;
}

// The newest sector in use becomes the one written to. False: there is none.
static bool flash_newest(struct pipit_flash_spool *spool)
{
    struct pipit_flash_place place = {0, 0, 0};
    bool is_found = false;
    for (uint32_t left = spool->flash->sector_count; left > 0; left--) {
        if (!pipit_flash_sector_next(spool, &place)) {
            spool->free_count++;
        } else if (!is_found || place.counter > spool->end.counter) {
            is_found = true;
            spool->end = place;
        }
    }
    return is_found;
}

// Is the sector blank, but for a first record that was cut while it was written? Its head was then
// cut, or is whole.
static bool flash_is_ours(struct pipit_flash_spool *spool, uint32_t base, bool *out_is_blank)
{
    const struct pipit_flash *flash = spool->flash;
    struct flash_head head, want = {.shape = pipit_flash_geometry(flash)};
    uint32_t stop = base + flash->sector_bytes;
    want.crc = pipit_flash_crc(~base, &want, FLASH_HEAD_BYTES - FLASH_CRC_BYTES);
    *out_is_blank = pipit_flash_head_read(spool, base, stop, &head) == FLASH_BLANK;
    uint32_t at = base + (head.crc == want.crc ? spool->first : FLASH_HEAD_BYTES);
    if ((~head.shape & want.shape) != 0 || (~head.crc & want.crc) != 0) {
        return false;
    }
    for (; at < stop; at += FLASH_HEAD_BYTES) {
        if (pipit_flash_head_read(spool, at, stop, &head) != FLASH_BLANK) {
            return false;
        }
    }
    return true;
}

// Takes blank flash into use, from its end: formatting, which may have been cut, begins at the
// front. The first record is always the same, so that it can be written again after a power cut;
// the boot number comes with the next sector.
static bool flash_adopt(struct pipit_flash_spool *spool)
{
    const struct pipit_flash *flash = spool->flash;
    uint32_t base = flash->sector_bytes * flash->sector_count, stop = NONE;
    while (base > 0) {
        bool is_blank;
        base -= flash->sector_bytes;
        if (!flash_is_ours(spool, base, &is_blank)) {
            return false;
        }
        if (is_blank && stop == NONE) {
            stop = base + flash->sector_bytes;
        }
    }
    if (stop == NONE) {
        return false;
    }
    pipit_flash_sector_begin(spool, stop, 0);
    return true;
}

// Counts an event that waits. One that is not whole was not accepted, or is lost: it is released,
// so that nobody looks at it again.
static void flash_recover_event(struct pipit_flash_spool *spool,
                                const struct pipit_flash_place *place,
                                const struct flash_head *head, bool is_whole)
{
    struct pipit_spool *base = &spool->base;
    if (!is_whole) {
        spool->damaged++;
        pipit_flash_release(spool, place->at);
        return;
    }
    if (base->count == 0) {
        spool->tail = *place;
    }
    base->count++;
    base->unread_count++;
    base->used_bytes += head->size;
}

// What is in one sector, from its own record on. In the newest one the log ends behind the last
// that is not blank. False: an event is larger than the memory.
static bool flash_recover_sector(struct pipit_flash_spool *spool, struct pipit_flash_place *place)
{
    struct pipit_spool *base = &spool->base;
    struct flash_head head;
    bool is_newest = place->stop == spool->end.stop;
    bool is_sector = true;
    for (place->at = place->stop - spool->flash->sector_bytes;
         place->at + spool->step <= place->stop; place->at += head.size) {
        enum flash_kind kind = pipit_flash_head_read(spool, place->at, place->stop, &head);
        bool is_whole = kind >= FLASH_RELEASED && pipit_flash_body_load(spool, place->at, &head);
        head.size = is_sector ? spool->first : head.size;
        if (kind == FLASH_WAITING && !is_sector) {
            if (head.body_bytes > spool->memory_bytes) {
                return false;
            }
            flash_recover_event(spool, place, &head, is_whole);
        }
        spool->damaged += kind == FLASH_TORN ? 1 : 0;
        if (is_newest && kind != FLASH_BLANK) {
            spool->end.at = place->at + head.size;
        }
        if (is_newest && (kind == FLASH_START || is_sector)) {
            base->boot = head.boot;
        }
        if (is_newest && is_whole && (head.shape & FLASH_HAS_MARK) != 0) {
            memcpy(&base->mark, spool->memory + flash_len(&head), sizeof(base->mark));
            base->has_mark = true;
        }
        is_sector = false;
    }
    return true;
}

// Oldest sector first. One without events is free, whatever became of the mark that says so.
static bool flash_recover(struct pipit_flash_spool *spool)
{
    struct pipit_flash_place place = spool->end;
    uint32_t next = 0;
    do {
        uint32_t count = spool->base.count;
        pipit_flash_sector_seek(spool, &place, next);
        next = place.counter + 1;
        if (!flash_recover_sector(spool, &place)) {
            return false;
        }
        if (spool->base.count == count && place.stop != spool->end.stop) {
            pipit_flash_sector_drain(spool, place.stop);
        }
    } while (place.stop != spool->end.stop);
    if (spool->base.count == 0) {
        spool->tail = spool->end;
    }
    return true;
}

// The first place behind the log may hold a head that was cut before it could be seen; it stays
// empty. A start that was cut in that way is written again with the same bytes.
static bool flash_start(struct pipit_flash_spool *spool, uint32_t entropy)
{
    bool is_first = spool->base.boot == 0;
    spool->base.boot = is_first ? pipit_boot_random(entropy) : spool->base.boot + 1;
    if (!is_first && 2 * spool->step <= spool->end.stop - spool->end.at) {
        struct flash_head head = {.shape = 0};
        spool->end.at += spool->step;
        pipit_flash_head_write(spool, &head);
        spool->end.at += spool->step;
    } else if (pipit_flash_free_make(spool, 1)) {
        pipit_flash_sector_take(spool);
    } else {
        return false;
    }
    pipit_flash_tail_update(spool);
    return true;
}

enum pipit_err pipit_flash_spool_open(struct pipit_flash_spool *spool,
                                      const struct pipit_flash_spool_options *options)
{
    struct pipit_flash *flash = options->flash;
    uint32_t reserved = options->policy == PIPIT_REFUSE ? 2 : 0;
    enum pipit_err rc = PIPIT_OK;
    if (!flash_prepare(spool, flash) || flash->sector_count <= reserved ||
        options->memory_bytes < FLASH_GRANULE_MAX) {
        return PIPIT_ERR_ARGUMENT;
    }
    spool->memory = options->memory;
    // In whole granules, for a part is filled up to them.
    spool->memory_bytes = options->memory_bytes & ~(size_t)(flash->granule_bytes - 1);
    spool->base.type = &pipit_flash_spool_type;
    spool->base.policy = options->policy;
    spool->base.next_sequence = 1;
    spool->base.limit_bytes =
        (flash->sector_count - reserved) * (flash->sector_bytes - spool->first);
    if (!flash_newest(spool) && !flash_adopt(spool)) {
        rc = PIPIT_ERR_CORRUPT;
    } else if (!flash_recover(spool)) {
        rc = PIPIT_ERR_SIZE;
    } else if (!flash_start(spool, options->entropy)) {
        rc = PIPIT_ERR_FULL;
    }
    return spool->failed > 0 ? PIPIT_ERR_IO : rc;
}

// The newest sector last: until the flash is in use anew, boot numbers go on.
enum pipit_err pipit_flash_spool_format(struct pipit_flash *flash)
{
    struct pipit_flash_spool spool;
    uint32_t memory[FLASH_GRANULE_MAX / 4], first = 0;
    if (!flash_prepare(&spool, flash)) {
        return PIPIT_ERR_ARGUMENT;
    }
    spool.memory = (uint8_t *)memory;
    spool.memory_bytes = sizeof(memory);
    (void)flash_newest(&spool);
    struct pipit_flash_place place = spool.end;
    for (uint32_t left = flash->sector_count; left > 0 && spool.failed == 0; left--) {
        bool is_used = pipit_flash_sector_next(&spool, &place);
        first = first == 0 ? place.stop : first;
        if (left == 1) {
            pipit_flash_sector_begin(&spool, first, 0);
        }
        if (is_used) { // So that it cannot come back from an erase that is cut.
            pipit_flash_sector_drain(&spool, place.stop);
        }
        if (flash->type->erase(flash, place.stop - flash->sector_bytes) != PIPIT_OK) {
            spool.failed++;
        }
    }
    return spool.failed > 0 ? PIPIT_ERR_IO : PIPIT_OK;
}
