// Records: parts that are programmed at once, each with its CRC.
#include "spool_flash.h"

// Bit by bit: a table would double its size, and the flash is slower still.
static uint32_t flash_crc(uint32_t crc, const uint8_t *ptr, uint32_t len)
{
    for (; len > 0; len--) {
        crc ^= *ptr++;
        for (unsigned bit = 8; bit > 0; bit--) {
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
        }
    }
    return crc;
}

void pipit_flash_get(struct pipit_flash_spool *spool, uint32_t address, void *ptr, uint32_t len)
{
    if (spool->flash->type->read(spool->flash, address, ptr, len) != PIPIT_OK) {
        memset(ptr, 0xFF, len);
        spool->failed++;
    }
}

bool pipit_flash_load(struct pipit_flash_spool *spool, uint32_t address, void *ptr, uint32_t len)
{
    uint32_t crc;
    pipit_flash_get(spool, address, ptr, len);
    len -= FLASH_CRC_BYTES;
    memcpy(&crc, (const uint8_t *)ptr + len, sizeof(crc));
    return crc == flash_crc(~address, ptr, len);
}

// Programs the first `len` bytes of the memory, filled up to granules.
static void flash_program(struct pipit_flash_spool *spool, uint32_t address, uint32_t len)
{
    struct pipit_flash *flash = spool->flash;
    for (; (len & (flash->granule_bytes - 1)) != 0; len++) {
        spool->memory[len] = 0xFF;
    }
    if (spool->failed == 0 &&
        flash->type->program(flash, address, spool->memory, len) != PIPIT_OK) {
        spool->failed++;
    }
}

static void flash_crc_put(const struct pipit_flash_spool *spool, uint32_t address, uint32_t len)
{
    uint32_t crc = flash_crc(~address, spool->memory, len);
    memcpy(spool->memory + len, &crc, sizeof(crc));
}

// Worn flash may answer well and hold something else: what was programmed is read back.
static void flash_store(struct pipit_flash_spool *spool, uint32_t address, uint32_t len)
{
    flash_program(spool, address, len);
    if (!pipit_flash_load(spool, address, spool->memory, len)) {
        spool->failed++;
    }
}

void pipit_flash_head_compose(struct pipit_flash_spool *spool, uint32_t address, uint32_t shape,
                              uint64_t sequence)
{
    uint32_t words[] = {shape | (uint32_t)(sequence >> 32) << 16, (uint32_t)sequence,
                        spool->base.boot};
    memcpy(spool->memory, words, sizeof(words));
    flash_crc_put(spool, address, sizeof(words));
}

void pipit_flash_head_write(struct pipit_flash_spool *spool, uint32_t shape, uint64_t sequence)
{
    uint32_t address = spool->end.at;
    pipit_flash_head_compose(spool, address, shape, sequence);
    flash_store(spool, address, FLASH_HEAD_BYTES);
}

void pipit_flash_head_shape(const struct pipit_flash_spool *spool, uint32_t shape,
                            struct flash_head *out_head)
{
    uint32_t step = spool->step;
    out_head->has_mark = (shape & FLASH_HAS_MARK) != 0;
    out_head->len = shape & (FLASH_HAS_MARK - 1);
    out_head->body_bytes =
        out_head->len + FLASH_CRC_BYTES + (out_head->has_mark ? FLASH_MARK_BYTES : 0);
    out_head->size =
        (2 * step - 1 + spool->flash->granule_bytes + out_head->body_bytes) & (0u - step);
}

// Any bit of the flag will do: a release that was cut has been asked for.
static bool flash_is_released(struct pipit_flash_spool *spool, uint32_t address)
{
    uint8_t bytes[FLASH_GRANULE_MAX];
    uint32_t size = spool->flash->granule_bytes;
    uint8_t ones = 0xFF;
    pipit_flash_get(spool, address, bytes, size);
    while (size > 0) {
        ones &= bytes[--size];
    }
    return ones != 0xFF;
}

enum flash_kind pipit_flash_head_read(struct pipit_flash_spool *spool, uint32_t at,
                                      struct flash_head *out_head)
{
    uint32_t words[FLASH_HEAD_BYTES / 4];
    bool is_whole = pipit_flash_load(spool, at, words, sizeof(words));
    out_head->size = spool->step;
    if (!is_whole) {
        return (words[0] & words[1] & words[2] & words[3]) == 0xFFFFFFFFu ? FLASH_BLANK
                                                                          : FLASH_TORN;
    }
    out_head->boot = words[2];
    out_head->sequence = (uint64_t)(words[0] >> 16) << 32 | words[1];
    if (out_head->sequence == 0) {
        return FLASH_START;
    }
    pipit_flash_head_shape(spool, words[0], out_head);
    return flash_is_released(spool, at + spool->step) ? FLASH_RELEASED : FLASH_WAITING;
}

uint32_t pipit_flash_body_at(const struct pipit_flash_spool *spool, uint32_t at)
{
    return at + spool->step + spool->flash->granule_bytes;
}

void pipit_flash_record_write(struct pipit_flash_spool *spool, struct pipit_bytes body,
                              const uint64_t *mark, uint64_t sequence)
{
    uint32_t len = (uint32_t)body.len;
    uint32_t address = pipit_flash_body_at(spool, spool->end.at);
    pipit_flash_head_write(spool, len | (mark != NULL ? FLASH_HAS_MARK : 0), sequence);
    memcpy(spool->memory, body.ptr, len);
    if (mark != NULL) {
        memcpy(spool->memory + len, mark, FLASH_MARK_BYTES);
        len += FLASH_MARK_BYTES;
    }
    flash_crc_put(spool, address, len);
    flash_store(spool, address, len + FLASH_CRC_BYTES);
}

void pipit_flash_release(struct pipit_flash_spool *spool, uint32_t at)
{
    uint32_t size = spool->flash->granule_bytes;
    memset(spool->memory, 0, size);
    flash_program(spool, at + spool->step, size);
}
