// json_line.h - one delivery as one line of JSON.
//
// Threads:   any.
//
// Ownership: the caller frees the line.
//
// Failure:   ERR_NO_MEMORY only: every delivery has a line.
#ifndef PIPIT_CONNECTORS_JSON_LINE_H
#define PIPIT_CONNECTORS_JSON_LINE_H

#include <stddef.h>

#include "base/error.h"
#include "core/delivery.h"

// {"idempotency_key":…,"time":"2026-05-04T03:02:01.123Z","rule":…,"key":…,"topic":…,
// "content_type":…,"properties":{…},"payload":…} and a newline. JSON payloads stand in it byte for
// byte (line breaks between tokens become blanks), other UTF-8 as a string; what is not UTF-8 is
// base64 under "payload_base64", and likewise "key_base64". Empty key, topic, content type and
// properties are left out; a property that is there twice has a list of its values.
enum err json_line_make(const struct delivery *delivery, char **out_line, size_t *out_len,
                        struct error *e);

#endif
