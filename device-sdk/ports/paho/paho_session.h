// paho_session.h - one MQTTAsync client for one connection, as the parts of the port share it.
//
// Threads:   the caller's and paho's; pipit_paho_lock guards session->paho and, in a link, what
// both sides touch. It is never held while paho is called, since paho calls back with its own lock
// held.
//
// Ownership: a session outlives its link where paho may still call back.
//
// Failure:   texts go to the link's error.
#ifndef PIPIT_PAHO_SESSION_H
#define PIPIT_PAHO_SESSION_H

#include <MQTTAsync.h>
#include <pthread.h>

#include "paho_port.h"

enum flight_state { FLIGHT_FREE = 0, FLIGHT_WAITING, FLIGHT_SETTLED };

// A publish or subscribe that awaits its answer.
struct pipit_flight {
    struct pipit_paho_session *session;
    uint32_t token;
    enum flight_state state;
    enum pipit_err rc;
};

// All that paho knows of us: its callbacks may come late, when the link has gone on to another
// connection or does not exist any more. Then `paho` is NULL.
struct pipit_paho_session {
    struct pipit_paho *paho;
    MQTTAsync client;
    bool is_poisoned;
    uint32_t settled_count;
    struct pipit_flight flights[PIPIT_PAHO_FLIGHTS_MAX];
};

extern pthread_mutex_t pipit_paho_lock;

static inline struct pipit_paho *pipit_paho_of(struct pipit_link *link)
{
    return (struct pipit_paho *)(void *)link;
}

static inline bool pipit_paho_is_v5(const struct pipit_paho *paho)
{
    return paho->options.version == PIPIT_MQTT_5;
}

// The link is down, once; with the lock held.
void pipit_paho_down_note(struct pipit_paho *paho, enum pipit_err rc);

// Hand paho our callbacks.
void pipit_session_listen(struct pipit_paho_session *session, bool is_v5);
void pipit_session_on_connect(struct pipit_paho_session *session, bool is_v5,
                              MQTTAsync_connectOptions *options);
void pipit_session_on_tls(struct pipit_paho_session *session, MQTTAsync_SSLOptions *options);
void pipit_session_on_disconnect(struct pipit_paho_session *session, bool is_v5,
                                 MQTTAsync_disconnectOptions *options);
void pipit_flight_on_publish(struct pipit_flight *flight, bool is_v5,
                             MQTTAsync_responseOptions *options);
void pipit_flight_on_subscribe(struct pipit_flight *flight, bool is_v5,
                               MQTTAsync_responseOptions *options);

enum pipit_err pipit_paho_connect(struct pipit_link *link, const struct pipit_connect *options);
void pipit_paho_disconnect(struct pipit_link *link);
void pipit_session_end(struct pipit_paho *paho); // The link's, at once.

void pipit_paho_message_free(char *topic, void *content);
void pipit_paho_inbound_free(struct pipit_paho_inbound *inbound);
// The caller has seen to it that no callback can add to the queue any more.
void pipit_paho_inbound_clear(struct pipit_paho *paho);

#endif
