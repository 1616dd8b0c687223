// Messages to us: their acknowledgement, any split of the bytes, and what a slow way out does.
#include "client_bench.h"

// MQTT 3.1.1: [MQTT-3.3.4-1] [MQTT-4.3.2-2] [MQTT-4.5.0-2] [MQTT-2.3.1-6]
// MQTT 5: [MQTT-3.3.4-1] [MQTT-4.3.2-4] [MQTT-4.5.0-2] [MQTT-2.2.1-5]
// MQTT 5: [MQTT-3.4.2-1] [MQTT-3.5.2-1]
static void test_each_qos_is_answered_as_it_wants(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_publish(bench, 0x00, "a/b", 0, "0", 1);
    bench_expect_message(bench, "a/b", "0", 1);
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    bench_put_publish(bench, 0x02, "a/b", 0x4321, "11", 2);
    bench_expect_message(bench, "a/b", "11", 2);
    bench_expect_nothing_sent(bench); // The device looks at it.
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0x43, 0x21));
    bench_put_publish(bench, 0x04, "a/b", 0x4321, "222", 3);
    bench_expect_message(bench, "a/b", "222", 3);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0x43, 0x21));
    bench_put_publish(bench, 0x01, "r", 0, "", 0); // Retained, empty.
    bench_expect_message(bench, "r", "", 0);
    bench_quiet(bench);
}

// MQTT 3.1.1: [MQTT-4.3.2-2]
// MQTT 5: [MQTT-4.3.2-5]
static void test_qos_1_that_comes_again_is_new(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_publish(bench, 0x02, "t", 3, "x", 1);
    bench_put_publish(bench, 0x0A, "t", 3, "x", 1);
    for (int i = 0; i < 2; i++) {
        bench_expect_message(bench, "t", "x", 1);
    }
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 3, 0x40, 2, 0, 3));
}

// MQTT 3.1.1: [MQTT-4.6.0-2]
// MQTT 5: [MQTT-4.6.0-2]
static void test_pubacks_go_in_the_order_of_the_messages(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (uint16_t id = 9; id > 5; id--) {
        bench_put_message(bench, 1, id);
    }
    for (int i = 0; i < 4; i++) {
        bench_expect_message(bench, "t", "x", 1);
    }
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 9, 0x40, 2, 0, 8, 0x40, 2, 0, 7, 0x40, 2, 0, 6));
}

// A stream with all that a broker sends, cut in two at every place, and in pieces of every size.
static void put_stream(struct bench *bench, size_t from, size_t to)
{
    static const uint8_t tail_311[] = {0x40, 2, 0, 1, 0x90, 3, 0, 2, 1, 0xD0, 0};
    static const uint8_t tail_5[] = {0x40, 4, 0, 1, 0, 0, 0x90, 4, 0, 2, 0, 1, 0xD0, 0};
    uint8_t stream[512], payload[150];
    size_t len;
    memset(payload, 'p', sizeof(payload));
    bench_put_publish(bench, 0x02, "one/two", 0x0102, payload,
                      sizeof(payload)); // Two bytes of length.
    bench_put_publish(bench, 0x04, "t", 0x0304, "x", 1);
    bench_put(bench, bench->is_v5 ? tail_5 : tail_311,
              bench->is_v5 ? sizeof(tail_5) : sizeof(tail_311));
    len = bench->pipe.in_end - bench->pipe.in_at;
    memcpy(stream, bench->pipe.in + bench->pipe.in_at, len);
    bench->pipe.in_at = bench->pipe.in_end;
    to = to < len ? to : len;
    if (from < to) {
        bench_put(bench, stream + from, to - from);
    }
}

static void count_stream(struct bench *bench, unsigned *counts)
{
    while (bench_next(bench) != PIPIT_LINK_NOTHING) {
        assert_int_equal(bench->event.rc, PIPIT_OK);
        counts[bench->event.kind]++;
        if (bench->event.kind == PIPIT_LINK_MESSAGE && bench->event.payload.len == 150) {
            assert_memory_equal(bench->event.topic.ptr, "one/two", 7);
            assert_int_equal(bench->event.payload.ptr[149], 'p');
        }
    }
}

