// The second NOR flash of QEMU's virt: two 16-bit chips of Intel's command set side by side, 32 MB.
#include <string.h>

#include "flash.h"

#define FLASH_BASE   0x22000000u
#define FLASH_BYTES  0x2000000u
#define SECTOR_BYTES 0x40000u
#define BOTH(value)  ((uint32_t)(value)*0x00010001u) // To or from both chips.
#define POLLS_MAX    10000000u

enum cfi_command {
    CFI_ERASE = 0x20,
    CFI_PROGRAM = 0x40,
    CFI_CLEAR_STATUS = 0x50,
    CFI_READ_STATUS = 0x70,
    CFI_QUERY = 0x98,
    CFI_CONFIRM = 0xD0,
    CFI_READ_ARRAY = 0xFF,
};

#define STATUS_READY  0x80u
#define STATUS_FAILED 0x38u // Erase, program, voltage.

static volatile uint32_t *word_at(uint32_t at)
{
    return (volatile uint32_t *)(uintptr_t)(FLASH_BASE + (at & ~3u));
}

static bool is_inside(uint32_t at, size_t len)
{
    return at <= FLASH_BYTES && len <= FLASH_BYTES - at;
}

// Waits for the end of what was begun there, and makes the chips readable again.
static bool finish(volatile uint32_t *word)
{
    uint32_t status = 0;
    *word = BOTH(CFI_READ_STATUS);
    for (uint32_t i = 0; i < POLLS_MAX && (status & BOTH(STATUS_READY)) != BOTH(STATUS_READY);
         i++) {
        status = *word;
    }
    *word = BOTH(CFI_CLEAR_STATUS);
    *word = BOTH(CFI_READ_ARRAY);
    return (status & BOTH(STATUS_READY)) == BOTH(STATUS_READY) &&
           (status & BOTH(STATUS_FAILED)) == 0;
}

bool flash_open(struct flash_size *out_size)
{
    *word_at(0x55 * 4) = BOTH(CFI_QUERY);
    bool is_known = (*word_at(0x10 * 4) & 0xFFu) == 'Q' && (*word_at(0x11 * 4) & 0xFFu) == 'R' &&
                    (*word_at(0x12 * 4) & 0xFFu) == 'Y';
    *word_at(0) = BOTH(CFI_READ_ARRAY);
    if (is_known) {
        *out_size = (struct flash_size){.bytes = FLASH_BYTES, .sector_bytes = SECTOR_BYTES};
    }
    return is_known;
}

bool flash_read(uint32_t at, uint8_t *ptr, size_t len)
{
    if (!is_inside(at, len)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        ptr[i] = ((const volatile uint8_t *)word_at(at + i))[(at + i) & 3u];
    }
    return true;
}

bool flash_program(uint32_t at, const uint8_t *ptr, size_t len)
{
    bool is_done = is_inside(at, len);
    size_t taken = 0;
    while (is_done && taken < len) {
        uint32_t begin = at + (uint32_t)taken;
        volatile uint32_t *word = word_at(begin);
        uint32_t value = *word;
        uint8_t bytes[4];
        memcpy(bytes, &value, sizeof(bytes));
        for (size_t i = begin & 3u; i < sizeof(bytes) && taken < len; i++) {
            bytes[i] &= ptr[taken++];
        }
        memcpy(&value, bytes, sizeof(bytes));
        *word = BOTH(CFI_PROGRAM);
        *word = value;
        is_done = finish(word);
    }
    return is_done;
}

bool flash_erase(uint32_t at)
{
    if (at % SECTOR_BYTES != 0 || !is_inside(at, SECTOR_BYTES)) {
        return false;
    }
    volatile uint32_t *word = word_at(at);
    *word = BOTH(CFI_ERASE);
    *word = BOTH(CFI_CONFIRM);
    return finish(word);
}
