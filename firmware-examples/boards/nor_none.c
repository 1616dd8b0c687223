// For boards without NOR flash of their own.
#include "board.h"

struct pipit_flash *board_flash(void)
{
    return NULL;
}
