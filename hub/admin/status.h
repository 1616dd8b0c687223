// status.h - the hub's state at one moment, as `pipit status`, the control socket and the retained
// statistics give it.
//
// Threads:   hub thread.
//
// Ownership: everything is borrowed for the call; the caller owns the JSON.
//
// Failure:   NULL when out of memory.
//
// {"ok": true, "hub": "plant-7", "version": "0.1.0", "uptime_s": 17, "ready": true, "state": "ok",
//  "books": {"received": 1, "routed": 1, "filtered": 0, "duplicate": 0, "rejected": 0,
//            "enqueued": 1, "delivered": 1, "waiting": 0, "dead": 0, "dropped": 0, "missing": 0,
//            "rule_failures": 0, "quarantined": 0, "dead_dropped": 0},
//  "rates": {"received_per_s": 0.5, "delivered_per_s": 0.5},
//  "store": {"path": "hub.db", "used_bytes": 1, "limit_bytes": 2, "disk_free_bytes": 3,
//            "sealed": false, "full": "", "error": ""},
//  "sources": {"plant": {"up": true, "away": false, "since_ms": 0, "messages": 1, "reconnects": 0,
//                        "broker_dropped": 0, "last_error": "", "broker_advice": ""}},
//  "targets": {"bus": {"up": true, "in_flight": 0, "down_since_ms": 0, "last_error": "",
//                      "waiting": 0, "delivered": 1, ...}},
//  "rules": {"overheat": {"matched": 1, "failed": 0, ...}}}
// state is "ok", "full" (away from the brokers until there is room), "sealed" (the store failed and
// is being opened again) or "stopping". Members of targets and rules beyond the fixed ones are the
// core's counters of that name ("target/bus/waiting").
#ifndef PIPIT_ADMIN_STATUS_H
#define PIPIT_ADMIN_STATUS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

struct status_source {
    const char *name;
    bool is_up, is_away;
    int64_t since_ms;
    uint64_t messages, reconnects, broker_dropped;
    const char *last_error, *broker_advice;
};

struct status_target {
    const char *name;
    bool is_up;
    uint32_t in_flight;
    int64_t down_since_ms;
    const char *last_error;
};

struct status_view {
    const char *hub_id, *version, *state, *store_path, *full_reason, *store_error;
    int64_t uptime_s;
    const struct core *core; // NULL while the store is sealed.
    struct books books;      // The last known ones while it is.
    double received_per_s, delivered_per_s;
    uint64_t used_bytes, limit_bytes, disk_free_bytes;
    const struct status_source *sources;
    uint32_t source_count;
    const struct status_target *targets;
    uint32_t target_count;
};

json_t *status_json(const struct status_view *view);

#endif
