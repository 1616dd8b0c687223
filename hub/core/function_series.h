// function_series.h - the numbers that an aggregate has been given, in the order of the rows.
// Threads:   core thread.
// Ownership: lives in SQLite's aggregate context; series_free when the aggregate is over.
// Failure:   told to SQLite: the event or window fails.
#ifndef PIPIT_CORE_FUNCTION_SERIES_H
#define PIPIT_CORE_FUNCTION_SERIES_H

#include "core/rule_space.h"

#define SERIES_COUNT_MAX 100000 // Numbers that one aggregate may keep.

// A number as SQLite has it; at orders it.
struct series_item {
    double real;
    int64_t integer;
    bool is_integer;
    double at;
};

struct series {
    struct series_item *items;
    uint32_t head, end, capacity; // Those at hand are head..end - 1.
    uint32_t sorted;              // So many from head on are in order of their value.
    double parameter;             // p or alpha, the same for all rows.
    bool has_parameter;
};

// false: value is NULL, or no number and the context has been told so.
bool series_number(sqlite3_context *context, const char *function, sqlite3_value *value,
                   struct series_item *out_item);
bool series_add(sqlite3_context *context, struct series *series, const struct series_item *item);
void series_free(struct series *series);

// Work that SQLite does not count: of the budget for the event. false: it is used up, and the
// context has been told.
bool series_charge(sqlite3_context *context, uint32_t items);

// function_series.c: delta, rate, ewma. function_spread.c: stddev, percentile. function_ends.c:
// first, last. function_memory.c: what remembers.
enum err function_series_register(struct rule_space *space, struct error *e);
enum err function_spread_register(struct rule_space *space, struct error *e);
enum err function_memory_register(struct rule_space *space, struct error *e);
enum err function_ends_register(struct rule_space *space, struct error *e);

// An aggregate, with value and inverse also a window function.
struct function_aggregate {
    const char *name;
    int arguments;
    void (*step)(sqlite3_context *context, int count, sqlite3_value **values);
    void (*final)(sqlite3_context *context);
    void (*value)(sqlite3_context *context);
    void (*inverse)(sqlite3_context *context, int count, sqlite3_value **values);
};
enum err function_aggregates_add(struct rule_space *space, const struct function_aggregate *list,
                                 size_t count, struct error *e);

#endif
