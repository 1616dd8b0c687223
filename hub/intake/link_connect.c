#define _GNU_SOURCE // POLLRDHUP.

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "intake/link_parts.h"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    mosquitto_lib_init();
}

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
    link_listen(link);
    if (peer->username != NULL &&
        mosquitto_username_pw_set(link->mosq, peer->username, peer->password) != MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_CONFIG,
                         "username or password cannot be used: not UTF-8 or longer "
                         "than 65535 bytes");
    }
    if (peer->will_topic != NULL &&
        mosquitto_will_set(link->mosq, peer->will_topic, (int)strlen(peer->will), peer->will, 1,
                           true) != MOSQ_ERR_SUCCESS) {
        return error_set(e, ERR_CONFIG, "the topic %s cannot be used", peer->will_topic);
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
            link_lose_by(link, mosq_rc, saved_errno);
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
            link_lose_by(link, link->lookup_rc, link->lookup_errno);
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
            link_lose_by(link, MOSQ_ERR_ERRNO, error);
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
        link_lose_by(link, rc, errno);
    } else if (link->state == LINK_CONNECTING && (revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
        link_lose_by(link, MOSQ_ERR_CONN_LOST, 0); // libmosquitto would try for ever.
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
        link_lose(link, ERR_UNAVAILABLE,
                  link->is_tcp_up ? "no answer to the connection attempt in time"
                                  : "no answer at this address in time");
    }
}
