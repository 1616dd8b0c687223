// What becomes of an event: counted once, receipted, quarantined with its reason, and the same
// after every way of stopping.
#include "core_support.h"

static void check_books(struct fixture *fixture)
{
    struct books books = books_of(fixture);
    assert_int_equal(books.received,
                     books.routed + books.filtered + books.duplicate + books.rejected);
    assert_int_equal(books.enqueued, books.delivered + books.waiting + books.dead + books.dropped);
    assert_int_equal(books.waiting, ask(fixture->store, "SELECT count(*) FROM pipit_outbox"));
    assert_int_equal(books.dead, ask(fixture->store, "SELECT count(*) FROM pipit_dead"));
}

static void every_event_is_counted_once(void **state)
{
    struct fixture *fixture = *state;
    add_reading(fixture, &(struct reading){"d1", 1, 1, 60, false, 0});
    add_reading(fixture, &(struct reading){"d1", 1, 2, 10, false, 0});
    add_reading(fixture, &(struct reading){"d1", 1, 1, 60, false, 0});
    add_message(fixture, "pipit/v1/g/d1/event/temperature", bytes_from_text("not protobuf"));
    add_message(fixture, "other/topic", bytes_from_text("plain text"));
    step(fixture);
    struct books books = books_of(fixture);
    assert_int_equal(books.received, 5);
    assert_int_equal(books.routed, 1);
    assert_int_equal(books.filtered, 2);
    assert_int_equal(books.duplicate, 1);
    assert_int_equal(books.rejected, 1);
    assert_int_equal(books.quarantined, 1);
    assert_int_equal(books.enqueued, 1);
    assert_int_equal(fixture->outcome.rejected, 1);
    assert_non_null(strstr(fixture->outcome.rejection, "pipit/v1/g/d1/event/temperature"));
    check_books(fixture);
    fixture_reopen(fixture);
    struct books again = books_of(fixture);
    assert_memory_equal(&again, &books, sizeof(books));
}

static void the_delivery_is_what_the_rule_made(void **state)
{
    struct fixture *fixture = *state;
    add_reading(fixture, &(struct reading){"d1", 7, 3, 60.5, false, 0});
    step(fixture);
    assert_int_equal(take(fixture, 0, 10), 1);
    const struct delivery *delivery = fixture->taken[0];
    assert_string_equal(delivery->idempotency_key, "g/d1/7/3:hot:1");
    assert_string_equal(delivery->rule, "hot");
    assert_true(bytes_equal(delivery->topic, bytes_from_text("hot/d1")));
    assert_true(bytes_equal(delivery->key, bytes_from_text("d1")));
    assert_true(
        bytes_equal(delivery->payload, bytes_from_text("{\"device\":\"d1\",\"celsius\":60.5}")));
    assert_string_equal(delivery->content_type, "application/json");
    assert_int_equal(delivery->qos, 1);
    assert_int_equal(delivery->attempts, 0);
    assert_int_equal(delivery->created_ms, fixture->now_ms);
}

// An event without identity is named by the store, and the numbers go on after a restart.
static void events_without_identity_are_numbered(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[0].sql = "SELECT v FROM \"plain/+\"";
    fixture->rules[0].key = NULL;
    fixture->routes[0].topic = "out";
    fixture_open(fixture);
    for (unsigned n = 1; n <= 3; n++) {
        char want[60];
        snprintf(want, sizeof(want), "%s/%u:hot:1", store_id(fixture->store), n);
        add_message(fixture, "plain/a", bytes_from_text("{\"v\":1}"));
        step(fixture);
        assert_int_equal(take(fixture, 0, 10), 1);
        assert_string_equal(fixture->taken[0]->idempotency_key, want);
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
        fixture_reopen(fixture);
    }
}

static Pipit__V1__Receipt *only_receipt(struct fixture *fixture, const char *topic)
{
    assert_int_equal(fixture->outcome.receipt_count, 1);
    const struct receipt *receipt = &fixture->outcome.receipts[0];
    assert_string_equal(receipt->topic, topic);
    Pipit__V1__Receipt *unpacked =
        pipit__v1__receipt__unpack(NULL, receipt->payload.len, receipt->payload.ptr);
    assert_non_null(unpacked);
    return unpacked;
}

