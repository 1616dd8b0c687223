#include "memory.h"

#include "board.h"

#define PAINT 0xC5C5C5C5u

extern uint32_t __data_begin[], __data_end[], __bss_begin[], __bss_end[];
extern const uint32_t __data_image[];

// Compiled without the idiom recognition that would make calls of memcpy and memset of these loops.
void memory_init(void)
{
    const uint32_t *image = __data_image;
    uint32_t *frame = (uint32_t *)__builtin_frame_address(0);
    for (uint32_t *word = __data_begin; word < __data_end; word++) {
        *word = *image++;
    }
    for (uint32_t *word = __bss_begin; word < __bss_end; word++) {
        *word = 0;
    }
    for (uint32_t *word = __stack_bottom; word < frame - 16; word++) {
        *word = PAINT;
    }
    __asm volatile("" ::: "memory");
}

size_t board_stack_used(void)
{
    const uint32_t *word = __stack_bottom;
    while (word < __stack_top && *word == PAINT) {
        word++;
    }
    return (size_t)(__stack_top - word) * sizeof(*word);
}
