// Keepalive: pings in time, a silent broker is left in time, whatever the clock and the polls do.
#include "client_bench.h"

static unsigned count_pings(struct bench *bench)
{
    unsigned count = 0;
    for (size_t i = 0; i + 1 < bench->sent_len; i += 2) {
        assert_int_equal(bench->sent[i], 0xC0);
        assert_int_equal(bench->sent[i + 1], 0);
        count++;
    }
    bench->sent_len = 0;
    return count;
}

static void begin(struct bench *bench, uint16_t keepalive_s, uint32_t now_ms)
{
    bench->now_ms = now_ms;
    bench->connect.keepalive_s = keepalive_s;
    bench_up(bench);
    assert_int_equal(bench->connected.keepalive, keepalive_s);
    bench->sent_len = 0;
}

// Polls each `step_ms` with a broker that answers pings; the longest time between two packets.
static uint32_t longest_silence(struct bench *bench, uint32_t step_ms, uint32_t total_ms)
{
    uint32_t longest = 0, silent = 0;
    for (uint32_t ms = 0; ms < total_ms; ms += step_ms) {
        bench_later(bench, step_ms);
        silent += step_ms;
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
        if (count_pings(bench) > 0) {
            longest = silent > longest ? silent : longest;
            silent = 0;
            bench_put(bench, BYTES(0xD0, 0));
        }
    }
    return silent > longest ? silent : longest;
}

// MQTT 3.1.1: [MQTT-3.1.2-23]
// MQTT 5: [MQTT-3.1.2-20]
static void test_idle_connection_is_never_silent_for_longer_than_the_keepalive(void **state)
{
    static const struct {
        const char *why;
        uint16_t keepalive_s;
        uint32_t begin_ms, step_ms, polls;
    } cases[] = {
        {"polls of 1 ms", 1, 5, 1, 20000},
        {"the clock wraps under short polls", 10, 0xFFFFF000u, 1, 60000},
        {"the clock wraps", 60, 0xFFFF0000u, 250, 4000},
        {"the shortest keepalive", 1, 1000, 100, 1000},
        {"a usual one", 30, 1000, 1000, 1000},
        {"the longest", 0xFFFF, 7, 1000, 300000},
        {"the longest over the wrap", 0xFFFF, 0xFF000000u, 1000, 200000},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(bench, cases[i].keepalive_s, cases[i].begin_ms);
        uint32_t longest =
            longest_silence(bench, cases[i].step_ms, cases[i].step_ms * cases[i].polls);
        if (longest > cases[i].keepalive_s * 1000u || longest < cases[i].keepalive_s * 500u) {
            fail_msg("%s: silent for %u ms", cases[i].why, longest);
        }
        bench_disconnect(bench);
        bench_expect_down(bench, PIPIT_OK);
    }
}

static void test_no_keepalive_no_pings(void **state)
{
    struct bench *bench = *state;
    begin(bench, 0, 1000);
    for (int i = 0; i < 1000; i++) {
        bench_later(bench, 1000000);
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    }
    bench_expect_nothing_sent(bench);
}

static void test_busy_connection_needs_no_pings(void **state)
{
    struct bench *bench = *state;
    begin(bench, 10, 0xFFFFFFF0u);
    for (uint32_t token = 1; token < 100; token++) {
        bench_later(bench, 2000);
        assert_int_equal(bench_publish(bench, 1, token), PIPIT_OK);
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
        bench_put_answer(bench, 0x40, 1);
        bench_expect_acked(bench, token, PIPIT_OK);
        assert_int_equal(bench->last.type, 3);
    }
}

// What comes is no proof to the broker that we are there.
// MQTT 3.1.1: [MQTT-3.1.2-23]
// MQTT 5: [MQTT-3.1.2-20]
static void test_device_that_only_listens_pings_too(void **state)
{
    struct bench *bench = *state;
    unsigned pings = 0;
    begin(bench, 10, 1000);
    for (int i = 0; i < 100; i++) {
        bench_later(bench, 1000);
        bench_put_message(bench, 0, 0);
        bench_expect_message(bench, "t", "x", 1);
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
        pings += count_pings(bench);
    }
    assert_in_range(pings, 10, 15);
}

static uint32_t down_after(struct bench *bench, uint32_t step_ms)
{
    uint32_t begin_ms = bench->now_ms;
    for (int i = 0; i < 2000000 && bench_poll(bench) == PIPIT_LINK_NOTHING; i++) {
        bench_later(bench, step_ms);
    }
    assert_int_equal(bench->event.kind, PIPIT_LINK_DOWN);
    assert_int_equal(bench->event.rc, PIPIT_ERR_UNREACHABLE);
    assert_false(bench->pipe.is_open);
    return bench->now_ms - begin_ms;
}

