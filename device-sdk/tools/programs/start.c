#include "bench.h"

#include <stddef.h>
#include <string.h>

#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

#define TICK_NS        40u   // SysTick at 25 MHz.
#define INSTRUCTION_NS 1024u // -icount shift=10.
#define PAINT          0xA5u
#define STACK_MAX      4096u
#define FRAME_BYTES    64u // Not painted: in use by bench_run and what it calls to paint.

enum { SYS_WRITE0 = 0x04, SYS_EXIT_EXTENDED = 0x20, EXIT_NORMAL = 0x20026 };

extern uint32_t data_start[], data_end[], bss_start[], bss_end[], stack_high[];
extern const uint32_t data_load[];

int main(void);

static void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void bench_exit(uint32_t status)
{
    const uint32_t block[2] = {EXIT_NORMAL, status};
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

void bench_print(const char *name, uint32_t value)
{
    char digits[12];
    char *at = digits + sizeof(digits);
    *--at = '\0';
    *--at = '\n';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    semihosting(SYS_WRITE0, name);
    semihosting(SYS_WRITE0, "=");
    semihosting(SYS_WRITE0, at);
}

static void fault(void)
{
    bench_exit(99);
}

void reset(void);

void reset(void)
{
    memcpy(data_start, data_load, (size_t)((char *)data_end - (char *)data_start));
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    SYST_RVR = 0xFFFFFFu;
    bench_exit((uint32_t)main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_high,
    (const void *)reset,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
    (const void *)fault,
    NULL,
    NULL,
    NULL,
    NULL,
    (const void *)fault,
    (const void *)fault,
    NULL,
    (const void *)fault,
    (const void *)fault,
};

static uint8_t *stack_pointer(void)
{
    uint8_t *sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    return sp;
}

// The clock counts down from the reload value that a write to it loads.
static uint32_t ticks_of(bench_fn *fn, void *context)
{
    SYST_CSR = 0;
    SYST_CVR = 0;
    SYST_CSR = 5; // On, the core's clock, no interrupt.
    uint32_t begin = SYST_CVR;
    fn(context);
    uint32_t end = SYST_CVR;
    return (begin - end) & 0xFFFFFFu;
}

static void nothing(void *context)
{
    (void)context;
}

static uint32_t instructions_of(uint32_t ticks)
{
    return (ticks * (TICK_NS / 8) + INSTRUCTION_NS / 16) / (INSTRUCTION_NS / 8);
}

__attribute__((noinline)) struct bench bench_run(bench_fn *fn, void *context)
{
    volatile uint8_t *top = stack_pointer();
    volatile uint8_t *low = top - STACK_MAX;
    struct bench result;
    uint32_t empty = instructions_of(ticks_of(nothing, NULL));
    for (volatile uint8_t *at = low; at < top - FRAME_BYTES; at++) {
        *at = PAINT;
    }
    // The call of an empty function is two instructions; they stay in the count.
    result.instructions = instructions_of(ticks_of(fn, context)) - empty + 2;
    while (low < top && *low == PAINT) {
        low++;
    }
    result.stack_bytes = (uint32_t)(top - low);
    return result;
}
