// Where events go: branches, rules that feed rules, many routes.
#include "routing_support.h"

static void what_a_rule_does_not_want_goes_to_its_else(void **state)
{
    static const struct made rules[] = {
        {"hot", "SELECT v, json_extract(t, '$') AS t FROM \"a/+\" WHERE v > 3",
         .routes = {TO_BUS("hot/{v}")}},
        {"hot/else", .branch = BRANCH_ELSE, .parent = 0,
         .routes = {{.target = 1, .topic = "cold/{topic}", .format = PAYLOAD_ORIGINAL}}},
    };
    struct fixture *fixture = *state;
    char got[2000];
    use(fixture, rules, 2);
    add_json(fixture, "a/1", "{\"v\":1}");
    add_json(fixture, "a/2", "{\"v\":5}");
    add_json(fixture, "a/3", "{\"v\":5,\"t\":\"{\"}"); // Fails.
    add_json(fixture, "b/4", "{\"v\":1}");
    add_json(fixture, "a/5", "{\"v\":2}");
    step(fixture);
    drain(fixture, 0, got, sizeof(got));
    assert_string_equal(got, "hot:1 hot/5 {\"v\":5,\"t\":null}\n");
    drain(fixture, 1, got, sizeof(got));
    assert_string_equal(got, "hot/else:1 cold/a/1 {\"v\":1}\nhot/else:1 cold/a/5 {\"v\":2}\n");
    struct books b = books_of(fixture);
    assert_int_equal(b.routed, 3);
    assert_int_equal(b.rejected, 1);
    assert_int_equal(b.filtered, 1);
    assert_books_hold(fixture);
}

static const struct made chain[] = {
    // In this order, so that rules run in another one than they are written in.
    {"third", "SELECT w, topic, device FROM \"two/#\"", .routes = {TO_BUS("three/{w}")}},
    {"second", "SELECT w * 10 AS w, device FROM \"one/+/x\" WHERE w <> 4",
     .routes = {TO_RULES("two/{w}"), TO_BUS("copy/{w}")}},
    {"second/else", .branch = BRANCH_ELSE, .parent = 1,
     .routes = {{.target = 0, .topic = "odd/{topic}", .format = PAYLOAD_ORIGINAL}}},
    {"first", "SELECT v + 1 AS w FROM \"a/+\" WHERE v > 0",
     .routes = {TO_BUS("first/{w}"), TO_RULES("one/{w}/x")}},
    {"all", "SELECT topic FROM \"#\"", .routes = {TO_LOG("all")}},
};

static void rules_feed_rules(void **state)
{
    struct fixture *fixture = *state;
    char got[4000];
    use(fixture, chain, 5);
    add_json(fixture, "a/1", "{\"v\":1}");
    add_json(fixture, "a/2", "{\"v\":0}");
    add_json(fixture, "a/3", "{\"v\":3}");
    step(fixture);
    drain(fixture, 0, got, sizeof(got));
    assert_string_equal(got, "first:1 first/2 {\"w\":2}\n"
                             "first:2:second:2 copy/20 {\"w\":20,\"device\":null}\n"
                             "first:2:second:1:third:1 three/20 "
                             "{\"w\":20,\"topic\":\"two/20\",\"device\":null}\n"
                             "first:1 first/4 {\"w\":4}\n"
                             "first:2:second/else:1 odd/one/4/x {\"w\":4}\n");
    drain(fixture, 1, got, sizeof(got));
    assert_string_equal(got, "all:1 all {\"topic\":\"a/1\"}\n"
                             "first:2:all:1 all {\"topic\":\"one/2/x\"}\n"
                             "first:2:second:1:all:1 all {\"topic\":\"two/20\"}\n"
                             "all:1 all {\"topic\":\"a/2\"}\n"
                             "all:1 all {\"topic\":\"a/3\"}\n"
                             "first:2:all:1 all {\"topic\":\"one/4/x\"}\n");
    assert_int_equal(books_of(fixture).received, 3);
    assert_int_equal(books_of(fixture).derived, 3);
    assert_books_hold(fixture);
    fixture_reopen(fixture);
    assert_int_equal(books_of(fixture).derived, 3);
}

