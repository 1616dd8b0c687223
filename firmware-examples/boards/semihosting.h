// semihosting.h - calls to the debugger, here QEMU: for a board under test, not for a product.
// Threads:   any.
// Ownership: borrowed for the call.
// Failure:   without a debugger each call faults, so BOARD_SEMIHOSTING=0 leaves them out.
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stdint.h>

enum semihosting_operation {
    SEMIHOSTING_OPEN = 0x01,
    SEMIHOSTING_CLOSE = 0x02,
    SEMIHOSTING_WRITE0 = 0x04,
    SEMIHOSTING_READ = 0x06,
    SEMIHOSTING_GET_CMDLINE = 0x15,
    SEMIHOSTING_EXIT_EXTENDED = 0x20,
};

// `argument` is the address of the operation's argument block, or of its text.
intptr_t semihosting_call(enum semihosting_operation operation, const void *argument);

#endif
