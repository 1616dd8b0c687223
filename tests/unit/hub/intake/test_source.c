#define _GNU_SOURCE // accept4.
// A source against a broker that the test plays: what is written, and above all when.
#include "scripted_broker.h"

struct fixture {
    struct broker broker;
    struct options *options;
    struct source *source;
};

static const char *const topics[] = {"a/#", NULL};

static void start(struct fixture *fixture, ...)
{
    va_list args;
    struct error e;
    broker_start(&fixture->broker);
    fixture->options = options_create(source_options);
    assert_non_null(fixture->options);
    assert_int_equal(options_set(fixture->options, "url", fixture->broker.url, &e), ERR_OK);
    assert_int_equal(options_set(fixture->options, "probe", "false", &e), ERR_OK);
    va_start(args, fixture);
    for (const char *name = va_arg(args, const char *); name != NULL;
         name = va_arg(args, const char *)) {
        assert_int_equal(options_set(fixture->options, name, va_arg(args, const char *), &e),
                         ERR_OK);
    }
    va_end(args);
    enum err rc = source_create(&fixture->source, "plant", "main", fixture->options, topics, &e);
    if (rc != ERR_OK) {
        fail_msg("%s", e.text);
    }
}

static void stop(struct fixture *fixture)
{
    source_destroy(fixture->source);
    options_destroy(fixture->options);
    broker_stop(&fixture->broker);
}

// Finds an MQTT 5 property of CONNECT by its identifier and gives its value.
static uint32_t connect_property(const struct packet *packet, uint8_t identifier)
{
    size_t at = 10, end = 11 + packet->body[10];
    assert_int_equal(packet->body[6], 5);
    at++;
    while (at < end) {
        uint8_t id = packet->body[at++];
        size_t width = id == 0x21 ? 2 : 4; // Receive maximum, else four bytes.
        uint32_t value = 0;
        for (size_t i = 0; i < width; i++) {
            value = value << 8 | packet->body[at++];
        }
        if (id == identifier) {
            return value;
        }
    }
    fail_msg("no property %u", identifier);
    return 0;
}

static void connect_asks_for_a_session_that_stays(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "username", "hub", "password", "secret", "max_message_size", "64 KB", NULL);
    struct packet packet = broker_expect(&f.broker, f.source, CONNECT);
    assert_memory_equal(packet.body, "\0\4MQTT\5", 7);
    assert_int_equal(packet.body[7], 0xC0); // User and password, no clean start.
    assert_int_equal(connect_property(&packet, 0x21), 2000);
    assert_int_equal(connect_property(&packet, 0x11), 7 * 86400);
    assert_int_equal(connect_property(&packet, 0x27), 65536);
    size_t client = 11 + packet.body[10];
    assert_memory_equal(packet.body + client, "\0\x10pipit-plant-main\0\3hub\0\6secret", 31);
    stop(&f);
}

static void nothing_is_acknowledged_before_the_commit(void **state)
{
    (void)state;
    for (int is_v5 = 0; is_v5 < 2; is_v5++) {
        struct fixture f;
        struct input inputs[8];
        start(&f, "version", is_v5 ? "5" : "3.1.1", NULL);
        broker_welcome(&f.broker, f.source, is_v5);
        for (uint16_t id = 1; id <= 5; id++) {
            broker_publish(&f.broker, id, "a/b", "x", is_v5);
        }
        hub_read(&f.broker, f.source, inputs, 5);
        assert_true(source_publish(f.source, "a/receipt", bytes_of("r", 1), 0, false, NULL));
        f.broker.now_ms += 60000; // A ping is due, too; it would carry the acknowledgements along.
        broker_expect_silence(&f.broker, f.source);
        source_acknowledge(f.source);
        for (uint16_t id = 1; id <= 5; id++) {
            struct packet packet = broker_expect(&f.broker, f.source, PUBACK);
            assert_int_equal(packet_id(&packet), id);
        }
        broker_expect(&f.broker, f.source, PUBLISH); // The receipt came behind them.
        stop(&f);
    }
}

