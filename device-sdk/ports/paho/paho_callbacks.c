// What paho's threads call, and how that reaches the thread that polls the link.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "paho_session.h"

#define REASON_FAILURE 0x80

pthread_mutex_t pipit_paho_lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((format(printf, 2, 0))) static void error_set_locked(struct pipit_paho *paho,
                                                                   const char *format, va_list args)
{
    (void)vsnprintf(paho->error, sizeof(paho->error), format, args);
}

void pipit_paho_error_set(struct pipit_paho *paho, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&pipit_paho_lock);
    error_set_locked(paho, format, args);
    pthread_mutex_unlock(&pipit_paho_lock);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static void error_note(struct pipit_paho *paho,
                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_set_locked(paho, format, args);
    va_end(args);
}

// The link of a session, with the lock held; NULL, without it, when the session is history.
static struct pipit_paho *session_enter(struct pipit_paho_session *session)
{
    pthread_mutex_lock(&pipit_paho_lock);
    if (session->paho == NULL) {
        pthread_mutex_unlock(&pipit_paho_lock);
    }
    return session->paho;
}

static void session_leave(struct pipit_paho *paho)
{
    pipit_bell_ring(paho->bell);
    pthread_mutex_unlock(&pipit_paho_lock);
}

void pipit_paho_down_note(struct pipit_paho *paho, enum pipit_err rc)
{
    if (!paho->is_down) {
        paho->is_down = true;
        paho->is_down_due = true;
        paho->down_rc = rc == PIPIT_ERR_UNREACHABLE && paho->is_tls_failed ? PIPIT_ERR_TLS : rc;
    }
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    struct pipit_paho *paho = session_enter(context);
    (void)data;
    if (paho != NULL) {
        paho->is_up_due = true;
        paho->error[0] = '\0';
        session_leave(paho);
    }
}

// paho itself is slow at the broker's receive maximum: it polls for room. We do not reach it.
static void on_connected5(void *context, MQTTAsync_successData5 *data)
{
    MQTTProperties *properties = data != NULL ? &data->properties : NULL;
    struct pipit_paho *paho = session_enter(context);
    if (paho == NULL) {
        return;
    }
    if (properties != NULL &&
        MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)) {
        int maximum = MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM);
        if (maximum > 0 && (uint32_t)maximum < paho->flights_max) {
            paho->flights_max = (uint32_t)maximum;
        }
    }
    paho->is_up_due = true;
    paho->error[0] = '\0';
    session_leave(paho);
}

static void connect_failed(struct pipit_paho_session *session, int code, const char *reason)
{
    struct pipit_paho *paho = session_enter(session);
    if (paho == NULL) {
        return;
    }
    if (!paho->is_tls_failed) {
        error_note(paho, "connect %s: %s", paho->url,
                   reason != NULL ? reason : "no answer, or not an MQTT broker");
    }
    pipit_paho_down_note(paho, code > 0 ? PIPIT_ERR_REFUSED : PIPIT_ERR_UNREACHABLE);
    session_leave(paho);
}

static const char *connack_text(int code)
{
    static const char *const texts[] = {
        "accepted",           "unacceptable protocol version",  "client id rejected",
        "server unavailable", "user name or password is wrong", "not authorised"};
    return code > 0 && code <= 5 ? texts[code] : NULL;
}

static void on_connect_failed(void *context, MQTTAsync_failureData *data)
{
    int code = data != NULL ? data->code : -1;
    const char *text = connack_text(code);
    connect_failed(context, code, text != NULL ? text : data != NULL ? data->message : NULL);
}

// paho gives the reason of a CONNACK in either of two places.
static void on_connect_failed5(void *context, MQTTAsync_failureData5 *data)
{
    int code = data == NULL ? -1 : data->code;
    if (data != NULL && (int)data->reasonCode >= REASON_FAILURE) {
        code = (int)data->reasonCode;
    }
    const char *text =
        code >= REASON_FAILURE ? MQTTReasonCode_toString((enum MQTTReasonCodes)code) : NULL;
    connect_failed(context, code, text != NULL ? text : data != NULL ? data->message : NULL);
}

static void on_lost(void *context, char *cause)
{
    struct pipit_paho *paho = session_enter(context);
    if (paho != NULL) {
        error_note(paho, "connection to %s lost%s%s", paho->url, cause != NULL ? ": " : "",
                   cause != NULL ? cause : "");
        pipit_paho_down_note(paho, PIPIT_ERR_UNREACHABLE);
        session_leave(paho);
    }
}

static void on_server_disconnect(void *context, MQTTProperties *properties,
                                 enum MQTTReasonCodes reason)
{
    const char *text = MQTTReasonCode_toString(reason);
    struct pipit_paho *paho = session_enter(context);
    (void)properties;
    if (paho != NULL) {
        error_note(paho, "%s disconnected us: %s", paho->url, text != NULL ? text : "no reason");
        pipit_paho_down_note(paho, PIPIT_ERR_REFUSED);
        session_leave(paho);
    }
}

static void disconnected(struct pipit_paho_session *session)
{
    struct pipit_paho *paho = session_enter(session);
    if (paho != NULL) {
        pipit_paho_down_note(paho, PIPIT_OK);
        session_leave(paho);
    }
}

static void on_disconnected(void *context, MQTTAsync_successData *data)
{
    (void)data;
    disconnected(context);
}

static void on_disconnected5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    disconnected(context);
}

static void on_disconnect_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    disconnected(context);
}

