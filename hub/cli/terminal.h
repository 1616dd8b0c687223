// terminal.h - what commands show: colour where a person looks, progress, tables, amounts.
//
// Threads:   one.
//
// Ownership: a table owns copies of its cells.
//
// Failure:   none; what cannot be allocated is not shown.
#ifndef PIPIT_CLI_TERMINAL_H
#define PIPIT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_BLUE,
    COLOUR_CYAN
};

// A person looks at it: a terminal that is not dumb. Colours also mind NO_COLOR.
bool terminal_is(FILE *file);
// The sequence that begins a colour on that file, "" where there are none; COLOUR_NONE ends it.
const char *terminal_colour(FILE *file, enum colour colour);

// The text where nothing in it steers a terminal: controls as '?'.
void terminal_put(FILE *file, const char *text);

// One line that is written over, at most ten times a second; nothing where there is no terminal.
// Ends with progress_end, which wipes it. Everything goes to standard error.
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_end(void);

#define AMOUNT_TEXT_MAX 32
// "1.5 MB", "3 min 20 s"; they return out_text.
char *amount_bytes(uint64_t bytes, char out_text[AMOUNT_TEXT_MAX]);
char *amount_duration(int64_t ms, char out_text[AMOUNT_TEXT_MAX]);

#define TABLE_COLUMNS_MAX 12
#define TABLE_CELL_MAX    200 // Bytes of a cell; longer ones are cut with "...".

// Rows are kept until table_print, so that columns are as wide as they need to be.
struct table;
struct table *table_create(const char *const *headings); // NULL-terminated, ">name": right-aligned.
void table_destroy(struct table *table);
// One cell after the other; a row ends by itself.
void table_cell(struct table *table, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void table_print(const struct table *table, FILE *file);

#endif
