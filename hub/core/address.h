// address.h - where a delivery to an HTTP target goes: "<METHOD> <path>", "<path>" alone for POST,
// a method alone for the target's url itself. The path goes behind that url and may have a query.
//
// Threads:   any.
//
// Ownership: everything is borrowed.
//
// Failure:   a problem is a text.
#ifndef PIPIT_CORE_ADDRESS_H
#define PIPIT_CORE_ADDRESS_H

#include <stdbool.h>

#include "base/bytes.h"

#define ADDRESS_BYTES_MAX  8000 // Servers take 8,000 at least [RFC 9112 3].
#define ADDRESS_METHOD_MAX 20

struct address {
    struct bytes method; // In capitals.
    struct bytes path;   // Empty, or begins with / or ?.
};

// What is wrong with it ("holds a space ..."), to be read after "the address ..."; NULL when it is
// valid: a path of printable ASCII, everything else percent-encoded, without . and .. as a part.
const char *address_problem(struct bytes text);
// It must be valid.
struct address address_parse(struct bytes text);
// GET, HEAD and DELETE have none: in them a payload means nothing [RFC 9110 9.3].
bool address_has_body(const struct address *address);

#endif
