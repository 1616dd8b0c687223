// board-check - what every board of firmware-examples/boards must do. Its argument says what to
// show.
#include <string.h>

#include "board.h"
#ifdef BOARD_HAS_FLASH
#include "flash.h"
#endif

#define WAIT_MS 20000u

int main(void);

static volatile uint32_t data_word = 0x12345678u; // In .data: copied by startup.
static volatile uint32_t bss_word;

enum outcome { OK = 0, BAD_MEMORY = 1, BAD_LINE, BAD_CLOCK, BAD_ENTROPY, BAD_FLASH, BAD_ARGUMENT };

static enum outcome check_memory(void)
{
    return data_word == 0x12345678u && bss_word == 0 ? OK : BAD_MEMORY;
}

// Says hello, then answers each byte with the next one, up to 'z' -> '{'.
static enum outcome check_line(void)
{
    static const uint8_t hello[] = "hello\n";
    size_t sent = 0;
    uint32_t begin = board_now_ms();
    uint8_t byte = 0;
    while (byte != 'z') {
        if (sent < sizeof(hello) - 1) {
            sent += board_uart_write(NULL, hello + sent, sizeof(hello) - 1 - sent);
        }
        if (sent == sizeof(hello) - 1 && board_uart_read(NULL, &byte, 1) == 1) {
            uint8_t answer = (uint8_t)(byte + 1u);
            while (board_uart_write(NULL, &answer, 1) == 0) {
            }
        }
        if (board_now_ms() - begin > WAIT_MS) {
            return BAD_LINE;
        }
    }
    return OK;
}

// The tester compares with its own clock.
static enum outcome check_clock(void)
{
    uint32_t begin = board_now_ms();
    uint32_t last = begin;
    while (last - begin < 2000u) {
        uint32_t now = board_now_ms();
        if (now - last > 1000u) {
            return BAD_CLOCK;
        }
        last = now;
        board_idle();
    }
    return OK;
}

static enum outcome check_entropy(void)
{
    uint32_t words[4] = {0};
    if (!board_entropy(words, sizeof(words)) || words[0] == words[1] || words[1] == words[2]) {
        return BAD_ENTROPY;
    }
    board_print_number(words[0]);
    board_print("\n");
    return OK;
}

#ifdef BOARD_HAS_FLASH
static bool flash_is(uint32_t at, const uint8_t *want, size_t len)
{
    uint8_t found[300];
    if (len > sizeof(found) || !flash_read(at, found, len)) {
        return false;
    }
    return memcmp(found, want, len) == 0;
}

// `write`: erase, program across a page, clear one bit more. `read`: the next life finds it.
static enum outcome check_flash(bool is_write)
{
    struct flash_size size;
    uint8_t pattern[300], blank[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7u + 1u);
    }
    if (!flash_open(&size)) {
        return BAD_FLASH;
    }
    uint32_t base = size.sector_bytes; // The second sector.
    uint32_t at = base + 201;
    bool is_good = !flash_program(size.bytes - 1, pattern, 2) && !flash_erase(base + 1);
    if (is_write) {
        is_good = is_good && flash_erase(base) && flash_is(base + 197, blank, 4) &&
                  flash_program(at, pattern, sizeof(pattern)) &&
                  flash_is(at, pattern, sizeof(pattern));
        pattern[0] = 0;
        is_good = is_good && flash_program(at, pattern, 1);
    }
    pattern[0] = 0;
    is_good = is_good && flash_is(at, pattern, sizeof(pattern)) && flash_is(base + 197, blank, 4);
    return is_good ? OK : BAD_FLASH;
}
#endif

static void fault(const char *kind)
{
    if (strcmp(kind, "jump") == 0) {
        ((void (*)(void))(uintptr_t)0xF0000000u)();
    } else if (strcmp(kind, "unaligned") == 0) {
        volatile uint32_t words[2] = {0};
        volatile uint32_t *odd = (volatile uint32_t *)((uintptr_t)words + 1);
        __asm volatile("" : "+r"(odd)); // Else the compiler helps with single bytes.
        *odd = *odd + 1;
    } else if (strcmp(kind, "illegal") == 0) {
#ifdef __riscv
        __asm volatile(".word 0xFFFFFFFF");
#else
        __asm volatile("udf #0");
#endif
    }
}

int main(void)
{
    const char *what = board_argument(0);
    enum outcome outcome = BAD_ARGUMENT;
    if (what == NULL) {
        board_exit(outcome);
    }
    if (strcmp(what, "memory") == 0) {
        outcome = check_memory();
    } else if (strcmp(what, "line") == 0) {
        outcome = check_line();
    } else if (strcmp(what, "clock") == 0) {
        outcome = check_clock();
    } else if (strcmp(what, "entropy") == 0) {
        outcome = check_entropy();
    } else if (strcmp(what, "argument") == 0) {
        const char *second = board_argument(1);
        outcome = second != NULL && strcmp(second, "second") == 0 && board_argument(2) == NULL &&
                          strcmp(what, "argument") == 0
                      ? OK
                      : BAD_ARGUMENT;
#ifdef BOARD_HAS_FLASH
    } else if (strcmp(what, "flash-write") == 0 || strcmp(what, "flash-read") == 0) {
        outcome = check_flash(strcmp(what, "flash-write") == 0);
#endif
    } else if (strcmp(what, "return") == 0) {
        return 0;
    } else {
        fault(what);
        outcome = OK; // Not reached where the fault is one.
    }
    board_print("stack ");
    board_print_number((uint32_t)board_stack_used());
    board_print("\n");
    board_exit((int)outcome);
}
