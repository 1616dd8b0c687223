// The S25SL128 on SPI 0 of the SmartFusion2: 16 MB, sectors of 64 KB, pages of 256 bytes.
#include <pipit/flash.h>

#include "board.h"

#define REG(offset)      (*(volatile uint32_t *)(0x40001000u + (offset)))
#define SPI_CONTROL      REG(0x00)
#define SPI_DFSIZE       REG(0x04)
#define SPI_STATUS       REG(0x08)
#define SPI_RX           REG(0x10)
#define SPI_TX           REG(0x14)
#define SPI_SELECT       REG(0x1C)
#define CONTROL_ON       0x3u       // Enabled, master.
#define CONTROL_HOLD     (1u << 26) // Keep the chip selected from frame to frame.
#define CONTROL_COUNT(n) ((n) << 8) // Frames of the transfer.
#define FRAMES_MAX       0xFFFFu
#define STATUS_RX_EMPTY  (1u << 6)
#define FLASH_BYTES      0x1000000u
#define SECTOR_BYTES     0x10000u
#define PAGE_BYTES       256u
#define HEADER_BYTES     4u
#define POLLS_MAX        10000000u // Of the chip's status: far beyond the 3 s of a slow erase.

enum nor_command {
    NOR_PROGRAM = 0x02,
    NOR_READ = 0x03,
    NOR_STATUS = 0x05,
    NOR_WRITE_ENABLE = 0x06,
    NOR_IDENTITY = 0x9F,
    NOR_ERASE = 0xD8,
};

static const uint8_t identity[3] = {0x01, 0x20, 0x18};

static uint8_t exchange(uint8_t byte)
{
    SPI_TX = byte;
    while ((SPI_STATUS & STATUS_RX_EMPTY) != 0) {
    }
    return (uint8_t)SPI_RX;
}

// One transfer: what is sent, then what comes back. The chip is selected for exactly so many bytes.
static void transfer(const uint8_t *out, size_t out_len, const uint8_t *data, size_t data_len,
                     uint8_t *in, size_t in_len)
{
    SPI_CONTROL = 0;
    SPI_DFSIZE = 8;
    SPI_SELECT = 1;
    SPI_CONTROL =
        CONTROL_ON | CONTROL_HOLD | CONTROL_COUNT((uint32_t)(out_len + data_len + in_len));
    for (size_t i = 0; i < out_len; i++) {
        (void)exchange(out[i]);
    }
    for (size_t i = 0; i < data_len; i++) {
        (void)exchange(data[i]);
    }
    for (size_t i = 0; i < in_len; i++) {
        in[i] = exchange(0xFF);
    }
}

static void header_write(uint8_t header[static HEADER_BYTES], enum nor_command command, uint32_t at)
{
    header[0] = (uint8_t)command;
    header[1] = (uint8_t)(at >> 16);
    header[2] = (uint8_t)(at >> 8);
    header[3] = (uint8_t)at;
}

static bool wait_ready(void)
{
    const uint8_t command = NOR_STATUS;
    uint8_t status = 1;
    for (uint32_t i = 0; i < POLLS_MAX; i++) {
        transfer(&command, 1, NULL, 0, &status, 1);
        if ((status & 1u) == 0) {
            return true;
        }
    }
    return false;
}

static bool change(enum nor_command command, uint32_t at, const uint8_t *ptr, size_t len)
{
    const uint8_t enable = NOR_WRITE_ENABLE;
    uint8_t header[HEADER_BYTES];
    header_write(header, command, at);
    transfer(&enable, 1, NULL, 0, NULL, 0);
    transfer(header, sizeof(header), ptr, len, NULL, 0);
    return wait_ready();
}

static enum pipit_err sf2_read(struct pipit_flash *flash, uint32_t at, uint8_t *ptr, size_t len)
{
    (void)flash;
    while (len > 0) {
        size_t count = len < FRAMES_MAX - HEADER_BYTES ? len : FRAMES_MAX - HEADER_BYTES;
        uint8_t header[HEADER_BYTES];
        header_write(header, NOR_READ, at);
        transfer(header, sizeof(header), NULL, 0, ptr, count);
        at += (uint32_t)count;
        ptr += count;
        len -= count;
    }
    return PIPIT_OK;
}

static enum pipit_err sf2_program(struct pipit_flash *flash, uint32_t at, const uint8_t *ptr,
                                  size_t len)
{
    bool is_done = true;
    (void)flash;
    while (is_done && len > 0) { // A page at a time: an address wraps at its page's end.
        size_t room = PAGE_BYTES - at % PAGE_BYTES;
        size_t count = len < room ? len : room;
        is_done = change(NOR_PROGRAM, at, ptr, count);
        at += (uint32_t)count;
        ptr += count;
        len -= count;
    }
    return is_done ? PIPIT_OK : PIPIT_ERR_IO;
}

static enum pipit_err sf2_erase(struct pipit_flash *flash, uint32_t at)
{
    (void)flash;
    return change(NOR_ERASE, at, NULL, 0) ? PIPIT_OK : PIPIT_ERR_IO;
}

struct pipit_flash *board_flash(void)
{
    static const struct pipit_flash_type type = {sf2_read, sf2_program, sf2_erase};
    static struct pipit_flash flash = {.type = &type,
                                       .sector_bytes = SECTOR_BYTES,
                                       .sector_count = FLASH_BYTES / SECTOR_BYTES,
                                       .granule_bytes = 1};
    const uint8_t command = NOR_IDENTITY;
    uint8_t found[sizeof(identity)] = {0};
    transfer(&command, 1, NULL, 0, found, sizeof(found));
    return memcmp(found, identity, sizeof(found)) == 0 ? &flash : NULL;
}
