// Connecting: what CONNECT says, what each CONNACK means, and that every try ends in bounded time.
#include "client_bench.h"

static enum pipit_err init_with(struct bench *bench, struct pipit_client_options options)
{
    return pipit_client_init(&bench->client, &options);
}

static void test_memory_that_is_missing_or_too_small_is_refused(void **state)
{
    struct bench *bench = *state;
    struct pipit_client_options options = bench->options;
    assert_int_equal(init_with(bench, options), PIPIT_OK);
    for (int i = 0; i < 8; i++) {
        options = bench->options;
        options.transport = i == 0 ? NULL : options.transport;
        options.receive_memory = i == 1 ? NULL : options.receive_memory;
        options.send_memory = i == 2 ? NULL : options.send_memory;
        options.flights = i == 3 ? NULL : options.flights;
        options.flights_max = i == 4 ? 0 : options.flights_max;
        options.receive_bytes = i == 5 ? 31 : options.receive_bytes;
        options.send_bytes = i == 6 ? 31 : options.send_bytes;
        options.inbound = i == 7 ? NULL : options.inbound;
        assert_int_equal(init_with(bench, options), PIPIT_ERR_ARGUMENT);
    }
    options = bench->options;
    options.inbound = NULL;
    options.inbound_max = 0;
    assert_int_equal(init_with(bench, options), PIPIT_OK);
}

static bool is_text(struct judge_text text, const char *want)
{
    return want == NULL ? text.ptr == NULL
                        : text.ptr != NULL && text.len == strlen(want) &&
                              memcmp(text.ptr, want, text.len) == 0;
}

struct connect_case {
    const char *why;
    struct pipit_connect options;
    uint8_t flags_311, flags_5;
};

static const struct connect_case *current;

// The judge has read it already; here is what it must say.
static void check_connect(void *context, const struct judge_packet *packet)
{
    struct bench *bench = context;
    const struct pipit_connect *want = &current->options;
    bool has_will = want->will_topic != NULL;
    bench_packet(context, packet);
    assert_int_equal(packet->flags, bench->is_v5 ? current->flags_5 : current->flags_311);
    assert_int_equal(packet->keepalive, want->keepalive_s);
    assert_true(is_text(packet->client_id, want->client_id));
    assert_true(is_text(packet->will_topic, want->will_topic));
    assert_true(is_text(packet->will, has_will ? (const char *)want->will.ptr : NULL));
    assert_true(is_text(packet->username, want->username));
    assert_true(is_text(packet->password, (const char *)want->password.ptr));
    if (bench->is_v5) {
        assert_int_equal(packet->expiry, want->session_expiry_s);
        assert_int_equal(packet->packet_max, bench->options.receive_bytes);
        assert_int_equal(packet->receive_max, 3);
    }
}

#define TEXT_BYTES(text)                                                                           \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

