// What routes can be told: classes, samples, rates, limits of keys; and keys by turns.
#include "routing_support.h"

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

// What a replay has made was sampled when it was made; it is not sampled twice.
static void a_replay_is_not_sampled_again(void **state)
{
    struct made *rule = one_rule("some", "{topic}/{v}");
    rule->routes[0].sample = 3;
    rule->routes[0].rate = (struct rate_spec){.count = 1, .per_ms = 3600000};
    struct fixture *fixture = *state;
    use(fixture, rule, 1);
    struct replayed deliveries[5];
    for (int i = 0; i < 5; i++) {
        deliveries[i] =
            (struct replayed){.target = "bus",
                              .route = 1,
                              .delivery = {.idempotency_key = "replay/1/a/d1/0/1:some:1",
                                           .rule = "some",
                                           .content_type = "application/json",
                                           .topic = bytes_from_text("t"),
                                           .payload = bytes_from_text("{}")}};
    }
    struct replay_chunk chunk = {.rule = "some", .what = "{}", .token = "token"};
    fixture->inputs[fixture->count++] = (struct input){
        .kind = INPUT_OPERATION, .operation = {.kind = OPERATION_REPLAY_BEGIN, .chunk = &chunk}};
    step(fixture);
    chunk = (struct replay_chunk){
        .replay = 1, .number = 1, .deliveries = deliveries, .count = 5, .is_last = true};
    fixture->inputs[fixture->count++] = (struct input){
        .kind = INPUT_OPERATION, .operation = {.kind = OPERATION_REPLAY_CHUNK, .chunk = &chunk}};
    step(fixture);
    assert_int_equal(books_of(fixture).waiting, 5);
    assert_int_equal(books_of(fixture).dropped, 0);
    add_value(fixture, "t/1", 1); // Its sample and rate begin with it.
    add_value(fixture, "t/1", 2);
    step(fixture);
    assert_int_equal(books_of(fixture).waiting, 6);
    assert_int_equal(books_of(fixture).dropped, 1);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_higher_class_goes_first),
        TEST(ids_of_a_class_are_its_own),
        TEST(rates_hold),
        TEST(what_waits_for_its_rate_keeps_its_order),
        TEST(a_clock_that_steps_back_frees_the_rate),
        TEST(a_batch_that_is_sent_back_has_used_nothing),
        TEST(a_sample_is_the_first_of_each_key),
        TEST(a_replay_is_not_sampled_again),
        TEST(a_key_fills_its_own_share_only),
        TEST(a_new_limit_of_keys_counts_what_waits),
        TEST(a_noisy_device_is_one_of_many),
        TEST(without_keys_the_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
