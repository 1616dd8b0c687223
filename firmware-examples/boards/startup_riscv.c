// Reset and traps of a bare RISC-V hart in machine mode.
#include "board.h"
#include "memory.h"

void board_reset(void);
_Noreturn void riscv_begin(void);
_Noreturn void riscv_trap(void);

__attribute__((aligned(4))) void riscv_trap(void)
{
    board_exit(BOARD_FAULT_TRAP);
}

void riscv_begin(void)
{
    memory_init();
    board_init();
    (void)main();
    board_exit(BOARD_FAULT_RETURN);
}

__attribute__((naked, section(".text.start"), used)) void board_reset(void)
{
    __asm volatile(".option push\n"
                   ".option arch, +zicsr\n"
                   ".option norelax\n"
                   "la gp, __global_pointer$\n"
                   "la sp, __stack_top\n"
                   "la t0, riscv_trap\n"
                   "csrw mtvec, t0\n"
                   ".option pop\n"
                   "j riscv_begin\n");
}