// How events are cut into batches makes no difference to what comes out, nor to its order.
static void batches_make_no_difference(void **state)
{
    struct fixture *fixture = *state;
    static char got[4][40000];
    for (int run = 0; run < 2; run++) {
        use(fixture, chain, 5);
        for (int i = 0; i < 60; i++) {
            char topic[20], payload[40];
            snprintf(topic, sizeof(topic), "a/%d", i);
            snprintf(payload, sizeof(payload), "{\"v\":%d}", i * 7 % 11 - 2);
            add_json(fixture, topic, payload);
            if (run == 0) {
                step(fixture);
            }
        }
        step(fixture);
        drain(fixture, 0, got[2 * run], sizeof(got[0]));
        drain(fixture, 1, got[2 * run + 1], sizeof(got[0]));
    }
    assert_string_equal(got[0], got[2]);
    assert_string_equal(got[1], got[3]);
    assert_true(strlen(got[0]) > 3000);
}

static void a_derived_event_is_of_its_device(void **state)
{
    static const struct made rules[] = {
        {"warm", "SELECT celsius, device FROM \"pipit/v1/+/+/event/temperature\"",
         .routes = {TO_RULES("warm/{device}")}},
        {"seen", "SELECT device, device_group, sequence, id, time, celsius FROM \"warm/+\"",
         .routes = {TO_BUS("seen")}},
    };
    struct fixture *fixture = *state;
    use(fixture, rules, 2);
    add_hot(fixture, "d1", 7);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    const struct delivery *delivery = fixture->taken[0];
    assert_string_equal(delivery->idempotency_key, "g/d1/1/7:warm:1:seen:1");
    assert_memory_equal(delivery->key.ptr, "g/d1", 4);
    const char want[] =
        "{\"device\":\"d1\",\"device_group\":\"g\",\"sequence\":null,\"id\":\"g/d1/1/"
        "7:warm:1\",\"time\":null,\"celsius\":60";
    assert_true(delivery->payload.len > strlen(want));
    assert_memory_equal(delivery->payload.ptr, want, strlen(want));
}

static void a_value_with_a_slash_fails_the_row(void **state)
{
    static const struct made rules[] = {
        {"split", "SELECT v FROM \"a/+\"", .routes = {TO_RULES("b/{v}"), TO_BUS("bus")}},
        {"under", "SELECT v FROM \"b/+\"", .routes = {TO_BUS("under")}},
    };
    static const struct {
        const char *why, *payload, *reason;
    } cases[] = {
        {"a slash makes two levels", "{\"v\":\"x/y\"}", "a / in the value of a column"},
        {"an empty level", "{\"v\":\"\"}", "v"},
    };
    struct fixture *fixture = *state;
    use(fixture, rules, 2);
    for (uint64_t i = 0; i < 2; i++) {
        add_json(fixture, "a/1", cases[i].payload);
        step(fixture);
        if (books_of(fixture).rejected != i + 1 || books_of(fixture).enqueued != 0 ||
            strstr(fixture->outcome.rejection, cases[i].reason) == NULL) {
            fail_msg("%s: %s", cases[i].why, fixture->outcome.rejection);
        }
    }
}

// 2000 events that each make 20 are more than a round holds; none is lost, none doubled.
static void many_derived_events_go_in_rounds(void **state)
{
    static const struct made rules[] = {
        {"many", "SELECT value FROM \"a/+\", json_each('[1,2,3,4,5,6,7,8,9,10,11,12]')",
         .routes = {TO_RULES("b/{value}")}},
        {"few", "SELECT value FROM \"b/+\" WHERE value = 12", .routes = {TO_BUS("few")}},
        {"more", "SELECT value FROM \"b/7\"", .routes = {TO_RULES("c/{value}")}},
        {"last", "SELECT value FROM \"c/#\"", .routes = {TO_LOG("last")}},
    };
    struct fixture *fixture = *state;
    use(fixture, rules, 4);
    for (int i = 0; i < 2000; i++) {
        add_json(fixture, "a/1", "{}");
    }
    step(fixture);
    struct books b = books_of(fixture);
    assert_int_equal(b.derived, 2000 * 13);
    assert_int_equal(b.enqueued, 4000);
    assert_int_equal(b.routed, 2000);
    assert_int_equal(b.rule_failures, 0);
    assert_int_equal(
        ask(fixture->store, "SELECT count(DISTINCT idempotency_key) FROM pipit_outbox"), 4000);
}

