// link_parts.h - what the files of the link share: its fields, and the ways to lose it.
//
// Threads:   as link.h.
//
// Ownership: as link.h.
//
// Failure:   none of its own.
#ifndef PIPIT_INTAKE_LINK_PARTS_H
#define PIPIT_INTAKE_LINK_PARTS_H

#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <pthread.h>

#include "intake/link.h"

#define REFUSED_CODE 0x80 // From here on MQTT 5 reasons are refusals.

struct subscription {
    int mid;
    uint32_t index;
};

struct link {
    struct link_peer peer;
    struct link_events events;
    struct message_batch *batch;
    struct mosquitto *mosq;
    enum link_state state;
    struct error error;
    struct link_limits limits;
    int64_t deadline_ms;
    int64_t received_ms; // Wall clock, of what is being read.
    bool is_tcp_up;
    bool is_disconnected; // libmosquitto said so, with:
    int disconnect_code;
    int connack_code; // 0: none, or success.
    bool is_out_of_memory;
    uint64_t callbacks; // Counts progress that the return codes do not tell.
    uint32_t qos1_count;
    uint64_t queued_bytes;
    uint8_t is_qos1[65536 / 8]; // By packet id: ours that wait for the broker.
    struct subscription *subscriptions;
    uint32_t subscription_count, subscription_capacity;
    char tls_text[200]; // What OpenSSL said first.
    // The thread that looks up the host's name. Whoever finishes last frees the link.
    pthread_mutex_t lookup_lock;
    bool is_lookup, is_abandoned; // Under lookup_lock.
    int lookup_rc, lookup_errno;  // Valid once is_lookup is false again.
    int lookup_fd;                // Readable then.
};

// link_lost.c: the first reason stays.
void link_lose(struct link *link, enum err code, const char *why);

// What libmosquitto returned, as a sentence. saved_errno: that of the call.
void link_lose_by(struct link *link, int rc, int saved_errno);

// link_events.c: has libmosquitto call us.
void link_listen(struct link *link);

#endif
