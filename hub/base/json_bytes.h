// json_bytes.h - bytes of unknown kind as a member of a JSON object.
//
// Threads:   any.
//
// Ownership: the object owns what is put into it.
//
// Failure:   false when memory is out.
#ifndef PIPIT_BASE_JSON_BYTES_H
#define PIPIT_BASE_JSON_BYTES_H

#include <stdbool.h>

#include "base/bytes.h"

struct arena;
struct json_t; // Of Jansson.

// UTF-8 as a string under name; anything else as base64 [RFC 4648, section 4] under
// "<name>_base64".
bool json_set_bytes(struct json_t *object, const char *name, struct bytes bytes);
// The way back: ptr NULL when there is neither member. Borrowed from the object, or in the arena.
// False: the member is no string, is no base64, or memory is out.
bool json_get_bytes(const struct json_t *object, const char *name, struct arena *arena,
                    struct bytes *out_bytes);

#endif
