// flash.h - the NOR flash of a board that has one beside its program.
// Threads:   one.
// Ownership: nothing is kept.
// Failure:   false for addresses outside, or when the chip does not answer in time.
#ifndef FLASH_H
#define FLASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flash_size {
    uint32_t bytes;
    uint32_t sector_bytes; // What an erase sets to 0xFF.
};

// False when the chip is not the one that the driver knows.
bool flash_open(struct flash_size *out_size);
bool flash_read(uint32_t at, uint8_t *ptr, size_t len);
// Clears bits. Bytes may be programmed again as long as no bit has to become 1.
bool flash_program(uint32_t at, const uint8_t *ptr, size_t len);
bool flash_erase(uint32_t at); // The sector that begins at `at`.

#endif
