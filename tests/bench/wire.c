#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void wire_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

int64_t wire_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static size_t put_text(uint8_t *out, const char *text)
{
    size_t len = strlen(text);
    out[0] = (uint8_t)(len >> 8);
    out[1] = (uint8_t)len;
    memcpy(out + 2, text, len);
    return len + 2;
}

static void send_short(struct wire *wire, uint8_t first, const uint8_t *body, size_t len)
{
    if (wire->out_len + len + 2 > WIRE_BUFFER) {
        wire_flush(wire);
    }
    wire->out[wire->out_len++] = first;
    wire->out[wire->out_len++] = (uint8_t)len; // Shorter than 128 bytes.
    memcpy(wire->out + wire->out_len, body, len);
    wire->out_len += len;
}

static void expect(struct wire *wire, uint8_t type, const char *what)
{
    struct wire_packet packet;
    for (int i = 0; i < 50; i++) {
        wire_read(wire, 100);
        if (wire_next(wire, &packet)) {
            if (packet.type == type) {
                return;
            }
            errno = EPROTO;
            wire_fail(what);
        }
    }
    errno = ETIMEDOUT;
    wire_fail(what);
}

void wire_open(struct wire *wire, int port, const char *client_id)
{
    wire->out_len = wire->in_at = wire->in_len = 0;
    wire->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (wire->fd < 0 || connect(wire->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        wire_fail("connect");
    }
    int on = 1;
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    static const uint8_t header[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0};
    uint8_t body[120];
    memcpy(body, header, sizeof(header));
    size_t len = sizeof(header) + put_text(body + sizeof(header), client_id);
    send_short(wire, 0x10, body, len);
    wire_flush(wire);
    expect(wire, 2, "CONNACK");
}

void wire_close(struct wire *wire)
{
    send_short(wire, 0xe0, NULL, 0);
    wire_flush(wire);
    close(wire->fd);
}

void wire_subscribe(struct wire *wire, const char *filter)
{
    uint8_t body[120] = {0, 1};
    size_t len = 2 + put_text(body + 2, filter);
    body[len++] = 1;
    send_short(wire, 0x82, body, len);
    wire_flush(wire);
    expect(wire, 9, "SUBACK");
}

int wire_publish(struct wire *wire, const char *topic, const void *payload, size_t len, uint16_t id)
{
    size_t topic_len = strlen(topic);
    size_t rest = 2 + topic_len + (id != 0 ? 2 : 0) + len;
    if (wire->out_len + rest + 5 > WIRE_BUFFER) {
        return 0;
    }
    uint8_t *out = wire->out + wire->out_len;
    *out++ = id != 0 ? 0x32 : 0x30;
    for (size_t left = rest; left > 0; left >>= 7) {
        *out++ = (uint8_t)((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    }
    out += put_text(out, topic);
    if (id != 0) {
        *out++ = (uint8_t)(id >> 8);
        *out++ = (uint8_t)id;
    }
    memcpy(out, payload, len);
    wire->out_len = (size_t)(out + len - wire->out);
    return 1;
}

void wire_acknowledge(struct wire *wire, uint16_t id)
{
    uint8_t body[2] = {(uint8_t)(id >> 8), (uint8_t)id};
    send_short(wire, 0x40, body, 2);
}

void wire_flush(struct wire *wire)
{
    size_t at = 0;
    while (at < wire->out_len) {
        ssize_t n = send(wire->fd, wire->out + at, wire->out_len - at, MSG_NOSIGNAL);
        if (n <= 0) {
            wire_fail("send");
        }
        at += (size_t)n;
    }
    wire->out_len = 0;
}

int wire_read(struct wire *wire, int timeout_ms)
{
    struct pollfd pollfd = {.fd = wire->fd, .events = POLLIN};
    if (poll(&pollfd, 1, timeout_ms) <= 0) {
        return 0;
    }
    if (wire->in_at > 0) {
        memmove(wire->in, wire->in + wire->in_at, wire->in_len - wire->in_at);
        wire->in_len -= wire->in_at;
        wire->in_at = 0;
    }
    ssize_t n = recv(wire->fd, wire->in + wire->in_len, WIRE_BUFFER - wire->in_len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        wire_fail("the broker hung up");
    }
    wire->in_len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void parse_publish(struct wire_packet *out, uint8_t first, const uint8_t *body, size_t len)
{
    out->topic_len = (size_t)body[0] << 8 | body[1];
    out->topic = body + 2;
    size_t at = 2 + out->topic_len;
    if ((first & 6) != 0) {
        out->id = (uint16_t)(body[at] << 8 | body[at + 1]);
        at += 2;
    }
    out->payload = body + at;
    out->payload_len = len - at;
}

int wire_next(struct wire *wire, struct wire_packet *out)
{
    const uint8_t *in = wire->in + wire->in_at;
    size_t have = wire->in_len - wire->in_at, len = 0, at = 1;
    for (int shift = 0;; shift += 7, at++) {
        if (have <= at) {
            return 0;
        }
        len |= (size_t)(in[at] & 0x7f) << shift;
        if ((in[at] & 0x80) == 0) {
            break;
        }
    }
    at++;
    if (have < at + len) {
        return 0;
    }
    *out = (struct wire_packet){.type = in[0] >> 4};
    if (out->type == 3) {
        parse_publish(out, in[0], in + at, len);
    } else if (len >= 2) {
        out->id = (uint16_t)(in[at] << 8 | in[at + 1]);
    }
    wire->in_at += at + len;
    return 1;
}
