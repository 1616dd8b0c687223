// QoS 2 both ways on one connection; test_client_resume.c breaks it.
#include "client_bench.h"

// MQTT 3.1.1: [MQTT-4.3.3-1] [MQTT-2.3.1-6]
// MQTT 5: [MQTT-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-2.2.1-5]
static void test_message_of_ours_takes_four_packets(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_expect_publish(bench, 0x34, 1);
    bench_quiet(bench);
    bench_put_answer(bench, 0x50, 1);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x62, 2, 0, 1));
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    bench_put_answer(bench, 0x70, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    assert_int_equal(bench_publish(bench, 2, 6), PIPIT_OK);
    bench_expect_publish(bench, 0x34, 1);
}

// MQTT 5: [MQTT-4.3.3-4] [MQTT-4.4.0-2]
static void test_pubrec_that_refuses_ends_it(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench->sent_len = 0;
    bench_put(bench, BYTES(0x50, 3, 0, 1, 0x97));
    bench_expect_acked(bench, 5, PIPIT_ERR_REFUSED);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench); // No PUBREL.
    assert_int_equal(bench_publish(bench, 2, 6), PIPIT_OK);
    bench_expect_publish(bench, 0x34, 1);
    bench_put(bench, BYTES(0x50, 4, 0, 1, 0x10, 0)); // Nobody has subscribed: no refusal.
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x62, 2, 0, 1));
}

static void expect_release_of_unknown(struct bench *bench, uint16_t id)
{
    bench_quiet(bench);
    if (bench->is_v5) {
        bench_expect_sent(bench, BYTES(0x62, 3, (uint8_t)(id >> 8), (uint8_t)id, 0x92));
    } else {
        bench_expect_sent(bench, BYTES(0x62, 2, (uint8_t)(id >> 8), (uint8_t)id));
    }
}

// So that the broker can finish what only it remembers.
// MQTT 3.1.1: [MQTT-4.3.3-1]
// MQTT 5: [MQTT-4.3.3-4] [MQTT-3.6.2-1]
static void test_pubrec_that_nobody_awaits_is_released(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);        // 1
    assert_int_equal(bench_subscribe(bench, "a", 1, 6), PIPIT_OK); // 2
    bench->sent_len = 0;
    for (uint16_t id = 1; id < 7; id++) {
        bench_put_answer(bench, 0x50, id);
        expect_release_of_unknown(bench, id);
    }
    bench_put_answer(bench, 0x50, 0xFFFF);
    expect_release_of_unknown(bench, 0xFFFF);
    if (bench->is_v5) { // A refusal needs no release.
        bench_put(bench, BYTES(0x50, 3, 0, 9, 0x92));
        bench_quiet(bench);
        bench_expect_nothing_sent(bench);
    }
    for (uint16_t id = 1; id < 7; id++) {
        bench_put_answer(bench, 0x70, id); // What the broker says to that.
    }
    bench_quiet(bench);
    bench_put_answer(bench, 0x40, 1);
    bench_put_suback(bench, 2, 0);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_expect_acked(bench, 6, PIPIT_OK);
}

static void test_pubrec_again_is_released_again(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench->sent_len = 0;
    for (int i = 0; i < 3; i++) {
        bench_put_answer(bench, 0x50, 1);
        bench_quiet(bench);
        bench_expect_sent(bench, BYTES(0x62, 2, 0, 1));
    }
    bench_put_answer(bench, 0x70, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_quiet(bench);
}

static void test_pubcomp_that_nobody_awaits_changes_nothing(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 1, 6), PIPIT_OK);
    bench->sent_len = 0;
    for (uint16_t id = 1; id < 7; id++) {
        bench_put_answer(bench, 0x70, id); // Also before PUBREC.
    }
    bench_put_answer(bench, 0x70, 0xFFFF);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    bench_put_answer(bench, 0x50, 1);
    bench_put_answer(bench, 0x70, 1);
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_put_answer(bench, 0x70, 1);
    bench_quiet(bench);
}

// The broker took the message when it sent PUBREC: what it says later cannot undo that.
// MQTT 5: [MQTT-4.3.3-5]
static void test_pubcomp_that_knows_nothing_settles_it(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    bench_put_answer(bench, 0x50, 1);
    bench_put(bench, BYTES(0x70, 3, 0, 1, 0x92));
    bench_expect_acked(bench, 5, PIPIT_OK);
}

