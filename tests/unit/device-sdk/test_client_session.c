// What outlives a connection: messages that are handed over again are neither lost nor doubled.
#include "client_bench.h"

// A broker of one session that remembers, and counts what it passed on.
static struct {
    struct bench *bench;
    bool is_held[16]; // QoS 2, between PUBLISH and PUBREL.
    unsigned passed;
    unsigned answers; // So many answers arrive, the rest is lost with the connection.
    unsigned dup_count;
    uint16_t id;
} broker;

static void broker_answer(uint8_t first, uint16_t id)
{
    if (broker.answers > 0) {
        broker.answers--;
        bench_put_answer(broker.bench, first, id);
    }
}

static void broker_take(void *context, const struct judge_packet *packet)
{
    bench_packet(context, packet);
    if (packet->type == 3) {
        broker.id = packet->id;
        broker.dup_count += packet->is_dup;
        broker.passed += packet->qos < 2 || !broker.is_held[packet->id];
        broker.is_held[packet->id] = packet->qos == 2;
        broker_answer(packet->qos == 2 ? 0x50 : 0x40, packet->id);
    } else if (packet->type == 6) {
        broker.is_held[packet->id] = false;
        broker_answer(0x70, packet->id);
    }
}

static void broker_begin(struct bench *bench)
{
    memset(&broker, 0, sizeof(broker));
    broker.bench = bench;
    bench->judge.on_packet = broker_take;
}

// Hands the message over until it is acknowledged; true: it was acknowledged by itself.
static bool hand_over(struct bench *bench, uint8_t qos, bool is_patient)
{
    for (int i = 0; is_patient && i < 5; i++) {
        if (bench_poll(bench) == PIPIT_LINK_ACKED) {
            assert_int_equal(bench->event.token, 5);
            return true;
        }
    }
    assert_int_equal(bench_publish(bench, qos, 5), PIPIT_OK);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_quiet(bench);
    return false;
}

// One message, whose connection breaks after so many packets of four.
static void break_after(struct bench *bench, uint8_t qos, unsigned packets, bool has_session,
                        bool is_patient)
{
    broker_begin(bench);
    bench_up_again(bench, false);
    broker.answers = packets / 2;
    bench->pipe.write_room = packets == 0 ? 3 : PIPE_ANY;
    assert_int_equal(bench_publish(bench, qos, 5), PIPIT_OK);
    if (packets == 2 && qos == 2) {
        bench->pipe.write_room = 2; // PUBREC is read, PUBREL gets stuck.
    }
    bench_quiet(bench);
    assert_int_equal(broker.passed, packets > 0);
    bench_break(bench);
    bench->pipe.write_room = PIPE_ANY;
    broker.answers = 100;
    if (!has_session) {
        memset(broker.is_held, 0, sizeof(broker.is_held));
    }
    bench_up_again(bench, has_session);
    (void)hand_over(bench, qos, is_patient);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
}

// MQTT 3.1.1: [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.3.1-3] [MQTT-3.1.2-4]
// MQTT 3.1.1: [MQTT-4.1.0-1]
// MQTT 5: [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-3.1.2-23]
static void test_qos_2_broken_at_each_packet_is_passed_on_once(void **state)
{
    struct bench *bench = *state;
    for (unsigned packets = 0; packets < 4; packets++) {
        for (int is_patient = 0; is_patient < 2; is_patient++) {
            break_after(bench, 2, packets, true, is_patient != 0);
            if (broker.passed != 1) {
                fail_msg("broken after %u packets: passed on %u times", packets, broker.passed);
            }
            // Before PUBREC it is sent again and says so; later it is not.
            assert_int_equal(broker.dup_count, packets < 2 ? 1 : 0);
            assert_int_equal(broker.id, 1);
        }
    }
}

// MQTT 3.1.1: [MQTT-4.3.3-1]
// MQTT 5: [MQTT-3.2.2-5]
static void test_qos_2_is_sent_anew_to_a_broker_that_forgot(void **state)
{
    struct bench *bench = *state;
    for (unsigned packets = 0; packets < 4; packets++) {
        for (int is_patient = 0; is_patient < 2; is_patient++) {
            break_after(bench, 2, packets, false, is_patient != 0);
            assert_int_equal(broker.passed, packets == 0 ? 1 : 2); // It cannot be known better.
            assert_int_equal(broker.dup_count, 0);
        }
    }
}