static void one_event_that_makes_too_many_is_rejected(void **state)
{
    static const struct made rules[] = {
        {"many",
         "SELECT value FROM \"a/+\", "
         "json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
         "21,22,23,24,25,26,27,28,29,30]')",
         .routes = {TO_RULES("b/{value}")}},
        {"more",
         "SELECT value FROM \"b/+\", "
         "json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
         "21,22,23,24,25,26,27,28,29,30]')",
         .routes = {TO_RULES("c/{value}")}},
        {"most",
         "SELECT value FROM \"c/+\", "
         "json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,"
         "21,22,23,24,25,26,27,28,29,30]')",
         .routes = {TO_RULES("d/{value}")}},
        {"plain", "SELECT 1 AS one FROM \"p/+\"", .routes = {TO_BUS("plain")}},
    };
    struct fixture *fixture = *state;
    use(fixture, rules, 4);
    add_json(fixture, "p/1", "{}");
    add_json(fixture, "a/1", "{}");
    add_json(fixture, "p/2", "{}");
    step(fixture);
    struct books b = books_of(fixture);
    assert_int_equal(b.rejected, 1);
    assert_int_equal(b.derived, 0);
    assert_int_equal(b.enqueued, 2);
    assert_non_null(strstr(fixture->outcome.rejection, "8192 events"));
    assert_books_hold(fixture);
}