// MQTT 3.1.1: [MQTT-4.6.0-4]
// MQTT 5: [MQTT-4.6.0-4]
static void test_pubrels_go_in_the_order_of_the_pubrecs(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t token = 1; token <= 4; token++) {
        assert_int_equal(bench_publish(bench, 2, token), PIPIT_OK);
    }
    bench->sent_len = 0;
    for (int i = 0; i < 4; i++) {
        bench_put_answer(bench, 0x50, (uint16_t)("\3\1\4\2"[i]));
    }
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x62, 2, 0, 3, 0x62, 2, 0, 1, 0x62, 2, 0, 4, 0x62, 2, 0, 2));
}

// ---- to us --------------------------------------------------------------------------------------

// MQTT 3.1.1: [MQTT-4.3.3-2] [MQTT-2.3.1-6] [MQTT-3.3.4-1]
// MQTT 5: [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-4.3.3-12] [MQTT-2.2.1-5] [MQTT-3.3.4-1]
static void test_message_to_us_takes_four_packets(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (int i = 0; i < 3; i++) { // The identifier means something new each time.
        bench_put_message(bench, 2, 0x1234);
        bench_expect_message(bench, "t", "x", 1);
        bench_expect_nothing_sent(bench); // The device looks at it.
        bench_quiet(bench);
        bench_expect_sent(bench, BYTES(0x50, 2, 0x12, 0x34));
        bench_put_answer(bench, 0x62, 0x1234);
        bench_quiet(bench);
        bench_expect_sent(bench, BYTES(0x70, 2, 0x12, 0x34));
    }
}

// MQTT 3.1.1: [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.3-10]
static void test_duplicate_is_acknowledged_and_dropped(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_message(bench, 2, 7);
    bench_put_publish(bench, 0x0C, "t", 7, "x", 1); // Again, DUP.
    bench_put_message(bench, 2, 7);                 // And without.
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 7, 0x50, 2, 0, 7, 0x50, 2, 0, 7));
    bench_put_answer(bench, 0x62, 7);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x70, 2, 0, 7));
    bench_put_publish(bench, 0x0C, "t", 7, "y", 1); // New, whatever DUP says.
    bench_expect_message(bench, "t", "y", 1);
}

// MQTT 3.1.1: [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.3-11] [MQTT-3.7.2-1]
static void test_pubrel_that_nobody_awaits_is_completed(void **state)
{
    static const uint16_t ids[] = {1, 7, 255, 256, 0xFFFF};
    struct bench *bench = *state;
    bench_up(bench);
    for (size_t i = 0; i < 5; i++) {
        uint8_t high = (uint8_t)(ids[i] >> 8), low = (uint8_t)ids[i];
        bench_put_answer(bench, 0x62, ids[i]);
        bench_quiet(bench);
        if (bench->is_v5) {
            bench_expect_sent(bench, BYTES(0x70, 3, high, low, 0x92));
        } else {
            bench_expect_sent(bench, BYTES(0x70, 2, high, low));
        }
    }
    bench_put_message(bench, 0, 0);
    bench_expect_message(bench, "t", "x", 1);
}

// MQTT 5: [MQTT-4.3.3-11]
static void test_pubrel_may_carry_a_reason(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_message(bench, 2, 7);
    bench_expect_message(bench, "t", "x", 1);
    bench_put(bench, BYTES(0x62, 4, 0, 7, 0x92, 0));
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 7, 0x70, 2, 0, 7));
}

// MQTT 3.1.1: [MQTT-4.6.0-3]
// MQTT 5: [MQTT-4.6.0-3]
static void test_pubrecs_go_in_the_order_of_the_messages(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (int i = 0; i < 3; i++) {
        bench_put_message(bench, 2, (uint16_t)("\3\1\2"[i]));
    }
    for (int i = 0; i < 3; i++) {
        bench_expect_message(bench, "t", "x", 1);
    }
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 3, 0x50, 2, 0, 1, 0x50, 2, 0, 2));
}