// MQTT 3.1.1: [MQTT-4.3.2-1] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.3.1-3]
// MQTT 5: [MQTT-4.3.2-3] [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-3.3.1-3]
static void test_qos_1_broken_at_each_packet_is_not_lost(void **state)
{
    struct bench *bench = *state;
    for (unsigned packets = 0; packets < 2; packets++) {
        for (int has_session = 0; has_session < 2; has_session++) {
            break_after(bench, 1, packets, has_session != 0, false);
            assert_in_range(broker.passed, 1, 1 + packets);
            assert_int_equal(broker.dup_count, has_session);
            assert_int_equal(broker.id, 1);
        }
    }
}

// MQTT 3.1.1: [MQTT-4.6.0-1]
// MQTT 5: [MQTT-4.6.0-1]
static void test_each_message_gets_its_identifier_back(void **state)
{
    static const uint8_t qos[] = {1, 2, 2, 1};
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(bench_publish(bench, qos[i], 10 + i), PIPIT_OK);
    }
    bench_break(bench);
    bench_up_again(bench, true);
    for (uint32_t i = 0; i < 4; i++) { // In the order of the device's spool.
        bench->sent_len = 0;
        assert_int_equal(bench_publish(bench, qos[i], 10 + i), PIPIT_OK);
        bench_expect_publish(bench, (uint8_t)(0x38 | qos[i] << 1), (uint16_t)(i + 1));
    }
    assert_int_equal(bench_publish(bench, 1, 10), PIPIT_ERR_BUSY); // No second time.
}

// DUP is for the same message, and a token names it; 0 names none.
// MQTT 3.1.1: [MQTT-3.3.1-1] [MQTT-4.3.2-1]
// MQTT 5: [MQTT-4.3.2-2] [MQTT-3.3.1-3]
static void test_message_without_a_token_is_never_the_same(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 1, 0});
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 0), PIPIT_OK);
    bench_break(bench);
    bench_up_again(bench, true);
    bench->sent_len = 0;
    assert_int_equal(bench_publish(bench, 1, 0), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 1);
}

static void test_messages_that_never_come_again_do_not_fill_the_table(void **state)
{
    struct bench *bench = *state;
    for (uint8_t qos = 1; qos < 3; qos++) {
        broker_begin(bench);
        broker.answers = 0;
        bench_size(bench, (struct bench_sizes){128, 256, 4, 0});
        bench_up(bench);
        for (uint32_t token = 1; token <= 4; token++) {
            assert_int_equal(bench_publish(bench, qos, token), PIPIT_OK);
        }
        bench_break(bench);
        bench_up_again(bench, true);
        broker.answers = 1000;
        unsigned acked = 0;
        for (uint32_t token = 100; token < 110; token++) { // Others, that never end.
            for (int i = 0; i < 10 && bench_publish(bench, qos, token) != PIPIT_OK; i++) {
                acked += bench_poll(bench) == PIPIT_LINK_ACKED && bench->event.token >= 100;
            }
            acked += bench_next(bench) == PIPIT_LINK_ACKED && bench->event.token >= 100;
        }
        while (bench_next(bench) == PIPIT_LINK_ACKED) {
            acked += bench->event.token >= 100;
        }
        assert_int_equal(acked, 10);
        bench_disconnect(bench);
        bench_expect_down(bench, PIPIT_OK);
    }
}

static void test_subscription_does_not_take_over_a_message(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_break(bench);
    bench_up_again(bench, true);
    assert_int_equal(bench_subscribe(bench, "a", 1, 5), PIPIT_OK); // The token of the message.
    assert_int_equal(bench->last.id, 2);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    assert_int_equal(bench->last.id, 1);
    assert_true(bench->last.is_dup);
}

