// What changed(), previous() and smooth() remember: from event to event, over restarts, and nothing
// of what failed, was undone or rolled back.
#include "core/memo.h"
#include "core/notes.h"
#include "json_support.h"

#define CHANGED "SELECT topic_part(2) AS d, n FROM \"a/+\" WHERE changed(n, 1)"

// The values of n of one device, one event each, in a batch or in batches of one.
static const char *run(struct fixture *fixture, const char *const *values, bool is_one_batch)
{
    for (size_t i = 0; values[i] != NULL; i++) {
        char fields[100];
        snprintf(fields, sizeof(fields), "\"n\":%s", values[i]);
        put(fixture, "d1", fields);
        if (!is_one_batch) {
            step(fixture);
        }
    }
    if (is_one_batch) {
        step(fixture);
    }
    return outputs(fixture);
}

static void functions_remember(void **state)
{
    static const struct {
        const char *why, *expression, *values[12], *want;
    } cases[] = {
        {"any change", "changed(n)", {"1", "1", "2", "2.0", "1"}, "1 0 1 0 1 "},
        {"a dead band holds on to what was reported",
         "changed(n, 1)",
         {"10", "10.9", "11", "11.1", "11.9", "10.0"},
         "1 0 0 1 0 1 "},
        {"another type",
         "changed(n)",
         {"1", "\"1\"", "\"1\"", "null", "null", "1"},
         "1 1 0 1 0 1 "},
        {"the first is NULL", "changed(n)", {"null", "null", "0"}, "1 0 1 "},
        {"texts", "changed(n, 5)", {"\"on\"", "\"on\"", "\"off\""}, "1 0 1 "},
        {"whole numbers that a double cannot tell apart",
         "changed(n)",
         {"9007199254740993", "9007199254740992"},
         "1 1 "},
        {"a key of its own", "changed(1, 0, n)", {"1", "2", "1", "2", "3"}, "1 1 0 0 1 "},
        {"two calls are two memories",
         "changed(n) + 10 * changed(n, 100)",
         {"1", "2", "102"},
         "11 1 11 "},
        {"the event before", "previous(n)", {"1", "\"x\"", "null", "2"}, "null 1 x null "},
        {"a difference", "n - previous(n)", {"1", "4", "2.5"}, "null 3 -1.5 "},
        {"smoothed", "smooth(n, 0.5)", {"10", "20", "null", "0"}, "10.0 15.0 15.0 7.5 "},
        {"smoothed, no value yet", "smooth(n, 0.5)", {"null", "4"}, "null 4.0 "},
        {"a call that is not reached is not asked",
         "iif(changed(n), 'new', changed(n) + 5)",
         {"1", "1", "2"},
         "new 6 new "},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int is_one_batch = 0; is_one_batch < 2; is_one_batch++) {
            char sql[300], have[2000] = "";
            fixture_teardown((void **)&fixture);
            fixture_setup((void **)&fixture);
            *state = fixture;
            snprintf(sql, sizeof(sql), "SELECT %s AS y FROM \"a/+\"", cases[i].expression);
            use_sql(fixture, sql);
            char *lines = strdup(run(fixture, cases[i].values, is_one_batch));
            for (char *line = strtok(lines, "\n"); line != NULL; line = strtok(NULL, "\n")) {
                char *value = line + 5; // {"y":
                value[strlen(value) - 1] = '\0';
                value += value[0] == '"';
                value[strcspn(value, "\"")] = '\0';
                strcat(strcat(have, value), " ");
            }
            free(lines);
            if (strcmp(have, cases[i].want) != 0) {
                fail_msg("%s: want %s, have %s", cases[i].why, cases[i].want, have);
            }
        }
    }
}

// SQLite puts the expression in place of its alias and asks twice.
static void an_alias_in_where_is_one_call(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, "SELECT n, changed(n) AS c FROM \"a/+\" WHERE c");
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d1", "\"n\":2");
    step(fixture);
    assert_outputs(fixture, "{\"n\":1,\"c\":1}\n{\"n\":2,\"c\":1}\n");
}

static void devices_are_kept_apart(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, CHANGED);
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d2", "\"n\":1");
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d2", "\"n\":3");
    step(fixture);
    assert_outputs(fixture,
                   "{\"d\":\"d1\",\"n\":1}\n{\"d\":\"d2\",\"n\":1}\n{\"d\":\"d2\",\"n\":3}\n");
}

static void a_failed_event_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    // abs() of the smallest number overflows: the rule fails after it has asked.
    use_sql(fixture, "SELECT n, previous(n) AS before FROM \"a/+\" WHERE previous(n) IS NULL OR "
                     "abs(coalesce(m, 0)) >= 0");
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d1", "\"n\":2,\"m\":-9223372036854775808");
    put(fixture, "d1", "\"n\":3");
    step(fixture);
    assert_outputs(fixture, "{\"n\":1,\"before\":null}\n{\"n\":3,\"before\":1}\n");
    assert_int_equal(books_of(fixture).rule_failures, 1);
}

static void it_survives_a_restart(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, CHANGED);
    put(fixture, "d1", "\"n\":5");
    step(fixture);
    assert_outputs(fixture, "{\"d\":\"d1\",\"n\":5}\n");
    fixture_reopen(fixture);
    put(fixture, "d1", "\"n\":5.5");
    put(fixture, "d1", "\"n\":7");
    step(fixture);
    assert_outputs(fixture, "{\"d\":\"d1\",\"n\":7}\n");
}

