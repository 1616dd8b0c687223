#include "pipit/paho.h"

#include <MQTTAsync.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S    20
#define SESSION_EXPIRY_MAX   0x7FFFFFFFu // Debian's paho 1.3.12 writes values with the top bit wrong.
#define PACKET_BYTES_DEFAULT (256u * 1024u)
#define REASON_FAILURE       0x80

enum flight_state { FLIGHT_FREE = 0, FLIGHT_WAITING, FLIGHT_SETTLED };

static struct pipit_paho *paho_of(struct pipit_link *link)
{
    return (struct pipit_paho *)(void *)link;
}

static bool is_v5(const struct pipit_paho *paho)
{
    return paho->options.version == PIPIT_MQTT_5;
}

__attribute__((format(printf, 2, 3))) static void error_set(struct pipit_paho *paho,
                                                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&paho->lock);
    (void)vsnprintf(paho->error, sizeof(paho->error), format, args);
    pthread_mutex_unlock(&paho->lock);
    va_end(args);
}

// ---- called by paho's threads ------------------------------------------------------------------
// paho may hold its own lock here: so ours is never held while we call paho.

static void down_note(struct pipit_paho *paho, enum pipit_err rc)
{
    pthread_mutex_lock(&paho->lock);
    if (!paho->is_down) {
        paho->is_down = true;
        paho->is_down_due = true;
        paho->down_rc = rc == PIPIT_ERR_UNREACHABLE && paho->is_tls_failed ? PIPIT_ERR_TLS : rc;
    }
    pthread_mutex_unlock(&paho->lock);
    pipit_bell_ring(paho->bell);
}

static void up_note(struct pipit_paho *paho)
{
    pthread_mutex_lock(&paho->lock);
    paho->is_up_due = true;
    paho->error[0] = '\0';
    pthread_mutex_unlock(&paho->lock);
    pipit_bell_ring(paho->bell);
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    (void)data;
    up_note(context);
}

// paho itself is slow at the broker's receive maximum: it polls for room. We do not reach it.
static void on_connected5(void *context, MQTTAsync_successData5 *data)
{
    struct pipit_paho *paho = context;
    MQTTProperties *properties = data != NULL ? &data->properties : NULL;
    if (properties != NULL &&
        MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)) {
        int maximum = MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM);
        pthread_mutex_lock(&paho->lock);
        if (maximum > 0 && (uint32_t)maximum < paho->flights_max) {
            paho->flights_max = (uint32_t)maximum;
        }
        pthread_mutex_unlock(&paho->lock);
    }
    up_note(paho);
}

static void connect_failed(struct pipit_paho *paho, int code, const char *reason)
{
    bool is_refused = code > 0;
    if (!paho->is_tls_failed) {
        error_set(paho, "connect %s: %s", paho->url,
                  reason != NULL ? reason : "no answer, or not an MQTT broker");
    }
    down_note(paho, is_refused ? PIPIT_ERR_REFUSED : PIPIT_ERR_UNREACHABLE);
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
    struct pipit_paho *paho = context;
    error_set(paho, "connection to %s lost%s%s", paho->url, cause != NULL ? ": " : "",
              cause != NULL ? cause : "");
    down_note(paho, PIPIT_ERR_UNREACHABLE);
}

static void on_server_disconnect(void *context, MQTTProperties *properties,
                                 enum MQTTReasonCodes reason)
{
    struct pipit_paho *paho = context;
    const char *text = MQTTReasonCode_toString(reason);
    (void)properties;
    error_set(paho, "%s disconnected us: %s", paho->url, text != NULL ? text : "no reason");
    down_note(paho, PIPIT_ERR_REFUSED);
}

static void on_disconnected(void *context, MQTTAsync_successData *data)
{
    (void)data;
    down_note(context, PIPIT_OK);
}

static void on_disconnected5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    down_note(context, PIPIT_OK);
}

static void on_disconnect_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    down_note(context, PIPIT_OK);
}

static void on_disconnect_failed5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    down_note(context, PIPIT_OK);
}

