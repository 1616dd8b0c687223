// PL011, as on the Stellaris boards. UART_BASE is its address.
#include "uart.h"

#define REG(offset)  (*(volatile uint32_t *)(UART_BASE + (offset)))
#define UART_DR      REG(0x00)
#define UART_FR      REG(0x18)
#define UART_IBRD    REG(0x24)
#define UART_FBRD    REG(0x28)
#define UART_LCRH    REG(0x2C)
#define UART_CTL     REG(0x30)
#define RCC_UART0    (*(volatile uint32_t *)0x400FE104u) // RCGC1
#define FR_RXFE      (1u << 4)
#define FR_TXFF      (1u << 5)
#define LCRH_8N1     0x70u // With the FIFOs.
#define CTL_ON       0x301u
#define BAUD         115200u
#define BAUD_DIVIDER (CLOCK_HZ * 4u / BAUD) // In 64ths.

void uart_init(void)
{
    RCC_UART0 |= 1u;
    UART_CTL = 0;
    UART_IBRD = BAUD_DIVIDER >> 6;
    UART_FBRD = BAUD_DIVIDER & 63u;
    UART_LCRH = LCRH_8N1;
    UART_CTL = CTL_ON;
}

bool uart_put(uint8_t byte)
{
    if ((UART_FR & FR_TXFF) != 0) {
        return false;
    }
    UART_DR = byte;
    return true;
}

bool uart_get(uint8_t *out_byte)
{
    if ((UART_FR & FR_RXFE) != 0) {
        return false;
    }
    *out_byte = (uint8_t)UART_DR;
    return true;
}
