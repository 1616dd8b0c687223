// The nRF51's random number generator, with its bias correction on.
#include "board.h"

#define REG(offset)   (*(volatile uint32_t *)(0x4000D000u + (offset)))
#define TASKS_START   REG(0x000)
#define EVENTS_VALRDY REG(0x100)
#define RNG_CONFIG    REG(0x504)
#define RNG_VALUE     REG(0x508)

bool board_entropy(void *ptr, size_t len)
{
    uint8_t *bytes = ptr;
    RNG_CONFIG = 1;
    TASKS_START = 1;
    for (size_t i = 0; i < len; i++) {
        EVENTS_VALRDY = 0;
        while (EVENTS_VALRDY == 0) {
        }
        bytes[i] = (uint8_t)RNG_VALUE;
    }
    return true;
}
