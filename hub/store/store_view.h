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
    const char *target, *rule; // Of dead letters.
};

struct view_dead {
    uint64_t id;
    const char *target, *rule, *idempotency_key, *topic, *content_type, *reason;
    struct bytes key, payload;
    int qos;
    bool is_retained;
    uint32_t attempts;
    int64_t created_ms, died_ms;
};
typedef bool view_dead_fn(void *context, const struct view_dead *dead);
enum err store_view_dead(struct store_view *view, const struct view_filter *filter,
                         view_dead_fn *each, void *context, struct error *e);

struct view_quarantined {
    uint64_t id;
    int64_t at_ms;
    struct bytes topic;   // As it came.
    struct bytes payload; // Cut short by the store.
    uint64_t payload_bytes;
    const char *reason;
};
typedef bool view_quarantined_fn(void *context, const struct view_quarantined *entry);
enum err store_view_quarantine(struct store_view *view, const struct view_filter *filter,
                               view_quarantined_fn *each, void *context, struct error *e);

#endif
