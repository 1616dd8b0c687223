// 16550. UART_BASE is its address, UART_STRIDE the distance of its registers; UART_REGISTER their
// width as the bus wants it.
#include "uart.h"

#define REG(number)  (*(volatile UART_REGISTER *)(UART_BASE + (number)*UART_STRIDE))
#define UART_DATA    REG(0)
#define UART_FCR     REG(2)
#define UART_LCR     REG(3)
#define UART_LSR     REG(5)
#define FCR_FIFOS    7u // On and empty.
#define LCR_8N1      3u
#define LCR_DIVISOR  0x80u
#define LSR_DATA     (1u << 0)
#define LSR_TX_EMPTY (1u << 5)
#define BAUD         115200u
#define DIVISOR      ((UART_CLOCK_HZ + 8u * BAUD) / (16u * BAUD))

void uart_init(void)
{
    UART_LCR = LCR_DIVISOR;
    REG(0) = (UART_REGISTER)(DIVISOR & 0xFFu);
    REG(1) = (UART_REGISTER)(DIVISOR >> 8);
    UART_LCR = LCR_8N1;
    UART_FCR = FCR_FIFOS;
}

bool uart_put(uint8_t byte)
{
    if ((UART_LSR & LSR_TX_EMPTY) == 0) {
        return false;
    }
    UART_DATA = byte;
    return true;
}

bool uart_get(uint8_t *out_byte)
{
    if ((UART_LSR & LSR_DATA) == 0) {
        return false;
    }
    *out_byte = (uint8_t)UART_DATA;
    return true;
}
