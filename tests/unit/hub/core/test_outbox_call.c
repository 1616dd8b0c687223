// What workflows send: by routes of their own, answered or not, taken back.
#include "store_support.h"

#include "core/outbox.h"

struct calls {
    struct folder folder;
    struct store *store;
    struct outbox *outbox;
    struct core_spec spec;
    struct target_spec targets[2];
    struct workflow_spec workflows[1];
    struct books books, committed;
    int64_t now_ms;
    const struct delivery *taken[50];
    struct error e;
};

static void open_outbox(struct calls *calls)
{
    calls->store = open_store(calls->folder.store_path);
    assert_ok(outbox_open(&calls->outbox, calls->store, &calls->spec, &calls->e), calls->e);
}

static void close_outbox(struct calls *calls)
{
    outbox_close(calls->outbox);
    store_close(calls->store);
}

static int setup(void **state)
{
    struct calls *calls = calloc(1, sizeof(*calls));
    folder_create(&calls->folder);
    calls->now_ms = 1700000000000;
    calls->targets[0] = (struct target_spec){.name = "stock", 3, 1000, 8000, true};
    calls->targets[1] = (struct target_spec){.name = "bus", 3, 1000, 8000, false};
    calls->workflows[0] = (struct workflow_spec){"order", "{}"};
    calls->spec = (struct core_spec){.targets = calls->targets,
                                     .target_count = 2,
                                     .workflows = calls->workflows,
                                     .workflow_count = 1};
    open_outbox(calls);
    *state = calls;
    return 0;
}

static int teardown(void **state)
{
    struct calls *calls = *state;
    close_outbox(calls);
    folder_remove(&calls->folder);
    free(calls);
    return 0;
}

static void begin(struct calls *calls)
{
    outbox_set_now(calls->outbox, calls->now_ms);
    assert_ok(store_begin(calls->store, true, &calls->e), calls->e);
}

static void commit(struct calls *calls)
{
    const struct books *books = &calls->books;
    assert_ok(outbox_flush(calls->outbox, books, &calls->e), calls->e);
    assert_ok(store_commit(calls->store, &calls->e), calls->e);
    outbox_commit(calls->outbox);
    assert_int_equal(books->enqueued,
                     books->delivered + books->waiting + books->dead + books->dropped);
    calls->committed = *books;
}

static void rollback(struct calls *calls)
{
    store_rollback(calls->store);
    outbox_rollback(calls->outbox);
    calls->books = calls->committed;
}

static uint64_t put(struct calls *calls, const char *key, bool is_answered)
{
    const struct outbox_call call = {
        .workflow = "order",
        .target = "stock",
        .is_answered = is_answered,
        .delivery = {.idempotency_key = key,
                     .key = bytes_from_text("order/1"),
                     .topic = bytes_from_text("PUT /x"),
                     .payload = bytes_from_text("{}"),
                     .content_type = "application/json"},
    };
    uint64_t id = 0;
    assert_ok(outbox_put_call(calls->outbox, &call, &calls->books, &id, &calls->e), calls->e);
    return id;
}

static uint32_t take(struct calls *calls)
{
    return outbox_take(calls->outbox, 0, 50, 1 << 30, calls->now_ms, calls->taken);
}

static void settle(struct calls *calls, uint64_t id, enum verdict verdict)
{
    const struct settlement settlement = {.delivery_id = id, .verdict = verdict, .reason = "no"};
    assert_ok(outbox_settle(calls->outbox, &settlement, &calls->books, &calls->e), calls->e);
}

