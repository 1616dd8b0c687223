// core_parts.h - what a core is made of, for core.c (open, step, take) and the core_*.c beside it,
// each of which does one part of a step.
// Threads:   core thread.
// Ownership: the core owns its parts; what a batch needs lives until the batch is cleared.
// Failure:   as core_step; the caller rolls the transaction back.
#ifndef PIPIT_CORE_CORE_PARTS_H
#define PIPIT_CORE_CORE_PARTS_H

#include "core/books.h"
#include "core/dedupe.h"
#include "core/event.h"
#include "core/event_memory.h"
#include "core/format.h"
#include "core/history.h"
#include "core/memo.h"
#include "core/outbox.h"
#include "core/quarantine.h"
#include "core/replay.h"
#include "core/rule_count.h"
#include "core/rules.h"
#include "core/sparkplug.h"
#include "core/tables.h"
#include "core/workflows.h"

enum fate {
    FATE_NEW,       // Goes to the rules.
    FATE_DUPLICATE, // Was here before.
    FATE_REJECTED,  // slot.reason says why.
    FATE_IGNORED,   // It says nothing that holds any more; counted as filtered.
};

// What the core knows of an event of the batch beside the event itself.
struct slot {
    enum fate fate;
    bool is_routed; // A rule gave a delivery, though a route may have shed it.
    bool is_failed; // A rule failed on it.
    uint32_t root;  // Of an event that rules made: the one of the batch that it came of.
    const char *reason;
};

// Events that rules make for rules in one round.
#define DERIVED_MAX        8192
#define DERIVED_BYTES_MAX  16000000
#define DERIVED_BOUND_TEXT "8192 events or 16 MB for other rules"

#define BATCH_FAILURES_MAX 4096 // Reasons kept of a batch; what is beyond is counted only.

// A rule's failure on an event, told after the rules have run.
struct failure {
    const struct message *message;
    const char *event_id;
    const char *rule, *reason;
};

// A message that is several events.
struct split {
    struct split *next;
    uint32_t input; // Played messages are counted behind the inputs.
    struct message *messages;
    uint32_t count;
    const char *problem; // It cannot be taken apart.
};

struct batch {
    struct event_batch *events;
    struct slot *slots;
    const struct split *splits; // Those to come, in order of their inputs.
    bool *is_skipped;           // For the rules.
    uint32_t capacity;
    struct failure *failures; // The first ones, for the quarantine.
    uint32_t failure_count;
    uint32_t round_failures;    // All of the round of rules under way.
    struct rule_tally *tallies; // Of the round of rules under way, by rule.
    uint32_t *tallied;          // Rules that have one.
    uint32_t tallied_count, rule_capacity;
    uint32_t derived_count; // Events that rules have made for rules, in the round under way.
    size_t derived_bytes;
    bool is_too_much; // The round was ended because its deliveries are too many.
    char too_much[200];
};

struct core {
    struct store *store;
    const struct core_spec *spec;
    struct formats *formats;
    struct rules *rules;
    struct outbox *outbox;
    struct dedupe *dedupe;
    struct memo *memo;
    struct quarantine *quarantine;
    struct sparkplug *sparkplug;
    struct history *history;
    struct replays *replays;
    struct workflows *workflows;
    struct rule_count *rule_count;
    struct ledger_file *ledger_file;
    struct ledger ledger, committed;
    struct batch batch;
    struct event_memory memory; // The outcome's, and reasons.
    int64_t now_ms;
    uint64_t needs_bytes;      // The last batch that the store's limit sent back would have added.
    uint64_t needs_disk_bytes; // The same of the disk, beyond what is reserved.
    struct message *played;    // Quarantine entries that are inputs of this batch, too.
    uint32_t played_count;
    struct outcome outcome;
    char rejection[400];
    struct notes notes; // Of the last swap.
    struct rule_window_sink window_sink;
    struct workflow_sink workflow_sink;
};

