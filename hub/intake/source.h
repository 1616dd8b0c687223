// source.h - one MQTT connection that messages come from; nothing is acknowledged before
// source_acknowledge.
//
// Threads:   the hub thread only; nothing in here blocks (connecting included).
//
// Ownership: messages read are owned by the source until source_acknowledge or source_leave.
//
// Failure:   a lost connection is re-made by the source itself with decorrelated jitter.
//
// now_ms is clock_monotonic_ms throughout.
#ifndef PIPIT_INTAKE_SOURCE_H
#define PIPIT_INTAKE_SOURCE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/option.h"
#include "core/core.h"

extern const struct option_spec
    source_options[]; // url, ca, cert, key, username, password, client_id,
                      // version (5|3.1.1), receive_maximum, session_expiry,
                      // keepalive, priority, shared_group, max_message_size,
                      // probe, ack_before_commit (test-only fault), ...
struct source;

// topics: NULL-terminated list of filters. Borrows options and topics.
enum err source_create(struct source **out_source, const char *hub_id, const char *name,
                       const struct options *options, const char *const *topics, struct error *e);
// Would source_create take these options?
enum err source_check(const char *hub_id, const char *name, const struct options *options,
                      struct error *e);
// The filter that a topic of the configuration is subscribed with, shared or not: a copy to be
// freed, NULL when out of memory.
char *source_filter(const struct options *options, const char *topic);
// Filters (NULL-terminated, one block, which the source frees) that the broker's session may still
// have from earlier: they are unsubscribed after each connect.
void source_forget(struct source *source, char **take_filters);
void source_destroy(
    struct source *source); // NULL is fine. Unacknowledged messages stay with the broker.

// For the hub thread's one poll(): fd (-1: none now) with its events, and how long it may sleep.
void source_poll(struct source *source, struct pollfd *out_pollfd, int64_t now_ms,
                 int *out_timeout_ms);

// Reads what is there, up to the batch's bounds (events and bytes still free), without
// acknowledging. Appends to inputs and returns how many; also connects, keeps alive and watches
// $SYS.
uint32_t source_read(struct source *source, short revents, int64_t now_ms, struct input *inputs,
                     uint32_t count_max, uint64_t bytes_max);

// The batch that source_read gave is committed: send the acknowledgements.
void source_acknowledge(struct source *source);

// At a bound or on a failed commit: drop the connection with the session kept, acknowledging
// nothing; come back after source_return. The reason is logged.
void source_leave(struct source *source, const char *reason);
void source_return(struct source *source);

// Off: the probe for the broker's limits is not made, whatever the source's option says. Call it
// before the first source_read.
void source_check_broker(struct source *source, bool is_on);

// Publishes (receipts, statistics, mirror) on this connection; dropped when it is down (false).
bool source_publish(struct source *source, const char *topic, struct bytes payload, uint8_t qos,
                    bool is_retained, const char *content_type);

int source_priority(const struct source *source); // Higher is read first.

struct source_state {
    bool is_up;
    bool is_away;     // Left because of a bound.
    int64_t since_ms; // Wall clock of the last change.
    uint64_t messages, reconnects;
    uint64_t broker_dropped; // $SYS/broker/publish/messages/dropped since we connected.
    char last_error[300];
    char broker_advice[400]; // What to change in the broker's configuration; empty: fine.
};
void source_state(const struct source *source, struct source_state *out_state);

#endif
