// explain_parts.h - what explain.c asks of others: a query over the one event, a condition's terms,
// a window, workflows.
//
// Threads:   as explain.h.
//
// Ownership: JSON values are the caller's.
//
// Failure:   as each function says.
#ifndef PIPIT_TRIAL_EXPLAIN_PARTS_H
#define PIPIT_TRIAL_EXPLAIN_PARTS_H

#include "core/rules.h"
#include "trial/explain.h"

// explain_query.c: the rows that a statement gives for the message, as a list of objects, by the
// configuration's formats, identities and tables. ERR_INVALID: the message is rejected, with the
// reason; ERR_CONFIG: the statement does not compile.
enum err explain_query(const struct explain_options *options, const char *sql,
                       struct json_t **out_rows, struct error *e);

// explain_terms.c: sets "terms" and "missing" of the rule's explanation.
enum err explain_terms(const struct explain_options *options, const struct rules *rules,
                       uint32_t rule_index, const struct json_t *fields, struct json_t *rule,
                       struct error *e);

// explain_workflow.c: adds each workflow to the list, unless only one rule is asked about.
enum err explain_workflows(const struct explain_options *options, const struct json_t *read,
                           struct json_t *list, struct error *e);

// explain_window.c: which window the event would enter, in words; false: the rule has none.
bool explain_window(const struct window_spec *window, const struct json_t *read,
                    int64_t received_ms, char *out_text, size_t size);

#endif
