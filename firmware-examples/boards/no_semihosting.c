// In place of semihosting.c for a board that runs alone.
#include "board.h"

const char *board_argument(unsigned index)
{
    (void)index;
    return NULL;
}

void board_print(const char *text)
{
    (void)text;
}

void board_exit(int code)
{
    (void)code;
    for (;;) {
    }
}
