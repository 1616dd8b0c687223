// The verbs of a spool, on flash.
#include "spool_flash.h"

static struct pipit_flash_spool *flash_of(struct pipit_spool *spool)
{
    return (struct pipit_flash_spool *)(void *)spool;
}

static enum pipit_err flash_result(const struct pipit_flash_spool *spool)
{
    return spool->failed > 0 ? PIPIT_ERR_IO : PIPIT_OK;
}

// Room for a record of `need` bytes where the log ends. Two free sectors stay, in which starts can
// alternate for ever; the present one becomes free by being left when nothing waits.
static bool flash_room_make(struct pipit_flash_spool *spool, uint32_t need)
{
    bool is_fitting = need <= spool->end.stop - spool->end.at;
    uint32_t free_min = is_fitting ? 0 : 1;
    if (spool->base.policy == PIPIT_REFUSE) {
        free_min = is_fitting || spool->base.count == 0 ? 2 : 3;
    }
    if (!pipit_flash_free_make(spool, free_min)) {
        return false;
    }
    if (!is_fitting) {
        pipit_flash_sector_take(spool);
        pipit_flash_tail_update(spool);
    }
    return true;
}

static enum pipit_err flash_put(struct pipit_spool *base, struct pipit_bytes body,
                                const uint64_t *mark)
{
    struct pipit_flash_spool *spool = flash_of(base);
    struct flash_head head;
    if (spool->failed > 0) {
        return PIPIT_ERR_IO;
    }
    if (body.len > PIPIT_FLASH_RECORD_MAX) {
        return PIPIT_ERR_SIZE;
    }
    head.shape = (uint32_t)body.len | (mark != NULL ? FLASH_HAS_MARK : 0) |
                 (uint32_t)((uint64_t)base->next_sequence >> 32) << 16;
    head.sequence = (uint32_t)base->next_sequence;
    pipit_flash_measure(spool, &head);
    if (head.body_bytes > spool->memory_bytes ||
        head.size > spool->flash->sector_bytes - spool->first) {
        return PIPIT_ERR_SIZE;
    }
    if (!flash_room_make(spool, head.size)) {
        return PIPIT_ERR_FULL;
    }
    if (spool->failed > 0) {
        return PIPIT_ERR_IO;
    }
    pipit_flash_record_write(spool, &head, body.ptr, mark);
    if (spool->failed > 0) {
        // It must not come back at the next start, should it be whole after all.
        spool->failed = 0;
        pipit_flash_release(spool, spool->end.at);
        spool->failed++;
        return PIPIT_ERR_IO;
    }
    spool->end.at += head.size;
    base->used_bytes += head.size;
    base->count++;
    base->unread_count++;
    base->next_sequence++;
    if (mark != NULL) {
        base->mark = *mark;
        base->has_mark = true;
    }
    return PIPIT_OK;
}

static enum pipit_err flash_peek(struct pipit_spool *base, struct pipit_record *out_record)
{
    struct pipit_flash_spool *spool = flash_of(base);
    struct flash_head head, next;
    if (base->unread_count == 0) {
        return PIPIT_ERR_EMPTY;
    }
    if (!pipit_flash_waiting(spool, &spool->read, &head)) {
        spool->failed++;
        return PIPIT_ERR_IO;
    }
    struct pipit_flash_place place = spool->read;
    place.at += head.size;
    out_record->boot = head.boot;
    out_record->sequence = flash_sequence(&head);
    out_record->body.ptr = spool->memory;
    out_record->body.len = flash_len(&head);
    out_record->is_last = !pipit_flash_waiting(spool, &place, &next) || next.boot != head.boot;
    if (!pipit_flash_body_load(spool, spool->read.at, &head)) {
        spool->failed++;
        return PIPIT_ERR_IO;
    }
    return PIPIT_OK;
}

static void flash_advance(struct pipit_spool *base)
{
    struct pipit_flash_spool *spool = flash_of(base);
    struct flash_head head;
    if (pipit_flash_waiting(spool, &spool->read, &head)) {
        spool->read.at += head.size;
        base->unread_count--;
        base->read_count++;
    }
}

static void flash_rewind(struct pipit_spool *base)
{
    struct pipit_flash_spool *spool = flash_of(base);
    spool->read = spool->tail;
    base->unread_count = base->count;
    base->read_count = 0;
}

// Records are in order, boot by boot: the search ends behind (boot, last).
static enum pipit_err flash_release(struct pipit_spool *base, uint32_t boot, pipit_sequence first,
                                    pipit_sequence last)
{
    struct pipit_flash_spool *spool = flash_of(base);
    struct pipit_flash_place place = spool->tail;
    struct flash_head head;
    uint32_t read_left = base->read_count;
    bool has_seen_boot = false;
    while (pipit_flash_waiting(spool, &place, &head)) {
        bool is_boot = head.boot == boot;
        if (is_boot ? flash_sequence(&head) > last : has_seen_boot) {
            break;
        }
        has_seen_boot = is_boot;
        if (is_boot && flash_sequence(&head) >= first) {
            pipit_flash_release(spool, place.at);
            if (spool->failed > 0) {
                return PIPIT_ERR_IO;
            }
            pipit_flash_forget(spool, head.size, read_left > 0);
        }
        read_left -= read_left > 0 ? 1 : 0;
        place.at += head.size;
    }
    pipit_flash_tail_update(spool);
    return flash_result(spool);
}

const struct pipit_spool_type pipit_flash_spool_type = {
    .put = flash_put,
    .peek = flash_peek,
    .advance = flash_advance,
    .rewind = flash_rewind,
    .release = flash_release,
    .tick = NULL,
};
