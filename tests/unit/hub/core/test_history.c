// The history keeps what was let in and gives way to everything else; the quarantine lets in again
// what was rejected; a replay's deliveries come in once.
#include "core_support.h"

#define MINUTE_MS 60000

static const char picky_sql[] =
    "SELECT device, n, json_extract(doc, '$.x') AS x FROM \"a/+\" WHERE n > 0";
static const char all_sql[] = "SELECT topic FROM \"a/+\"";

// Rules "picky", which fails on a doc that is no JSON, and "all"; a history of what is on a/#.
static int setup(void **state)
{
    static const char *const topics[] = {"a/#", "pipit/#", NULL};
    static const struct identity_spec identity = {"a", "a/+", "topic_part(2)", "n", NULL, NULL};
    fixture_setup(state);
    struct fixture *fixture = *state;
    fixture->rules[0].name = "picky";
    fixture->rules[0].sql = picky_sql;
    fixture->routes[0].topic = "picky/{device}";
    fixture->rules[1] = (struct rule_spec){
        .name = "all", .sql = all_sql, .routes = &fixture->routes[1], .route_count = 1};
    fixture->routes[1] = (struct route_spec){.target = 0, .topic = "all"};
    fixture->spec.rule_count = 2;
    fixture->spec.identities = &identity;
    fixture->spec.identity_count = 1;
    fixture->spec.history =
        (struct history_spec){.keep_ms = MINUTE_MS, .limit_bytes = 1 << 20, .topics = topics};
    fixture_reopen(fixture);
    return 0;
}

static void add(struct fixture *fixture, const char *topic, const char *payload)
{
    add_message(fixture, topic, bytes_from_text(payload));
}

static int64_t count(struct fixture *fixture, const char *table)
{
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    return ask(fixture->store, sql);
}

static void check_books(const struct fixture *fixture)
{
    struct books books = books_of(fixture);
    assert_int_equal(books.received,
                     books.routed + books.filtered + books.duplicate + books.rejected);
    assert_int_equal(books.enqueued, books.delivered + books.waiting + books.dead + books.dropped);
}

static uint64_t counter_of(const struct fixture *fixture, const char *name);

struct wanted_counter {
    const char *name;
    uint64_t value;
};

static void on_counter(void *context, const char *name, uint64_t value)
{
    struct wanted_counter *wanted = context;
    if (strcmp(name, wanted->name) == 0) {
        wanted->value = value;
    }
}

static uint64_t counter_of(const struct fixture *fixture, const char *name)
{
    struct wanted_counter wanted = {name, UINT64_MAX};
    core_counters(fixture->core, on_counter, &wanted);
    return wanted.value;
}

static void what_was_let_in_is_kept_once_and_whole(void **state)
{
    struct fixture *fixture = *state;
    const struct user_property property = {bytes_from_text("color"), bytes_from_text("red")};
    struct message *message =
        add_message(fixture, "a/d1", bytes_from_text("{\"n\": 1, \"doc\": \"{}\"}"));
    message->properties = &property;
    message->property_count = 1;
    message->content_type = bytes_from_text("application/json");
    add(fixture, "a/d1", "{\"n\": 1, \"doc\": \"{}\"}"); // A duplicate.
    add(fixture, "a/d1", "{\"n\": 2, \"doc\": \"{\"}");  // A rule fails on it: it was let in.
    add(fixture, "a/d1", "{broken");                     // Cannot be read.
    add(fixture, "b/d1", "{\"n\": 1}");                  // Another topic.
    step(fixture);
    assert_int_equal(count(fixture, "pipit_history"), 2);
    assert_int_equal(ask(fixture->store,
                         "SELECT count(*) FROM pipit_history WHERE id = 1 AND topic = 'a/d1' AND"
                         " payload = CAST('{\"n\": 1, \"doc\": \"{}\"}' AS BLOB) AND"
                         " content_type = 'application/json' AND qos = 1 AND retain = 0 AND"
                         " event = 'a/d1/0/1' AND device = 'a/d1' AND time IS NULL AND"
                         " properties = x'636f6c6f720072656400' AND received = 1700000000000"),
                     1);
    assert_int_equal(counter_of(fixture, "history/rows"), 2);
    uint64_t bytes = counter_of(fixture, "history/bytes");
    fixture_reopen(fixture);
    assert_int_equal(counter_of(fixture, "history/bytes"), bytes);
}

