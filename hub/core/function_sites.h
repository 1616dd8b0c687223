// function_sites.h - calls of functions that remember get a number, by which their memory is found:
// changed(x) becomes changed(1,x). SQLite may compile one call of the text twice; both have its
// number.
// Threads:   any.
// Ownership: function_sites_number makes the text, function_sites_deinit frees it.
// Failure:   ERR_NO_MEMORY, ERR_CONFIG.
#ifndef PIPIT_CORE_FUNCTION_SITES_H
#define PIPIT_CORE_FUNCTION_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define FUNCTION_SITES_MAX 64 // Of one statement.

struct function_sites {
    char *text;       // NULL: there is no such call, and the statement stays as it is.
    const char *name; // Of the first one.
    uint32_t count;
    struct {
        uint32_t at, len; // Of what was put in, in the new text.
    } sites[FUNCTION_SITES_MAX];
};

enum err function_sites_number(struct function_sites *sites, const char *sql, struct error *e);
void function_sites_deinit(struct function_sites *sites);

// Where an offset into the new text is in the old one.
int32_t function_sites_place(const struct function_sites *sites, int32_t offset);
// Does the name of a column hold a number that was put in?
bool function_sites_is_name(const struct function_sites *sites, const char *column);

#endif
