// entry_print.h - one dead letter or quarantine entry for a person: a name and its value a line.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   none.
#ifndef PIPIT_CLI_ENTRY_PRINT_H
#define PIPIT_CLI_ENTRY_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define ENTRY_TIME_MAX 32

// Local time, "2026-05-04 03:02:01"; returns out_text.
char *entry_time(int64_t ms, char out_text[ENTRY_TIME_MAX]);

void entry_line(const char *name, const char *text);
// Text as text, anything else as hex digits.
void entry_bytes(const char *name, struct bytes bytes);

#endif
