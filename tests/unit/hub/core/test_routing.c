// Where events go: branches, rules that feed rules, classes, samples, rates, limits of keys, turns.
#include "core_support.h"

#define ROUTES_OF_RULE 3

// A rule as the cases below write it.
struct made {
    const char *name, *sql;
    enum branch branch;
    uint32_t parent;
    struct route_spec routes[ROUTES_OF_RULE];
};

#define TO_BUS(t)                                                                                  \
    {                                                                                              \
        .target = 0, .topic = t                                                                    \
    }
#define TO_LOG(t)                                                                                  \
    {                                                                                              \
        .target = 1, .topic = t                                                                    \
    }
#define TO_RULES(t)                                                                                \
    {                                                                                              \
        .target = ROUTE_TO_RULES, .topic = t                                                       \
    }

static struct rule_spec rule_specs[24];

static void fill(struct core_spec *spec, const struct made *rules, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t routes = 0;
        while (routes < ROUTES_OF_RULE && rules[i].routes[routes].topic != NULL) {
            routes++;
        }
        rule_specs[i] = (struct rule_spec){.name = rules[i].name,
                                           .sql = rules[i].sql,
                                           .branch = rules[i].branch,
                                           .parent = rules[i].parent,
                                           .routes = rules[i].routes,
                                           .route_count = routes};
    }
    spec->rules = rule_specs;
    spec->rule_count = count;
    spec->target_count = 2;
}

// key: of all rules; NULL: as it comes.
static void use_key(struct fixture *fixture, const struct made *rules, uint32_t count,
                    const char *key)
{
    fixture_close(fixture);
    fill(&fixture->spec, rules, count);
    for (uint32_t i = 0; i < count; i++) {
        rule_specs[i].key = key;
    }
    fixture_open(fixture);
}

static void use(struct fixture *fixture, const struct made *rules, uint32_t count)
{
    use_key(fixture, rules, count, NULL);
}

// A rule that passes everything on; its route is to be changed before it is used.
static struct made *one_rule(const char *name, const char *topic)
{
    static struct made rule;
    rule = (struct made){name, "SELECT v FROM \"t/+\"", .routes = {TO_BUS(topic)}};
    return &rule;
}

static void add_json(struct fixture *fixture, const char *topic, const char *payload)
{
    add_message(fixture, topic, bytes_from_text(payload))->content_type =
        bytes_from_text("application/json");
}

static void done(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
    }
    step(fixture);
}

// Everything that a target gets, one line each: "<idempotency key without the store's part> <topic>
// <payload>".
static void drain(struct fixture *fixture, uint32_t target, char *out, size_t size)
{
    size_t len = 0;
    uint32_t count;
    out[0] = '\0';
    while ((count = take(fixture, target, 1)) > 0) {
        const struct delivery *delivery = fixture->taken[0];
        const char *key = strchr(delivery->idempotency_key, ':');
        len += (size_t)snprintf(out + len, size - len, "%s %.*s %.*s\n", key + 1,
                                (int)delivery->topic.len, (const char *)delivery->topic.ptr,
                                (int)delivery->payload.len, (const char *)delivery->payload.ptr);
        assert_true(len < size);
        done(fixture, count);
    }
}

static void assert_books_hold(const struct fixture *fixture)
{
    struct books b = books_of(fixture);
    assert_int_equal(b.received, b.routed + b.filtered + b.duplicate + b.rejected);
    assert_int_equal(b.enqueued, b.delivered + b.waiting + b.dead + b.dropped);
}

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

static const struct made classes[] = {
    {"telemetry", "SELECT v, s FROM \"t/+\"", .routes = {TO_BUS("t/{v}")}},
    {"alarm", "SELECT v, s FROM \"h/+\"",
     .routes = {{.target = 0, .topic = "h/{v}", .priority = PRIORITY_HIGH}}},
    {"spare", "SELECT v, s FROM \"l/+\"",
     .routes = {{.target = 0, .topic = "l/{v}", .priority = PRIORITY_LOW}}},
};

static void add_value(struct fixture *fixture, const char *topic, int value)
{
    char payload[40];
    snprintf(payload, sizeof(payload), "{\"v\":%d}", value);
    add_json(fixture, topic, payload);
}

static bool has_topic(const struct delivery *delivery, const char *topic)
{
    return bytes_equal(delivery->topic, bytes_from_text(topic));
}

