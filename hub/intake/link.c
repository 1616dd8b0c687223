#define _GNU_SOURCE // POLLRDHUP.

#include "intake/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define SUBSCRIPTIONS_MAX 4096 // Unanswered at a time.
#define REFUSED_CODE      0x80 // From here on MQTT 5 reasons are refusals.

struct subscription {
    int mid;
    uint32_t index;
};

struct link {
    struct link_peer peer;
    struct link_events events;
    struct message_batch *batch;
    struct mosquitto *mosq;
    enum link_state state;
    struct error error;
    struct link_limits limits;
    int64_t deadline_ms;
    int64_t received_ms; // Wall clock, of what is being read.
    bool is_tcp_up;
    bool is_disconnected; // libmosquitto said so, with:
    int disconnect_code;
    int connack_code; // 0: none, or success.
    bool is_out_of_memory;
    uint64_t callbacks; // Counts progress that the return codes do not tell.
    uint32_t qos1_count;
    uint64_t queued_bytes;
    uint8_t is_qos1[65536 / 8]; // By packet id: ours that wait for the broker.
    struct subscription *subscriptions;
    uint32_t subscription_count, subscription_capacity;
    char tls_text[200]; // What OpenSSL said first.
    // The thread that looks up the host's name. Whoever finishes last frees the link.
    pthread_mutex_t lookup_lock;
    bool is_lookup, is_abandoned; // Under lookup_lock.
    int lookup_rc, lookup_errno;  // Valid once is_lookup is false again.
    int lookup_fd;                // Readable then.
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    mosquitto_lib_init();
}

// ---- why a link is lost ------------------------------------------------------------------------

static void lose(struct link *link, enum err code, const char *why)
{
    if (link->state != LINK_LOST) {
        link->state = LINK_LOST;
        error_set(&link->error, code, "broker %s:%u: %s", link->peer.url.host, link->peer.url.port,
                  why);
    }
}

// MQTT 3.1.1 refuses with 1 to 5, MQTT 5 with 0x80 and more.
static const struct {
    int code;
    enum err err;
    const char *text;
} refusals[] = {
    {1, ERR_VERSION, "does not speak this version of MQTT"},
    {2, ERR_REJECTED, "does not take this client id; set client_id"},
    {3, ERR_UNAVAILABLE, "is not available now"},
    {4, ERR_REJECTED, "wrong user name or password; check username and password"},
    {5, ERR_REJECTED,
     "not authorized: wrong user name or password, or this user may not connect; check username, "
     "password and the broker's password file"},
    {MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION, ERR_VERSION, "does not speak this version of MQTT"},
    {MQTT_RC_CLIENTID_NOT_VALID, ERR_REJECTED, "does not take this client id; set client_id"},
    {MQTT_RC_BAD_USERNAME_OR_PASSWORD, ERR_REJECTED,
     "wrong user name or password; check username and password"},
    {MQTT_RC_NOT_AUTHORIZED, ERR_REJECTED,
     "not authorized: wrong user name or password, or this user may not connect; check username, "
     "password and the broker's password file"},
    {MQTT_RC_BANNED, ERR_REJECTED, "this client is banned"},
    {MQTT_RC_BAD_AUTHENTICATION_METHOD, ERR_REJECTED, "wants another way of authentication"},
};

static void lose_refused(struct link *link)
{
    const char *username = link->peer.username;
    enum err code = ERR_UNAVAILABLE;
    const char *text = link->connack_code < REFUSED_CODE
                           ? mosquitto_connack_string(link->connack_code)
                           : mosquitto_reason_string(link->connack_code);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].code == link->connack_code) {
            code = refusals[i].err;
            text = refusals[i].text;
        }
    }
    char why[400];
    snprintf(why, sizeof(why), "refused client %s, user %s: %s", link->peer.client_id,
             username == NULL ? "(none)" : username, text);
    lose(link, code, why);
}

static void lose_disconnected(struct link *link)
{
    char why[400];
    if (link->disconnect_code == MQTT_RC_SESSION_TAKEN_OVER) {
        snprintf(why, sizeof(why),
                 "another client took over the client id %s: is a second hub of the same name "
                 "running?",
                 link->peer.client_id);
        lose(link, ERR_REJECTED, why);
        return;
    }
    snprintf(why, sizeof(why), "closed the connection: %s",
             mosquitto_reason_string(link->disconnect_code));
    lose(link, ERR_UNAVAILABLE, why);
}

