#define _GNU_SOURCE // POLLRDHUP.
#include "connectors/mqtt_link.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "core/properties.h"

#define TEND_INTERVAL_MS 1000

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    mosquitto_lib_init();
}

static enum err fail(const struct mqtt_link *link, enum err code, const char *what, struct error *e)
{
    const struct broker_url *url = &link->peer.url;
    return error_set(e, code, "broker %s:%u: %s", url->host, url->port, what);
}

// What a CONNACK refuses with, for people. MQTT 3.1.1 has codes 1 to 5, MQTT 5 those from 0x80.
static const char *refusal_text(int code)
{
    switch (code) {
    case 1:
    case MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION:
        return "it does not speak this MQTT version; set version: 3.1.1 or 5";
    case 2:
    case MQTT_RC_CLIENTID_NOT_VALID:
        return "it does not take this client id; set client_id";
    case 4:
    case MQTT_RC_BAD_USERNAME_OR_PASSWORD:
        return "wrong user name or password";
    case 5:
    case MQTT_RC_NOT_AUTHORIZED:
        return "not authorized; check username, password and the broker's access rules";
    default:
        return code < 0x80 ? mosquitto_connack_string(code) : mosquitto_reason_string(code);
    }
}

static enum err refused(const struct mqtt_link *link, struct error *e)
{
    char text[300];
    const char *username = link->peer.username;
    snprintf(text, sizeof(text), "refused client %s (user %s): %s", link->peer.client_id,
             username == NULL ? "none" : username, refusal_text(link->refused_code));
    return fail(link, ERR_REJECTED, text, e);
}

// Turns what libmosquitto returned into our error. errno must still be that of the call.
static enum err broken(const struct mqtt_link *link, int mosq_rc, struct error *e)
{
    char text[300];
    int saved_errno = errno;
    if (link->refused_code != 0) {
        return refused(link, e);
    }
    if (link->is_lost && link->lost_code >= 0x80) {
        snprintf(text, sizeof(text), "the broker disconnected us: %s",
                 mosquitto_reason_string(link->lost_code));
        return fail(link, ERR_UNAVAILABLE, text, e);
    }
    if (link->tls_text[0] != '\0') {
        snprintf(text, sizeof(text), "%s%s", link->peer.url.is_tls ? "TLS: " : "", link->tls_text);
        return fail(link, ERR_UNAVAILABLE, text, e);
    }
    switch (mosq_rc) {
    case MOSQ_ERR_ERRNO:
        return fail(link, ERR_UNAVAILABLE,
                    saved_errno == 0 ? "connection lost" : strerror(saved_errno), e);
    case MOSQ_ERR_EAI:
        return fail(link, ERR_UNAVAILABLE, gai_strerror(saved_errno), e);
    case MOSQ_ERR_KEEPALIVE:
        return fail(link, ERR_UNAVAILABLE, "no answer to a ping within the keepalive", e);
    case MOSQ_ERR_CONN_LOST:
    case MOSQ_ERR_NO_CONN:
    case MOSQ_ERR_SUCCESS:
        return fail(link, ERR_UNAVAILABLE,
                    link->is_connecting ? "closed the connection instead of an answer; if it "
                                          "speaks MQTT 3.1.1 only, set version: 3.1.1"
                                        : "connection lost",
                    e);
    default:
        return fail(link, ERR_UNAVAILABLE, mosquitto_strerror(mosq_rc), e);
    }
}

static void read_limits(struct mqtt_link *link, const mosquitto_property *properties)
{
    uint32_t packet_max = 0;
    uint16_t window = 0;
    uint8_t byte = 0;
    mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &packet_max, false);
    if (packet_max > 0) {
        link->packet_max = packet_max;
    }
    mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &window, false);
    if (window > 0 && window < link->window) {
        link->window = window;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false) != NULL) {
        link->qos_max = byte;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &byte, false) !=
        NULL) {
        link->is_retain_possible = byte != 0;
    }
}

