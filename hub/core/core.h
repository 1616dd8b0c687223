// core.h - the deterministic heart: one batch of inputs becomes one synced transaction.
// decode, dedupe, rules, workflows, outbox, books, commit. Given the store, a batch and the time it
// always does the same. No I/O but SQLite, no clock, no random number.
//
// Threads:   one thread at a time (the hub thread); deliveries in flight are read by workers.
//
// Ownership: inputs are borrowed for the call; outcome lives until the next core_step or
// core_close.
//
// Failure:   ERR_FULL: nothing changed, give the same inputs again later. ERR_IO, ERR_CORRUPT: the
// store is sealed: acknowledge nothing, core_close, and core_open again.
#ifndef PIPIT_CORE_CORE_H
#define PIPIT_CORE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "core/delivery.h"
#include "core/notes.h"
#include "core/spec.h"

struct core;
struct event_value;
struct rules;
struct store;

struct user_property {
    struct bytes name, value;
};

// What tells a message that is played again from one that comes from a device.
struct playback {
    const char *event_id; // Idempotency keys begin with it; NULL: as for any message.
    const char *rule;     // Only this rule sees it; NULL: all.
    bool is_known;        // It was let in before: whether its sequence was seen does not matter.
    uint32_t hops;        // Of an event that a workflow made: how often one has led to another.
};

// A message as a source gave it. The core does not know that sources speak MQTT.
struct message {
    struct bytes topic, payload;
    struct bytes content_type; // Empty when unknown.
    const struct user_property *properties;
    uint32_t property_count;
    uint8_t qos;
    bool is_retained;
    int64_t received_ms;
    const struct playback *playback; // NULL: it comes from a device.
};

// A connector's answer.
struct settlement {
    uint64_t delivery_id;
    enum verdict verdict;
    const char *reason;        // For RETRY and REJECT, a sentence; else NULL.
    const struct reply *reply; // What the peer said, where it says something; else NULL.
    int64_t retry_after_ms;    // RETRY: the peer asks not to be tried again before; 0: it does not.
};

// What an operator changes of a dead letter or quarantine entry; ptr NULL: it stays as it is.
struct edit {
    struct bytes topic, payload;
};

// A delivery that a trial of the rules made of the history.
struct replayed {
    const char *target;
    uint32_t route;           // Of delivery.rule; 1: its first.
    struct delivery delivery; // Its idempotency key begins with replay/<number>/.
};

// Part of a replay. Chunks come in order, 1, 2, ...; one that is there already changes nothing.
struct replay_chunk {
    const char *rule, *what, *token; // Of OPERATION_REPLAY_BEGIN; the same token: the same replay.
    uint64_t replay, number;         // Of OPERATION_REPLAY_CHUNK.
    const struct replayed *deliveries;
    uint32_t count;
    bool is_last;
};

enum operation_kind {
    OPERATION_DEAD_REPLAY,
    OPERATION_DEAD_DROP,
    OPERATION_QUARANTINE_DROP,   // Changes no book: they are counted in rejected.
    OPERATION_QUARANTINE_REPLAY, // Some of the range at a time: outcome.operated_upto.
    OPERATION_DEAD_EDIT,
    OPERATION_QUARANTINE_EDIT,
    OPERATION_REPLAY_BEGIN,
    OPERATION_REPLAY_CHUNK,
    OPERATION_WORKFLOW_CANCEL, // Undoes what an instance has done; see enum workflow_cancel.
    OPERATION_WORKFLOW_RETRY,  // A parked instance tries again what it failed at.
    OPERATION_WORKFLOW_REPLAY, // Starts an instance anew that has ended, as it was started.
};

enum workflow_cancel {
    CANCEL_UNDO,    // Its undos run, then it has been cancelled.
    CANCEL_ABANDON, // It ends at once, nothing is undone: what has happened outside stays.
};

// An operator's wish. Ranges are inclusive ids of dead letters or quarantine entries; first 0, last
// UINT64_MAX: all. ERR_NOT_FOUND, ERR_INVALID: refused, nothing has changed.
struct operation {
    enum operation_kind kind;
    uint64_t first, last;
    const struct edit *edit;
    const struct replay_chunk *chunk;
    enum workflow_cancel cancel; // Of workflows: first is the instance, last is not looked at.
    const char *reason;          // Of workflows, for the record; NULL: none was given.
};

// INPUT_TICK says that time has passed: what core_next_timer_ms told is due. Any batch with
// messages does the same.
enum input_kind { INPUT_MESSAGE, INPUT_SETTLEMENT, INPUT_OPERATION, INPUT_TICK };

struct input {
    enum input_kind kind;
    union {
        struct message message;
        struct settlement settlement;
        struct operation operation;
    };
};

// received = routed + filtered + duplicate + rejected;
// enqueued = delivered + waiting + dead + dropped. Replaying a dead letter moves it from dead to
// waiting.
struct books {
    uint64_t received, routed, filtered, duplicate, rejected;
    uint64_t enqueued, delivered, waiting, dead, dropped;
    uint64_t missing;       // Gaps in device sequences that have not arrived.
    uint64_t rule_failures; // A rule failed on an event that others may have routed.
    uint64_t quarantined;   // Entries ever put; the oldest make room.
    uint64_t dead_dropped;  // Dead letters dropped by an operator; they count in `dropped`, too.
    uint64_t answered;      // So do calls of workflows that failed or were taken back.
    uint64_t derived;       // Events that rules made for rules; they are not among received.
    uint64_t late;     // Too late for a window of a rule; an event may be so for several rules.
    uint64_t replayed; // Deliveries of replays; they are among enqueued.
};

