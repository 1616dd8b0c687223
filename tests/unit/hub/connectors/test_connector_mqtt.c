// What the mqtt connector does beyond the conformance suite: qualities of service, refusals,
// limits, broken connections, against mosquitto and against a peer that plays a script.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "broker_support.h"
#include "connectors/types.h"
#include "core/properties.h"
#include "delivery_support.h"

static struct options *options_for(int port)
{
    char url[64];
    struct options *options = options_create(connector_mqtt.options);
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", port);
    assert_int_equal(options_set(options, "url", url, NULL), ERR_OK);
    assert_int_equal(options_set(options, "timeout", "5 s", NULL), ERR_OK);
    return options;
}

static enum err open_with(void *connector, const struct options *options, int stop_fd,
                          struct error *e)
{
    struct connector_peer peer = {
        .hub_id = "hub", .name = "bus", .options = options, .stop_fd = stop_fd};
    return connector_mqtt.open(connector, &peer, e);
}

static void *open_connector(const struct options *options)
{
    struct error e = {0};
    void *connector = calloc(1, connector_mqtt.state_bytes);
    if (open_with(connector, options, -1, &e) != ERR_OK) {
        fail_msg("open: %s", e.text);
    }
    return connector;
}

static void close_connector(void *connector)
{
    connector_mqtt.close(connector);
    free(connector);
}

static void test_each_quality_of_service(void **state)
{
    (void)state;
    static const char *const versions[] = {"auto", "5", "3.1.1"};
    for (size_t v = 0; v < 3; v++) {
        bool is_v5 = strcmp(versions[v], "3.1.1") != 0;
        struct broker broker;
        struct subscriber subscriber;
        struct answer answers[6];
        struct error e = {0};
        broker_init(&broker, "");
        broker_start(&broker);
        subscriber_init(&subscriber, broker.port, "out/#");
        struct options *options = options_for(broker.port);
        assert_int_equal(options_set(options, "version", versions[v], NULL), ERR_OK);
        struct deliveries *made = deliveries_make(6, 0);
        for (uint32_t i = 0; i < 6; i++) { // Mixed in one batch.
            made->rows[i].qos = (uint8_t)(i % 3);
        }
        void *connector = open_connector(options);
        assert_int_equal(connector_mqtt.send(connector, made->list, 6, answers, &e), ERR_OK);
        subscriber_run(&subscriber, 6);
        for (uint32_t i = 0; i < 6; i++) {
            const struct received *got = &subscriber.received[i];
            assert_int_equal(answers[i].verdict, VERDICT_DONE);
            // The broker may pass QoS 2 on later than the rest; look at the number inside.
            uint32_t n = (uint32_t)atoi(got->payload + strlen("{\"n\":"));
            assert_in_range(n, 0, 5);
            assert_int_equal(got->qos, n % 3);
            assert_string_equal(got->topic, "out/topic");
            if (is_v5) {
                assert_string_equal(got->key, made->keys[n]);
                assert_string_equal(got->content_type, "application/json");
            } else {
                assert_null(got->key);
            }
        }
        close_connector(connector);
        free(made);
        options_destroy(options);
        subscriber_deinit(&subscriber);
        broker_deinit(&broker);
    }
}

static void test_retained(void **state)
{
    (void)state;
    struct broker broker;
    struct subscriber subscriber;
    struct answer answers[2];
    struct error e = {0};
    broker_init(&broker, "");
    broker_start(&broker);
    struct options *options = options_for(broker.port);
    struct deliveries *made = deliveries_make(2, 1);
    made->rows[0].is_retained = true;
    made->rows[1].topic = bytes_from_text("out/other");
    void *connector = open_connector(options);
    assert_int_equal(connector_mqtt.send(connector, made->list, 2, answers, &e), ERR_OK);
    subscriber_init(&subscriber, broker.port,
                    "out/#"); // Afterwards: only the retained one is left.
    subscriber_run(&subscriber, 1);
    assert_int_equal(subscriber.count, 1);
    assert_true(subscriber.received[0].is_retained);
    assert_string_equal(subscriber.received[0].payload, made->payloads[0]);
    close_connector(connector);
    free(made);
    options_destroy(options);
    subscriber_deinit(&subscriber);
    broker_deinit(&broker);
}

static const char expired[] = PROPERTY_EXPIRES "\0"
                                               "1700000000000";
