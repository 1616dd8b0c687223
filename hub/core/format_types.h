// format_types.h - every type of format: the only list of them is format.c's table.
// Threads:   core thread.
// Ownership: constants.
// Failure:   none.
#ifndef PIPIT_CORE_FORMAT_TYPES_H
#define PIPIT_CORE_FORMAT_TYPES_H

#include "core/format.h"

extern const struct format_type format_pipit;       // Built in: the envelope on Pipit's own topics.
extern const struct format_type format_any;         // Built in: JSON, else text, else bytes.
extern const struct format_type format_cloudevents; // An envelope: cloudevent_format.c.
extern const struct format_type format_sparkplug;   // An envelope: sparkplug_format.c.
extern const struct format_type format_json, format_cbor, format_protobuf;
extern const struct format_type format_text, format_number, format_bytes;

#endif
