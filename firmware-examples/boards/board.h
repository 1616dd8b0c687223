// board.h - what an example needs of a board; the same on every board, so examples name none.
// Threads:   one. The only interrupt is the clock's, and it calls nothing.
// Ownership: nothing is kept of what is handed in.
// Failure:   a fault of the processor ends the program with its enum board_fault as exit code.
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Exit codes that no example uses itself.
enum board_fault {
    BOARD_FAULT_NMI = 90,
    BOARD_FAULT_HARD,      // Also every fault of a Cortex-M0, an unaligned access among them.
    BOARD_FAULT_MEMORY,    //
    BOARD_FAULT_BUS,       // An address where nothing is.
    BOARD_FAULT_USAGE,     // No such instruction.
    BOARD_FAULT_INTERRUPT, // One that nobody has enabled.
    BOARD_FAULT_RETURN,    // main came back.
    BOARD_FAULT_TRAP,      // RISC-V: any exception.
};

// Clock and serial line; startup has called it when main begins.
void board_init(void);

// Milliseconds since the start, wraps. Call it at least every 30 s.
uint32_t board_now_ms(void);
// Sleeps until the clock's next tick where the processor can (1 ms), else returns at once.
void board_idle(void);

// The serial line to the modem. Bytes taken or given, 0 when none can be now. `context` is unused:
// the two fit struct pipit_uart_options.
size_t board_uart_write(void *context, const uint8_t *ptr, size_t len);
size_t board_uart_read(void *context, uint8_t *ptr, size_t size);

// True randomness. False, and nothing is written, when the board has none.
bool board_entropy(void *ptr, size_t len);

// Deepest use of the stack so far in bytes, by the pattern that startup left there.
size_t board_stack_used(void);

// The NOR flash beside the program's, all of it. NULL when the board has none, or the chip is not
// the one that its driver knows.
struct pipit_flash;
struct pipit_flash *board_flash(void);

// The debugger's side of things: QEMU's semihosting. On a board without a debugger there are no
// arguments, prints go nowhere, and board_exit stands still.
const char *board_argument(unsigned index); // NULL when there are not so many.
void board_print(const char *text);
void board_print_number(uint32_t value);
_Noreturn void board_exit(int code);

#endif
