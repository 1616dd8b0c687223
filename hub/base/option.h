// option.h - one option a row: name, type, default, limits, sentence; read by parser and manual.
//
// Threads:   tables are constant; a struct options belongs to its creator.
//
// Ownership: struct options owns its texts; option_text borrows from it.
//
// Failure:   the getters assert that the name is in the table: a wrong name is a bug, not input.
#ifndef PIPIT_BASE_OPTION_H
#define PIPIT_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum option_type {
    OPTION_BOOL,     // true, false.
    OPTION_INT,      // A whole number within min..max.
    OPTION_SIZE,     // Bytes: 512, 64 KB, 10 MB, 2 GB (powers of 1024).
    OPTION_DURATION, // Milliseconds: 250 ms, 30 s, 5 min, 2 h, 7 d; 0 needs no unit.
    OPTION_TEXT,     // Any text; ${env:NAME} and ${file:PATH} are replaced by the parser.
    OPTION_SECRET,   // Text that is never printed or logged.
    OPTION_PATH,     // A file, relative to the folder of the configuration file.
    OPTION_ENUM,     // One of choices.
};

struct option_spec {
    const char *name; // NULL ends the table.
    enum option_type type;
    bool is_required;
    const char *default_text; // As a user would write it; NULL: unset.
    int64_t min, max;         // For INT, SIZE and DURATION; both 0: no limits.
    const char *choices;      // For ENUM: "json|text|pipit".
    const char *sentence;     // For the manual: what it does, with its unit.
};

#define OPTION_TEXT_MAX (256 * 1024) // Bytes of one value.

// The row of that name, NULL when there is none.
const struct option_spec *option_find(const struct option_spec *table, const char *name);

// What the row takes, for people: "a whole number from 0 to 2", "true or false". Always terminated.
void option_allowed(const struct option_spec *row, char *out_text, size_t size_bytes);

struct options; // One value for each row of a table.

struct options *
options_create(const struct option_spec *table); // NULL when out of memory; defaults applied.
void options_destroy(struct options *options);   // NULL is fine.
const struct option_spec *options_table(const struct options *options);

// Parses text by the row's type. ERR_CONFIG says what is wrong and what is allowed.
enum err options_set(struct options *options, const char *name, const char *text, struct error *e);
bool options_is_set(const struct options *options,
                    const char *name); // Set by the user, not by default.

// Same table and same values: a reload may leave alone what was made from them.
bool options_equal(const struct options *a, const struct options *b);

bool option_bool(const struct options *options, const char *name);
int64_t option_int(const struct options *options,
                   const char *name); // INT, SIZE (bytes), DURATION (ms).
const char *option_text(const struct options *options, const char *name); // NULL when unset.
int option_choice(const struct options *options, const char *name);       // Index into choices.

// The candidate (NULL-terminated list) nearest to name by edit distance, NULL when none is near.
const char *nearest_name(const char *name, const char *const *candidates);
// Is it one of them? The list ends with NULL; NULL instead of a list is an empty one.
bool name_is_among(const char *name, const char *const *names);

#endif