static void receipts_say_what_is_stored(void **state)
{
    struct fixture *fixture = *state;
    add_reading(fixture, &(struct reading){"d1", 5, 1, 10, false, 0});
    step(fixture);
    assert_int_equal(fixture->outcome.receipt_count, 0);
    add_reading(fixture, &(struct reading){"d1", 5, 2, 10, false, 0});
    add_reading(fixture, &(struct reading){"d1", 5, 4, 10, true, 0});
    add_reading(fixture, &(struct reading){"d1", 5, 13, 10, false, 0});
    step(fixture);
    Pipit__V1__Receipt *receipt = only_receipt(fixture, "pipit/v1/g/d1/receipt");
    assert_int_equal(receipt->boot, 5);
    assert_int_equal(receipt->upto, 2);
    assert_int_equal(receipt->bitmap.len, 2);
    assert_int_equal(receipt->bitmap.data[0], 1 << 1);
    assert_int_equal(receipt->bitmap.data[1], 1 << 2);
    pipit__v1__receipt__free_unpacked(receipt, NULL);
    assert_int_equal(books_of(fixture).missing, 1 + 8);
}

static void a_duplicate_is_receipted_again(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 3; round++) {
        add_reading(fixture, &(struct reading){"d1", 5, 1, 60, true, 0});
        step(fixture);
        Pipit__V1__Receipt *receipt = only_receipt(fixture, "pipit/v1/g/d1/receipt");
        assert_int_equal(receipt->upto, 1);
        pipit__v1__receipt__free_unpacked(receipt, NULL);
        fixture_reopen(fixture);
    }
    assert_int_equal(books_of(fixture).duplicate, 2);
    assert_int_equal(books_of(fixture).enqueued, 1);
}

// Else a device would send for ever what will never be taken.
static void what_is_too_large_is_rejected_once_and_receipted(void **state)
{
    struct fixture *fixture = *state;
    for (int round = 0; round < 2; round++) {
        add_reading(fixture, &(struct reading){"d1", 5, 1, 60, true, 450});
        step(fixture);
        Pipit__V1__Receipt *receipt = only_receipt(fixture, "pipit/v1/g/d1/receipt");
        assert_int_equal(receipt->upto, 1);
        pipit__v1__receipt__free_unpacked(receipt, NULL);
    }
    struct books books = books_of(fixture);
    assert_int_equal(books.rejected, 1);
    assert_int_equal(books.duplicate, 1);
    assert_int_equal(books.enqueued, 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_quarantine "
                                         "WHERE reason LIKE '%payload_max is 400%'"),
                     1);
}

static void bad_input_is_quarantined_with_its_reason(void **state)
{
    static const struct {
        const char *why, *topic, *payload, *reason;
    } cases[] = {
        {"bytes that are no protobuf", "pipit/v1/g/d1/event/temperature", "\xff\xff\xff", "%"},
        {"a topic without a type", "pipit/v1/g/d1/event", "", "%type%"},
        {"JSON that does not parse", "plain", "{\"a\":", "%"},
        {"a rule that fails", "pipit/v1/g/d1/event/temperature", NULL, "rule \"hot\": %"},
    };
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[0].sql =
        "SELECT device, json(celsius || 'x') FROM \"pipit/v1/+/+/event/temperature\"";
    fixture_open(fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].payload == NULL) {
            add_hot(fixture, "d1", 1);
        } else {
            add_message(fixture, cases[i].topic, bytes_from_text(cases[i].payload));
        }
        step(fixture);
        char sql[300];
        snprintf(sql, sizeof(sql),
                 "SELECT count(*) FROM pipit_quarantine WHERE topic = '%s' AND reason LIKE '%s' "
                 "AND id = (SELECT max(id) FROM pipit_quarantine)",
                 cases[i].topic, cases[i].reason);
        if (ask(fixture->store, sql) != 1 || books_of(fixture).rejected != i + 1) {
            fail_msg("%s", cases[i].why);
        }
    }
    assert_int_equal(books_of(fixture).rule_failures, 1);
    check_books(fixture);
}