static void on_connect(struct mosquitto *mosq, void *context, int code, int flags,
                       const mosquitto_property *properties)
{
    (void)mosq;
    (void)flags;
    struct mqtt_link *link = context;
    link->refused_code = code;
    link->is_connecting = false;
    if (code == 0 && properties != NULL) {
        read_limits(link, properties);
    }
}

// Called a second time when libmosquitto meets the closed socket; the first reason counts.
static void on_disconnect(struct mosquitto *mosq, void *context, int code,
                          const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct mqtt_link *link = context;
    if (!link->is_lost) {
        link->is_lost = true;
        link->lost_code = code;
    }
}

static void on_publish(struct mosquitto *mosq, void *context, int mid, int code,
                       const mosquitto_property *properties)
{
    (void)mosq;
    struct mqtt_link *link = context;
    char *text = NULL;
    if (code >= 0x80 && properties != NULL) {
        mosquitto_property_read_string(properties, MQTT_PROP_REASON_STRING, &text, false);
    }
    link->peer.answered(link->peer.context, mid, code, text);
    free(text);
}

static void on_log(struct mosquitto *mosq, void *context, int level, const char *text)
{
    (void)mosq;
    struct mqtt_link *link = context;
    if (level == MOSQ_LOG_ERR && link->tls_text[0] == '\0') { // The first is the cause.
        snprintf(link->tls_text, sizeof(link->tls_text), "%s", text);
    }
}

static enum err set_tls(struct mqtt_link *link, struct error *e)
{
    const struct mqtt_peer *peer = &link->peer;
    if (!peer->url.is_tls) {
        return ERR_OK;
    }
    // Without a ca the system's certificates count; the check sees to it that cert comes with a ca.
    int rc = peer->ca == NULL
                 ? mosquitto_int_option(link->mosq, MOSQ_OPT_TLS_USE_OS_CERTS, 1)
                 : mosquitto_tls_set(link->mosq, peer->ca, NULL, peer->cert, peer->key, NULL);
    if (rc != MOSQ_ERR_SUCCESS) {
        return fail(link, ERR_CONFIG, "ca, cert or key cannot be used: unreadable or no PEM file",
                    e);
    }
    return ERR_OK;
}