// MQTT 3.1.1: [MQTT-3.12.4-1]
// MQTT 5: [MQTT-3.12.4-1]
static void test_broker_that_does_not_answer_pings_is_left(void **state)
{
    static const struct {
        uint16_t keepalive_s;
        uint32_t begin_ms, step_ms;
    } cases[] = {{1, 1000, 1},        {10, 0xFFFFF000u, 10},
                 {60, 1000, 1000},    {60, 0xFFFFFF00u, 1000},
                 {0xFFFF, 99, 60000}, {0xFFFF, 0xFFFFFF00u, 60000}};
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t keepalive_ms = cases[i].keepalive_s * 1000u;
        begin(bench, cases[i].keepalive_s, cases[i].begin_ms);
        uint32_t ms = down_after(bench, cases[i].step_ms);
        assert_in_range(ms, keepalive_ms, keepalive_ms / 2 * 3 + cases[i].step_ms);
        assert_int_equal(count_pings(bench), 1); // One is enough.
    }
}

// Nothing comes back, nothing goes out: the peer is gone and nobody said so.
static void test_half_open_link_is_left(void **state)
{
    struct bench *bench = *state;
    begin(bench, 30, 0xFFFFFF00u);
    bench->pipe.write_room = 0;
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    assert_in_range(down_after(bench, 100), 30000, 45100);
    bench->pipe.write_room = PIPE_ANY;
    begin(bench, 30, bench->now_ms); // Bytes go out, and vanish.
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    assert_in_range(down_after(bench, 100), 30000, 45100);
}

static void test_full_send_memory_does_not_hide_a_silent_broker(void **state)
{
    struct bench *bench = *state;
    begin(bench, 30, 1000);
    bench->pipe.write_room = 0;
    for (uint32_t token = 1; bench_publish(bench, 0, 0) == PIPIT_OK; token++) {
    }
    assert_in_range(down_after(bench, 100), 30000, 45100);
}

static void test_hours_between_polls(void **state)
{
    struct bench *bench = *state;
    begin(bench, 60, 0xFF000000u);
    for (int i = 0; i < 10; i++) { // Somebody polls once an hour; the broker was patient.
        bench_later(bench, 3600000);
        bench_put(bench, BYTES(0xD0, 0));
        bench_quiet(bench);
        assert_int_equal(count_pings(bench), 1);
    }
    bench_later(bench, 3600000); // This time it was not.
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_message_that_waited_while_nobody_polled_is_handed_out(void **state)
{
    struct bench *bench = *state;
    begin(bench, 60, 1000);
    bench_put_message(bench, 1, 5);
    bench_later(bench, 3600000);
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
    assert_int_equal(bench->sent[0], 0xC0); // And we are there again.
    assert_int_equal(bench->last.type, 4);
}

// A packet that trickles in is a sign of life.
static void test_half_a_packet_is_a_sign_of_life(void **state)
{
    struct bench *bench = *state;
    begin(bench, 10, 1000);
    bench_put(bench, BYTES(0x30, 100, 0, 1, 't'));
    for (int i = 0; i < 60; i++) {
        bench_later(bench, 1000);
        bench_put(bench, BYTES('x'));
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    }
}

// MQTT 5: [MQTT-3.1.2-21] [MQTT-3.2.2-21]
static void test_keepalive_of_the_broker_is_used(void **state)
{
    struct bench *bench = *state;
    bench->connect.keepalive_s = 600;
    bench_up_with(bench, BYTES(0x13, 0, 10));
    bench->sent_len = 0;
    assert_in_range(longest_silence(bench, 100, 100000), 5000, 10000);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up_with(bench, BYTES(0x13, 0, 0)); // None at all.
    bench->sent_len = 0;
    bench_later(bench, 3600000);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_up(bench); // Ours again.
    bench->sent_len = 0;
    assert_in_range(longest_silence(bench, 1000, 3600000), 300000, 600000);
}

static void test_pingresp_that_nobody_awaits_changes_nothing(void **state)
{
    struct bench *bench = *state;
    begin(bench, 60, 1000);
    bench_put(bench, BYTES(0xD0, 0, 0xD0, 0));
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_idle_connection_is_never_silent_for_longer_than_the_keepalive),
        ON_BOTH(test_no_keepalive_no_pings),
        ON_BOTH(test_busy_connection_needs_no_pings),
        ON_BOTH(test_device_that_only_listens_pings_too),
        ON_BOTH(test_broker_that_does_not_answer_pings_is_left),
        ON_BOTH(test_half_open_link_is_left),
        ON_BOTH(test_full_send_memory_does_not_hide_a_silent_broker),
        ON_BOTH(test_hours_between_polls),
        ON_BOTH(test_message_that_waited_while_nobody_polled_is_handed_out),
        ON_BOTH(test_half_a_packet_is_a_sign_of_life),
        ON_5(test_keepalive_of_the_broker_is_used),
        ON_BOTH(test_pingresp_that_nobody_awaits_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