// A thousand rows of 100 KB each are more than a batch may hold: the event is given up, and those
// around it are not.
static void an_event_that_makes_too_much_is_rejected_alone(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[0].sql =
        "WITH n(i) AS (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)) "
        "SELECT device, printf('%100000c', 'x') AS big "
        "FROM \"pipit/v1/+/+/event/temperature\", n AS a, n AS b, n AS c "
        "WHERE celsius = 99 OR a.i + b.i + c.i = 3";
    fixture->spec.store_limit_bytes = 1 << 30;
    fixture->spec.rule_steps_max = 1000000;
    fixture_open(fixture);
    for (uint64_t i = 1; i <= 5; i++) {
        add_reading(fixture, &(struct reading){"d1", 1, i, i == 3 ? 99 : 60, true, 0});
    }
    step(fixture);
    struct books books = books_of(fixture);
    assert_int_equal(books.routed, 4);
    assert_int_equal(books.rejected, 1);
    assert_int_equal(books.enqueued, 4);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_quarantine "
                                         "WHERE reason LIKE '%more than 64 MB%'"),
                     1);
    check_books(fixture);
    for (unsigned i = 1; i <= 5; i += i == 2 ? 2 : 1) {
        char want[40];
        snprintf(want, sizeof(want), "g/d1/1/%u:hot:1", i);
        assert_int_equal(take(fixture, 0, 10), 1);
        assert_string_equal(fixture->taken[0]->idempotency_key, want);
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
    }
}

static void the_quarantine_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.quarantine_limit_bytes = 4000;
    for (int n = 0; n < 100; n++) {
        char text[200];
        snprintf(text, sizeof(text), "{%0150d", n);
        add_message(fixture, "plain", bytes_from_text(text));
    }
    step(fixture);
    assert_int_equal(books_of(fixture).quarantined, 100);
    int64_t bytes =
        ask(fixture->store, "SELECT sum(length(payload) + length(topic) + length(reason)) "
                            "FROM pipit_quarantine");
    assert_true(bytes > 1000 && bytes <= 4000);
    assert_int_equal(
        ask(fixture->store, "SELECT max(CAST(payload AS TEXT) LIKE '%99') FROM pipit_quarantine"),
        1);
    assert_int_equal(
        ask(fixture->store, "SELECT max(CAST(payload AS TEXT) LIKE '%00') FROM pipit_quarantine"),
        0);
}

static void quarantine_entries_are_dropped_by_range(void **state)
{
    struct fixture *fixture = *state;
    for (int n = 0; n < 5; n++) {
        add_message(fixture, "plain", bytes_from_text("{\"cut\":"));
    }
    step(fixture);
    operate(fixture, OPERATION_QUARANTINE_DROP, 2, 4);
    assert_int_equal(fixture->outcome.operated, 3);
    assert_int_equal(ask(fixture->store, "SELECT sum(id) FROM pipit_quarantine"), 1 + 5);
    operate(fixture, OPERATION_QUARANTINE_DROP, 0, UINT64_MAX);
    assert_int_equal(fixture->outcome.operated, 2);
    assert_int_equal(ask(fixture->store, "SELECT quarantine_bytes FROM pipit_books"), 0);
    assert_int_equal(books_of(fixture).quarantined, 5);
}

static void without_dedupe_duplicates_are_new(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.fault_no_dedupe = true;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d1", 1);
    step(fixture);
    assert_int_equal(books_of(fixture).routed, 2);
}

static void the_mirror_shows_what_was_decoded(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.is_mirror_on = true;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d1", 1);
    add_message(fixture, "plain", bytes_from_text("{\"v\":1}"));
    step(fixture);
    assert_int_equal(fixture->outcome.mirror_count, 2);
    assert_string_equal(fixture->outcome.mirror_topics[0],
                        "pipit/v1/$hub/h1/mirror/pipit/v1/g/d1/event/temperature");
    assert_non_null(strstr(fixture->outcome.mirror[0], "\"celsius\":60"));
    assert_string_equal(fixture->outcome.mirror_topics[1], "pipit/v1/$hub/h1/mirror/plain");
}

