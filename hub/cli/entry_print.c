#include "cli/entry_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/utf8.h"
#include "cli/terminal.h"

#define HEX_PER_LINE 32

char *entry_time(int64_t ms, char out_text[ENTRY_TIME_MAX])
{
    struct tm local;
    time_t seconds = (time_t)(ms / 1000);
    if (localtime_r(&seconds, &local) == NULL ||
        strftime(out_text, ENTRY_TIME_MAX, "%Y-%m-%d %H:%M:%S", &local) == 0) {
        snprintf(out_text, ENTRY_TIME_MAX, "%" PRId64, ms);
    }
    return out_text;
}

// Nothing in it may steer the terminal.
static void put_text(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.ptr[i];
        putchar((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ? '?' : c);
    }
    putchar('\n');
}

static void put_hex(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        bool ends = i % HEX_PER_LINE == HEX_PER_LINE - 1 || i + 1 == bytes.len;
        printf("%02x%s", bytes.ptr[i], ends ? "\n" : " ");
    }
}

void entry_bytes(const char *name, struct bytes bytes)
{
    printf("%s%-16s%s ", terminal_colour(stdout, COLOUR_DIM), name,
           terminal_colour(stdout, COLOUR_NONE));
    if (bytes.len == 0 || utf8_is_valid(bytes)) {
        put_text(bytes);
    } else {
        put_hex(bytes);
    }
}

void entry_line(const char *name, const char *text)
{
    entry_bytes(name, bytes_from_text(text));
}
