// rules.h - a set of compiled SQL rules over a batch of events, exposed as virtual tables named by
// topic filters. Threads:   core thread. Ownership: borrows the SQLite connection and the specs.
// Failure:   rules_open: ERR_CONFIG, e->offset into the SQL. A rule that fails on an event is
// reported
//            through the sink and the batch goes on.
#ifndef PIPIT_CORE_RULES_H
#define PIPIT_CORE_RULES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/event.h"
#include "core/spec.h"

struct rules;

// One delivery to be: rendered by a route of a rule from one row of its result. Valid for the call.
struct rule_output {
    uint32_t event_index, rule_index, route_index;
    uint32_t row_index; // 0 for the first row that this event gave in this rule.
    struct bytes key, topic, payload;
    const char *content_type;
};

struct rule_sink {
    void *context;
    enum err (*output)(void *context, const struct rule_output *output, struct error *e);
    // The rule failed on this event: nothing of (rule, event) was or will be given to output.
    enum err (*failure)(void *context, uint32_t event_index, uint32_t rule_index,
                        const char *reason, struct error *e);
    // Once per (rule, event) that a rule's filter matched and whose statement gave rows or none.
    void (*ran)(void *context, uint32_t event_index, uint32_t rule_index, uint32_t rows);
};

// The db is the store's own connection: reference tables are there. Adds its module and functions
// to it.
enum err rules_open(struct rules **out_rules, sqlite3 *db, const struct core_spec *spec,
                    struct error *e);
void rules_close(struct rules *rules); // NULL is fine.

// Sets group, device, sequence, boot and time of foreign events by the identity expressions whose
// filter matches. is_skipped[i] leaves event i out. A failing expression goes to sink->failure with
// rule_index UINT32_MAX.
enum err rules_identify(struct rules *rules, struct event_batch *batch, bool *is_skipped,
                        int64_t now_ms, const struct rule_sink *sink, struct error *e);

// Runs every rule over the events its filter matches, in rule order, in event order within a rule.
enum err rules_run(struct rules *rules, struct event_batch *batch, const bool *is_skipped,
                   int64_t now_ms, const struct rule_sink *sink, struct error *e);

// What the rules may read: reference tables only; never the store's own tables (fenced by
// authorizer). Matching as in [MQTT-4.7]: topic_filter_matches(filter, topic) lives in
// core/topic.h.

#endif
