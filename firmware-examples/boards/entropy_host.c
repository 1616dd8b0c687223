// A board without a random number generator takes the randomness of the machine that emulates it.
// On such a board by itself there is none, and it says so.
#include "board.h"
#include "semihosting.h"

#define OPEN_RB 1u

bool board_entropy(void *ptr, size_t len)
{
    static const char path[] = "/dev/urandom";
    const uintptr_t open[3] = {(uintptr_t)path, OPEN_RB, sizeof(path) - 1};
    intptr_t file = semihosting_call(SEMIHOSTING_OPEN, open);
    if (file < 0) {
        return false;
    }
    const uintptr_t read[3] = {(uintptr_t)file, (uintptr_t)ptr, len};
    const uintptr_t close[1] = {(uintptr_t)file};
    intptr_t missing = semihosting_call(SEMIHOSTING_READ, read);
    (void)semihosting_call(SEMIHOSTING_CLOSE, close);
    return missing == 0;
}