static void the_fault_acknowledges_early(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[1];
    setenv("PIPIT_TEST_FAULTS", "1", 1);
    start(&f, "ack_before_commit", "true", NULL);
    unsetenv("PIPIT_TEST_FAULTS");
    broker_welcome(&f.broker, f.source, true);
    broker_publish(&f.broker, 1, "a/b", "x", true);
    hub_read(&f.broker, f.source, inputs, 1);
    broker_expect(&f.broker, f.source, PUBACK);
    stop(&f);
}

static void the_fault_is_refused_outside_of_tests(void **state)
{
    (void)state;
    struct options *options = options_create(source_options);
    struct source *source = NULL;
    struct error e;
    options_set(options, "url", "mqtt://127.0.0.1", NULL);
    options_set(options, "ack_before_commit", "true", NULL);
    assert_int_equal(source_create(&source, "plant", "main", options, topics, &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "ack_before_commit"));
    options_destroy(options);
}

// While publishes of ours wait for their answer, libmosquitto reads that many packets in one call.
static void what_exceeds_the_batch_waits_for_its_own_commit(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[8];
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    for (int i = 0; i < 6; i++) {
        assert_true(source_publish(f.source, "out", bytes_of("r", 1), 1, false, NULL));
    }
    for (int i = 0; i < 6; i++) {
        broker_expect(&f.broker, f.source, PUBLISH);
    }
    for (uint16_t id = 1; id <= 5; id++) {
        broker_publish(&f.broker, id, "a/b", "x", true);
    }
    usleep(1000);
    hub_read(&f.broker, f.source, inputs, 1);
    hub_read(&f.broker, f.source, inputs, 1); // A second batch: it may not wait for the socket.
    uint32_t seen = 2;
    while (seen < 5) {
        source_acknowledge(f.source);
        broker_receive(&f.broker);
        assert_true(f.broker.in_len <= seen * 4); // Never more PUBACKs than commits.
        seen += hub_read(&f.broker, f.source, inputs, 1);
    }
    source_acknowledge(f.source);
    for (uint16_t id = 1; id <= 5; id++) {
        struct packet packet = broker_expect(&f.broker, f.source, PUBACK);
        assert_int_equal(packet_id(&packet), id);
    }
    stop(&f);
}

static void leaving_acknowledges_nothing_and_keeps_the_session(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[2];
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    broker_publish(&f.broker, 1, "a/b", "x", true);
    hub_read(&f.broker, f.source, inputs, 1);
    source_leave(f.source, "the store is full");
    struct pollfd closed = {.fd = f.broker.fd, .events = POLLIN};
    assert_int_equal(poll(&closed, 1, DEADLINE_MS), 1);
    uint8_t byte;
    assert_true(recv(f.broker.fd, &byte, 1, 0) <= 0); // Not even a DISCONNECT.
    broker_hang_up(&f.broker);
    f.broker.now_ms += 100000;
    assert_int_equal(hub_round(&f.broker, f.source, inputs, 2), 0);
    broker_receive(&f.broker);
    assert_int_equal(f.broker.fd, -1); // Away stays away.
    source_return(f.source);
    broker_welcome(&f.broker, f.source, true);
    stop(&f);
}

static void destroying_with_an_open_batch_acknowledges_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[1];
    uint8_t byte;
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    broker_publish(&f.broker, 1, "a/b", "x", true);
    hub_read(&f.broker, f.source, inputs, 1);
    source_destroy(f.source);
    f.source = NULL;
    struct pollfd closed = {.fd = f.broker.fd, .events = POLLIN};
    assert_int_equal(poll(&closed, 1, DEADLINE_MS), 1);
    assert_true(recv(f.broker.fd, &byte, 1, 0) <= 0);
    stop(&f);
}

static void messages_come_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[1];
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    // Retained, QoS 1, content type "t", user properties k=v and kk="".
    broker_send_bytes(&f.broker, PUBLISH | 3, 27, 0, 3, 'a', '/', 'b', 0, 7, 18, 3, 0, 1, 't', 0x26,
                      0, 1, 'k', 0, 1, 'v', 0x26, 0, 2, 'k', 'k', 0, 0, 'x');
    hub_read(&f.broker, f.source, inputs, 1);
    const struct message *message = &inputs[0].message;
    assert_int_equal(inputs[0].kind, INPUT_MESSAGE);
    assert_true(bytes_equal(message->topic, bytes_from_text("a/b")));
    assert_true(bytes_equal(message->payload, bytes_from_text("x")));
    assert_true(bytes_equal(message->content_type, bytes_from_text("t")));
    assert_int_equal(message->property_count, 2);
    assert_true(bytes_equal(message->properties[0].value, bytes_from_text("v")));
    assert_true(bytes_equal(message->properties[1].name, bytes_from_text("kk")));
    assert_int_equal(message->properties[1].value.len, 0);
    assert_true(message->is_retained);
    assert_int_equal(message->qos, 1);
    assert_true(message->received_ms > 1600000000000);
    stop(&f);
}

