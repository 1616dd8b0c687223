#define _GNU_SOURCE // POLLRDHUP.

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/clock.h"
#include "intake/link_parts.h"

#define SUBSCRIPTIONS_MAX 4096 // Unanswered at a time.
#define READ_MS_MAX       50   // A batch that still grows then is committed first.
#define READ_ROUNDS       32   // Between two looks at the clock.

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
        link_lose_by(link, rc, errno);
    }
    return link->state == LINK_UP;
}

// A broker that waits for our TCP acknowledgement before it writes on (Nagle) must not wait for the
// commit as well.
static void confirm_read(const struct link *link)
{
    int fd = mosquitto_socket(link->mosq), flag = 1;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &flag, sizeof(flag)); // Only speed.
    }
}

static void read_packets(struct link *link, uint32_t count_max, uint64_t bytes_max)
{
    int64_t end_ms = clock_monotonic_ms() + READ_MS_MAX;
    link->received_ms = clock_wall_ms();
    // Each round that calls nothing back is rare: a ping's answer, the part of a large message.
    uint64_t rounds_max = (uint64_t)count_max * 2 + 64;
    for (uint64_t round = 0; round < rounds_max && link->batch->count < count_max &&
                             link->batch->bytes < bytes_max && link->state == LINK_UP;
         round++) {
        if (round % READ_ROUNDS == READ_ROUNDS - 1 && clock_monotonic_ms() > end_ms) {
            return;
        }
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

void link_read(struct link *link, uint32_t count_max, uint64_t bytes_max)
{
    read_packets(link, count_max, bytes_max);
    confirm_read(link);
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
        link_lose_by(link, rc, errno);
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
        link_lose_by(link, rc, errno);
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

void link_unsubscribe(struct link *link, const char *filter)
{
    if (link->state == LINK_UP) {
        mosquitto_unsubscribe(link->mosq, NULL, filter);
    }
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