static enum err set_up(struct mqtt_link *link, bool is_v5, struct error *e)
{
    const struct mqtt_peer *peer = &link->peer;
    link->mosq = mosquitto_new(peer->client_id, true, link);
    if (link->mosq == NULL) {
        return fail(link, errno == ENOMEM ? ERR_NO_MEMORY : ERR_CONFIG,
                    errno == ENOMEM ? "out of memory" : "client_id is not valid UTF-8", e);
    }
    mosquitto_int_option(link->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         is_v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(link->mosq, MOSQ_OPT_SEND_MAXIMUM, (int)peer->in_flight_max);
    mosquitto_int_option(link->mosq, MOSQ_OPT_TCP_NODELAY, 1); // Bursts are corked instead.
    mosquitto_connect_v5_callback_set(link->mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(link->mosq, on_disconnect);
    mosquitto_publish_v5_callback_set(link->mosq, on_publish);
    mosquitto_log_callback_set(link->mosq, on_log);
    if (peer->username != NULL &&
        mosquitto_username_pw_set(link->mosq, peer->username, peer->password) != MOSQ_ERR_SUCCESS) {
        return fail(link, ERR_CONFIG, "username or password cannot be used", e);
    }
    return set_tls(link, e);
}

static enum err wait_connected(struct mqtt_link *link, int64_t deadline_ms, struct error *e)
{
    while (link->is_connecting) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            return fail(link, ERR_TIMEOUT,
                        link->is_writable ? "no answer to CONNECT" : "no answer at this address",
                        e);
        }
        enum err rc = mqtt_link_wait(link, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

static enum err connect_as(struct mqtt_link *link, bool is_v5, int64_t deadline_ms, struct error *e)
{
    link->is_connecting = true;
    link->is_writable = false;
    link->is_v5 = is_v5;
    link->is_lost = false;
    link->is_unconfirmed = false;
    link->refused_code = 0;
    link->lost_code = 0;
    link->packet_max = UINT32_MAX;
    link->window = link->peer.in_flight_max;
    link->qos_max = 2;
    link->is_retain_possible = true;
    link->tls_text[0] = '\0';
    link->tended_at_ms = clock_monotonic_ms();
    enum err rc = set_up(link, is_v5, e);
    if (rc != ERR_OK) {
        return rc;
    }
    errno = 0;
    int mosq_rc = mosquitto_connect_async(link->mosq, link->peer.url.host, link->peer.url.port,
                                          link->peer.keepalive_s);
    if (mosq_rc != MOSQ_ERR_SUCCESS && mosq_rc != MOSQ_ERR_CONN_PENDING) {
        return broken(link, mosq_rc, e);
    }
    return wait_connected(link, deadline_ms, e);
}

static bool is_version_refused(const struct mqtt_link *link)
{
    return link->refused_code == 1 || link->refused_code == MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION;
}

enum err mqtt_link_open(struct mqtt_link *link, const struct mqtt_peer *peer, struct error *e)
{
    pthread_once(&library_once, library_init);
    link->peer = *peer;
    int64_t deadline_ms = clock_monotonic_ms() + peer->timeout_ms;
    enum err rc = connect_as(link, peer->version != MQTT_VERSION_3, deadline_ms, e);
    if (rc != ERR_OK && peer->version == MQTT_VERSION_AUTO && is_version_refused(link)) {
        mqtt_link_close(link);
        rc = connect_as(link, false, deadline_ms, e);
    }
    return rc;
}

void mqtt_link_close(struct mqtt_link *link)
{
    if (link->mosq != NULL) {
        mosquitto_disconnect(link->mosq); // The broker need not wonder where we went.
        mosquitto_destroy(link->mosq);
        link->mosq = NULL;
    }
}

// While connecting, libmosquitto's wish to write stays set through a TLS handshake: ask for
// writability only until the TCP connection stands.
static short wanted_events(const struct mqtt_link *link)
{
    bool is_writing = link->is_connecting ? !link->is_writable : mosquitto_want_write(link->mosq);
    return (short)(POLLIN | POLLRDHUP | (is_writing ? POLLOUT : 0));
}

// The outcome of a non-blocking connect; 0 when it stands.
static int connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static enum err drive_connecting(struct mqtt_link *link, short revents, struct error *e)
{
    if (!link->is_writable) {
        int error = connect_error(mqtt_link_fd(link));
        if (error != 0) {
            return fail(link, ERR_UNAVAILABLE, strerror(error), e);
        }
        link->is_writable = (revents & POLLOUT) != 0;
    }
    errno = 0;
    int rc = mosquitto_loop_read(link->mosq, 1);
    if (rc == MOSQ_ERR_SUCCESS && link->is_connecting) {
        rc = mosquitto_loop_write(link->mosq, 1);
    }
    if (rc != MOSQ_ERR_SUCCESS || link->is_lost || link->refused_code != 0) {
        return broken(link, rc, e);
    }
    if (link->is_connecting && (revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
        return broken(link, MOSQ_ERR_CONN_LOST, e); // libmosquitto would try for ever.
    }
    return ERR_OK;
}

static enum err drive_connected(struct mqtt_link *link, short revents, struct error *e)
{
    int rc = MOSQ_ERR_SUCCESS;
    errno = 0;
    if ((revents & ~POLLOUT) != 0) {
        rc = mosquitto_loop_read(link->mosq, 1);
        link->is_unconfirmed = true;
    }
    if (rc == MOSQ_ERR_SUCCESS && !link->is_lost && (revents & POLLOUT) != 0) {
        rc = mosquitto_loop_write(link->mosq, 1);
    }
    return rc == MOSQ_ERR_SUCCESS && !link->is_lost ? ERR_OK : broken(link, rc, e);
}

static enum err keep_alive(struct mqtt_link *link, struct error *e)
{
    int64_t now_ms = clock_monotonic_ms();
    if (link->is_connecting || now_ms - link->tended_at_ms < TEND_INTERVAL_MS) {
        return ERR_OK;
    }
    link->tended_at_ms = now_ms;
    int rc = mosquitto_loop_misc(link->mosq);
    return rc == MOSQ_ERR_SUCCESS && !link->is_lost ? ERR_OK : broken(link, rc, e);
}

// A broker that leaves Nagle's algorithm on, as mosquitto does, holds its next small answer back
// until our kernel has confirmed the last, which that does after 40 ms when we have nothing to
// send: 4,500 publishes a second at QoS 1 instead of 70,000. So confirm what was read before
// sleeping.
static void confirm_read(struct mqtt_link *link)
{
    int flag = 1;
    if (link->is_unconfirmed) {
        setsockopt(mqtt_link_fd(link), IPPROTO_TCP, TCP_QUICKACK, &flag, sizeof(flag));
        link->is_unconfirmed = false;
    }
}

enum err mqtt_link_wait(struct mqtt_link *link, int timeout_ms, struct error *e)
{
    struct pollfd fds[] = {
        {.fd = mqtt_link_fd(link), .events = wanted_events(link)},
        {.fd = link->peer.stop_fd, .events = POLLIN},
    };
    if (fds[0].fd < 0) {
        return broken(link, MOSQ_ERR_NO_CONN, e);
    }
    if (timeout_ms > 0) {
        confirm_read(link);
    }
    int tend_ms = timeout_ms < TEND_INTERVAL_MS ? timeout_ms : TEND_INTERVAL_MS;
    if (poll(fds, 2, tend_ms) < 0 && errno != EINTR) {
        return fail(link, ERR_UNAVAILABLE, strerror(errno), e);
    }
    if (fds[1].revents != 0) {
        return fail(link, ERR_UNAVAILABLE, "given up because the hub stops", e);
    }
    enum err rc = ERR_OK;
    if (fds[0].revents != 0) {
        rc = link->is_connecting ? drive_connecting(link, fds[0].revents, e)
                                 : drive_connected(link, fds[0].revents, e);
    }
    return rc == ERR_OK ? keep_alive(link, e) : rc;
}

static bool has_text(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static uint32_t varint_bytes(uint64_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static const char key_name[] = "idempotency-key";

#define EXPIRY_BYTES 5 // Of the property [MQTT-3.3.2.3.3].

static bool is_expiry(struct bytes name)
{
    return bytes_equal(name, bytes_from_text(PROPERTY_EXPIRES));
}

static int64_t left_ms_of(struct bytes expiry)
{
    return strtoll((const char *)expiry.ptr, NULL, 10) - clock_wall_ms();
}

bool mqtt_publish_is_expired(const struct mqtt_publish *publish)
{
    struct bytes rest = publish->properties, name, value;
    while (properties_next(&rest, &name, &value)) {
        if (is_expiry(name)) {
            return left_ms_of(value) <= 0;
        }
    }
    return false;
}

// In seconds from now, rounded up: the broker drops nothing too early, the receiver knows better.
static int add_expiry(mosquitto_property **list, struct bytes value)
{
    int64_t left_ms = left_ms_of(value);
    int64_t left_s = left_ms <= 0 ? 1 : (left_ms + 999) / 1000;
    return mosquitto_property_add_int32(list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                        (uint32_t)(left_s < UINT32_MAX ? left_s : UINT32_MAX));
}

uint64_t mqtt_publish_bytes(const struct mqtt_link *link, const struct mqtt_publish *publish)
{
    uint64_t remaining = 2 + strlen(publish->topic) + (publish->qos > 0 ? 2 : 0);
    if (link->is_v5) {
        uint64_t properties = 0;
        if (has_text(publish->content_type)) {
            properties += 3 + strlen(publish->content_type);
        }
        if (has_text(publish->idempotency_key)) {
            properties += 5 + sizeof(key_name) - 1 + strlen(publish->idempotency_key);
        }
        struct bytes rest = publish->properties, name, value;
        while (properties_next(&rest, &name, &value)) {
            properties += is_expiry(name) ? EXPIRY_BYTES : 5 + name.len + value.len;
        }
        remaining += varint_bytes(properties) + properties;
    }
    remaining += publish->payload.len;
    return 1 + varint_bytes(remaining) + remaining;
}

static int make_properties(const struct mqtt_publish *publish, mosquitto_property **out_list)
{
    int rc = MOSQ_ERR_SUCCESS;
    if (has_text(publish->content_type)) {
        rc = mosquitto_property_add_string(out_list, MQTT_PROP_CONTENT_TYPE, publish->content_type);
    }
    if (rc == MOSQ_ERR_SUCCESS && has_text(publish->idempotency_key)) {
        rc = mosquitto_property_add_string_pair(out_list, MQTT_PROP_USER_PROPERTY, key_name,
                                                publish->idempotency_key);
    }
    struct bytes rest = publish->properties, name, value;
    while (rc == MOSQ_ERR_SUCCESS && properties_next(&rest, &name, &value)) {
        rc = is_expiry(name) ? add_expiry(out_list, value)
                             : mosquitto_property_add_string_pair(out_list, MQTT_PROP_USER_PROPERTY,
                                                                  (const char *)name.ptr,
                                                                  (const char *)value.ptr);
    }
    return rc;
}

// What libmosquitto refuses before it writes anything.
static enum err publish_failed(const struct mqtt_link *link, int mosq_rc, struct error *e)
{
    switch (mosq_rc) {
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_MALFORMED_UTF8:
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
    case MOSQ_ERR_OVERSIZE_PACKET:
    case MOSQ_ERR_MALFORMED_PACKET:
    case MOSQ_ERR_DUPLICATE_PROPERTY:
        return error_set(e, ERR_INVALID, "cannot be published: %s", mosquitto_strerror(mosq_rc));
    case MOSQ_ERR_NOMEM:
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    default:
        return broken(link, mosq_rc, e);
    }
}

enum err mqtt_link_publish(struct mqtt_link *link, const struct mqtt_publish *publish, int *out_mid,
                           struct error *e)
{
    mosquitto_property *properties = NULL;
    link->is_unconfirmed = false; // The publish carries the confirmation.
    int rc = link->is_v5 ? make_properties(publish, &properties) : MOSQ_ERR_SUCCESS;
    if (rc == MOSQ_ERR_SUCCESS && publish->payload.len > MQTT_MAX_PAYLOAD) {
        rc = MOSQ_ERR_PAYLOAD_SIZE;
    }
    errno = 0;
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_publish_v5(link->mosq, out_mid, publish->topic, (int)publish->payload.len,
                                  publish->payload.ptr, publish->qos, publish->is_retained,
                                  properties);
    }
    int saved_errno = errno;
    mosquitto_property_free_all(&properties);
    errno = saved_errno;
    return rc == MOSQ_ERR_SUCCESS ? ERR_OK : publish_failed(link, rc, e);
}

void mqtt_link_cork(struct mqtt_link *link, bool is_corked)
{
    int flag = is_corked;
    int fd = mqtt_link_fd(link);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_CORK, &flag, sizeof(flag)); // Only speed is at stake.
    }
}

int mqtt_link_fd(const struct mqtt_link *link)
{
    return link->mosq == NULL ? -1 : mosquitto_socket(link->mosq);
}
