// port_flash - a port whose events wait in NOR flash, for the conformance program.
// QEMU.
#include "port.h"

#include <pipit/flash.h>
#include <pipit/uart.h>

#include "board.h"

static struct pipit_uart line;
static const struct pipit_uart_options line_options = {.write = board_uart_write,
                                                       .read = board_uart_read};
static _Alignas(4) uint8_t memory[PIPIT_FLASH_MEMORY(96, 4u)];
static struct pipit_flash region;
static struct pipit_flash_spool spool;
static bool is_formatted;

const bool port_is_spool_kept = true;
const uint32_t port_window_bytes = 16; // The smallest of the boards' receive buffers.
const uint32_t port_timeout_ms = 0;

void port_init(void)
{
    (void)pipit_uart_init(&line, &line_options); // Startup has done the rest.
}

uint32_t port_now_ms(void)
{
    return board_now_ms();
}

bool port_clock_set(uint32_t now_ms)
{
    (void)now_ms;
    return false;
}

uint32_t port_entropy(void)
{
    uint32_t bits = 0;
    (void)board_entropy(&bits, sizeof(bits));
    return bits;
}

void port_idle(void)
{
    // What a serial line brings rings no bell here: board_idle would sleep for a millisecond a
    // byte.
}

void port_print(const char *text)
{
    board_print(text);
}

_Noreturn void port_end(int status)
{
    board_exit(status);
}

struct pipit_transport *port_transport(void)
{
    return &line.base;
}

// Four sectors, which are formatted by the first call.
struct pipit_spool *port_spool_open(void)
{
    const struct pipit_flash *chip = board_flash();
    if (chip == NULL) {
        return NULL;
    }
    region = *chip;
    region.sector_count = 4;
    if (!is_formatted && pipit_flash_spool_format(&region) != PIPIT_OK) {
        return NULL;
    }
    is_formatted = true;
    struct pipit_flash_spool_options options = {.flash = &region,
                                                .memory = memory,
                                                .memory_bytes = sizeof(memory),
                                                .entropy = port_entropy()};
    return pipit_flash_spool_open(&spool, &options) == PIPIT_OK ? &spool.base : NULL;
}

void port_spool_close(void)
{
}
