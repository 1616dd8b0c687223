#include "semihosting.h"

#include "board.h"

#define ARGUMENTS_SIZE 96
#define EXIT_REASON    0x20026u // ADP_Stopped_ApplicationExit

#if defined(__arm__)
intptr_t semihosting_call(enum semihosting_operation operation, const void *argument)
{
    register uintptr_t r0 __asm("r0") = (uintptr_t)operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (intptr_t)r0;
}
#elif defined(__riscv)
// The three must stand uncompressed in one block of 16 bytes: that is how they are known.
__attribute__((naked, noinline, aligned(16))) intptr_t
semihosting_call(enum semihosting_operation operation, const void *argument)
{
    (void)operation;
    (void)argument;
    __asm volatile(".option push\n"
                   ".option norvc\n"
                   "slli x0, x0, 0x1f\n"
                   "ebreak\n"
                   "srai x0, x0, 7\n"
                   ".option pop\n"
                   "ret\n");
}
#endif

// Fetches the line once and cuts it at its blanks. Bytes of it, the last NUL included.
static size_t arguments_read(char line[static ARGUMENTS_SIZE])
{
    struct {
        char *ptr;
        uintptr_t size;
    } block = {line, ARGUMENTS_SIZE};
    if (semihosting_call(SEMIHOSTING_GET_CMDLINE, &block) != 0) {
        return 0;
    }
    size_t len = 0;
    for (; line[len] != '\0'; len++) {
        if (line[len] == ' ') {
            line[len] = '\0';
        }
    }
    return len + 1;
}

const char *board_argument(unsigned index)
{
    static char line[ARGUMENTS_SIZE];
    static size_t line_len;
    if (line_len == 0) {
        line_len = arguments_read(line);
    }
    for (size_t i = 0; i < line_len; i++) {
        if (index == 0) {
            return &line[i];
        }
        index -= line[i] == '\0' ? 1 : 0;
    }
    return NULL;
}

void board_print(const char *text)
{
    (void)semihosting_call(SEMIHOSTING_WRITE0, text);
}

void board_exit(int code)
{
    const uintptr_t block[2] = {EXIT_REASON, (uintptr_t)code};
    (void)semihosting_call(SEMIHOSTING_EXIT_EXTENDED, block);
    for (;;) {
    }
}
