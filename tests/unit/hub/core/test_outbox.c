// The outbox through the core: order of each key, attempts, dead letters, bounds of routes.
#include "core_support.h"

static const char *key_of(const struct fixture *fixture, uint32_t index)
{
    return fixture->taken[index]->idempotency_key;
}

static void one_of_a_key_at_a_time_in_order(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d1", 2);
    add_hot(fixture, "d2", 1);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 2);
    assert_string_equal(key_of(fixture, 0), "g/d1/1/1:hot:1");
    assert_string_equal(key_of(fixture, 1), "g/d2/1/1:hot:1");
    uint64_t first = fixture->taken[0]->id;
    assert_int_equal(take(fixture, 0, 10), 0);
    add_settlement(fixture, first, VERDICT_DONE);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    assert_string_equal(key_of(fixture, 0), "g/d1/1/2:hot:1");
}

static void a_retry_keeps_the_order_of_its_key(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d1", 2);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_RETRY);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 0);
    int64_t due = core_next_due_ms(fixture->core);
    assert_true(due >= fixture->now_ms + 500 && due <= fixture->now_ms + 1000);
    fixture->now_ms = due - 1;
    assert_int_equal(take(fixture, 0, 10), 0);
    fixture->now_ms = due;
    assert_int_equal(take(fixture, 0, 10), 1);
    assert_string_equal(key_of(fixture, 0), "g/d1/1/1:hot:1");
    assert_int_equal(fixture->taken[0]->attempts, 1);
    assert_true(core_next_due_ms(fixture->core) == INT64_MAX);
}

static void a_backoff_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    step(fixture);
    take(fixture, 0, 10);
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_RETRY);
    step(fixture);
    int64_t due = core_next_due_ms(fixture->core);
    fixture_reopen(fixture);
    assert_int_equal(take(fixture, 0, 10), 0);
    assert_true(core_next_due_ms(fixture->core) == due);
}

static void a_clock_that_steps_back_keeps_nobody_waiting(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    step(fixture);
    take(fixture, 0, 10);
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_RETRY);
    step(fixture);
    fixture->now_ms -= 1000000000;
    assert_int_equal(take(fixture, 0, 10), 0);
    assert_true(core_next_due_ms(fixture->core) <= fixture->now_ms + 8000);
}

static void not_sent_is_no_attempt_and_keeps_its_place(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d2", 1);
    step(fixture);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(take(fixture, 0, 10), 2);
        assert_string_equal(key_of(fixture, 0), "g/d1/1/1:hot:1");
        assert_int_equal(fixture->taken[0]->attempts, 0);
        uint64_t ids[] = {fixture->taken[0]->id, fixture->taken[1]->id};
        add_settlement(fixture, ids[1], VERDICT_NOT_SENT);
        add_settlement(fixture, ids[0], VERDICT_NOT_SENT);
        step(fixture);
    }
}

static void give_up(struct fixture *fixture, enum verdict verdict, int attempts)
{
    for (int i = 0; i < attempts; i++) {
        fixture->now_ms += 100000;
        assert_int_equal(take(fixture, 0, 1), 1);
        add_settlement(fixture, fixture->taken[0]->id, verdict);
        step(fixture);
    }
}

static void hopeless_ones_die_and_the_next_goes_on(void **state)
{
    static const struct {
        const char *why;
        enum verdict verdict;
        int attempts;
    } cases[] = {
        {"the target will never take it", VERDICT_REJECT, 1},
        {"all attempts were made", VERDICT_RETRY, 3},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t sequence = 2 * i + 1;
        add_hot(fixture, "d1", sequence);
        add_hot(fixture, "d1", sequence + 1);
        step(fixture);
        give_up(fixture, cases[i].verdict, cases[i].attempts);
        if (books_of(fixture).dead != i + 1 || take(fixture, 0, 10) != 1) {
            fail_msg("%s", cases[i].why);
        }
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
    }
    assert_int_equal(books_of(fixture).waiting, 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_dead WHERE target = 'bus' AND "
                                         "rule = 'hot' AND reason = 'the target said no'"),
                     2);
}

static void a_replayed_dead_letter_is_the_same_delivery(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d1", 2);
    step(fixture);
    give_up(fixture, VERDICT_REJECT, 1);
    operate(fixture, OPERATION_DEAD_REPLAY, 0, UINT64_MAX);
    assert_int_equal(fixture->outcome.operated, 1);
    assert_int_equal(books_of(fixture).dead, 0);
    assert_int_equal(books_of(fixture).waiting, 2);
    assert_int_equal(take(fixture, 0, 10), 1);
    assert_string_equal(key_of(fixture, 0), "g/d1/1/2:hot:1");
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    assert_string_equal(key_of(fixture, 0), "g/d1/1/1:hot:1");
    assert_int_equal(fixture->taken[0]->attempts, 0);
    assert_true(bytes_equal(fixture->taken[0]->topic, bytes_from_text("hot/d1")));
}

