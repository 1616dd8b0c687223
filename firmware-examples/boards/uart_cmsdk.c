// UART of Arm's Cortex-M System Design Kit (the MPS2 images). UART_BASE is its address.
#include "uart.h"

#define REG(offset)  (*(volatile uint32_t *)(UART_BASE + (offset)))
#define UART_DATA    REG(0x00)
#define UART_STATE   REG(0x04)
#define UART_CTRL    REG(0x08)
#define UART_BAUDDIV REG(0x10)
#define STATE_TXFULL 1u
#define STATE_RXFULL 2u
#define CTRL_ON      3u // Transmitter, receiver.
#define BAUD         115200u

void uart_init(void)
{
    UART_BAUDDIV = CLOCK_HZ / BAUD;
    UART_CTRL = CTRL_ON;
}

bool uart_put(uint8_t byte)
{
    if ((UART_STATE & STATE_TXFULL) != 0) {
        return false;
    }
    UART_DATA = byte;
    return true;
}

bool uart_get(uint8_t *out_byte)
{
    if ((UART_STATE & STATE_RXFULL) == 0) {
        return false;
    }
    *out_byte = (uint8_t)UART_DATA;
    return true;
}
