// What features.h leaves out is left out cleanly: these tests hold for every choice of switches,
// test_client_variants.py builds them with several.
#include "client_bench.h"

static void test_version_that_is_not_built_in_is_refused(void **state)
{
    struct bench *bench = *state;
    struct pipit_client_options options = bench->options;
    options.version = PIPIT_MQTT_311;
    assert_int_equal(pipit_client_init(&bench->client, &options) == PIPIT_OK, PIPIT_WITH_MQTT_311);
    options.version = PIPIT_MQTT_5; // The default: where only one is built in, that one.
    assert_int_equal(pipit_client_init(&bench->client, &options), PIPIT_OK);
}

static void test_qos_1_and_pings_are_always_there(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint32_t token = 1; token < 4; token++) {
        assert_int_equal(bench_publish(bench, 1, token), PIPIT_OK);
        bench_expect_publish(bench, 0x32, 1);
        bench_put_answer(bench, 0x40, 1);
        bench_expect_acked(bench, token, PIPIT_OK);
    }
    bench_later(bench, 59000);
    bench_put(bench, BYTES(0xD0, 0));
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0xC0, 0));
    bench_break(bench);
    bench_up_again(bench, true);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    assert_true(bench->judge.has_disconnect);
}

static void test_qos_2_of_ours(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 2, 5), PIPIT_OK);
    if (PIPIT_WITH_QOS_2) {
        bench_expect_publish(bench, 0x34, 1);
        bench_put_answer(bench, 0x50, 1);
        bench_put_answer(bench, 0x70, 1);
    } else { // As a broker that takes no more would have it.
        bench_expect_publish(bench, 0x32, 1);
        bench_put_answer(bench, 0x40, 1);
    }
    bench_expect_acked(bench, 5, PIPIT_OK);
    bench_quiet(bench);
}

static void test_messages_to_us(void **state)
{
    struct bench *bench = *state;
    for (uint8_t qos = 0; qos < 3; qos++) {
        bench_up(bench);
        bench_put_message(bench, qos, 7);
        if (PIPIT_WITH_INBOUND && (qos < 2 || PIPIT_WITH_QOS_2)) {
            bench_expect_message(bench, "t", "x", 1);
            bench_disconnect(bench);
            bench_expect_down(bench, PIPIT_OK);
        } else {
            bench_expect_fail(bench, PIPIT_WITH_INBOUND ? 0x9B : 0x81);
        }
        bench->sent_len = 0;
    }
}

static void test_exchanges_that_nobody_began(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint16_t id = 1; id < 9; id++) {
        bench_put_answer(bench, 0x40, id);
        bench_put_answer(bench, 0x50, id);
        bench_put_answer(bench, 0x62, id);
        bench_put_answer(bench, 0x70, id);
        bench_put_suback(bench, id, 0);
    }
    bench_quiet(bench);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench_put_answer(bench, 0x40, bench->last.id);
    bench_expect_acked(bench, 5, PIPIT_OK);
}

static void test_message_larger_than_the_memory(void **state)
{
    static const uint8_t zeros[500];
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_publish(bench, 2, "t", 7, zeros, sizeof(zeros));
    if (PIPIT_WITH_INBOUND && !bench->is_v5) {
        bench_expect(bench, PIPIT_LINK_MESSAGE, PIPIT_ERR_SIZE);
        bench_quiet(bench);
    } else {
        bench_expect_fail(bench, 0x95);
    }
}

static void test_subscribing(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    enum pipit_err rc = bench_subscribe(bench, "a/#", 1, 5);
    if (PIPIT_WITH_INBOUND) {
        assert_int_equal(rc, PIPIT_OK);
        bench_put_suback(bench, 1, 1);
        bench_expect_acked(bench, 5, PIPIT_OK);
    } else { // And not PIPIT_ERR_BUSY: it will never be otherwise.
        assert_true(rc != PIPIT_OK && rc != PIPIT_ERR_BUSY);
        bench_quiet(bench);
    }
}

// Without presence there is no will; the judge sees whether the flags say so, too.
static void test_will_is_whole_or_not_there(void **state)
{
    struct bench *bench = *state;
    bench->connect.will_topic = "w";
    bench->connect.will = pipit_text("bye");
    bench->connect.username = "u";
    bench_up(bench);
    assert_int_equal(bench->connected.flags & 0x2C, PIPIT_WITH_PRESENCE ? 0x2C : 0);
    assert_int_equal(bench->connected.flags & 0x80, 0x80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_version_that_is_not_built_in_is_refused),
        ON_BOTH(test_qos_1_and_pings_are_always_there),
        ON_BOTH(test_qos_2_of_ours),
        ON_BOTH(test_messages_to_us),
        ON_BOTH(test_exchanges_that_nobody_began),
        ON_BOTH(test_message_larger_than_the_memory),
        ON_BOTH(test_subscribing),
        ON_BOTH(test_will_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
