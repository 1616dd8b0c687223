// Windows through core_step with a clock that the test moves: what closes when, with which rows.
#include "core_support.h"

#include <inttypes.h>

#include "core/notes.h"
#include "core/window.h"

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
    fixture->base.targets[0] = (struct target_spec){
        .name = "bus", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
    fixture->base.targets[1] = (struct target_spec){
        .name = "log", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
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

// A tumbling minute by time with a second of patience, of a rule with this SQL.
static void open_minute(struct window_fixture *fixture, const char *sql)
{
    if (sql != NULL) {
        fixture->base.rules[0].sql = sql;
    }
    open_with(fixture,
              &(struct window_spec){.kind = WINDOW_TUMBLING, .size_ms = MINUTE, .idle_ms = 1000});
}

static void pass_time(struct window_fixture *fixture, int64_t ms)
{
    fixture->base.now_ms += ms;
    tick(fixture);
}

static void arithmetic(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int64_t size, every, time, closed, first_end, last_end;
    } cases[] = {
        {"in the middle of a window", 60, 60, 90, INT64_MIN, 120, 120},
        {"its beginning is in it", 60, 60, 60, INT64_MIN, 120, 120},
        {"its end is not", 60, 60, 59, INT64_MIN, 60, 60},
        {"before 1970 windows lie on the same grid", 60, 60, -1, INT64_MIN, 0, 0},
        {"an event is in several hopping windows", 60, 20, 70, INT64_MIN, 80, 120},
        {"those that are closed are passed over", 60, 20, 70, 80, 100, 120},
        {"a step that does not divide the size", 60, 25, 70, INT64_MIN, 85, 110},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct window_spec spec = {
            .kind = WINDOW_HOPPING, .size_ms = cases[i].size, .every_ms = cases[i].every};
        if (window_first_end(&spec, cases[i].time, cases[i].closed) != cases[i].first_end ||
            window_last_end(&spec, cases[i].time) != cases[i].last_end) {
            fail_msg("%s", cases[i].why);
        }
    }
}

static void a_round_that_is_undone_leaves_no_rows(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.routes[1] = (struct route_spec){.target = 1, .topic = "big"};
    fixture->base.rules[1] =
        (struct rule_spec){.name = "big", // 30 of them are more than memory should hold.
                           .sql = "SELECT printf('%.*c', 3000000, 'x') AS big FROM \"t/+\"",
                           .routes = &fixture->base.routes[1],
                           .route_count = 1};
    fixture->base.spec.rule_count = fixture->base.spec.target_count = 2;
    fixture->base.spec.store_limit_bytes = 1 << 30;
    open_minute(fixture, "SELECT count(*) AS n, sum(v) AS s, group_concat(v) AS vs FROM \"t/+\"");
    for (int i = 0; i < 30; i++) {
        event_at(fixture, "a", i, i);
    }
    event_at(fixture, "a", 60, 30);
    event_at(fixture, "a", 1, 31); // Late, whatever was undone.
    step(&fixture->base);
    expect(fixture,
           "x/a {\"n\":30,\"s\":435,\"vs\":\"0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,"
           "19,20,21,22,23,24,25,26,27,28,29\"} "
           "window/x/a/1700006400000-1700006460000:hourly:1\n");
    assert_int_equal(books_of(&fixture->base).late, 1);
    assert_int_equal(ask(fixture->base.store, "SELECT sum(rows) FROM pipit_window_chunk"), 1);
}

static void a_statement_that_fails_blocks_nothing(void **state)
{
    struct window_fixture *fixture = *state;
    open_minute(fixture, "SELECT sum(v + 9223372036854775000) AS s FROM \"t/+\"");
    event_at(fixture, "a", 1, 1);
    event_at(fixture, "a", 2, 2); // Together they overflow.
    event_at(fixture, "a", 61, 3);
    step(&fixture->base);
    assert_int_equal(books_of(&fixture->base).rule_failures, 1);
    assert_int_equal(
        ask(fixture->base.store,
            "SELECT count(*) FROM pipit_quarantine WHERE topic = 't/+' AND rule = 'hourly'"
            " AND reason LIKE '%integer overflow%' AND CAST(payload AS TEXT) = "
            "'{\"window_key\":\"x/"
            "a\",\"window_start\":1700006400000,\"window_end\":1700006460000}'"),
        1);
    operate(&fixture->base, OPERATION_QUARANTINE_REPLAY, 0, UINT64_MAX); // It is no event.
    assert_int_equal(fixture->base.outcome.skipped, 1);
    fixture_reopen(&fixture->base);
    pass_time(fixture, 2 * MINUTE);
    expect(fixture, "x/a {\"s\":9223372036854775003} "
                    "window/x/a/1700006460000-1700006520000:hourly:1\n");
    assert_int_equal(ask(fixture->base.store, "SELECT count(*) FROM pipit_window_chunk"), 0);
}

static void a_sliding_window_that_fails_forgets_its_event(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.rules[0].sql = "SELECT sum(iif(v = 0, 9223372036854775807, v)) AS s FROM \"t/+\"";
    open_with(fixture, &(struct window_spec){.kind = WINDOW_SLIDING, .size_ms = MINUTE});
    event_at(fixture, "a", 1, 1);
    event_at(fixture, "a", 2, 0);
    event_at(fixture, "a", 3, 3);
    step(&fixture->base);
    const char *have = output(fixture);
    assert_non_null(strstr(have, "{\"s\":1}"));
    assert_non_null(strstr(have, "{\"s\":4}"));
    assert_int_equal(books_of(&fixture->base).rejected, 1);
    assert_int_equal(books_of(&fixture->base).routed, 2);
}

// The budget is for each row that there is, not for each that there may be.
static void a_sliding_window_runs_not_for_ever(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.rules[0].sql =
        "WITH RECURSIVE c(i) AS (SELECT min(v) FROM \"t/+\" UNION ALL SELECT i FROM c WHERE i > 0)"
        " SELECT count(*) AS n FROM c";
    open_with(fixture,
              &(struct window_spec){.kind = WINDOW_SLIDING, .size_ms = MINUTE, .rows_max = 100000});
    event_at(fixture, "a", 1, 0);
    event_at(fixture, "b", 1, 1);
    step(&fixture->base);
    assert_non_null(strstr(output(fixture), "{\"n\":1}"));
    assert_int_equal(books_of(&fixture->base).rejected, 1);
    assert_int_equal(ask(fixture->base.store,
                         "SELECT count(*) FROM pipit_quarantine WHERE reason LIKE"
                         " '%more than 200000 SQLite instructions for a window'"),
                     1);
}

static void an_event_without_a_time_fails(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.rules[0].window =
        (struct window_spec){.kind = WINDOW_TUMBLING, .size_ms = MINUTE};
    fixture_open(&fixture->base); // No identity gives it one.
    event_at(fixture, "a", 1, 1);
    step(&fixture->base);
    assert_int_equal(books_of(&fixture->base).rejected, 1);
    assert_int_equal(ask(fixture->base.store, "SELECT count(*) FROM pipit_quarantine WHERE reason "
                                              "LIKE '%by: arrival%'"),
                     1);
}

static uint64_t wanted_value;
static const char *wanted_name;

static void keep_counter(void *context, const char *name, uint64_t value)
{
    (void)context;
    wanted_value = strcmp(name, wanted_name) == 0 ? value : wanted_value;
}

static uint64_t counter(struct window_fixture *fixture, const char *name)
{
    wanted_name = name;
    wanted_value = UINT64_MAX;
    core_counters(fixture->base.core, keep_counter, NULL);
    return wanted_value;
}

static void what_is_too_much_is_left_out(void **state)
{
    struct window_fixture *fixture = *state;
    open_with(fixture,
              &(struct window_spec){.kind = WINDOW_TUMBLING, .size_ms = MINUTE, .rows_max = 2});
    for (int i = 0; i < 5; i++) {
        event_at(fixture, "a", 10 - i, i);
    }
    event_at(fixture, "a", 61, 9);
    step(&fixture->base);
    assert_non_null(
        strstr(fixture->base.outcome.rejection, "key \"x/a\" has more than its 'rows', 2"));
    assert_non_null(strstr(output(fixture), "\"vs\":\"1,0\""));
    assert_int_equal(counter(fixture, "rule/hourly/overflow"), 3);
    assert_int_equal(counter(fixture, "rule/hourly/windows"), 1);
    assert_int_equal(counter(fixture, "rule/hourly/keys"), 1);
}

static void keys_without_windows_make_room(void **state)
{
    struct window_fixture *fixture = *state;
    open_with(fixture,
              &(struct window_spec){.kind = WINDOW_TUMBLING, .size_ms = MINUTE, .keys_max = 32});
    for (int i = 0; i < 300; i++) {
        char device[16];
        snprintf(device, sizeof(device), "d%d", i);
        event_at(fixture, device, i, i);
        step(&fixture->base);
        pass_time(fixture, 1 + (i % 10 == 0 ? MINUTE : 0));
        output(fixture);
    }
    pass_time(fixture, 100 * MINUTE);
    output(fixture);
    assert_true(ask(fixture->base.store, "SELECT count(*) FROM pipit_window_key") <= 64);
    assert_int_equal(books_of(&fixture->base).enqueued, 300);
    for (int i = 0; i < 200; i++) { // All open at once are more than there may be.
        char device[16];
        snprintf(device, sizeof(device), "e%d", i);
        event_at(fixture, device, 200 * 60, i);
    }
    step(&fixture->base);
    assert_true(books_of(&fixture->base).rejected > 100);
}

static void late_events_have_routes(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.routes[1] =
        (struct route_spec){.target = 1, .topic = "late", .format = PAYLOAD_ORIGINAL};
    fixture->base.rules[1] = (struct rule_spec){.name = "hourly/late",
                                                .branch = BRANCH_LATE,
                                                .parent = 0,
                                                .routes = &fixture->base.routes[1],
                                                .route_count = 1};
    fixture->base.spec.rule_count = fixture->base.spec.target_count = 2;
    open_minute(fixture, NULL);
    event_at(fixture, "a", 61, 1);
    event_at(fixture, "a", 1, 2);
    step(&fixture->base);
    assert_int_equal(take(&fixture->base, 1, 10), 1);
    assert_memory_equal(fixture->base.taken[0]->payload.ptr, "{\"at\":1700006401000,\"v\":2}", 26);
    assert_int_equal(counter(fixture, "rule/hourly/late"), 1);
}

static void swap_to(struct window_fixture *fixture, const struct core_spec *spec, const char *note)
{
    assert_ok(core_swap(fixture->base.core, spec, &fixture->base.e), fixture->base.e);
    const struct notes *notes = core_notes(fixture->base.core);
    assert_int_equal(notes->count, note != NULL);
    if (note != NULL) {
        assert_string_equal(notes->texts[0], note);
    }
}

static void a_reload_keeps_windows_of_rules_that_stay(void **state)
{
    struct window_fixture *fixture = *state;
    open_minute(fixture, "SELECT sum(v) AS s FROM \"t/+\"");
    event_at(fixture, "a", 1, 1);
    event_at(fixture, "b", 1, 1);
    step(&fixture->base);
    static struct rule_spec other, third, fourth; // The core borrows them.
    static struct core_spec spec, next, last;
    static struct route_spec route = {.target = 0, .topic = "elsewhere"};
    other = fixture->base.rules[0];
    spec = fixture->base.spec;
    spec.rules = &other;
    other.routes = &route;
    swap_to(fixture, &spec, NULL);
    event_at(fixture, "a", 2, 2);
    event_at(fixture, "a", 60, 4);
    step(&fixture->base);
    assert_non_null(strstr(output(fixture), "{\"s\":3}"));
    third = other;
    third.sql = "SELECT sum(v) AS t FROM \"t/+\"";
    next = spec;
    next.rules = &third;
    swap_to(fixture, &next,
            "rule hourly: 2 open windows of 2 keys were dropped, for its sql has changed");
    event_at(fixture, "a", 61, 5);
    step(&fixture->base);
    last = next;
    fourth = third;
    fourth.window.kind = WINDOW_NONE;
    last.rules = &fourth;
    swap_to(fixture, &last,
            "rule hourly: 1 open window of 1 key was dropped, for there is no such rule with a "
            "window any more");
    assert_int_equal(ask(fixture->base.store, "SELECT count(*) FROM pipit_window_key"), 0);
    assert_int_equal(ask(fixture->base.store, "SELECT count(*) FROM pipit_window_chunk"), 0);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct window_fixture *fixture = *state;
    static const struct {
        const char *sql, *topic, *key, *window_key, *want;
        enum payload_format format;
    } cases[] = {
        {"SELECT topic_part(2) AS d FROM \"t/+\"", "w", NULL, NULL, "topic_part() is of one event",
         0},
        {"SELECT v FROM \"t/+\"", "w/{device}", NULL, NULL, "no column 'device'", 0},
        {"SELECT v FROM \"t/+\"", "w", "device", NULL, "key: the statement gives no column", 0},
        {"SELECT v FROM \"t/+\"", "w", NULL, NULL, "made of many", PAYLOAD_ORIGINAL},
        {"SELECT v FROM \"t/+\"", "w", NULL, "v +", "window: key:", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->base.rules[0].sql = cases[i].sql;
        fixture->base.rules[0].key = cases[i].key;
        fixture->base.rules[0].window.key = cases[i].window_key;
        fixture->base.routes[0].topic = cases[i].topic;
        fixture->base.routes[0].format = cases[i].format;
        assert_int_equal(core_check(&fixture->base.spec, &fixture->base.e), ERR_CONFIG);
        if (strstr(fixture->base.e.text, cases[i].want) == NULL) {
            fail_msg("want %s\nhave %s", cases[i].want, fixture->base.e.text);
        }
    }
    fixture->base.rules[0] = (struct rule_spec){
        .name = "r", .sql = "SELECT v FROM \"t/+\"", .routes = fixture->base.routes};
    fixture_open(&fixture->base);
}

static void a_clock_that_steps_back_closes_nothing_twice(void **state)
{
    struct window_fixture *fixture = *state;
    fixture->base.rules[0].sql = "SELECT group_concat(v) AS vs FROM \"t/+\"";
    open_with(fixture, &(struct window_spec){
                           .kind = WINDOW_TUMBLING, .size_ms = MINUTE, .is_by_arrival = true});
    event_at(fixture, "a", 0, 1);
    step(&fixture->base);
    pass_time(fixture, MINUTE);
    expect(fixture, "x/a {\"vs\":\"1\"} window/x/a/1700006400000-1700006460000:hourly:1\n");
    fixture->base.now_ms -= 120 * MINUTE;
    event_at(fixture, "a", 0, 2); // Goes where nothing is closed yet.
    step(&fixture->base);
    fixture_reopen(&fixture->base);
    tick(fixture);
    expect(fixture, "");
    fixture->base.now_ms = BASE + 2 * MINUTE;
    tick(fixture);
    expect(fixture, "x/a {\"vs\":\"2\"} window/x/a/1700006460000-1700006520000:hourly:1\n");
}

// Rows are wide, and come from the store a chunk at a time.
static void a_large_window_needs_little_memory(void **state)
{
    struct window_fixture *fixture = *state;
    open_minute(fixture,
                "SELECT count(*) AS n, sum(v) AS s, max(length(pad)) AS wide FROM \"t/+\"");
    char text[300];
    for (int i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "{\"at\":%" PRId64 ",\"v\":%d,\"pad\":\"%0200d\"}", BASE + i,
                 i, i);
        add_message(&fixture->base, "t/a", bytes_from_text(text));
        if (fixture->base.count == 1000) {
            step(&fixture->base);
        }
    }
    sqlite3_int64 current, high;
    sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &current, &high, 1);
    sqlite3_int64 before = current;
    pass_time(fixture, 10 * MINUTE);
    sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &current, &high, 0);
    assert_true(high - before < 3000000); // Of 4.2 MB of rows.
    assert_non_null(strstr(output(fixture), "{\"n\":20000,\"s\":199990000,\"wide\":200}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic),
        cmocka_unit_test_setup_teardown(tumbling_by_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_round_that_is_undone_leaves_no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_statement_that_fails_blocks_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sliding_window_runs_not_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sliding_window_that_fails_forgets_its_event, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_event_without_a_time_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_too_much_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_without_windows_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(late_events_have_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_keeps_windows_of_rules_that_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_steps_back_closes_nothing_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_window_needs_little_memory, setup, teardown),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