// What libmosquitto returned, as a sentence. saved_errno: that of the call.
static void lose_by(struct link *link, int rc, int saved_errno)
{
    bool is_connecting = link->state == LINK_CONNECTING;
    char why[300];
    if (link->connack_code != 0) {
        lose_refused(link);
    } else if (link->is_disconnected && link->disconnect_code >= REFUSED_CODE) {
        lose_disconnected(link);
    } else if (link->tls_text[0] != '\0') {
        snprintf(why, sizeof(why), "TLS: %s", link->tls_text);
        lose(link, ERR_UNAVAILABLE, why);
    } else if (rc == MOSQ_ERR_EAI) {
        snprintf(why, sizeof(why), "host name: %s", gai_strerror(saved_errno));
        lose(link, ERR_UNAVAILABLE, why);
    } else if (rc == MOSQ_ERR_ERRNO && saved_errno != 0 && saved_errno != EAGAIN) {
        lose(link, ERR_UNAVAILABLE, strerror(saved_errno));
    } else if (rc == MOSQ_ERR_KEEPALIVE) {
        lose(link, ERR_UNAVAILABLE, "did not answer a ping within the keepalive");
    } else if (rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET) {
        lose(link, ERR_UNAVAILABLE, "sent something that is not MQTT");
    } else if (rc == MOSQ_ERR_TLS) {
        lose(link, ERR_UNAVAILABLE, "TLS: the connection could not be secured");
    } else if (rc == MOSQ_ERR_NOMEM || link->is_out_of_memory) {
        lose(link, ERR_NO_MEMORY, "left because memory is out");
    } else if (is_connecting) {
        lose(link, ERR_UNAVAILABLE, "closed the connection instead of an answer");
    } else {
        lose(link, ERR_UNAVAILABLE, "closed the connection");
    }
}

// ---- what libmosquitto calls -------------------------------------------------------------------

static void read_limits(struct link *link, const mosquitto_property *properties)
{
    struct link_limits *limits = &link->limits;
    uint8_t byte = 0;
    mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &limits->receive_maximum,
                                  false);
    mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE, &limits->packet_max,
                                  false);
    if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &byte, false) != NULL) {
        limits->qos_max = byte;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_retain = byte != 0;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_WILDCARD_SUB_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_wildcards = byte != 0;
    }
    if (mosquitto_property_read_byte(properties, MQTT_PROP_SHARED_SUB_AVAILABLE, &byte, false) !=
        NULL) {
        limits->has_shared = byte != 0;
    }
    limits->has_expiry =
        mosquitto_property_read_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                      &limits->expiry_s, false) != NULL;
}

static void on_connect(struct mosquitto *mosq, void *context, int code, int flags,
                       const mosquitto_property *properties)
{
    struct link *link = context;
    link->callbacks++;
    if (code != 0) {
        link->connack_code = code;
        return;
    }
    link->limits.is_session_present = (flags & 1) != 0;
    if (properties != NULL) {
        read_limits(link, properties);
    }
    link->state = LINK_UP;
    mosquitto_log_callback_set(mosq, NULL); // It would format a line a packet.
}

// Called a second time when libmosquitto meets the closed socket; the first reason counts.
static void on_disconnect(struct mosquitto *mosq, void *context, int code,
                          const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    if (!link->is_disconnected) {
        link->is_disconnected = true;
        link->disconnect_code = code;
    }
}

static void on_log(struct mosquitto *mosq, void *context, int level, const char *text)
{
    (void)mosq;
    struct link *link = context;
    if (level == MOSQ_LOG_ERR && link->tls_text[0] == '\0') { // The first is the cause.
        snprintf(link->tls_text, sizeof(link->tls_text), "%s", text);
    }
}

struct property_texts {
    char *texts[2 * LINK_PROPERTIES_MAX + 1];
    uint32_t count;
};

static struct bytes keep_text(struct property_texts *texts, char *text)
{
    texts->texts[texts->count++] = text;
    return bytes_from_text(text);
}

// Fills content type and user properties. The texts live until they are freed by the caller.
static uint32_t read_properties(const mosquitto_property *list, struct message *message,
                                struct user_property *properties, struct property_texts *texts)
{
    char *name = NULL, *value = NULL;
    uint32_t count = 0;
    if (mosquitto_property_read_string(list, MQTT_PROP_CONTENT_TYPE, &value, false) != NULL) {
        message->content_type = keep_text(texts, value);
    }
    const mosquitto_property *at =
        mosquitto_property_read_string_pair(list, MQTT_PROP_USER_PROPERTY, &name, &value, false);
    while (at != NULL) {
        properties[count].name = keep_text(texts, name);
        properties[count].value = keep_text(texts, value);
        if (++count == LINK_PROPERTIES_MAX) {
            break;
        }
        at = mosquitto_property_read_string_pair(at, MQTT_PROP_USER_PROPERTY, &name, &value, true);
    }
    return count;
}

