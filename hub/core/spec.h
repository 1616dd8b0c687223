// spec.h - what the configuration asks of the core: formats, identities, tables, history, rules,
// routes, targets. Plain data.
// Threads:   immutable once given to the core.
// Ownership: whoever built it (config); the core copies nothing and must not outlive it.
// Failure:   none.
#ifndef PIPIT_CORE_SPEC_H
#define PIPIT_CORE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

// ---- what comes in ------------------------------------------------------------------------------

enum field_type {
    FIELD_ANY,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_TEXT,
    FIELD_BOOLEAN,
    FIELD_BLOB,
    FIELD_OBJECT,
    FIELD_ARRAY
};

// A field that payloads of a format have; name is a dotted path, as a rule's column.
struct field_spec {
    const char *name;
    enum field_type type;
    bool is_required; // A payload without it is rejected.
};

enum format_kind {
    FORMAT_JSON,
    FORMAT_CBOR,
    FORMAT_PROTOBUF,    // descriptors and message say which.
    FORMAT_SPARKPLUG,   // Sparkplug B: spBv1.0/<group>/<type>/<node>[/<device>].
    FORMAT_CLOUDEVENTS, // 1.0, MQTT binding: binary, structured, batch in JSON.
    FORMAT_TEXT,        // The payload is the field `value`, a text.
    FORMAT_NUMBER,      // The payload is the field `value`, a number in decimal text.
    FORMAT_BYTES,       // No fields; `payload` only.
};

// How payloads are read. The first entry whose filter matches a topic decides; without one the
// topic (Pipit's own) and the content type do.
struct format_spec {
    const char *name;
    const char *from; // Topic filter.
    enum format_kind kind;
    struct bytes descriptors; // A FileDescriptorSet, as protoc --descriptor_set_out writes it.
    const char *message;      // Full name of the protobuf message.
    const struct field_spec *fields;
    uint32_t field_count;
    bool is_closed; // There are no fields but these: a rule that names another is a mistake.
};

// Identity for devices that do not run the SDK. Expressions are SQL over one event of `from`.
struct identity_spec {
    const char *name;     // Also the device group.
    const char *from;     // Topic filter.
    const char *device;   // Expression giving the device name; required.
    const char *sequence; // Expression giving a whole number that grows by one; NULL: no dedupe.
    const char *boot;     // NULL: 0.
    const char *time;     // Milliseconds since 1970 (or ISO text); NULL: none.
};

// A table that rules may join. Of a file: core_load_table fills it. Fed by events: each row that
// its SELECT gives replaces the one with the same key.
struct table_data;
struct table_spec {
    const char *name;
    const char *key;   // Column, unique; NULL (of a file only): none.
    const char *sql;   // SELECT over a topic filter; NULL: the table comes from a file.
    int64_t keep_ms;   // Rows of events that were not renewed for so long go; 0: they stay.
    uint32_t rows_max; // Fed by events: the row that was renewed longest ago makes room.
    // Of a file: its rows, read while core_open, core_check and core_swap are at work only; NULL:
    // they stay as they are in the store.
    const struct table_data *data;
};

// Events kept for replay. keep_ms 0: none are.
struct history_spec {
    int64_t keep_ms;
    uint64_t limit_bytes;
    const char *const *topics; // Filters, NULL-terminated; NULL: all.
};

// ---- rules --------------------------------------------------------------------------------------

enum payload_format {
    PAYLOAD_JSON,       // An object of the result's columns.
    PAYLOAD_TEXT,       // The template in route_spec.text; without one, the first column.
    PAYLOAD_PIPIT,      // A pipit.v1.Event whose fields are the columns.
    PAYLOAD_ORIGINAL,   // The event's payload as it came.
    PAYLOAD_CBOR,       // A map of the result's columns.
    PAYLOAD_PROTOBUF,   // A message of route_spec.message; columns are fields by (dotted) name.
    PAYLOAD_CLOUDEVENT, // The columns as data of a CloudEvent: see struct cloudevent_spec.
};

// What a route does when its own queue is at its bound.
enum overflow {
    OVERFLOW_HOLD,     // Stop acknowledging until there is room (the default).
    OVERFLOW_DROP_NEW, // Count and forget the new delivery.
    OVERFLOW_DROP_OLD, // Count and forget the oldest waiting one that is not in flight.
};

// Of one target, deliveries of a higher class go first; a key's order holds within a class.
enum priority { PRIORITY_NORMAL, PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_COUNT };

// A user property of a route's deliveries. value is a template over the row; where that gives
// nothing the property is left out.
struct property_spec {
    const char *name, *value;
};

// Context attributes are templates over the row, columns called ce_<name> are extensions; id is the
// delivery's idempotency key, time the event's.
struct cloudevent_spec {
    bool is_structured; // application/cloudevents+json; else binary: attributes as properties.
    const char *type, *source, *subject; // subject may be NULL.
};

// At most `count` deliveries in each `per_ms`, of the route or of each key; 0: no limit.
struct rate_spec {
    uint32_t count;
    int64_t per_ms;
    bool is_per_key;
    bool is_waiting; // What is too much is delivered later; else it is dropped and counted.
};

#define ROUTE_TO_RULES UINT32_MAX // As target: the delivery is an event for other rules, at once.

