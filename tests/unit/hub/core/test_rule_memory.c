// Statements that take all the memory they can get: each costs its own event and nothing else.
#include "core_support.h"

#define MEMORY_MAX (1 << 20)
// Of all that SQLite holds: the bound, what one instruction may take beyond it before it is
// refused, and the pages and statements of the store.
#define PEAK_MAX (STORE_MEMORY_MULTIPLE * MEMORY_MAX + (3 << 20))

#include "store/store_memory.h"

static char *read_reasons(struct fixture *fixture)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_db(fixture->store),
                                        "SELECT coalesce(group_concat(reason, '|'), '')"
                                        " FROM pipit_quarantine",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

static void add_number(struct fixture *fixture, int number)
{
    char payload[80];
    snprintf(payload, sizeof(payload), "{\"n\":%d,\"big\":200000}", number);
    add_message(fixture, "m/1", bytes_from_text(payload));
}

static void use_rules(struct fixture *fixture, char *sql, size_t size, const char *hostile)
{
    snprintf(sql, size, "SELECT n, CASE WHEN n %% 10 = 2 THEN %s ELSE 1 END AS v FROM \"m/+\"",
             hostile);
    fixture->rules[0] = (struct rule_spec){
        .name = "hostile", .sql = sql, .routes = fixture->routes, .route_count = 1};
    fixture->rules[1] = (struct rule_spec){.name = "plain",
                                           .sql = "SELECT n FROM \"m/+\"",
                                           .routes = fixture->routes,
                                           .route_count = 1};
    fixture->routes[0].topic = "out";
    fixture->spec.rule_count = 2;
    fixture->spec.rule_steps_max = 5000000;
    fixture->spec.rule_memory_max = MEMORY_MAX;
    fixture_close(fixture);
    folder_remove(&fixture->folder);
    folder_create(&fixture->folder);
    fixture_open(fixture);
}

static void run_batch(struct fixture *fixture, const char *why, uint32_t count)
{
    fixture->count = 0;
    for (uint32_t i = 1; i <= count; i++) {
        add_number(fixture, (int)i);
    }
    sqlite3_memory_highwater(1);
    enum err rc = core_step(fixture->core, fixture->inputs, count, fixture->now_ms,
                            &fixture->outcome, &fixture->e);
    if (rc != ERR_OK) {
        fail_msg("%s: %s", why, fixture->e.text);
    }
    if (sqlite3_memory_highwater(0) > PEAK_MAX) {
        fail_msg("%s: %lld bytes of memory", why, (long long)sqlite3_memory_highwater(0));
    }
}

#define NUMBERS "WITH RECURSIVE c(i) AS (SELECT n UNION ALL SELECT i + 1 FROM c) "
#define TEN(x)  x "," x "," x "," x "," x "," x "," x "," x "," x "," x

static void a_statement_that_takes_too_much_costs_its_event(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *sql;
    } cases[] = {
        {"a text that doubles",
         "(WITH RECURSIVE c(x) AS (SELECT n || ' ' UNION ALL SELECT x || x FROM c)"
         " SELECT max(length(x)) FROM c)"},
        {"texts that are kept",
         "(" NUMBERS "SELECT count(DISTINCT i || printf('%9000d', i)) FROM c)"},
        {"a text of all rows",
         "(" NUMBERS "SELECT length(group_concat(i)) FROM (SELECT i FROM c LIMIT 60000))"},
        {"JSON of all rows", "(" NUMBERS "SELECT json_group_array(printf('%99d', i)) FROM c)"},
        {"a sorter",
         "(" NUMBERS
         "SELECT max(t) FROM (SELECT printf('%999d', i) AS t FROM c ORDER BY t LIMIT 50000))"},
        {"a window", "(" NUMBERS "SELECT sum(i) OVER (ORDER BY i DESC) FROM c LIMIT 1)"},
        {"rows that differ",
         "(" NUMBERS "SELECT count(*) FROM (SELECT i FROM c UNION SELECT -i FROM c))"},
        {"a join that is kept",
         "(" NUMBERS "SELECT count(*) FROM (SELECT DISTINCT a.i, b.i FROM c AS a, c AS b))"},
        {"hexadecimal of itself", "length(hex(hex(hex(printf('%*d', big, n)))))"},
        {"everything replaced",
         "length(replace(printf('%*d', big, n), ' ', printf('%*d', big, n)))"},
        {"a concatenation", "length(printf('%*d', big, n) || printf('%*d', big, n))"},
        {"many long texts at once",
         "json_array(" TEN("printf('%*d', big, n)") "," TEN("printf('%*d', big, n)") ")"},
        {"the nodes of a long JSON text, in one instruction",
         "json_array_length('[0' || replace(printf('%*d', big / 2, n), ' ', ',0') || ']')"},
        {"more of them",
         "(SELECT count(*) FROM json_each('[0' || replace(printf('%*d', 120000, n), ' ', ',0')"
         " || ']'))"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[2000];
        struct books books;
        use_rules(fixture, sql, sizeof(sql), cases[i].sql);
        run_batch(fixture, cases[i].why, 3);
        core_books(fixture->core, &books);
        char *reasons = read_reasons(fixture);
        bool is_failed = books.rule_failures == 1;
        // A text beyond a quarter of the bound is what it may meet first.
        bool is_good = strstr(reasons, "rule \"hostile\": more than 1024 KB of memory for one "
                                       "event") != NULL ||
                       strcmp(reasons, "rule \"hostile\": string or blob too big") == 0;
        if (!is_failed || !is_good) {
            fail_msg("%s: %s", cases[i].why, is_failed ? reasons : "no failure");
        }
        free(reasons);
        assert_int_equal(books.received, 3);
        assert_int_equal(books.routed, 3); // The other rule wants them all.
        assert_int_equal(books.enqueued, 5);
        run_batch(fixture, "it goes on", 1);
        core_books(fixture->core, &books);
        assert_int_equal(books.enqueued, 7);
    }
}