static void on_message(struct mosquitto *mosq, void *context,
                       const struct mosquitto_message *received,
                       const mosquitto_property *properties)
{
    (void)mosq;
    struct link *link = context;
    struct user_property user_properties[LINK_PROPERTIES_MAX];
    struct property_texts texts = {.count = 0};
    struct message message = {
        .topic = bytes_from_text(received->topic),
        .payload = bytes_of(received->payload, (size_t)received->payloadlen),
        .qos = (uint8_t)received->qos,
        .is_retained = received->retain,
        .received_ms = link->received_ms,
    };
    link->callbacks++;
    if (properties != NULL) {
        message.property_count = read_properties(properties, &message, user_properties, &texts);
        message.properties = user_properties;
    }
    if (link->events.wants(link->events.context, &message) &&
        !message_batch_add(link->batch, &message)) {
        link->is_out_of_memory = true; // The link ends before its acknowledgement is written.
    }
    for (uint32_t i = 0; i < texts.count; i++) {
        free(texts.texts[i]);
    }
}

static void on_subscribe(struct mosquitto *mosq, void *context, int mid, int count,
                         const int *codes, const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    for (uint32_t i = 0; i < link->subscription_count; i++) {
        if (link->subscriptions[i].mid == mid) {
            uint32_t index = link->subscriptions[i].index;
            link->subscriptions[i] = link->subscriptions[--link->subscription_count];
            link->events.subscribed(link->events.context, index,
                                    count > 0 ? codes[0] : MQTT_RC_UNSPECIFIED);
            return;
        }
    }
}

// A QoS 0 publish was written, or a QoS 1 publish answered.
static void on_publish(struct mosquitto *mosq, void *context, int mid, int code,
                       const mosquitto_property *properties)
{
    (void)mosq;
    (void)properties;
    struct link *link = context;
    link->callbacks++;
    uint8_t bit = (uint8_t)(1U << (mid & 7));
    uint8_t *byte = &link->is_qos1[(mid & 0xFFFF) / 8];
    if ((*byte & bit) == 0) {
        return;
    }
    *byte = (uint8_t)(*byte & ~bit);
    link->qos1_count--;
    if (code >= REFUSED_CODE) {
        link->events.refused(link->events.context, code);
    }
}

// ---- connecting --------------------------------------------------------------------------------

// A key with a passphrase would make OpenSSL ask for it on the terminal.
static int no_passphrase(char *text, int size, int is_writing, void *context)
{
    (void)text;
    (void)size;
    (void)is_writing;
    (void)context;
    return 0;
}

static enum err set_tls(struct link *link, struct error *e)
{
    const struct link_peer *peer = &link->peer;
    if (!peer->url.is_tls) {
        return ERR_OK;
    }
    // libmosquitto wants a file or a folder of authorities; Debian keeps the system's there.
    const char *folder = peer->ca == NULL ? "/etc/ssl/certs" : NULL;
    if (mosquitto_tls_set(link->mosq, peer->ca, folder, peer->cert, peer->key, no_passphrase) !=
        MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_CONFIG,
                         "ca, cert or key: cannot be read (cert and key go together)");
    }
    return ERR_OK;
}

