// port_board - the template filled in for the boards of firmware-examples/boards, which are run in
// QEMU.
#include "port.h"

#include <pipit/uart.h>

#include "board.h"

static struct pipit_uart line;
static const struct pipit_uart_options line_options = {.write = board_uart_write,
                                                       .read = board_uart_read};
static uint8_t memory[512];
static struct pipit_ram_spool spool;

const bool port_is_spool_kept = false;
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

struct pipit_spool *port_spool_open(void)
{
    uint32_t boot = pipit_boot_random(port_entropy());
    return pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE, boot) == PIPIT_OK
               ? &spool.base
               : NULL;
}

void port_spool_close(void)
{
}
