// link.h - one connection to a broker to receive on, libmosquitto under it, from the attempt to
// connect until it is lost. What it queues to write, acknowledgements above all, leaves in
// link_flush and nowhere else.
//
// Threads:   one at a time. Looking up a host name may take long: that runs in a thread of its own
// which nobody waits for.
//
// Ownership: the creator closes it. Peer texts, events and batch are borrowed until then.
//
// Failure:   a lost link stays lost: link_error says why, and a new one is made. Its code is
// ERR_VERSION when the broker refuses the version of MQTT, ERR_REJECTED when it refuses us,
// ERR_UNAVAILABLE else.
#ifndef PIPIT_INTAKE_LINK_H
#define PIPIT_INTAKE_LINK_H

#include <poll.h>

#include "base/broker_url.h"
#include "intake/message_batch.h"

#define LINK_QOS1_MAX         200 // Publishes of ours that wait for the broker's answer.
#define LINK_QUEUED_BYTES_MAX (4 * 1024 * 1024) // Of ours, not written yet.
#define LINK_PROPERTIES_MAX   64                // User properties of a message that are kept.

enum link_state {
    LINK_CONNECTING,
    LINK_UP,
    LINK_LOST,
};

struct link_peer {
    struct broker_url url;
    const char *client_id;
    const char *ca, *cert, *key, *username, *password; // NULL: not set.
    bool is_v5;
    bool is_clean;     // Begin with a new session.
    bool is_ipv4_only; // For a name with addresses of both kinds of which one is dead.
    int keepalive_s;
    uint16_t receive_maximum;
    uint32_t session_expiry_s; // At most 0x7FFFFFFF.
    uint32_t packet_max;       // Bytes.
    int64_t connect_timeout_ms;
    const char *will_topic, *will; // QoS 1, retained; NULL: none.
};

struct link_events {
    void *context;
    // Shall the message go into the batch? If not it is acknowledged with the rest.
    bool (*wants)(void *context, const struct message *message);
    // code: granted QoS, or 128 and more when the filter is refused.
    void (*subscribed)(void *context, uint32_t index, int code);
    void (*refused)(void *context, int code); // A QoS 1 publish of ours, with its MQTT 5 reason.
};

// What the broker said of itself [MQTT-3.2.2.3].
struct link_limits {
    bool is_v5;
    bool is_session_present;
    uint16_t receive_maximum; // Publishes of ours it takes unanswered.
    uint8_t qos_max;
    bool has_retain, has_wildcards, has_shared;
    bool has_expiry; // It overrides our session expiry with:
    uint32_t expiry_s;
    uint32_t packet_max; // Bytes it takes; 0: no limit.
};

struct link;

// Starts to connect. ERR_CONFIG: a file or text that can never work.
enum err link_open(struct link **out_link, const struct link_peer *peer,
                   const struct link_events *events, struct message_batch *batch, int64_t now_ms,
                   struct error *e);

// NULL is fine. is_polite: say goodbye first, writing what is queued; the session stays.
void link_close(struct link *link, bool is_polite);

enum link_state link_state(const struct link *link);
const struct error *link_error(const struct link *link);
const struct link_limits *link_limits(const struct link *link); // Once it has been up.
int64_t link_deadline_ms(const struct link *link);              // Of connecting.

int link_fd(const struct link *link); // -1: none now.
short link_wanted(const struct link *link, bool may_write);

// While connecting.
void link_drive(struct link *link, short revents, int64_t now_ms);

// Reads into the batch until the socket is dry or the batch holds that much.
void link_read(struct link *link, uint32_t count_max, uint64_t bytes_max);

// Writes everything that is queued, as far as the socket takes it.
void link_flush(struct link *link);

// Queues a ping when it is time, and notices one that was not answered. About every second.
void link_tend(struct link *link);

// Queues a SUBSCRIBE; retained messages are only sent for a new subscription where the broker can.
bool link_subscribe(struct link *link, uint32_t index, const char *filter, uint8_t qos);
// Whether the session has it or not; the answer is not waited for.
void link_unsubscribe(struct link *link, const char *filter);

struct link_publish {
    const char *topic;
    struct bytes payload;
    uint8_t qos;
    bool is_retained;
    const char *content_type; // NULL: none.
};

// Queues a publish; false when the link is not up, a bound is reached or it can never be sent.
bool link_publish(struct link *link, const struct link_publish *publish);

// Publishes of QoS 1 that the broker has not answered yet.
uint32_t link_unanswered(const struct link *link);

#endif