// MQTT 3.1.1: [MQTT-4.4.0-1]
// MQTT 5: [MQTT-4.4.0-1] [MQTT-4.3.3-5]
static void test_pubrels_are_sent_again_by_themselves(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t token = 1; token <= 3; token++) {
        assert_int_equal(bench_publish(bench, 2, token), PIPIT_OK);
        bench_put_answer(bench, 0x50, (uint16_t)token);
    }
    bench_quiet(bench);
    for (int round = 0; round < 3; round++) { // As often as it takes.
        bench_break(bench);
        bench_up_again(bench, true);
        bench_quiet(bench);
        bench_expect_sent(bench, BYTES(0x62, 2, 0, 1, 0x62, 2, 0, 2, 0x62, 2, 0, 3));
    }
    bench_put_answer(bench, 0x70, 2);
    bench_expect_acked(bench, 2, PIPIT_OK);
    bench_expect_nothing_sent(bench);
}

// What was settled before it was handed over again is over: the next one is a new message.
static void test_token_of_a_settled_message_is_new_again(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_put_answer(bench, 0x50, 1);
    bench_quiet(bench);
    bench_break(bench);
    bench_up_again(bench, true);
    bench_quiet(bench);
    bench_put_answer(bench, 0x70, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench->sent_len = 0;
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_quiet(bench);
    assert_true(bench->sent_len > 0);
    assert_int_equal(bench->sent[0], 0x34); // QoS 2, no DUP.
}

static void test_pubrels_wait_for_room(void **state)
{
    struct bench *bench = *state;
    enum { COUNT = 20 };
    bench_size(bench, (struct bench_sizes){128, 32, COUNT, 0});
    bench_up(bench);
    for (uint16_t id = 1; id <= COUNT; id++) {
        assert_int_equal(bench_publish(bench, 2, id), PIPIT_OK);
        bench_put_answer(bench, 0x50, id);
        bench_quiet(bench);
    }
    bench_break(bench);
    bench_up_again(bench, true);
    bench->pipe.write_max = 1;
    for (int i = 0; i < 100; i++) {
        bench_quiet(bench);
    }
    assert_int_equal(bench->sent_len, COUNT * 4);
    for (uint16_t id = 1; id <= COUNT; id++) {
        assert_int_equal(bench->sent[(id - 1) * 4 + 3], id);
    }
}

// MQTT 5: [MQTT-4.3.3-5]
static void test_pubcomp_of_a_broker_that_was_done_settles_it(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_put_answer(bench, 0x50, 1);
    bench_quiet(bench);
    bench_break(bench);
    bench_up_again(bench, true);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x62, 2, 0, 1)); // No PUBLISH any more.
    bench_put(bench, BYTES(0x70, 3, 0, 1, 0x92));
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_quiet(bench);
}

static void test_qos_0_that_was_not_written_is_forgotten(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 1, 0});
    bench_up(bench);
    bench->pipe.write_room = 2;
    assert_int_equal(bench_publish(bench, 0, 5), PIPIT_OK);
    bench_break(bench);
    bench->pipe.write_room = PIPE_ANY;
    bench_up_again(bench, true);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    assert_int_equal(bench_publish(bench, 0, 6), PIPIT_OK);
    bench_expect_acked(bench, 6, PIPIT_OK);
}

// A device sleeps while it is offline: the client must not keep it awake.
static void test_client_that_is_down_wants_no_polls(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t token = 1; token <= 4; token++) {
        assert_int_equal(bench_publish(bench, 0, token), PIPIT_OK);
    }
    assert_int_equal(bench->link->type->next_ms(bench->link), 0);
    bench_expect_acked(bench, 1, PIPIT_OK);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    assert_int_equal(bench->link->type->next_ms(bench->link), UINT32_MAX);
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 0, 1), PIPIT_OK);
    bench->pipe.write_room = 0;
    bench_disconnect(bench); // It cannot leave yet.
    bench_quiet(bench);
    assert_int_equal(bench->link->type->next_ms(bench->link), UINT32_MAX);
}

// ---- QoS 2 to us --------------------------------------------------------------------------------

// MQTT 3.1.1: [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.3-10]
static void test_duplicate_after_a_break_is_dropped(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_message(bench, 2, 9);
    bench_expect_message(bench, "t", "x", 1);
    bench_break(bench); // Before and after PUBREC has left.
    for (int round = 0; round < 3; round++) {
        bench_up_again(bench, true);
        bench_put_publish(bench, 0x0C, "t", 9, "x", 1);
        bench_quiet(bench);
        bench_expect_sent(bench, BYTES(0x50, 2, 0, 9));
        bench_break(bench);
    }
    bench_up_again(bench, true);
    bench_put_answer(bench, 0x62, 9);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x70, 2, 0, 9));
    bench_put_message(bench, 2, 9);
    bench_expect_message(bench, "t", "x", 1); // A new one.
}