struct route_spec {
    uint32_t target;   // Index into core_spec.targets, or ROUTE_TO_RULES.
    const char *topic; // Template, "{column}" replaced; NULL where the connector needs none.
    enum payload_format format;
    const char *text;         // Template for PAYLOAD_TEXT, NULL: first column.
    const char *type;         // Event type for PAYLOAD_PIPIT; NULL: the rule's name.
    struct bytes descriptors; // For PAYLOAD_PROTOBUF, as in format_spec.
    const char *message;
    struct cloudevent_spec cloudevent;
    const struct property_spec *properties;
    uint32_t property_count;
    uint8_t qos; // 0, 1, 2.
    bool is_retained;
    bool is_url;              // topic gives an address: see core/address.h.
    uint64_t limit_bytes;     // Queue bound of this route; 0: only the store's.
    uint64_t key_limit_bytes; // The same for one key, so that a noisy device leaves room; 0: none.
    enum overflow overflow;
    enum priority priority;
    struct rate_spec rate;
    uint32_t sample; // One of so many rows of a key goes out; 0 and 1: all.
};

enum window_kind {
    WINDOW_NONE,
    WINDOW_TUMBLING, // size_ms, one after the other, from the epoch on.
    WINDOW_HOPPING,  // size_ms, one begins every every_ms.
    WINDOW_SLIDING,  // At each event: the size_ms before it, itself included.
    WINDOW_SESSION,  // Ends when nothing came for size_ms; at the latest after session_max_ms.
    WINDOW_COUNT,    // count events; one begins every every_count of them.
};

// Which events of a rule's filter its statement sees together.
struct window_spec {
    enum window_kind kind;
    int64_t size_ms, every_ms, session_max_ms;
    uint32_t count, every_count;
    const char *key;   // SQL expression over an event; NULL: the device's identity, else the topic.
    const char *where; // SQL expression over an event: those that enter; NULL: all.
    bool is_by_arrival; // Else by the event's own time.
    int64_t grace_ms;   // By time: a window stays open so long past its end for late events.
    int64_t idle_ms;    // By time: a key that is silent so long has its ended windows closed.
    int64_t ahead_ms;   // By time: an event further than this in the future is as good as late.
    uint32_t rows_max;  // Events of one window; more are counted and left out. 0: the default.
    uint32_t keys_max;  // Keys remembered; those without an open window make room. 0: the default.
};

enum branch { BRANCH_MAIN, BRANCH_ELSE, BRANCH_LATE };

// The configuration puts the branches of a rule right behind it, each as a rule of its own named
// "<rule>/else" and "<rule>/late", without sql: they see the events of the rule's filter on which
// it gave no row, or which came too late for its window.
struct rule_spec {
    const char *name;
    const char *sql; // NULL for a branch.
    enum branch branch;
    uint32_t parent; // Index of the rule that this is a branch of.
    const char *key; // Column of the result, else of the event, that orders deliveries.
    struct window_spec window;
    const struct route_spec *routes;
    uint32_t route_count;
};

// ---- workflows ----------------------------------------------------------------------------------

#define RULE_TOPIC                                                                                 \
    "$rule/" // And a rule's name: the topic of its rows where a workflow starts by it.

// A process in several steps. The configuration makes one text of it, so that instances can stay on
// the version they began with: see core/workflow_definition.h for what stands in it.
struct workflow_spec {
    const char *name;
    const char *definition; // Canonical JSON; the same text is the same version.
};

struct target_spec {
    const char *name;
    uint32_t attempts_max; // Then a dead letter. Default 10.
    int64_t backoff_min_ms, backoff_max_ms;
    bool is_url; // What goes to it has an address: see core/address.h.
};

// What makes a rule, route, target or identity the same one across a reload is its name/position.
struct core_spec {
    const char *hub_id;
    const char *id_prefix; // What ids of windows begin with, in a replay; NULL: nothing.
    const struct rule_spec *rules;
    uint32_t rule_count;
    const struct format_spec *formats;
    uint32_t format_count;
    const struct identity_spec *identities;
    uint32_t identity_count;
    const struct table_spec *tables;
    uint32_t table_count;
    struct history_spec history;
    const struct workflow_spec *workflows;
    uint32_t workflow_count;
    uint32_t instances_max; // Running and queued, of all workflows; 0: WORKFLOW_INSTANCES_DEFAULT.
    const struct target_spec *targets;
    uint32_t target_count;
    uint64_t store_limit_bytes; // Pages in use of the store file; at it ERR_FULL.
    uint64_t
        disk_reserve_bytes; // Free space of the file system to leave for settling; at it ERR_FULL.
    uint64_t quarantine_limit_bytes; // Oldest entries make room.
    uint32_t payload_bytes_max;      // A larger message is rejected (quarantined, truncated).
    uint32_t rule_steps_max;         // SQLite instructions for one event in one rule.
    uint64_t rule_memory_max;        // Bytes for SQLite in one rule's run; 0: no bound.
    bool is_mirror_on;               // Ask the core for a JSON line of every decoded event.
    bool is_telling_workflows;       // The same of every transition of a workflow.
    // Test-only switches; a release hub refuses them unless PIPIT_TEST_FAULTS=1 is in the
    // environment.
    bool fault_no_dedupe;
    uint32_t faults; // Bits of enum fault, core/fault.h; set by tests only.
};

#endif
