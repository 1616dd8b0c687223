// rules.h - a set of compiled SQL rules over a batch of events, exposed as virtual tables named by
// topic filters.
//
// Threads:   core thread.
//
// Ownership: borrows the SQLite connection and the specs.
//
// Failure:   rules_open: ERR_CONFIG, e->offset into the SQL. A rule that fails on an event is
// reported through the sink and the batch goes on. Other errors end the run: the transaction has to
// be rolled back.
#ifndef PIPIT_CORE_RULES_H
#define PIPIT_CORE_RULES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/event.h"
#include "core/spec.h"

struct memo;
struct rules;

struct window_result;
struct windows;

// One delivery to be: rendered by a route of a rule from one row of its result. Valid for the call.
struct rule_output {
    uint32_t event_index, rule_index, route_index;
    const char *window;   // Id of the window that it comes of when it closes, and no event_index.
    struct event *source; // The event; of such a window, one that stands for it.
    uint32_t row_index;   // 0 for the first row that this event gave in this rule.
    uint32_t root_index;  // The event of which this one came by rules; itself when by none.
    struct bytes key, topic, payload;
    struct bytes properties; // As in struct delivery.
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

// What else becomes of events and rows in rules with windows.
struct rule_window_sink {
    void *context;
    // The event is in a window now; ran has been told.
    void (*kept)(void *context, uint32_t event_index);
    // A window of the key has more than rows_max events: some are left out. Not for each of them.
    void (*left_out)(void *context, uint32_t rule_index, struct bytes key, uint32_t rows_max);
    // The statement gave so many rows for a window.
    void (*closed)(void *context, uint32_t rule_index, uint32_t rows);
    // It failed on a window that closed, which is gone.
    enum err (*failure)(void *context, uint32_t rule_index, const struct window_result *window,
                        const char *reason, struct error *e);
};

// The db is the store's own connection: reference tables are there. Adds its module and functions
// to it.
enum err rules_open(struct rules **out_rules, sqlite3 *db, const struct core_spec *spec,
                    struct error *e);
void rules_close(struct rules *rules); // NULL is fine.

// Sets group, device, sequence, boot and time of foreign events by the identity expressions whose
// filter matches (the first one that does). is_skipped[i] leaves event i out. A failing expression
// goes to sink->failure with rule_index UINT32_MAX and sets is_skipped[i].
enum err rules_identify(struct rules *rules, struct event_batch *batch, bool *is_skipped,
                        int64_t now_ms, const struct rule_sink *sink, struct error *e);

// Runs every rule over the events its filter matches, in rule order, in event order within a rule.
// A rule that others feed comes after those.
enum err rules_run(struct rules *rules, struct event_batch *batch, const bool *is_skipped,
                   int64_t now_ms, const struct rule_sink *sink, struct error *e);

// Does any route lead to rules?
bool rules_have_derived(const struct rules *rules);
// To be called by sink->output: what it was given has been added to the batch as that event, which
// the rules whose filter matches see in this run, behind the event of which it came and what came
// of that before. Such events have consecutive indexes.
enum err rules_feed(struct rules *rules, struct event_batch *batch, uint32_t event_index,
                    uint32_t root_index, struct error *e);

// Closes windows that are due by time, of at most keys_max keys, and runs the rules that they feed;
// *out_more: there are more. keys_max 0: those of one key are given up and told as failures.
enum err rules_fire(struct rules *rules, uint32_t keys_max, struct event_batch *batch,
                    int64_t now_ms, const struct rule_sink *sink, bool *out_more, struct error *e);
// Who is told from now on; nobody, until then.
void rules_set_window_sink(struct rules *rules, const struct rule_window_sink *sink);
// For what a step has to do with them: attach, set_now, write, forget, flush, commit, rollback.
struct windows *rules_windows(struct rules *rules);
// Is the built-in table read?
bool rules_reads_latest(const struct rules *rules);
// What was compiled since rules_open reads it, too: then it is kept up to date.
enum err rules_keep_latest(struct rules *rules, struct error *e);
// Does the event change a table that this reads? Then it has to wait until those before it have
// been dealt with.
bool rules_cut_before(struct rules *rules, const struct event *event);
// The transaction was rolled back, and with it what events have put into tables.
void rules_rollback(struct rules *rules);

// Does the rule call functions that remember? Where they do is set by memo_claim.
bool rules_remembers(const struct rules *rules, uint32_t rule_index);
void rules_set_memo(struct rules *rules, uint32_t rule_index, struct memo *memo, int64_t id);

// A batch begins, with the first of what runs rules in its transaction.
void rules_begin_batch(struct rules *rules);
// After ERR_NO_MEMORY, which has cost the transaction: true, a rule had taken far more than it may,
// and will not be run on that event again when the same batch is now done once more.
bool rules_may_retry(struct rules *rules);

// The topic filter that a compiled rule reads.
const char *rules_filter(const struct rules *rules, uint32_t rule_index);
// The payload fields that its statement names; gives their number.
uint32_t rules_fields(const struct rules *rules, uint32_t rule_index,
                      const char *const **out_fields);
// The columns of its rows, at most count_max of them; gives their number.
uint32_t rules_columns(const struct rules *rules, uint32_t rule_index, const char **out_columns,
                       uint32_t count_max);
// SQLite instructions that its statement has used so far, modulo 2^32.
uint32_t rules_instructions(const struct rules *rules, uint32_t rule_index);

// Test only: false runs every statement once for each event, which must give the same.
void rules_set_batched(struct rules *rules, bool is_batched);

// What a rule can say (docs/ARCHITECTURE.md has the why):
// - FROM "<topic filter>", exactly one, matched as in [MQTT-4.7]; reference tables may be joined to
//   it; the store's own tables (pipit_...) may not be read.
// - Standard columns: id, topic, device, device_group, type, time, received, boot, sequence, qos,
//   retain, content_type, payload (text when it is UTF-8, else a blob; of a Pipit event: its opaque
//   payload, NULL when it has fields), fields (all of them as JSON). SELECT * gives these without
//   payload.
// - Every other column is a field of the payload, NULL when absent: "location.lat" and
//   "items.0.name" lead into JSON; a payload that is a JSON number, text or boolean by itself is
//   the field value. A field called like a standard column is written "fields.<name>".
// - A float field is its shortest decimal (27.1, not 27.10000038). Unsigned fields beyond 2^63-1
//   are reals.
// - A boolean and a JSON object that are selected plainly (not through an expression, DISTINCT,
//   ORDER BY, a window) stay boolean and JSON in the output; else a boolean is 1 or 0 and JSON is
//   text.
// - topic_part(n), prop('<user property>'), fields(), now_ms().
// Outputs:
// - Key: the rule's key column (NULL is the empty key); without one the event's "<group>/<device>",
//   else its topic.
// - content_type: application/json, text/plain; charset=utf-8, application/x-protobuf, or as the
//   event came with. A Pipit event made by a rule has boot and sequence 0, for no device counted
//   it, the source event's time, and no field for a NULL column.

#endif
