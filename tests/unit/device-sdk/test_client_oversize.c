// Packets larger than our memory: read over, acknowledged and told with 3.1.1, a reason with 5.
#include "client_bench.h"

enum { MEMORY = 64 };

static const uint8_t noise[30000] = {[0 ... 29999] = 0x3F};

static void begin(struct bench *bench)
{
    bench_size(bench, (struct bench_sizes){MEMORY, 64, 4, 3});
    bench_up(bench);
}

static void expect_oversize(struct bench *bench)
{
    bench_expect(bench, PIPIT_LINK_MESSAGE, PIPIT_ERR_SIZE);
    assert_int_equal(bench->event.token, 0);
    assert_int_equal(bench->event.topic.len, 0);
    assert_int_equal(bench->event.payload.len, 0);
}

// The link goes on, and the next message is read from its first byte.
static void expect_going_on(struct bench *bench)
{
    bench_put_message(bench, 0, 0);
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-3.3.4-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT-4.5.0-2]
static void test_message_is_read_over_and_acknowledged(void **state)
{
    static const size_t sizes[] = {60, 61, 62, 63, 64, 65, 66, 127, 128, 129, 200, 16383, 30000};
    static const size_t pieces[] = {1, 2, 3, 7, PIPE_ANY};
    struct bench *bench = *state;
    begin(bench);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint8_t qos = 0; qos < 3; qos++) {
            for (size_t k = 0; k < 5; k++) {
                bench->pipe.read_max = pieces[k];
                bench_put_publish(bench, (uint8_t)(qos << 1), "t", 0x0506, noise, sizes[i]);
                if (sizes[i] + 5 + (qos > 0 ? 2 : 0) <= MEMORY) {
                    bench_expect_message(bench, "t", noise, sizes[i]);
                } else {
                    expect_oversize(bench);
                }
                expect_going_on(bench);
                if (qos == 0) {
                    bench_expect_nothing_sent(bench);
                    continue;
                }
                bench_expect_sent(bench, BYTES(qos == 1 ? 0x40 : 0x50, 2, 5, 6));
                if (qos == 2) { // And can be finished.
                    bench_put_answer(bench, 0x62, 0x0506);
                    bench_quiet(bench);
                    bench_expect_sent(bench, BYTES(0x70, 2, 5, 6));
                }
            }
        }
    }
}

static void test_topic_may_be_larger_than_the_memory_itself(void **state)
{
    static const size_t lens[] = {57, 58, 59, 60, 61, 62, 63, 64, 65, 300, 20000};
    struct bench *bench = *state;
    char *topic = calloc(1, 20001);
    begin(bench);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (uint8_t qos = 0; qos < 3; qos++) {
            for (size_t payload = 0; payload < 4; payload++) {
                memset(topic, 't', lens[i]);
                topic[lens[i]] = 0;
                bench_put_publish(bench, (uint8_t)(qos << 1), topic, 9, "abc", payload);
                if (2 + 2 + lens[i] + (qos > 0 ? 2 : 0) + payload <= MEMORY) {
                    bench_expect_message(bench, topic, "abc", payload);
                } else {
                    expect_oversize(bench);
                }
                expect_going_on(bench);
                assert_int_equal(bench->sent_len, qos > 0 ? 4 : 0);
                bench->sent_len = 0;
                bench_put_answer(bench, 0x62, 9);
                bench_quiet(bench);
                bench->sent_len = 0;
            }
        }
    }
    free(topic);
}

static void test_explicit_acknowledgement_has_nothing_to_do_for_it(void **state)
{
    struct bench *bench = *state;
    bench->options.is_ack_explicit = true;
    begin(bench);
    bench_put_publish(bench, 2, "t", 7, noise, 500);
    expect_oversize(bench);
    assert_int_equal(pipit_client_acknowledge(&bench->client, bench->event.token), PIPIT_OK);
    expect_going_on(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 7));
}

static void test_connection_may_break_in_the_middle_of_it(void **state)
{
    struct bench *bench = *state;
    begin(bench);
    for (size_t cut = 3; cut < 139; cut++) {
        bench_put_publish(bench, 2, "t", 7, noise, 131);
        bench->pipe.in_end = bench->pipe.in_at + cut;
        bench_quiet(bench);
        bench_break(bench);
        bench_up_again(bench, true);
        expect_going_on(bench);
    }
}

#define ROW(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

