#include "cli/client.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"

#define ANSWER_MS        10000 // For CONNACK, SUBACK and PUBACK.
#define RECONNECT_MS     1000
#define FILTERS_MAX      16
#define KEEPALIVE_S      30
#define STEP_MS          100
#define SUBACK_REFUSED   128
#define PACKET_TRIES_MAX 1

struct client {
    struct mosquitto *mosq;
    const struct peer *peer;
    client_message_fn *on_message;
    void *context;
    char *filters[FILTERS_MAX];
    int qos[FILTERS_MAX];
    int filter_count;
    bool is_answered; // CONNACK, SUBACK or PUBACK of what was asked last.
    int answer;       // Its reason code.
    int mid;          // Of what was asked last.
    bool is_up;
    bool was_lost;
};

static void on_connect(struct mosquitto *mosq, void *context, int rc, int flags,
                       const mosquitto_property *properties)
{
    struct client *client = context;
    (void)flags;
    (void)properties;
    client->is_answered = true;
    client->answer = rc;
    client->is_up = rc == 0;
    for (int i = 0; i < client->filter_count && rc == 0; i++) {
        mosquitto_subscribe(mosq, NULL, client->filters[i], client->qos[i]);
    }
    if (rc == 0 && client->was_lost) {
        client->was_lost = false;
        fprintf(stderr, "pipit: connected to %s:%d again\n", client->peer->host,
                client->peer->port);
    }
}

static void on_disconnect(struct mosquitto *mosq, void *context, int rc,
                          const mosquitto_property *properties)
{
    struct client *client = context;
    (void)mosq;
    (void)rc;
    (void)properties;
    client->is_up = false;
}

static void on_subscribe(struct mosquitto *mosq, void *context, int mid, int count,
                         const int *granted, const mosquitto_property *properties)
{
    struct client *client = context;
    (void)mosq;
    (void)properties;
    if (mid == client->mid) {
        client->is_answered = true;
        client->answer = count > 0 ? granted[0] : SUBACK_REFUSED;
    }
}

static void on_publish(struct mosquitto *mosq, void *context, int mid, int reason,
                       const mosquitto_property *properties)
{
    struct client *client = context;
    (void)mosq;
    (void)properties;
    if (mid == client->mid) {
        client->is_answered = true;
        client->answer = reason;
    }
}

static void on_message(struct mosquitto *mosq, void *context, const struct mosquitto_message *from,
                       const mosquitto_property *properties)
{
    struct client *client = context;
    char *content_type = NULL;
    (void)mosq;
    mosquitto_property_read_string(properties, MQTT_PROP_CONTENT_TYPE, &content_type, false);
    struct client_message message = {
        .topic = from->topic,
        .payload = bytes_of(from->payload, from->payloadlen > 0 ? (size_t)from->payloadlen : 0),
        .content_type = content_type,
        .qos = from->qos,
        .is_retained = from->retain,
    };
    client->on_message(client->context, &message);
    free(content_type);
}

static enum err no_broker(const struct client *client, struct error *e, const char *what)
{
    return error_set(e, ERR_UNAVAILABLE, "broker %s:%d: %s", client->peer->host, client->peer->port,
                     what);
}

// A CONNACK's code in words, in both versions of the protocol.
static const char *refusal_text(const struct client *client)
{
    bool is_password = client->answer == MQTT_RC_BAD_USERNAME_OR_PASSWORD ||
                       client->answer == MQTT_RC_NOT_AUTHORIZED || client->answer == 4 ||
                       client->answer == 5;
    if (is_password) {
        return client->peer->username == NULL
                   ? "refused: it wants a user; give --username and --password-file"
                   : "refused: check --username and the password";
    }
    return client->peer->is_311 ? mosquitto_connack_string(client->answer)
                                : mosquitto_reason_string(client->answer);
}

// Runs the loop until what was asked is answered.
static enum err answer_await(struct client *client, const char *what, struct error *e)
{
    int64_t end_ms = clock_monotonic_ms() + ANSWER_MS;
    while (!client->is_answered) {
        int rc = mosquitto_loop(client->mosq, STEP_MS, PACKET_TRIES_MAX);
        if (rc != MOSQ_ERR_SUCCESS && !client->is_answered) {
            return no_broker(client, e, mosquitto_strerror(rc));
        }
        if (clock_monotonic_ms() > end_ms) {
            return error_set(e, ERR_UNAVAILABLE, "broker %s:%d did not answer %s within %d s",
                             client->peer->host, client->peer->port, what, ANSWER_MS / 1000);
        }
    }
    return ERR_OK;
}

static enum err tls_set(struct client *client, struct error *e)
{
    const struct peer *peer = client->peer;
    int rc = mosquitto_tls_set(client->mosq, peer->ca, peer->ca == NULL ? "/etc/ssl/certs" : NULL,
                               peer->cert, peer->key, NULL);
    if (rc == MOSQ_ERR_SUCCESS && peer->is_insecure) {
        mosquitto_tls_opts_set(client->mosq, 0, NULL, NULL);
        rc = mosquitto_tls_insecure_set(client->mosq, true);
    }
    return rc == MOSQ_ERR_SUCCESS
               ? ERR_OK
               : error_set(e, ERR_CONFIG, "TLS: --ca, --cert or --key cannot be used: %s",
                           mosquitto_strerror(rc));
}

