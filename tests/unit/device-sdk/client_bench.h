// client_bench.h - a client between a test and a byte pipe: its memory has exactly the size that
// was given, and a judge reads all that it sends.
// Threads:   none.
// Ownership: a bench owns everything; bench_end frees it.
// Failure:   cmocka's assertions.
#ifndef CLIENT_BENCH_H
#define CLIENT_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "byte_pipe.h"
#include "mqtt_judge.h"

#define BENCH_SENT_MAX (1u << 17)

struct bench_sizes {
    size_t receive, send;
    uint16_t flights, inbound;
};

struct bench {
    struct byte_pipe pipe;
    struct judge judge;
    struct judge_packet last;      // The last packet that was sent; its texts are gone.
    struct judge_packet connected; // The last CONNECT, likewise.
    uint8_t sent[BENCH_SENT_MAX];  // Not looked at yet.
    size_t sent_len;
    struct pipit_client client;
    struct pipit_link *link;
    struct pipit_client_options options;
    struct pipit_connect connect;
    struct pipit_link_event event;
    uint32_t now_ms;
    bool is_v5;
};

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static inline void bench_packet(void *context, const struct judge_packet *packet)
{
    struct bench *bench = context;
    bench->last = *packet;
    if (packet->type == 1) {
        bench->connected = *packet;
    }
}

static inline void bench_watch(void *context, const uint8_t *ptr, size_t len)
{
    struct bench *bench = context;
    assert_true(len <= sizeof(bench->sent) - bench->sent_len);
    memcpy(bench->sent + bench->sent_len, ptr, len);
    bench->sent_len += len;
    judge_put(&bench->judge, ptr, len);
}

static inline void bench_free(struct bench *bench)
{
    free(bench->options.receive_memory);
    free(bench->options.send_memory);
    free(bench->options.flights);
    free(bench->options.inbound);
}

// Another client, with memory of these sizes; the pipe stays as it is.
static inline void bench_size(struct bench *bench, struct bench_sizes sizes)
{
    struct pipit_client_options *options = &bench->options;
    bench_free(bench);
    options->receive_memory = malloc(sizes.receive);
    options->send_memory = malloc(sizes.send);
    options->flights = malloc(sizes.flights * sizeof(options->flights[0]));
    options->inbound =
        sizes.inbound > 0 ? malloc(sizes.inbound * sizeof(options->inbound[0])) : NULL;
    options->receive_bytes = sizes.receive;
    options->send_bytes = sizes.send;
    options->flights_max = sizes.flights;
    options->inbound_max = sizes.inbound;
    memset(&bench->client, 0xA5, sizeof(bench->client)); // init is all that a caller has to do.
    assert_int_equal(pipit_client_init(&bench->client, options), PIPIT_OK);
    bench->link = &bench->client.base;
}

static inline struct bench *bench_begin(bool is_v5)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    pipe_init(&bench->pipe);
    bench->pipe.watch = bench_watch;
    bench->pipe.context = bench;
    bench->judge.on_packet = bench_packet;
    bench->judge.context = bench;
    bench->is_v5 = is_v5;
    bench->options.transport = &bench->pipe.base;
    bench->options.version = is_v5 ? PIPIT_MQTT_5 : PIPIT_MQTT_311;
    bench->connect =
        (struct pipit_connect){.client_id = "c", .keepalive_s = 60, .session_expiry_s = 3600};
    bench->now_ms = 1000;
    bench_size(bench, (struct bench_sizes){128, 256, 4, 3});
    return bench;
}

static inline void bench_end(struct bench *bench)
{
    const char *fault = bench->judge.fault;
    bench_free(bench);
    free(bench);
    if (fault != NULL) {
        fail_msg("the client sent: %s", fault);
    }
}

// cmocka gives each test its version and takes the bench back.
static inline int bench_setup(void **state)
{
    *state = bench_begin(*(const bool *)*state);
    return 0;
}

static inline int bench_teardown(void **state)
{
    bench_end(*state);
    return 0;
}

static const bool bench_v311 = false, bench_v5 = true;

// A version that is not built in has no tests.
static inline void bench_not_built(void **state)
{
    (void)state;
}

#define BENCH_TEST(test, name, is_built, version)                                                  \
    {                                                                                              \
        name, (is_built) ? test : bench_not_built, (is_built) ? bench_setup : NULL,                \
            (is_built) ? bench_teardown : NULL, (void *)(uintptr_t) & (version)                    \
    }
