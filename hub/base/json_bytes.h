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

struct json_t; // Of Jansson.

// UTF-8 as a string under name; anything else as base64 [RFC 4648, section 4] under
// "<name>_base64".
bool json_set_bytes(struct json_t *object, const char *name, struct bytes bytes);

#endif
