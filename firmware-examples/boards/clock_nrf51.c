// The nRF51 has no SysTick: TIMER0 counts microseconds, nothing interrupts.
#include "board.h"
#include "clock.h"

#define TIMER(offset)     (*(volatile uint32_t *)(0x40008000u + (offset)))
#define TASKS_START       TIMER(0x000)
#define TASKS_CAPTURE0    TIMER(0x040)
#define TIMER_MODE        TIMER(0x504)
#define TIMER_BITMODE     TIMER(0x508)
#define TIMER_PRESCALER   TIMER(0x510)
#define TIMER_CC0         TIMER(0x540)
#define BITMODE_32        3u
#define PRESCALER_1_MHZ   4u // 16 MHz by 2^4.
#define US_PER_MS         1000u
#define US_PER_LONG_SLICE (1000u * US_PER_MS)

static uint32_t counted_us; // The timer's value up to which now_ms has counted.
static uint32_t now_ms;

void clock_tick(void)
{
}

void clock_init(void)
{
    TIMER_MODE = 0;
    TIMER_BITMODE = BITMODE_32;
    TIMER_PRESCALER = PRESCALER_1_MHZ;
    TASKS_START = 1;
}

// A Cortex-M0 does not divide; between two calls there is little to take away.
uint32_t board_now_ms(void)
{
    TASKS_CAPTURE0 = 1;
    uint32_t us = TIMER_CC0 - counted_us;
    for (; us >= US_PER_LONG_SLICE; us -= US_PER_LONG_SLICE) {
        now_ms += US_PER_LONG_SLICE / US_PER_MS;
        counted_us += US_PER_LONG_SLICE;
    }
    for (; us >= US_PER_MS; us -= US_PER_MS) {
        now_ms++;
        counted_us += US_PER_MS;
    }
    return now_ms;
}

void board_idle(void)
{
}