static void dead_letters_are_dropped_by_range(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 1; i <= 5; i++) {
        add_hot(fixture, "d1", i);
    }
    step(fixture);
    give_up(fixture, VERDICT_REJECT, 5);
    operate(fixture, OPERATION_DEAD_DROP, 2, 3);
    assert_int_equal(fixture->outcome.operated, 2);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_dead WHERE id IN (1, 4, 5)"),
                     3);
    struct books books = books_of(fixture);
    assert_int_equal(books.dead, 3);
    assert_int_equal(books.dropped, 2);
    assert_int_equal(books.dead_dropped, 2);
    operate(fixture, OPERATION_DEAD_DROP, 100, 200);
    assert_int_equal(fixture->outcome.operated, 0);
}

static void nobody_settles_what_is_not_in_flight(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    step(fixture);
    assert_int_equal(take(fixture, 0, 1), 1);
    uint64_t id = fixture->taken[0]->id;
    add_settlement(fixture, id, VERDICT_DONE);
    add_settlement(fixture, id, VERDICT_DONE);
    add_settlement(fixture, id + 1, VERDICT_DONE);
    add_settlement(fixture, 12345, VERDICT_REJECT);
    step(fixture);
    add_settlement(fixture, id, VERDICT_RETRY);
    step(fixture);
    struct books books = books_of(fixture);
    assert_int_equal(books.delivered, 1);
    assert_int_equal(books.dead, 0);
}

static uint32_t settle_all(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
    }
    step(fixture);
    return count;
}

// More than memory holds: the rest comes from the store, in order, each once.
static void a_long_queue_comes_out_in_order(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t total = 5500;
    for (uint64_t i = 1; i <= total; i++) {
        char device[16];
        snprintf(device, sizeof(device), "d%u", (unsigned)(i % 500));
        add_hot(fixture, device, (i + 499) / 500);
        if (i % 1000 == 0) {
            step(fixture);
        }
    }
    step(fixture);
    uint32_t seen = 0;
    uint64_t last_id = 0;
    for (int round = 0; round < 1000 && seen < total; round++) {
        uint32_t count = take(fixture, 0, 200);
        for (uint32_t i = 0; i < count; i++) {
            assert_true(fixture->taken[i]->id > last_id);
            last_id = fixture->taken[i]->id;
        }
        seen += settle_all(fixture, count);
    }
    assert_int_equal(seen, total);
    assert_int_equal(books_of(fixture).waiting, 0);
}

// A key with more rows than memory holds waits; another key's row behind them all does not.
static void a_key_that_waits_does_not_keep_others_out(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t total = 5000;
    for (uint64_t i = 1; i <= total; i++) {
        add_hot(fixture, "slow", i);
    }
    add_hot(fixture, "quick", 1);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 2);
    assert_string_equal(key_of(fixture, 1), "g/quick/1/1:hot:1");
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_RETRY);
    add_settlement(fixture, fixture->taken[1]->id, VERDICT_DONE);
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 0);
    add_hot(fixture, "slow", total + 1);
    step(fixture);
    fixture->now_ms += 10000;
    for (uint64_t i = 1; i <= total + 1; i++) {
        char want[60];
        snprintf(want, sizeof(want), "g/slow/1/%u:hot:1", (unsigned)i);
        assert_int_equal(take(fixture, 0, 10), 1);
        assert_string_equal(key_of(fixture, 0), want);
        settle_all(fixture, 1);
    }
    assert_int_equal(books_of(fixture).waiting, 0);
}

static void ids_are_never_used_again(void **state)
{
    struct fixture *fixture = *state;
    uint64_t last_id = 0;
    for (uint64_t i = 1; i <= 4; i++) {
        add_hot(fixture, "d1", i);
        step(fixture);
        assert_int_equal(take(fixture, 0, 10), 1);
        assert_true(fixture->taken[0]->id > last_id);
        last_id = fixture->taken[0]->id;
        add_settlement(fixture, last_id, VERDICT_DONE);
        step(fixture);
        fixture_reopen(fixture);
    }
}

