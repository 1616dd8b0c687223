// board-check - what every board of firmware-examples/boards must do. Its argument says what to
// show.
#include <pipit/flash.h>
#include <string.h>

#include "board.h"

#define WAIT_MS 20000u

int main(void);

static volatile uint32_t data_word = 0x12345678u; // In .data: copied by startup.
static volatile uint32_t bss_word;

enum outcome { OK = 0, BAD_MEMORY = 1, BAD_LINE, BAD_CLOCK, BAD_ENTROPY, BAD_FLASH, BAD_ARGUMENT };

static enum outcome check_memory(void)
{
    return data_word == 0x12345678u && bss_word == 0 ? OK : BAD_MEMORY;
}

static bool line_wait(uint8_t *out_byte, uint32_t begin_ms)
{
    while (board_uart_read(NULL, out_byte, 1) == 0) {
        if (board_now_ms() - begin_ms > WAIT_MS) {
            return false;
        }
    }
    return true;
}

// Says hello when it is asked, since what is sent before the line is connected vanishes. Then
// answers each byte with the next one, up to 'z' -> '{'.
static enum outcome check_line(void)
{
    static const uint8_t hello[] = "hello\n";
    size_t sent = 0;
    uint32_t begin = board_now_ms();
    uint8_t byte = 0;
    if (!line_wait(&byte, begin)) {
        return BAD_LINE;
    }
    while (sent < sizeof(hello) - 1) {
        sent += board_uart_write(NULL, hello + sent, sizeof(hello) - 1 - sent);
    }
    while (byte != 'z') {
        if (!line_wait(&byte, begin)) {
            return BAD_LINE;
        }
        uint8_t answer = (uint8_t)(byte + 1u);
        while (byte != '?' && board_uart_write(NULL, &answer, 1) == 0) {
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

static bool flash_is(struct pipit_flash *flash, uint32_t at, const uint8_t *want, size_t len)
{
    uint8_t found[304];
    return len <= sizeof(found) && flash->type->read(flash, at, found, len) == PIPIT_OK &&
           memcmp(found, want, len) == 0;
}

// `write`: erases a sector and programs across pages. `read`: the next life finds it.
static enum outcome check_flash(bool is_write)
{
    struct pipit_flash *flash = board_flash();
    uint8_t pattern[304];
    uint8_t blank[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = (uint8_t)(i * 7u + 1u);
    }
    if (flash == NULL) {
        return BAD_FLASH;
    }
    uint32_t base = flash->sector_bytes * (flash->sector_count - 1); // The last sector.
    bool is_good = true;
    if (is_write) {
        is_good = flash->type->erase(flash, base) == PIPIT_OK &&
                  flash_is(flash, base + 200, blank, sizeof(blank)) &&
                  flash->type->program(flash, base + 200, pattern, sizeof(pattern)) == PIPIT_OK;
    }
    is_good = is_good && flash_is(flash, base + 200, pattern, sizeof(pattern)) &&
              flash_is(flash, base + 203, pattern + 3, 5) &&
              flash_is(flash, base + 196, blank, sizeof(blank)) &&
              flash_is(flash, base + 504, blank, sizeof(blank));
    return is_good ? OK : BAD_FLASH;
}

// Until the power goes: QEMU may not have written the flash's file yet, and an exit would not wait.
_Noreturn static void hold(void)
{
    board_print("written\n");
    for (;;) {
        board_idle();
    }
}

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
    } else if (strcmp(what, "flash-write") == 0 || strcmp(what, "flash-read") == 0) {
        outcome = check_flash(strcmp(what, "flash-write") == 0);
        if (outcome == OK && strcmp(what, "flash-write") == 0) {
            hold();
        }
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