static void set_callbacks(struct mosquitto *mosq)
{
    mosquitto_connect_v5_callback_set(mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_message_v5_callback_set(mosq, on_message);
    mosquitto_subscribe_v5_callback_set(mosq, on_subscribe);
    mosquitto_publish_v5_callback_set(mosq, on_publish);
    mosquitto_log_callback_set(mosq, on_log);
}

static enum err set_up(struct link *link, struct error *e)
{
    const struct link_peer *peer = &link->peer;
    link->mosq = mosquitto_new(peer->client_id, peer->is_clean, link);
    if (link->mosq == NULL) {
        return errno == ENOMEM
                   ? error_set(e, ERR_NO_MEMORY, "out of memory")
                   : error_set(e, ERR_CONFIG, "client_id '%s' cannot be used", peer->client_id);
    }
    // From here on packets are only queued: link_flush alone writes.
    mosquitto_threaded_set(link->mosq, true);
    mosquitto_int_option(link->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         peer->is_v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(link->mosq, MOSQ_OPT_RECEIVE_MAXIMUM, peer->receive_maximum);
    mosquitto_int_option(link->mosq, MOSQ_OPT_SEND_MAXIMUM, LINK_QOS1_MAX);
    mosquitto_int_option(link->mosq, MOSQ_OPT_TCP_NODELAY, 1); // link_flush corks instead.
    set_callbacks(link->mosq);
    if (peer->username != NULL &&
        mosquitto_username_pw_set(link->mosq, peer->username, peer->password) != MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_CONFIG,
                         "username or password cannot be used: not UTF-8 or longer "
                         "than 65535 bytes");
    }
    return set_tls(link, e);
}

// Blocks as long as the name lookup does; connecting itself goes on in the background.
static int start_connecting(struct link *link, int *out_errno)
{
    const struct link_peer *peer = &link->peer;
    const char *own_address = peer->is_ipv4_only ? "0.0.0.0" : NULL;
    mosquitto_property *properties = NULL;
    int rc = MOSQ_ERR_SUCCESS;
    if (peer->is_v5) {
        rc = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                          peer->session_expiry_s);
        if (rc == MOSQ_ERR_SUCCESS) {
            rc = mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
                                              peer->packet_max);
        }
    }
    errno = 0;
    if (rc == MOSQ_ERR_SUCCESS) {
        // libmosquitto has no asynchronous connect with properties. What it does have keeps the
        // properties of an earlier attempt: that one fails at once, on an empty host name.
        if (properties != NULL) {
            mosquitto_connect_bind_v5(link->mosq, "", 0, peer->keepalive_s, NULL, properties);
        }
        errno = 0;
        rc = mosquitto_connect_bind_async(link->mosq, peer->url.host, peer->url.port,
                                          peer->keepalive_s, own_address);
    }
    *out_errno = errno;
    mosquitto_property_free_all(&properties);
    return rc == MOSQ_ERR_CONN_PENDING ? MOSQ_ERR_SUCCESS : rc;
}

static void free_link(struct link *link)
{
    mosquitto_destroy(link->mosq);
    if (link->lookup_fd >= 0) {
        close(link->lookup_fd);
    }
    pthread_mutex_destroy(&link->lookup_lock);
    free(link->subscriptions);
    free(link);
}

static void *lookup_main(void *context)
{
    struct link *link = context;
    int saved_errno = 0;
    int rc = start_connecting(link, &saved_errno);
    pthread_mutex_lock(&link->lookup_lock);
    link->lookup_rc = rc;
    link->lookup_errno = saved_errno;
    link->is_lookup = false;
    bool is_abandoned = link->is_abandoned;
    if (!is_abandoned) {
        eventfd_write(link->lookup_fd, 1);
    }
    pthread_mutex_unlock(&link->lookup_lock);
    if (is_abandoned) {
        free_link(link);
    }
    return NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static enum err start_lookup(struct link *link, struct error *e)
{
    pthread_t thread;
    pthread_attr_t attributes;
    link->lookup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (link->lookup_fd < 0) {
        return error_set(e, ERR_UNAVAILABLE, "eventfd: %s", strerror(errno));
    }
    link->is_lookup = true;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attributes, lookup_main, link);
    pthread_attr_destroy(&attributes);
    if (rc != 0) {
        link->is_lookup = false;
        return error_set(e, ERR_UNAVAILABLE, "a thread to look up %s: %s", link->peer.url.host,
                         strerror(rc));
    }
    return ERR_OK;
}

static struct link *create(const struct link_peer *peer, const struct link_events *events,
                           struct message_batch *batch, int64_t now_ms)
{
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return NULL;
    }
    link->peer = *peer;
    link->events = *events;
    link->batch = batch;
    link->deadline_ms = now_ms + peer->connect_timeout_ms;
    link->lookup_fd = -1;
    link->limits = (struct link_limits){
        .is_v5 = peer->is_v5,
        .receive_maximum = UINT16_MAX,
        .qos_max = 2,
        .has_retain = true,
        .has_wildcards = true,
        .has_shared = peer->is_v5,
    };
    pthread_mutex_init(&link->lookup_lock, NULL);
    return link;
}