static void what_the_hub_publishes_itself_is_no_input(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[2];
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    broker_publish(&f.broker, 1, "pipit/v1/$hub/plant/mirror/a/b", "x", true);
    broker_publish(&f.broker, 2, "pipit/v1/$hub/other/probe", "x", true);
    for (uint16_t id = 1; id <= 2; id++) { // Acknowledged: nothing of it needs a commit.
        struct packet packet = broker_expect(&f.broker, f.source, PUBACK);
        assert_int_equal(packet_id(&packet), id);
    }
    broker_publish(&f.broker, 3, "pipit/v1/$hub/other/books", "x", true);
    hub_read(&f.broker, f.source, inputs, 1); // Another hub's statistics may be wanted.
    stop(&f);
}

static void drops_of_the_broker_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *why, *value;
        uint64_t want;
    } rows[] = {
        {"the first value is what was before us", "40", 0},
        {"more is dropped now", "47", 7},
        {"the same again", "47", 7},
        {"a new broker counts from the start", "3", 7},
        {"and goes on", "5", 9},
        {"not a number counts nothing", "", 9},
    };
    struct fixture f;
    struct input inputs[1];
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const char topic[] = "$SYS/broker/publish/messages/dropped";
        uint8_t head[] = {PUBLISH, 0, 0, sizeof(topic) - 1};
        head[1] = (uint8_t)(2 + sizeof(topic) - 1 + 1 + strlen(rows[i].value));
        broker_send(&f.broker, head, sizeof(head));
        broker_send(&f.broker, topic, sizeof(topic) - 1);
        broker_send_bytes(&f.broker, 0);
        broker_send(&f.broker, rows[i].value, strlen(rows[i].value));
        for (int round = 0; round < 5; round++) {
            assert_int_equal(hub_round(&f.broker, f.source, inputs, 1), 0);
        }
        struct source_state is;
        source_state(f.source, &is);
        if (is.broker_dropped != rows[i].want) {
            fail_msg("%s: %llu", rows[i].why, (unsigned long long)is.broker_dropped);
        }
    }
    stop(&f);
}

static void round_until_error(struct fixture *f, const char *want)
{
    struct source_state is = {0};
    struct input inputs[1];
    int64_t end_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (strstr(is.last_error, want) == NULL) {
        if (clock_monotonic_ms() > end_ms) {
            fail_msg("'%s' is not in '%s'", want, is.last_error);
        }
        hub_round(&f->broker, f->source, inputs, 1);
        source_state(f->source, &is);
    }
}

static void a_refusal_is_told_and_not_spun_on(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        uint8_t code;
        const char *want;
    } rows[] = {
        {"5", 0x86, "wrong user name or password"},
        {"3.1.1", 4, "wrong user name or password"},
        {"5", 0x87, "not authorized"},
        {"3.1.1", 5, "not authorized"},
        {"5", 0x85, "set client_id"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        start(&f, "version", rows[i].version, "username", "bob", NULL);
        broker_expect(&f.broker, f.source, CONNECT);
        if (rows[i].code >= 0x80) {
            broker_send_bytes(&f.broker, 0x20, 3, 0, rows[i].code, 0);
        } else {
            broker_send_bytes(&f.broker, 0x20, 2, 0, rows[i].code);
        }
        round_until_error(&f, rows[i].want);
        round_until_error(&f, "bob");
        round_until_error(&f, "127.0.0.1");
        broker_hang_up(&f.broker);
        f.broker.now_ms += 1900; // The first wait after a refusal is 2 s at least.
        for (int round = 0; round < 10; round++) {
            struct input inputs[1];
            hub_round(&f.broker, f.source, inputs, 1);
            broker_receive(&f.broker);
            assert_int_equal(f.broker.fd, -1);
        }
        f.broker.now_ms += 60000;
        broker_expect(&f.broker, f.source, CONNECT);
        stop(&f);
    }
}

