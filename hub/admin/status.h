// status.h - the hub's state at one moment: the source of the control socket's status and of the
// retained statistics.
//
// Threads:   hub thread.
//
// Ownership: a view borrows everything; the caller owns the JSON.
//
// Failure:   NULL when out of memory.
//
// {"hub": "plant-7", "version": "0.1.0", "state": "ok", "uptime_s": 17, "full": "why no messages
//  are taken" (left out while they are), "books": {"received": 1, ...},
//  "rates": {"received_per_s": 0.5, "delivered_per_s": 0.5},
//  "store": {"path": "hub.db", "used_bytes": 1, "limit_bytes": 2},
//  "sources": [{"name": "plant", "up": true, "away": false, "since_ms": 0, "messages": 1,
//               "reconnects": 0, "broker_dropped": 0, "error": "", "advice": ""}],
//  "targets": [{"name": "bus", "up": true, "in_flight": 0, "down_since_ms": 0, "error": ""}]}
// state is "ok", "full" (away from the brokers until there is room), "sealed" (the store failed and
// is opened again and again; "full" says why) or "stopping". Times are the wall clock's.
#ifndef PIPIT_ADMIN_STATUS_H
#define PIPIT_ADMIN_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

struct status_source {
    const char *name, *error, *advice;
    bool is_up, is_away;
    int64_t since_ms;
    uint64_t messages, reconnects, broker_dropped;
};

struct status_target {
    const char *name, *error;
    bool is_up;
    uint32_t in_flight;
    int64_t down_since_ms;
};

struct status_view {
    const char *hub_id, *version, *state, *store_path;
    const char *full;         // NULL: messages are taken.
    int64_t uptime_s, now_ms; // now_ms: wall clock.
    const struct core *core;  // NULL while the store is sealed.
    struct books books;       // The last known ones then.
    double received_per_s, delivered_per_s;
    uint64_t used_bytes, limit_bytes;
    const struct status_source *sources;
    uint32_t source_count;
    const struct status_target *targets;
    uint32_t target_count;
};

// Each member of the books, by name.
typedef void status_book_fn(void *context, const char *name, uint64_t value);
void status_books(const struct books *books, status_book_fn *each, void *context);

json_t *status_json(const struct status_view *view);

#endif