static const char unexpired[] = PROPERTY_EXPIRES "\0"
                                                 "32503680000000"; // The year 3000.

// What the broker refuses does not touch its neighbours.
static void test_refusals(void **state)
{
    (void)state;
    struct broker broker;
    char acl[128], extra[300];
    broker_init(&broker, "");
    snprintf(acl, sizeof(acl), "%s/acl", broker.folder);
    snprintf(extra, sizeof(extra), "acl_file %s\nmax_packet_size 2000\nmax_qos 1\n", acl);
    strcpy(broker.extra, extra);
    FILE *file = fopen(acl, "w");
    fputs("topic readwrite out/#\n", file);
    fclose(file);
    broker_start(&broker);
    struct options *options = options_for(broker.port);
    struct deliveries *made = deliveries_make(9, 1);
    char large[3000], long_topic[210], bad_utf8[] = "out/\xff";
    memset(large, 'x', sizeof(large));
    memset(long_topic, 'a', sizeof(long_topic));
    made->rows[1].topic = bytes_from_text("secret/topic");
    made->rows[2].payload = bytes_of(large, sizeof(large));
    made->rows[3].topic = bytes_from_text("out/+");
    made->rows[4].topic = bytes_of(bad_utf8, strlen(bad_utf8));
    made->rows[5].qos = 2;
    made->rows[6].properties = bytes_of(expired, sizeof(expired));
    made->rows[7].properties = bytes_of(unexpired, sizeof(unexpired));
    static const struct {
        enum verdict verdict;
        const char *reason;
    } want[] = {
        {VERDICT_DONE, ""},
        {VERDICT_REJECT, "the broker refused topic secret/topic: not authorized to publish there"},
        {VERDICT_REJECT, "larger than the broker's maximum of 2000"},
        {VERDICT_REJECT, "the topic holds the wildcard +"},
        {VERDICT_REJECT, "UTF-8"},
        {VERDICT_REJECT, "the broker takes QoS 1 at most"},
        {VERDICT_REJECT, "it expired before it could be sent"},
        {VERDICT_DONE, ""},
        {VERDICT_DONE, ""},
    };
    struct answer answers[9];
    struct error e = {0};
    void *connector = open_connector(options);
    assert_int_equal(connector_mqtt.send(connector, made->list, 9, answers, &e), ERR_OK);
    for (size_t i = 0; i < 9; i++) {
        if (answers[i].verdict != want[i].verdict ||
            strstr(answers[i].reason, want[i].reason) == NULL) {
            fail_msg("%zu: verdict %d (%s)", i, answers[i].verdict, answers[i].reason);
        }
    }
    close_connector(connector);
    free(made);
    options_destroy(options);
    unlink(acl);
    broker_deinit(&broker);
}

// The size that is compared with the broker's maximum is that of the packet to the byte: one that
// just fits passes, one more byte is refused here and does not break the connection.
// What of the payload fits, with these properties.
static size_t largest_payload(struct bytes properties)
{
    struct broker broker;
    char payload[1100];
    memset(payload, 'x', sizeof(payload));
    broker_init(&broker, "max_packet_size 1000\n");
    broker_start(&broker);
    struct options *options = options_for(broker.port);
    void *connector = open_connector(options);
    size_t largest = 0;
    for (size_t len = 880; len < 1010; len++) {
        struct deliveries *made = deliveries_make(1, 1);
        struct answer answer;
        struct error e = {0};
        made->rows[0].payload = bytes_of(payload, len);
        made->rows[0].properties = properties;
        if (connector_mqtt.send(connector, made->list, 1, &answer, &e) != ERR_OK) {
            fail_msg("%zu bytes of payload broke the connection: %s", len, e.text);
        }
        if (answer.verdict == VERDICT_DONE) {
            assert_true(largest == 0 || largest == len - 1);
            largest = len;
        }
        free(made);
    }
    close_connector(connector);
    options_destroy(options);
    broker_deinit(&broker);
    return largest;
}

static void test_packet_size_to_the_byte(void **state)
{
    (void)state;
    // type 1, length 2, topic 2+9, packet id 2, properties 1 + 3+16 + 5+15+5, payload.
    const size_t room = 1000 - 1 - 2 - 11 - 2 - 1 - 19 - 25;
    assert_int_equal(largest_payload(bytes_of("", 0)), room);
    // Message expiry 1+4.
    assert_int_equal(largest_payload(bytes_of(unexpired, sizeof(unexpired))), room - 5);
}

