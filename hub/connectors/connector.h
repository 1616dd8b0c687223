// connector.h - what a target is: one file, one state struct, one constant of this type.
// The delivery stage owns threads, batches, backoff and dead letters.
//
// Threads:   all calls of one state come from one worker thread; check may come from any.
//
// Ownership: deliveries are borrowed for the call; a peer's members stay until close.
//
// Failure:   an error of open, send or tend means that there is no connection any more: close,
// wait, open again.
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
    struct reply *reply;    // What the peer said, of reply_create; NULL: nothing. The caller's.
    int64_t retry_after_ms; // RETRY: the peer asks not to be tried again before; 0: it does not.
};

// A copy of it in one piece of memory, to be freed by free(); NULL: out of memory.
struct reply *reply_create(const struct reply *from);

// A reason that is too long is cut. NULL is "".
void answer_set(struct answer *answer, enum verdict verdict, const char *reason);

// For connectors that answer each delivery on its own: one that takes long then holds up nobody. A
// delivery has a place in the batch, which is free when it has been answered.
struct connector_desk {
    void *context;
    // Its answer stands in out_answers: it is settled now, and its place is free.
    void (*answered)(void *context, uint32_t place);
    // Another delivery, in a free place of the batch. False: there is none now; then fd gets
    // readable when it is worth asking again.
    bool (*more)(void *context, uint32_t *out_place);
    int fd;
};

// Who is connected for whom; what open needs to know.
struct connector_peer {
    const char *hub_id, *name; // The target's name, for client ids and logs.
    const struct options *options;
    int stop_fd; // Readable once the process wants the worker back: give up what waits. -1: never.
    const struct connector_desk *desk; // NULL: answers are taken when send returns.
};

struct connector_type {
    const char *name;                        // "mqtt", as written in the configuration.
    const struct option_spec *options;       // Of the target.
    const struct option_spec *route_options; // Of a route to it (topic, qos, retain, payload, ...).
    bool is_url;                             // A delivery's topic is an address: core/address.h.
    uint32_t batch_count_max;                // At most this many deliveries in one send.
    size_t state_bytes;                      // Allocated zeroed by the delivery stage.
    enum err (*open)(void *state, const struct connector_peer *peer, struct error *e);
    // Writes one answer per delivery: those of out_answers that the desk has not been told of are
    // taken when it returns, if there is a delivery in their place. An error means the connection
    // is gone: close and reopen; deliveries whose fate is unknown have VERDICT_RETRY then, those
    // never written VERDICT_NOT_SENT. Returns once nothing has been answered for the options'
    // timeout.
    enum err (*send)(void *state, const struct delivery *const *batch, uint32_t count,
                     struct answer *out_answers, struct error *e);
    // Called about every second while idle (keepalive), and when poll_fd is readable; may be NULL.
    enum err (*tend)(void *state, struct error *e);
    // What to poll for reading while idle, -1 for nothing; may be NULL.
    int (*poll_fd)(const void *state);
    void (*close)(void *state); // Safe after a failed open, and twice.
    // Checks what open would need and that can be known without the peer (files readable, URL
    // form).
    enum err (*check)(const struct options *options, struct error *e);
    // Why a delivery's property cannot have this name; NULL: it can. May be NULL itself.
    const char *(*property_problem)(const char *name);
};

// NULL-terminated.
extern const struct connector_type *const connector_types[];
const struct connector_type *connector_find(const char *name);

#endif