static uint64_t count_rows(struct calls *calls, const char *table)
{
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(store_db(calls->store), sql, -1, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    uint64_t count = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

// What becomes of a call by its verdict: the workflow's business but for NOT_SENT.
static void verdicts_are_the_workflows_business(void **state)
{
    static const struct {
        const char *why;
        enum verdict verdict;
        bool is_told;
        uint64_t delivered, dropped, waiting;
    } cases[] = {
        {"it has it", VERDICT_DONE, true, 1, 0, 0},
        {"one that may work later is no second attempt of the outbox", VERDICT_RETRY, true, 0, 1,
         0},
        {"a refusal makes no dead letter", VERDICT_REJECT, true, 0, 1, 0},
        {"one that was not sent is put back", VERDICT_NOT_SENT, false, 0, 0, 1},
    };
    struct calls *calls = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct books before = calls->books;
        begin(calls);
        uint64_t id = put(calls, "ticket-1", true);
        commit(calls);
        assert_int_equal(take(calls), 1);
        assert_int_equal(calls->taken[0]->id, id);
        assert_true(calls->taken[0]->is_answered);
        assert_string_equal(calls->taken[0]->rule, "workflow/order");
        begin(calls);
        const struct settlement settlement = {.delivery_id = id, .verdict = cases[i].verdict};
        const char *key = outbox_call_key(calls->outbox, &settlement);
        assert_true((key != NULL) == cases[i].is_told);
        if (key != NULL) {
            assert_string_equal(key, "ticket-1");
        }
        assert_false(outbox_buries(calls->outbox, &settlement));
        settle(calls, id, cases[i].verdict);
        commit(calls);
        if (calls->books.delivered - before.delivered != cases[i].delivered ||
            calls->books.dropped - before.dropped != cases[i].dropped ||
            calls->books.answered - before.answered != cases[i].dropped ||
            calls->books.waiting != cases[i].waiting) {
            fail_msg("%s", cases[i].why);
        }
    }
    assert_int_equal(count_rows(calls, "pipit_dead"), 0);
    assert_int_equal(take(calls), 1); // That was put back.
    assert_int_equal(calls->taken[0]->attempts, 0);
}

// An emit has the target's attempts, and dead letters, as what a rule sends.
static void an_emit_is_as_any_delivery(void **state)
{
    struct calls *calls = *state;
    begin(calls);
    uint64_t id = put(calls, "event-1", false);
    commit(calls);
    for (int attempt = 0; attempt < 3; attempt++) {
        calls->now_ms += 10000;
        assert_int_equal(take(calls), 1);
        assert_false(calls->taken[0]->is_answered);
        begin(calls);
        const struct settlement settlement = {.delivery_id = id, .verdict = VERDICT_RETRY};
        assert_null(outbox_call_key(calls->outbox, &settlement));
        settle(calls, id, VERDICT_RETRY);
        commit(calls);
    }
    assert_int_equal(calls->books.dead, 1);
    assert_int_equal(calls->books.answered, 0);
}

// Wherever it is when it is taken back.
static void what_is_taken_back_does_not_go_out(void **state)
{
    static const struct {
        const char *why;
        bool is_before_commit, is_in_store_only, is_in_flight, is_put_back, is_gone;
        uint64_t want_dropped;
    } cases[] = {
        {"in memory", .want_dropped = 1},
        {"in the batch that has put it", .is_before_commit = true, .want_dropped = 1},
        {"in the store only", .is_in_store_only = true, .want_dropped = 1},
        {"on its way", .is_in_flight = true, .want_dropped = 0},
        {"put back in this batch", .is_in_flight = true, .is_put_back = true, .want_dropped = 1},
        {"gone", .is_gone = true, .want_dropped = 0},
    };
    struct calls *calls = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct books before = calls->books;
        begin(calls);
        uint64_t id = put(calls, "ticket-1", true);
        if (!cases[i].is_before_commit) {
            commit(calls);
            if (cases[i].is_in_store_only) {
                close_outbox(calls);
                open_outbox(calls);
            }
            if (cases[i].is_in_flight || cases[i].is_gone) {
                assert_int_equal(take(calls), 1);
            }
            begin(calls);
        }
        if (cases[i].is_put_back || cases[i].is_gone) {
            settle(calls, id, cases[i].is_gone ? VERDICT_DONE : VERDICT_NOT_SENT);
        }
        assert_ok(outbox_withdraw(calls->outbox, id, &calls->books, &calls->e), calls->e);
        assert_ok(outbox_withdraw(calls->outbox, id, &calls->books, &calls->e), calls->e); // Twice.
        commit(calls);
        if (calls->books.dropped - before.dropped != cases[i].want_dropped ||
            calls->books.answered - before.answered != cases[i].want_dropped) {
            fail_msg("%s", cases[i].why);
        }
        assert_int_equal(take(calls), 0);
        if (cases[i].want_dropped == 0 && !cases[i].is_gone) {
            begin(calls);
            settle(calls, id, VERDICT_DONE);
            commit(calls);
        }
        assert_int_equal(calls->books.waiting, 0);
        assert_int_equal(count_rows(calls, "pipit_outbox"), 0);
    }
    begin(calls); // One of which nobody knows anything.
    assert_ok(outbox_withdraw(calls->outbox, 7, &calls->books, &calls->e), calls->e);
    commit(calls);
}