static void flight_settle(struct pipit_paho_flight *flight, bool is_refused)
{
    struct pipit_paho *paho = flight->paho;
    pthread_mutex_lock(&paho->lock);
    if (flight->state == FLIGHT_WAITING) {
        flight->state = FLIGHT_SETTLED;
        flight->rc = is_refused ? PIPIT_ERR_REFUSED : PIPIT_OK;
        paho->settled_count++;
    }
    pthread_mutex_unlock(&paho->lock);
    pipit_bell_ring(paho->bell);
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

static void on_send_failed(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    flight_settle(context, true);
}

static void on_send_failed5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    flight_settle(context, true);
}

// 0 tells paho to keep the message and to offer it again: that is our back-pressure.
static int on_message(void *context, char *topic, int topic_len, MQTTAsync_message *message)
{
    struct pipit_paho *paho = context;
    int is_taken = 0;
    pthread_mutex_lock(&paho->lock);
    if (paho->inbound_count < PIPIT_PAHO_MESSAGES_MAX) {
        uint32_t at = (paho->inbound_first + paho->inbound_count) % PIPIT_PAHO_MESSAGES_MAX;
        paho->inbound[at].topic = topic;
        paho->inbound[at].topic_len = topic_len > 0 ? (size_t)topic_len : strlen(topic);
        paho->inbound[at].message = message;
        paho->inbound_count++;
        is_taken = 1;
    }
    pthread_mutex_unlock(&paho->lock);
    pipit_bell_ring(paho->bell);
    return is_taken;
}

static int on_tls_error(const char *text, size_t len, void *context)
{
    struct pipit_paho *paho = context;
    size_t end = len;
    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\0')) {
        end--;
    }
    pthread_mutex_lock(&paho->lock);
    paho->is_tls_failed = true;
    pthread_mutex_unlock(&paho->lock);
    error_set(paho, "connect %s: TLS: %.*s", paho->url, (int)end, text);
    return 1;
}

// ---- connecting --------------------------------------------------------------------------------

static void inbound_free(struct pipit_paho_inbound *inbound)
{
    if (inbound->message != NULL) {
        MQTTAsync_message *message = inbound->message;
        MQTTAsync_freeMessage(&message);
        MQTTAsync_free(inbound->topic);
        inbound->message = NULL;
        inbound->topic = NULL;
    }
}

// Forgets the old client and all it knew: the spool is what remembers.
static void client_destroy(struct pipit_paho *paho)
{
    if (paho->client != NULL) {
        MQTTAsync client = paho->client;
        MQTTAsync_destroy(&client);
        paho->client = NULL;
    }
    pthread_mutex_lock(&paho->lock);
    inbound_free(&paho->delivered);
    for (; paho->inbound_count > 0; paho->inbound_count--) {
        inbound_free(&paho->inbound[paho->inbound_first]);
        paho->inbound_first = (paho->inbound_first + 1) % PIPIT_PAHO_MESSAGES_MAX;
    }
    memset(paho->flights, 0, sizeof(paho->flights));
    paho->settled_count = 0;
    paho->flights_max = PIPIT_PAHO_FLIGHTS_MAX;
    paho->is_up_due = false;
    paho->is_down_due = false;
    paho->is_down = false;
    paho->is_tls_failed = false;
    paho->is_disconnecting = false;
    pthread_mutex_unlock(&paho->lock);
}

static enum pipit_err client_create(struct pipit_paho *paho, const char *client_id)
{
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
    MQTTAsync client = NULL;
    options.MQTTVersion = is_v5(paho) ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    options.sendWhileDisconnected = 0;
    int rc = MQTTAsync_createWithOptions(&client, paho->url, client_id, MQTTCLIENT_PERSISTENCE_NONE,
                                         NULL, &options);
    if (rc != MQTTASYNC_SUCCESS) {
        error_set(paho, "connect %s: %s", paho->url, MQTTAsync_strerror(rc));
        return PIPIT_ERR_ARGUMENT;
    }
    paho->client = client;
    (void)MQTTAsync_setCallbacks(client, paho, on_lost, on_message, NULL);
    if (is_v5(paho)) {
        (void)MQTTAsync_setDisconnected(client, paho, on_server_disconnect);
    }
    return PIPIT_OK;
}