static void another_sql_forgets(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, CHANGED);
    put(fixture, "d1", "\"n\":5");
    step(fixture);
    outputs(fixture);
    struct core_spec spec = fixture->spec;
    struct rule_spec rule = fixture->rules[0];
    spec.rules = &rule;
    assert_ok(core_swap(fixture->core, &spec, &fixture->e), fixture->e); // The same: it stays.
    assert_int_equal(core_notes(fixture->core)->count, 0);
    put(fixture, "d1", "\"n\":5");
    step(fixture);
    assert_outputs(fixture, "");
    struct core_spec second = spec;
    struct rule_spec other = rule;
    second.rules = &other;
    other.sql = CHANGED " AND 1";
    assert_ok(core_try_swap(fixture->core, &second, &fixture->e), fixture->e);
    assert_int_equal(core_notes(fixture->core)->count, 1);
    put(fixture, "d1", "\"n\":5");
    step(fixture);
    assert_outputs(fixture, ""); // Only tried.
    assert_ok(core_swap(fixture->core, &second, &fixture->e), fixture->e);
    assert_non_null(strstr(core_notes(fixture->core)->texts[0], "its sql has changed"));
    put(fixture, "d1", "\"n\":5");
    step(fixture);
    assert_outputs(fixture, "{\"d\":\"d1\",\"n\":5}\n");
    fixture_close(fixture); // The specs end here.
    fixture_open(fixture);
}

static void a_batch_that_is_rolled_back_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, CHANGED);
    put(fixture, "d1", "\"n\":1");
    step(fixture);
    outputs(fixture);
    put(fixture, "d1", "\"n\":9");
    sqlite3 *other = NULL; // Holds the database, so that the transaction cannot begin or commit.
    assert_int_equal(sqlite3_open(fixture->folder.store_path, &other), SQLITE_OK);
    sqlite3_busy_timeout(store_db(fixture->store), 1);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(try_step(fixture), ERR_FULL);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    step(fixture);
    assert_outputs(fixture, "{\"d\":\"d1\",\"n\":9}\n");
}

// A table with a trigger refuses the outbox's row, late in the transaction.
static void a_transaction_that_fails_late_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, CHANGED);
    put(fixture, "d1", "\"n\":1");
    step(fixture);
    outputs(fixture);
    sqlite3 *db = store_db(fixture->store);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TEMP TRIGGER stop BEFORE INSERT ON main.pipit_outbox "
                                  "BEGIN SELECT RAISE(ABORT, 'no'); END",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    put(fixture, "d1", "\"n\":9");
    assert_int_not_equal(try_step(fixture), ERR_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TRIGGER stop", NULL, NULL, NULL), SQLITE_OK);
    step(fixture);
    assert_outputs(fixture, "{\"d\":\"d1\",\"n\":9}\n");
}

static void keys_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct memo *memo = NULL;
    struct error *e = &fixture->e;
    assert_ok(memo_create(&memo, fixture->store, 32, e), fixture->e);
    for (int i = 0; i < 100; i++) {
        char key[16];
        struct memo_entry *entry;
        struct memo_value before, answer;
        snprintf(key, sizeof(key), "k%d", i);
        const struct memo_ask ask = {.rule = 1,
                                     .site = 1,
                                     .key = bytes_from_text(key),
                                     .event = 1,
                                     .asked = {.type = SQLITE_INTEGER, .integer = i}};
        assert_ok(store_begin(fixture->store, true, e), fixture->e);
        assert_int_equal(memo_find(memo, &ask, &entry, &before, &answer), SQLITE_OK);
        assert_int_equal(before.type, 0);
        assert_int_equal(memo_keep(memo, entry, &ask, &ask.asked, &ask.asked), SQLITE_OK);
        assert_ok(memo_flush(memo, 86400000LL * i, e), fixture->e);
        assert_ok(store_commit(fixture->store, e), fixture->e);
        memo_commit(memo);
    }
    sqlite3_stmt *count = NULL;
    sqlite3_prepare_v2(store_db(fixture->store),
                       "SELECT count(*), max(key = 'k99'), max(key = 'k0') FROM pipit_memo", -1,
                       &count, NULL);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    assert_in_range(sqlite3_column_int(count, 0), 28, 32);
    assert_int_equal(sqlite3_column_int(count, 1), 1); // The last is there, the first is not.
    assert_int_equal(sqlite3_column_int(count, 2), 0);
    sqlite3_finalize(count);
    memo_destroy(memo);
}

static void what_is_too_large_is_refused(void **state)
{
    struct fixture *fixture = *state;
    use_sql(fixture, "SELECT previous(printf('%.*c', n, 'x')) IS NULL AS y FROM \"a/+\"");
    put(fixture, "d1", "\"n\":4096");
    put(fixture, "d1", "\"n\":4097");
    step(fixture);
    assert_outputs(fixture, "{\"y\":1}\n");
    assert_int_equal(books_of(fixture).rule_failures, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(functions_remember),
        TEST(an_alias_in_where_is_one_call),
        TEST(devices_are_kept_apart),
        TEST(a_failed_event_leaves_nothing),
        TEST(it_survives_a_restart),
        TEST(another_sql_forgets),
        TEST(a_batch_that_is_rolled_back_leaves_nothing),
        TEST(a_transaction_that_fails_late_leaves_nothing),
        TEST(keys_are_bounded),
        TEST(what_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
