// rule_values.h - a row of values as a table, which a statement reads beside its events: the
// variables of a workflow. And the frame that the hub puts around expressions.
//
// Threads:   core thread.
//
// Ownership: borrowed by the connection from show to hide, and by statements that read it.
//
// Failure:   of the store's kind.
#ifndef PIPIT_CORE_RULE_VALUES_H
#define PIPIT_CORE_RULE_VALUES_H

#include "core/event_value.h"
#include "core/rule_space.h"

struct rule_values {
    const char *alias; // What expressions call it.
    const char *table; // As SQLite sees it, with a mark as in rule_table_name.h.
    const char *const *columns;
    uint32_t column_count;
    void (*column)(void *context, uint32_t column, struct event_value *out_value);
    void *context;
    struct rule_space *space; // Where it is shown; NULL: nowhere.
};

enum err rule_values_show(struct rule_values *values, struct rule_space *space, struct error *e);
void rule_values_hide(struct rule_values *values);

// A statement that the hub has made around expressions.
struct rule_frame {
    const char *filter; // The topic filter that it reads; NULL: none, and it may not read any.
    const char *alias;  // What expressions call its events.
    // The events are bodies of answers: all columns but payload and fields are fields, and fields
    // are named with the table.
    bool is_body;
    const char *const *fields; // Of the events, though the SQL may not need them: another table's
    uint32_t field_count;      // column of that name is ambiguous without its table.
    const struct rule_values *values; // What else it may read.
    uint32_t value_count;
};

#endif