// A device that has started 70 times: the 64 most recent boots are known, and no more are kept.
static void old_boots_make_room(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t boot = 1; boot <= 70; boot++) {
        add_reading(fixture, &(struct reading){"d1", boot, 1, 10, false, 0});
        if (boot % 9 == 0) {
            step(fixture);
        }
    }
    step(fixture);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_device_boot"), 64);
    assert_int_equal(ask(fixture->store, "SELECT min(boot) FROM pipit_device_boot"), 7);
    add_reading(fixture, &(struct reading){"d1", 7, 1, 10, false, 0});
    step(fixture);
    assert_int_equal(books_of(fixture).duplicate, 1);
    add_reading(fixture, &(struct reading){"d1", 6, 1, 10, false, 0});
    step(fixture);
    assert_int_equal(books_of(fixture).duplicate, 1);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_device_boot"), 64);
}

// A batch that was sent back has left no trace: given again it is not taken for a duplicate.
static void a_batch_that_was_sent_back_is_new_again(void **state)
{
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->routes[0].limit_bytes = 100;
    fixture_open(fixture);
    add_hot(fixture, "d1", 1);
    step(fixture);
    struct books before = books_of(fixture);
    add_hot(fixture, "d1", 2);
    add_hot(fixture, "d2", 1);
    assert_int_equal(try_step(fixture), ERR_FULL);
    assert_non_null(strstr(fixture->e.text, "rule hot"));
    assert_int_equal(core_has_room(fixture->core, &fixture->e), ERR_FULL);
    struct books after = books_of(fixture);
    assert_memory_equal(&before, &after, sizeof(before));
    check_books(fixture);
    uint32_t count = fixture->count;
    struct input kept[2];
    memcpy(kept, fixture->inputs, sizeof(kept));
    fixture->count = 0;
    assert_int_equal(take(fixture, 0, 10), 1);
    add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
    step(fixture);
    assert_ok(core_has_room(fixture->core, &fixture->e), fixture->e);
    memcpy(fixture->inputs, kept, sizeof(kept));
    fixture->count = count;
    step(fixture);
    assert_int_equal(books_of(fixture).routed, 3);
    assert_int_equal(books_of(fixture).duplicate, 0);
    check_books(fixture);
}

static void a_full_store_takes_nothing_and_goes_on_delivering(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.store_limit_bytes = 256 * 1024;
    uint64_t sequence = 1;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && sequence < 10000) {
        fixture->count = 0;
        for (int i = 0; i < 50; i++) {
            add_hot(fixture, "d1", sequence++);
        }
        rc = try_step(fixture);
    }
    assert_int_equal(rc, ERR_FULL);
    assert_non_null(strstr(fixture->e.text, "store_limit"));
    assert_true(store_used_bytes(fixture->store) <= 256 * 1024);
    assert_int_equal(core_has_room(fixture->core, &fixture->e), ERR_FULL);
    check_books(fixture);
    fixture->count = 0;
    while (core_has_room(fixture->core, &fixture->e) == ERR_FULL) {
        assert_int_equal(take(fixture, 0, 1), 1);
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
    }
    add_hot(fixture, "d1", sequence);
    step(fixture);
    check_books(fixture);
}

static void a_target_that_is_gone_keeps_its_deliveries(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_hot(fixture, "d2", 1);
    step(fixture);
    struct core_spec without = fixture->spec, with = fixture->spec;
    struct target_spec other = {
        .name = "other", .attempts_max = 3, .backoff_min_ms = 1000, .backoff_max_ms = 8000};
    struct target_spec both[] = {other, fixture->targets[0]};
    without.targets = &other;
    assert_ok(core_swap(fixture->core, &without, &fixture->e), fixture->e);
    assert_int_equal(take(fixture, 0, 10), 0);
    assert_int_equal(books_of(fixture).waiting, 2);
    struct rule_spec moved = fixture->rules[0];
    struct route_spec to_second = fixture->routes[0];
    to_second.target = 1;
    moved.routes = &to_second;
    with.rules = &moved;
    with.targets = both;
    with.target_count = 2;
    assert_ok(core_swap(fixture->core, &with, &fixture->e), fixture->e);
    assert_int_equal(take(fixture, 0, 10), 0);
    assert_int_equal(take(fixture, 1, 10), 2);
    assert_string_equal(fixture->taken[0]->idempotency_key, "g/d1/1/1:hot:1");
    check_books(fixture);
    // Those in `with` live on this stack only.
    assert_ok(core_swap(fixture->core, &fixture->spec, &fixture->e), fixture->e);
}