// Publish on topic at QoS 0 or 1 to the source that the device is on.
struct receipt {
    const char *topic;
    struct bytes payload;
};

// Publish on topic at QoS 0 to the source that the input came from.
struct request {
    const char *topic;
    struct bytes payload;
    uint32_t input; // Its place among those of the step.
};

struct outcome {
    const struct receipt *receipts; // At most one a (device, boot) and batch; only where asked for.
    uint32_t receipt_count;
    const struct request *requests; // Sparkplug nodes that shall be born again.
    uint32_t request_count;
    const char *const *mirror;        // JSON lines, when core_spec.is_mirror_on.
    const char *const *mirror_topics; // pipit/v1/$hub/<hub>/mirror/<topic of the event>
    uint32_t mirror_count;
    uint64_t operated; // Dead letters or quarantine entries an operation touched.
    uint64_t skipped;  // Quarantine entries that cannot be replayed; the last reason is in `skip`.
    uint64_t operated_upto; // The last id that was looked at; UINT64_MAX: the range is done.
    char skip[300];
    uint64_t replay, chunks; // Number of the replay, and how many chunks of it are there.
    // Transitions of workflows: JSON, for whom it concerns to see. Sent once and not retained.
    const char *const *transitions;
    const char *const *transition_topics; // pipit/v1/$hub/<hub>/workflow/<name>/<key>/<what>
    uint32_t transition_count;
    uint32_t transitions_untold; // More than the bound of a batch.
    uint64_t instance;           // That OPERATION_WORKFLOW_REPLAY has started.
    uint32_t rejected;           // In this batch; `rejection` is the newest reason with its topic.
    const char *rejection;
};

// Opens the core on an open store: compiles the rules (ERR_CONFIG with e->offset into the SQL and
// the rule's name in the text), loads the books and the outbox. Borrows store and spec.
enum err core_open(struct core **out_core, struct store *store, const struct core_spec *spec,
                   struct error *e);
// Compiles what core_open would, against a store in memory: the same errors, and nothing is left.
enum err core_check(const struct core_spec *spec, struct error *e);
// Compiles each workflow by itself and tells what is wrong with it. has_rules: core_check has found
// all else to be fine, so that it is known which fields their events have. path is a JSON pointer
// into its definition, fault->offset stands in the expression there, -1: all of it.
typedef void core_workflow_fn(void *context, uint32_t workflow_index, const char *path,
                              const struct error *fault);
enum err core_check_workflows(const struct core_spec *spec, bool has_rules, core_workflow_fn *each,
                              void *context, struct error *e);
// The topic filter that each rule reads, as core_check compiles them.
typedef void core_filter_fn(void *context, uint32_t rule_index, const char *filter);
enum err core_filters(const struct core_spec *spec, core_filter_fn *each, void *context,
                      struct error *e);
void core_close(
    struct core *core); // NULL is fine. No delivery may be in flight in a worker any more.

// One transaction. now_ms is the wall clock and may step back. When it returns ERR_OK everything in
// the batch may be acknowledged: the transaction is synced, unless the batch holds settlements only
// that make no dead letter and answer no workflow (those may come undone by a power cut, which
// means one more delivery with the same key).
enum err core_step(struct core *core, const struct input *inputs, uint32_t count, int64_t now_ms,
                   struct outcome *out_outcome, struct error *e);

// Takes up to count_max deliveries of a target that are due: those of a higher class first, of each
// class the keys by turns and those of a key in order, never one whose key has an earlier delivery
// of its class in flight or backing off. They are in flight until settled by a core_step.
uint32_t core_take(struct core *core, uint32_t target, uint32_t count_max, uint64_t bytes_max,
                   int64_t now_ms, const struct delivery **out_deliveries);

// When core_take could next give something that is now backing off; INT64_MAX: nothing is waiting
// so.
int64_t core_next_due_ms(const struct core *core);

// When an INPUT_TICK has something to do (windows that end), wall clock; INT64_MAX: nothing waits.
int64_t core_next_timer_ms(const struct core *core);

// The rows of a table that comes from a file.
struct table_data {
    const char *table;          // Name in the spec.
    const char *const *columns; // Names.
    uint32_t column_count;
    uint64_t row_count;
    const struct event_value *values; // Row after row; texts are borrowed for the call.
    const char *fingerprint;          // Names this content: loading the same again costs nothing.
};

// Replaces all rows of the table in a transaction of its own. ERR_CONFIG: a key is there twice or
// NULL, a rule names a column that is gone, ...; then the old rows stay.
enum err core_load_table(struct core *core, const struct table_data *data, struct error *e);

// Replaces the spec between two batches; on error (compile) nothing has changed. Rows of targets
// that are gone wait in the store until a target of that name comes back; the books count them as
// waiting.
enum err core_swap(struct core *core, const struct core_spec *spec, struct error *e);
// As core_swap and undone at once: the same errors and notes, and nothing has changed.
enum err core_try_swap(struct core *core, const struct core_spec *spec, struct error *e);
// What the last of either did, or would do, to what rules keep.
const struct notes *core_notes(const struct core *core);

// Its rules as they are compiled, for those who explain and measure them; until the next swap.
struct rules *core_rules(const struct core *core);

void core_books(const struct core *core, struct books *out_books);

// Where the room is: ERR_OK when a message batch would be accepted now, ERR_FULL with the reason.
enum err core_has_room(struct core *core, struct error *e);

// Counters of rules, routes and targets, by name ("rule/overheat/matched", "target/bus/waiting",
// ...).
typedef void core_counter_fn(void *context, const char *name, uint64_t value);
void core_counters(const struct core *core, core_counter_fn *each, void *context);

#endif