enum err link_open(struct link **out_link, const struct link_peer *peer,
                   const struct link_events *events, struct message_batch *batch, int64_t now_ms,
                   struct error *e)
{
    pthread_once(&library_once, library_init);
    struct link *link = create(peer, events, batch, now_ms);
    if (link == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    enum err rc = set_up(link, e);
    if (rc == ERR_OK && !is_address(peer->url.host)) {
        rc = start_lookup(link, e);
    } else if (rc == ERR_OK) {
        int saved_errno = 0;
        int mosq_rc = start_connecting(link, &saved_errno);
        if (mosq_rc != MOSQ_ERR_SUCCESS) {
            lose_by(link, mosq_rc, saved_errno);
        }
    }
    if (rc != ERR_OK) {
        free_link(link);
        return rc;
    }
    *out_link = link;
    return ERR_OK;
}

void link_close(struct link *link, bool is_polite)
{
    if (link == NULL) {
        return;
    }
    pthread_mutex_lock(&link->lookup_lock);
    bool is_lookup = link->is_lookup;
    link->is_abandoned = true;
    pthread_mutex_unlock(&link->lookup_lock);
    if (is_lookup) {
        return; // The thread frees it.
    }
    if (is_polite && link->state == LINK_UP) {
        mosquitto_disconnect(link->mosq);
        mosquitto_loop_write(link->mosq, 1);
    }
    free_link(link);
}

static bool lookup_is_done(struct link *link)
{
    pthread_mutex_lock(&link->lookup_lock);
    bool is_done = !link->is_lookup;
    pthread_mutex_unlock(&link->lookup_lock);
    if (is_done && link->lookup_fd >= 0) {
        close(link->lookup_fd);
        link->lookup_fd = -1;
        if (link->lookup_rc != MOSQ_ERR_SUCCESS) {
            lose_by(link, link->lookup_rc, link->lookup_errno);
        }
    }
    return is_done;
}

// The outcome of a non-blocking connect; 0 when it stands or is under way.
static int connect_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static void drive_socket(struct link *link, short revents)
{
    if (!link->is_tcp_up) {
        int error = connect_error(link_fd(link));
        if (error != 0) {
            lose_by(link, MOSQ_ERR_ERRNO, error);
            return;
        }
        link->is_tcp_up = (revents & POLLOUT) != 0;
    }
    link->received_ms = clock_wall_ms();
    errno = 0;
    int rc = mosquitto_loop_read(link->mosq, 1);
    if (rc == MOSQ_ERR_SUCCESS && link->state == LINK_CONNECTING) {
        errno = 0;
        rc = mosquitto_loop_write(link->mosq, 1); // CONNECT; nothing else can be queued yet.
    }
    if (rc != MOSQ_ERR_SUCCESS || link->is_disconnected || link->connack_code != 0) {
        lose_by(link, rc, errno);
    } else if (link->state == LINK_CONNECTING && (revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
        lose_by(link, MOSQ_ERR_CONN_LOST, 0); // libmosquitto would try for ever.
    }
}

void link_drive(struct link *link, short revents, int64_t now_ms)
{
    if (link->state != LINK_CONNECTING) {
        return;
    }
    if (lookup_is_done(link) && link->state == LINK_CONNECTING && revents != 0) {
        drive_socket(link, revents);
    }
    if (link->state == LINK_CONNECTING && now_ms >= link->deadline_ms) {
        lose(link, ERR_UNAVAILABLE,
             link->is_tcp_up ? "no answer to the connection attempt in time"
                             : "no answer at this address in time");
    }
}

// ---- an established link -----------------------------------------------------------------------

enum link_state link_state(const struct link *link)
{
    return link->state;
}

const struct error *link_error(const struct link *link)
{
    return &link->error;
}

const struct link_limits *link_limits(const struct link *link)
{
    return &link->limits;
}

int64_t link_deadline_ms(const struct link *link)
{
    return link->deadline_ms;
}

int link_fd(const struct link *link)
{
    if (link->lookup_fd >= 0) {
        return link->lookup_fd;
    }
    return link->state == LINK_LOST ? -1 : mosquitto_socket(link->mosq);
}

// libmosquitto's wish to write stays set through a TLS handshake: while connecting ask for it only
// until the TCP connection stands.
short link_wanted(const struct link *link, bool may_write)
{
    bool is_writing = false;
    if (link->lookup_fd < 0 && link->state == LINK_CONNECTING) {
        is_writing = !link->is_tcp_up;
    } else if (link->state == LINK_UP) {
        is_writing = may_write && mosquitto_want_write(link->mosq);
    }
    return (short)(POLLIN | POLLRDHUP | (is_writing ? POLLOUT : 0));
}

static bool is_readable(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    return poll(&pollfd, 1, 0) > 0;
}

// One packet as a rule; some where libmosquitto likes to read ahead.
static bool read_once(struct link *link)
{
    errno = 0;
    int rc = mosquitto_loop_read(link->mosq, 1);
    if (rc != MOSQ_ERR_SUCCESS || link->is_disconnected || link->is_out_of_memory) {
        lose_by(link, rc, errno);
    }
    return link->state == LINK_UP;
}

void link_read(struct link *link, uint32_t count_max, uint64_t bytes_max)
{
    link->received_ms = clock_wall_ms();
    // Each round that calls nothing back is rare: a ping's answer, the part of a large message.
    uint64_t rounds_max = (uint64_t)count_max * 2 + 64;
    for (uint64_t round = 0; round < rounds_max && link->batch->count < count_max &&
                             link->batch->bytes < bytes_max && link->state == LINK_UP;
         round++) {
        uint64_t before = link->callbacks;
        if (!read_once(link)) {
            return;
        }
        // Bytes that OpenSSL holds decrypted do not show in poll: go on while messages come.
        if (link->callbacks == before && !is_readable(mosquitto_socket(link->mosq))) {
            return;
        }
    }
}

static void cork(struct link *link, int is_corked)
{
    int fd = mosquitto_socket(link->mosq);
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_CORK, &is_corked, sizeof(is_corked)); // Only speed.
    }
}