static void old_events_go_by_time_also_without_new_ones(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3000; i++) {
        add(fixture, "a/d1/more", "{}");
    }
    step(fixture);
    fixture->now_ms += MINUTE_MS / 2;
    add(fixture, "a/d2/more", "{}");
    step(fixture);
    assert_int_equal(count(fixture, "pipit_history"), 3001);
    int ticks = 0;
    while (counter_of(fixture, "history/rows") > 1) {
        int64_t due_ms = core_next_timer_ms(fixture->core);
        fixture->now_ms = due_ms > fixture->now_ms ? due_ms : fixture->now_ms;
        fixture->inputs[fixture->count++] = (struct input){.kind = INPUT_TICK};
        step(fixture);
        assert_true(++ticks < 20);
    }
    assert_int_equal(count(fixture, "pipit_history"), 1);
    assert_true(fixture->now_ms < 1700000000000 + MINUTE_MS + MINUTE_MS / 5);
    assert_true(ticks >= 3); // At most HISTORY_PRUNE_ROWS and some at a time.
    assert_int_equal(counter_of(fixture, "history/rows"), 1);
    fixture->now_ms += MINUTE_MS;
    fixture->inputs[fixture->count++] = (struct input){.kind = INPUT_TICK};
    step(fixture);
    assert_int_equal(counter_of(fixture, "history/bytes"), 0);
    assert_true(core_next_timer_ms(fixture->core) == INT64_MAX);
}

static void the_oldest_make_room_by_bytes(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.history.limit_bytes = 20000;
    for (int i = 1; i <= 50; i++) {
        for (int n = 0; n < 20; n++) {
            add(fixture, "a/d1/more", "{}");
        }
        step(fixture);
        assert_true(counter_of(fixture, "history/bytes") <= 20000);
    }
    int64_t rows = count(fixture, "pipit_history");
    assert_true(rows > 100 && rows < 400);
    assert_int_equal(ask(fixture->store, "SELECT max(id) FROM pipit_history"), 1000);
    assert_int_equal(ask(fixture->store, "SELECT max(id) - min(id) + 1 FROM pipit_history"), rows);
}

static void a_history_that_is_off_empties_itself(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        add(fixture, "a/d1/more", "{}");
    }
    step(fixture);
    fixture->spec.history = (struct history_spec){0};
    for (int i = 0; i < 10 && counter_of(fixture, "history/rows") > 0; i++) {
        fixture->now_ms += 1000;
        fixture->inputs[fixture->count++] = (struct input){.kind = INPUT_TICK};
        step(fixture);
    }
    assert_int_equal(count(fixture, "pipit_history"), 0);
}

// Events that nobody routes, until the store's limit would be passed several times over.
static bool fill(struct fixture *fixture, int batches)
{
    static char payload[PAYLOAD_MAX];
    snprintf(payload, sizeof(payload), "{\"filler\": \"%0*d\"}", 380, 1);
    for (int i = 0; i < batches; i++) {
        for (int n = 0; n < 500; n++) {
            add(fixture, "a/d1/more", payload);
        }
        if (try_step(fixture) != ERR_OK) {
            assert_int_equal(fixture->e.code, ERR_FULL);
            return false;
        }
        fixture->count = 0;
    }
    return true;
}

static void the_history_gives_way_before_the_hub_is_full(void **state)
{
    struct fixture *fixture = *state;
    fixture->spec.store_limit_bytes = 2 << 20;
    fixture->spec.history.limit_bytes = 1 << 30;
    assert_true(fill(fixture, 40)); // 8 MB of events.
    assert_true(ask(fixture->store, "SELECT count(*) FROM pipit_history") > 100);
    assert_true(store_used_bytes(fixture->store) <= 2 << 20);
    assert_int_equal(core_has_room(fixture->core, &fixture->e), ERR_OK);
    check_books(fixture);
}

// Were the same bytes owed to a target, the hub would be full.
static void deliveries_do_not_give_way(void **state)
{
    struct fixture *fixture = *state;
    static const char sql[] = "SELECT fields FROM \"a/+/more\"";
    fixture->rules[0].sql = sql;
    fixture->rules[0].key = NULL;
    fixture->routes[0].topic = "copy";
    fixture->spec.store_limit_bytes = 2 << 20;
    fixture_reopen(fixture);
    assert_false(fill(fixture, 40));
}

static void replay(struct fixture *fixture, uint64_t first, uint64_t last)
{
    operate(fixture, OPERATION_QUARANTINE_REPLAY, first, last);
}

static enum err edit(struct fixture *fixture, int kind, uint64_t id, const struct edit *change)
{
    fixture->inputs[0] =
        (struct input){.kind = INPUT_OPERATION,
                       .operation = {.kind = kind, .first = id, .last = id, .edit = change}};
    fixture->count = 1;
    enum err rc = try_step(fixture);
    fixture->count = 0;
    return rc;
}

