// The log: which sector follows which, what waits first, where the next record goes.
#include "spool_flash.h"

#define VERSION_1 0x9E3779B1u

// Scattered, so that one geometry is not taken for another; never 0, which is a start.
uint32_t pipit_flash_geometry(const struct pipit_flash *flash)
{
    uint32_t sum = flash->sector_bytes * 33 + flash->sector_count * 5 + flash->granule_bytes;
    return (sum * VERSION_1 & 0xFFFF0000u) | 0x10000u;
}

bool pipit_flash_sector_next(struct pipit_flash_spool *spool, struct pipit_flash_place *place)
{
    const struct pipit_flash *flash = spool->flash;
    struct flash_head head;
    uint32_t base = place->stop;
    if (base >= flash->sector_bytes * flash->sector_count) {
        base = 0;
    }
    place->at = base;
    place->stop = base + flash->sector_bytes;
    if (pipit_flash_head_read(spool, base, place->stop, &head) != FLASH_WAITING) {
        return false;
    }
    place->counter = head.sequence;
    return (head.shape | FLASH_HAS_MARK) == (pipit_flash_geometry(flash) | FLASH_HAS_MARK) &&
           pipit_flash_body_load(spool, base, &head);
}

// Most often it is the very next one: the search begins there.
void pipit_flash_sector_seek(struct pipit_flash_spool *spool, struct pipit_flash_place *place,
                             uint32_t counter)
{
    struct pipit_flash_place found = spool->end;
    for (uint32_t left = spool->flash->sector_count; left > 0 && found.counter != counter; left--) {
        if (pipit_flash_sector_next(spool, place) && place->counter >= counter &&
            place->counter < found.counter) {
            found = *place;
        }
    }
    *place = found;
    place->at = place->stop - spool->flash->sector_bytes + spool->first;
}

void pipit_flash_sector_begin(struct pipit_flash_spool *spool, uint32_t stop, uint32_t counter)
{
    struct flash_head head;
    const uint64_t *mark = spool->base.has_mark ? &spool->base.mark : NULL;
    spool->end.at = stop - spool->flash->sector_bytes;
    spool->end.stop = stop;
    spool->end.counter = counter;
    head.shape = pipit_flash_geometry(spool->flash) | (mark != NULL ? FLASH_HAS_MARK : 0);
    head.sequence = counter;
    pipit_flash_record_write(spool, &head, spool->memory, mark);
    spool->end.at += spool->first;
    spool->free_count--;
}

// The first free one behind the sector written to: so all take turns.
void pipit_flash_sector_take(struct pipit_flash_spool *spool)
{
    struct pipit_flash *flash = spool->flash;
    struct pipit_flash_place place = spool->end;
    while (pipit_flash_sector_next(spool, &place) && place.stop != spool->end.stop) {
    }
    if (spool->free_count == 0 || spool->failed > 0 ||
        flash->type->erase(flash, place.at) != PIPIT_OK) {
        spool->failed++;
    }
    pipit_flash_sector_begin(spool, place.stop, spool->end.counter + 1);
}

void pipit_flash_sector_drain(struct pipit_flash_spool *spool, uint32_t stop)
{
    pipit_flash_release(spool, stop - spool->flash->sector_bytes);
    spool->free_count++;
}

// ---- records ----

bool pipit_flash_waiting(struct pipit_flash_spool *spool, struct pipit_flash_place *place,
                         struct flash_head *out_head)
{
    while (place->stop != spool->end.stop || place->at < spool->end.at) {
        if (place->at + spool->step > place->stop) {
            pipit_flash_sector_seek(spool, place, place->counter + 1);
        } else if (pipit_flash_head_read(spool, place->at, place->stop, out_head) ==
                   FLASH_WAITING) {
            return true;
        } else {
            place->at += out_head->size;
        }
    }
    return false;
}

void pipit_flash_tail_update(struct pipit_flash_spool *spool)
{
    struct pipit_spool *base = &spool->base;
    struct pipit_flash_place place = spool->tail;
    struct flash_head head;
    base->tail_boot = base->boot;
    base->tail_sequence = base->next_sequence;
    if (pipit_flash_waiting(spool, &place, &head)) {
        base->tail_boot = head.boot;
        base->tail_sequence = flash_sequence(&head);
    } else if (base->count > 0) {
        spool->failed++; // The flash has changed under us.
    }
    while (spool->tail.stop != place.stop && spool->failed == 0) {
        pipit_flash_sector_drain(spool, spool->tail.stop);
        pipit_flash_sector_seek(spool, &spool->tail, spool->tail.counter + 1);
    }
    spool->tail = place;
    if (base->read_count == 0) {
        spool->read = place;
    }
}

void pipit_flash_forget(struct pipit_flash_spool *spool, uint32_t size, bool is_read)
{
    spool->base.used_bytes -= size;
    spool->base.count--;
    if (is_read) {
        spool->base.read_count--;
    } else {
        spool->base.unread_count--;
    }
}

// Gives up all of the oldest sector, for only whole sectors make room. It is not the one written
// to: were nothing waiting elsewhere, there would be a free one.
bool pipit_flash_free_make(struct pipit_flash_spool *spool, uint32_t free_min)
{
    struct pipit_flash_place place = spool->tail;
    struct flash_head head;
    if (spool->free_count >= free_min) {
        return true;
    }
    if (spool->base.policy == PIPIT_REFUSE) {
        return false;
    }
    while (pipit_flash_waiting(spool, &place, &head) && place.stop == spool->tail.stop) {
        pipit_flash_forget(spool, head.size, spool->base.read_count > 0);
        spool->base.dropped++;
        place.at += head.size;
    }
    spool->tail.at = spool->tail.stop;
    pipit_flash_tail_update(spool);
    return true;
}
