// One MQTTAsync client for one connection: made, connected, disconnected, left behind.
#include <stdio.h>
#include <stdlib.h>

#include "paho_session.h"

#define CONNECT_TIMEOUT_S    20
#define SESSION_EXPIRY_MAX   0x7FFFFFFFu // Debian's paho 1.3.12 writes values with the top bit wrong.
#define PACKET_BYTES_DEFAULT (256u * 1024u)

// Cuts a session off from its link, and forgets all it knew: the spool is what remembers.
static struct pipit_paho_session *session_detach(struct pipit_paho *paho)
{
    struct pipit_paho_session *session = paho->session;
    pthread_mutex_lock(&pipit_paho_lock);
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
    pthread_mutex_unlock(&pipit_paho_lock);
    pipit_paho_inbound_clear(paho);
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
    options.MQTTVersion = pipit_paho_is_v5(paho) ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    options.sendWhileDisconnected = 0;
    int rc = MQTTAsync_createWithOptions(&session->client, paho->url, client_id,
                                         MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    if (rc != MQTTASYNC_SUCCESS) {
        pipit_paho_error_set(paho, "connect %s: %s", paho->url, MQTTAsync_strerror(rc));
        free(session);
        return NULL;
    }
    pipit_session_listen(session, pipit_paho_is_v5(paho));
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
    pthread_mutex_lock(&pipit_paho_lock);
    session->paho = paho;
    paho->session = session;
    pthread_mutex_unlock(&pipit_paho_lock);
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
    pipit_session_on_tls(paho->session, ssl);
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
    if (pipit_paho_is_v5(paho)) {
        connect->cleanstart = is_clean ? 1 : 0;
    } else {
        connect->MQTTVersion = MQTTVERSION_3_1_1;
        connect->cleansession = is_clean ? 1 : 0;
    }
    pipit_session_on_connect(paho->session, pipit_paho_is_v5(paho), connect);
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
    if (pipit_paho_is_v5(paho)) {
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

enum pipit_err pipit_paho_connect(struct pipit_link *link, const struct pipit_connect *options)
{
    struct pipit_paho *paho = pipit_paho_of(link);
    MQTTAsync_connectOptions v5 = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions v311 = MQTTAsync_connectOptions_initializer;
    enum pipit_err rc = session_begin(paho, options->client_id);
    return rc == PIPIT_OK ? connect_with(paho, options, pipit_paho_is_v5(paho) ? &v5 : &v311) : rc;
}

static int disconnect_start(struct pipit_paho *paho)
{
    MQTTAsync_disconnectOptions v311 = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions v5 = MQTTAsync_disconnectOptions_initializer5;
    MQTTAsync_disconnectOptions *options = pipit_paho_is_v5(paho) ? &v5 : &v311;
    pipit_session_on_disconnect(paho->session, pipit_paho_is_v5(paho), options);
    return MQTTAsync_disconnect(paho->session->client, options);
}

void pipit_paho_disconnect(struct pipit_link *link)
{
    struct pipit_paho *paho = pipit_paho_of(link);
    if (paho->is_disconnecting) {
        return;
    }
    if (paho->session == NULL || disconnect_start(paho) != MQTTASYNC_SUCCESS) {
        pthread_mutex_lock(&pipit_paho_lock); // Not connected yet: nothing to say goodbye to.
        pipit_paho_down_note(paho, PIPIT_OK);
        pthread_mutex_unlock(&pipit_paho_lock);
    }
    paho->is_disconnecting = true;
}

void pipit_session_end(struct pipit_paho *paho)
{
    session_destroy(session_detach(paho));
}