// An alarm overtakes telemetry of which most is in the store only; after a restart, too.
static void a_higher_class_goes_first(void **state)
{
    struct fixture *fixture = *state;
    const int rows = 9000;
    use(fixture, classes, 3);
    add_value(fixture, "l/1", 1);
    for (int i = 0; i < rows; i++) {
        char topic[20];
        snprintf(topic, sizeof(topic), "t/%d", i % 300);
        add_value(fixture, topic, i);
        if (i % 3000 == 0) {
            step(fixture);
        }
    }
    step(fixture);
    for (int round = 0; round < 2; round++) {
        add_value(fixture, "h/1", 2 * round);
        add_value(fixture, "h/1", 2 * round + 1);
        step(fixture);
        if (round == 1) {
            fixture_reopen(fixture);
        }
        for (int i = 0; i < 2; i++) { // One key: one after the other, then the lower class.
            char want[20];
            snprintf(want, sizeof(want), "h/%d", 2 * round + i);
            assert_int_equal(take(fixture, 0, 1), 1);
            assert_true(has_topic(fixture->taken[0], want));
            done(fixture, 1);
        }
    }
    int seen = 0;
    uint32_t count;
    while ((count = take(fixture, 0, 200)) > 0) {
        for (uint32_t i = 0; i < count; i++, seen++) {
            assert_int_equal(has_topic(fixture->taken[i], "l/1"), seen == rows);
        }
        done(fixture, count);
    }
    assert_int_equal(seen, rows + 1);
    assert_books_hold(fixture);
}

// Rows of a store from before there were classes are in the range of the normal one.
static void ids_of_a_class_are_its_own(void **state)
{
    struct fixture *fixture = *state;
    use(fixture, classes, 3);
    add_value(fixture, "t/1", 1);
    add_value(fixture, "h/1", 1);
    add_value(fixture, "l/1", 1);
    step(fixture);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_outbox JOIN pipit_target t"
                                         " WHERE pipit_outbox.id IN (t.id * 100000000000000 + 1,"
                                         " t.id * 100000000000000 + 25000000000001,"
                                         " t.id * 100000000000000 + 50000000000001)"),
                     3);
    assert_int_equal(take(fixture, 0, 10), 3);
    done(fixture, 3);
    assert_books_hold(fixture);
}

// How many of the events, each so much after the one before, go out at which time.
static void rates_hold(void **state)
{
    static const struct {
        const char *why;
        struct rate_spec rate;
        int events, keys;
        int64_t each_ms;
        int want; // Enqueued and not dropped.
    } cases[] = {
        {"a burst of as many", {.count = 5, .per_ms = 1000}, 20, 1, 0, 5},
        {"what is within it goes", {.count = 10, .per_ms = 1000}, 100, 1, 100, 100},
        {"twice as much is halved", {.count = 10, .per_ms = 1000}, 200, 1, 50, 109},
        {"of each key", {.count = 5, .per_ms = 1000, .is_per_key = true}, 80, 4, 0, 20},
        {"a rate of a slow kind", {.count = 1, .per_ms = 3600000}, 10, 1, 600000, 2},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static char name[20];
        snprintf(name, sizeof(name), "rate%zu", i); // Routes are known by their rule.
        struct made *rule = one_rule(name, "t");
        rule->routes[0].rate = cases[i].rate;
        use(fixture, rule, 1);
        struct books before = books_of(fixture);
        for (int n = 0; n < cases[i].events; n++) {
            char topic[20];
            snprintf(topic, sizeof(topic), "t/%d", n % cases[i].keys);
            add_value(fixture, topic, n);
            step(fixture);
            fixture->now_ms += cases[i].each_ms;
            if (n == cases[i].events / 2) {
                fixture_reopen(fixture); // The bucket is in the store.
            }
        }
        struct books after = books_of(fixture);
        int went = (int)(after.waiting - before.waiting);
        if (went != cases[i].want ||
            after.dropped - before.dropped + (uint64_t)went != (uint64_t)cases[i].events) {
            fail_msg("%s: %d went", cases[i].why, went);
        }
        assert_books_hold(fixture);
    }
}

static void what_waits_for_its_rate_keeps_its_order(void **state)
{
    struct made *rule = one_rule("slow", "t/{v}");
    rule->routes[0].rate = (struct rate_spec){.count = 2, .per_ms = 1000, .is_waiting = true};
    struct fixture *fixture = *state;
    use(fixture, rule, 1);
    int64_t start_ms = fixture->now_ms;
    for (int i = 0; i < 8; i++) {
        add_value(fixture, i % 2 == 0 ? "t/1" : "t/2", i);
    }
    step(fixture);
    int next = 0;
    while (next < 8) {
        while (take(fixture, 0, 1) == 1) {
            char want[20];
            snprintf(want, sizeof(want), "t/%d", next++);
            assert_true(has_topic(fixture->taken[0], want));
            done(fixture, 1);
        }
        int64_t due_ms = core_next_due_ms(fixture->core);
        assert_true(next == 8 || (due_ms > fixture->now_ms && due_ms <= fixture->now_ms + 500));
        fixture->now_ms = next == 8 ? fixture->now_ms : due_ms;
        if (next == 4) {
            fixture_reopen(fixture);
        }
    }
    assert_int_equal(fixture->now_ms, start_ms + 3000); // Two at once, six at two a second.
}

