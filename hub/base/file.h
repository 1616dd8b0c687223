// file.h - a whole small file in memory.
//
// Threads:   any.
//
// Ownership: the caller frees the text.
//
// Failure:   ERR_NOT_FOUND, ERR_INVALID (too large, a folder), ERR_IO; the text names the path and
// why.
#ifndef PIPIT_BASE_FILE_H
#define PIPIT_BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

// Reads at most max_bytes; a NUL follows the text and is not counted.
enum err file_read(const char *path, size_t max_bytes, char **out_text, size_t *out_len,
                   struct error *e);

#endif
