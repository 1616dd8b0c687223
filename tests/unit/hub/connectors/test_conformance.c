// What every connector owes the delivery stage, seen on the real peer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <jansson.h>
#include <stdbool.h>

#include "broker_support.h"
#include "connectors/connector.h"
#include "delivery_support.h"
#include "http_support.h"

struct got {
    char *key, *payload;
};

// One connector and its peer; each function tells what the suite must be able to do to it.
struct bench {
    const struct connector_type *type;
    struct options *options;
    void *connector;
    struct broker broker;      // The mqtt connector's; its folder serves the others.
    struct http_server server; // The http connector's.
    char path[128];
    struct subscriber subscriber;
    bool is_subscribed;
    struct got got[RECEIVED_MAX];
    size_t got_count;
};

struct subject {
    const char *name, *topic;
    void (*prepare)(struct bench *bench);   // The peer is there and remembers.
    void (*take_away)(struct bench *bench); // Now it is not.
    void (*bring_back)(struct bench *bench);
    void (*collect)(struct bench *bench, size_t count); // What arrived, into got.
};

static void mqtt_bring_back(struct bench *bench)
{
    broker_start(&bench->broker);
    if (bench->is_subscribed) {
        subscriber_deinit(&bench->subscriber);
    }
    subscriber_init(&bench->subscriber, bench->broker.port, "out/#");
    bench->is_subscribed = true;
}

static void mqtt_prepare(struct bench *bench)
{
    char url[64];
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", bench->broker.port);
    assert_int_equal(options_set(bench->options, "url", url, NULL), ERR_OK);
    mqtt_bring_back(bench);
}

static void mqtt_take_away(struct bench *bench)
{
    broker_kill(&bench->broker);
}

static void mqtt_collect(struct bench *bench, size_t count)
{
    subscriber_run(&bench->subscriber, count);
    for (size_t i = 0; i < bench->subscriber.count; i++) {
        bench->got[i].key = strdup(bench->subscriber.received[i].key);
        bench->got[i].payload = strdup(bench->subscriber.received[i].payload);
    }
    bench->got_count = bench->subscriber.count;
}

static void file_bring_back(struct bench *bench)
{
    char folder[140];
    snprintf(folder, sizeof(folder), "%s/sub", bench->broker.folder);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void file_take_away(struct bench *bench)
{
    char folder[140];
    snprintf(folder, sizeof(folder), "%s/sub", bench->broker.folder);
    unlink(bench->path);
    assert_int_equal(rmdir(folder), 0);
}

static void file_prepare(struct bench *bench)
{
    snprintf(bench->path, sizeof(bench->path), "%s/sub/out.ndjson", bench->broker.folder);
    assert_int_equal(options_set(bench->options, "path", bench->path, NULL), ERR_OK);
    file_bring_back(bench);
}

// Of a file with an idempotency key and a payload a line.
static void file_collect(struct bench *bench, size_t count)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(bench->path, "r");
    assert_non_null(file);
    while (getline(&line, &size, file) > 0) {
        json_t *json = json_loads(line, 0, NULL);
        assert_non_null(json);
        struct got *got = &bench->got[bench->got_count++];
        got->key = strdup(json_string_value(json_object_get(json, "idempotency_key")));
        got->payload = json_dumps(json_object_get(json, "payload"), JSON_COMPACT | JSON_ENCODE_ANY);
        json_decref(json);
    }
    free(line);
    fclose(file);
    assert_true(bench->got_count >= count);
}

static void http_bring_back(struct bench *bench)
{
    http_server_start(&bench->server);
}

static void http_take_away(struct bench *bench)
{
    http_server_kill(&bench->server);
}

// One call at a time, for the order; to the topic of all deliveries here, as a path.
static void http_prepare(struct bench *bench)
{
    char url[64];
    bench->server.port = free_port();
    snprintf(bench->server.path, sizeof(bench->server.path), "%s/out.ndjson", bench->broker.folder);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", bench->server.port);
    assert_int_equal(options_set(bench->options, "url", url, NULL), ERR_OK);
    assert_int_equal(options_set(bench->options, "in_flight", "1", NULL), ERR_OK);
    http_bring_back(bench);
}