#define ON_311(test)  BENCH_TEST(test, #test " (3.1.1)", PIPIT_WITH_MQTT_311, bench_v311)
#define ON_5(test)    BENCH_TEST(test, #test " (5)", PIPIT_WITH_MQTT_5, bench_v5)
#define ON_BOTH(test) ON_311(test), ON_5(test)

// ---- the broker's side --------------------------------------------------------------------------

static inline void bench_put(struct bench *bench, const uint8_t *ptr, size_t len)
{
    pipe_put(&bench->pipe, ptr, len);
}

// A PUBLISH of any size with an empty list of properties.
static inline void bench_put_publish(struct bench *bench, uint8_t flags, const char *topic,
                                     uint16_t id, const void *payload, size_t len)
{
    uint8_t head[16];
    size_t at = 1, topic_len = strlen(topic);
    bool has_id = (flags & 6) != 0;
    size_t rest = 2 + topic_len + (has_id ? 2 : 0) + (bench->is_v5 ? 1 : 0) + len;
    head[0] = (uint8_t)(0x30 | flags);
    for (size_t left = rest; left > 0 || at == 1; left >>= 7) {
        head[at++] = (uint8_t)((left & 0x7F) | (left > 0x7F ? 0x80 : 0));
    }
    head[at++] = (uint8_t)(topic_len >> 8);
    head[at++] = (uint8_t)topic_len;
    bench_put(bench, head, at);
    bench_put(bench, (const uint8_t *)topic, topic_len);
    if (has_id) {
        bench_put(bench, BYTES((uint8_t)(id >> 8), (uint8_t)id));
    }
    if (bench->is_v5) {
        bench_put(bench, BYTES(0));
    }
    bench_put(bench, payload, len);
}

static inline void bench_put_message(struct bench *bench, uint8_t qos, uint16_t id)
{
    bench_put_publish(bench, (uint8_t)(qos << 1), "t", id, "x", 1);
}

// The short form of an acknowledgement, the same in both versions.
static inline void bench_put_answer(struct bench *bench, uint8_t first, uint16_t id)
{
    bench_put(bench, BYTES(first, 2, (uint8_t)(id >> 8), (uint8_t)id));
}

static inline void bench_put_suback(struct bench *bench, uint16_t id, uint8_t code)
{
    if (bench->is_v5) {
        bench_put(bench, BYTES(0x90, 4, (uint8_t)(id >> 8), (uint8_t)id, 0, code));
    } else {
        bench_put(bench, BYTES(0x90, 3, (uint8_t)(id >> 8), (uint8_t)id, code));
    }
}

static inline void bench_put_connack(struct bench *bench, bool has_session, uint8_t code)
{
    if (bench->is_v5) {
        bench_put(bench, BYTES(0x20, 3, has_session, code, 0));
    } else {
        bench_put(bench, BYTES(0x20, 2, has_session, code));
    }
}

// ---- the device's side --------------------------------------------------------------------------

static inline enum pipit_link_kind bench_poll(struct bench *bench)
{
    memset(&bench->event, 0xA5, sizeof(bench->event));
    bench->link->type->poll(bench->link, bench->now_ms, &bench->event);
    return bench->event.kind;
}

// What the next polls bring; they are not endless.
static inline enum pipit_link_kind bench_next(struct bench *bench)
{
    for (int i = 0; i < 2000; i++) {
        if (bench_poll(bench) != PIPIT_LINK_NOTHING) {
            break;
        }
    }
    return bench->event.kind;
}

static inline void bench_quiet(struct bench *bench)
{
    for (int i = 0; i < 4; i++) {
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    }
}

static inline void bench_later(struct bench *bench, uint32_t ms)
{
    bench->now_ms += ms;
}

static inline void bench_expect(struct bench *bench, enum pipit_link_kind kind, enum pipit_err rc)
{
    assert_int_equal(bench_next(bench), kind);
    assert_int_equal(bench->event.rc, rc);
}

// Exactly one DOWN, the transport is closed, and nothing follows.
static inline void bench_expect_down(struct bench *bench, enum pipit_err rc)
{
    bench_expect(bench, PIPIT_LINK_DOWN, rc);
    assert_false(bench->pipe.type.close != NULL && bench->pipe.is_open);
    bench_quiet(bench);
}