// core_operate.c
enum err core_operate(struct core *core, const struct operation *operation, struct error *e);

// core_history.c: the batch's events into the history;
enum err core_history_keep(struct core *core, struct error *e);
// what is too old or too much out of it, after so many events;
enum err core_history_prune(struct core *core, uint32_t events, struct error *e);
// as much of it out as more_bytes need within store_limit.
enum err core_history_make_room(struct core *core, uint64_t more_bytes, struct error *e);

// core_batch.c: all messages among the inputs, up to deliveries and counts. Within the transaction.
enum err core_take_messages(struct core *core, const struct input *inputs, uint32_t count,
                            struct error *e);
// A rule failed on an event; event_id is copied, the message lives as long as the batch.
enum err core_note_failure(struct core *core, const struct message *message, const char *event_id,
                           uint32_t rule_index, const char *reason, struct error *e);
// The rule's counts of the round under way.
struct rule_tally *core_tally(struct core *core, uint32_t rule_index);
// Closes windows that are due by time, of at most keys_max keys (see rules_fire). *out_too_much: it
// is as if it had not been done, for it makes more deliveries than memory should hold.
enum err core_fire_round(struct core *core, uint32_t keys_max, bool *out_more, bool *out_too_much,
                         struct error *e);
// The same, of a rule by its name, which lives as long as the batch.
enum err core_keep_failure(struct core *core, const struct message *message, const char *event_id,
                           const char *rule, const char *reason, struct error *e);
// An event that must not be let in: counted and put in the quarantine.
enum err core_reject(struct core *core, const struct message *message, const char *reason,
                     struct error *e);
// core_workflows.c: workflows over the events first..end of a round and those that rules made;
enum err core_run_workflows(struct core *core, uint32_t first, uint32_t end, struct error *e);
// before the messages: what time has brought about, and events of workflows, which become inputs;
enum err core_fire_workflows(struct core *core, struct error *e);
// a connector's answer to the outbox, and to the step that waits for it.
enum err core_settle(struct core *core, const struct settlement *settlement, struct error *e);
// The definitions are found or written in the store; in a transaction.
enum err core_open_workflows(struct core *core, struct error *e);
// core_windows.c: what time has closed; in a transaction.
enum err core_fire_windows(struct core *core, struct error *e);
// The rules' windows are found in the store; in a transaction.
enum err core_attach_windows(struct core *core, struct rules *rules, struct error *e);
// core_derived.c: the output of a route to rules becomes an event of the batch.
enum err core_derive(struct core *core, const struct rule_output *output, struct error *e);
void core_mark_rejected(struct core *core, uint32_t event_index, const char *reason);
// core_split.c: finds the messages that are several events, into batch.splits. ERR_FULL: give
// fewer.
enum err core_split(struct core *core, const struct input *inputs, uint32_t count,
                    uint32_t *out_events, struct error *e);
// core_sparkplug.c: what an event that came says of a Sparkplug node. Once an event, in order.
enum err core_note_sparkplug(struct core *core, uint32_t event_index, uint32_t input,
                             struct error *e);
// After the commit: receipts, mirror. Out of memory some are left out: a lost receipt costs a
// resend.
void core_tell(struct core *core);
void core_batch_clear(struct batch *batch);
void core_batch_deinit(struct batch *batch);

// core_tables.c: the tables that rules read, and then the rules, in one transaction.
enum err core_open_rules(struct core *core, struct error *e);
// In a transaction: what rules remember, and `latest` only where it is read.
enum err core_attach_memory(struct core *core, struct rules *rules, const struct core_spec *spec,
                            struct error *e);
// In a transaction. data: of a table of the spec whose columns change; may be NULL.
enum err core_prepare_tables(struct core *core, const struct core_spec *spec,
                             const struct table_data *data, struct error *e);
enum err core_compare_table(struct core *core, const struct table_data *data,
                            enum table_change *out_change, struct error *e);
enum err core_replace_rows(struct core *core, const struct table_data *data, struct error *e);

#endif