static void a_failed_event_goes_through_the_failing_rule_again(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "a/d1", "{\"n\": 1, \"doc\": \"{\"}");
    step(fixture);
    struct books books = books_of(fixture);
    assert_int_equal(books.routed, 1); // By "all".
    assert_int_equal(books.quarantined, 1);
    assert_int_equal(ask(fixture->store,
                         "SELECT count(*) FROM pipit_quarantine WHERE rule = 'picky'"
                         " AND event = 'a/d1/0/1'"),
                     1);
    replay(fixture, 0, UINT64_MAX); // As it is it fails again.
    books = books_of(fixture);
    assert_int_equal(books.received, 2);
    assert_int_equal(books.rejected, 1);
    assert_int_equal(books.duplicate, 0);
    assert_int_equal(books.quarantined, 2);
    assert_int_equal(ask(fixture->store, "SELECT id FROM pipit_quarantine"), 2);
    const struct edit mended = {.payload =
                                    bytes_from_text("{\"n\": 1, \"doc\": \"{\\\"x\\\": 7}\"}")};
    assert_ok(edit(fixture, OPERATION_QUARANTINE_EDIT, 2, &mended), fixture->e);
    assert_int_equal(ask(fixture->store, "SELECT edited FROM pipit_quarantine"), fixture->now_ms);
    replay(fixture, 2, 2);
    assert_int_equal(fixture->outcome.operated, 1);
    assert_true(fixture->outcome.operated_upto == UINT64_MAX);
    books = books_of(fixture);
    assert_int_equal(books.received, 3);
    assert_int_equal(books.routed, 2);
    assert_int_equal(books.enqueued, 2); // "all" had its one before.
    assert_int_equal(count(fixture, "pipit_quarantine"), 0);
    assert_int_equal(counter_of(fixture, "quarantine/bytes"), 0);
    assert_int_equal(count(fixture, "pipit_history"), 1); // It was let in once.
    check_books(fixture);
    assert_int_equal(take(fixture, 0, 10), 2);
    assert_string_equal(fixture->taken[1]->idempotency_key, "a/d1/0/1:picky:1");
    add(fixture, "a/d1", "{\"n\": 1, \"doc\": \"{}\"}");
    step(fixture);
    assert_int_equal(books_of(fixture).duplicate, 1);
}

static void an_unreadable_one_goes_through_all_rules_and_is_seen_then(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, "a/d1", "{broken");
    step(fixture);
    const struct edit mended = {.payload = bytes_from_text("{\"n\": 5, \"doc\": \"{}\"}")};
    assert_ok(edit(fixture, OPERATION_QUARANTINE_EDIT, 1, &mended), fixture->e);
    replay(fixture, 1, 1);
    assert_int_equal(books_of(fixture).enqueued, 2);
    assert_int_equal(count(fixture, "pipit_history"), 1);
    add(fixture, "a/d1", "{\"n\": 5, \"doc\": \"{}\"}"); // The device sends it at last.
    step(fixture);
    assert_int_equal(books_of(fixture).duplicate, 1);
    check_books(fixture);
}

static void what_cannot_be_replayed_stays_and_says_why(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t large[6000];
    add(fixture, "a/d1", "{\"n\": 1, \"doc\": \"{\"}");
    step(fixture);
    add(fixture, "a/d1", "");
    fixture->inputs[0].message.payload = bytes_of(large, sizeof(large)); // Above payload_max.
    step(fixture);
    fixture->rules[0].name = "other";
    fixture_reopen(fixture);
    static const struct {
        const char *why;
        uint64_t id;
        const char *text;
    } cases[] = {
        {"its rule is gone", 1, "failed in rule picky, which is not in the running configuration"},
        {"most of it is not there", 2, "is cut short (4096 of 6000 bytes are here)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        replay(fixture, cases[i].id, cases[i].id);
        assert_int_equal(fixture->outcome.operated, 0);
        assert_int_equal(fixture->outcome.skipped, 1);
        if (strstr(fixture->outcome.skip, cases[i].text) == NULL) {
            fail_msg("%s: %s", cases[i].why, fixture->outcome.skip);
        }
    }
    assert_int_equal(count(fixture, "pipit_quarantine"), 2);
    assert_int_equal(books_of(fixture).received, 2);
    // With a whole payload it can.
    const struct edit whole = {.payload = bytes_from_text("{\"n\": 2, \"doc\": \"{}\"}")};
    assert_ok(edit(fixture, OPERATION_QUARANTINE_EDIT, 2, &whole), fixture->e);
    replay(fixture, 2, 2);
    assert_int_equal(fixture->outcome.operated, 1);
}

static void many_entries_are_replayed_in_steps(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2500; i++) {
        add(fixture, "a/d1", "{broken");
    }
    step(fixture);
    uint64_t first = 0, steps = 0, last = 2500;
    while (first <= last) {
        replay(fixture, first, last);
        assert_true(fixture->outcome.operated <= 1000);
        first =
            fixture->outcome.operated_upto >= last ? last + 1 : fixture->outcome.operated_upto + 1;
        steps++;
    }
    assert_int_equal(steps, 3);
    assert_int_equal(books_of(fixture).received, 5000);
    assert_int_equal(books_of(fixture).rejected, 5000);
    assert_int_equal(count(fixture, "pipit_quarantine"), 2500);
    assert_int_equal(ask(fixture->store, "SELECT min(id) FROM pipit_quarantine"), 2501);
    check_books(fixture);
}