static void test_connect_errors(void **state)
{
    (void)state;
    struct broker broker;
    char passwords[128], extra[300];
    broker_init(&broker, "");
    snprintf(passwords, sizeof(passwords), "%s/passwords", broker.folder);
    fclose(fopen(passwords, "w"));
    snprintf(extra, sizeof(extra), "password_file %s\nallow_anonymous false\n", passwords);
    strcpy(broker.extra, extra);
    broker_start(&broker);
    struct error e = {0};
    void *connector = calloc(1, connector_mqtt.state_bytes);
    struct options *options = options_for(broker.port);
    assert_int_equal(options_set(options, "username", "joe", NULL), ERR_OK);
    assert_int_equal(options_set(options, "password", "wrong", NULL), ERR_OK);
    assert_int_equal(open_with(connector, options, -1, &e), ERR_REJECTED);
    assert_non_null(strstr(e.text, "refused client pipit-hub-to-bus (user joe): not authorized"));
    assert_null(strstr(e.text, "wrong"));
    connector_mqtt.close(connector);
    broker_kill(&broker);
    assert_int_equal(open_with(connector, options, -1, &e), ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "Connection refused"));
    connector_mqtt.close(connector);
    assert_int_equal(options_set(options, "url", "mqtt://no-such-host.invalid", NULL), ERR_OK);
    assert_int_equal(open_with(connector, options, -1, &e), ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "broker no-such-host.invalid:1883: "));
    close_connector(connector);
    options_destroy(options);
    unlink(passwords);
    broker_deinit(&broker);
}

// A peer that plays a script: what it answers a connection, and what happens then.
struct script {
    const char *connack; // NULL: says nothing.
    size_t connack_len;
    const char *on_publish; // Answer to the first publish, then it closes. NULL: never answers.
    size_t on_publish_len;
    int listener, port, connections_max, connections;
    pthread_t thread;
};

static const char connack_v5[] = {0x20, 3, 0, 0, 0};

static void *play(void *context)
{
    struct script *script = context;
    char bytes[65536];
    while (script->connections < script->connections_max) {
        int fd = accept(script->listener, NULL, NULL);
        if (fd < 0) {
            break;
        }
        script->connections++;
        if (recv(fd, bytes, sizeof(bytes), 0) > 0 && script->connack != NULL) {
            send(fd, script->connack, script->connack_len, MSG_NOSIGNAL);
        }
        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
            if (script->on_publish != NULL) {
                send(fd, script->on_publish, script->on_publish_len, MSG_NOSIGNAL);
                break;
            }
        }
        close(fd);
    }
    return NULL;
}

static struct options *script_start(struct script *script)
{
    script->listener = listen_on_loopback(&script->port);
    script->connections_max = script->connections_max == 0 ? 1 : script->connections_max;
    assert_int_equal(pthread_create(&script->thread, NULL, play, script), 0);
    return options_for(script->port);
}

static void script_end(struct script *script, struct options *options)
{
    shutdown(script->listener, SHUT_RDWR);
    pthread_join(script->thread, NULL);
    close(script->listener);
    options_destroy(options);
}