static bool is_tls(const struct pipit_paho *paho)
{
    return strncmp(paho->url, "ssl:", 4) == 0 || strncmp(paho->url, "wss:", 4) == 0;
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
    ssl->ssl_error_context = paho;
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
    connect->context = paho;
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
    if (is_tls(paho)) {
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
    int rc = MQTTAsync_connect(paho->client, connect);
    MQTTProperties_free(&properties);
    if (rc != MQTTASYNC_SUCCESS) {
        error_set(paho, "connect %s: %s", paho->url, MQTTAsync_strerror(rc));
        return PIPIT_ERR_ARGUMENT;
    }
    return PIPIT_OK;
}

static enum pipit_err paho_connect(struct pipit_link *link, const struct pipit_connect *options)
{
    struct pipit_paho *paho = paho_of(link);
    MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions v311 = MQTTAsync_connectOptions_initializer;
    client_destroy(paho);
    enum pipit_err rc = client_create(paho, options->client_id);
    return rc == PIPIT_OK ? connect_with(paho, options, is_v5(paho) ? &v5 : &v311) : rc;
}

// ---- traffic -----------------------------------------------------------------------------------

static struct pipit_paho_flight *flight_take(struct pipit_paho *paho, uint32_t token)
{
    struct pipit_paho_flight *flight = NULL;
    pthread_mutex_lock(&paho->lock);
    for (uint32_t i = 0; i < paho->flights_max && flight == NULL && !paho->is_down; i++) {
        if (paho->flights[i].state == FLIGHT_FREE) {
            flight = &paho->flights[i];
            flight->paho = paho;
            flight->token = token;
            flight->state = FLIGHT_WAITING;
        }
    }
    pthread_mutex_unlock(&paho->lock);
    return flight;
}

static void flight_free(struct pipit_paho *paho, struct pipit_paho_flight *flight)
{
    pthread_mutex_lock(&paho->lock);
    flight->state = FLIGHT_FREE;
    pthread_mutex_unlock(&paho->lock);
}

static void response_options(const struct pipit_paho *paho, struct pipit_paho_flight *flight,
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
    struct pipit_paho_flight *flight = flight_take(paho, message->token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    response_options(paho, flight, &response);
    packet.payload = (void *)(uintptr_t)message->payload.ptr; // paho copies, and does not write.
    packet.payloadlen = (int)message->payload.len;
    packet.qos = message->qos;
    packet.retained = message->is_retained ? 1 : 0;
    int rc = MQTTAsync_sendMessage(paho->client, message->topic, &packet, &response);
    if (rc != MQTTASYNC_SUCCESS) {
        flight_free(paho, flight);
        return PIPIT_ERR_BUSY; // Connection going down, or out of packet ids.
    }
    return PIPIT_OK;
}

static enum pipit_err paho_subscribe(struct pipit_link *link, const char *filter, uint8_t qos,
                                     uint32_t token)
{
    struct pipit_paho *paho = paho_of(link);
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    struct pipit_paho_flight *flight = flight_take(paho, token);
    if (flight == NULL) {
        return PIPIT_ERR_BUSY;
    }
    response_options(paho, flight, &response);
    if (!is_v5(paho)) {
        response.onSuccess = on_subscribed;
    }
    int rc = MQTTAsync_subscribe(paho->client, filter, qos, &response);
    if (rc != MQTTASYNC_SUCCESS) {
        flight_free(paho, flight);
        return PIPIT_ERR_BUSY;
    }
    return PIPIT_OK;
}

static bool poll_settled(struct pipit_paho *paho, struct pipit_link_event *event)
{
    for (uint32_t i = 0; paho->settled_count > 0 && i < PIPIT_PAHO_FLIGHTS_MAX; i++) {
        struct pipit_paho_flight *flight = &paho->flights[i];
        if (flight->state == FLIGHT_SETTLED) {
            event->kind = PIPIT_LINK_ACKED;
            event->token = flight->token;
            event->rc = flight->rc;
            flight->state = FLIGHT_FREE;
            paho->settled_count--;
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
    pthread_mutex_lock(&paho->lock);
    poll_locked(paho, out_event);
    pthread_mutex_unlock(&paho->lock);
}

static int disconnect_start(struct pipit_paho *paho)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions options5 = MQTTAsync_disconnectOptions_initializer5;
    options.context = paho;
    options.onSuccess = on_disconnected;
    options.onFailure = on_disconnect_failed;
    options5.context = paho;
    options5.onSuccess5 = on_disconnected5;
    options5.onFailure5 = on_disconnect_failed5;
    return MQTTAsync_disconnect(paho->client, is_v5(paho) ? &options5 : &options);
}

static void paho_disconnect(struct pipit_link *link)
{
    struct pipit_paho *paho = paho_of(link);
    if (paho->is_disconnecting) {
        return;
    }
    if (paho->client == NULL || disconnect_start(paho) != MQTTASYNC_SUCCESS) {
        client_destroy(paho); // Not connected yet: nothing to say goodbye to.
        down_note(paho, PIPIT_OK);
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

// ---- options -----------------------------------------------------------------------------------

static const struct {
    const char *scheme;
    const char *paho_scheme; // As paho 1.3.12 knows it in all builds.
    const char *port;
} schemes[] = {
    {"mqtt://", "tcp://", "1883"},
    {"mqtts://", "ssl://", "8883"},
    {"ws://", "ws://", "80"},
    {"wss://", "wss://", "443"},
};

// Is there a port between the host and a path? An IPv6 address stands in brackets.
static bool has_port(const char *host)
{
    const char *bracket = strchr(host, ']');
    const char *start = bracket != NULL ? bracket : host;
    size_t len = strcspn(start, "/");
    return memchr(start, ':', len) != NULL;
}

static enum pipit_err url_set(struct pipit_paho *paho, const char *url)
{
    for (size_t i = 0; url != NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(url, schemes[i].scheme, len) != 0) {
            continue;
        }
        const char *host = url + len;
        int host_len = (int)strcspn(host, "/");
        int size = snprintf(paho->url, sizeof(paho->url), "%s%.*s%s%s%s", schemes[i].paho_scheme,
                            host_len, host, has_port(host) ? "" : ":",
                            has_port(host) ? "" : schemes[i].port, host + host_len);
        if (host_len > 0 && size > 0 && (size_t)size < sizeof(paho->url)) {
            return PIPIT_OK;
        }
    }
    error_set(paho, "url \"%.100s\": write mqtt://host[:port] or mqtts://host[:port]",
              url != NULL ? url : "");
    return PIPIT_ERR_ARGUMENT;
}

static enum pipit_err file_check(struct pipit_paho *paho, const char *what, const char *path)
{
    if (path == NULL) {
        return PIPIT_OK;
    }
    if (!is_tls(paho)) {
        error_set(paho, "%s is given, but the url is not mqtts:// or wss://", what);
        return PIPIT_ERR_ARGUMENT;
    }
    if (access(path, R_OK) != 0) {
        error_set(paho, "%s %.120s: cannot be read", what, path);
        return PIPIT_ERR_TLS;
    }
    return PIPIT_OK;
}

static enum pipit_err options_check(struct pipit_paho *paho)
{
    const struct pipit_paho_options *options = &paho->options;
    enum pipit_err rc = url_set(paho, options->url);
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "ca", options->ca);
    }
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "cert", options->cert);
    }
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "key", options->key);
    }
    if (rc == PIPIT_OK && options->is_insecure && options->ca != NULL) {
        error_set(paho, "insecure and ca contradict each other: give one of them");
        rc = PIPIT_ERR_ARGUMENT;
    }
    return rc;
}

enum pipit_err pipit_paho_open(struct pipit_paho *paho, const struct pipit_paho_options *options)
{
    memset(paho, 0, sizeof(*paho));
    paho->base.type = &paho_link_type;
    paho->options = *options;
    paho->own_bell.fds[0] = -1;
    paho->own_bell.fds[1] = -1;
    paho->bell = options->bell != NULL ? options->bell : &paho->own_bell;
    (void)pthread_mutex_init(&paho->lock, NULL);
    enum pipit_err rc = options_check(paho);
    if (rc == PIPIT_OK && options->bell == NULL) {
        rc = pipit_bell_open(&paho->own_bell);
        if (rc != PIPIT_OK) {
            error_set(paho, "no file descriptor is left for the link's bell");
        }
    }
    return rc;
}

void pipit_paho_close(struct pipit_paho *paho)
{
    if (paho == NULL || paho->base.type == NULL) {
        return;
    }
    client_destroy(paho);
    pipit_bell_close(&paho->own_bell);
    (void)pthread_mutex_destroy(&paho->lock);
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
    pthread_mutex_lock(&paho->lock);
    (void)snprintf(text, text_bytes, "%s", paho->error);
    pthread_mutex_unlock(&paho->lock);
}
