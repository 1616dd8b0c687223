// sparkplug_value.h - what a Sparkplug metric says, by its datatype [Sparkplug 3.0, 6.4.16].
//
// Threads:   core thread.
//
// Ownership: texts and bytes are borrowed from the metric; trees are new.
//
// Failure:   NULL when memory is out; what JSON cannot say is null there.
#ifndef PIPIT_CORE_SPARKPLUG_VALUE_H
#define PIPIT_CORE_SPARKPLUG_VALUE_H

#include "core/event_value.h"
#include "core/sparkplug_message.h"

enum sparkplug_datatype {
    SPARKPLUG_INT8 = 1,
    SPARKPLUG_INT16 = 2,
    SPARKPLUG_INT32 = 3,
    SPARKPLUG_INT64 = 4,
    SPARKPLUG_UINT8 = 5,
    SPARKPLUG_UINT16 = 6,
    SPARKPLUG_UINT32 = 7,
    SPARKPLUG_UINT64 = 8,
    SPARKPLUG_FLOAT = 9,
    SPARKPLUG_DOUBLE = 10,
    SPARKPLUG_BOOLEAN = 11,
    SPARKPLUG_STRING = 12,
    SPARKPLUG_DATETIME = 13,
    SPARKPLUG_TEXT = 14,
    SPARKPLUG_UUID = 15,
    SPARKPLUG_DATASET = 16,
    SPARKPLUG_BYTES = 17,
    SPARKPLUG_FILE = 18,
    SPARKPLUG_TEMPLATE = 19,
    SPARKPLUG_INT8_ARRAY = 22, // Arrays of 1 to 14 follow in a row, without Text and below.
    SPARKPLUG_BOOLEAN_ARRAY = 32,
    SPARKPLUG_STRING_ARRAY = 33,
    SPARKPLUG_DATETIME_ARRAY = 34,
};

// "Int32"; "" when the number is none of Sparkplug's.
const char *sparkplug_datatype_name(uint32_t datatype);

// ERR_INVALID: the value is not of its datatype, or holds a text that is none.
enum err sparkplug_metric_check(const struct Sparkplug__Metric *metric, struct error *e);

// False: it is a tree (data set, template, array): ask for its JSON.
bool sparkplug_metric_value(const struct Sparkplug__Metric *metric, struct event_value *out_value);
struct json_t *sparkplug_metric_json(const struct Sparkplug__Metric *metric);

// The metric's properties as an object; NULL when it has none.
struct json_t *sparkplug_metric_properties(const struct Sparkplug__Metric *metric);

#endif
