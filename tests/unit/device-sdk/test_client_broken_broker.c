// Whatever a broker sends: it is understood, or the connection ends with the reason.
#include "client_bench.h"

#define ROW(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

struct row {
    const char *why;
    uint8_t bytes[32];
    size_t len;
    uint8_t reason;
};

// Each row on a connection of its own, whole and byte by byte; the next connection works.
static void check_rows(struct bench *bench, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count * 2; i++) {
        const struct row *row = &rows[i / 2];
        bench->pipe.read_max = PIPE_ANY;
        bench_up(bench);
        bench->pipe.read_max = i % 2 == 0 ? PIPE_ANY : 1;
        bench_put(bench, row->bytes, row->len);
        if (bench_next(bench) != PIPIT_LINK_DOWN || bench->event.rc != PIPIT_ERR_MALFORMED ||
            pipit_client_reason(&bench->client) != row->reason) {
            fail_msg("%s: event %d, rc %d, reason 0x%02X", row->why, (int)bench->event.kind,
                     (int)bench->event.rc, pipit_client_reason(&bench->client));
        }
        bench_quiet(bench);
        if (bench->is_v5) {
            bench_expect_sent(bench, BYTES(0xE0, 1, row->reason));
        } else {
            bench_expect_nothing_sent(bench);
        }
        bench->sent_len = 0;
    }
    bench->pipe.read_max = PIPE_ANY;
    bench_up(bench);
    bench_put_message(bench, 0, 0);
    bench_expect_message(bench, "t", "x", 1);
}

#define CHECK(bench, rows) check_rows(bench, rows, sizeof(rows) / sizeof(rows[0]))