static void an_old_broker_gets_3_1_1(void **state)
{
    (void)state;
    static const uint8_t answers[][5] = {{0x20, 2, 0, 1, 0}, {0x20, 3, 0, 0x84, 0}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        start(&f, NULL);
        struct packet packet = broker_expect(&f.broker, f.source, CONNECT);
        assert_int_equal(packet.body[6], 5);
        broker_send(&f.broker, answers[i], 2U + answers[i][1]);
        struct pollfd closed = {.fd = f.broker.fd, .events = POLLIN};
        struct input inputs[1];
        while (poll(&closed, 1, 0) == 0) {
            hub_round(&f.broker, f.source, inputs, 1);
        }
        broker_hang_up(&f.broker);
        packet = broker_expect(&f.broker, f.source, CONNECT);
        assert_int_equal(packet.body[6], 4);
        stop(&f);
    }
}

static void a_refused_subscription_is_told(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "username", "bob", NULL);
    broker_expect(&f.broker, f.source, CONNECT);
    broker_send_bytes(&f.broker, 0x20, 3, 0, 0, 0);
    struct packet packet = broker_expect(&f.broker, f.source, SUBSCRIBE);
    // Id, no properties, "a/#", QoS 1 with retained messages for a new subscription only.
    assert_memory_equal(packet.body + 2, "\0\0\3a/#\x11", 7);
    broker_send_bytes(&f.broker, 0x90, 4, packet.body[0], packet.body[1], 0, 0x87);
    round_until_error(&f, "a/#");
    struct source_state is;
    source_state(f.source, &is);
    assert_non_null(strstr(is.last_error, "access rules"));
    f.broker.now_ms += 61000; // Tried again, for the rules may have been mended.
    packet = broker_expect(&f.broker, f.source, SUBSCRIBE);
    while (packet.body[5] != 'a') { // $SYS, of before.
        packet = broker_expect(&f.broker, f.source, SUBSCRIBE);
    }
    stop(&f);
}

static void a_shared_group_subscribes_so(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, "shared_group", "hubs", NULL);
    broker_expect(&f.broker, f.source, CONNECT);
    broker_send_bytes(&f.broker, 0x20, 3, 0, 0, 0);
    struct packet packet = broker_expect(&f.broker, f.source, SUBSCRIBE);
    assert_memory_equal(packet.body + 3, "\0\x0F$share/hubs/a/#", 17);
    stop(&f);
}

static void limits_of_the_broker_become_advice(void **state)
{
    (void)state;
    struct fixture f;
    struct source_state is;
    start(&f, NULL);
    broker_expect(&f.broker, f.source, CONNECT);
    // Receive maximum 20, session expiry 60 s.
    broker_send_bytes(&f.broker, 0x20, 11, 0, 0, 8, 0x21, 0, 20, 0x11, 0, 0, 0, 60);
    broker_expect(&f.broker, f.source, SUBSCRIBE);
    source_state(f.source, &is);
    assert_non_null(strstr(is.broker_advice, "max_inflight_messages"));
    assert_non_null(strstr(is.broker_advice, "only 20 messages"));
    assert_non_null(strstr(is.broker_advice, "after 60 s"));
    stop(&f);
}

static void silence_while_connecting_ends(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, NULL);
    broker_expect(&f.broker, f.source, CONNECT);
    f.broker.now_ms += 10001;
    round_until_error(&f, "no answer");
    stop(&f);
}

static void a_lost_connection_is_made_again_with_the_messages_kept(void **state)
{
    (void)state;
    struct fixture f;
    struct input inputs[2];
    struct source_state is;
    start(&f, NULL);
    broker_welcome(&f.broker, f.source, true);
    broker_publish(&f.broker, 1, "a/b", "x", true);
    usleep(1000);
    broker_hang_up(&f.broker);
    hub_read(&f.broker, f.source, inputs, 1); // The broker may never send it again: it counts.
    round_until_error(&f, "closed the connection");
    source_acknowledge(f.source);
    f.broker.now_ms += 10000;
    broker_welcome(&f.broker, f.source, true);
    source_state(f.source, &is);
    assert_int_equal(is.reconnects, 1);
    assert_int_equal(is.messages, 1);
    stop(&f);
}

