// wire.h - a bare MQTT 3.1.1 connection for load and measurement: large buffers, no library in the
// way. Threads:   one a connection. Failure:   any error ends the program with a sentence: a bench
// has nothing to recover.
#ifndef PIPIT_BENCH_WIRE_H
#define PIPIT_BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_BUFFER (1 << 20)

struct wire {
    int fd;
    uint8_t out[WIRE_BUFFER];
    size_t out_len;
    uint8_t in[WIRE_BUFFER];
    size_t in_at, in_len;
};

struct wire_packet {
    uint8_t type; // 3 PUBLISH, 4 PUBACK, 9 SUBACK, ...
    uint16_t id;
    const uint8_t *topic, *payload;
    size_t topic_len, payload_len;
};

void wire_fail(const char *what);
int64_t wire_now_us(void);
void wire_open(struct wire *wire, int port, const char *client_id);
void wire_close(struct wire *wire);
void wire_subscribe(struct wire *wire, const char *filter);
// id 0: QoS 0. Returns 0 when the buffer has no room: flush first.
int wire_publish(struct wire *wire, const char *topic, const void *payload, size_t len,
                 uint16_t id);
void wire_acknowledge(struct wire *wire, uint16_t id);
void wire_flush(struct wire *wire);
// Waits up to timeout_ms (0: not at all) for bytes, then gives packets until it returns 0.
int wire_read(struct wire *wire, int timeout_ms);
int wire_next(struct wire *wire, struct wire_packet *out);

#endif