// A batch that fails has neither put nor taken back.
static void a_batch_that_fails_changes_nothing(void **state)
{
    struct calls *calls = *state;
    begin(calls);
    uint64_t id = put(calls, "ticket-1", true);
    commit(calls);
    begin(calls);
    put(calls, "ticket-2", true);
    assert_ok(outbox_withdraw(calls->outbox, id, &calls->books, &calls->e), calls->e);
    rollback(calls);
    assert_int_equal(take(calls), 1);
    assert_string_equal(calls->taken[0]->idempotency_key, "ticket-1");
    begin(calls);
    settle(calls, id, VERDICT_NOT_SENT);
    assert_ok(outbox_withdraw(calls->outbox, id, &calls->books, &calls->e), calls->e);
    rollback(calls);
    begin(calls);
    settle(calls, id, VERDICT_DONE);
    commit(calls);
    assert_int_equal(calls->books.delivered, 1);
    assert_int_equal(count_rows(calls, "pipit_outbox"), 0);
}

// The instances of a workflow, or for a target, that is not configured any more run on.
static void routes_outlive_their_configuration(void **state)
{
    struct calls *calls = *state;
    struct core_spec empty = {.targets = &calls->targets[1], .target_count = 1};
    begin(calls);
    assert_ok(outbox_prepare_spec(calls->outbox, &empty, &calls->e), calls->e);
    commit(calls);
    assert_ok(outbox_use_spec(calls->outbox, &empty, &calls->e), calls->e);
    begin(calls);
    put(calls, "ticket-1", true);
    commit(calls);
    assert_int_equal(take(calls), 0); // Of what is configured now.
    assert_int_equal(calls->books.waiting, 1);
    assert_ok(outbox_use_spec(calls->outbox, &calls->spec, &calls->e), calls->e);
    assert_int_equal(take(calls), 1);
}

static void what_cannot_be_put_is_told(void **state)
{
    static const struct {
        const char *why, *workflow, *target;
        size_t payload_bytes;
    } cases[] = {
        {"a workflow that never was", "invoice", "stock", 1},
        {"a target that never was", "order", "post", 1},
        {"more than the store takes", "order", "stock", 17000000},
    };
    struct calls *calls = *state;
    char *payload = calloc(1, 17000000);
    begin(calls);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct outbox_call call = {
            .workflow = cases[i].workflow,
            .target = cases[i].target,
            .delivery = {.idempotency_key = "k",
                         .payload = bytes_of(payload, cases[i].payload_bytes),
                         .content_type = ""},
        };
        uint64_t id;
        if (outbox_put_call(calls->outbox, &call, &calls->books, &id, &calls->e) != ERR_INVALID) {
            fail_msg("%s", cases[i].why);
        }
    }
    commit(calls);
    free(payload);
    assert_int_equal(calls->books.enqueued, 0);
}

// What a peer asks for is kept to, but not for ever; a shorter wait than the backoff is none.
static void a_peer_says_when_to_come_back(void **state)
{
    static const struct {
        const char *why;
        int64_t after_ms, least_ms, most_ms;
    } cases[] = {
        {"nothing", 0, 500, 1000},
        {"less than the backoff", 100, 500, 1000},
        {"more than the longest backoff", 60000, 60000, 60000},
        {"an hour at most", 86400000, OUTBOX_WAIT_MAX_MS, OUTBOX_WAIT_MAX_MS},
    };
    struct calls *calls = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin(calls);
        uint64_t id = put(calls, "event-1", false);
        commit(calls);
        assert_int_equal(take(calls), 1);
        begin(calls);
        const struct settlement settlement = {
            .delivery_id = id, .verdict = VERDICT_RETRY, .retry_after_ms = cases[i].after_ms};
        assert_ok(outbox_settle(calls->outbox, &settlement, &calls->books, &calls->e), calls->e);
        commit(calls);
        int64_t wait_ms = outbox_next_due_ms(calls->outbox) - calls->now_ms;
        if (wait_ms < cases[i].least_ms || wait_ms > cases[i].most_ms) {
            fail_msg("%s: %lld ms", cases[i].why, (long long)wait_ms);
        }
        calls->now_ms += OUTBOX_WAIT_MAX_MS;
        assert_int_equal(take(calls), 1);
        begin(calls);
        settle(calls, id, VERDICT_DONE);
        commit(calls);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verdicts_are_the_workflows_business), TEST(an_emit_is_as_any_delivery),
        TEST(what_is_taken_back_does_not_go_out),  TEST(a_batch_that_fails_changes_nothing),
        TEST(routes_outlive_their_configuration),  TEST(what_cannot_be_put_is_told),
        TEST(a_peer_says_when_to_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