static void a_route_at_its_bound_sheds_as_it_says(void **state)
{
    static const struct {
        const char *why;
        enum overflow overflow;
        const char *first_kept, *last_kept;
    } cases[] = {
        {"the new ones go", OVERFLOW_DROP_NEW, "g/x01/1/1:hot:1", "g/x05/1/1:hot:1"},
        {"the old ones go", OVERFLOW_DROP_OLD, "g/x16/1/1:hot:1", "g/x20/1/1:hot:1"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 2; i++) {
        fixture_close(fixture);
        folder_remove(&fixture->folder);
        folder_create(&fixture->folder);
        // One delivery: 3 key, 7 topic, 29 payload, 15 idempotency key, 16 content type.
        fixture->routes[0].limit_bytes = 5 * 70 + 20;
        fixture->routes[0].overflow = cases[i].overflow;
        fixture_open(fixture);
        for (int n = 1; n <= 20; n++) {
            char device[16];
            snprintf(device, sizeof(device), "x%02d", n);
            add_hot(fixture, device, 1);
            if (n % 3 == 0) {
                step(fixture);
            }
        }
        step(fixture);
        struct books books = books_of(fixture);
        assert_int_equal(books.routed, 20);
        assert_int_equal(books.dropped, 15);
        assert_int_equal(take(fixture, 0, 10), 5);
        if (strcmp(key_of(fixture, 0), cases[i].first_kept) != 0 ||
            strcmp(key_of(fixture, 4), cases[i].last_kept) != 0) {
            fail_msg("%s: from %s to %s", cases[i].why, key_of(fixture, 0), key_of(fixture, 4));
        }
        assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_outbox"), 5);
    }
}

// What a worker holds cannot be dropped under its hands.
static void what_is_in_flight_is_not_dropped(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->routes[0].limit_bytes = 2 * 70 + 20;
    fixture->routes[0].overflow = OVERFLOW_DROP_OLD;
    fixture_open(fixture);
    add_hot(fixture, "x01", 1);
    add_hot(fixture, "x02", 1);
    step(fixture);
    assert_int_equal(take(fixture, 0, 1), 1);
    const struct delivery *held = fixture->taken[0];
    add_hot(fixture, "x03", 1);
    add_hot(fixture, "x04", 1);
    step(fixture);
    assert_string_equal(held->idempotency_key, "g/x01/1/1:hot:1");
    assert_int_equal(take(fixture, 0, 10), 1);
    assert_string_equal(key_of(fixture, 0), "g/x04/1/1:hot:1");
    add_settlement(fixture, held->id, VERDICT_DONE);
    step(fixture);
    struct books books = books_of(fixture);
    assert_int_equal(books.delivered, 1);
    assert_int_equal(books.dropped, 2);
    assert_int_equal(books.waiting, 1);
}

// Two rules for one target and one key: the order is that of the events, not that of the rules.
static void rules_do_not_overtake_each_other(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[1] = fixture->rules[0];
    fixture->rules[0].sql =
        "SELECT device, celsius FROM \"pipit/v1/+/+/event/temperature\" WHERE celsius = 61";
    fixture->rules[1].name = "cold";
    fixture->rules[1].sql =
        "SELECT device, celsius FROM \"pipit/v1/+/+/event/temperature\" WHERE celsius = 60";
    fixture->spec.rule_count = 2;
    fixture_open(fixture);
    for (uint64_t i = 1; i <= 4; i++) {
        add_reading(fixture, &(struct reading){"d1", 1, i, i % 2 == 0 ? 61 : 60, false, 0});
    }
    step(fixture);
    for (unsigned i = 1; i <= 4; i++) {
        char want[40];
        snprintf(want, sizeof(want), "g/d1/1/%u:%s:1", i, i % 2 == 0 ? "hot" : "cold");
        assert_int_equal(take(fixture, 0, 10), 1);
        assert_string_equal(key_of(fixture, 0), want);
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_of_a_key_at_a_time_in_order),
        TEST(a_retry_keeps_the_order_of_its_key),
        TEST(a_backoff_survives_a_restart),
        TEST(a_clock_that_steps_back_keeps_nobody_waiting),
        TEST(not_sent_is_no_attempt_and_keeps_its_place),
        TEST(hopeless_ones_die_and_the_next_goes_on),
        TEST(a_replayed_dead_letter_is_the_same_delivery),
        TEST(dead_letters_are_dropped_by_range),
        TEST(nobody_settles_what_is_not_in_flight),
        TEST(a_long_queue_comes_out_in_order),
        TEST(a_key_that_waits_does_not_keep_others_out),
        TEST(ids_are_never_used_again),
        TEST(a_route_at_its_bound_sheds_as_it_says),
        TEST(what_is_in_flight_is_not_dropped),
        TEST(rules_do_not_overtake_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
