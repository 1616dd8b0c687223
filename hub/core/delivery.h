// delivery.h - one thing that is owed to a target, and the verdict that comes back.
// Threads:   a delivery is immutable from outbox_take until it is settled, so a worker may read it.
// Ownership: the outbox owns it; it stays valid until core_step has taken its settlement.
// Failure:   none; plain data.
#ifndef PIPIT_CORE_DELIVERY_H
#define PIPIT_CORE_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct delivery {
    uint64_t id;                 // Outbox row.
    const char *idempotency_key; // Stable across every retry, restart and replay.
    const char *rule;
    uint32_t route;           // Of the rule; 1: its first.
    struct bytes key;         // Deliveries of one target with one key keep their order.
    struct bytes topic;       // Rendered.
    struct bytes payload;     // Rendered.
    const char *content_type; // "" when none.
    struct bytes properties;  // Name, value, name, value, ... each ended by a zero byte.
    uint8_t qos;
    bool is_retained;
    bool is_answered;   // What the peer says is wanted, not only whether it has it.
    int64_t timeout_ms; // Nobody waits longer for its answer; 0: as long as the target says.
    uint32_t attempts;  // Made before this one.
    int64_t created_ms;
};

// What a peer answered to a delivery. NULL and empty: nothing.
struct reply {
    int32_t status; // The peer's own code: of HTTP the status; 0: none.
    struct bytes body;
    const char *content_type; // "" when none.
    bool is_cut;              // The body was longer than the connector takes, and is not here.
};

enum verdict {
    VERDICT_DONE,     // The target has it.
    VERDICT_RETRY,    // Failed, may work later: counts as an attempt, backs off.
    VERDICT_REJECT,   // The target will never take it: dead letter now.
    VERDICT_NOT_SENT, // Was not tried (connection gone): stays at the head, no attempt counted.
};

#endif
