// properties.h - user properties as they travel with a delivery: name, value, name, value, ... each
// ended by a zero byte.
// Threads:   any.
// Ownership: what is read is borrowed from the bytes, and is a C string, too.
// Failure:   none; bytes that are no pair end the walk.
#ifndef PIPIT_CORE_PROPERTIES_H
#define PIPIT_CORE_PROPERTIES_H

#include <stdbool.h>

#include "base/bytes.h"

#define PROPERTIES_BYTES_MAX 32768 // Of one delivery.
// Milliseconds since 1970 after which nobody needs the delivery any more: on MQTT 5 the broker's
// message expiry, and no user property.
#define PROPERTY_EXPIRES "pipit-expires"

// Takes the next pair off *rest; false: there is none, or what is left is no pair.
bool properties_next(struct bytes *rest, struct bytes *out_name, struct bytes *out_value);

#endif