static void check_stream(struct bench *bench, size_t cut, size_t piece)
{
    unsigned counts[8] = {0};
    bench->pipe.read_max = PIPE_ANY;
    bench_up(bench);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    assert_int_equal(bench_subscribe(bench, "a", 1, 6), PIPIT_OK);
    bench->sent_len = 0;
    bench->pipe.read_max = piece;
    put_stream(bench, 0, cut);
    count_stream(bench, counts);
    put_stream(bench, cut, SIZE_MAX);
    count_stream(bench, counts);
    assert_int_equal(counts[PIPIT_LINK_MESSAGE], 2);
    assert_int_equal(counts[PIPIT_LINK_ACKED], 2);
    bench_expect_sent(bench, BYTES(0x40, 2, 1, 2, 0x50, 2, 3, 4));
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench->sent_len = 0;
}

static void test_bytes_may_be_split_anywhere(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){256, 256, 4, 3});
    for (size_t cut = 0; cut < 195; cut++) {
        check_stream(bench, cut, PIPE_ANY);
    }
    for (size_t piece = 1; piece < 40; piece++) {
        check_stream(bench, 0, piece);
    }
}

// From the smallest memory that holds the message, packets end at each of its places.
static void test_every_size_of_memory_will_do(void **state)
{
    struct bench *bench = *state;
    for (size_t size = 164u + bench->is_v5; size < 240; size++) {
        bench_size(bench, (struct bench_sizes){size, 64, 4, 3});
        check_stream(bench, 0, PIPE_ANY);
    }
}

static void test_message_stays_until_the_next_poll(void **state)
{
    struct bench *bench = *state;
    uint8_t other[110];
    memset(other, 'o', sizeof(other));
    bench_up(bench);
    bench_put_publish(bench, 0, "first", 0, "1234", 4);
    bench_put_publish(bench, 0, "second", 0, other, sizeof(other));
    bench_expect_message(bench, "first", "1234", 4);
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK); // The device answers it.
    assert_int_equal(bench_subscribe(bench, "a", 0, 6), PIPIT_OK);
    assert_memory_equal(bench->event.topic.ptr, "first", 5);
    assert_memory_equal(bench->event.payload.ptr, "1234", 4);
    bench_expect_message(bench, "second", other, sizeof(other));
}

static void test_message_stays_though_the_link_breaks(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_message(bench, 1, 5);
    bench_expect_message(bench, "t", "x", 1);
    bench->pipe.write_error = PIPIT_ERR_UNREACHABLE;
    assert_int_equal(bench_publish(bench, 0, 0), PIPIT_OK);
    assert_memory_equal(bench->event.payload.ptr, "x", 1);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_what_arrived_before_the_end_is_handed_out(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_message(bench, 0, 0);
    bench_put_message(bench, 1, 5);
    bench->pipe.read_error = PIPIT_ERR_UNREACHABLE;
    bench_expect_message(bench, "t", "x", 1);
    bench_expect_message(bench, "t", "x", 1);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 5));
}

static void test_nothing_is_read_that_could_not_be_answered(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 32, 4, 3});
    bench_up(bench);
    bench->pipe.write_room = 0;
    for (uint16_t id = 1; id <= 30; id++) {
        bench_put_message(bench, 1, id);
    }
    unsigned messages = 0;
    while (bench_next(bench) == PIPIT_LINK_MESSAGE) {
        messages++;
    }
    assert_in_range(messages, 6, 9); // 32 bytes of answers.
    bench->pipe.write_room = PIPE_ANY;
    while (bench_next(bench) == PIPIT_LINK_MESSAGE) {
        messages++;
    }
    assert_int_equal(messages, 30);
    assert_int_equal(bench->sent_len, 120);
    for (uint16_t id = 1; id <= 30; id++) { // None is missing, and none came twice.
        assert_int_equal(bench->sent[(id - 1) * 4 + 3], id);
    }
}

static void test_message_is_not_lost_while_its_answer_waits(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 32, 8, 3});
    bench_up(bench);
    bench->pipe.write_room = 0;
    bench_put_message(bench, 1, 7);
    bench_expect_message(bench, "t", "x", 1);
    while (bench_publish(bench, 0, 0) == PIPIT_OK) { // Fills what its PUBACK needs.
    }
    bench_put_message(bench, 1, 8);
    bench_quiet(bench);
    assert_int_equal(bench->link->type->next_ms(bench->link), UINT32_MAX); // No spinning.
    bench->pipe.write_room = PIPE_ANY;
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
    assert_int_equal(bench->last.type, 4);
    assert_int_equal(bench->last.id, 8);
}

