// Records: parts that are programmed at once, each with its CRC.
#include "spool_flash.h"

// Bit by bit: a table would double its size, and the flash is slower still.
uint32_t pipit_flash_crc(uint32_t crc, const void *ptr, size_t len)
{
    const uint8_t *bytes = ptr;
    for (; len > 0; len--) {
        crc ^= *bytes++;
        for (unsigned bit = 8; bit > 0; bit--) {
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
        }
    }
    return crc;
}

void pipit_flash_get(struct pipit_flash_spool *spool, uint32_t address, void *ptr, size_t len)
{
    if (spool->flash->type->read(spool->flash, address, ptr, len) != PIPIT_OK) {
        memset(ptr, 0xFF, len);
        spool->failed++;
    }
}

// Programs the first `len` bytes of the memory, filled up to granules.
static void flash_program(struct pipit_flash_spool *spool, uint32_t address, size_t len)
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

static bool flash_load(struct pipit_flash_spool *spool, uint32_t address, size_t len, uint32_t seed)
{
    uint32_t crc;
    pipit_flash_get(spool, address, spool->memory, len);
    len -= FLASH_CRC_BYTES;
    memcpy(&crc, spool->memory + len, sizeof(crc));
    return crc == pipit_flash_crc(seed, spool->memory, len);
}

// Programs the first `len` bytes of the memory and their CRC, which is returned. Worn flash may
// answer well and hold something else: so it is read back.
static uint32_t flash_store(struct pipit_flash_spool *spool, uint32_t address, size_t len,
                            uint32_t seed)
{
    uint32_t crc = pipit_flash_crc(seed, spool->memory, len);
    memcpy(spool->memory + len, &crc, sizeof(crc));
    len += FLASH_CRC_BYTES;
    flash_program(spool, address, len);
    if (!flash_load(spool, address, len, seed)) {
        spool->failed++;
    }
    return crc;
}

void pipit_flash_measure(const struct pipit_flash_spool *spool, struct flash_head *head)
{
    uint32_t step = spool->step;
    head->body_bytes = flash_len(head) + FLASH_CRC_BYTES;
    if ((head->shape & FLASH_HAS_MARK) != 0) {
        head->body_bytes += FLASH_MARK_BYTES;
    }
    head->size =
        (2 * step - 1 + spool->flash->granule_bytes + (uint32_t)head->body_bytes) & (0u - step);
}

// Any bit of the flag will do: a release that was cut has been asked for.
static bool flash_is_released(struct pipit_flash_spool *spool, uint32_t address)
{
    uint8_t bytes[FLASH_GRANULE_MAX];
    size_t size = (size_t)spool->flash->granule_bytes;
    uint8_t ones = 0xFF;
    pipit_flash_get(spool, address, bytes, size);
    while (size > 0) {
        ones &= bytes[--size];
    }
    return ones != 0xFF;
}

enum flash_kind pipit_flash_head_read(struct pipit_flash_spool *spool, uint32_t at, uint32_t stop,
                                      struct flash_head *out_head)
{
    pipit_flash_get(spool, at, out_head, FLASH_HEAD_BYTES);
    out_head->size = spool->step;
    if ((out_head->shape & out_head->sequence & out_head->boot & out_head->crc) == UINT32_MAX) {
        return FLASH_BLANK;
    }
    if (out_head->crc != pipit_flash_crc(~at, out_head, FLASH_HEAD_BYTES - FLASH_CRC_BYTES)) {
        return FLASH_TORN;
    }
    if ((out_head->shape >> 16 | out_head->sequence) == 0) {
        return FLASH_START;
    }
    pipit_flash_measure(spool, out_head);
    if (out_head->size > stop - at) {
        out_head->size = spool->step;
        return FLASH_TORN;
    }
    return flash_is_released(spool, at + spool->step) ? FLASH_RELEASED : FLASH_WAITING;
}

static uint32_t flash_body_at(const struct pipit_flash_spool *spool, uint32_t at)
{
    return at + spool->step + spool->flash->granule_bytes;
}

bool pipit_flash_body_load(struct pipit_flash_spool *spool, uint32_t at,
                           const struct flash_head *head)
{
    return head->body_bytes <= spool->memory_bytes &&
           flash_load(spool, flash_body_at(spool, at), head->body_bytes, head->crc);
}

void pipit_flash_head_write(struct pipit_flash_spool *spool, struct flash_head *head)
{
    head->boot = spool->base.boot;
    memcpy(spool->memory, head, FLASH_HEAD_BYTES - FLASH_CRC_BYTES);
    head->crc =
        flash_store(spool, spool->end.at, FLASH_HEAD_BYTES - FLASH_CRC_BYTES, ~spool->end.at);
}

void pipit_flash_record_write(struct pipit_flash_spool *spool, struct flash_head *head,
                              const uint8_t *body, const uint64_t *mark)
{
    size_t len = flash_len(head);
    pipit_flash_head_write(spool, head);
    memcpy(spool->memory, body, len);
    if (mark != NULL) {
        memcpy(spool->memory + len, mark, FLASH_MARK_BYTES);
        len += FLASH_MARK_BYTES;
    }
    (void)flash_store(spool, flash_body_at(spool, spool->end.at), len, head->crc);
}

void pipit_flash_release(struct pipit_flash_spool *spool, uint32_t at)
{
    size_t size = (size_t)spool->flash->granule_bytes;
    memset(spool->memory, 0, size);
    flash_program(spool, at + spool->step, size);
}