// MQTT 3.1.1: [MQTT-4.8.0-1] [MQTT-2.3.1-1] [MQTT-3.3.1-4]
static void test_what_cannot_be_read_over_ends_the_connection(void **state)
{
    static const struct {
        const char *why;
        uint8_t bytes[16];
        size_t len;
    } rows[] = {
        {"a topic beyond the packet", ROW(0x30, 100, 0, 99)},
        {"no room for an identifier", ROW(0x32, 100, 0, 97)},
        {"half an identifier", ROW(0x34, 100, 0, 97)},
        {"QoS 3", ROW(0x36, 100, 0, 1)},
        {"identifier 0", ROW(0x32, 100, 0, 1, 't', 0, 0, 'x')},
        {"not a PUBLISH", ROW(0x40, 100, 0, 1)},
        {"SUBACK", ROW(0x90, 100, 0, 1)},
        {"CONNACK", ROW(0x20, 100, 0, 0)},
        {"the largest length", ROW(0x40, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1)},
        {"the largest PUBLISH of QoS 3", ROW(0x36, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1)},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(bench);
        bench_put(bench, rows[i].bytes, rows[i].len);
        bench_put(bench, noise, 100);
        if (bench_next(bench) != PIPIT_LINK_DOWN || bench->event.rc != PIPIT_ERR_MALFORMED) {
            fail_msg("not refused: %s", rows[i].why);
        }
        bench_expect_nothing_sent(bench);
        bench_quiet(bench);
    }
}

// 256 MB less a byte, of which all but the ends comes from nowhere.
static int32_t read_endless(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    memset(ptr, 0x3F, size);
    return (int32_t)size;
}

static void test_largest_packet_there_is(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){1u << 20, 64, 4, 3});
    bench_up(bench);
    bench_put(bench, BYTES(0x32, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 't', 0, 8));
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 8));
    bench->pipe.type.read = read_endless; // More than is left: what follows is no packet.
    for (int i = 0; i < 20 && bench_poll(bench) == PIPIT_LINK_NOTHING; i++) {
    }
    assert_int_equal(bench->event.kind, PIPIT_LINK_MESSAGE);
    assert_int_equal(bench->event.rc, PIPIT_ERR_SIZE);
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
}

// 3.1.1 says which packet comes first, whatever its size.
// MQTT 3.1.1: [MQTT-3.2.0-1]
static void test_before_connack_nothing_is_read_over(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){MEMORY, 64, 4, 3});
    bench_connecting(bench);
    bench_put_publish(bench, 2, "t", 7, noise, 500);
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    bench_expect_nothing_sent(bench);
}

// MQTT 5: [MQTT-3.1.2-24] [MQTT-4.13.1-1]
static void test_version_5_says_what_is_too_large(void **state)
{
    struct bench *bench = *state;
    for (uint8_t qos = 0; qos < 3; qos++) {
        begin(bench);
        bench_put_publish(bench, (uint8_t)(qos << 1), "t", 7, noise, 500);
        bench_expect_fail(bench, 0x95);
    }
    begin(bench); // The header is enough to know.
    bench_put(bench, BYTES(0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1));
    bench_expect_fail(bench, 0x95);
    begin(bench);
    bench_put(bench, BYTES(0x90, 100, 0, 1, 0, 0));
    bench_expect_fail(bench, 0x95);
    begin(bench); // One byte less is no byte too many.
    bench_put_publish(bench, 0, "t", 0, noise, MEMORY - 6);
    bench_expect_message(bench, "t", noise, MEMORY - 6);
    bench_put_publish(bench, 0, "t", 0, noise, MEMORY - 5);
    bench_expect_fail(bench, 0x95);
}

// MQTT 5: [MQTT-3.1.2-24]
static void test_connack_larger_than_the_memory_is_refused(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){MEMORY, 64, 4, 3});
    bench_connecting(bench);
    bench_put(bench, BYTES(0x20, 0xC8, 1, 0, 0, 0xC4, 1, 0x1F, 0, 0xC1));
    bench_put(bench, noise, 193);
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    assert_int_equal(pipit_client_reason(&bench->client), 0x95);
    bench_expect_nothing_sent(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_311(test_message_is_read_over_and_acknowledged),
        ON_311(test_topic_may_be_larger_than_the_memory_itself),
        ON_311(test_explicit_acknowledgement_has_nothing_to_do_for_it),
        ON_311(test_connection_may_break_in_the_middle_of_it),
        ON_311(test_what_cannot_be_read_over_ends_the_connection),
        ON_311(test_largest_packet_there_is),
        ON_311(test_before_connack_nothing_is_read_over),
        ON_5(test_version_5_says_what_is_too_large),
        ON_5(test_connack_larger_than_the_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
