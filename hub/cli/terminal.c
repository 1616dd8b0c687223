#include "cli/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define PROGRESS_EVERY_MS 100
#define PROGRESS_MAX      200
#define TABLE_ROWS_MAX    100000

struct cell {
    enum colour colour;
    char *text;
};

struct table {
    const char *headings[TABLE_COLUMNS_MAX];
    uint32_t columns;
    struct cell *cells;
    size_t count, capacity;
};

bool terminal_is(FILE *file)
{
    const char *name = getenv("TERM");
    return isatty(fileno(file)) == 1 && name != NULL && strcmp(name, "dumb") != 0;
}

const char *terminal_colour(FILE *file, enum colour colour)
{
    static const char *const sequences[] = {"\033[0m",  "\033[1m",  "\033[2m",  "\033[31m",
                                            "\033[32m", "\033[33m", "\033[34m", "\033[36m"};
    const char *no_color = getenv("NO_COLOR"); // [no-color.org]
    if (!terminal_is(file) || (no_color != NULL && no_color[0] != '\0')) {
        return "";
    }
    return sequences[colour];
}

void terminal_put(FILE *file, const char *text)
{
    char *copy = strdup(text);
    if (copy != NULL) {
        fputs(utf8_disarm(copy), file);
    }
    free(copy);
}

static bool is_progress_shown;

void progress_show(const char *format, ...)
{
    static int64_t last_ms;
    int64_t now_ms = clock_monotonic_ms();
    if (!terminal_is(stderr) || (is_progress_shown && now_ms - last_ms < PROGRESS_EVERY_MS)) {
        return;
    }
    char text[PROGRESS_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    last_ms = now_ms;
    is_progress_shown = true;
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
}

void progress_end(void)
{
    if (is_progress_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    is_progress_shown = false;
}

char *amount_bytes(uint64_t bytes, char out_text[AMOUNT_TEXT_MAX])
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    int decimals = unit == 0 || value >= 100 ? 0 : 1;
    snprintf(out_text, AMOUNT_TEXT_MAX, "%.*f %s", decimals, value, units[unit]);
    return out_text;
}

char *amount_duration(int64_t ms, char out_text[AMOUNT_TEXT_MAX])
{
    long long seconds = (long long)(ms / 1000);
    if (ms < 1000) {
        snprintf(out_text, AMOUNT_TEXT_MAX, "%lld ms", (long long)ms);
    } else if (seconds < 60) {
        snprintf(out_text, AMOUNT_TEXT_MAX, "%.1f s", (double)ms / 1000);
    } else if (seconds < 3600) {
        snprintf(out_text, AMOUNT_TEXT_MAX, "%lld min %lld s", seconds / 60, seconds % 60);
    } else if (seconds < 172800) {
        snprintf(out_text, AMOUNT_TEXT_MAX, "%lld h %lld min", seconds / 3600, seconds / 60 % 60);
    } else {
        snprintf(out_text, AMOUNT_TEXT_MAX, "%lld d %lld h", seconds / 86400, seconds / 3600 % 24);
    }
    return out_text;
}

struct table *table_create(const char *const *headings)
{
    struct table *table = calloc(1, sizeof(*table));
    while (table != NULL && table->columns < TABLE_COLUMNS_MAX &&
           headings[table->columns] != NULL) {
        table->headings[table->columns] = headings[table->columns];
        table->columns++;
    }
    return table;
}

void table_destroy(struct table *table)
{
    for (size_t i = 0; table != NULL && i < table->count; i++) {
        free(table->cells[i].text);
    }
    if (table != NULL) {
        free(table->cells);
    }
    free(table);
}

static bool table_grow(struct table *table)
{
    if (table->count < table->capacity) {
        return true;
    }
    size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    if (capacity > (size_t)TABLE_ROWS_MAX * TABLE_COLUMNS_MAX) {
        return false;
    }
    struct cell *cells = realloc(table->cells, capacity * sizeof(cells[0]));
    if (cells == NULL) {
        return false;
    }
    table->cells = cells;
    table->capacity = capacity;
    return true;
}

void table_cell(struct table *table, enum colour colour, const char *format, ...)
{
    if (table == NULL || !table_grow(table)) {
        return;
    }
    char text[TABLE_CELL_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= (int)sizeof(text)) {
        memcpy(text + sizeof(text) - 4, "...", 4);
    }
    char *copy = strdup(utf8_disarm(text));
    if (copy != NULL) {
        table->cells[table->count++] = (struct cell){colour, copy};
    }
}

// Columns on a screen: code points, without looking at their width.
static int text_width(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static const char *heading_text(const struct table *table, uint32_t column)
{
    const char *heading = table->headings[column];
    return heading[0] == '>' ? heading + 1 : heading;
}

static void cell_print(const struct table *table, FILE *file, uint32_t column, int width,
                       const struct cell *cell)
{
    int pad = width - text_width(cell->text);
    bool is_right = table->headings[column][0] == '>', is_last = column + 1 == table->columns;
    fprintf(file, "%*s%s%s%s%*s", is_right ? pad : 0, "",
            cell->colour == COLOUR_NONE ? "" : terminal_colour(file, cell->colour), cell->text,
            cell->colour == COLOUR_NONE ? "" : terminal_colour(file, COLOUR_NONE),
            is_right || is_last ? 0 : pad, "");
    fputs(is_last ? "\n" : "  ", file);
}

void table_print(const struct table *table, FILE *file)
{
    int widths[TABLE_COLUMNS_MAX] = {0};
    if (table == NULL) {
        return;
    }
    for (uint32_t i = 0; i < table->columns; i++) {
        widths[i] = text_width(heading_text(table, i));
    }
    for (size_t i = 0; i < table->count; i++) {
        int width = text_width(table->cells[i].text);
        int *widest = &widths[i % table->columns];
        *widest = width > *widest ? width : *widest;
    }
    for (uint32_t i = 0; i < table->columns; i++) {
        struct cell heading = {COLOUR_DIM, (char *)heading_text(table, i)};
        cell_print(table, file, i, widths[i], &heading);
    }
    for (size_t i = 0; i < table->count; i++) {
        uint32_t column = (uint32_t)(i % table->columns);
        cell_print(table, file, column, widths[column], &table->cells[i]);
    }
}