static void http_collect(struct bench *bench, size_t count)
{
    memcpy(bench->path, bench->server.path, sizeof(bench->path));
    file_collect(bench, count);
    bench->path[0] = '\0';
}

static const struct subject subjects[] = {
    {"mqtt", "out/topic", mqtt_prepare, mqtt_take_away, mqtt_bring_back, mqtt_collect},
    {"file", "out/topic", file_prepare, file_take_away, file_bring_back, file_collect},
    {"http", "PUT /out/topic?a=1", http_prepare, http_take_away, http_bring_back, http_collect},
};

static struct deliveries *make(const struct subject *subject, uint32_t count)
{
    struct deliveries *made = deliveries_make(count, 1);
    for (uint32_t i = 0; i < count; i++) {
        made->rows[i].topic = bytes_from_text(subject->topic);
    }
    return made;
}

static struct bench *bench_create(const struct subject *subject)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->type = connector_find(subject->name);
    assert_non_null(bench->type);
    bench->options = options_create(bench->type->options);
    bench->connector = calloc(1, bench->type->state_bytes);
    broker_init(&bench->broker, "");
    subject->prepare(bench);
    return bench;
}

static void bench_destroy(struct bench *bench)
{
    char folder[140];
    bench->type->close(bench->connector);
    bench->type->close(bench->connector); // Twice is fine.
    for (size_t i = 0; i < bench->got_count; i++) {
        free(bench->got[i].key);
        free(bench->got[i].payload);
    }
    if (bench->is_subscribed) {
        subscriber_deinit(&bench->subscriber);
    }
    unlink(bench->path);
    http_server_kill(&bench->server);
    unlink(bench->server.path);
    snprintf(folder, sizeof(folder), "%s/sub", bench->broker.folder);
    rmdir(folder);
    broker_deinit(&bench->broker);
    options_destroy(bench->options);
    free(bench->connector);
    free(bench);
}

static enum err bench_open(struct bench *bench, struct error *e)
{
    struct connector_peer peer = {
        .hub_id = "hub", .name = "target", .options = bench->options, .stop_fd = -1};
    return bench->type->open(bench->connector, &peer, e);
}

static void must_open(struct bench *bench)
{
    struct error e = {0};
    if (bench_open(bench, &e) != ERR_OK) {
        fail_msg("open %s: %s", bench->type->name, e.text);
    }
}

static void must_send(struct bench *bench, const struct delivery *const *list, uint32_t count)
{
    struct error e = {0};
    struct answer *answers = calloc(count, sizeof(answers[0]));
    if (bench->type->send(bench->connector, list, count, answers, &e) != ERR_OK) {
        fail_msg("send to %s: %s", bench->type->name, e.text);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (answers[i].verdict != VERDICT_DONE || answers[i].reason[0] != '\0') {
            fail_msg("%s: delivery %u: verdict %d (%s)", bench->type->name, i, answers[i].verdict,
                     answers[i].reason);
        }
    }
    free(answers);
}

static void everything_arrives_in_order(const struct subject *subject)
{
    struct bench *bench = bench_create(subject);
    uint32_t count = bench->type->batch_count_max;
    struct deliveries *made = make(subject, count);
    must_open(bench);
    must_send(bench, made->list, 1); // A lone one and a full batch.
    must_send(bench, made->list + 1, count - 1);
    subject->collect(bench, count);
    assert_int_equal(bench->got_count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(bench->got[i].key, made->keys[i]);
        assert_string_equal(bench->got[i].payload, made->payloads[i]);
    }
    free(made);
    bench_destroy(bench);
}

static void large_ones_arrive(const struct subject *subject)
{
    enum { LARGE = 3 * 1024 * 1024 };
    struct bench *bench = bench_create(subject);
    struct deliveries *made = make(subject, 3);
    char *payload = malloc(LARGE);
    memset(payload, 'x', LARGE);
    payload[0] = payload[LARGE - 1] = '"';
    made->rows[1].payload = bytes_of(payload, LARGE);
    must_open(bench);
    must_send(bench, made->list, 3);
    subject->collect(bench, 3);
    assert_int_equal(strlen(bench->got[1].payload), LARGE);
    assert_memory_equal(bench->got[1].payload, payload, LARGE);
    assert_string_equal(bench->got[2].payload, made->payloads[2]);
    free(payload);
    free(made);
    bench_destroy(bench);
}

