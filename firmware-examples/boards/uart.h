// uart.h - the part of a board that moves bytes on its serial line, one at a time.
// Threads:   one.
// Ownership: none.
// Failure:   none: a byte is taken or it is not.
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stdint.h>

void uart_init(void);
bool uart_put(uint8_t byte);      // False: no room now.
bool uart_get(uint8_t *out_byte); // False: none there.

#endif
