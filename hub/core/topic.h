// topic.h - MQTT topic names and topic filters: what is valid and what matches [MQTT-4.7].
// Threads:   any.
// Ownership: everything is borrowed.
// Failure:   none; a problem is a text, no match is false.
#ifndef PIPIT_CORE_TOPIC_H
#define PIPIT_CORE_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define TOPIC_BYTES_MAX 65535 // [MQTT-1.5.4]

// What is wrong with a topic name to publish on ("is empty", "holds the wildcard +"), to be read
// after "topic ..."; NULL when it is valid: UTF-8 without wildcards and control characters, 1 to
// TOPIC_BYTES_MAX bytes.
const char *topic_problem(struct bytes topic);
bool topic_is_valid(struct bytes topic);

// The same for a filter: + stands alone in a level, # stands alone in the last one [MQTT-4.7.1].
const char *topic_filter_problem(struct bytes filter);

// Both must be valid. A filter that starts with a wildcard leaves topics that start with $ alone
// [MQTT-4.7.2-1]; "a/#" matches "a" [MQTT-4.7.1-2]. "$share/<group>/<filter>" is not known here.
bool topic_filter_matches(struct bytes filter, struct bytes topic);

// Is there a topic that both filters match? Both must be valid.
bool topic_filters_overlap(struct bytes a, struct bytes b);

// Is every topic that matches `narrow` one that matches `wide`? Both must be valid filters.
bool topic_filter_covers(struct bytes wide, struct bytes narrow);

// The filter of the topics that match both a and b: there is always one, if there are any such
// topics. Gives its length, 0 when there are none. out_filter has room for a.len + b.len + 1 bytes.
size_t topic_filter_common(struct bytes a, struct bytes b, char *out_filter);

// The n-th level, counted from 1; false when there are fewer.
bool topic_part(struct bytes topic, uint32_t n, struct bytes *out_part);

// Splits the first level off: the rest is what follows the slash. False when nothing is left, which
// *rest tells by a NULL ptr. Begin with *rest = the topic.
bool topic_next_level(struct bytes *rest, struct bytes *out_level);

#endif