static void test_one_poll_reads_a_bounded_amount(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (int i = 0; i < 2000; i++) {
        bench_put(bench, BYTES(0xD0, 0));
    }
    bench->pipe.read_max = 1;
    unsigned polls = 0;
    while (bench->pipe.in_at < bench->pipe.in_end) {
        unsigned before = bench->pipe.read_count;
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
        assert_in_range(bench->pipe.read_count - before, 1, 64);
        assert_true(++polls < 1000);
    }
}

static void test_properties_of_a_message_are_read_over(void **state)
{
    static const uint8_t packet[] = {
        0x32, 60,   0,    1,    't', 0,    5,   53,             //
        0x01, 1,                                                // payload format
        0x02, 0,    0,    0,    9,                              // expiry
        0x03, 0,    4,    't',  'e', 'x',  't',                 // content type
        0x08, 0,    3,    'r',  '/', 's',                       // response topic
        0x09, 0,    4,    0,    1,   0xFF, 3,                   // correlation data
        0x0B, 0x80, 0x80, 0x80, 1,                              // subscription identifiers
        0x0B, 1,                                                //
        0x26, 0,    3,    'k',  'e', 'y',  0,   2,    'v', 'v', // user properties
        0x26, 0,    1,    'k',  0,   1,    'w', 0x01, 0,        //
        'x',
    };
    struct bench *bench = *state;
    bench_up(bench);
    bench_put(bench, packet, sizeof(packet));
    bench_expect_message(bench, "t", "x", 1);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0, 5));
}

// MQTT 3.1.1: [MQTT-1.5.3-3]
// MQTT 5: [MQTT-1.5.4-3]
static void test_topics_of_all_characters_are_handed_out(void **state)
{
    static const char *const topics[] = {"/",
                                         "$SYS/x",
                                         " ",
                                         "\xEF\xBB\xBF"
                                         "a",
                                         "\x7F",
                                         "\xC2\x80",
                                         "\xDF\xBF",
                                         "\xE0\xA0\x80",
                                         "\xED\x9F\xBF",
                                         "\xEE\x80\x80",
                                         "\xEF\xBF\xBF",
                                         "\xF0\x90\x80\x80",
                                         "\xF4\x8F\xBF\xBF"};
    struct bench *bench = *state;
    bench_up(bench);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        bench_put_publish(bench, 0, topics[i], 0, "x", 1);
        bench_expect_message(bench, topics[i], "x", 1);
    }
}

// ---- acknowledged by the caller -----------------------------------------------------------------

static void begin_explicit(struct bench *bench)
{
    bench->options.is_ack_explicit = true;
    bench_up(bench);
}

// MQTT 3.1.1: [MQTT-4.3.2-2] [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.2-4] [MQTT-4.3.3-8]
static void test_caller_acknowledges_when_it_owns_the_message(void **state)
{
    struct bench *bench = *state;
    uint32_t tokens[4];
    begin_explicit(bench);
    for (uint8_t i = 0; i < 4; i++) {
        bench_put_message(bench, i == 0 ? 0 : i == 3 ? 1 : i, (uint16_t)(0x1000 + i));
        bench_expect_message(bench, "t", "x", 1);
        tokens[i] = bench->event.token;
    }
    bench_quiet(bench);
    bench_expect_nothing_sent(bench);
    assert_int_equal(tokens[0], 0);
    assert_int_equal(pipit_client_acknowledge(&bench->client, 0), PIPIT_OK); // QoS 0.
    for (int i = 3; i > 0; i--) { // In the caller's order.
        assert_int_equal(pipit_client_acknowledge(&bench->client, tokens[i]), PIPIT_OK);
    }
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x40, 2, 0x10, 3, 0x50, 2, 0x10, 2, 0x40, 2, 0x10, 1));
    bench_put_answer(bench, 0x62, 0x1002);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x70, 2, 0x10, 2));
}

