#include "board.h"

void board_print_number(uint32_t value)
{
    char text[11];
    char *first = text + sizeof(text) - 1;
    *first = '\0';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    board_print(first);
}
