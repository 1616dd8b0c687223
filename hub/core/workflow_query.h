// workflow_query.h - expressions of a workflow, compiled into one SQL statement: over the variables
// of an instance, and over an event or an answer beside them.
//
// Threads:   core thread.
//
// Ownership: everything is copied; values live in the memory handed in.
//
// Failure:   create: ERR_CONFIG, the part that is at fault in out_part (part_count: where),
// e->offset into its text. run: ERR_INVALID, these values cannot be had (over the budget of a rule,
// an SQL error); of the store's kind else.
#ifndef PIPIT_CORE_WORKFLOW_QUERY_H
#define PIPIT_CORE_WORKFLOW_QUERY_H

#include <jansson.h>

#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/rule_space.h"

struct workflow_query;

enum query_over { QUERY_VARIABLES, QUERY_EVENT, QUERY_ANSWER, QUERY_ITEMS };

struct query_part {
    const char *name; // Of the result's column; NULL: none is needed.
    const char *text;
    bool is_template; // Text with {expression}; NULL in one of them is ERR_INVALID, it is named.
    bool is_url;      // Of a template: values are percent-encoded [RFC 3986 2.3].
};

struct query_spec {
    enum query_over over; // QUERY_ITEMS: done, failed, total are names, too.
    const char *filter;   // Of QUERY_EVENT: the topic filter.
    const char *const *variables;
    uint32_t variable_count;
    const struct query_part *parts;
    uint32_t part_count;
    const char *where; // Expression; NULL: none.
};

enum err workflow_query_create(struct workflow_query **out_query, struct rule_space *space,
                               const struct query_spec *spec, uint32_t *out_part, struct error *e);
void workflow_query_destroy(struct workflow_query *query); // NULL is fine.

uint32_t workflow_query_count(const struct workflow_query *query); // Values that it gives.
const char *workflow_query_name(const struct workflow_query *query, uint32_t index);
const char *workflow_query_text(const struct workflow_query *query, uint32_t index);

// A payload field of the event that a part names, at this offset of its text.
struct query_field {
    const char *name;
    uint32_t part; // workflow_query_count: where.
    ptrdiff_t offset;
};
// The one at index; false: there are no more.
bool workflow_query_field(const struct workflow_query *query, uint32_t index,
                          struct query_field *out_field);

// What expressions see.
struct query_input {
    // By name: JSON values. scope goes before variables; either may be NULL.
    const json_t *scope, *variables;
    const char *key, *workflow, *error, *reason; // NULL is NULL.
    int64_t instance, started_ms;
    int64_t now_ms;            // now_ms() gives it.
    struct event_batch *batch; // Of QUERY_EVENT, and of QUERY_ANSWER: its body as an event.
    uint32_t event_index;
    int32_t status;               // Of QUERY_ANSWER.
    const char *answer_reason;    // Of QUERY_ANSWER; NULL is NULL.
    uint32_t done, failed, total; // Of QUERY_ITEMS.
    struct event_memory *memory;  // For texts of values.
    uint32_t steps_max;           // As in core_spec.
    uint64_t memory_max;
};

// The values of the one row; *out_has_row false: where says no, nothing is written. Values: NULL,
// BOOLEAN, INTEGER, REAL, TEXT, BLOB, JSON.
enum err workflow_query_run(struct workflow_query *query, const struct query_input *input,
                            struct event_value *out_values, bool *out_has_row, struct error *e);

// The same, with SQLite standing on the row: for render.h.
typedef enum err query_row_fn(void *context, sqlite3_stmt *row, struct error *e);
enum err workflow_query_row(struct workflow_query *query, const struct query_input *input,
                            query_row_fn *each, void *context, struct error *e);

// A new JSON value of it: blobs are ERR_INVALID.
enum err query_value_to_json(const struct event_value *value, json_t **out_json, struct error *e);
// As SQL's WHERE takes it: NULL and 0 are false.
bool query_value_is_true(const struct event_value *value);

#endif