// MQTT 3.1.1: [MQTT-3.1.0-1] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14]
// MQTT 3.1.1: [MQTT-3.1.2-15] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21]
// MQTT 3.1.1: [MQTT-3.1.3-1] [MQTT-3.1.3-3]
// MQTT 5: [MQTT-3.1.0-1] [MQTT-3.1.2-1] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-12]
// MQTT 5: [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19]
// MQTT 5: [MQTT-3.1.3-1] [MQTT-3.1.3-3] [MQTT-2.2.2-1]
static void test_connect_says_what_was_asked_for(void **state)
{
    static const struct connect_case cases[] = {
        {"the least", {.client_id = "c", .session_expiry_s = 5}, 0x00, 0x00},
        {"a clean start", {.client_id = "c", .is_clean_start = true, .session_expiry_s = 5}, 2, 2},
        {"3.1.1 has no expiry but this", {.client_id = "c", .keepalive_s = 0xFFFF}, 0x02, 0x00},
        {"the longest expiry", {.client_id = "c", .session_expiry_s = 0x7FFFFFFF}, 0x00, 0x00},
        {"a will of QoS 1, retained",
         {.client_id = "c", .session_expiry_s = 5, .will_topic = "w", .will = TEXT_BYTES("bye")},
         0x2C,
         0x2C},
        {"an empty will",
         {.client_id = "c", .session_expiry_s = 5, .will_topic = "w", .will = TEXT_BYTES("")},
         0x2C,
         0x2C},
        {"a user", {.client_id = "c", .session_expiry_s = 5, .username = "u"}, 0x80, 0x80},
        {"everything",
         {.client_id = "group/device",
          .username = "user",
          .password = TEXT_BYTES("secret"),
          .will_topic = "will/topic",
          .will = TEXT_BYTES("gone"),
          .keepalive_s = 30,
          .is_clean_start = true,
          .session_expiry_s = 7},
         0xEE,
         0xEE},
    };
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        current = &cases[i];
        bench->connect = current->options;
        bench->judge.on_packet = check_connect;
        bench_connecting(bench);
        bench_disconnect(bench);
        bench_expect_down(bench, PIPIT_OK);
    }
}

// MQTT 5: [MQTT-3.1.2-19]
static void test_password_without_a_user_is_version_5_only(void **state)
{
    static const struct connect_case only = {
        "a token",
        {.client_id = "c", .session_expiry_s = 5, .password = TEXT_BYTES("token")},
        0,
        0x40};
    struct bench *bench = *state;
    current = &only;
    bench->connect = only.options;
    bench->judge.on_packet = check_connect;
    bench_connecting(bench);
}

// MQTT 3.1.1: [MQTT-3.1.2-22]
static void test_password_without_a_user_is_refused(void **state)
{
    struct bench *bench = *state;
    bench->connect.password = pipit_text("token");
    assert_int_equal(bench_connect(bench), PIPIT_ERR_ARGUMENT);
    bench->connect.username = "u";
    bench_connecting(bench);
}

static void test_connect_needs_room_for_its_packet(void **state)
{
    struct bench *bench = *state;
    char name[64];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    bench->connect.client_id = name;
    size_t least = 0;
    for (size_t size = 32; size < 256 && least == 0; size++) {
        bench_size(bench, (struct bench_sizes){128, size, 1, 0});
        enum pipit_err rc = bench_connect(bench);
        assert_true(rc == PIPIT_OK || rc == PIPIT_ERR_SIZE);
        least = rc == PIPIT_OK ? size : 0;
    }
    assert_in_range(least, 64, 128);
    bench_quiet(bench);
    assert_int_equal(bench->last.type, 1);
}

static void test_connect_that_did_not_fit_leaves_the_client_idle(void **state)
{
    struct bench *bench = *state;
    bench_size(bench, (struct bench_sizes){128, 32, 1, 0});
    bench->connect.client_id = "a name that is longer than the send memory";
    assert_int_equal(bench_connect(bench), PIPIT_ERR_SIZE);
    bench_quiet(bench);
    assert_int_equal(bench->pipe.open_count, 0);
}

// MQTT 3.1.1: [MQTT-3.1.0-1] [MQTT-3.1.0-2]
// MQTT 5: [MQTT-3.1.0-1] [MQTT-3.1.0-2]
static void test_nothing_but_one_connect_goes_out_before_connack(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(bench_publish(bench, 1, 7), PIPIT_ERR_BUSY);
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    assert_int_equal(bench_publish(bench, 0, 0), PIPIT_ERR_BUSY);
    bench_quiet(bench);
    assert_int_equal(bench->judge.count, 1);
    assert_int_equal(bench_publish(bench, 2, 7), PIPIT_ERR_BUSY);
    assert_int_equal(bench_subscribe(bench, "a", 1, 8), PIPIT_ERR_BUSY);
    assert_int_equal(pipit_client_unsubscribe(&bench->client, "a", 9), PIPIT_ERR_BUSY);
    assert_int_equal(bench_connect(bench), PIPIT_ERR_BUSY);
    bench_quiet(bench);
    assert_int_equal(bench->judge.count, 1);
    judge_begin(&bench->judge, bench->is_v5);
    bench->judge.has_connect = true;
    bench_put_connack(bench, false, 0);
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
    assert_int_equal(pipit_client_reason(&bench->client), 0);
    assert_int_equal(bench_connect(bench), PIPIT_ERR_BUSY);
}

