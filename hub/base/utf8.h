// utf8.h - whether bytes are UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, at most
// U+10FFFF. Threads: any.
#ifndef PIPIT_BASE_UTF8_H
#define PIPIT_BASE_UTF8_H

#include <stdbool.h>

#include "base/bytes.h"

// Reads one code point at the front of text, which is not empty. Gives its length in bytes, 0 when
// it is malformed.
size_t utf8_decode(struct bytes text, uint32_t *out_code_point);

// U+0000 is valid here; who needs text without it checks for it.
bool utf8_is_valid(struct bytes text);

// So that nothing in it steers a terminal: controls (C0, DEL, C1), and bytes that are no UTF-8,
// become '?', in place. Returns text.
char *utf8_disarm(char *text);

#endif
