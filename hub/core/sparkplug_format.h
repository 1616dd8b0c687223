// sparkplug_format.h - Sparkplug B as an envelope: metrics are fields by their names.
//
// Threads:   core thread.
//
// Ownership: as format.h.
//
// Failure:   as format.h.
#ifndef PIPIT_CORE_SPARKPLUG_FORMAT_H
#define PIPIT_CORE_SPARKPLUG_FORMAT_H

#include "core/format_types.h"
#include "core/sparkplug_message.h"

// NULL: the event is none of Sparkplug's.
struct sparkplug_message *sparkplug_message_of(const struct event *event);

#endif
