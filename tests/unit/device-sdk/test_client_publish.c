// Publishing at QoS 0 and 1, and what the broker's limits and a slow transport do to it.
#include "client_bench.h"

static const uint8_t zeros[40000];

// MQTT 3.1.1: [MQTT-2.3.1-5] [MQTT-3.3.1-2] [MQTT-4.3.1-1]
// MQTT 5: [MQTT-2.2.1-2] [MQTT-3.3.1-2] [MQTT-4.3.1-1]
static void test_qos_0_is_settled_when_it_is_written(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_room = 4;
    assert_int_equal(bench_publish(bench, 0, 11), PIPIT_OK);
    bench_quiet(bench);
    assert_int_equal(bench->sent_len, 4);
    bench->pipe.write_room = PIPE_ANY;
    bench_expect_acked(bench, 11, PIPIT_OK);
    bench_expect_publish(bench, 0x30, 0);
    bench_quiet(bench);
}

static void test_qos_0_without_a_token_takes_no_place(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 1, 0});
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench->sent_len = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(bench_publish(bench, 0, 0), PIPIT_OK);
        bench_expect_publish(bench, 0x30, 0);
    }
    assert_int_equal(bench_publish(bench, 0, 6), PIPIT_ERR_BUSY);
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-2.3.1-1] [MQTT-2.3.1-2] [MQTT-4.3.2-1]
// MQTT 5: [MQTT-2.2.1-3] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3]
static void test_qos_1_is_settled_by_its_puback(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 21), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 1);
    assert_int_equal(bench_publish(bench, 1, 22), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 2);
    bench_quiet(bench); // Not before.
    bench_put_answer(bench, 0x40, 2);
    bench_expect_acked(bench, 22, PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 23), PIPIT_OK); // Its identifier is free again.
    bench_expect_publish(bench, 0x32, 2);
    bench_put_answer(bench, 0x40, 1);
    bench_put_answer(bench, 0x40, 2);
    bench_expect_acked(bench, 21, PIPIT_OK);
    bench_expect_acked(bench, 23, PIPIT_OK);
    bench_quiet(bench);
}

// MQTT 5: [MQTT-4.4.0-2]
static void test_puback_may_carry_a_reason_and_properties(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t len;
        enum pipit_err rc;
    } rows[] = {
        {{0x40, 3, 0, 1, 0x00}, 5, PIPIT_OK},
        {{0x40, 3, 0, 1, 0x10}, 5, PIPIT_OK}, // Nobody has subscribed.
        {{0x40, 4, 0, 1, 0x10, 0}, 6, PIPIT_OK},
        {{0x40, 3, 0, 1, 0x80}, 5, PIPIT_ERR_REFUSED},
        {{0x40, 3, 0, 1, 0x97}, 5, PIPIT_ERR_REFUSED},
        {{0x40, 9, 0, 1, 0x87, 5, 0x1F, 0, 2, 'n', 'o'}, 11, PIPIT_ERR_REFUSED},
    };
    struct bench *bench = *state;
    bench_up(bench);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(bench_publish(bench, 1, 31), PIPIT_OK);
        bench_put(bench, rows[i].bytes, rows[i].len);
        bench_expect_acked(bench, 31, rows[i].rc);
        bench_expect_publish(bench, 0x32, 1); // Once, not sent again.
    }
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-2.3.1-6]
// MQTT 5: [MQTT-2.2.1-5]
static void test_pubacks_that_nobody_awaits_change_nothing(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 41), PIPIT_OK);        // 1
    assert_int_equal(bench_publish(bench, 2, 42), PIPIT_OK);        // 2
    assert_int_equal(bench_subscribe(bench, "a", 1, 43), PIPIT_OK); // 3
    bench->sent_len = 0;
    bench_put_answer(bench, 0x40, 2); // Of a QoS 2 message.
    bench_put_answer(bench, 0x40, 3); // Of a subscription.
    bench_put_answer(bench, 0x40, 4); // Free.
    bench_put_answer(bench, 0x40, 5); // Beyond the table.
    bench_put_answer(bench, 0x40, 0xFFFF);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    bench_put_answer(bench, 0x40, 1);
    bench_put_answer(bench, 0x40, 1); // Twice.
    bench_expect_acked(bench, 41, PIPIT_OK);
    bench_quiet(bench);
}

// MQTT 5: [MQTT-3.3.4-6]
static void test_message_is_sent_as_it_is(void **state)
{
    struct bench *bench = *state;
    struct pipit_message message = {
        .topic = "a/\xC3\xA9/b", .qos = 1, .token = 5, .is_retained = true};
    bench_up(bench);
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_OK); // No payload.
    assert_int_equal(bench->last.type, 3);
    assert_true(bench->last.is_retained);
    assert_int_equal(bench->last.topic.len, 6);
    assert_int_equal(bench->last.payload.len, 0);
    message.is_retained = false;
    message.payload = (struct pipit_bytes){zeros, 17};
    message.token = 6;
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_OK);
    assert_false(bench->last.is_retained);
    assert_int_equal(bench->last.payload.len, 17);
}

