// client.h - a plain MQTT client for commands that watch and ask: clean session, one thread.
// Threads:   one.
// Ownership: messages are valid during the callback only.
// Failure:   ERR_UNAVAILABLE with broker and reason.
#ifndef PIPIT_CLI_CLIENT_H
#define PIPIT_CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "cli/peer.h"

struct client_message {
    const char *topic;
    struct bytes payload;
    const char *content_type; // NULL: none given.
    int qos;
    bool is_retained;
};

struct client;

typedef void client_message_fn(void *context, const struct client_message *message);

// Connects and waits for the broker's answer. Subscriptions are made again after a reconnect.
enum err client_open(struct client **out_client, const struct peer *peer,
                     client_message_fn *on_message, void *context, struct error *e);
void client_close(struct client *client); // NULL is fine.

// Waits for the broker's answer; a filter that it refuses is ERR_REJECTED.
enum err client_subscribe(struct client *client, const char *filter, int qos, struct error *e);
// QoS 1; returns when the broker has acknowledged.
enum err client_publish(struct client *client, const char *topic, struct bytes payload,
                        struct error *e);
// Hands out messages for at most timeout_ms. A lost connection is made again, and told on standard
// error.
enum err client_run(struct client *client, int64_t timeout_ms, struct error *e);

#endif