static void a_clock_that_steps_back_frees_the_rate(void **state)
{
    struct made *rule = one_rule("slow", "t/{v}");
    rule->routes[0].rate = (struct rate_spec){.count = 1, .per_ms = 1000, .is_waiting = true};
    struct fixture *fixture = *state;
    use(fixture, rule, 1);
    for (int i = 0; i < 3; i++) {
        add_value(fixture, "t/1", i);
    }
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    done(fixture, 1);
    fixture->now_ms -= 7200000;
    assert_int_equal(take(fixture, 0, 10), 0);
    add_value(fixture, "t/1", 3);
    step(fixture);
    for (int i = 0; i < 3; i++) {
        fixture->now_ms += 1000;
        assert_int_equal(take(fixture, 0, 10), 1);
        done(fixture, 1);
        assert_int_equal(take(fixture, 0, 10), 0);
    }
    assert_int_equal(books_of(fixture).waiting, 0);
}

static void a_batch_that_is_sent_back_has_used_nothing(void **state)
{
    static struct made rules[] = {
        {"few", "SELECT v FROM \"t/+\"", .routes = {TO_BUS("t/{v}")}},
        {"held", "SELECT v, v AS b FROM \"t/+\"", .routes = {TO_LOG("t/{v}")}},
    };
    rules[0].routes[0].rate = (struct rate_spec){.count = 2, .per_ms = 3600000};
    rules[1].routes[0].limit_bytes = 100;
    struct fixture *fixture = *state;
    use(fixture, rules, 2);
    add_value(fixture, "t/1", 1);
    step(fixture);
    add_value(fixture, "t/1", 2);
    assert_int_equal(try_step(fixture), ERR_FULL);
    assert_int_equal(try_step(fixture), ERR_FULL);
    struct input kept = fixture->inputs[0];
    fixture->count = 0;
    assert_int_equal(take(fixture, 1, 1), 1);
    done(fixture, 1);
    fixture->inputs[0] = kept;
    fixture->count = 1;
    step(fixture);
    assert_int_equal(books_of(fixture).dropped, 0); // The second of two.
}

static void a_sample_is_the_first_of_each_key(void **state)
{
    struct made *rule = one_rule("some", "{topic}/{v}");
    rule->routes[0].sample = 3;
    struct fixture *fixture = *state;
    char got[2000];
    use(fixture, rule, 1);
    for (int i = 0; i < 12; i++) {
        add_value(fixture, i % 2 == 0 ? "t/1" : "t/2", i);
        if (i == 5) {
            step(fixture);
            fixture_reopen(fixture);
        }
    }
    step(fixture);
    drain(fixture, 0, got, sizeof(got));
    assert_string_equal(got, "some:1 t/1/0 {\"v\":0}\nsome:1 t/2/1 {\"v\":1}\n"
                             "some:1 t/1/6 {\"v\":6}\nsome:1 t/2/7 {\"v\":7}\n");
    assert_int_equal(books_of(fixture).dropped, 8);
    assert_int_equal(ask(fixture->store, "SELECT unsampled FROM pipit_route WHERE rule = 'some'"),
                     8);
    assert_books_hold(fixture);
}

