// The machine timer of QEMU's virt (10 MHz), read; nothing interrupts.
#include "board.h"
#include "clock.h"

#define MTIME_LOW    (*(volatile uint32_t *)0x0200BFF8u)
#define TICKS_PER_MS 10000u

static uint32_t counted; // Ticks up to which now_ms has counted.
static uint32_t now_ms;

void clock_init(void)
{
    counted = MTIME_LOW;
}

uint32_t board_now_ms(void)
{
    uint32_t ms = (MTIME_LOW - counted) / TICKS_PER_MS;
    counted += ms * TICKS_PER_MS;
    now_ms += ms;
    return now_ms;
}

void board_idle(void)
{
}