// MQTT 5: [MQTT-3.3.4-9]
static void test_more_than_our_receive_maximum_is_too_many(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint16_t id = 1; id <= 4; id++) { // Three are allowed.
        bench_put_message(bench, 2, id);
    }
    for (int i = 0; i < 3; i++) {
        bench_expect_message(bench, "t", "x", 1);
    }
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    assert_int_equal(pipit_client_reason(&bench->client), 0x93);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 1, 0x50, 2, 0, 2, 0x50, 2, 0, 3, 0xE0, 1, 0x93));
}

// 3.1.1 has no words for a limit. A broker that has more under way is left, yet each connection
// gets something done, also when all of it comes in one piece.
// MQTT 3.1.1: [MQTT-4.3.3-2] [MQTT-4.4.0-1]
static void test_more_than_the_table_holds_comes_in_several_connections(void **state)
{
    struct bench *bench = *state;
    enum { COUNT = 10 };
    bool is_recorded[COUNT + 1] = {0}, is_done[COUNT + 1] = {0};
    unsigned seen = 0, done = 0, rounds = 0;
    bench_size(bench, (struct bench_sizes){128, 256, 4, 3});
    while (done < COUNT && rounds++ < 40) {
        bench_up_again(bench, rounds > 1);
        bench->sent_len = 0;
        for (uint16_t id = 1; id <= COUNT; id++) { // The broker sends all that is unfinished.
            if (is_recorded[id] && !is_done[id]) {
                bench_put_answer(bench, 0x62, id);
            } else if (!is_done[id]) {
                bench_put_publish(bench, rounds > 1 ? 0x0C : 0x04, "t", id, "x", 1);
            }
        }
        while (bench_next(bench) == PIPIT_LINK_MESSAGE) {
            seen++;
        }
        for (size_t at = 0; at + 4 <= bench->sent_len; at += 4) {
            is_recorded[bench->sent[at + 3]] |= bench->sent[at] == 0x50;
            done += bench->sent[at] == 0x70 && !is_done[bench->sent[at + 3]];
            is_done[bench->sent[at + 3]] |= bench->sent[at] == 0x70;
        }
        if (bench->event.kind == PIPIT_LINK_NOTHING) {
            bench_break(bench);
        }
    }
    assert_int_equal(done, COUNT);
    assert_int_equal(seen, COUNT); // Each of them once.
}

// Else the broker would send the same again, for ever.
// MQTT 3.1.1: [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.3-10]
static void test_duplicates_are_acknowledged_before_one_too_many_ends_it(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_room = 0; // The broker gets none of our answers.
    for (uint16_t id = 1; id <= 3; id++) {
        bench_put_message(bench, 2, id);
        bench_expect_message(bench, "t", "x", 1);
    }
    bench_break(bench);
    bench->pipe.write_room = PIPE_ANY;
    bench_up_again(bench, true);
    for (uint16_t id = 1; id <= 4; id++) {
        bench_put_publish(bench, 0x0C, "t", id, "x", 1);
    }
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    assert_in_range(bench->sent_len, 12, 15);
    bench->sent_len = 12;
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 1, 0x50, 2, 0, 2, 0x50, 2, 0, 3));
}

static void test_qos_2_is_refused_where_there_is_no_table(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 4, 0});
    bench_up(bench);
    bench_put_message(bench, 2, 7);
    bench_expect_fail(bench, 0x9B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_message_of_ours_takes_four_packets),
        ON_5(test_pubrec_that_refuses_ends_it),
        ON_BOTH(test_pubrec_that_nobody_awaits_is_released),
        ON_BOTH(test_pubrec_again_is_released_again),
        ON_BOTH(test_pubcomp_that_nobody_awaits_changes_nothing),
        ON_5(test_pubcomp_that_knows_nothing_settles_it),
        ON_BOTH(test_pubrels_go_in_the_order_of_the_pubrecs),
        ON_BOTH(test_message_to_us_takes_four_packets),
        ON_BOTH(test_duplicate_is_acknowledged_and_dropped),
        ON_BOTH(test_pubrel_that_nobody_awaits_is_completed),
        ON_5(test_pubrel_may_carry_a_reason),
        ON_BOTH(test_pubrecs_go_in_the_order_of_the_messages),
        ON_5(test_more_than_our_receive_maximum_is_too_many),
        ON_311(test_more_than_the_table_holds_comes_in_several_connections),
        ON_BOTH(test_duplicates_are_acknowledged_before_one_too_many_ends_it),
        ON_BOTH(test_qos_2_is_refused_where_there_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