// Closing on the first publish: which of those written it was is not known; those that were not
// written are told apart.
static void test_a_connection_that_breaks(void **state)
{
    (void)state;
    static const struct {
        const char *why, *in_flight, *answer;
        size_t answer_len;
        uint32_t count, retries, rejects;
    } cases[] = {
        {"all of the window may be there", "5", "", 0, 20, 5, 0},
        {"a lone one is under suspicion", "200", "", 0, 1, 1, 0},
        {"too large, says the broker, of the only one", "200", "\xe0\x02\x95\x00", 4, 1, 0, 1},
        {"too large, but which", "5", "\xe0\x02\x95\x00", 4, 5, 5, 0},
        {"shutting down is nobody's fault", "200", "\xe0\x02\x8b\x00", 4, 1, 1, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct script script = {.connack = connack_v5,
                                .connack_len = sizeof(connack_v5),
                                .on_publish = cases[i].answer,
                                .on_publish_len = cases[i].answer_len};
        struct options *options = script_start(&script);
        assert_int_equal(options_set(options, "in_flight", cases[i].in_flight, NULL), ERR_OK);
        struct deliveries *made = deliveries_make(cases[i].count, 1);
        struct answer answers[20];
        struct error e = {0};
        uint32_t retries = 0, rejects = 0, unsent = 0;
        void *connector = open_connector(options);
        enum err rc = connector_mqtt.send(connector, made->list, cases[i].count, answers, &e);
        assert_int_equal(rc, ERR_UNAVAILABLE);
        for (uint32_t n = 0; n < cases[i].count; n++) {
            retries += answers[n].verdict == VERDICT_RETRY;
            rejects += answers[n].verdict == VERDICT_REJECT;
            unsent += answers[n].verdict == VERDICT_NOT_SENT;
        }
        if (retries != cases[i].retries || rejects != cases[i].rejects ||
            unsent != cases[i].count - retries - rejects) {
            fail_msg("%s: %u retries, %u rejects, %u unsent (%s)", cases[i].why, retries, rejects,
                     unsent, e.text);
        }
        close_connector(connector);
        free(made);
        script_end(&script, options);
    }
}

static void test_silence_times_out(void **state)
{
    (void)state;
    struct script mute = {.connack = NULL};
    struct options *options = script_start(&mute);
    struct error e = {0};
    void *connector = calloc(1, connector_mqtt.state_bytes);
    assert_int_equal(options_set(options, "timeout", "200 ms", NULL), ERR_OK);
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(open_with(connector, options, -1, &e), ERR_TIMEOUT);
    assert_in_range(clock_monotonic_ms() - start_ms, 190, 5000);
    assert_non_null(strstr(e.text, "no answer to CONNECT"));
    close_connector(connector);
    script_end(&mute, options);

    struct script deaf = {.connack = connack_v5, .connack_len = sizeof(connack_v5)};
    struct deliveries *made = deliveries_make(3, 1);
    struct answer answers[3];
    options = script_start(&deaf);
    assert_int_equal(options_set(options, "timeout", "200 ms", NULL), ERR_OK);
    connector = open_connector(options);
    start_ms = clock_monotonic_ms();
    assert_int_equal(connector_mqtt.send(connector, made->list, 3, answers, &e), ERR_TIMEOUT);
    assert_in_range(clock_monotonic_ms() - start_ms, 190, 5000);
    assert_int_equal(answers[2].verdict, VERDICT_RETRY);
    assert_non_null(strstr(answers[2].reason, "without an answer for 200 ms"));
    close_connector(connector);
    free(made);
    script_end(&deaf, options);
}

static void test_stop_ends_waiting(void **state)
{
    (void)state;
    struct script mute = {.connack = NULL};
    struct options *options = script_start(&mute);
    struct error e = {0};
    int stop_fd = eventfd(1, EFD_CLOEXEC); // Rung already.
    void *connector = calloc(1, connector_mqtt.state_bytes);
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(open_with(connector, options, stop_fd, &e), ERR_UNAVAILABLE);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 2000); // Not the timeout of 5 s.
    close_connector(connector);
    close(stop_fd);
    script_end(&mute, options);
}

// auto falls back to 3.1.1 when the broker says that it does not know version 5.
static void test_version_fallback(void **state)
{
    (void)state;
    static const char refused[] = {0x20, 2, 0, 1};
    struct script old = {.connack = refused, .connack_len = sizeof(refused), .connections_max = 2};
    struct options *options = script_start(&old);
    struct error e = {0};
    void *connector = calloc(1, connector_mqtt.state_bytes);
    assert_int_equal(open_with(connector, options, -1, &e), ERR_REJECTED);
    assert_non_null(strstr(e.text, "set version"));
    assert_int_equal(old.connections, 2); // Tried as 5, then as 3.1.1.
    close_connector(connector);
    script_end(&old, options);
}

// A CA, and a certificate of it for 127.0.0.1, in the broker's folder.
static void make_certificates(const char *folder)
{
    char command[1200];
    snprintf(
        command, sizeof(command),
        "cd %s && exec 2>/dev/null && "
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 "
        "-subj /CN=test-ca && "
        "openssl req -newkey rsa:2048 -nodes -keyout b.key -out b.csr -subj /CN=broker.invalid && "
        "printf 'subjectAltName=IP:127.0.0.1' > san && "
        "openssl x509 -req -in b.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out b.pem "
        "-days 2 -extfile san && "
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 "
        "-subj /CN=other-ca",
        folder);
    assert_int_equal(system(command), 0);
}