static void a_key_fills_its_own_share_only(void **state)
{
    static const struct {
        const char *why;
        enum overflow overflow;
        const char *first; // Of the noisy key that is left.
    } cases[] = {
        {"the newest go", OVERFLOW_DROP_NEW, "t/0"},
        {"the oldest go", OVERFLOW_DROP_OLD, "t/296"},
    };
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) {
        static char name[20];
        snprintf(name, sizeof(name), "share%d", i);
        struct made *rule = one_rule(name, "t/{v}");
        rule->routes[0].overflow = cases[i].overflow;
        rule->routes[0].key_limit_bytes = 250; // Four of them.
        use(fixture, rule, 1);
        for (int n = 0; n < 300; n++) {
            add_value(fixture, "t/noisy", n);
            if (n % 100 == 50) {
                step(fixture);
            }
        }
        add_value(fixture, "t/quiet", 1000);
        step(fixture);
        assert_int_equal(books_of(fixture).waiting, 5);
        fixture_reopen(fixture);
        assert_int_equal(take(fixture, 0, 10), 2);
        if (!has_topic(fixture->taken[0], cases[i].first)) {
            fail_msg("%s", cases[i].why);
        }
        done(fixture, 2);
        add_value(fixture, "t/noisy", 1); // There is room for one again.
        step(fixture);
        uint32_t count;
        while ((count = take(fixture, 0, 10)) > 0) {
            done(fixture, count);
        }
        assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_route_waiting"), 0);
        assert_books_hold(fixture);
    }
    assert_int_equal(ask(fixture->store, "SELECT sum(over_key) FROM pipit_route"), 2 * 296);
}

// A limit of keys that comes with a reload knows what waits already.
static void a_new_limit_of_keys_counts_what_waits(void **state)
{
    struct made *rule = one_rule("later", "t/{v}");
    struct fixture *fixture = *state;
    use(fixture, rule, 1);
    for (int n = 0; n < 10; n++) {
        add_value(fixture, "t/noisy", n);
    }
    step(fixture);
    struct route_spec limited = rule->routes[0];
    limited.overflow = OVERFLOW_DROP_NEW;
    limited.key_limit_bytes = 250;
    struct rule_spec changed = rule_specs[0];
    changed.routes = &limited;
    struct core_spec spec = fixture->spec;
    spec.rules = &changed;
    struct error e;
    assert_ok(core_swap(fixture->core, &spec, &e), e);
    add_value(fixture, "t/noisy", 11);
    step(fixture);
    assert_int_equal(books_of(fixture).waiting, 10);
    assert_int_equal(books_of(fixture).dropped, 1);
    assert_ok(core_swap(fixture->core, &fixture->spec, &e), e);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_route_waiting"), 0);
}

// A slow target takes one at a time. One device has a thousand times as much as fifty others.
// Returns how many go before the last one of the others.
static int wait_of_others(struct fixture *fixture, bool is_by_device)
{
    static char name[20];
    static int number;
    snprintf(name, sizeof(name), "fair%d", number++);
    struct made *rule = one_rule(name, "{topic}");
    use_key(fixture, rule, 1, is_by_device ? NULL : "qos"); // The same for all.
    for (int i = 0; i < 10000; i++) {
        add_value(fixture, "t/noisy", i);
        if (i % 2000 == 1999) {
            step(fixture);
        }
    }
    for (int i = 0; i < 50; i++) {
        char topic[20];
        snprintf(topic, sizeof(topic), "t/%d", i);
        add_value(fixture, topic, i);
    }
    step(fixture);
    int went = 0, others = 0;
    while (others < 50) {
        assert_int_equal(take(fixture, 0, 1), 1);
        others += !has_topic(fixture->taken[0], "t/noisy");
        went++;
        done(fixture, 1);
    }
    return went;
}

static void a_noisy_device_is_one_of_many(void **state)
{
    struct fixture *fixture = *state;
    assert_true(wait_of_others(fixture, true) <= 52);
}

// The control: where all are of one key nothing overtakes.
static void without_keys_the_others_wait(void **state)
{
    struct fixture *fixture = *state;
    assert_true(wait_of_others(fixture, false) == 10050);
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

// A model that knows only the promises: each key's rows of a class come out in their order, each
// at least once, whatever fails, however many wait, whenever the hub starts again.
#define MODEL_KEYS 40

struct model {
    uint64_t random;
    int next[PRIORITY_COUNT][MODEL_KEYS]; // To be sent.
    int seen[PRIORITY_COUNT][MODEL_KEYS]; // Received in order up to here.
    struct {
        uint64_t id;
        uint32_t class, key;
        int number;
    } flights[600];
    uint32_t flight_count;
    int64_t sent, settled;
};

static uint32_t below(struct model *model, uint32_t bound)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(model->random >> 33) % bound;
}

static void model_send(struct fixture *fixture, struct model *model, uint32_t count)
{
    static const char *const names[] = {"t", "h", "l"}; // In the order of enum priority.
    for (uint32_t i = 0; i < count; i++) {
        uint32_t class = below(model, 10) < 8 ? 0 : 1 + below(model, 2);
        uint32_t key = below(model, 2) == 0 ? 0 : below(model, 1 + below(model, MODEL_KEYS));
        char topic[20];
        snprintf(topic, sizeof(topic), "%s/%u", names[class], key);
        add_value(fixture, topic, model->next[class][key]++);
        model->sent++;
    }
    step(fixture);
}

