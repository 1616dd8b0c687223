// Windows through core_step with a clock that the test moves: what closes when, with which rows.
#include "core_support.h"

#include <inttypes.h>

#define MINUTE INT64_C(60000)
#define BASE   INT64_C(1700006400000) // A whole hour.

struct window_fixture {
    struct fixture base;
    char log[65536]; // One line a delivery: its key, payload and idempotency key.
    size_t len;
};

static int setup(void **state)
{
    struct window_fixture *fixture = calloc(1, sizeof(*fixture));
    folder_create(&fixture->base.folder);
    fixture->base.now_ms = BASE + 1000;
    fixture->base.routes[0] = (struct route_spec){.target = 0, .topic = "w", .qos = 1};
    fixture->base.rules[0] = (struct rule_spec){
        .name = "hourly",
        .sql = "SELECT window_key, window_start, window_end, window_count, count(*) AS n,"
               " sum(v) AS s, group_concat(v) AS vs FROM \"t/+\"",
        .window = {.kind = WINDOW_TUMBLING, .size_ms = MINUTE, .idle_ms = 10 * MINUTE},
        .routes = fixture->base.routes,
        .route_count = 1};
    fixture->base.targets[0] = (struct target_spec){"bus", 3, 1000, 8000};
    fixture->base.spec = (struct core_spec){.hub_id = "h1",
                                            .rules = fixture->base.rules,
                                            .rule_count = 1,
                                            .targets = fixture->base.targets,
                                            .target_count = 1,
                                            .store_limit_bytes = 64 << 20,
                                            .quarantine_limit_bytes = 1 << 20,
                                            .payload_bytes_max = 400,
                                            .rule_steps_max = 100000};
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct window_fixture *fixture = *state;
    fixture_close(&fixture->base);
    folder_remove(&fixture->base.folder);
    free(fixture);
    return 0;
}

static struct identity_spec identity = {
    .name = "x", .from = "t/+", .device = "topic_part(2)", .time = "at"};

static void open_with(struct window_fixture *fixture, const struct window_spec *window)
{
    fixture->base.rules[0].window = *window;
    fixture->base.spec.identities = &identity;
    fixture->base.spec.identity_count = 1;
    fixture_open(&fixture->base);
}

// An event of the device at so many seconds after BASE.
static void event_at(struct window_fixture *fixture, const char *device, double seconds, int v)
{
    char topic[32], text[80];
    snprintf(topic, sizeof(topic), "t/%s", device);
    snprintf(text, sizeof(text), "{\"at\":%" PRId64 ",\"v\":%d}", BASE + (int64_t)(seconds * 1000),
             v);
    add_message(&fixture->base, topic, bytes_from_text(text));
}

static void tick(struct window_fixture *fixture)
{
    fixture->base.inputs[fixture->base.count++] = (struct input){.kind = INPUT_TICK};
    step(&fixture->base);
}

// Takes and settles all deliveries; their lines since the last call.
static const char *output(struct window_fixture *fixture)
{
    struct fixture *base = &fixture->base;
    uint32_t count;
    fixture->len = 0;
    fixture->log[0] = '\0';
    while ((count = take(base, 0, 100)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct delivery *delivery = base->taken[i];
            fixture->len += (size_t)snprintf(
                fixture->log + fixture->len, sizeof(fixture->log) - fixture->len, "%.*s %.*s %s\n",
                (int)delivery->key.len, (const char *)delivery->key.ptr, (int)delivery->payload.len,
                (const char *)delivery->payload.ptr, delivery->idempotency_key);
            assert_true(fixture->len < sizeof(fixture->log));
            add_settlement(base, delivery->id, VERDICT_DONE);
        }
        step(base);
    }
    return fixture->log;
}

static void expect(struct window_fixture *fixture, const char *want)
{
    const char *have = output(fixture);
    if (strcmp(have, want) != 0) {
        fail_msg("\nwant %s\nhave %s", want, have);
    }
}

static void tumbling_by_time(void **state)
{
    struct window_fixture *fixture = *state;
    open_with(fixture, &(struct window_spec){
                           .kind = WINDOW_TUMBLING, .size_ms = MINUTE, .idle_ms = 10 * MINUTE});
    event_at(fixture, "a", 1, 1);
    event_at(fixture, "a", 59, 2);
    event_at(fixture, "b", 30, 7);
    step(&fixture->base);
    expect(fixture, "");
    fixture_reopen(&fixture->base);
    event_at(fixture, "a", 60, 3);
    event_at(fixture, "a", 59.5, 4);
    step(&fixture->base);
    expect(fixture, "x/a {\"window_key\":\"x/a\",\"window_start\":1700006400000,\"window_end\":"
                    "1700006460000,\"window_count\":2,\"n\":2,\"s\":3,\"vs\":\"1,2\"} "
                    "window/x/a/1700006400000-1700006460000:hourly:1\n");
    assert_int_equal(books_of(&fixture->base).late, 1);
    assert_int_equal(books_of(&fixture->base).routed, 4);
    assert_int_equal(books_of(&fixture->base).filtered, 1);
    fixture->base.now_ms += 11 * MINUTE;
    assert_true(core_next_timer_ms(fixture->base.core) <= fixture->base.now_ms);
    tick(fixture);
    expect(fixture, "x/b {\"window_key\":\"x/b\",\"window_start\":1700006400000,\"window_end\":"
                    "1700006460000,\"window_count\":1,\"n\":1,\"s\":7,\"vs\":\"7\"} "
                    "window/x/b/1700006400000-1700006460000:hourly:1\n"
                    "x/a {\"window_key\":\"x/a\",\"window_start\":1700006460000,\"window_end\":"
                    "1700006520000,\"window_count\":1,\"n\":1,\"s\":3,\"vs\":\"3\"} "
                    "window/x/a/1700006460000-1700006520000:hourly:1\n");
    assert_int_equal(core_next_timer_ms(fixture->base.core), INT64_MAX);
    assert_int_equal(ask(fixture->base.store, "SELECT count(*) FROM pipit_window_chunk"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tumbling_by_time, setup, teardown),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