static void test_tls(void **state)
{
    (void)state;
    struct broker broker;
    char path[128], url[64], command[128];
    struct error e = {0};
    broker_init(&broker, "");
    make_certificates(broker.folder);
    snprintf(broker.extra, sizeof(broker.extra), "certfile %s/b.pem\nkeyfile %s/b.key\n",
             broker.folder, broker.folder);
    broker_start(&broker);
    struct options *options = options_for(broker.port);
    snprintf(url, sizeof(url), "mqtts://127.0.0.1:%d", broker.port);
    snprintf(path, sizeof(path), "%s/ca.pem", broker.folder);
    assert_int_equal(options_set(options, "url", url, NULL), ERR_OK);
    assert_int_equal(options_set(options, "ca", path, NULL), ERR_OK);
    void *connector = open_connector(options);
    struct deliveries *made = deliveries_make(200, 1);
    struct answer answers[200];
    assert_int_equal(connector_mqtt.send(connector, made->list, 200, answers, &e), ERR_OK);
    assert_int_equal(answers[199].verdict, VERDICT_DONE);
    connector_mqtt.close(connector);

    static const struct {
        const char *why, *scheme, *host, *ca, *want;
    } cases[] = {
        {"signed by somebody else", "mqtts", "127.0.0.1", "other.pem", "verify failed"},
        {"a name that is not in it", "mqtts", "localhost", "ca.pem", "host name verification"},
        {"plain to a TLS port", "mqtt", "127.0.0.1", "ca.pem", ""},
    };
    assert_int_equal(options_set(options, "timeout", "2 s", NULL), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(url, sizeof(url), "%s://%s:%d", cases[i].scheme, cases[i].host, broker.port);
        snprintf(path, sizeof(path), "%s/%s", broker.folder, cases[i].ca);
        assert_int_equal(options_set(options, "url", url, NULL), ERR_OK);
        assert_int_equal(options_set(options, "ca", path, NULL), ERR_OK);
        enum err rc = open_with(connector, options, -1, &e);
        if (rc == ERR_OK || strstr(e.text, cases[i].want) == NULL) {
            fail_msg("%s: %d %s", cases[i].why, rc, e.text);
        }
        connector_mqtt.close(connector);
    }
    free(connector);
    free(made);
    options_destroy(options);
    snprintf(command, sizeof(command), "rm -f %s/*", broker.folder);
    assert_int_equal(system(command), 0);
    broker_deinit(&broker);
}

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *why, *name, *text, *name_2, *text_2, *want;
    } cases[] = {
        {"plain", "url", "mqtt://broker", NULL, NULL, NULL},
        {"with a port", "url", "mqtt://[::1]:1884", NULL, NULL, NULL},
        {"another protocol", "url", "http://broker", NULL, NULL, "url: 'http://broker'"},
        {"a password in it is not shown", "url", "mqtt://joe:secret@broker", NULL, NULL,
         "url: a user does not belong into the URL"},
        {"a file that is not there", "url", "mqtts://b", "ca", "/no/such.pem",
         "ca: cannot read /no/such.pem: No such file or directory"},
        {"TLS options without TLS", "url", "mqtt://b", "ca", "/dev/null", "the url must be mqtts"},
        {"half a pair", "url", "mqtts://b", "cert", "/dev/null", "key is missing"},
        {"password alone", "url", "mqtt://b", "password", "secret", "needs a username"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options *options = options_create(connector_mqtt.options);
        struct error e = {0};
        assert_int_equal(options_set(options, cases[i].name, cases[i].text, NULL), ERR_OK);
        if (cases[i].name_2 != NULL) {
            assert_int_equal(options_set(options, cases[i].name_2, cases[i].text_2, NULL), ERR_OK);
        }
        enum err rc = connector_mqtt.check(options, &e);
        if ((rc == ERR_OK) != (cases[i].want == NULL) ||
            (rc != ERR_OK &&
             (strstr(e.text, cases[i].want) == NULL || strstr(e.text, "secret") != NULL))) {
            fail_msg("%s: %s", cases[i].why, e.text);
        }
        options_destroy(options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_quality_of_service),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_packet_size_to_the_byte),
        cmocka_unit_test(test_connect_errors),
        cmocka_unit_test(test_a_connection_that_breaks),
        cmocka_unit_test(test_silence_times_out),
        cmocka_unit_test(test_stop_ends_waiting),
        cmocka_unit_test(test_version_fallback),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
