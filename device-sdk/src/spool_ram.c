#include "pipit/pipit.h"

// A record is two bytes, little-endian, and the body. It never wraps: when it does not fit behind
// `head`, a pad fills the end. Sequences are consecutive, so a record's follows from its place.
#define HEADER_BYTES 2u
#define RELEASED     0x8000u
#define PAD          0xFFFFu

static struct pipit_ram_spool *ram_of(struct pipit_spool *spool)
{
    return (struct pipit_ram_spool *)(void *)spool;
}

static unsigned header_at(const struct pipit_ram_spool *ram, uint32_t at)
{
    return (unsigned)ram->memory[at] | (unsigned)ram->memory[at + 1] << 8;
}

static void header_put(struct pipit_ram_spool *ram, uint32_t at, unsigned header)
{
    ram->memory[at] = (uint8_t)header;
    ram->memory[at + 1] = (uint8_t)(header >> 8);
}

// Where the record at `at` really begins: at the start when the end is padding.
static uint32_t record_at(const struct pipit_ram_spool *ram, uint32_t at)
{
    if (ram->base.limit_bytes - at < HEADER_BYTES || header_at(ram, at) == PAD) {
        return 0;
    }
    return at;
}

static uint32_t record_bytes(const struct pipit_ram_spool *ram, uint32_t at)
{
    return HEADER_BYTES + (header_at(ram, at) & ~RELEASED);
}

// Frees the released records at the tail, and keeps the read position on a record that exists.
static void ram_reclaim(struct pipit_ram_spool *ram)
{
    while (ram->record_count > 0) {
        uint32_t at = record_at(ram, ram->tail);
        if ((header_at(ram, at) & RELEASED) == 0) {
            break;
        }
        ram->tail = at + record_bytes(ram, at);
        ram->record_count--;
        ram->base.tail_sequence++;
    }
    if (ram->record_count == 0) {
        ram->head = ram->tail = ram->read = 0;
        ram->base.tail_sequence = ram->base.next_sequence;
        ram->read_sequence = ram->base.next_sequence;
    } else if (ram->read_sequence < ram->base.tail_sequence) {
        ram->read = ram->tail;
        ram->read_sequence = ram->base.tail_sequence;
    }
}

static void ram_forget(struct pipit_ram_spool *ram, uint32_t at, pipit_sequence sequence)
{
    header_put(ram, at, header_at(ram, at) | RELEASED);
    ram->base.used_bytes -= record_bytes(ram, at);
    ram->base.count--;
    if (sequence < ram->read_sequence) {
        ram->base.read_count--;
    } else {
        ram->base.unread_count--;
    }
}

// The place for a record of `need` bytes, padded up to it; false when there is none.
static bool ram_place(struct pipit_ram_spool *ram, uint32_t need, uint32_t *out_at)
{
    uint32_t size = ram->base.limit_bytes;
    bool is_wrapped = ram->record_count > 0 && ram->head <= ram->tail;
    uint32_t end = is_wrapped ? ram->tail : size;
    if (need <= end - ram->head) {
        *out_at = ram->head;
        return true;
    }
    if (is_wrapped || need > ram->tail) {
        return false;
    }
    if (size - ram->head >= HEADER_BYTES) {
        header_put(ram, ram->head, PAD);
    }
    *out_at = 0;
    return true;
}

static void ram_drop_oldest(struct pipit_ram_spool *ram)
{
    ram_forget(ram, record_at(ram, ram->tail), ram->base.tail_sequence);
    ram->base.dropped++;
    ram_reclaim(ram);
}

static enum pipit_err ram_put(struct pipit_spool *spool, struct pipit_bytes body,
                              const uint64_t *mark)
{
    struct pipit_ram_spool *ram = ram_of(spool);
    uint32_t at;
    if (body.len > PIPIT_RAM_RECORD_MAX || body.len + HEADER_BYTES > spool->limit_bytes) {
        return PIPIT_ERR_SIZE;
    }
    uint32_t need = (uint32_t)body.len + HEADER_BYTES;
    while (!ram_place(ram, need, &at)) {
        if (spool->policy == PIPIT_REFUSE) {
            return PIPIT_ERR_FULL;
        }
        ram_drop_oldest(ram);
    }
    header_put(ram, at, (unsigned)body.len);
    memcpy(ram->memory + at + HEADER_BYTES, body.ptr, body.len);
    ram->head = at + need;
    ram->record_count++;
    spool->used_bytes += need;
    spool->count++;
    spool->unread_count++;
    spool->next_sequence++;
    if (mark != NULL) {
        spool->mark = *mark;
        spool->has_mark = true;
    }
    return PIPIT_OK;
}

static void ram_step(struct pipit_ram_spool *ram)
{
    uint32_t at = record_at(ram, ram->read);
    ram->read = at + record_bytes(ram, at);
    ram->read_sequence++;
}

