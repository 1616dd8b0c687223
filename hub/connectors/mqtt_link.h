// mqtt_link.h - one publishing connection to a broker, libmosquitto under it: made, driven by its
// owner, given up.
//
// Threads:   one at a time; nothing runs in the background.
//
// Ownership: the owner embeds struct mqtt_link and calls mqtt_link_close also after a failed open.
// What struct mqtt_peer points to is borrowed until then.
//
// Failure:   ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_REJECTED (the broker refuses us), ERR_CONFIG (files,
// TLS): the connection is gone, the text says why.
#ifndef PIPIT_CONNECTORS_MQTT_LINK_H
#define PIPIT_CONNECTORS_MQTT_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/broker_url.h"
#include "base/bytes.h"
#include "base/error.h"

struct mosquitto;
struct mqtt_link;

enum mqtt_version { MQTT_VERSION_AUTO, MQTT_VERSION_5, MQTT_VERSION_3 }; // As in "auto|5|3.1.1".

struct mqtt_peer {
    struct broker_url url;
    const char *client_id;
    const char *ca, *cert, *key, *username, *password; // NULL: not set.
    enum mqtt_version version;
    int keepalive_s;
    uint32_t in_flight_max;
    int64_t timeout_ms;
    int stop_fd; // Readable: give up. -1: never.
    // A publish is over: written (QoS 0) or answered. reason_code as in MQTT 5, 0 on MQTT 3.1.1.
    void (*answered)(void *context, int mid, int reason_code, const char *reason_text);
    void *context;
};

struct mqtt_link {
    struct mqtt_peer peer;
    struct mosquitto *mosq;
    bool is_connecting; // The broker has not answered yet.
    bool is_writable;   // The TCP connection stands.
    bool is_v5;
    bool is_lost;
    bool is_unconfirmed;     // Something was read, and nothing has been written since.
    int refused_code;        // Of the CONNACK, 0: none.
    int lost_code;           // MQTT 5 reason of a DISCONNECT, or libmosquitto's error.
    int64_t tended_at_ms;    // Monotonic.
    uint32_t packet_max;     // Bytes the broker takes in one packet; UINT32_MAX: no limit.
    uint32_t window;         // Publishes the broker takes unanswered, at most in_flight_max.
    uint8_t qos_max;         // What the broker takes.
    bool is_retain_possible; // The broker keeps retained messages.
    char tls_text[200];      // What OpenSSL said last.
};

// Connects with a clean session and waits for the broker's answer, at most timeout_ms.
enum err mqtt_link_open(struct mqtt_link *link, const struct mqtt_peer *peer, struct error *e);
void mqtt_link_close(struct mqtt_link *link);

// Sleeps until something can be read or written, or for timeout_ms, and reads and writes it. Calls
// answered. Also keeps alive.
enum err mqtt_link_wait(struct mqtt_link *link, int timeout_ms, struct error *e);

struct mqtt_publish {
    const char *topic;
    struct bytes payload;
    uint8_t qos;
    bool is_retained;
    const char *content_type;    // "" or NULL: none. Sent on MQTT 5 only, as are the next two.
    const char *idempotency_key; // As user property idempotency-key.
    struct bytes properties;     // More of them, as in struct delivery.
};

// Its PROPERTY_EXPIRES is over: nobody needs it any more.
bool mqtt_publish_is_expired(const struct mqtt_publish *publish);

// Writes or queues one publish; *out_mid is set before answered is called. ERR_INVALID: this one
// can never be sent, the connection is fine.
enum err mqtt_link_publish(struct mqtt_link *link, const struct mqtt_publish *publish, int *out_mid,
                           struct error *e);

// Bytes of the whole packet [MQTT-3.1.2-24], for comparing with packet_max.
uint64_t mqtt_publish_bytes(const struct mqtt_link *link, const struct mqtt_publish *publish);

// Holds small writes back while true, sends them at once when false: a burst leaves in few segments
// without the wait of Nagle's algorithm.
void mqtt_link_cork(struct mqtt_link *link, bool is_corked);

int mqtt_link_fd(const struct mqtt_link *link); // -1 when there is none.

#endif
