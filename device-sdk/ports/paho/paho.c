#include "paho_port.h"

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_S    20
#define SESSION_EXPIRY_MAX   0x7FFFFFFFu // Debian's paho 1.3.12 writes values with the top bit wrong.
#define PACKET_BYTES_DEFAULT (256u * 1024u)
#define REASON_FAILURE       0x80

#if defined(__SANITIZE_ADDRESS__)
// paho 1.3.12 loses the messages that wait in its queue when a client is destroyed.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpaho-mqtt3as\n";
}
#endif

enum flight_state { FLIGHT_FREE = 0, FLIGHT_WAITING, FLIGHT_SETTLED };

// A publish or subscribe that awaits its answer.
struct flight {
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
    struct flight flights[PIPIT_PAHO_FLIGHTS_MAX];
};

// Guards session->paho and, in a link, what both sides touch. Never held while paho is called,
// since paho calls back with its own lock held.
static pthread_mutex_t port_lock = PTHREAD_MUTEX_INITIALIZER;

static struct pipit_paho *paho_of(struct pipit_link *link)
{
    return (struct pipit_paho *)(void *)link;
}

static bool is_v5(const struct pipit_paho *paho)
{
    return paho->options.version == PIPIT_MQTT_5;
}

__attribute__((format(printf, 2, 0))) static void error_set_locked(struct pipit_paho *paho,
                                                                   const char *format, va_list args)
{
    (void)vsnprintf(paho->error, sizeof(paho->error), format, args);
}

void pipit_paho_error_set(struct pipit_paho *paho, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&port_lock);
    error_set_locked(paho, format, args);
    pthread_mutex_unlock(&port_lock);
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

// ---- called by paho's threads ------------------------------------------------------------------

// The link of a session, with the lock held; NULL, without it, when the session is history.
static struct pipit_paho *session_enter(struct pipit_paho_session *session)
{
    pthread_mutex_lock(&port_lock);
    if (session->paho == NULL) {
        pthread_mutex_unlock(&port_lock);
    }
    return session->paho;
}

static void session_leave(struct pipit_paho *paho)
{
    pipit_bell_ring(paho->bell);
    pthread_mutex_unlock(&port_lock);
}

static void down_note(struct pipit_paho *paho, enum pipit_err rc)
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
    down_note(paho, code > 0 ? PIPIT_ERR_REFUSED : PIPIT_ERR_UNREACHABLE);
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
        down_note(paho, PIPIT_ERR_UNREACHABLE);
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
        down_note(paho, PIPIT_ERR_REFUSED);
        session_leave(paho);
    }
}