static void circles_are_refused(void **state)
{
    static const struct {
        const char *why;
        uint32_t count;
        struct made rules[10];
        const char *want; // NULL: fine.
    } cases[] = {
        {"a rule may not feed itself",
         1,
         {{"a", "SELECT v FROM \"x/#\"", .routes = {TO_RULES("x/{v}")}}},
         "rule \"a\": route 1: topic: rules feed each other in a circle: a -> a"},
        {"round by two others",
         4,
         {{"free", "SELECT v FROM \"free/+\"", .routes = {TO_BUS("b")}},
          {"a", "SELECT v FROM \"x/+\"", .routes = {TO_BUS("b"), TO_RULES("y/{v}")}},
          {"b", "SELECT v FROM \"y/+\"", .routes = {TO_RULES("z/{v}/end")}},
          {"c", "SELECT v FROM \"+/#\"", .routes = {TO_RULES("x/{v}")}}},
         "circle: a -> c -> a"},
        {"a path of three",
         3,
         {{"a", "SELECT v FROM \"x/+\"", .routes = {TO_BUS("b"), TO_RULES("y/{v}")}},
          {"b", "SELECT v FROM \"y/+\"", .routes = {TO_RULES("z/{v}/end")}},
          {"c", "SELECT v FROM \"z/#\"", .routes = {TO_RULES("x/{v}")}}},
         "rule \"a\": route 2: topic: rules feed each other in a circle: a -> b -> c -> a"},
        {"a branch is a part of its rule",
         2,
         {{"a", "SELECT v FROM \"x/+\"", .routes = {TO_BUS("b")}},
          {"a/else", .branch = BRANCH_ELSE, .parent = 0, .routes = {TO_RULES("x/{topic}")}}},
         "rule \"a/else\": route 1: topic: rules feed each other in a circle: a -> a"},
        {"another level is another topic",
         1,
         {{"a", "SELECT v FROM \"x/+\"", .routes = {TO_RULES("x/{v}/y")}}},
         NULL},
        {"a column is a part of a level",
         1,
         {{"a", "SELECT v FROM \"x/y-1\"", .routes = {TO_RULES("x/y-{v}")}}},
         "a -> a"},
        {"the end of a level counts",
         1,
         {{"a", "SELECT v FROM \"x/y\"", .routes = {TO_RULES("x/y/{v}")}}},
         NULL},
        {"# includes its parent",
         1,
         {{"a", "SELECT v FROM \"x/#\"", .routes = {TO_RULES("x")}}},
         "a -> a"},
        {"eight in a row",
         8,
         {{"r1", "SELECT v FROM \"t1\"", .routes = {TO_RULES("t2")}},
          {"r2", "SELECT v FROM \"t2/#\"", .routes = {TO_RULES("t3")}},
          {"r3", "SELECT v FROM \"t3/#\"", .routes = {TO_RULES("t4")}},
          {"r4", "SELECT v FROM \"t4/#\"", .routes = {TO_RULES("t5")}},
          {"r5", "SELECT v FROM \"t5/#\"", .routes = {TO_RULES("t6")}},
          {"r6", "SELECT v FROM \"t6/#\"", .routes = {TO_RULES("t7")}},
          {"r7", "SELECT v FROM \"t7/#\"", .routes = {TO_RULES("t8")}},
          {"r8", "SELECT v FROM \"t8/#\"", .routes = {TO_BUS("b")}}},
         NULL},
        {"nine in a row",
         9,
         {{"r1", "SELECT v FROM \"t1/#\"", .routes = {TO_RULES("t2")}},
          {"r2", "SELECT v FROM \"t2/#\"", .routes = {TO_RULES("t3")}},
          {"r3", "SELECT v FROM \"t3/#\"", .routes = {TO_RULES("t4")}},
          {"r4", "SELECT v FROM \"t4/#\"", .routes = {TO_RULES("t5")}},
          {"r5", "SELECT v FROM \"t5/#\"", .routes = {TO_RULES("t6")}},
          {"r6", "SELECT v FROM \"t6/#\"", .routes = {TO_RULES("t7")}},
          {"r7", "SELECT v FROM \"t7/#\"", .routes = {TO_RULES("t8")}},
          {"r8", "SELECT v FROM \"t8/#\"", .routes = {TO_RULES("t9")}},
          {"r9", "SELECT v FROM \"t9/#\"", .routes = {TO_BUS("b")}}},
         "a chain of more than 8"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct core_spec spec = fixture->spec;
        struct error e = {0};
        fill(&spec, cases[i].rules, cases[i].count);
        enum err rc = core_check(&spec, &e);
        bool is_right = cases[i].want == NULL
                            ? rc == ERR_OK || strstr(e.text, "no such table: t1") != NULL
                            : rc == ERR_CONFIG && strstr(e.text, cases[i].want) != NULL;
        if (!is_right) {
            fail_msg("%s: %s", cases[i].why, rc == ERR_OK ? "it is taken" : e.text);
        }
    }
}

// One row to each of 64 routes, by turns to two targets: none is lost, each has a key of its own.
static void a_rule_fans_out(void **state)
{
    static struct route_spec many[64];
    static struct rule_spec rule;
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 64; i++) {
        many[i] = (struct route_spec){.target = i % 2, .topic = "out/{v}"};
    }
    fixture_close(fixture);
    rule = (struct rule_spec){
        .name = "many", .sql = "SELECT v FROM \"t/+\"", .routes = many, .route_count = 64};
    fixture->spec.rules = &rule;
    fixture->spec.rule_count = 1;
    fixture->spec.target_count = 2;
    fixture_open(fixture);
    for (int i = 0; i < 10; i++) {
        add_value(fixture, "t/1", i);
    }
    step(fixture);
    assert_int_equal(
        ask(fixture->store, "SELECT count(DISTINCT idempotency_key) FROM pipit_outbox"), 640);
    for (uint32_t target = 0; target < 2; target++) {
        for (uint32_t i = 0; i < 10 * 32; i++) {
            char want[40];
            snprintf(want, sizeof(want), ":many:%u", i % 32 * 2 + target + 1);
            assert_int_equal(take(fixture, target, 10), 1); // One of a key at a time.
            const char *key = fixture->taken[0]->idempotency_key;
            assert_string_equal(strchr(key, ':'), want);
            snprintf(want, sizeof(want), "out/%u", i / 32);
            assert_true(has_topic(fixture->taken[0], want));
            done(fixture, 1);
        }
    }
    assert_books_hold(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_rule_does_not_want_goes_to_its_else),
        TEST(rules_feed_rules),
        TEST(batches_make_no_difference),
        TEST(a_derived_event_is_of_its_device),
        TEST(a_value_with_a_slash_fails_the_row),
        TEST(many_derived_events_go_in_rounds),
        TEST(one_event_that_makes_too_many_is_rejected),
        TEST(circles_are_refused),
        TEST(a_rule_fans_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
