// sparkplug_support.h - Sparkplug payloads from short texts: "name@alias:datatype=value;...", each
// part may be left out. Values by datatype: 9 a float, 10 a double, 11 a boolean, 12 a string, 17
// bytes, 4 and 8 long, else int; "null" is null.
#ifndef PIPIT_TESTS_SPARKPLUG_SUPPORT_H
#define PIPIT_TESTS_SPARKPLUG_SUPPORT_H

#include <assert.h>
#include <sparkplug/sparkplug_b.pb-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define SPARKPLUG_TEXT_MAX 512
#define SPARKPLUG_ITEMS    32

struct sparkplug_text {
    Sparkplug__Metric metrics[SPARKPLUG_ITEMS], *list[SPARKPLUG_ITEMS];
    size_t count;
    char text[SPARKPLUG_TEXT_MAX];
};

static inline void sparkplug_set_value(Sparkplug__Metric *metric, char *text)
{
    if (strcmp(text, "null") == 0) {
        metric->has_is_null = metric->is_null = true;
        return;
    }
    switch (metric->datatype) {
    case 4:
    case 8:
    case 13:
        metric->value_case = SPARKPLUG__METRIC__VALUE_LONG_VALUE;
        metric->long_value =
            text[0] == '-' ? (uint64_t)strtoll(text, NULL, 10) : strtoull(text, NULL, 10);
        break;
    case 9:
        metric->value_case = SPARKPLUG__METRIC__VALUE_FLOAT_VALUE;
        metric->float_value = strtof(text, NULL);
        break;
    case 10:
        metric->value_case = SPARKPLUG__METRIC__VALUE_DOUBLE_VALUE;
        metric->double_value = strtod(text, NULL);
        break;
    case 11:
        metric->value_case = SPARKPLUG__METRIC__VALUE_BOOLEAN_VALUE;
        metric->boolean_value = strcmp(text, "true") == 0;
        break;
    case 12:
        metric->value_case = SPARKPLUG__METRIC__VALUE_STRING_VALUE;
        metric->string_value = text;
        break;
    case 17:
        metric->value_case = SPARKPLUG__METRIC__VALUE_BYTES_VALUE;
        metric->bytes_value = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
        break;
    default:
        metric->value_case = SPARKPLUG__METRIC__VALUE_INT_VALUE;
        metric->int_value = (uint32_t)strtol(text, NULL, 10);
        break;
    }
}

static inline void sparkplug_add_metric(struct sparkplug_text *built, char *item)
{
    Sparkplug__Metric *metric = &built->metrics[built->count];
    char *value = strchr(item, '='), *datatype, *alias;
    assert(built->count < SPARKPLUG_ITEMS);
    sparkplug__metric__init(metric);
    if (value != NULL) {
        *value++ = '\0';
    }
    if ((datatype = strchr(item, ':')) != NULL) {
        *datatype++ = '\0';
        metric->has_datatype = true;
        metric->datatype = (uint32_t)atoi(datatype);
    }
    if ((alias = strchr(item, '@')) != NULL) {
        *alias++ = '\0';
        metric->has_alias = true;
        metric->alias = strtoull(alias, NULL, 10);
    }
    metric->name = item[0] == '\0' ? NULL : item;
    if (value != NULL) {
        sparkplug_set_value(metric, value);
    }
    built->list[built->count++] = metric;
}

// seq, time_ms: -1: none. The result is in out.
static inline struct bytes sparkplug_pack(uint8_t *out, const char *text, int seq, int64_t time_ms)
{
    struct sparkplug_text built = {.count = 0};
    Sparkplug__Payload payload = SPARKPLUG__PAYLOAD__INIT;
    char *rest = NULL;
    assert(strlen(text) < sizeof(built.text));
    strcpy(built.text, text);
    for (char *item = strtok_r(built.text, ";", &rest); item != NULL;
         item = strtok_r(NULL, ";", &rest)) {
        sparkplug_add_metric(&built, item);
    }
    payload.metrics = built.list;
    payload.n_metrics = built.count;
    payload.has_seq = seq >= 0;
    payload.seq = seq >= 0 ? (uint64_t)seq : 0;
    payload.has_timestamp = time_ms >= 0;
    payload.timestamp = time_ms >= 0 ? (uint64_t)time_ms : 0;
    return bytes_of(out, sparkplug__payload__pack(&payload, out));
}

#endif