// MQTT 3.1.1: [MQTT-3.2.2-5]
// MQTT 5: [MQTT-3.2.2-7]
static void test_refusals_end_the_connection_with_their_reason(void **state)
{
    static const struct {
        uint8_t code;
        enum pipit_err rc;
    } cases_311[] = {{1, PIPIT_ERR_REFUSED},     {2, PIPIT_ERR_REFUSED},
                     {3, PIPIT_ERR_UNREACHABLE}, // It has no time now.
                     {4, PIPIT_ERR_REFUSED},     {5, PIPIT_ERR_REFUSED},
                     {0x77, PIPIT_ERR_REFUSED}},
      cases_5[] = {{0x80, PIPIT_ERR_REFUSED},     {0x84, PIPIT_ERR_REFUSED},
                   {0x86, PIPIT_ERR_REFUSED},     {0x87, PIPIT_ERR_REFUSED},
                   {0x88, PIPIT_ERR_UNREACHABLE}, {0x89, PIPIT_ERR_UNREACHABLE},
                   {0x8A, PIPIT_ERR_REFUSED},     {0x9F, PIPIT_ERR_UNREACHABLE}};
    struct bench *bench = *state;
    for (size_t i = 0; i < (bench->is_v5 ? 8u : 6u); i++) {
        uint8_t code = bench->is_v5 ? cases_5[i].code : cases_311[i].code;
        bench_connecting(bench);
        bench_put_connack(bench, false, code);
        bench_expect_down(bench, bench->is_v5 ? cases_5[i].rc : cases_311[i].rc);
        assert_int_equal(pipit_client_reason(&bench->client), code);
        bench_expect_nothing_sent(bench);
    }
    bench_up(bench);
    assert_int_equal(pipit_client_reason(&bench->client), 0);
}

// A broker that knows 3.1.1 only answers in its own way.
static void test_older_broker_refuses_without_properties(void **state)
{
    struct bench *bench = *state;
    bench_connecting(bench);
    bench_put(bench, BYTES(0x20, 2, 0, 1));
    bench_expect_down(bench, PIPIT_ERR_REFUSED);
    assert_int_equal(pipit_client_reason(&bench->client), 1);
}

#define ROW(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

struct row {
    const char *why;
    uint8_t bytes[24];
    size_t len;
};

static void check_rows_are_malformed(struct bench *bench, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bench_connecting(bench);
        bench_put(bench, rows[i].bytes, rows[i].len);
        if (bench_next(bench) != PIPIT_LINK_DOWN || bench->event.rc != PIPIT_ERR_MALFORMED) {
            fail_msg("not refused: %s", rows[i].why);
        }
        bench_quiet(bench);
        bench_expect_nothing_sent(bench); // DISCONNECT is not for before CONNACK.
        assert_int_not_equal(pipit_client_reason(&bench->client), 0);
    }
    bench_up(bench);
}