// printf gives NULL where its text would be too long.
static void long_texts_are_not_made(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"length(printf('%*d', 2000000, n))",
                                        "length(printf('%.*c', 2000000000, 'x'))",
                                        "length(group_concat(printf('%.*c', 900000, 'x')))"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char sql[2000];
        struct books books;
        use_rules(fixture, sql, sizeof(sql), texts[i]);
        run_batch(fixture, texts[i], 3);
        core_books(fixture->core, &books);
        assert_int_equal(books.enqueued + books.rule_failures, 6);
    }
}

// In one instruction, so far beyond the bound that SQLite is refused the memory and rolls back.
static void what_costs_the_transaction_is_done_again_without(void **state)
{
    struct fixture *fixture = *state;
    char sql[2000];
    struct books books;
    // One text within the bound; in JSON each character of it takes six, and it is there six times.
    use_rules(fixture, sql, sizeof(sql),
              "(SELECT length(json_array(x, x, x, x, x, x)) FROM"
              " (SELECT replace(printf('%*d', 145000, n), ' ', char(1)) AS x LIMIT 1))");
    run_batch(fixture, "forty", 40); // 2, 12, 22, 32.
    core_books(fixture->core, &books);
    char *reasons = read_reasons(fixture);
    assert_non_null(strstr(reasons, "more than 1024 KB of memory for one event"));
    free(reasons);
    assert_int_equal(books.rule_failures, 4);
    assert_int_equal(books.routed, 40);
    assert_int_equal(books.enqueued, 76);
    run_batch(fixture, "again", 40); // What was denied in one batch is tried in the next.
    core_books(fixture->core, &books);
    assert_int_equal(books.rule_failures, 8);
    assert_int_equal(books.enqueued, 152);
    run_batch(fixture, "many of them", 200); // After the eighth of a batch it is not tried again.
    core_books(fixture->core, &books);
    assert_int_equal(books.received, 280);
    assert_int_equal(books.routed, 280);
    assert_in_range(books.rule_failures, 8 + 20, 8 + 200);
}

static void output_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char sql[2000];
    struct books books;
    // 900 rows of 200 KB: each is far below every other bound.
    use_rules(fixture, sql, sizeof(sql), "1");
    fixture->rules[0].sql =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 900)"
        " SELECT n, printf('%*d', 200000, n) AS v FROM \"m/+\", c WHERE n = 2";
    fixture_reopen(fixture);
    run_batch(fixture, "rows", 3);
    core_books(fixture->core, &books);
    char *reasons = read_reasons(fixture);
    assert_string_equal(reasons, "rule \"hostile\": more than 64 MB of deliveries for one event");
    free(reasons);
    assert_int_equal(books.enqueued, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_statement_that_takes_too_much_costs_its_event),
        TEST(long_texts_are_not_made),
        TEST(what_costs_the_transaction_is_done_again_without),
        TEST(output_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
