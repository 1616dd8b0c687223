// locate.h - where a byte of a YAML text stands in the file, whatever its quoting and folding.
//
// Threads:   any; pure functions.
//
// Ownership: everything is borrowed for the call.
//
// Failure:   none: an offset beyond the text is its end.
#ifndef PIPIT_CONFIG_LOCATE_H
#define PIPIT_CONFIG_LOCATE_H

#include "config/document.h"

// file: the whole file's text. offset may be the text's length: then just behind its last
// character.
struct position locate(const char *file, size_t len, const struct node *node, size_t offset);

struct position locate_byte(const char *file, size_t len, size_t offset);

#endif
