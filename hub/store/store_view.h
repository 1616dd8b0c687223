// store_view.h - what is in a store, for people: read-only, also beside a running hub.
//
// Threads:   one.
//
// Ownership: what a callback is given lives for that call.
//
// Failure:   as store_open; ERR_NOT_FOUND when there is no store. A callback that returns false
// ends the walk without an error.
#ifndef PIPIT_STORE_STORE_VIEW_H
#define PIPIT_STORE_STORE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct store_view;

enum err store_view_open(struct store_view **out_view, const char *path, struct error *e);
void store_view_close(struct store_view *view); // NULL is fine.

uint64_t store_view_used_bytes(struct store_view *view);

// The books and the counters beside them, by name.
typedef bool view_count_fn(void *context, const char *name, uint64_t value);
enum err store_view_books(struct store_view *view, view_count_fn *each, void *context,
                          struct error *e);

// Copies what Sparkplug nodes said of themselves into a store that knows none: for dry runs.
struct store;
enum err store_view_copy_births(struct store_view *view, struct store *to, struct error *e);

struct view_target {
    const char *name;
    uint64_t enqueued, delivered, waiting, waiting_bytes, dead, dropped, retried;
    int64_t oldest_ms; // When the first of the waiting ones was made; 0: none waits.
};
typedef bool view_target_fn(void *context, const struct view_target *target);
enum err store_view_targets(struct store_view *view, view_target_fn *each, void *context,
                            struct error *e);

struct view_rule {
    const char *name;
    uint64_t matched, rows, failures;
};
typedef bool view_rule_fn(void *context, const struct view_rule *rule);
enum err store_view_rules(struct store_view *view, view_rule_fn *each, void *context,
                          struct error *e);

// Which entries: ids inclusive, NULL is any.
struct view_filter {
    uint64_t first, last;
    const char *target, *rule; // Of dead letters; rule: of the quarantine, too.
};

struct view_dead {
    uint64_t id;
    const char *target, *rule, *idempotency_key, *topic, *content_type, *reason;
    struct bytes key, payload;
    int qos;
    bool is_retained;
    uint32_t attempts, route;
    int64_t created_ms, died_ms;
    int64_t edited_ms;       // 0: never.
    struct bytes properties; // As in struct delivery.
};
typedef bool view_dead_fn(void *context, const struct view_dead *dead);
enum err store_view_dead(struct store_view *view, const struct view_filter *filter,
                         view_dead_fn *each, void *context, struct error *e);

struct view_quarantined {
    uint64_t id;
    int64_t at_ms;
    struct bytes topic;   // As it came.
    struct bytes payload; // Less than payload_bytes: cut short.
    uint64_t payload_bytes;
    const char *reason, *content_type, *event;
    const char *rule; // NULL: the message could not be read.
    struct bytes properties;
    int qos;
    bool is_retained;
    int64_t received_ms, edited_ms;
};
typedef bool view_quarantined_fn(void *context, const struct view_quarantined *entry);
enum err store_view_quarantine(struct store_view *view, const struct view_filter *filter,
                               view_quarantined_fn *each, void *context, struct error *e);
// The history from `first` on, at most rows_max of it: nothing may hold the write-ahead log of a
// running hub for long. from_ms, to_ms: when it was received, to_ms itself not included.
struct view_history_filter {
    uint64_t first, last;
    int64_t from_ms, to_ms;
    const char *device; // "<group>/<device>" or "<device>"; NULL: any.
    uint32_t rows_max;
};

struct view_event {
    uint64_t id;
    int64_t received_ms;
    const char *event, *device, *content_type;
    struct bytes topic, payload, properties;
    int qos;
    bool is_retained;
};
typedef bool view_event_fn(void *context, const struct view_event *event);
enum err store_view_history(struct store_view *view, const struct view_history_filter *filter,
                            view_event_fn *each, void *context, struct error *e);

struct view_span {
    uint64_t rows, first, last;
    int64_t first_ms, last_ms; // Received.
};
// What of the history the filter takes, whatever its rows_max; rows 0: nothing.
enum err store_view_span(struct store_view *view, const struct view_history_filter *filter,
                         struct view_span *out_span, struct error *e);

struct view_replay {
    uint64_t id, chunks, deliveries;
    const char *rule, *what, *last_key;
    int64_t started_ms, ended_ms; // 0: not complete.
};
typedef bool view_replay_fn(void *context, const struct view_replay *replay);
enum err store_view_replays(struct store_view *view, uint64_t first, uint64_t last,
                            view_replay_fn *each, void *context, struct error *e);

// What the hub has seen of a boot of a device, "<group>/<device>". bitmap: least significant bit
// first, of the sequences behind upto; for the call. Called once, or not at all.
struct view_boot {
    uint64_t upto;
    struct bytes bitmap;
};
typedef bool view_boot_fn(void *context, const struct view_boot *boot);
enum err store_view_boot(struct store_view *view, const char *device, uint32_t boot,
                         view_boot_fn *each, void *context, struct error *e);

#endif