// MQTT 3.1.1: [MQTT-3.1.2-6]
// MQTT 5: [MQTT-3.2.2-5] [MQTT-3.1.2-4]
static void test_new_session_means_new_identifiers(void **state)
{
    struct bench *bench = *state;
    for (int is_clean = 0; is_clean < 2; is_clean++) {
        bench->connect.is_clean_start = false;
        bench_up(bench);
        for (uint16_t id = 7; id < 10; id++) {
            bench_put_message(bench, 2, id);
            bench_expect_message(bench, "t", "x", 1);
        }
        assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
        bench_break(bench);
        bench->connect.is_clean_start = is_clean != 0;
        bench_up_again(bench, false);
        bench_quiet(bench);
        bench_expect_nothing_sent(bench);
        for (uint16_t id = 7; id < 10; id++) { // As many as the table holds, and all are new.
            bench_put_message(bench, 2, id);
            bench_expect_message(bench, "t", "x", 1);
        }
        assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
        assert_false(bench->last.is_dup);
        bench_break(bench);
    }
}

// MQTT 3.1.1: [MQTT-3.14.4-1] [MQTT-3.14.4-2]
// MQTT 5: [MQTT-3.14.4-1] [MQTT-3.14.4-2]
static void test_disconnect_is_the_last_packet(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_max = 1;
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench_disconnect(bench);
    assert_int_equal(bench_publish(bench, 1, 6), PIPIT_ERR_BUSY);
    assert_int_equal(bench_subscribe(bench, "a", 1, 6), PIPIT_ERR_BUSY);
    bench_put_message(bench, 1, 3); // Is not acknowledged any more.
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    assert_true(bench->judge.has_disconnect);
    assert_int_equal(bench->last.code, 0);
    assert_int_equal(bench->judge.len, 0);
}

static void test_disconnect_that_nobody_takes_ends_in_bounded_time(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_room = 1;
    bench_disconnect(bench);
    bench_quiet(bench);
    bench_later(bench, 20000);
    bench_quiet(bench);
    bench_later(bench, 1);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_disconnect_without_room_hangs_up(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 32, 8, 0});
    bench_up(bench);
    bench->pipe.write_room = 0;
    while (bench_publish(bench, 1, 5) == PIPIT_OK) {
    }
    while (bench_publish_bytes(bench, 0, 0, NULL, 0) == PIPIT_OK) {
    }
    bench_disconnect(bench);
    bench_later(bench, 20001);
    assert_int_equal(bench_next(bench), PIPIT_LINK_DOWN);
    bench_quiet(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_qos_2_broken_at_each_packet_is_passed_on_once),
        ON_BOTH(test_qos_2_is_sent_anew_to_a_broker_that_forgot),
        ON_BOTH(test_qos_1_broken_at_each_packet_is_not_lost),
        ON_BOTH(test_each_message_gets_its_identifier_back),
        ON_BOTH(test_message_without_a_token_is_never_the_same),
        ON_BOTH(test_messages_that_never_come_again_do_not_fill_the_table),
        ON_BOTH(test_subscription_does_not_take_over_a_message),
        ON_BOTH(test_pubrels_are_sent_again_by_themselves),
        ON_BOTH(test_token_of_a_settled_message_is_new_again),
        ON_BOTH(test_pubrels_wait_for_room),
        ON_5(test_pubcomp_of_a_broker_that_was_done_settles_it),
        ON_BOTH(test_qos_0_that_was_not_written_is_forgotten),
        ON_BOTH(test_client_that_is_down_wants_no_polls),
        ON_BOTH(test_duplicate_after_a_break_is_dropped),
        ON_BOTH(test_new_session_means_new_identifiers),
        ON_BOTH(test_disconnect_is_the_last_packet),
        ON_BOTH(test_disconnect_that_nobody_takes_ends_in_bounded_time),
        ON_BOTH(test_disconnect_without_room_hangs_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
