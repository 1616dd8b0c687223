// The second NOR flash of QEMU's virt: two 16-bit chips of Intel's command set side by side, 32 MB.
#include <pipit/flash.h>

#include "board.h"

#define FLASH_BASE   0x22000000u
#define FLASH_BYTES  0x2000000u
#define SECTOR_BYTES 0x40000u
#define WORD_BYTES   4u
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
    return (volatile uint32_t *)(uintptr_t)(FLASH_BASE + at);
}

// Waits for the end of what was begun there, and makes the chips readable again.
static enum pipit_err finish(volatile uint32_t *word)
{
    uint32_t status = 0;
    *word = BOTH(CFI_READ_STATUS);
    for (uint32_t i = 0; i < POLLS_MAX && (status & BOTH(STATUS_READY)) != BOTH(STATUS_READY);
         i++) {
        status = *word;
    }
    *word = BOTH(CFI_CLEAR_STATUS);
    *word = BOTH(CFI_READ_ARRAY);
    bool is_done =
        (status & BOTH(STATUS_READY)) == BOTH(STATUS_READY) && (status & BOTH(STATUS_FAILED)) == 0;
    return is_done ? PIPIT_OK : PIPIT_ERR_IO;
}

static enum pipit_err cfi_read(struct pipit_flash *flash, uint32_t at, uint8_t *ptr, size_t len)
{
    (void)flash;
    for (size_t i = 0; i < len; i++) {
        ptr[i] = *(const volatile uint8_t *)(uintptr_t)(FLASH_BASE + at + i);
    }
    return PIPIT_OK;
}

static enum pipit_err cfi_program(struct pipit_flash *flash, uint32_t at, const uint8_t *ptr,
                                  size_t len)
{
    enum pipit_err rc = PIPIT_OK;
    (void)flash;
    for (size_t i = 0; rc == PIPIT_OK && i < len; i += WORD_BYTES) {
        volatile uint32_t *word = word_at(at + (uint32_t)i);
        uint32_t value;
        memcpy(&value, ptr + i, WORD_BYTES);
        *word = BOTH(CFI_PROGRAM);
        *word = value;
        rc = finish(word);
    }
    return rc;
}

static enum pipit_err cfi_erase(struct pipit_flash *flash, uint32_t at)
{
    volatile uint32_t *word = word_at(at);
    (void)flash;
    *word = BOTH(CFI_ERASE);
    *word = BOTH(CFI_CONFIRM);
    return finish(word);
}

struct pipit_flash *board_flash(void)
{
    static const struct pipit_flash_type type = {cfi_read, cfi_program, cfi_erase};
    static struct pipit_flash flash = {.type = &type,
                                       .sector_bytes = SECTOR_BYTES,
                                       .sector_count = FLASH_BYTES / SECTOR_BYTES,
                                       .granule_bytes = WORD_BYTES};
    *word_at(0x55 * WORD_BYTES) = BOTH(CFI_QUERY);
    bool is_known = (*word_at(0x10 * WORD_BYTES) & 0xFFu) == 'Q' &&
                    (*word_at(0x11 * WORD_BYTES) & 0xFFu) == 'R' &&
                    (*word_at(0x12 * WORD_BYTES) & 0xFFu) == 'Y';
    *word_at(0) = BOTH(CFI_READ_ARRAY);
    return is_known ? &flash : NULL;
}