static void wrong_edits_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    static char large[500];
    add(fixture, "a/d1", "{broken");
    step(fixture);
    const struct {
        const char *why;
        int kind;
        uint64_t id;
        struct edit edit;
        enum err want;
    } cases[] = {
        {"no such entry", OPERATION_QUARANTINE_EDIT, 9, {bytes_from_text("a"), {0}}, ERR_NOT_FOUND},
        {"no such letter", OPERATION_DEAD_EDIT, 9, {bytes_from_text("a"), {0}}, ERR_NOT_FOUND},
        {"a wildcard", OPERATION_QUARANTINE_EDIT, 1, {bytes_from_text("a/#"), {0}}, ERR_INVALID},
        {"too large", OPERATION_QUARANTINE_EDIT, 1, {{0}, bytes_of(large, 500)}, ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (edit(fixture, cases[i].kind, cases[i].id, &cases[i].edit) != cases[i].want) {
            fail_msg("%s: %d %s", cases[i].why, fixture->e.code, fixture->e.text);
        }
    }
    assert_int_equal(ask(fixture->store, "SELECT sum(edited) FROM pipit_quarantine"), 0);
}

static const struct replayed one_delivery = {
    .target = "bus",
    .route = 1,
    .delivery = {.idempotency_key = "replay/1/a/d1/0/1:picky:1",
                 .rule = "picky",
                 .content_type = "application/json",
                 .key = {(const uint8_t *)"d1", 2},
                 .topic = {(const uint8_t *)"picky/d1", 8},
                 .payload = {(const uint8_t *)"{}", 2}},
};

static enum err begin(struct fixture *fixture, const char *token)
{
    const struct replay_chunk chunk = {.rule = "picky", .what = "{}", .token = token};
    fixture->inputs[0] = (struct input){
        .kind = INPUT_OPERATION, .operation = {.kind = OPERATION_REPLAY_BEGIN, .chunk = &chunk}};
    fixture->count = 1;
    enum err rc = try_step(fixture);
    fixture->count = 0;
    return rc;
}

static enum err put(struct fixture *fixture, const struct replay_chunk *chunk)
{
    fixture->inputs[0] = (struct input){
        .kind = INPUT_OPERATION, .operation = {.kind = OPERATION_REPLAY_CHUNK, .chunk = chunk}};
    fixture->count = 1;
    enum err rc = try_step(fixture);
    fixture->count = 0;
    return rc;
}

static void a_chunk_comes_in_once(void **state)
{
    struct fixture *fixture = *state;
    struct replayed deliveries[3] = {one_delivery, one_delivery, one_delivery};
    for (int i = 0; i < 3; i++) {
        deliveries[i].delivery.idempotency_key = "replay/2/a/d1/0/1:picky:1";
    }
    assert_ok(begin(fixture, "token"), fixture->e);
    assert_int_equal(fixture->outcome.replay, 1);
    assert_ok(begin(fixture, "token"), fixture->e); // Its answer was lost.
    assert_int_equal(fixture->outcome.replay, 1);
    assert_ok(begin(fixture, "another"), fixture->e);
    assert_int_equal(fixture->outcome.replay, 2);
    struct replay_chunk chunk = {.replay = 2, .number = 1, .deliveries = deliveries, .count = 3};
    for (int i = 0; i < 3; i++) { // Sent again, and again after a restart.
        assert_ok(put(fixture, &chunk), fixture->e);
        assert_int_equal(fixture->outcome.chunks, 1);
        fixture_reopen(fixture);
    }
    chunk.number = 2;
    chunk.count = 1;
    chunk.is_last = true;
    assert_ok(put(fixture, &chunk), fixture->e);
    assert_ok(put(fixture, &chunk), fixture->e);
    struct books books = books_of(fixture);
    assert_int_equal(books.enqueued, 4);
    assert_int_equal(books.replayed, 4);
    assert_int_equal(books.received, 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_replay WHERE id = 2 AND"
                                         " chunks = 2 AND deliveries = 4 AND ended > 0 AND"
                                         " last_key = 'replay/2/a/d1/0/1:picky:1'"),
                     1);
    assert_int_equal(take(fixture, 0, 10), 1); // One key, one at a time.
    assert_string_equal(fixture->taken[0]->idempotency_key, "replay/2/a/d1/0/1:picky:1");
    assert_int_equal(fixture->taken[0]->qos, 1); // The route's.
    check_books(fixture);
}