static void a_missing_peer_is_told_and_found_later(const struct subject *subject)
{
    struct bench *bench = bench_create(subject);
    struct deliveries *made = make(subject, 2);
    struct error e = {0};
    subject->take_away(bench);
    enum err rc = bench_open(bench, &e);
    assert_int_equal(err_action(rc), ERR_ACTION_RETRY);
    assert_non_null(strstr(e.text, bench->path[0] != '\0' ? bench->path : "127.0.0.1"));
    bench->type->close(bench->connector);
    subject->bring_back(bench);
    must_open(bench);
    must_send(bench, made->list, 2);
    subject->collect(bench, 2);
    free(made);
    bench_destroy(bench);
}

// Between two batches the peer goes: the next send fails, and nothing of it was written.
static void a_lost_peer_is_no_attempt(const struct subject *subject)
{
    struct bench *bench = bench_create(subject);
    struct deliveries *made = make(subject, 10);
    struct answer answers[10];
    struct error e = {0};
    must_open(bench);
    must_send(bench, made->list, 2);
    subject->take_away(bench);
    assert_int_not_equal(bench->type->send(bench->connector, made->list, 10, answers, &e), ERR_OK);
    assert_int_not_equal(e.text[0], '\0');
    for (int i = 0; i < 10; i++) {
        assert_int_equal(answers[i].verdict, VERDICT_NOT_SENT);
    }
    bench->type->close(bench->connector);
    subject->bring_back(bench);
    must_open(bench);
    must_send(bench, made->list, 10);
    subject->collect(bench, 10);
    free(made);
    bench_destroy(bench);
}

static void idling_is_possible(const struct subject *subject)
{
    struct bench *bench = bench_create(subject);
    struct deliveries *made = make(subject, 1);
    struct error e = {0};
    must_open(bench);
    for (int i = 0; i < 3 && bench->type->tend != NULL; i++) {
        assert_int_equal(bench->type->tend(bench->connector, &e), ERR_OK);
    }
    must_send(bench, made->list, 1);
    subject->collect(bench, 1);
    free(made);
    bench_destroy(bench);
}

static void names_and_tables(const struct subject *subject)
{
    const struct connector_type *type = connector_find(subject->name);
    assert_in_range(type->batch_count_max, 1, DELIVERIES_MAX);
    for (const struct option_spec *row = type->options; row->name != NULL; row++) {
        assert_true(strlen(row->sentence) > 10);
        assert_null(option_find(type->route_options, row->name)); // One name, one meaning.
    }
    struct options *defaults = options_create(type->options); // Defaults are within their limits.
    assert_non_null(defaults);
    options_destroy(defaults);
}

static void for_each(void (*suite)(const struct subject *subject))
{
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        suite(&subjects[i]);
    }
}

static void test_everything_arrives_in_order(void **state)
{
    (void)state;
    for_each(everything_arrives_in_order);
}

static void test_large_ones_arrive(void **state)
{
    (void)state;
    for_each(large_ones_arrive);
}

static void test_a_missing_peer_is_told_and_found_later(void **state)
{
    (void)state;
    for_each(a_missing_peer_is_told_and_found_later);
}

static void test_a_lost_peer_is_no_attempt(void **state)
{
    (void)state;
    for_each(a_lost_peer_is_no_attempt);
}

static void test_idling_is_possible(void **state)
{
    (void)state;
    for_each(idling_is_possible);
}

static void test_names_and_tables(void **state)
{
    (void)state;
    for_each(names_and_tables);
    assert_null(connector_find("pigeon"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_arrives_in_order),
        cmocka_unit_test(test_large_ones_arrive),
        cmocka_unit_test(test_a_missing_peer_is_told_and_found_later),
        cmocka_unit_test(test_a_lost_peer_is_no_attempt),
        cmocka_unit_test(test_idling_is_possible),
        cmocka_unit_test(test_names_and_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
