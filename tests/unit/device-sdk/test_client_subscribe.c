// Subscribing and its answers.
#include "client_bench.h"

// MQTT 3.1.1: [MQTT-2.3.1-1] [MQTT-3.8.1-1] [MQTT-3.8.3-3]
// MQTT 5: [MQTT-2.2.1-3] [MQTT-3.8.1-1] [MQTT-3.8.3-2] [MQTT-2.2.2-1]
static void test_subscribe_on_the_wire(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint8_t qos = 0; qos < 3; qos++) {
        assert_int_equal(bench_subscribe(bench, "a/#", qos, 5), PIPIT_OK);
        if (bench->is_v5) {
            bench_expect_sent(bench, BYTES(0x82, 9, 0, 1, 0, 0, 3, 'a', '/', '#', qos));
        } else {
            bench_expect_sent(bench, BYTES(0x82, 8, 0, 1, 0, 3, 'a', '/', '#', qos));
        }
        bench_quiet(bench);
        bench_put_suback(bench, 1, qos);
        bench_expect_acked(bench, 5, PIPIT_OK);
    }
}

// MQTT 3.1.1: [MQTT-3.10.1-1] [MQTT-3.10.3-2] [MQTT-2.3.1-1]
// MQTT 5: [MQTT-3.10.1-1] [MQTT-3.10.3-2] [MQTT-2.2.1-3]
static void test_unsubscribe_on_the_wire(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(pipit_client_unsubscribe(&bench->client, "a/+", 6), PIPIT_OK);
    if (bench->is_v5) {
        bench_expect_sent(bench, BYTES(0xA2, 8, 0, 1, 0, 0, 3, 'a', '/', '+'));
        bench_put(bench, BYTES(0xB0, 4, 0, 1, 0, 0x11)); // There was no such subscription.
    } else {
        bench_expect_sent(bench, BYTES(0xA2, 7, 0, 1, 0, 3, 'a', '/', '+'));
        bench_put_answer(bench, 0xB0, 1);
    }
    bench_expect_acked(bench, 6, PIPIT_OK);
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-3.8.4-5]
// MQTT 5: [MQTT-3.8.4-7]
static void test_suback_says_what_was_granted(void **state)
{
    static const struct {
        uint8_t code;
        bool is_5_only;
        enum pipit_err rc;
    } rows[] = {{0, false, PIPIT_OK},
                {1, false, PIPIT_OK}, // Less than was asked for.
                {2, false, PIPIT_OK},
                {0x80, false, PIPIT_ERR_REFUSED},
                {0x87, true, PIPIT_ERR_REFUSED},
                {0x8F, true, PIPIT_ERR_REFUSED},
                {0xA2, true, PIPIT_ERR_REFUSED}};
    struct bench *bench = *state;
    bench_up(bench);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].is_5_only && !bench->is_v5) {
            continue;
        }
        assert_int_equal(bench_subscribe(bench, "a", 2, 7), PIPIT_OK);
        bench_put_suback(bench, 1, rows[i].code);
        bench_expect_acked(bench, 7, rows[i].rc);
    }
}

static void test_unsuback_may_refuse(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(pipit_client_unsubscribe(&bench->client, "a", 6), PIPIT_OK);
    bench_put(bench, BYTES(0xB0, 9, 0, 1, 5, 0x1F, 0, 2, 'n', 'o', 0x87));
    bench_expect_acked(bench, 6, PIPIT_ERR_REFUSED);
}

// MQTT 3.1.1: [MQTT-2.3.1-7] [MQTT-3.8.4-2]
// MQTT 5: [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.10.4-5]
static void test_answers_that_nobody_awaits_change_nothing(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);        // 1
    assert_int_equal(bench_subscribe(bench, "a", 1, 2), PIPIT_OK); // 2
    for (uint16_t id = 3; id < 9; id++) {
        bench_put_suback(bench, id, 0);
    }
    bench_put_suback(bench, 1, 0); // Of a message.
    bench_put_suback(bench, 0xFFFF, 0x80);
    bench_quiet(bench);
    bench_put_suback(bench, 2, 1);
    bench_put_suback(bench, 2, 1);
    bench_put_answer(bench, 0x40, 1);
    bench_expect_acked(bench, 2, PIPIT_OK);
    bench_expect_acked(bench, 1, PIPIT_OK);
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-3.8.4-5] [MQTT-4.8.0-1]
// MQTT 5: [MQTT-3.8.4-6] [MQTT-4.13.1-1]
static void test_suback_has_one_code_for_one_filter(void **state)
{
    struct bench *bench = *state;
    for (int i = 0; i < 2; i++) {
        bench_up(bench);
        assert_int_equal(bench_subscribe(bench, "a", 1, 2), PIPIT_OK);
        bench->sent_len = 0;
        if (bench->is_v5) {
            bench_put(bench,
                      i == 0 ? (const uint8_t[]){0x90, 3, 0, 1, 0}
                             : (const uint8_t[]){0x90, 5, 0, 1, 0, 1, 1},
                      i == 0 ? 5 : 7);
        } else {
            bench_put(bench,
                      i == 0 ? (const uint8_t[]){0x90, 2, 0, 1}
                             : (const uint8_t[]){0x90, 4, 0, 1, 1, 1},
                      i == 0 ? 4 : 6);
        }
        bench_expect_fail(bench, 0x81);
    }
}

static void test_subscription_is_forgotten_with_its_connection(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 256, 1, 0});
    bench_up(bench);
    assert_int_equal(bench_subscribe(bench, "a", 1, 2), PIPIT_OK);
    assert_int_equal(bench_subscribe(bench, "b", 1, 3), PIPIT_ERR_BUSY);
    bench_break(bench);
    bench_up_again(bench, true);
    bench_put_suback(bench, 1, 0); // Of whatever the broker thinks of.
    bench_quiet(bench);
    assert_int_equal(bench_subscribe(bench, "a", 1, 4), PIPIT_OK);
    bench_put_suback(bench, 1, 0);
    bench_expect_acked(bench, 4, PIPIT_OK);
}

static void test_filter_larger_than_the_send_memory_is_refused(void **state)
{
    struct bench *bench = *state;
    char filter[100];
    memset(filter, 'f', 99);
    filter[99] = 0;
    bench_size(bench, (struct bench_sizes){128, 64, 1, 0});
    bench_up(bench);
    assert_int_equal(bench_subscribe(bench, filter, 1, 2), PIPIT_ERR_SIZE);
    assert_int_equal(pipit_client_unsubscribe(&bench->client, filter, 2), PIPIT_ERR_SIZE);
    assert_int_equal(bench_subscribe(bench, "a", 1, 2), PIPIT_OK); // No place was lost.
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_subscribe_on_the_wire),
        ON_BOTH(test_unsubscribe_on_the_wire),
        ON_BOTH(test_suback_says_what_was_granted),
        ON_5(test_unsuback_may_refuse),
        ON_BOTH(test_answers_that_nobody_awaits_change_nothing),
        ON_BOTH(test_suback_has_one_code_for_one_filter),
        ON_BOTH(test_subscription_is_forgotten_with_its_connection),
        ON_BOTH(test_filter_larger_than_the_send_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