static void a_wrong_chunk_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(begin(fixture, "token"), fixture->e);
    assert_ok(begin(fixture, "another"), fixture->e);
    static const struct {
        const char *why;
        uint64_t replay, number;
        const char *rule, *target;
        uint32_t route;
        enum err want;
        const char *text;
    } cases[] = {
        {"no such replay", 7, 1, "picky", "bus", 1, ERR_NOT_FOUND, "no replay 7"},
        {"not the next", 1, 2, "picky", "bus", 1, ERR_INVALID, "2 is not the next"},
        {"no chunk is 0", 1, 0, "picky", "bus", 1, ERR_INVALID, "0 is not the next"},
        {"no such rule", 1, 1, "gone", "bus", 1, ERR_INVALID, "no route 1 of rule gone"},
        {"no such route", 1, 1, "picky", "bus", 2, ERR_INVALID, "no route 2 of rule picky"},
        {"another target", 1, 1, "picky", "log", 1, ERR_INVALID, "goes to bus, not to log"},
        {"another's key", 2, 1, "picky", "bus", 1, ERR_INVALID, "does not begin with replay/2/"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct replayed deliveries[2] = {one_delivery, one_delivery}; // The first one is fine.
        deliveries[1].delivery.rule = cases[i].rule;
        deliveries[1].target = cases[i].target;
        deliveries[1].route = cases[i].route;
        const struct replay_chunk chunk = {.replay = cases[i].replay,
                                           .number = cases[i].number,
                                           .deliveries = deliveries,
                                           .count = 2};
        if (put(fixture, &chunk) != cases[i].want ||
            strstr(fixture->e.text, cases[i].text) == NULL) {
            fail_msg("%s: %d %s", cases[i].why, fixture->e.code, fixture->e.text);
        }
    }
    assert_int_equal(books_of(fixture).enqueued, 0);
    assert_int_equal(ask(fixture->store, "SELECT sum(chunks) FROM pipit_replay"), 0);
    assert_int_equal(count(fixture, "pipit_outbox"), 0);
}

// A route that holds: the whole chunk is rolled back and comes again when there is room.
static void a_chunk_waits_for_room(void **state)
{
    struct fixture *fixture = *state;
    fixture->routes[0].limit_bytes = 200;
    struct replayed deliveries[3] = {one_delivery, one_delivery, one_delivery};
    assert_ok(begin(fixture, "token"), fixture->e);
    struct replay_chunk chunk = {.replay = 1, .number = 1, .deliveries = deliveries, .count = 3};
    assert_ok(put(fixture, &chunk), fixture->e); // An empty route takes one batch.
    chunk.number = 2;
    assert_int_equal(put(fixture, &chunk), ERR_FULL);
    assert_int_equal(books_of(fixture).replayed, 3);
    assert_int_equal(ask(fixture->store, "SELECT chunks FROM pipit_replay"), 1);
    while (take(fixture, 0, 10) > 0) {
        add_settlement(fixture, fixture->taken[0]->id, VERDICT_DONE);
        step(fixture);
    }
    assert_ok(put(fixture, &chunk), fixture->e);
    assert_int_equal(books_of(fixture).replayed, 6);
    check_books(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        TEST(what_was_let_in_is_kept_once_and_whole),
        TEST(old_events_go_by_time_also_without_new_ones),
        TEST(the_oldest_make_room_by_bytes),
        TEST(a_history_that_is_off_empties_itself),
        TEST(the_history_gives_way_before_the_hub_is_full),
        TEST(deliveries_do_not_give_way),
        TEST(a_failed_event_goes_through_the_failing_rule_again),
        TEST(an_unreadable_one_goes_through_all_rules_and_is_seen_then),
        TEST(what_cannot_be_replayed_stays_and_says_why),
        TEST(many_entries_are_replayed_in_steps),
        TEST(wrong_edits_change_nothing),
        TEST(a_chunk_comes_in_once),
        TEST(a_wrong_chunk_changes_nothing),
        TEST(a_chunk_waits_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