// MQTT 3.1.1: [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-4.8.0-1]
// MQTT 5: [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-4.13.1-1]
static void test_wrong_flags(void **state)
{
    static const struct row rows[] = {
        {"PUBACK", ROW(0x41, 2, 0, 1), 0x81},   {"PUBACK, all", ROW(0x4F, 2, 0, 1), 0x81},
        {"PUBREC", ROW(0x52, 2, 0, 1), 0x81},   {"PUBREL without", ROW(0x60, 2, 0, 1), 0x81},
        {"PUBREL", ROW(0x63, 2, 0, 1), 0x81},   {"PUBREL", ROW(0x66, 2, 0, 1), 0x81},
        {"PUBCOMP", ROW(0x78, 2, 0, 1), 0x81},  {"SUBACK", ROW(0x92, 3, 0, 1, 0), 0x81},
        {"UNSUBACK", ROW(0xB2, 2, 0, 1), 0x81}, {"PINGRESP", ROW(0xD1, 0), 0x81},
        {"DISCONNECT", ROW(0xE1, 0), 0x81},     {"CONNACK", ROW(0x21, 2, 0, 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 3.1.1: [MQTT-4.8.0-1]
// MQTT 5: [MQTT-4.13.1-1]
static void test_packets_that_only_a_client_sends(void **state)
{
    static const struct row rows[] = {
        {"reserved 0", ROW(0x00, 0), 0x81},
        {"CONNECT", ROW(0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'c'), 0x81},
        {"SUBSCRIBE", ROW(0x82, 6, 0, 1, 0, 1, 'a', 0), 0x81},
        {"UNSUBSCRIBE", ROW(0xA2, 5, 0, 1, 0, 1, 'a'), 0x81},
        {"PINGREQ", ROW(0xC0, 0), 0x81},
        {"AUTH, or reserved 15", ROW(0xF0, 0), 0x81},
        {"AUTH with a reason", ROW(0xF0, 2, 0x18, 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

static void test_disconnect_is_not_a_3_1_1_brokers(void **state)
{
    static const struct row rows[] = {{"DISCONNECT", ROW(0xE0, 0), 0x82}};
    CHECK((struct bench *)*state, rows);
}

static void test_malformed_lengths(void **state)
{
    static const struct row rows[] = {
        {"five bytes", ROW(0x30, 0x80, 0x80, 0x80, 0x80, 0x01), 0x81},
        {"five bytes, all ones", ROW(0x30, 0xFF, 0xFF, 0xFF, 0xFF), 0x81},
        {"five bytes of a PINGRESP", ROW(0xD0, 0x80, 0x80, 0x80, 0x80, 0x00), 0x81},
        {"PUBACK of one byte", ROW(0x40, 1, 0), 0x81},
        {"PUBACK of none", ROW(0x40, 0), 0x81},
        {"PUBREC of one byte", ROW(0x50, 1, 1), 0x81},
        {"PUBREL of one byte", ROW(0x62, 1, 1), 0x81},
        {"PUBCOMP of one byte", ROW(0x70, 1, 1), 0x81},
        {"SUBACK of none", ROW(0x90, 0), 0x81},
        {"SUBACK of one byte", ROW(0x90, 1, 0), 0x81},
        {"SUBACK of two bytes", ROW(0x90, 2, 0, 1), 0x81},
        {"UNSUBACK of one byte", ROW(0xB0, 1, 0), 0x81},
        {"PINGRESP with a payload", ROW(0xD0, 1, 0), 0x81},
        {"PUBLISH of none", ROW(0x30, 0), 0x81},
        {"PUBLISH of one byte", ROW(0x30, 1, 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

static void test_lengths_of_3_1_1(void **state)
{
    static const struct row rows[] = {
        {"PUBACK with a reason", ROW(0x40, 3, 0, 1, 0), 0x81},
        {"PUBREC with a reason", ROW(0x50, 3, 0, 1, 0), 0x81},
        {"PUBREL with a reason", ROW(0x62, 3, 0, 1, 0), 0x81},
        {"PUBCOMP with a reason", ROW(0x70, 3, 0, 1, 0), 0x81},
        {"UNSUBACK with a code", ROW(0xB0, 3, 0, 1, 0), 0x81},
        {"SUBACK with two codes", ROW(0x90, 4, 0, 1, 0, 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

static void test_lengths_of_5(void **state)
{
    static const struct row rows[] = {
        {"SUBACK without properties", ROW(0x90, 3, 0, 1, 0x81), 0x81},
        {"SUBACK without a code", ROW(0x90, 3, 0, 1, 0), 0x81},
        {"SUBACK, properties beyond", ROW(0x90, 4, 0, 1, 2, 0), 0x81},
        {"UNSUBACK as in 3.1.1", ROW(0xB0, 2, 0, 1), 0x81},
        {"UNSUBACK without a code", ROW(0xB0, 3, 0, 1, 0), 0x81},
        {"PUBACK, properties beyond", ROW(0x40, 4, 0, 1, 0, 1), 0x81},
        {"PUBACK, bytes behind", ROW(0x40, 5, 0, 1, 0, 0, 0), 0x81},
        {"PUBREC, a length without end", ROW(0x50, 4, 0, 1, 0, 0x80), 0x81},
        {"PUBLISH without properties", ROW(0x30, 3, 0, 1, 't'), 0x81},
        {"PUBLISH, properties beyond", ROW(0x30, 5, 0, 1, 't', 2, 1), 0x81},
        {"PUBLISH, properties far beyond", ROW(0x30, 7, 0, 1, 't', 0xFF, 0xFF, 0xFF, 0x7F), 0x81},
        {"PUBLISH, a length of five bytes", ROW(0x30, 8, 0, 1, 't', 0x80, 0x80, 0x80, 0x80, 0),
         0x81},
        {"PUBLISH, an unknown property", ROW(0x30, 6, 0, 1, 't', 2, 0x7E, 0), 0x81},
        {"PUBLISH, half a property", ROW(0x30, 6, 0, 1, 't', 2, 0x02, 0), 0x81},
        {"PUBLISH, a text beyond", ROW(0x30, 8, 0, 1, 't', 4, 0x03, 0, 9, 'x'), 0x81},
        {"PUBLISH, half a pair", ROW(0x30, 8, 0, 1, 't', 4, 0x26, 0, 1, 'k'), 0x81},
        {"PUBLISH, a number without end", ROW(0x30, 6, 0, 1, 't', 2, 0x0B, 0x80), 0x81},
        {"PUBLISH, a number of five bytes",
         ROW(0x30, 10, 0, 1, 't', 6, 0x0B, 0x80, 0x80, 0x80, 0x80, 1), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 3.1.1: [MQTT-2.3.1-1]
// MQTT 5: [MQTT-2.2.1-4]
static void test_packet_identifiers_that_are_missing_or_zero(void **state)
{
    static const struct row rows[] = {
        {"PUBLISH 1, missing", ROW(0x32, 3, 0, 1, 't'), 0x81},
        {"PUBLISH 1, half", ROW(0x32, 4, 0, 1, 't', 0), 0x81},
        {"PUBLISH 2, missing", ROW(0x34, 3, 0, 1, 't'), 0x81},
        {"PUBLISH 1, zero", ROW(0x32, 6, 0, 1, 't', 0, 0, 0), 0x81},
        {"PUBLISH 2, zero", ROW(0x34, 6, 0, 1, 't', 0, 0, 0), 0x81},
        {"PUBACK, zero", ROW(0x40, 2, 0, 0), 0x81},
        {"PUBREC, zero", ROW(0x50, 2, 0, 0), 0x81},
        {"PUBREL, zero", ROW(0x62, 2, 0, 0), 0x81},
        {"PUBCOMP, zero", ROW(0x70, 2, 0, 0), 0x81},
        {"SUBACK, zero", ROW(0x90, 4, 0, 0, 0, 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 3.1.1: [MQTT-3.3.1-2] [MQTT-3.3.1-4]
// MQTT 5: [MQTT-3.3.1-2] [MQTT-3.3.1-4]
static void test_qos_that_is_none(void **state)
{
    static const struct row rows[] = {
        {"QoS 3", ROW(0x36, 6, 0, 1, 't', 0, 1, 0), 0x81},
        {"QoS 3, DUP and RETAIN", ROW(0x3F, 6, 0, 1, 't', 0, 1, 0), 0x81},
        {"DUP with QoS 0", ROW(0x38, 4, 0, 1, 't', 0), 0x81},
        {"DUP with QoS 0, retained", ROW(0x39, 4, 0, 1, 't', 0), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 3.1.1: [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.1-1]
// MQTT 3.1.1: [MQTT-4.7.3-1] [MQTT-4.7.3-2]
// MQTT 5: [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.0-1]
// MQTT 5: [MQTT-4.7.3-1] [MQTT-4.7.3-2]
static void test_topics_that_are_none(void **state)
{
    static const struct row rows[] = {
        // The last byte: version 5's empty properties, 3.1.1's payload.
        {"empty", ROW(0x30, 3, 0, 0, 0), 0x90},
        {"+", ROW(0x30, 4, 0, 1, '+', 0), 0x90},
        {"#", ROW(0x30, 4, 0, 1, '#', 0), 0x90},
        {"a/+", ROW(0x30, 6, 0, 3, 'a', '/', '+', 0), 0x90},
        {"a#", ROW(0x30, 5, 0, 2, 'a', '#', 0), 0x90},
        {"U+0000", ROW(0x30, 4, 0, 1, 0, 0), 0x90},
        {"U+0000 inside", ROW(0x30, 6, 0, 3, 'a', 0, 'b', 0), 0x90},
        {"a byte that follows nothing", ROW(0x30, 4, 0, 1, 0x80, 0), 0x90},
        {"half of two bytes", ROW(0x30, 4, 0, 1, 0xC3, 0), 0x90},
        {"two of three bytes", ROW(0x30, 5, 0, 2, 0xE2, 0x82, 0), 0x90},
        {"three of four bytes", ROW(0x30, 6, 0, 3, 0xF0, 0x9F, 0x98, 0), 0x90},
        {"/ in two bytes", ROW(0x30, 5, 0, 2, 0xC0, 0xAF, 0), 0x90},
        {"U+0000 in two bytes", ROW(0x30, 5, 0, 2, 0xC0, 0x80, 0), 0x90},
        {"U+007F in two bytes", ROW(0x30, 5, 0, 2, 0xC1, 0xBF, 0), 0x90},
        {"U+07FF in three bytes", ROW(0x30, 6, 0, 3, 0xE0, 0x9F, 0xBF, 0), 0x90},
        {"U+FFFF in four bytes", ROW(0x30, 7, 0, 4, 0xF0, 0x8F, 0xBF, 0xBF, 0), 0x90},
        {"the first surrogate", ROW(0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0), 0x90},
        {"the last surrogate", ROW(0x30, 6, 0, 3, 0xED, 0xBF, 0xBF, 0), 0x90},
        {"beyond U+10FFFF", ROW(0x30, 7, 0, 4, 0xF4, 0x90, 0x80, 0x80, 0), 0x90},
        {"0xF5", ROW(0x30, 7, 0, 4, 0xF5, 0x80, 0x80, 0x80, 0), 0x90},
        {"0xFF", ROW(0x30, 4, 0, 1, 0xFF, 0), 0x90},
        {"a second start", ROW(0x30, 5, 0, 2, 0xC3, 0x41, 0), 0x90},
        {"of QoS 1", ROW(0x32, 6, 0, 1, '+', 0, 1, 0), 0x90},
        {"of QoS 2", ROW(0x34, 6, 0, 1, '+', 0, 1, 0), 0x90},
    };
    CHECK((struct bench *)*state, rows);
}

static void test_topic_lengths_that_lie(void **state)
{
    static const struct row rows[] = {
        {"one too many", ROW(0x30, 3, 0, 2, 't'), 0x81},
        {"far too many", ROW(0x30, 5, 0xFF, 0xFF, 'a', 'b', 'c'), 0x81},
        {"half a length", ROW(0x30, 1, 0), 0x81},
        {"up to the identifier", ROW(0x32, 5, 0, 3, 't', 0, 1), 0x81},
        {"into the identifier", ROW(0x34, 5, 0, 2, 't', 0, 1), 0x81},
        {"into the next packet", ROW(0x30, 4, 0, 4, 't', 0, 0xD0, 0x00, 0xD0, 0x00), 0x81},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 5: [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
static void test_topic_alias_is_refused(void **state)
{
    static const struct row rows[] = {
        {"with a topic", ROW(0x30, 7, 0, 1, 't', 3, 0x23, 0, 1), 0x94},
        {"without", ROW(0x30, 6, 0, 0, 3, 0x23, 0, 1), 0x94},
        {"0", ROW(0x30, 7, 0, 1, 't', 3, 0x23, 0, 0), 0x94},
        {"behind another property", ROW(0x32, 11, 0, 1, 't', 0, 1, 5, 0x01, 1, 0x23, 0xFF, 0xFF),
         0x94},
    };
    CHECK((struct bench *)*state, rows);
}

// MQTT 5: [MQTT-4.13.2-1]
static void test_broker_that_leaves_says_why(void **state)
{
    static const struct {
        const char *why;
        uint8_t bytes[16];
        size_t len;
        enum pipit_err rc;
        uint8_t reason;
    } rows[] = {
        {"no reason", ROW(0xE0, 0), PIPIT_ERR_UNREACHABLE, 0},
        {"normal", ROW(0xE0, 1, 0), PIPIT_ERR_UNREACHABLE, 0},
        {"shutting down", ROW(0xE0, 2, 0x8B, 0), PIPIT_ERR_UNREACHABLE, 0x8B},
        {"taken over", ROW(0xE0, 1, 0x8E), PIPIT_ERR_REFUSED, 0x8E},
        {"not authorized", ROW(0xE0, 1, 0x87), PIPIT_ERR_REFUSED, 0x87},
        {"with a text", ROW(0xE0, 7, 0x8D, 5, 0x1F, 0, 2, 'n', 'o'), PIPIT_ERR_UNREACHABLE, 0x8D},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bench_up(bench);
        bench_put(bench, rows[i].bytes, rows[i].len);
        bench_put_message(bench, 0, 0); // Nothing behind it is read.
        bench_expect_down(bench, rows[i].rc);
        assert_int_equal(pipit_client_reason(&bench->client), rows[i].reason);
        bench_expect_nothing_sent(bench);
    }
}

// A transport that says it gave more than it was asked for is not believed.
static int32_t read_too_much(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    (void)ptr;
    return (int32_t)size + 1;
}

static int32_t write_too_much(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    (void)ptr;
    return (int32_t)len + 1;
}

static void test_transport_that_lies_is_left(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.type.read = read_too_much;
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    bench->pipe.type.read = pipe_read;
    bench_up(bench);
    bench->pipe.type.write = write_too_much;
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_reason_waits_for_no_transport(void **state)
{
    struct bench *bench = *state;
    for (size_t room = 0; room < 4; room++) {
        bench_up(bench);
        bench->pipe.write_room = room;
        bench_put(bench, BYTES(0x40, 0));
        bench_expect_down(bench, PIPIT_ERR_MALFORMED);
        assert_int_equal(bench->sent_len, bench->is_v5 ? room < 3 ? room : 3 : 0);
        assert_int_equal(pipit_client_reason(&bench->client), 0x81);
        bench->pipe.write_room = PIPE_ANY;
        bench->sent_len = 0;
    }
    bench_up(bench);
    bench->pipe.write_error = PIPIT_ERR_UNREACHABLE;
    bench_put(bench, BYTES(0x40, 0));
    assert_int_equal(bench_next(bench), PIPIT_LINK_DOWN);
    bench_quiet(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_wrong_flags),
        ON_BOTH(test_packets_that_only_a_client_sends),
        ON_311(test_disconnect_is_not_a_3_1_1_brokers),
        ON_BOTH(test_malformed_lengths),
        ON_311(test_lengths_of_3_1_1),
        ON_5(test_lengths_of_5),
        ON_BOTH(test_packet_identifiers_that_are_missing_or_zero),
        ON_BOTH(test_qos_that_is_none),
        ON_BOTH(test_topics_that_are_none),
        ON_BOTH(test_topic_lengths_that_lie),
        ON_5(test_topic_alias_is_refused),
        ON_5(test_broker_that_leaves_says_why),
        ON_BOTH(test_transport_that_lies_is_left),
        ON_BOTH(test_reason_waits_for_no_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