static void test_acknowledging_is_busy_while_there_is_no_room(void **state)
{
    struct bench *bench = *state;
    uint32_t tokens[9];
    bench_size(bench, (struct bench_sizes){128, 32, 4, 3});
    begin_explicit(bench);
    for (uint16_t i = 0; i < 9; i++) {
        bench_put_message(bench, 1, (uint16_t)(i + 1));
        bench_expect_message(bench, "t", "x", 1);
        tokens[i] = bench->event.token;
    }
    bench->pipe.write_room = 0;
    int taken = 0;
    while (taken < 9 && pipit_client_acknowledge(&bench->client, tokens[taken]) == PIPIT_OK) {
        taken++;
    }
    assert_in_range(taken, 6, 8);
    assert_int_equal(pipit_client_acknowledge(&bench->client, tokens[taken]), PIPIT_ERR_BUSY);
    bench->pipe.write_room = PIPE_ANY;
    bench_quiet(bench);
    for (; taken < 9; taken++) {
        assert_int_equal(pipit_client_acknowledge(&bench->client, tokens[taken]), PIPIT_OK);
    }
    bench_quiet(bench);
    assert_int_equal(bench->sent_len, 36);
    bench_break(bench);
    assert_int_equal(pipit_client_acknowledge(&bench->client, tokens[0]), PIPIT_ERR_STATE);
}

// What the caller did not acknowledge it may have lost: the broker sends it again, and it is
// handed out again; what it did acknowledge is not.
// MQTT 3.1.1: [MQTT-4.3.3-2]
// MQTT 5: [MQTT-4.3.3-8] [MQTT-4.3.3-10]
static void test_qos_2_that_was_not_acknowledged_comes_again(void **state)
{
    struct bench *bench = *state;
    begin_explicit(bench);
    for (uint16_t id = 1; id <= 3; id++) {
        bench_put_message(bench, 2, id);
        bench_expect_message(bench, "t", "x", 1);
    }
    assert_int_equal(pipit_client_acknowledge(&bench->client, bench->event.token), PIPIT_OK); // 3
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 3));
    bench_break(bench);
    bench_up_again(bench, true);
    bench->sent_len = 0;
    for (uint16_t id = 1; id <= 3; id++) {
        bench_put_publish(bench, 0x0C, "t", id, "x", 1);
    }
    bench_expect_message(bench, "t", "x", 1);
    assert_int_equal(bench->event.token & 0xFFFF, 1);
    assert_int_equal(pipit_client_acknowledge(&bench->client, bench->event.token), PIPIT_OK);
    bench_expect_message(bench, "t", "x", 1);
    assert_int_equal(bench->event.token & 0xFFFF, 2);
    bench_quiet(bench);
    bench_expect_sent(bench, BYTES(0x50, 2, 0, 1, 0x50, 2, 0, 3));
}

// What one poll leaves in the memory, the transport does not announce again.
static void test_packets_that_are_left_want_another_poll(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    for (unsigned i = 0; i < 100; i++) { // In one read: more than one poll looks at.
        bench_put(bench, BYTES(0xD0, 0));
    }
    bench_put_message(bench, 0, 0);
    unsigned polls = 1;
    while (bench_poll(bench) == PIPIT_LINK_NOTHING) {
        assert_int_equal(bench->link->type->next_ms(bench->link), 0);
        assert_true(++polls < 10);
    }
    assert_int_equal(bench->event.kind, PIPIT_LINK_MESSAGE);
    assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    assert_int_equal(bench->link->type->next_ms(bench->link), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_each_qos_is_answered_as_it_wants),
        ON_BOTH(test_qos_1_that_comes_again_is_new),
        ON_BOTH(test_pubacks_go_in_the_order_of_the_messages),
        ON_BOTH(test_bytes_may_be_split_anywhere),
        ON_BOTH(test_every_size_of_memory_will_do),
        ON_BOTH(test_message_stays_until_the_next_poll),
        ON_BOTH(test_message_stays_though_the_link_breaks),
        ON_BOTH(test_what_arrived_before_the_end_is_handed_out),
        ON_BOTH(test_nothing_is_read_that_could_not_be_answered),
        ON_BOTH(test_message_is_not_lost_while_its_answer_waits),
        ON_BOTH(test_one_poll_reads_a_bounded_amount),
        ON_BOTH(test_packets_that_are_left_want_another_poll),
        ON_5(test_properties_of_a_message_are_read_over),
        ON_BOTH(test_topics_of_all_characters_are_handed_out),
        ON_BOTH(test_caller_acknowledges_when_it_owns_the_message),
        ON_BOTH(test_acknowledging_is_busy_while_there_is_no_room),
        ON_BOTH(test_qos_2_that_was_not_acknowledged_comes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
