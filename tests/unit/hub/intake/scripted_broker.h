// scripted_broker.h - a broker of a few bytes for the tests of the intake: the test itself plays
// it, in the same thread, packet by packet, so that it sees exactly what was written and when.
#ifndef TEST_SCRIPTED_BROKER_H
#define TEST_SCRIPTED_BROKER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake/source.h"

enum { CONNECT = 0x10, PUBLISH = 0x30, PUBACK = 0x40, SUBSCRIBE = 0x80, PINGREQ = 0xC0 };
enum { DISCONNECT = 0xE0 };

#define DEADLINE_MS 10000

struct packet {
    uint8_t type; // First byte without its flags.
    uint8_t body[4096];
    size_t len;
};

struct broker {
    int listener, fd;
    char url[64];
    int64_t now_ms; // What the source is told.
    uint8_t in[65536];
    size_t in_len;
};

static inline void broker_start(struct broker *broker)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *broker = (struct broker){.fd = -1, .now_ms = 1000000};
    broker->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(broker->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(broker->listener, 8), 0);
    assert_int_equal(getsockname(broker->listener, (struct sockaddr *)&address, &len), 0);
    fcntl(broker->listener, F_SETFL, O_NONBLOCK);
    snprintf(broker->url, sizeof(broker->url), "mqtt://127.0.0.1:%u", ntohs(address.sin_port));
}

static inline void broker_hang_up(struct broker *broker)
{
    if (broker->fd >= 0) {
        close(broker->fd);
    }
    broker->fd = -1;
    broker->in_len = 0;
}

static inline void broker_stop(struct broker *broker)
{
    broker_hang_up(broker);
    close(broker->listener);
}

// One round of the hub thread's loop, without acknowledging. Time stands still unless moved.
static inline uint32_t hub_round(struct broker *broker, struct source *source, struct input *inputs,
                                 uint32_t count_max)
{
    struct pollfd pollfd;
    int timeout_ms;
    source_poll(source, &pollfd, broker->now_ms, &timeout_ms);
    poll(&pollfd, 1, timeout_ms < 5 ? timeout_ms : 5);
    return source_read(source, pollfd.revents, broker->now_ms, inputs, count_max, 1 << 20);
}

static inline void broker_receive(struct broker *broker)
{
    if (broker->fd < 0) {
        broker->fd = accept4(broker->listener, NULL, NULL, SOCK_NONBLOCK);
    }
    ssize_t n = broker->fd < 0 ? -1
                               : recv(broker->fd, broker->in + broker->in_len,
                                      sizeof(broker->in) - broker->in_len, 0);
    if (n > 0) {
        broker->in_len += (size_t)n;
    }
}

// Takes a whole packet out of what has arrived; false when there is none.
static inline bool broker_take(struct broker *broker, struct packet *out_packet)
{
    size_t len = 0, at = 1;
    uint32_t shift = 0;
    do {
        if (at >= broker->in_len) {
            return false;
        }
        len |= (size_t)(broker->in[at] & 127) << shift;
        shift += 7;
    } while ((broker->in[at++] & 128) != 0);
    if (broker->in_len < at + len) {
        return false;
    }
    assert_true(len <= sizeof(out_packet->body));
    out_packet->type = broker->in[0] & 0xF0;
    out_packet->len = len;
    memcpy(out_packet->body, broker->in + at, len);
    broker->in_len -= at + len;
    memmove(broker->in, broker->in + at + len, broker->in_len);
    return true;
}

// Runs the hub until a packet comes; it must be of that type, and no message may come meanwhile.
static inline struct packet broker_expect(struct broker *broker, struct source *source,
                                          uint8_t type)
{
    struct packet packet = {0};
    struct input inputs[4];
    int64_t end_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!broker_take(broker, &packet)) {
        assert_true(clock_monotonic_ms() < end_ms);
        assert_int_equal(hub_round(broker, source, inputs, 4), 0);
        broker_receive(broker);
    }
    assert_int_equal(packet.type, type);
    return packet;
}

// Runs the hub for some rounds: nothing may be written.
static inline void broker_expect_silence(struct broker *broker, struct source *source)
{
    struct input inputs[4];
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hub_round(broker, source, inputs, 4), 0);
        broker_receive(broker);
        assert_int_equal(broker->in_len, 0);
    }
}

static inline void broker_send(struct broker *broker, const void *bytes, size_t len)
{
    assert_int_equal(send(broker->fd, bytes, len, MSG_NOSIGNAL), len);
}

#define broker_send_bytes(broker, ...)                                                             \
    broker_send(broker, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

// A PUBLISH of QoS 1 with packet id and, for MQTT 5, encoded properties.
static inline void broker_publish(struct broker *broker, uint16_t id, const char *topic,
                                  const char *payload, bool is_v5)
{
    uint8_t packet[256];
    size_t topic_len = strlen(topic), payload_len = strlen(payload);
    size_t len = 2 + topic_len + 2 + (is_v5 ? 1 : 0) + payload_len, at = 0;
    assert_true(len < 128);
    packet[at++] = PUBLISH | 2;
    packet[at++] = (uint8_t)len;
    packet[at++] = 0;
    packet[at++] = (uint8_t)topic_len;
    memcpy(packet + at, topic, topic_len);
    at += topic_len;
    packet[at++] = (uint8_t)(id >> 8);
    packet[at++] = (uint8_t)id;
    if (is_v5) {
        packet[at++] = 0;
    }
    memcpy(packet + at, payload, payload_len);
    broker_send(broker, packet, at + payload_len);
}

static inline uint16_t packet_id(const struct packet *packet)
{
    return (uint16_t)(packet->body[0] << 8 | packet->body[1]);
}

// Answers CONNECT and the subscriptions of the source (one filter and $SYS).
static inline void broker_welcome(struct broker *broker, struct source *source, bool is_v5)
{
    broker_expect(broker, source, CONNECT);
    if (is_v5) {
        broker_send_bytes(broker, 0x20, 3, 0, 0, 0);
    } else {
        broker_send_bytes(broker, 0x20, 2, 0, 0);
    }
    for (int i = 0; i < 2; i++) {
        struct packet packet = broker_expect(broker, source, SUBSCRIBE);
        if (is_v5) {
            broker_send_bytes(broker, 0x90, 4, packet.body[0], packet.body[1], 0, i == 0 ? 1 : 0);
        } else {
            broker_send_bytes(broker, 0x90, 3, packet.body[0], packet.body[1], i == 0 ? 1 : 0);
        }
    }
    struct source_state state = {0};
    int64_t end_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!state.is_up) {
        struct input inputs[1];
        assert_true(clock_monotonic_ms() < end_ms);
        assert_int_equal(hub_round(broker, source, inputs, 1), 0);
        source_state(source, &state);
    }
}

// Reads until that many messages have come, without acknowledging.
static inline uint32_t hub_read(struct broker *broker, struct source *source, struct input *inputs,
                                uint32_t count)
{
    uint32_t read = 0;
    int64_t end_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (read < count) {
        assert_true(clock_monotonic_ms() < end_ms);
        read += hub_round(broker, source, inputs + read, count - read);
    }
    return read;
}

#endif
