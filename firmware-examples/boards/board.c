#include "board.h"

#include "clock.h"
#include "uart.h"

void board_init(void)
{
    clock_init();
    uart_init();
}

size_t board_uart_write(void *context, const uint8_t *ptr, size_t len)
{
    size_t count = 0;
    (void)context;
    while (count < len && uart_put(ptr[count])) {
        count++;
    }
    return count;
}

size_t board_uart_read(void *context, uint8_t *ptr, size_t size)
{
    size_t count = 0;
    (void)context;
    while (count < size && uart_get(&ptr[count])) {
        count++;
    }
    return count;
}