static enum err client_connect(struct client *client, struct error *e)
{
    const struct peer *peer = client->peer;
    client->is_answered = false;
    int rc =
        mosquitto_connect_bind_v5(client->mosq, peer->host, peer->port, KEEPALIVE_S, NULL, NULL);
    if (rc == MOSQ_ERR_TLS) {
        return no_broker(client, e,
                         "TLS failed: check --ca, and that the certificate is for "
                         "this host");
    }
    if (rc != MOSQ_ERR_SUCCESS) {
        return no_broker(client, e,
                         rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc));
    }
    enum err answered = answer_await(client, "CONNECT", e);
    if (answered == ERR_OK && client->answer != 0) {
        return no_broker(client, e, refusal_text(client));
    }
    return answered;
}

static enum err client_prepare(struct client *client, struct error *e)
{
    const struct peer *peer = client->peer;
    char id[32]; // Not left to the broker: ours refuses clients without one.
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
        return error_set(e, ERR_UNAVAILABLE, "the kernel gives no random number");
    }
    snprintf(id, sizeof(id), "pipit-%016llx", (unsigned long long)random);
    client->mosq = mosquitto_new(id, true, client);
    if (client->mosq == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    mosquitto_int_option(client->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         peer->is_311 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5);
    mosquitto_connect_v5_callback_set(client->mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(client->mosq, on_disconnect);
    mosquitto_subscribe_v5_callback_set(client->mosq, on_subscribe);
    mosquitto_publish_v5_callback_set(client->mosq, on_publish);
    mosquitto_message_v5_callback_set(client->mosq, on_message);
    if (peer->username != NULL) {
        mosquitto_username_pw_set(client->mosq, peer->username, peer->password);
    }
    return peer->is_tls ? tls_set(client, e) : ERR_OK;
}

enum err client_open(struct client **out_client, const struct peer *peer,
                     client_message_fn *on_message_of_caller, void *context, struct error *e)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    client->peer = peer;
    client->on_message = on_message_of_caller;
    client->context = context;
    mosquitto_lib_init();
    enum err rc = client_prepare(client, e);
    if (rc == ERR_OK) {
        rc = client_connect(client, e);
    }
    if (rc != ERR_OK) {
        client_close(client);
        return rc;
    }
    *out_client = client;
    return ERR_OK;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->is_up) {
        mosquitto_disconnect(client->mosq);
    }
    mosquitto_destroy(client->mosq);
    for (int i = 0; i < client->filter_count; i++) {
        free(client->filters[i]);
    }
    free(client);
    mosquitto_lib_cleanup();
}

enum err client_subscribe(struct client *client, const char *filter, int qos, struct error *e)
{
    if (client->filter_count == FILTERS_MAX) {
        return error_set(e, ERR_INVALID, "at most %d topic filters", FILTERS_MAX);
    }
    client->is_answered = false;
    int rc = mosquitto_subscribe(client->mosq, &client->mid, filter, qos);
    if (rc != MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_INVALID, "subscribe '%s': %s", filter, mosquitto_strerror(rc));
    }
    enum err answered = answer_await(client, "SUBSCRIBE", e);
    if (answered != ERR_OK) {
        return answered;
    }
    if (client->answer >= SUBACK_REFUSED) {
        return error_set(e, ERR_REJECTED,
                         "the broker refuses to subscribe '%s': check its access rules", filter);
    }
    client->filters[client->filter_count] = strdup(filter);
    client->qos[client->filter_count] = qos;
    client->filter_count += client->filters[client->filter_count] != NULL;
    return ERR_OK;
}

enum err client_publish(struct client *client, const char *topic, struct bytes payload,
                        struct error *e)
{
    client->is_answered = false;
    int rc = mosquitto_publish(client->mosq, &client->mid, topic, (int)payload.len, payload.ptr, 1,
                               false);
    if (rc != MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_UNAVAILABLE, "publish %s: %s", topic, mosquitto_strerror(rc));
    }
    enum err answered = answer_await(client, "PUBLISH", e);
    if (answered == ERR_OK && client->answer >= SUBACK_REFUSED) {
        return error_set(e, ERR_REJECTED, "publish %s: the broker refuses: %s", topic,
                         mosquitto_reason_string(client->answer));
    }
    return answered;
}

static void client_reconnect(struct client *client)
{
    struct timespec pause = {.tv_sec = RECONNECT_MS / 1000,
                             .tv_nsec = RECONNECT_MS % 1000 * 1000000L};
    if (!client->was_lost) {
        client->was_lost = true;
        fprintf(stderr, "pipit: connection to %s:%d lost, trying again\n", client->peer->host,
                client->peer->port);
    }
    nanosleep(&pause, NULL); // A signal ends it early, which is what is wanted.
    mosquitto_reconnect(client->mosq);
}

enum err client_run(struct client *client, int64_t timeout_ms, struct error *e)
{
    int step_ms = timeout_ms < STEP_MS ? (int)timeout_ms : STEP_MS;
    int rc = mosquitto_loop(client->mosq, step_ms, PACKET_TRIES_MAX);
    if (rc == MOSQ_ERR_NOMEM) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    bool is_signal = rc == MOSQ_ERR_ERRNO && client->is_up; // poll was interrupted.
    if (rc != MOSQ_ERR_SUCCESS && !is_signal) {
        client_reconnect(client);
    }
    return ERR_OK;
}
