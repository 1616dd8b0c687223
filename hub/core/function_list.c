#include "core/function_list.h"

#include <strings.h>

const struct function_info function_list[] = {
    {"topic_part", "n", FUNCTION_EVENT,
     "The n-th level of the event's topic, from 1; NULL beyond the last.", "topic_part(2)"},
    {"prop", "name", FUNCTION_EVENT,
     "The first MQTT 5 user property of that name; NULL without one.", "prop('traceparent')"},
    {"fields", "", FUNCTION_EVENT,
     "All payload fields as one JSON object; NULL when there are none.", "fields()"},
    {"now_ms", "", FUNCTION_EVENT,
     "The hub's time in milliseconds since 1970; the same all through a batch.", "now_ms() - time"},

    {"changed", "x[, dead_band[, key]]", FUNCTION_MEMORY,
     "Report by exception: 1 when x is the first value, of another type than the last reported "
     "one, or further than dead_band (0 without it) away from it, and then x is the last reported "
     "one; else 0.",
     "changed(celsius, 0.5)"},
    {"previous", "x[, key]", FUNCTION_MEMORY,
     "The value that x had at the event before; NULL at the first.", "celsius - previous(celsius)"},
    {"smooth", "x, alpha[, key]", FUNCTION_MEMORY,
     "Exponentially weighted mean over the events: alpha times x plus (1 - alpha) times the mean "
     "before; 0 < alpha <= 1. NULL leaves the mean as it is.",
     "smooth(celsius, 0.2)"},

    {"first", "x[, order]", FUNCTION_AGGREGATE,
     "The first value that is not NULL, in the order of the rows (a window gives them by time), "
     "or the one with the smallest order.",
     "first(celsius)"},
    {"last", "x[, order]", FUNCTION_AGGREGATE,
     "The last value that is not NULL, in the order of the rows, or the one with the largest "
     "order.",
     "last(celsius, time)"},
    {"delta", "x[, order]", FUNCTION_AGGREGATE,
     "The last value less the first; NULL without any. Also OVER a window of rows.",
     "delta(energy_wh)"},
    {"rate", "x, time", FUNCTION_AGGREGATE,
     "Change per second: the value at the greatest time less the one at the smallest, by the "
     "seconds between; time is in milliseconds. NULL when no time has passed. Also OVER.",
     "rate(pulses, time)"},
    {"stddev", "x", FUNCTION_AGGREGATE,
     "Sample standard deviation (n - 1); NULL with fewer than two values. Also OVER.",
     "stddev(celsius)"},
    {"stddev_pop", "x", FUNCTION_AGGREGATE,
     "Standard deviation of the whole population (n); NULL without values. Also OVER.",
     "stddev_pop(celsius)"},
    {"percentile", "x, p", FUNCTION_AGGREGATE,
     "The value below which p percent (0 to 100) of the values lie, linear between neighbours. "
     "Also OVER.",
     "percentile(latency_ms, 95)"},
    {"median", "x", FUNCTION_AGGREGATE, "percentile(x, 50). Also OVER.", "median(celsius)"},
    {"ewma", "x, alpha", FUNCTION_AGGREGATE,
     "Exponentially weighted moving average in the order of the rows, 0 < alpha <= 1; the last "
     "one weighs alpha. Also OVER.",
     "ewma(celsius, 0.3)"},
};
const size_t function_count = sizeof(function_list) / sizeof(function_list[0]);

// No random numbers, no state of the connection, no loading, nothing that makes memory of nothing.
static const char *const scalars[] = {
    "abs",     "char",   "coalesce", "concat",   "format",  "glob",       "hex",
    "ifnull",  "iif",    "instr",    "length",   "like",    "likelihood", "likely",
    "lower",   "ltrim",  "max",      "min",      "nullif",  "printf",     "quote",
    "replace", "round",  "rtrim",    "sign",     "soundex", "substr",     "substring",
    "trim",    "typeof", "unicode",  "unlikely", "upper",   NULL};
// 'now' is the core's time.
static const char *const times[] = {
    "date",      "time",         "datetime",     "julianday",         "strftime",
    "unixepoch", "current_date", "current_time", "current_timestamp", NULL};
static const char *const mathematics[] = {
    "acos", "acosh",   "asin",    "asinh", "atan", "atan2", "atanh", "ceil", "ceiling", "cos",
    "cosh", "degrees", "exp",     "floor", "ln",   "log",   "log10", "log2", "mod",     "pi",
    "pow",  "power",   "radians", "sin",   "sinh", "sqrt",  "tan",   "tanh", "trunc",   NULL};
static const char *const json[] = {
    "json",       "json_array",  "json_array_length", "json_extract",
    "->",         "->>",         "json_insert",       "json_object",
    "json_quote", "json_remove", "json_replace",      "json_set",
    "json_type",  "json_valid",  "json_group_array",  "json_group_object",
    NULL};
static const char *const aggregates[] = {
    "avg",        "count", "group_concat", "string_agg",   "sum",       "total",
    "row_number", "rank",  "dense_rank",   "percent_rank", "cume_dist", "ntile",
    "lag",        "lead",  "first_value",  "last_value",   "nth_value", NULL};

const struct function_group function_groups[] = {
    {"Text and numbers", scalars},
    {"Date and time ('now' is the hub's time)", times},
    {"Mathematics", mathematics},
    {"JSON (also the tables json_each and json_tree)", json},
    {"Aggregates and window functions", aggregates},
};
const size_t function_group_count = sizeof(function_groups) / sizeof(function_groups[0]);

const struct function_info *function_find(const char *name)
{
    for (size_t i = 0; i < function_count; i++) {
        if (strcasecmp(function_list[i].name, name) == 0) {
            return &function_list[i];
        }
    }
    return NULL;
}

bool function_is_known(const char *name)
{
    for (size_t i = 0; i < function_group_count; i++) {
        for (const char *const *known = function_groups[i].names; *known != NULL; known++) {
            if (strcasecmp(*known, name) == 0) {
                return true;
            }
        }
    }
    return function_find(name) != NULL;
}
