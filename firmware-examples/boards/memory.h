// memory.h - from reset to main: data copied, bss cleared, the stack painted.
// Threads:   called once, before main.
// Ownership: the linker script's symbols.
// Failure:   none.
#ifndef MEMORY_H
#define MEMORY_H

#include <stdint.h>

extern uint32_t __stack_bottom[], __stack_top[];

// Has a compiler barrier in it, so that nothing of main moves in front of it.
void memory_init(void);
int main(void);

#endif
