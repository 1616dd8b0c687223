// spec.h - what the configuration asks of the core: rules, routes, identities. Plain data.
// Threads:   immutable once given to the core.
// Ownership: owned by whoever built it (config); the core copies nothing and must not outlive it.
#ifndef PIPIT_CORE_SPEC_H
#define PIPIT_CORE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

enum payload_format {
    PAYLOAD_JSON,     // An object of the result's columns.
    PAYLOAD_TEXT,     // The template in route_spec.text; without one, the first column.
    PAYLOAD_PIPIT,    // A pipit.v1.Event whose fields are the columns.
    PAYLOAD_ORIGINAL, // The event's payload as it came.
};

// What a route does when its own queue is at its bound.
enum overflow {
    OVERFLOW_HOLD,     // Stop acknowledging until there is room (the default).
    OVERFLOW_DROP_NEW, // Count and forget the new delivery.
    OVERFLOW_DROP_OLD, // Count and forget the oldest waiting one that is not in flight.
};

struct route_spec {
    uint32_t target;   // Index into core_spec.targets.
    const char *topic; // Template, "{column}" replaced; NULL where the connector needs none.
    enum payload_format format;
    const char *text; // Template for PAYLOAD_TEXT, NULL: first column.
    const char *type; // Event type for PAYLOAD_PIPIT; NULL: the rule's name.
    uint8_t qos;      // 0, 1, 2.
    bool is_retained;
    uint64_t limit_bytes; // Queue bound of this route; 0: only the store's.
    enum overflow overflow;
};

struct rule_spec {
    const char *name;
    const char *sql;
    const char *key; // Column of the result, else of the event, that orders deliveries.
    const struct route_spec *routes;
    uint32_t route_count;
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

struct target_spec {
    const char *name;
    uint32_t attempts_max; // Then a dead letter. Default 10.
    int64_t backoff_min_ms, backoff_max_ms;
};

// What makes a rule, route, target or identity the same one across a reload is its name/position.
struct core_spec {
    const char *hub_id;
    const struct rule_spec *rules;
    uint32_t rule_count;
    const struct identity_spec *identities;
    uint32_t identity_count;
    const struct target_spec *targets;
    uint32_t target_count;
    uint64_t store_limit_bytes; // Pages in use of the store file; at it ERR_FULL.
    uint64_t
        disk_reserve_bytes; // Free space of the file system to leave for settling; at it ERR_FULL.
    uint64_t quarantine_limit_bytes; // Oldest entries make room.
    uint32_t payload_bytes_max;      // A larger message is rejected (quarantined, truncated).
    uint32_t rule_steps_max;         // SQLite instructions for one event in one rule.
    bool is_mirror_on;               // Ask the core for a JSON line of every decoded event.
    // Test-only switches; a release hub refuses them unless PIPIT_TEST_FAULTS=1 is in the
    // environment.
    bool fault_no_dedupe;
    uint32_t faults; // Bits of enum fault, core/fault.h; set by tests only.
};

#endif
