#include <stdio.h>
#include <stdlib.h>

#include "paho_session.h"

void pipit_paho_message_free(char *topic, void *content)
{
    MQTTAsync_message *message = content;
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
}

void pipit_paho_inbound_free(struct pipit_paho_inbound *inbound)
{
    if (inbound->message != NULL) {
        pipit_paho_message_free(inbound->topic, inbound->message);
        inbound->message = NULL;
        inbound->topic = NULL;
    }
}

// The caller has seen to it that no callback can add to the queue any more.
void pipit_paho_inbound_clear(struct pipit_paho *paho)
{
    pipit_paho_inbound_free(&paho->delivered);
    for (; paho->inbound_count > 0; paho->inbound_count--) {
        pipit_paho_inbound_free(&paho->inbound[paho->inbound_first]);
        paho->inbound_first = (paho->inbound_first + 1) % paho->inbound_size;
    }
    free(paho->inbound);
    paho->inbound = NULL;
    paho->inbound_size = 0;
}

// NULL when as much is under way as may be, or the connection is gone.
static struct pipit_flight *flight_take(struct pipit_paho *paho, uint32_t token)
{
    struct pipit_paho_session *session = paho->session;
    struct pipit_flight *flight = NULL;
    if (session == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&pipit_paho_lock);
    for (uint32_t i = 0; i < paho->flights_max && flight == NULL && !paho->is_down; i++) {
        if (session->flights[i].state == FLIGHT_FREE) {
            flight = &session->flights[i];
            flight->session = session;
            flight->token = token;
            flight->state = FLIGHT_WAITING;
        }
    }
    pthread_mutex_unlock(&pipit_paho_lock);
    return flight;
}

static void flight_free(struct pipit_flight *flight)
{
    pthread_mutex_lock(&pipit_paho_lock);
    flight->state = FLIGHT_FREE;
    pthread_mutex_unlock(&pipit_paho_lock);
}

static enum pipit_err paho_publish(struct pipit_link *link, const struct pipit_message *message)
{
    struct pipit_paho *paho = pipit_paho_of(link);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    MQTTAsync_message packet = MQTTAsync_message_initializer;
    struct pipit_flight *flight = flight_take(paho, message->token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    pipit_flight_on_publish(flight, pipit_paho_is_v5(paho), &response);
    packet.payload = (void *)(uintptr_t)message->payload.ptr; // paho copies, and does not write.
    packet.payloadlen = (int)message->payload.len;
    packet.qos = message->qos;
    packet.retained = message->is_retained ? 1 : 0;
    int rc = MQTTAsync_sendMessage(paho->session->client, message->topic, &packet, &response);
    if (rc != MQTTASYNC_SUCCESS) {
        flight_free(flight);
        return PIPIT_ERR_BUSY; // Connection going down, or out of packet ids.
    }
    return PIPIT_OK;
}

static enum pipit_err paho_subscribe(struct pipit_link *link, const char *filter, uint8_t qos,
                                     uint32_t token)
{
    struct pipit_paho *paho = pipit_paho_of(link);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    struct pipit_flight *flight = flight_take(paho, token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    pipit_flight_on_subscribe(flight, pipit_paho_is_v5(paho), &response);
    int rc = MQTTAsync_subscribe(paho->session->client, filter, qos, &response);
    if (rc != MQTTASYNC_SUCCESS) {
        flight_free(flight);
        return PIPIT_ERR_BUSY;
    }
    return PIPIT_OK;
}

static bool poll_settled(struct pipit_paho *paho, struct pipit_link_event *event)
{
    struct pipit_paho_session *session = paho->session;
    for (uint32_t i = 0;
         session != NULL && session->settled_count > 0 && i < PIPIT_PAHO_FLIGHTS_MAX; i++) {
        struct pipit_flight *flight = &session->flights[i];
        if (flight->state == FLIGHT_SETTLED) {
            event->kind = PIPIT_LINK_ACKED;
            event->token = flight->token;
            event->rc = flight->rc;
            flight->state = FLIGHT_FREE;
            session->settled_count--;
            return true;
        }
    }
    return false;
}

static bool poll_inbound(struct pipit_paho *paho, struct pipit_link_event *event)
{
    if (paho->inbound_count == 0) {
        return false;
    }
    paho->delivered = paho->inbound[paho->inbound_first];
    paho->inbound_first = (paho->inbound_first + 1) % paho->inbound_size;
    paho->inbound_count--;
    const MQTTAsync_message *message = paho->delivered.message;
    event->kind = PIPIT_LINK_MESSAGE;
    event->topic.ptr = (const uint8_t *)paho->delivered.topic;
    event->topic.len = paho->delivered.topic_len;
    event->payload.ptr = message->payload;
    event->payload.len = (size_t)message->payloadlen;
    return true;
}

// One event in the order up, messages, acknowledgements, down.
static void poll_locked(struct pipit_paho *paho, struct pipit_link_event *event)
{
    if (paho->is_up_due) {
        paho->is_up_due = false;
        event->kind = PIPIT_LINK_UP;
    } else if (poll_inbound(paho, event) || (!paho->is_down && poll_settled(paho, event))) {
        return;
    } else if (paho->is_down_due) {
        paho->is_down_due = false;
        event->kind = PIPIT_LINK_DOWN;
        event->rc = paho->down_rc;
    }
}

static void paho_poll(struct pipit_link *link, uint32_t now_ms, struct pipit_link_event *out_event)
{
    struct pipit_paho *paho = pipit_paho_of(link);
    (void)now_ms;
    memset(out_event, 0, sizeof(*out_event));
    pipit_paho_inbound_free(&paho->delivered);
    pthread_mutex_lock(&pipit_paho_lock);
    poll_locked(paho, out_event);
    pthread_mutex_unlock(&pipit_paho_lock);
}

static const struct pipit_link_type paho_link_type = {
    .connect = pipit_paho_connect,
    .publish = paho_publish,
    .subscribe = paho_subscribe,
    .poll = paho_poll,
    .disconnect = pipit_paho_disconnect,
};

enum pipit_err pipit_paho_open(struct pipit_paho *paho, const struct pipit_paho_options *options)
{
    memset(paho, 0, sizeof(*paho));
    paho->base.type = &paho_link_type;
    paho->options = *options;
    paho->own_bell.fds[0] = -1;
    paho->own_bell.fds[1] = -1;
    paho->bell = options->bell != NULL ? options->bell : &paho->own_bell;
    enum pipit_err rc = pipit_paho_options_check(paho);
    if (rc == PIPIT_OK && options->bell == NULL) {
        rc = pipit_bell_open(&paho->own_bell);
        if (rc != PIPIT_OK) {
            pipit_paho_error_set(paho, "no file descriptor is left for the link's bell");
        }
    }
    return rc;
}

void pipit_paho_close(struct pipit_paho *paho)
{
    if (paho == NULL || paho->base.type == NULL) {
        return;
    }
    pipit_session_end(paho);
    pipit_bell_close(&paho->own_bell);
    memset(paho, 0, sizeof(*paho));
}

void pipit_paho_wait(struct pipit_paho *paho, uint32_t timeout_ms)
{
    pipit_bell_wait(paho->bell, timeout_ms);
}

void pipit_paho_error(struct pipit_paho *paho, char *text, size_t text_bytes)
{
    if (text_bytes == 0) {
        return;
    }
    pthread_mutex_lock(&pipit_paho_lock);
    (void)snprintf(text, text_bytes, "%s", paho->error);
    pthread_mutex_unlock(&pipit_paho_lock);
}
