// UART of the nRF51, on the micro:bit's pins to its USB chip.
#include "uart.h"

#define REG(offset)   (*(volatile uint32_t *)(0x40002000u + (offset)))
#define TASKS_STARTRX REG(0x000)
#define TASKS_STARTTX REG(0x008)
#define EVENTS_RXDRDY REG(0x108)
#define EVENTS_TXDRDY REG(0x11C)
#define UART_ENABLE   REG(0x500)
#define PSELTXD       REG(0x50C)
#define PSELRXD       REG(0x514)
#define UART_RXD      REG(0x518)
#define UART_TXD      REG(0x51C)
#define BAUDRATE      REG(0x524)
#define ENABLED       4u
#define BAUD_115200   0x01D7E000u

static bool is_sending;

void uart_init(void)
{
    PSELTXD = 24;
    PSELRXD = 25;
    BAUDRATE = BAUD_115200;
    UART_ENABLE = ENABLED;
    TASKS_STARTTX = 1;
    TASKS_STARTRX = 1;
}

bool uart_put(uint8_t byte)
{
    if (is_sending && EVENTS_TXDRDY == 0) {
        return false;
    }
    EVENTS_TXDRDY = 0;
    UART_TXD = byte;
    is_sending = true;
    return true;
}

bool uart_get(uint8_t *out_byte)
{
    if (EVENTS_RXDRDY == 0) {
        return false;
    }
    EVENTS_RXDRDY = 0; // Before the read, which raises it again for the next byte.
    *out_byte = (uint8_t)UART_RXD;
    return true;
}
