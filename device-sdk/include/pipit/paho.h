// paho.h - a link for embedded Linux over paho.mqtt.c (MQTTAsync): MQTT 5 or 3.1.1, TLS.
// Threads:   as in pipit.h. paho's own threads only fill the bounded queues in here, under a lock.
// Ownership: strings in the options must outlive the link.
// Failure:   enum pipit_err; pipit_paho_error gives the text. A connection attempt ends in 30 s.
#ifndef PIPIT_PAHO_H
#define PIPIT_PAHO_H

#include "pipit.h"
#include "posix.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PIPIT_PAHO_FLIGHTS_MAX  64    // Publishes and subscribes that await an answer.
#define PIPIT_PAHO_MESSAGES_MAX 65536 // Received messages that await pipit_poll.
#define PIPIT_PAHO_ERROR_MAX    200

struct pipit_paho_options {
    const char *url; // mqtt://host[:1883], mqtts://host[:8883], ws://..., wss://...
    enum pipit_mqtt version;
    const char *ca;            // PEM file; NULL: the system's.
    const char *cert;          // PEM file of the client's certificate chain; NULL: none.
    const char *key;           // PEM file of its key.
    const char *key_password;  // NULL: none.
    bool is_insecure;          // Takes any server certificate. For experiments only.
    uint32_t packet_bytes_max; // Largest packet the broker may send (MQTT 5): 256 KB.
    struct pipit_bell *bell;   // Rung at news; shared between links. NULL: the link has its own.
};

struct pipit_paho_session; // One MQTTAsync client, for one connection.

struct pipit_paho_inbound {
    char *topic;
    void *message;
    size_t topic_len;
};

struct pipit_paho {
    struct pipit_link base;            // Hand &paho.base to pipit_config.
    struct pipit_paho_options options; // private from here
    char url[256];
    struct pipit_paho_session *session;
    struct pipit_bell own_bell;
    struct pipit_bell *bell;
    struct pipit_paho_inbound delivered; // Handed out by the last poll.
    bool is_disconnecting;
    bool is_up_due; // From here on guarded by the port's lock: paho's threads write it too.
    bool is_down_due;
    bool is_down;
    bool is_tls_failed;
    enum pipit_err down_rc;
    uint32_t flights_max;               // Of the broker, if that is less than ours.
    struct pipit_paho_inbound *inbound; // A ring that grows.
    uint32_t inbound_size;
    uint32_t inbound_first;
    uint32_t inbound_count;
    char error[PIPIT_PAHO_ERROR_MAX];
};

// Checks the options: PIPIT_ERR_ARGUMENT for a URL or a combination that cannot work, PIPIT_ERR_TLS
// for a file that cannot be read; pipit_paho_error explains. Needs no close after an error.
enum pipit_err pipit_paho_open(struct pipit_paho *paho, const struct pipit_paho_options *options);
// Drops the connection without DISCONNECT if there still is one (so the will is sent). The last one
// of a process waits until paho's threads have ended, up to some 100 ms.
void pipit_paho_close(struct pipit_paho *paho);
// Sleeps until there is news for pipit_poll, or the time is over.
void pipit_paho_wait(struct pipit_paho *paho, uint32_t timeout_ms);
// Copies what went wrong last into `text`, always terminated; "" when nothing did.
void pipit_paho_error(struct pipit_paho *paho, char *text, size_t text_bytes);

#ifdef __cplusplus
}
#endif

#endif