static void a_name_is_looked_up_aside(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct fixture f;
        char url[64];
        struct error e;
        start(&f, NULL);
        snprintf(url, sizeof(url), "mqtt://localhost%s", strrchr(f.broker.url, ':'));
        source_destroy(f.source);
        assert_int_equal(options_set(f.options, "url", url, &e), ERR_OK);
        assert_int_equal(source_create(&f.source, "plant", "main", f.options, topics, &e), ERR_OK);
        if (i == 0) {
            struct input inputs[1];
            while (f.broker.fd < 0) { // localhost may be ::1 first, where nobody listens.
                hub_round(&f.broker, f.source, inputs, 1);
                f.broker.now_ms += 100;
                broker_receive(&f.broker);
            }
            broker_welcome(&f.broker, f.source, true);
        } else { // Given up in the middle of it.
            struct input inputs[1];
            hub_round(&f.broker, f.source, inputs, 1);
        }
        stop(&f);
    }
}

static void publishing_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    char big[64 * 1024];
    memset(big, 'x', sizeof(big));
    start(&f, NULL);
    assert_false(source_publish(f.source, "t", bytes_of("x", 1), 0, false, NULL)); // Not up yet.
    broker_welcome(&f.broker, f.source, true);
    uint32_t count = 0;
    while (source_publish(f.source, "t", bytes_of("x", 1), 1, false, NULL)) {
        assert_true(++count <= 1000);
    }
    assert_int_equal(count, 200);
    uint64_t bytes = 0;
    while (source_publish(f.source, "t", bytes_of(big, sizeof(big)), 0, false, "text/plain")) {
        bytes += sizeof(big);
        assert_true(bytes <= 4 * 1024 * 1024);
    }
    stop(&f);
}

static void options_that_cannot_work_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        {"url", "http://x", "mqtt://"}, {"ca", "/nowhere/ca.pem", "mqtts"},
        {"password", "x", "username"},  {"shared_group", "a/b", "shared_group"},
        {"client_id", "", "client_id"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct options *options = options_create(source_options);
        struct source *source = NULL;
        struct error e;
        options_set(options, "url", "mqtt://127.0.0.1", NULL);
        options_set(options, rows[i].name, rows[i].value, NULL);
        assert_int_equal(source_create(&source, "plant", "main", options, topics, &e), ERR_CONFIG);
        if (strstr(e.text, rows[i].want) == NULL && strstr(e.text, "cannot be read") == NULL) {
            fail_msg("%s: '%s'", rows[i].name, e.text);
        }
        options_destroy(options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_asks_for_a_session_that_stays),
        cmocka_unit_test(nothing_is_acknowledged_before_the_commit),
        cmocka_unit_test(the_fault_acknowledges_early),
        cmocka_unit_test(the_fault_is_refused_outside_of_tests),
        cmocka_unit_test(what_exceeds_the_batch_waits_for_its_own_commit),
        cmocka_unit_test(leaving_acknowledges_nothing_and_keeps_the_session),
        cmocka_unit_test(destroying_with_an_open_batch_acknowledges_nothing),
        cmocka_unit_test(messages_come_whole),
        cmocka_unit_test(what_the_hub_publishes_itself_is_no_input),
        cmocka_unit_test(drops_of_the_broker_are_counted),
        cmocka_unit_test(a_refusal_is_told_and_not_spun_on),
        cmocka_unit_test(an_old_broker_gets_3_1_1),
        cmocka_unit_test(a_refused_subscription_is_told),
        cmocka_unit_test(a_shared_group_subscribes_so),
        cmocka_unit_test(limits_of_the_broker_become_advice),
        cmocka_unit_test(silence_while_connecting_ends),
        cmocka_unit_test(a_lost_connection_is_made_again_with_the_messages_kept),
        cmocka_unit_test(a_name_is_looked_up_aside),
        cmocka_unit_test(publishing_is_bounded),
        cmocka_unit_test(options_that_cannot_work_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