// MQTT 3.1.1: [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.2.0-1]
// MQTT 5: [MQTT-2.1.3-1] [MQTT-3.2.0-1] [MQTT-3.2.2-1]
static void test_what_is_no_connack_is_malformed(void **state)
{
    static const struct row rows[] = {
        {"no flags", ROW(0x20, 0)},
        {"no code", ROW(0x20, 1, 0)},
        {"reserved flags", ROW(0x20, 2, 2, 0)},
        {"reserved flags with a session", ROW(0x20, 2, 0x81, 0)},
        {"flags of the fixed header", ROW(0x21, 2, 0, 0)},
        {"a length of five bytes", ROW(0x20, 0x82, 0x80, 0x80, 0x80, 0)},
        {"larger than the memory", ROW(0x20, 0xFF, 0x7F, 0, 0)},
        {"reserved packet 0", ROW(0x00, 2, 0, 0)},
        {"CONNECT", ROW(0x10, 2, 0, 0)},
        {"PUBLISH first", ROW(0x30, 4, 0, 1, 't', 0)},
        {"PUBACK first", ROW(0x40, 2, 0, 1)},
        {"PUBREL first", ROW(0x62, 2, 0, 1)},
        {"SUBACK first", ROW(0x90, 3, 0, 1, 0)},
        {"PINGRESP first", ROW(0xD0, 0)},
        {"DISCONNECT first", ROW(0xE0, 0)},
        {"AUTH first", ROW(0xF0, 0)},
    };
    check_rows_are_malformed(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_connack_of_3_1_1_is_two_bytes(void **state)
{
    static const struct row rows[] = {
        {"three bytes", ROW(0x20, 3, 0, 0, 0)},
        {"as in version 5", ROW(0x20, 6, 0, 0, 3, 0x21, 0, 5)},
    };
    check_rows_are_malformed(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_connack_properties_that_lie_are_malformed(void **state)
{
    static const struct row rows[] = {
        {"no properties", ROW(0x20, 2, 0, 0)},
        {"properties beyond the packet", ROW(0x20, 3, 0, 0, 1)},
        {"bytes behind the properties", ROW(0x20, 4, 0, 0, 0, 0)},
        {"a length of five bytes", ROW(0x20, 7, 0, 0, 0x80, 0x80, 0x80, 0x80, 0)},
        {"a length without end", ROW(0x20, 4, 0, 0, 0x80, 0x80)},
        {"property 0", ROW(0x20, 5, 0, 0, 2, 0, 0)},
        {"an unknown property", ROW(0x20, 5, 0, 0, 2, 0x04, 0)},
        {"an unknown property beyond the table", ROW(0x20, 5, 0, 0, 2, 0x2B, 0)},
        {"property 255", ROW(0x20, 5, 0, 0, 2, 0xFF, 0)},
        {"half a number", ROW(0x20, 5, 0, 0, 2, 0x21, 5)},
        {"three quarters of a number", ROW(0x20, 7, 0, 0, 4, 0x27, 0, 0, 1)},
        {"half a length", ROW(0x20, 5, 0, 0, 2, 0x1F, 0)},
        {"a text beyond the properties", ROW(0x20, 7, 0, 0, 4, 0x1F, 0, 2, 'x')},
        {"a text beyond the packet", ROW(0x20, 7, 0, 0, 4, 0x1F, 0xFF, 0xFF, 'x')},
        {"half a pair", ROW(0x20, 7, 0, 0, 4, 0x26, 0, 1, 'k')},
        {"a pair beyond the packet", ROW(0x20, 9, 0, 0, 6, 0x26, 0, 1, 'k', 0, 9)},
        {"no number at all", ROW(0x20, 4, 0, 0, 1, 0x24)},
        {"receive maximum 0", ROW(0x20, 6, 0, 0, 3, 0x21, 0, 0)},
        {"maximum QoS 2", ROW(0x20, 5, 0, 0, 2, 0x24, 2)},
        {"retain available 2", ROW(0x20, 5, 0, 0, 2, 0x25, 2)},
        {"a largest packet of 0", ROW(0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 0)},
    };
    check_rows_are_malformed(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_connack_properties_that_mean_nothing_to_us_are_read_over(void **state)
{
    struct bench *bench = *state;
    static const uint8_t properties[] = {
        0x11, 0, 0,    0,    9,                  // session expiry
        0x12, 0, 2,    'i',  'd',                // assigned client identifier
        0x22, 0, 5,                              // topic alias maximum
        0x1F, 0, 2,    'o',  'k',                // reason string
        0x26, 0, 1,    'k',  0,    1, 'v',       // user property, twice
        0x26, 0, 0,    0,    0,                  //
        0x28, 1, 0x29, 0,    0x2A, 1,            // wildcards, identifiers, shared subscriptions
        0x1A, 0, 0,    0x1C, 0,    1, 's',       // response information, server reference
        0x15, 0, 1,    'm',  0x16, 0, 1,   0xFF, // authentication
    };
    bench_up_with(bench, properties, sizeof(properties));
    assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
    bench_expect_publish(bench, 0x32, 1);
}

// MQTT 3.1.1: [MQTT-3.2.0-1] [MQTT-4.8.0-1]
// MQTT 5: [MQTT-3.2.0-2] [MQTT-4.13.1-1]
static void test_second_connack_ends_the_connection(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put_connack(bench, false, 0);
    bench_expect_fail(bench, 0x82);
}

// MQTT 3.1.1: [MQTT-3.1.2-6] [MQTT-3.2.2-1]
// MQTT 5: [MQTT-3.1.2-4] [MQTT-3.2.2-2] [MQTT-3.2.2-4]
static void test_session_that_was_not_asked_for_is_refused(void **state)
{
    struct bench *bench = *state;
    bench->connect.is_clean_start = true;
    bench_connecting(bench);
    bench_put_connack(bench, true, 0);
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
    assert_int_equal(pipit_client_reason(&bench->client), 0x82);
}

// The clean session of 3.1.1 is also one that is not to be kept.
// MQTT 3.1.1: [MQTT-3.1.2-6] [MQTT-3.2.2-1]
static void test_session_that_is_not_kept_is_refused_too(void **state)
{
    struct bench *bench = *state;
    bench->connect.session_expiry_s = 0;
    bench_connecting(bench);
    assert_int_equal(bench->connected.flags & 2, 2);
    bench_put_connack(bench, true, 0);
    bench_expect_down(bench, PIPIT_ERR_MALFORMED);
}

// ---- time and transport -------------------------------------------------------------------------

static void test_broker_that_never_answers_is_given_up(void **state)
{
    static const struct {
        uint16_t timeout_s;
        uint32_t begin_ms, want_ms;
    } cases[] = {{0, 1000, 20000}, {3, 0xFFFFFF00u, 3000}, {0xFFFF, 5, 65535000}};
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bench->options.timeout_s = cases[i].timeout_s;
        bench->now_ms = cases[i].begin_ms;
        bench_connecting(bench);
        bench_later(bench, cases[i].want_ms);
        bench_quiet(bench);
        bench_later(bench, 1);
        bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    }
}

static void test_broker_that_answers_a_byte_now_and_then_is_given_up(void **state)
{
    struct bench *bench = *state;
    uint32_t begin_ms = bench->now_ms;
    bench_connecting(bench);
    bench_put(bench, BYTES(0x20, 100));
    for (int i = 0; i < 60 && bench_poll(bench) == PIPIT_LINK_NOTHING; i++) {
        bench_later(bench, 1000);
        bench_put(bench, BYTES(0));
    }
    assert_int_equal(bench->event.kind, PIPIT_LINK_DOWN);
    assert_int_equal(bench->event.rc, PIPIT_ERR_UNREACHABLE);
    assert_in_range(bench->now_ms - begin_ms, 20000, 22000);
}

static void test_time_counts_from_the_first_poll_after_connect(void **state)
{
    struct bench *bench = *state;
    bench_quiet(bench);
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    bench_later(bench, 3600000); // The device did something else.
    bench_quiet(bench);
    bench_put_connack(bench, false, 0);
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
    bench_quiet(bench);
}

static void test_opening_may_take_its_time(void **state)
{
    struct bench *bench = *state;
    bench->pipe.open_busy = 5;
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
        bench_expect_nothing_sent(bench);
        bench_later(bench, 1000);
    }
    bench_quiet(bench);
    assert_int_equal(bench->pipe.open_count, 6);
    assert_int_equal(bench->last.type, 1);
    bench_put_connack(bench, false, 0);
    bench_expect(bench, PIPIT_LINK_UP, PIPIT_OK);
}

static void test_opening_that_never_ends_is_given_up(void **state)
{
    struct bench *bench = *state;
    bench->pipe.open_busy = 1000;
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    bench_quiet(bench);
    bench_later(bench, 20001);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    assert_int_equal(bench->pipe.close_count, 1);
    bench->pipe.open_busy = 0;
    bench_up(bench);
}

static void test_opening_that_fails_says_why(void **state)
{
    static const enum pipit_err reasons[] = {PIPIT_ERR_UNREACHABLE, PIPIT_ERR_TLS,
                                             PIPIT_ERR_REFUSED};
    struct bench *bench = *state;
    for (size_t i = 0; i < 3; i++) {
        bench->pipe.open_rc = reasons[i];
        bench->pipe.open_busy = (unsigned)i;
        assert_int_equal(bench_connect(bench), PIPIT_OK);
        bench_expect_down(bench, reasons[i]);
        assert_int_equal(bench->pipe.close_count, i + 1);
    }
    bench->pipe.open_rc = PIPIT_OK;
    bench_up(bench);
}

static void test_transport_that_fails_while_connecting_says_why(void **state)
{
    struct bench *bench = *state;
    bench->pipe.write_error = PIPIT_ERR_TLS;
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    bench_expect_down(bench, PIPIT_ERR_TLS);
    bench->pipe.write_error = 0;
    bench_connecting(bench);
    bench->pipe.read_error = PIPIT_ERR_UNREACHABLE;
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_broker_that_hangs_up_behind_its_refusal_is_understood(void **state)
{
    struct bench *bench = *state;
    bench_connecting(bench);
    bench_put_connack(bench, false, 5);
    bench->pipe.read_error = PIPIT_ERR_UNREACHABLE;
    bench_expect_down(bench, bench->is_v5 ? PIPIT_ERR_REFUSED : PIPIT_ERR_REFUSED);
    assert_int_equal(pipit_client_reason(&bench->client), 5);
}

static void test_disconnect_before_connack_ends_the_try(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(bench_connect(bench), PIPIT_OK); // Not polled yet.
    bench_disconnect(bench);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    assert_int_equal(bench->pipe.open_count, 0);
    bench->pipe.open_busy = 2; // While it is being opened.
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    assert_int_equal(bench_poll(bench), PIPIT_LINK_NOTHING);
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench->pipe.open_busy = 0;
    bench_connecting(bench); // While CONNACK is awaited.
    bench_disconnect(bench);
    bench_expect_down(bench, PIPIT_OK);
    bench_expect_nothing_sent(bench);
    bench_disconnect(bench); // Nothing there to end.
    bench_quiet(bench);
}

static void test_connect_waits_for_the_former_down(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench->pipe.write_error = PIPIT_ERR_UNREACHABLE;
    assert_int_equal(bench_publish(bench, 1, 1), PIPIT_OK);
    assert_int_equal(bench_connect(bench), PIPIT_ERR_BUSY);
    assert_int_equal(bench->link->type->next_ms(bench->link), 0);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
    bench->pipe.write_error = 0;
    bench_up(bench);
}

// Nothing else would wake a device that sleeps until its transport has news: there is none yet.
static void test_connect_wants_a_poll_at_once(void **state)
{
    struct bench *bench = *state;
    bench->pipe.open_busy = 1;
    assert_int_equal(bench_connect(bench), PIPIT_OK);
    assert_int_equal(bench->link->type->next_ms(bench->link), 0);
    bench_poll(bench);
    assert_int_equal(bench->link->type->next_ms(bench->link), UINT32_MAX);
}

static void test_bytes_of_the_former_connection_are_forgotten(void **state)
{
    struct bench *bench = *state;
    bench_up(bench);
    bench_put(bench, BYTES(0x30, 100, 0, 1)); // Half a packet.
    bench_quiet(bench);
    bench->pipe.write_room = 3; // And half a packet of ours.
    assert_int_equal(bench_publish(bench, 0, 0), PIPIT_OK);
    bench_break(bench);
    bench->pipe.write_room = PIPE_ANY;
    bench_up(bench);
    bench_put_message(bench, 0, 0);
    bench_expect_message(bench, "t", "x", 1);
}

static void test_wire_that_is_always_there_needs_no_open(void **state)
{
    struct bench *bench = *state;
    pipe_init_wire(&bench->pipe);
    bench->pipe.watch = bench_watch;
    bench->pipe.context = bench;
    for (int i = 0; i < 3; i++) {
        bench_up(bench);
        assert_int_equal(bench_publish(bench, 1, 5), PIPIT_OK);
        bench_put_answer(bench, 0x40, 1);
        bench_expect_acked(bench, 5, PIPIT_OK);
        bench_disconnect(bench);
        bench_expect_down(bench, PIPIT_OK);
        assert_int_equal(bench->last.type, 14);
        assert_true(bench->judge.has_disconnect);
    }
    bench_connecting(bench);
    bench_later(bench, 20001);
    bench_expect_down(bench, PIPIT_ERR_UNREACHABLE);
}

static void test_one_byte_at_a_time_both_ways(void **state)
{
    struct bench *bench = *state;
    bench->pipe.read_max = bench->pipe.write_max = 1;
    bench_up(bench);
    assert_int_equal(bench->judge.len, 0);
    assert_int_equal(bench->judge.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_memory_that_is_missing_or_too_small_is_refused),
        ON_BOTH(test_connect_says_what_was_asked_for),
        ON_5(test_password_without_a_user_is_version_5_only),
        ON_311(test_password_without_a_user_is_refused),
        ON_BOTH(test_connect_needs_room_for_its_packet),
        ON_BOTH(test_connect_that_did_not_fit_leaves_the_client_idle),
        ON_BOTH(test_nothing_but_one_connect_goes_out_before_connack),
        ON_BOTH(test_refusals_end_the_connection_with_their_reason),
        ON_5(test_older_broker_refuses_without_properties),
        ON_BOTH(test_what_is_no_connack_is_malformed),
        ON_311(test_connack_of_3_1_1_is_two_bytes),
        ON_5(test_connack_properties_that_lie_are_malformed),
        ON_5(test_connack_properties_that_mean_nothing_to_us_are_read_over),
        ON_BOTH(test_second_connack_ends_the_connection),
        ON_BOTH(test_session_that_was_not_asked_for_is_refused),
        ON_311(test_session_that_is_not_kept_is_refused_too),
        ON_BOTH(test_broker_that_never_answers_is_given_up),
        ON_BOTH(test_broker_that_answers_a_byte_now_and_then_is_given_up),
        ON_BOTH(test_time_counts_from_the_first_poll_after_connect),
        ON_BOTH(test_opening_may_take_its_time),
        ON_BOTH(test_opening_that_never_ends_is_given_up),
        ON_BOTH(test_opening_that_fails_says_why),
        ON_BOTH(test_transport_that_fails_while_connecting_says_why),
        ON_BOTH(test_broker_that_hangs_up_behind_its_refusal_is_understood),
        ON_BOTH(test_disconnect_before_connack_ends_the_try),
        ON_BOTH(test_connect_waits_for_the_former_down),
        ON_BOTH(test_connect_wants_a_poll_at_once),
        ON_BOTH(test_bytes_of_the_former_connection_are_forgotten),
        ON_BOTH(test_wire_that_is_always_there_needs_no_open),
        ON_BOTH(test_one_byte_at_a_time_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