void link_flush(struct link *link)
{
    if (link->state != LINK_UP || !mosquitto_want_write(link->mosq)) {
        return;
    }
    cork(link, 1);
    errno = 0;
    int rc = mosquitto_loop_write(link->mosq, 1);
    if (rc != MOSQ_ERR_SUCCESS || link->is_disconnected) {
        lose_by(link, rc, errno);
        return;
    }
    cork(link, 0);
    if (!mosquitto_want_write(link->mosq)) {
        link->queued_bytes = 0;
    }
}

void link_tend(struct link *link)
{
    if (link->state != LINK_UP) {
        return;
    }
    errno = 0;
    int rc = mosquitto_loop_misc(link->mosq);
    if (rc != MOSQ_ERR_SUCCESS) {
        lose_by(link, rc, errno);
    }
}

bool link_subscribe(struct link *link, uint32_t index, const char *filter, uint8_t qos)
{
    if (link->state != LINK_UP || link->subscription_count >= SUBSCRIPTIONS_MAX) {
        return false;
    }
    if (link->subscription_count == link->subscription_capacity) {
        uint32_t capacity = link->subscription_capacity * 2 + 8;
        struct subscription *grown =
            realloc(link->subscriptions, capacity * sizeof(link->subscriptions[0]));
        if (grown == NULL) {
            return false;
        }
        link->subscriptions = grown;
        link->subscription_capacity = capacity;
    }
    int mid = 0;
    int options = link->peer.is_v5 ? MQTT_SUB_OPT_SEND_RETAIN_NEW : 0;
    if (mosquitto_subscribe_v5(link->mosq, &mid, filter, qos, options, NULL) != MOSQ_ERR_SUCCESS) {
        return false;
    }
    link->subscriptions[link->subscription_count++] = (struct subscription){mid, index};
    return true;
}

bool link_publish(struct link *link, const struct link_publish *publish)
{
    size_t size = strlen(publish->topic) + publish->payload.len;
    if (link->state != LINK_UP || publish->payload.len > MQTT_MAX_PAYLOAD ||
        (publish->qos > 0 && link->qos1_count >= LINK_QOS1_MAX) ||
        link->queued_bytes + size > LINK_QUEUED_BYTES_MAX) {
        return false;
    }
    mosquitto_property *properties = NULL;
    if (link->peer.is_v5 && publish->content_type != NULL && publish->content_type[0] != '\0') {
        mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE, publish->content_type);
    }
    uint8_t qos = publish->qos < link->limits.qos_max ? publish->qos : link->limits.qos_max;
    int mid = 0;
    int rc = mosquitto_publish_v5(link->mosq, &mid, publish->topic, (int)publish->payload.len,
                                  publish->payload.ptr, qos, publish->is_retained, properties);
    mosquitto_property_free_all(&properties);
    if (rc != MOSQ_ERR_SUCCESS) {
        return false;
    }
    link->queued_bytes += size;
    if (qos > 0) {
        link->is_qos1[mid / 8] |= (uint8_t)(1U << (mid & 7));
        link->qos1_count++;
    }
    return true;
}

uint32_t link_unanswered(const struct link *link)
{
    return link->qos1_count;
}