static void disconnected(struct pipit_paho_session *session)
{
    struct pipit_paho *paho = session_enter(session);
    if (paho != NULL) {
        down_note(paho, PIPIT_OK);
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

static void flight_settle(struct flight *flight, bool is_refused)
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
static void poison(struct flight *flight)
{
    pthread_mutex_lock(&port_lock);
    flight->session->is_poisoned = true;
    pthread_mutex_unlock(&port_lock);
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

static void message_free(char *topic, void *content)
{
    MQTTAsync_message *message = content;
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
}

// 0 tells paho to keep the message and to offer it again: that is our back-pressure.
static int on_message(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
    struct pipit_paho *paho = session_enter(context);
    int is_taken = 0;
    if (paho == NULL) {
        message_free(topic, message);
        return 1;
    }
    if (paho->inbound_count < PIPIT_PAHO_MESSAGES_MAX) {
        uint32_t at = (paho->inbound_first + paho->inbound_count) % PIPIT_PAHO_MESSAGES_MAX;
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

// ---- connecting --------------------------------------------------------------------------------

static void inbound_free(struct pipit_paho_inbound *inbound)
{
    if (inbound->message != NULL) {
        message_free(inbound->topic, inbound->message);
        inbound->message = NULL;
        inbound->topic = NULL;
    }
}

// The caller has seen to it that no callback can add to the queue any more.
static void inbound_clear(struct pipit_paho *paho)
{
    inbound_free(&paho->delivered);
    for (; paho->inbound_count > 0; paho->inbound_count--) {
        inbound_free(&paho->inbound[paho->inbound_first]);
        paho->inbound_first = (paho->inbound_first + 1) % PIPIT_PAHO_MESSAGES_MAX;
    }
}

// Cuts a session off from its link, and forgets all it knew: the spool is what remembers.
static struct pipit_paho_session *session_detach(struct pipit_paho *paho)
{
    struct pipit_paho_session *session = paho->session;
    pthread_mutex_lock(&port_lock);
    if (session != NULL) {
        session->paho = NULL;
    }
    paho->session = NULL;
    paho->flights_max = PIPIT_PAHO_FLIGHTS_MAX;
    paho->is_up_due = false;
    paho->is_down_due = false;
    paho->is_down = false;
    paho->is_tls_failed = false;
    paho->is_disconnecting = false;
    pthread_mutex_unlock(&port_lock);
    inbound_clear(paho);
    return session;
}

// A poisoned client is left alone for good, which costs some KB, rather than have it corrupt the
// heap.
static void session_destroy(struct pipit_paho_session *session)
{
    if (session != NULL && !session->is_poisoned) {
        MQTTAsync_destroy(&session->client);
        free(session);
    }
}

static struct pipit_paho_session *session_create(struct pipit_paho *paho, const char *client_id)
{
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
    struct pipit_paho_session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        pipit_paho_error_set(paho, "connect %s: out of memory", paho->url);
        return NULL;
    }
    options.MQTTVersion = is_v5(paho) ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    options.sendWhileDisconnected = 0;
    int rc = MQTTAsync_createWithOptions(&session->client, paho->url, client_id,
                                         MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    if (rc != MQTTASYNC_SUCCESS) {
        pipit_paho_error_set(paho, "connect %s: %s", paho->url, MQTTAsync_strerror(rc));
        free(session);
        return NULL;
    }
    (void)MQTTAsync_setCallbacks(session->client, session, on_lost, on_message, NULL);
    if (is_v5(paho)) {
        (void)MQTTAsync_setDisconnected(session->client, session, on_server_disconnect);
    }
    return session;
}

// The next session exists before the last one goes: paho stops its threads, and waits for them,
// when the last client of a process is destroyed.
static enum pipit_err session_begin(struct pipit_paho *paho, const char *client_id)
{
    struct pipit_paho_session *session = session_create(paho, client_id);
    if (session == NULL) {
        return PIPIT_ERR_ARGUMENT;
    }
    struct pipit_paho_session *last = session_detach(paho);
    pthread_mutex_lock(&port_lock);
    session->paho = paho;
    paho->session = session;
    pthread_mutex_unlock(&port_lock);
    session_destroy(last);
    return PIPIT_OK;
}

static void ssl_options(struct pipit_paho *paho, MQTTAsync_SSLOptions *ssl)
{
    ssl->trustStore = paho->options.ca;
    ssl->keyStore = paho->options.cert;
    ssl->privateKey = paho->options.key;
    ssl->privateKeyPassword = paho->options.key_password;
    ssl->enableServerCertAuth = paho->options.is_insecure ? 0 : 1;
    ssl->verify = paho->options.is_insecure ? 0 : 1;
    ssl->ssl_error_cb = on_tls_error;
    ssl->ssl_error_context = paho->session;
}

static void property_add(MQTTProperties *properties, enum MQTTPropertyCodes code, uint32_t value)
{
    MQTTProperty property = {.identifier = code, .value = {.integer4 = value}};
    (void)MQTTProperties_add(properties, &property);
}

static void will_options(const struct pipit_connect *options, MQTTAsync_willOptions *will)
{
    will->topicName = options->will_topic;
    will->payload.data = options->will.ptr;
    will->payload.len = (int)options->will.len;
    will->qos = 1;
    will->retained = 1;
}

static void connect_options(struct pipit_paho *paho, const struct pipit_connect *options,
                            MQTTAsync_connectOptions *connect)
{
    bool is_clean = options->is_clean_start || options->session_expiry_s == 0;
    connect->keepAliveInterval = options->keepalive_s;
    connect->connectTimeout = CONNECT_TIMEOUT_S;
    connect->maxInflight = PIPIT_PAHO_FLIGHTS_MAX;
    connect->username = options->username;
    connect->binarypwd.data = options->password.ptr;
    connect->binarypwd.len = (int)options->password.len;
    connect->context = paho->session;
    if (is_v5(paho)) {
        connect->cleanstart = is_clean ? 1 : 0;
        connect->onSuccess5 = on_connected5;
        connect->onFailure5 = on_connect_failed5;
    } else {
        connect->MQTTVersion = MQTTVERSION_3_1_1;
        connect->cleansession = is_clean ? 1 : 0;
        connect->onSuccess = on_connected;
        connect->onFailure = on_connect_failed;
    }
}

static enum pipit_err connect_with(struct pipit_paho *paho, const struct pipit_connect *options,
                                   MQTTAsync_connectOptions *connect)
{
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    uint32_t expiry = options->session_expiry_s;
    connect_options(paho, options, connect);
    if (options->will_topic != NULL) {
        will_options(options, &will);
        connect->will = &will;
    }
    if (pipit_paho_is_tls(paho)) {
        ssl_options(paho, &ssl);
        connect->ssl = &ssl;
    }
    if (is_v5(paho)) {
        uint32_t packet = paho->options.packet_bytes_max;
        property_add(&properties, MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                     expiry < SESSION_EXPIRY_MAX ? expiry : SESSION_EXPIRY_MAX);
        property_add(&properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
                     packet != 0 ? packet : PACKET_BYTES_DEFAULT);
        connect->connectProperties = &properties;
    }
    int rc = MQTTAsync_connect(paho->session->client, connect);
    MQTTProperties_free(&properties);
    if (rc != MQTTASYNC_SUCCESS) {
        pipit_paho_error_set(paho, "connect %s: %s", paho->url, MQTTAsync_strerror(rc));
        return PIPIT_ERR_ARGUMENT;
    }
    return PIPIT_OK;
}

static enum pipit_err paho_connect(struct pipit_link *link, const struct pipit_connect *options)
{
    struct pipit_paho *paho = paho_of(link);
    MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions v311 = MQTTAsync_connectOptions_initializer;
    enum pipit_err rc = session_begin(paho, options->client_id);
    return rc == PIPIT_OK ? connect_with(paho, options, is_v5(paho) ? &v5 : &v311) : rc;
}

// ---- traffic -----------------------------------------------------------------------------------

// NULL when as much is under way as may be, or the connection is gone.
static struct flight *flight_take(struct pipit_paho *paho, uint32_t token)
{
    struct pipit_paho_session *session = paho->session;
    struct flight *flight = NULL;
    if (session == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&port_lock);
    for (uint32_t i = 0; i < paho->flights_max && flight == NULL && !paho->is_down; i++) {
        if (session->flights[i].state == FLIGHT_FREE) {
            flight = &session->flights[i];
            flight->session = session;
            flight->token = token;
            flight->state = FLIGHT_WAITING;
        }
    }
    pthread_mutex_unlock(&port_lock);
    return flight;
}

static void flight_free(struct flight *flight)
{
    pthread_mutex_lock(&port_lock);
    flight->state = FLIGHT_FREE;
    pthread_mutex_unlock(&port_lock);
}

static void response_options(const struct pipit_paho *paho, struct flight *flight,
                             MQTTAsync_responseOptions *response)
{
    response->context = flight;
    if (is_v5(paho)) {
        response->onSuccess5 = on_sent5;
        response->onFailure5 = on_send_failed5;
    } else {
        response->onSuccess = on_sent;
        response->onFailure = on_send_failed;
    }
}

static enum pipit_err paho_publish(struct pipit_link *link, const struct pipit_message *message)
{
    struct pipit_paho *paho = paho_of(link);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    MQTTAsync_message packet = MQTTAsync_message_initializer;
    struct flight *flight = flight_take(paho, message->token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    response_options(paho, flight, &response);
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
    struct pipit_paho *paho = paho_of(link);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    struct flight *flight = flight_take(paho, token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    response_options(paho, flight, &response);
    if (!is_v5(paho)) {
        response.onSuccess = on_subscribed;
    }
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
        struct flight *flight = &session->flights[i];
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
    paho->inbound_first = (paho->inbound_first + 1) % PIPIT_PAHO_MESSAGES_MAX;
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
    struct pipit_paho *paho = paho_of(link);
    (void)now_ms;
    memset(out_event, 0, sizeof(*out_event));
    inbound_free(&paho->delivered);
    pthread_mutex_lock(&port_lock);
    poll_locked(paho, out_event);
    pthread_mutex_unlock(&port_lock);
}

static int disconnect_start(struct pipit_paho *paho)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions options5 = MQTTAsync_disconnectOptions_initializer5;
    options.context = paho->session;
    options.onSuccess = on_disconnected;
    options.onFailure = on_disconnect_failed;
    options5.context = paho->session;
    options5.onSuccess5 = on_disconnected5;
    options5.onFailure5 = on_disconnect_failed5;
    return MQTTAsync_disconnect(paho->session->client, is_v5(paho) ? &options5 : &options);
}

static void paho_disconnect(struct pipit_link *link)
{
    struct pipit_paho *paho = paho_of(link);
    if (paho->is_disconnecting) {
        return;
    }
    if (paho->session == NULL || disconnect_start(paho) != MQTTASYNC_SUCCESS) {
        pthread_mutex_lock(&port_lock); // Not connected yet: nothing to say goodbye to.
        down_note(paho, PIPIT_OK);
        pthread_mutex_unlock(&port_lock);
    }
    paho->is_disconnecting = true;
}

static const struct pipit_link_type paho_link_type = {
    .connect = paho_connect,
    .publish = paho_publish,
    .subscribe = paho_subscribe,
    .poll = paho_poll,
    .disconnect = paho_disconnect,
};

// ---- opening and closing ---------------------------------------------------------------------

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
    session_destroy(session_detach(paho));
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
    pthread_mutex_lock(&port_lock);
    (void)snprintf(text, text_bytes, "%s", paho->error);
    pthread_mutex_unlock(&port_lock);
}