static void a_bad_configuration_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct core_spec bad = fixture->spec;
    struct rule_spec rule = fixture->rules[0];
    rule.sql = "SELECT device FRM \"a\"";
    bad.rules = &rule;
    assert_int_equal(core_swap(fixture->core, &bad, &fixture->e), ERR_CONFIG);
    add_hot(fixture, "d1", 1);
    step(fixture);
    assert_int_equal(books_of(fixture).routed, 1);
}

struct counted {
    const char *name;
    uint64_t value;
    bool is_found;
};

static void find_counter(void *context, const char *name, uint64_t value)
{
    struct counted *counted = context;
    if (strcmp(name, counted->name) == 0) {
        counted->is_found = true;
        counted->value = value;
    }
}

static void counters_have_names(void **state)
{
    struct fixture *fixture = *state;
    add_hot(fixture, "d1", 1);
    add_reading(fixture, &(struct reading){"d1", 1, 2, 10, false, 0});
    step(fixture);
    fixture_reopen(fixture);
    static const struct {
        const char *name;
        uint64_t value;
    } cases[] = {{"rule/hot/matched", 2},     {"rule/hot/rows", 1},
                 {"rule/hot/failures", 0},    {"route/hot/1/enqueued", 1},
                 {"route/hot/1/waiting", 1},  {"target/bus/waiting", 1},
                 {"target/bus/delivered", 0}, {"store/limit_bytes", 64 << 20}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct counted counted = {.name = cases[i].name};
        core_counters(fixture->core, find_counter, &counted);
        if (!counted.is_found || counted.value != cases[i].value) {
            fail_msg("%s is %llu", cases[i].name, (unsigned long long)counted.value);
        }
    }
}

// Everything that a step does is there after a restart that follows it, and nothing else.
static void reopening_after_each_step_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint64_t sequence = 1;
    for (int round = 0; round < 25; round++) {
        uint32_t taken = take(fixture, 0, 3);
        for (uint32_t i = 0; i < taken; i++) {
            add_settlement(fixture, fixture->taken[i]->id, (enum verdict)((round + (int)i) % 4));
        }
        for (int i = 0; i < 3; i++) {
            add_hot(fixture, i == 0 ? "d1" : "d2", sequence++);
        }
        step(fixture);
        struct books before = books_of(fixture);
        check_books(fixture);
        fixture_reopen(fixture);
        struct books after = books_of(fixture);
        assert_memory_equal(&before, &after, sizeof(before));
        fixture->now_ms += 700;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_event_is_counted_once),
        TEST(the_delivery_is_what_the_rule_made),
        TEST(events_without_identity_are_numbered),
        TEST(receipts_say_what_is_stored),
        TEST(a_duplicate_is_receipted_again),
        TEST(what_is_too_large_is_rejected_once_and_receipted),
        TEST(bad_input_is_quarantined_with_its_reason),
        TEST(an_event_that_makes_too_much_is_rejected_alone),
        TEST(the_quarantine_is_bounded),
        TEST(quarantine_entries_are_dropped_by_range),
        TEST(without_dedupe_duplicates_are_new),
        TEST(the_mirror_shows_what_was_decoded),
        TEST(old_boots_make_room),
        TEST(a_batch_that_was_sent_back_is_new_again),
        TEST(a_full_store_takes_nothing_and_goes_on_delivering),
        TEST(a_target_that_is_gone_keeps_its_deliveries),
        TEST(a_bad_configuration_changes_nothing),
        TEST(counters_have_names),
        TEST(reopening_after_each_step_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