static const uint8_t *watched_payload;
static size_t watched_len;

static void check_payload(void *context, const struct judge_packet *packet)
{
    bench_packet(context, packet);
    if (packet->type == 3) {
        assert_int_equal(packet->payload.len, watched_len);
        assert_true(watched_len == 0 ||
                    memcmp(packet->payload.ptr, watched_payload, watched_len) == 0);
    }
}

// MQTT 5: [MQTT-1.5.5-1]
static void test_lengths_take_as_few_bytes_as_they_need(void **state)
{
    static const size_t rests[] = {125, 126, 127, 128, 129, 16382, 16383, 16384, 16385, 30000};
    struct bench *bench = *state;
    uint8_t *payload = malloc(30000);
    for (size_t i = 0; i < 30000; i++) {
        payload[i] = (uint8_t)(i * 7);
    }
    bench_size(bench, (struct bench_sizes){128, 32768, 4, 0});
    bench->judge.on_packet = check_payload;
    watched_payload = payload;
    bench_up(bench);
    for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
        watched_len = rests[i] - (bench->is_v5 ? 4 : 3);
        assert_int_equal(bench_publish_bytes(bench, 0, 0, payload, watched_len), PIPIT_OK);
        bench_quiet(bench);
        assert_int_equal(bench->last.size, rests[i] + (rests[i] < 128     ? 2
                                                       : rests[i] < 16384 ? 3
                                                                          : 4));
        bench->sent_len = 0;
    }
    free(payload);
}

// Every length of payload against every size of memory: it fits or it does not, and says so.
static void test_what_is_larger_than_the_send_memory_is_refused(void **state)
{
    struct bench *bench = *state;
    for (size_t size = 48; size < 56; size++) {
        bool has_refused = false;
        bench_size(bench, (struct bench_sizes){128, size, 2, 0});
        bench_up(bench);
        for (size_t len = 0; len < 80; len++) {
            unsigned count = bench->judge.count;
            enum pipit_err rc = bench_publish_bytes(bench, 0, 0, zeros, len);
            assert_true(rc == PIPIT_OK ? !has_refused : rc == PIPIT_ERR_SIZE);
            assert_int_equal(bench->judge.count - count, rc == PIPIT_OK ? 1 : 0);
            has_refused = rc != PIPIT_OK;
            assert_false(rc == PIPIT_OK && len + (bench->is_v5 ? 6 : 5) > size);
            assert_false(rc != PIPIT_OK && len + 11 < size); // At most a few bytes are held back.
        }
        assert_true(has_refused);
        bench_disconnect(bench);
        bench_expect_down(bench, PIPIT_OK);
    }
}

static void test_refused_message_takes_no_place(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 48, 1, 0});
    bench_up(bench);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bench_publish_bytes(bench, 1, 5, zeros, 1000), PIPIT_ERR_SIZE);
        assert_int_equal(bench_publish_bytes(bench, 0, 5, zeros, 1000), PIPIT_ERR_SIZE);
    }
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
}

// MQTT 3.1.1: [MQTT-4.7.3-3]
// MQTT 5: [MQTT-4.7.3-3]
static void test_topic_of_more_than_65535_bytes_is_refused(void **state)
{
    struct bench *bench = *state;
    char *topic = malloc(65537);
    struct pipit_message message = {.topic = topic};
    memset(topic, 't', 65536);
    topic[65536] = 0;
    bench_size(bench, (struct bench_sizes){128, 100000, 1, 0});
    bench_up(bench);
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_ERR_SIZE);
    assert_int_equal(bench_subscribe(bench, topic, 1, 4), PIPIT_ERR_SIZE);
    topic[65535] = 0;
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_OK);
    assert_int_equal(bench->last.topic.len, 65535);
    free(topic);
}

static void test_full_send_memory_is_busy_and_then_goes_on(void **state)
{
    struct bench *bench = *state;
    unsigned taken = 0, acked = 0;
    bench_size(bench, (struct bench_sizes){128, 64, 16, 0});
    bench_up(bench);
    bench->pipe.write_room = 0;
    while (bench_publish(bench, 1, taken + 1) == PIPIT_OK) {
        taken++;
    }
    assert_in_range(taken, 3, 8);
    assert_int_equal(bench_publish(bench, 0, 0), PIPIT_ERR_BUSY);
    assert_int_equal(bench_subscribe(bench, "a", 1, 99), PIPIT_ERR_BUSY);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    for (unsigned i = 0; i < 1000 && taken < 10; i++) {
        bench->pipe.write_room = 5;
        bench_quiet(bench);
        taken += bench_publish(bench, 1, taken + 1) == PIPIT_OK;
    }
    assert_int_equal(taken, 10);
    bench->pipe.write_room = PIPE_ANY;
    bench_quiet(bench);
    for (uint16_t id = 1; id <= 10; id++) {
        bench_put_answer(bench, 0x40, id);
        bench_expect_acked(bench, ++acked, PIPIT_OK);
    }
}

