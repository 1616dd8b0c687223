// USART of the STM32F1. UART_BASE is the peripheral's address.
#include "uart.h"

#define REG(offset)  (*(volatile uint32_t *)(UART_BASE + (offset)))
#define USART_SR     REG(0x00)
#define USART_DR     REG(0x04)
#define USART_BRR    REG(0x08)
#define USART_CR1    REG(0x0C)
#define RCC_APB2ENR  (*(volatile uint32_t *)0x40021018u)
#define RCC_USART1EN (1u << 14)
#define SR_RXNE      (1u << 5)
#define SR_TXE       (1u << 7)
#define CR1_ON       0x200Cu // UE, TE, RE.
#define BAUD         115200u

void uart_init(void)
{
    RCC_APB2ENR |= RCC_USART1EN;
    USART_BRR = CLOCK_HZ / BAUD;
    USART_CR1 = CR1_ON;
}

bool uart_put(uint8_t byte)
{
    if ((USART_SR & SR_TXE) == 0) {
        return false;
    }
    USART_DR = byte;
    return true;
}

bool uart_get(uint8_t *out_byte)
{
    if ((USART_SR & SR_RXNE) == 0) {
        return false;
    }
    *out_byte = (uint8_t)USART_DR;
    return true;
}