static void model_take(struct fixture *fixture, struct model *model)
{
    uint32_t room = 600 - model->flight_count;
    uint32_t count = take(fixture, 0, 1 + below(model, 300) % (room == 0 ? 1 : room));
    for (uint32_t i = 0; room > 0 && i < count; i++) {
        const struct delivery *delivery = fixture->taken[i];
        char class;
        uint32_t key;
        int number;
        assert_int_equal(sscanf((const char *)delivery->key.ptr, "%c/%u", &class, &key), 2);
        assert_int_equal(sscanf((const char *)delivery->topic.ptr, "%*c/%d", &number), 1);
        uint32_t rank = class == 't' ? 0 : class == 'h' ? 1 : 2;
        if (number > model->seen[rank][key]) {
            fail_msg("%c/%u: %d came, %d is next", class, key, number, model->seen[rank][key]);
        }
        model->flights[model->flight_count].id = delivery->id;
        model->flights[model->flight_count].class = rank;
        model->flights[model->flight_count].key = key;
        model->flights[model->flight_count++].number = number;
    }
}

static void model_answer(struct fixture *fixture, struct model *model, bool is_healing)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < model->flight_count; i++) {
        uint32_t dice = is_healing ? 50 : below(model, 100);
        if (dice >= 80 && fixture->count < 4000) {
            model->flights[kept++] = model->flights[i]; // Later.
            continue;
        }
        enum verdict verdict = dice < 5    ? VERDICT_RETRY
                               : dice < 10 ? VERDICT_NOT_SENT
                               : dice < 11 ? VERDICT_REJECT
                                           : VERDICT_DONE;
        add_settlement(fixture, model->flights[i].id, verdict);
        if (verdict == VERDICT_DONE || verdict == VERDICT_REJECT) {
            int *seen = &model->seen[model->flights[i].class][model->flights[i].key];
            assert_int_equal(*seen, model->flights[i].number);
            *seen = *seen + 1;
            model->settled++;
        }
    }
    model->flight_count = kept;
    if (fixture->count > 0) {
        step(fixture);
    }
}

static void model_run(struct fixture *fixture, uint64_t seed)
{
    static struct model model;
    memset(&model, 0, sizeof(model));
    model.random = seed;
    for (int round = 0; round < 120; round++) {
        if (below(&model, 100) < 35) {
            model_send(fixture, &model, below(&model, 600));
        }
        if (below(&model, 100) < 60) {
            model_take(fixture, &model);
        }
        model_answer(fixture, &model, false);
        fixture->now_ms += below(&model, 3000);
        if (below(&model, 100) < 5) {
            model.flight_count = 0; // As if they had never been sent.
            fixture_reopen(fixture);
        }
    }
    for (int round = 0; round < 20000 && model.settled < model.sent; round++) {
        model_take(fixture, &model);
        model_answer(fixture, &model, true);
        fixture->now_ms += 1000;
    }
    if (model.settled != model.sent || books_of(fixture).waiting != 0) {
        fail_msg("seed %d: %d of %d came out", (int)seed, (int)model.settled, (int)model.sent);
    }
    assert_books_hold(fixture);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_outbox"), 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_route_waiting"), 0);
}

static void each_key_keeps_its_order_whatever_happens(void **state)
{
    struct fixture *fixture = *state;
    static struct made rules[3];
    memcpy(rules, classes, sizeof(rules));
    for (int i = 0; i < 3; i++) {
        rules[i].routes[0].key_limit_bytes = 1 << 30; // Is counted, and never reached.
        rules[i].routes[0].overflow = OVERFLOW_DROP_NEW;
    }
    fixture->targets[0].attempts_max = 1000;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        use(fixture, rules, 3);
        model_run(fixture, seed);
    }
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
        TEST(a_higher_class_goes_first),
        TEST(ids_of_a_class_are_its_own),
        TEST(rates_hold),
        TEST(what_waits_for_its_rate_keeps_its_order),
        TEST(a_clock_that_steps_back_frees_the_rate),
        TEST(a_batch_that_is_sent_back_has_used_nothing),
        TEST(a_sample_is_the_first_of_each_key),
        TEST(a_key_fills_its_own_share_only),
        TEST(a_new_limit_of_keys_counts_what_waits),
        TEST(a_noisy_device_is_one_of_many),
        TEST(without_keys_the_others_wait),
        TEST(a_rule_fans_out),
        TEST(each_key_keeps_its_order_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