static inline void bench_expect_acked(struct bench *bench, uint32_t token, enum pipit_err rc)
{
    bench_expect(bench, PIPIT_LINK_ACKED, rc);
    assert_int_equal(bench->event.token, token);
}

static inline void bench_expect_message(struct bench *bench, const char *topic, const void *payload,
                                        size_t len)
{
    bench_expect(bench, PIPIT_LINK_MESSAGE, PIPIT_OK);
    assert_int_equal(bench->event.topic.len, strlen(topic));
    assert_memory_equal(bench->event.topic.ptr, topic, strlen(topic));
    assert_int_equal(bench->event.payload.len, len);
    if (len > 0) {
        assert_memory_equal(bench->event.payload.ptr, payload, len);
    }
}

// All that has been sent since the last look.
static inline void bench_expect_sent(struct bench *bench, const uint8_t *ptr, size_t len)
{
    assert_int_equal(bench->sent_len, len);
    assert_memory_equal(bench->sent, ptr, len);
    bench->sent_len = 0;
}

static inline void bench_expect_nothing_sent(struct bench *bench)
{
    assert_int_equal(bench->sent_len, 0);
}

static inline enum pipit_err bench_connect(struct bench *bench)
{
    judge_begin(&bench->judge, bench->is_v5);
    return bench->link->type->connect(bench->link, &bench->connect);
}

// CONNECT is out and looked at, CONNACK still to come.
static inline void bench_connecting(struct bench *bench)
{
    unsigned count = bench->judge.count;
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    for (int i = 0; i < 2000 && bench->judge.count == count; i++) {
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    }
    assert_int_equal(bench->last.type, 1);
    bench->sent_len = 0;
}

static inline void bench_up_again(struct bench *bench, bool has_session)
{
    bench_connecting(bench);
    bench_put_connack(bench, has_session, 0);
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
}

static inline void bench_up(struct bench *bench)
{
    bench_up_again(bench, false);
}

// MQTT 5: the CONNACK has these properties.
static inline void bench_up_with(struct bench *bench, const uint8_t *properties, size_t len)
{
    bench_connecting(bench);
    bench_put(bench, BYTES(0x20, (uint8_t)(3 + len), 0, 0, (uint8_t)len));
    bench_put(bench, properties, len);
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
}

// The connection breaks; the client hears of it by reading.
static inline void bench_break(struct bench *bench)
{
    bench->pipe.read_error = PIPIT_ERR_UNREACHABLE;
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    bench->pipe.read_error = 0;
    bench->sent_len = 0;
}

static inline enum pipit_err bench_publish(struct bench *bench, uint8_t qos, uint32_t token)
{
    struct pipit_message message = {
        .topic = "t", .payload = pipit_text("x"), .qos = qos, .token = token};
    return bench->link->type->publish(bench->link, &message);
}

static inline enum pipit_err bench_publish_bytes(struct bench *bench, uint8_t qos, uint32_t token,
                                                 const uint8_t *ptr, size_t len)
{
    struct pipit_message message = {
        .topic = "t", .payload = {ptr, len}, .qos = qos, .token = token};
    return bench->link->type->publish(bench->link, &message);
}

// The PUBLISH that bench_publish gives.
static inline void bench_expect_publish(struct bench *bench, uint8_t first, uint16_t id)
{
    uint8_t want[16] = {first, 4, 0, 1, 't'};
    size_t len = 5;
    if ((first & 6) != 0) {
        want[len++] = (uint8_t)(id >> 8);
        want[len++] = (uint8_t)id;
    }
    if (bench->is_v5) {
        want[len++] = 0;
    }
    want[len++] = 'x';
    want[1] = (uint8_t)(len - 2);
    bench_expect_sent(bench, want, len);
}

static inline enum pipit_err bench_subscribe(struct bench *bench, const char *filter, uint8_t qos,
                                             uint32_t token)
{
    return bench->link->type->subscribe(bench->link, filter, qos, token);
}

static inline void bench_disconnect(struct bench *bench)
{
    bench->link->type->disconnect(bench->link);
}

// The broker broke the protocol: MQTT 5 has a DISCONNECT with the reason, 3.1.1 only hangs up.
static inline void bench_expect_fail(struct bench *bench, uint8_t reason)
{
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    assert_int_equal(pipit_client_reason(&bench->client), reason);
    if (bench->is_v5) {
        bench_expect_sent(bench, BYTES(0xE0, 1, reason));
    } else {
        bench_expect_nothing_sent(bench);
    }
}

#endif