static void test_full_table_is_busy_until_an_answer(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 2, 0});
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 2, 2), PIPIT_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bench_publish(bench, 1, 3), PIPIT_ERR_BUSY);
        assert_int_equal(bench_publish(bench, 2, 3), PIPIT_ERR_BUSY);
    }
    bench_put_answer(bench, 0x40, 1);
    bench_expect_acked(bench, 1, PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 3), PIPIT_OK);
    assert_int_equal(bench->last.id, 1);
}

static void test_one_byte_per_write_and_per_read(void **state)
{
    struct bench *bench = *state;
    bench->pipe.read_max = bench->pipe.write_max = 1;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench_put_answer(bench, 0x40, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    for (int i = 0; i < 20; i++) {
        bench_quiet(bench);
    }
    bench_expect_publish(bench, 0x32, 1);
}

static void test_failing_write_ends_the_connection_once(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_error = PIPIT_ERR_UNREACHABLE;
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 6), PIPIT_ERR_BUSY);
    assert_int_equal(bench->link->type->next_ms(bench->link), 0);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    assert_int_equal(bench_publish(bench, 1, 6), PIPIT_ERR_BUSY);
}

// ---- what the broker grants ---------------------------------------------------------------------

// MQTT 5: [MQTT-3.2.2-11]
static void test_no_higher_qos_than_the_broker_takes(void **state)
{
    struct bench *bench = *state;
    bench_up_with(bench, BYTES(0x24, 1));
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 1);
    bench_put_answer(bench, 0x40, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up_with(bench, BYTES(0x24, 0));
    assert_int_equal(bench_publish(bench, 2, 6), PIPIT_OK);
    bench_expect_publish(bench, 0x30, 0);
    bench_expect_acked(bench, 6, PIPIT_OK); // QoS 0: written is all there is.
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up(bench); // The next broker may take it.
    assert_int_equal(bench_publish(bench, 2, 7), PIPIT_OK);
    bench_expect_publish(bench, 0x34, 1);
}

// MQTT 5: [MQTT-3.2.2-14]
static void test_nothing_is_retained_where_the_broker_cannot(void **state)
{
    struct bench *bench = *state;
    struct pipit_message message = {.topic = "t", .payload = pipit_text("x"), .is_retained = true};
    bench_up_with(bench, BYTES(0x25, 0));
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_OK);
    bench_expect_publish(bench, 0x30, 0);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up_with(bench, BYTES(0x25, 1));
    assert_int_equal(bench->link->type->publish(bench->link, &message), PIPIT_OK);
    bench_expect_publish(bench, 0x31, 0);
}

// MQTT 5: [MQTT-3.2.2-15]
static void test_no_larger_packet_than_the_broker_takes(void **state)
{
    struct bench *bench = *state;
    bench_up_with(bench, BYTES(0x27, 0, 0, 0, 20));
    assert_int_equal(bench_publish_bytes(bench, 0, 0, zeros, 14), PIPIT_OK);
    assert_int_equal(bench->last.size, 20);
    assert_int_equal(bench_publish_bytes(bench, 0, 0, zeros, 15), PIPIT_ERR_SIZE);
    assert_int_equal(bench_publish_bytes(bench, 1, 5, zeros, 13), PIPIT_ERR_SIZE);
    assert_int_equal(bench_publish_bytes(bench, 1, 5, zeros, 12), PIPIT_OK);
    assert_int_equal(bench->last.size, 20);
    assert_int_equal(bench_subscribe(bench, "a/filter/of/17/by", 1, 6), PIPIT_ERR_SIZE);
    bench_quiet(bench);
    assert_int_equal(bench->judge.count, 3);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up(bench);
    assert_int_equal(bench_publish_bytes(bench, 0, 0, zeros, 15), PIPIT_OK);
}

