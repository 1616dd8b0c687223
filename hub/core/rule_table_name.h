// rule_table_name.h - a statement's topic filter under a name of its own: "a/+" becomes "a/+\x01"
// and a number wherever the SQL means the table. Statements have columns of their own; under one
// name SQLite would have to forget those of one whenever another is compiled, and compile all anew.
// Threads:   any.
// Ownership: the caller frees the texts.
// Failure:   ERR_NO_MEMORY.
#ifndef PIPIT_CORE_RULE_TABLE_NAME_H
#define PIPIT_CORE_RULE_TABLE_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define TABLE_NAME_PLACES_MAX 64 // Of one statement; further ones keep the filter's name.

// Of a name in the new text, in quotes.
struct table_name_place {
    uint32_t at, len;
    uint32_t was; // Bytes of the filter in the old one.
};

struct table_name {
    char *name;                      // As SQLite sees it, without quotes.
    char *sql;                       // With the name in the filter's place.
    struct table_name_place *places; // NULL once they are forgotten.
    uint32_t place_count;
};

enum err table_name_make(struct table_name *out_name, const char *sql, const char *filter,
                         uint64_t number, struct error *e);
void table_name_deinit(struct table_name *name); // All zero is fine.

// It compiles: no offset will be asked for any more. Of thousands of rules it is the better part.
void table_name_forget_places(struct table_name *name);
// Where an offset into the new text is in the old one.
int32_t table_name_find_place(const struct table_name *name, int32_t offset);
// Takes the number out of a text for people, such as SQLite's messages.
void table_name_clean(char *text);
bool table_name_is_in(const char *text); // Does it hold such a name?

#endif
