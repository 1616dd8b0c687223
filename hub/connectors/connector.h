// connector.h - what a target is: one file, one state struct, one constant of this type.
// The delivery stage owns threads, batches, backoff and dead letters.
// Threads:   all calls of one state come from one worker thread.
// Ownership: deliveries are borrowed for the call.
#ifndef PIPIT_CONNECTORS_CONNECTOR_H
#define PIPIT_CONNECTORS_CONNECTOR_H

#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "core/delivery.h"

#define CONNECTOR_REASON_MAX 200

// Why a delivery was not DONE; text empty for DONE.
struct answer {
    enum verdict verdict;
    char reason[CONNECTOR_REASON_MAX];
};

struct connector_type {
    const char *name;                        // "mqtt", as written in the configuration.
    const struct option_spec *options;       // Of the target.
    const struct option_spec *route_options; // Of a route to it (topic, qos, retain, payload, ...).
    uint32_t batch_count_max;                // At most this many deliveries in one send.
    size_t state_bytes;                      // Allocated zeroed by the delivery stage.
    // name: the target's, for client ids and logs. hub_id likewise.
    enum err (*open)(void *state, const char *hub_id, const char *name,
                     const struct options *options, struct error *e);
    // Writes one answer per delivery. An error means the connection is gone: close and reopen;
    // deliveries whose fate is unknown have VERDICT_RETRY then, those never written
    // VERDICT_NOT_SENT. Returns within the options' timeout.
    enum err (*send)(void *state, const struct delivery *const *batch, uint32_t count,
                     struct answer *out_answers, struct error *e);
    // Called about every second while idle (keepalive); may be NULL. An error means reopen.
    enum err (*tend)(void *state, struct error *e);
    void (*close)(void *state); // Safe after a failed open.
    // Checks what open would need and that can be known without the peer (files readable, URL
    // form).
    enum err (*check)(const struct options *options, struct error *e);
};

// NULL-terminated.
extern const struct connector_type *const connector_types[];
const struct connector_type *connector_find(const char *name);

#endif