// MQTT 5: [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2]
static void test_no_more_under_way_than_the_broker_takes(void **state)
{
    struct bench *bench = *state;
    bench_up_with(bench, BYTES(0x21, 0, 1));
    for (uint32_t token = 1; token < 4; token++) {
        assert_int_equal(bench_publish(bench, 1, token), PIPIT_OK);
        assert_int_equal(bench_publish(bench, 1, 9), PIPIT_ERR_BUSY);
        assert_int_equal(bench_publish(bench, 2, 9), PIPIT_ERR_BUSY);
        bench_put_answer(bench, 0x40, bench->last.id);
        bench_expect_acked(bench, token, PIPIT_OK);
    }
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK); // Until PUBCOMP.
    uint16_t id = bench->last.id;
    bench_put_answer(bench, 0x50, id);
    bench_quiet(bench);
    assert_int_equal(bench_publish(bench, 1, 9), PIPIT_ERR_BUSY);
    bench_put_answer(bench, 0x70, id);
    bench_expect_acked(bench, 5, PIPIT_OK);
    assert_int_equal(bench_publish(bench, 2, 6), PIPIT_OK); // Or until a PUBREC that refuses.
    bench_put(bench, BYTES(0x50, 3, 0, (uint8_t)bench->last.id, 0x97));
    bench_expect_acked(bench, 6, PIPIT_ERR_REFUSED);
    assert_int_equal(bench_publish(bench, 1, 7), PIPIT_OK);
}

// MQTT 5: [MQTT-3.3.4-8] [MQTT-4.9.0-3]
static void test_other_packets_do_not_wait_for_the_quota(void **state)
{
    struct bench *bench = *state;
    bench_up_with(bench, BYTES(0x21, 0, 1));
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);
    assert_int_equal(bench_subscribe(bench, "a", 1, 2), PIPIT_OK);
    assert_int_equal(bench->last.type, 8);
    assert_int_equal(pipit_client_unsubscribe(&bench->client, "a", 3), PIPIT_OK);
    assert_int_equal(bench->last.type, 10);
    assert_int_equal(bench_publish(bench, 0, 4), PIPIT_OK);
    assert_int_equal(bench->last.type, 3);
    bench_expect_acked(bench, 4, PIPIT_OK);
    bench_put_message(bench, 1, 77);
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
    assert_int_equal(bench->last.type, 4);
}

// What was under way on the former connection counts when it is sent again.
// MQTT 5: [MQTT-3.3.4-7] [MQTT-4.9.0-2]
static void test_smaller_quota_holds_for_what_is_sent_again(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t token = 1; token <= 4; token++) {
        assert_int_equal(bench_publish(bench, 1, token), PIPIT_OK);
    }
    bench_break(bench);
    bench_connecting(bench);
    bench_put(bench, BYTES(0x20, 6, 1, 0, 3, 0x21, 0, 2));
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 2), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 3), PIPIT_ERR_BUSY);
    assert_int_equal(bench_publish(bench, 1, 4), PIPIT_ERR_BUSY);
    bench_put_answer(bench, 0x40, 1);
    bench_expect_acked(bench, 1, PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 3), PIPIT_OK);
    assert_int_equal(bench->last.id, 3); // The identifier it had.
    assert_true(bench->last.is_dup);
    assert_int_equal(bench_publish(bench, 1, 4), PIPIT_ERR_BUSY);
}

// MQTT 5: [MQTT-3.2.2-17] [MQTT-3.2.2-18]
static void test_no_topic_alias_is_used(void **state)
{
    struct bench *bench = *state; // The judge knows none that would be allowed to stand alone.
    bench_up_with(bench, BYTES(0x22, 0xFF, 0xFF));
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 1);
    assert_int_equal(bench_publish(bench, 1, 2), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_qos_0_is_settled_when_it_is_written),
        ON_BOTH(test_qos_0_without_a_token_takes_no_place),
        ON_BOTH(test_qos_1_is_settled_by_its_puback),
        ON_5(test_puback_may_carry_a_reason_and_properties),
        ON_BOTH(test_pubacks_that_nobody_awaits_change_nothing),
        ON_BOTH(test_message_is_sent_as_it_is),
        ON_BOTH(test_lengths_take_as_few_bytes_as_they_need),
        ON_BOTH(test_what_is_larger_than_the_send_memory_is_refused),
        ON_BOTH(test_refused_message_takes_no_place),
        ON_BOTH(test_topic_of_more_than_65535_bytes_is_refused),
        ON_BOTH(test_full_send_memory_is_busy_and_then_goes_on),
        ON_BOTH(test_full_table_is_busy_until_an_answer),
        ON_BOTH(test_one_byte_per_write_and_per_read),
        ON_BOTH(test_failing_write_ends_the_connection_once),
        ON_5(test_no_higher_qos_than_the_broker_takes),
        ON_5(test_nothing_is_retained_where_the_broker_cannot),
        ON_5(test_no_larger_packet_than_the_broker_takes),
        ON_5(test_no_more_under_way_than_the_broker_takes),
        ON_5(test_other_packets_do_not_wait_for_the_quota),
        ON_5(test_smaller_quota_holds_for_what_is_sent_again),
        ON_5(test_no_topic_alias_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
