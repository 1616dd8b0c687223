// function_list.h - every SQL function that the SQL of a configuration may call: what the fence
// lets through and what the manual says of it.
// Threads:   constant tables.
// Ownership: constants.
// Failure:   none; what is not listed is NULL or false.
#ifndef PIPIT_CORE_FUNCTION_LIST_H
#define PIPIT_CORE_FUNCTION_LIST_H

#include <stdbool.h>
#include <stddef.h>

enum function_kind {
    FUNCTION_EVENT,     // About the event at hand, or the core's time.
    FUNCTION_MEMORY,    // Remembers from event to event; in rules without a window only.
    FUNCTION_AGGREGATE, // Over rows.
};

// One of ours.
struct function_info {
    const char *name;
    const char *arguments; // "x[, dead_band[, key]]"
    enum function_kind kind;
    const char *sentence;
    const char *example; // An expression.
};

extern const struct function_info function_list[];
extern const size_t function_count;

// SQLite's own that may be called, by subject; what they do stands in SQLite's documentation.
struct function_group {
    const char *subject;
    const char *const *names; // NULL-terminated.
};

extern const struct function_group function_groups[];
extern const size_t function_group_count;

// The row of ours of that name, NULL when there is none. Case does not matter, as in SQL.
const struct function_info *function_find(const char *name);
// Is it ours or one of SQLite's above?
bool function_is_known(const char *name);

#endif