static void on_disconnect_failed5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    disconnected(context);
}

static void flight_settle(struct pipit_flight *flight, bool is_refused)
{
    struct pipit_paho *paho = session_enter(flight->session);
    if (paho == NULL) {
        return;
    }
    if (flight->state == FLIGHT_WAITING) {
        flight->state = FLIGHT_SETTLED;
        flight->rc = is_refused ? PIPIT_ERR_REFUSED : PIPIT_OK;
        flight->session->settled_count++;
    }
    session_leave(paho);
}

static void on_sent(void *context, MQTTAsync_successData *data)
{
    (void)data;
    flight_settle(context, false);
}

static void on_sent5(void *context, MQTTAsync_successData5 *data)
{
    flight_settle(context, data != NULL && (int)data->reasonCode >= REASON_FAILURE);
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    flight_settle(context, data != NULL && data->alt.qos >= REASON_FAILURE);
}

// A write failed: paho 1.3.12 frees such a message and yet keeps it in its list of those in flight.
// Destroying this client would free it again, by then perhaps as somebody else's memory.
static void poison(struct pipit_flight *flight)
{
    pthread_mutex_lock(&pipit_paho_lock);
    flight->session->is_poisoned = true;
    pthread_mutex_unlock(&pipit_paho_lock);
}

static void on_send_failed(void *context, MQTTAsync_failureData *data)
{
    if (data == NULL || data->code < REASON_FAILURE) {
        poison(context);
    }
    flight_settle(context, true);
}

static void on_send_failed5(void *context, MQTTAsync_failureData5 *data)
{
    if (data == NULL || (int)data->reasonCode < REASON_FAILURE) {
        poison(context);
    }
    flight_settle(context, true);
}

static bool inbound_grow(struct pipit_paho *paho)
{
    uint32_t size = paho->inbound_size != 0 ? paho->inbound_size * 2 : 16;
    struct pipit_paho_inbound *grown =
        size <= PIPIT_PAHO_MESSAGES_MAX ? malloc(size * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < paho->inbound_count; i++) {
        grown[i] = paho->inbound[(paho->inbound_first + i) % paho->inbound_size];
    }
    free(paho->inbound);
    paho->inbound = grown;
    paho->inbound_size = size;
    paho->inbound_first = 0;
    return true;
}

// 0 tells paho to keep the message. It offers it again only when another packet comes, and goes on
// reading: no back-pressure, a last resort.
static int on_message(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
    struct pipit_paho *paho = session_enter(context);
    int is_taken = 0;
    if (paho == NULL) {
        pipit_paho_message_free(topic, message);
        return 1;
    }
    if (paho->inbound_count < paho->inbound_size || inbound_grow(paho)) {
        uint32_t at = (paho->inbound_first + paho->inbound_count) % paho->inbound_size;
        paho->inbound[at].topic = topic;
        paho->inbound[at].topic_len = topic_len > 0 ? (size_t)topic_len : strlen(topic);
        paho->inbound[at].message = message;
        paho->inbound_count++;
        is_taken = 1;
    }
    session_leave(paho);
    return is_taken;
}

static int on_tls_error(const char *text, size_t len, void *context)
{
    size_t end = len;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\0')) {
        end--;
    }
    struct pipit_paho *paho = session_enter(context);
    if (paho != NULL) {
        paho->is_tls_failed = true;
        error_note(paho, "connect %s: TLS: %.*s", paho->url, (int)end, text);
        session_leave(paho);
    }
    return 1;
}

// ---- handed to paho ----------------------------------------------------------------------------

void pipit_session_listen(struct pipit_paho_session *session, bool is_v5)
{
    (void)MQTTAsync_setCallbacks(session->client, session, on_lost, on_message, NULL);
    if (is_v5) {
        (void)MQTTAsync_setDisconnected(session->client, session, on_server_disconnect);
    }
}

void pipit_session_on_connect(struct pipit_paho_session *session, bool is_v5,
                              MQTTAsync_connectOptions *options)
{
    options->context = session;
    if (is_v5) {
        options->onSuccess5 = on_connected5;
        options->onFailure5 = on_connect_failed5;
    } else {
        options->onSuccess = on_connected;
        options->onFailure = on_connect_failed;
    }
}

void pipit_session_on_tls(struct pipit_paho_session *session, MQTTAsync_SSLOptions *options)
{
    options->ssl_error_cb = on_tls_error;
    options->ssl_error_context = session;
}

void pipit_session_on_disconnect(struct pipit_paho_session *session, bool is_v5,
                                 MQTTAsync_disconnectOptions *options)
{
    options->context = session;
    if (is_v5) {
        options->onSuccess5 = on_disconnected5;
        options->onFailure5 = on_disconnect_failed5;
    } else {
        options->onSuccess = on_disconnected;
        options->onFailure = on_disconnect_failed;
    }
}

void pipit_flight_on_publish(struct pipit_flight *flight, bool is_v5,
                             MQTTAsync_responseOptions *options)
{
    options->context = flight;
    if (is_v5) {
        options->onSuccess5 = on_sent5;
        options->onFailure5 = on_send_failed5;
    } else {
        options->onSuccess = on_sent;
        options->onFailure = on_send_failed;
    }
}

void pipit_flight_on_subscribe(struct pipit_flight *flight, bool is_v5,
                               MQTTAsync_responseOptions *options)
{
    pipit_flight_on_publish(flight, is_v5, options);
    if (!is_v5) {
        options->onSuccess = on_subscribed;
    }
}
