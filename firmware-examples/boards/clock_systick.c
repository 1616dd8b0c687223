// A tick each millisecond from the Cortex-M's own timer. CLOCK_HZ is the processor's clock.
#include "clock.h"

#include "board.h"

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

static volatile uint32_t ticks;

void clock_tick(void)
{
    ticks++;
}

void clock_init(void)
{
    SYST_RVR = CLOCK_HZ / 1000u - 1u;
    SYST_CVR = 0;
    SYST_CSR = 7; // Processor clock, interrupt, on.
}

uint32_t board_now_ms(void)
{
    return ticks;
}

void board_idle(void)
{
    __asm volatile("wfi" ::: "memory");
}
