// What happens in an instance: rows for those who look later, JSON for those who watch.
#include "core/workflow_parts.h"
#include "store_support.h"

static struct workflow_step steps[2] = {{.name = "reserve"}, {.name = "paid"}};
static struct workflow_definition definition = {.id = 7,
                                                .workflow_id = 1,
                                                .name = "order",
                                                .version = "00000000000000aa",
                                                .steps = steps,
                                                .step_count = 2};

struct fixture {
    struct store *store;
    struct core_spec spec;
    struct event_memory memory;
    struct workflows workflows;
    struct workflow_instance instance;
    struct workflow_token token;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error e;
    fixture->store = open_store(":memory:");
    sqlite3_exec(store_db(fixture->store),
                 "INSERT INTO pipit_workflow(id, name) VALUES (1, 'order')", NULL, NULL, NULL);
    event_memory_init(&fixture->memory);
    fixture->spec = (struct core_spec){.hub_id = "plant-7", .is_telling_workflows = true};
    fixture->workflows = (struct workflows){.store = fixture->store,
                                            .spec = &fixture->spec,
                                            .memory = &fixture->memory,
                                            .now_ms = 1762000000250};
    fixture->instance = (struct workflow_instance){.id = 17,
                                                   .definition = &definition,
                                                   .key = "1007",
                                                   .state = INSTANCE_RUNNING,
                                                   .next_entry = 1};
    fixture->token = (struct workflow_token){.id = 1, .step = 1, .execution = 3, .attempt = 2};
    assert_ok(workflow_journal_create(&fixture->workflows.journal, fixture->store, &e), e);
    assert_ok(workflow_tally_create(&fixture->workflows.tally, fixture->store, &e), e);
    assert_ok(store_begin(fixture->store, true, &e), e);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_rollback(fixture->store);
    workflow_journal_destroy(fixture->workflows.journal);
    workflow_tally_destroy(fixture->workflows.tally);
    event_memory_deinit(&fixture->memory);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

static void add(struct fixture *fixture, const struct workflow_entry *entry)
{
    struct error e = {0};
    assert_ok(workflow_journal_add(&fixture->workflows, &fixture->instance, entry, &e), e);
}

static struct outcome told(struct fixture *fixture)
{
    struct outcome outcome = {0};
    workflow_journal_tell(fixture->workflows.journal, &outcome);
    return outcome;
}

static void an_entry_is_a_row_and_a_transition(void **state)
{
    struct fixture *fixture = *state;
    const struct workflow_entry entry = {.kind = ENTRY_RETRYING,
                                         .token = &fixture->token,
                                         .error = "timeout",
                                         .reason = "nothing came within 10 s",
                                         .take_data = json_pack("{s:i}", "until", 5)};
    add(fixture, &entry);
    assert_int_equal(ask(fixture->store,
                         "SELECT count(*) FROM pipit_workflow_entry WHERE instance = 17 AND"
                         " number = 1 AND at = 1762000000250 AND step = 'paid' AND execution = 3"
                         " AND what = 'retrying' AND attempt = 2 AND error = 'timeout' AND"
                         " reason = 'nothing came within 10 s' AND data = '{\"until\":5}'"),
                     1);
    struct outcome outcome = told(fixture);
    assert_int_equal(outcome.transition_count, 1);
    assert_string_equal(outcome.transition_topics[0],
                        "pipit/v1/$hub/plant-7/workflow/order/1007/paid/retrying");
    assert_string_equal(
        outcome.transitions[0],
        "{\"workflow\":\"order\",\"key\":\"1007\",\"instance\":17,\"version\":"
        "\"00000000000000aa\",\"what\":\"retrying\",\"step\":\"paid\",\"execution\":3,\"attempt\":"
        "2,"
        "\"at\":\"2025-11-01T12:26:40.250Z\",\"state\":\"running\",\"error\":\"timeout\","
        "\"reason\":\"nothing came within 10 s\",\"data\":{\"until\":5}}");
    assert_true(fixture->instance.is_dirty);
    assert_int_equal(fixture->instance.next_entry, 2);
}

static void a_key_is_one_level_of_the_topic(void **state)
{
    static const struct {
        const char *why, *key, *level;
    } cases[] = {
        {"what a URL leaves alone", "a-Z.0_9~", "a-Z.0_9~"},
        {"a level's end and wildcards", "plant/d1+#", "plant%2Fd1%2B%23"},
        {"the sign itself, blanks", "100% b", "100%25%20b"},
        {"UTF-8, byte by byte", "\xc3\xa4", "%C3%A4"},
        {"controls", "a\nb", "a%0Ab"},
        {"nothing", "", ""},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct workflow_entry entry = {.kind = ENTRY_STARTED};
        char topic[200];
        workflow_journal_clear(fixture->workflows.journal);
        fixture->instance.key = cases[i].key;
        add(fixture, &entry);
        snprintf(topic, sizeof(topic), "pipit/v1/$hub/plant-7/workflow/order/%s/started",
                 cases[i].level);
        if (strcmp(told(fixture).transition_topics[0], topic) != 0) {
            fail_msg("%s: %s", cases[i].why, told(fixture).transition_topics[0]);
        }
    }
}

static void nothing_is_told_where_nobody_wants_it(void **state)
{
    struct fixture *fixture = *state;
    const struct workflow_entry entry = {.kind = ENTRY_STARTED};
    fixture->spec.is_telling_workflows = false;
    add(fixture, &entry);
    assert_int_equal(told(fixture).transition_count, 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_workflow_entry"), 1);
}

static void long_data_is_kept_by_its_beginning(void **state)
{
    struct fixture *fixture = *state;
    char *text = malloc(100001);
    for (size_t i = 0; i < 100000; i += 2) {
        memcpy(text + i, "\xc3\xa4", 2);
    }
    text[100000] = '\0';
    const struct workflow_entry entry = {
        .kind = ENTRY_DONE, .token = &fixture->token, .take_data = json_string(text)};
    add(fixture, &entry);
    free(text);
    assert_int_equal(ask(fixture->store, "SELECT data ->> 'bytes' FROM pipit_workflow_entry"),
                     100002);
    // A quote and 499 whole characters.
    assert_int_equal(
        ask(fixture->store, "SELECT length(data ->> 'beginning') FROM pipit_workflow_entry"), 500);
    assert_non_null(strstr(told(fixture).transitions[0], "\"beginning\":"));
}

static void of_many_entries_the_first_and_the_newest_stay(void **state)
{
    struct fixture *fixture = *state;
    const struct workflow_entry entry = {.kind = ENTRY_ENTERED, .token = &fixture->token};
    for (int i = 0; i < WORKFLOW_ENTRIES_MAX + 500; i++) {
        add(fixture, &entry);
    }
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_workflow_entry"),
                     WORKFLOW_ENTRIES_MAX);
    assert_int_equal(ask(fixture->store, "SELECT min(number) FROM pipit_workflow_entry"), 1);
    assert_int_equal(
        ask(fixture->store, "SELECT min(number) FROM pipit_workflow_entry WHERE number > 1"), 502);
    assert_int_equal(ask(fixture->store, "SELECT max(number) FROM pipit_workflow_entry"),
                     WORKFLOW_ENTRIES_MAX + 500);
}

static void transitions_are_bounded_and_the_rest_is_counted(void **state)
{
    struct fixture *fixture = *state;
    const struct workflow_entry entry = {.kind = ENTRY_ENTERED, .token = &fixture->token};
    for (int i = 0; i < 20100; i++) {
        add(fixture, &entry);
    }
    assert_int_equal(told(fixture).transition_count, 20000);
    assert_int_equal(told(fixture).transitions_untold, 100);
    workflow_journal_clear(fixture->workflows.journal);
    assert_int_equal(told(fixture).transition_count, 0);
    assert_int_equal(told(fixture).transitions_untold, 0);
}

static void entries_keep_the_books_of_instances(void **state)
{
    static const struct {
        const char *why;
        enum workflow_entry_kind kind;
        enum workflow_state to;
        const char *column;
    } cases[] = {
        {"it waits for its turn", ENTRY_QUEUED, INSTANCE_QUEUED, "queued"},
        {"it begins", ENTRY_STARTED, INSTANCE_RUNNING, "running"},
        {"steps change nothing", ENTRY_ENTERED, INSTANCE_RUNNING, "running"},
        {"it fails", ENTRY_UNDOING, INSTANCE_UNDOING, "undoing"},
        {"an undo fails", ENTRY_PARKED, INSTANCE_PARKED, "parked"},
        {"an operator", ENTRY_RETRIED, INSTANCE_UNDOING, "undoing"},
        {"the end", ENTRY_FAILED, INSTANCE_FAILED, "failed"},
    };
    struct fixture *fixture = *state;
    struct error e;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct workflow_entry entry = {.kind = cases[i].kind};
        char sql[200];
        fixture->instance.state = cases[i].to;
        add(fixture, &entry);
        assert_ok(workflow_tally_flush(fixture->workflows.tally, 0, &e), e);
        snprintf(sql, sizeof(sql),
                 "SELECT %s = 1 AND started = 1 AND queued + running + undoing + parked +"
                 " completed + failed + cancelled = 1 FROM pipit_workflow",
                 cases[i].column);
        if (ask(fixture->store, sql) != 1) {
            fail_msg("%s", cases[i].why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_entry_is_a_row_and_a_transition, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_is_one_level_of_the_topic, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_told_where_nobody_wants_it, setup, teardown),
        cmocka_unit_test_setup_teardown(long_data_is_kept_by_its_beginning, setup, teardown),
        cmocka_unit_test_setup_teardown(of_many_entries_the_first_and_the_newest_stay, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(transitions_are_bounded_and_the_rest_is_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(entries_keep_the_books_of_instances, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
