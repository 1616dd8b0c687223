// Vectors and reset of every Cortex-M.
#include "board.h"
#include "memory.h"

#define SCB_SHCSR (*(volatile uint32_t *)0xE000ED24u)
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

void board_reset(void);
void clock_tick(void);

static void on_nmi(void)
{
    board_exit(BOARD_FAULT_NMI);
}

static void on_hard_fault(void)
{
    board_exit(BOARD_FAULT_HARD);
}

static void on_memory_fault(void)
{
    board_exit(BOARD_FAULT_MEMORY);
}

static void on_bus_fault(void)
{
    board_exit(BOARD_FAULT_BUS);
}

static void on_usage_fault(void)
{
    board_exit(BOARD_FAULT_USAGE);
}

static void on_interrupt(void)
{
    board_exit(BOARD_FAULT_INTERRUPT);
}

union vector {
    void (*code)(void);
    uint32_t *stack;
};

extern const union vector board_vectors[16];
__attribute__((section(".vectors"), used)) const union vector board_vectors[16] = {
    {.stack = __stack_top},   {.code = board_reset},     {.code = on_nmi},
    {.code = on_hard_fault},  {.code = on_memory_fault}, {.code = on_bus_fault},
    {.code = on_usage_fault}, {.code = on_interrupt},    {.code = on_interrupt},
    {.code = on_interrupt},   {.code = on_interrupt},    {.code = on_interrupt},
    {.code = on_interrupt},   {.code = on_interrupt},    {.code = on_interrupt},
    {.code = clock_tick},
};

__attribute__((noreturn)) void board_reset(void)
{
#if __ARM_ARCH >= 7
    SCB_SHCSR |= 7u << 16; // Memory, bus and usage faults apart from the hard one.
#endif
#ifdef __ARM_FP
    SCB_CPACR |= 0xFu << 20; // The floating-point unit is off after a reset.
    __asm volatile("dsb\n isb" ::: "memory");
#endif
    memory_init();
    board_init();
    (void)main();
    board_exit(BOARD_FAULT_RETURN);
}