static enum pipit_err ram_peek(struct pipit_spool *spool, struct pipit_record *out_record)
{
    struct pipit_ram_spool *ram = ram_of(spool);
    if (spool->unread_count == 0) {
        return PIPIT_ERR_EMPTY;
    }
    uint32_t at = record_at(ram, ram->read);
    while ((header_at(ram, at) & RELEASED) != 0) {
        ram_step(ram);
        at = record_at(ram, ram->read);
    }
    out_record->boot = spool->boot;
    out_record->sequence = ram->read_sequence;
    out_record->body.ptr = ram->memory + at + HEADER_BYTES;
    out_record->body.len = header_at(ram, at);
    out_record->is_last = spool->unread_count == 1;
    return PIPIT_OK;
}

static void ram_advance(struct pipit_spool *spool)
{
    struct pipit_record record;
    if (ram_peek(spool, &record) == PIPIT_OK) {
        ram_step(ram_of(spool));
        spool->unread_count--;
        spool->read_count++;
    }
}

static void ram_rewind(struct pipit_spool *spool)
{
    struct pipit_ram_spool *ram = ram_of(spool);
    ram->read = ram->tail;
    ram->read_sequence = spool->tail_sequence;
    spool->unread_count = spool->count;
    spool->read_count = 0;
}

static enum pipit_err ram_release(struct pipit_spool *spool, uint32_t boot, pipit_sequence first,
                                  pipit_sequence last)
{
    struct pipit_ram_spool *ram = ram_of(spool);
    pipit_sequence sequence = spool->tail_sequence;
    uint32_t at = ram->tail;
    if (boot != spool->boot) {
        return PIPIT_OK;
    }
    for (uint32_t left = ram->record_count; left > 0 && sequence <= last; left--) {
        at = record_at(ram, at);
        if (sequence >= first && (header_at(ram, at) & RELEASED) == 0) {
            ram_forget(ram, at, sequence);
        }
        at += record_bytes(ram, at);
        sequence++;
    }
    ram_reclaim(ram);
    return PIPIT_OK;
}

static const struct pipit_spool_type ram_spool_type = {
    .put = ram_put,
    .peek = ram_peek,
    .advance = ram_advance,
    .rewind = ram_rewind,
    .release = ram_release,
    .tick = NULL,
};

enum pipit_err pipit_ram_spool_init(struct pipit_ram_spool *spool, uint8_t *memory,
                                    size_t memory_bytes, enum pipit_policy policy, uint32_t boot)
{
    if (memory == NULL || memory_bytes < 16 || memory_bytes > (UINT32_MAX >> 1)) {
        return PIPIT_ERR_ARGUMENT;
    }
    memset(spool, 0, sizeof(*spool));
    spool->base.type = &ram_spool_type;
    spool->base.policy = policy;
    spool->base.boot = boot;
    spool->base.next_sequence = 1;
    spool->base.limit_bytes = (uint32_t)memory_bytes;
    spool->base.tail_boot = boot;
    spool->base.tail_sequence = 1;
    spool->read_sequence = 1;
    spool->memory = memory;
    return PIPIT_OK;
}

static uint32_t sum_add(uint32_t sum, const void *ptr, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)ptr;
    for (; len > 0; len--) {
        sum = (sum << 5 | sum >> 27) + *bytes++;
    }
    return sum;
}

// Of all bookkeeping but the type, whose address may differ after an update of the program, and of
// what lies between tail and head. Garbage is not followed beyond the memory.
static uint32_t ram_sum(const struct pipit_ram_spool *ram, const uint8_t *memory, size_t size)
{
    const size_t skip = sizeof(ram->base.type);
    uint32_t sum =
        sum_add((uint32_t)sizeof(*ram), (const uint8_t *)ram + skip, sizeof(*ram) - skip);
    if (ram->record_count == 0 || ram->head > size || ram->tail > size) {
        return sum;
    }
    size_t head = (size_t)ram->head, tail = (size_t)ram->tail;
    if (head > tail) {
        return sum_add(sum, memory + tail, head - tail);
    }
    return sum_add(sum_add(sum, memory + tail, size - tail), memory, head);
}

uint32_t pipit_ram_spool_seal(const struct pipit_ram_spool *spool)
{
    return ram_sum(spool, spool->memory, (size_t)spool->base.limit_bytes);
}

enum pipit_err pipit_ram_spool_resume(struct pipit_ram_spool *spool, uint8_t *memory,
                                      size_t memory_bytes, uint32_t seal)
{
    if (memory == NULL || spool->memory != memory || spool->base.limit_bytes != memory_bytes ||
        ram_sum(spool, memory, memory_bytes) != seal) {
        return PIPIT_ERR_CORRUPT;
    }
    spool->base.type = &ram_spool_type;
    ram_rewind(&spool->base);
    return PIPIT_OK;
}

uint32_t pipit_boot_random(uint32_t entropy)
{
    return 1u + (entropy & 0xFFFFFu);
}
