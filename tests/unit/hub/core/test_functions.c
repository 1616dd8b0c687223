// The functions that SQL has beyond SQLite's: aggregates against figures computed elsewhere
// (Python's statistics), what they refuse, and the numbering of calls that remember.
#include "core/function_list.h"
#include "core/function_sites.h"
#include "rules_support.h"

#define OVER_X "FROM \"a/+\" e, json_each(e.fields, '$.x') v"

static void aggregates_give_known_figures(void **state)
{
    static const struct {
        const char *why, *expression, *x, *want;
    } cases[] = {
        {"the first", "first(v.value)", "[2,5,1]", "2"},
        {"NULL is no value", "first(v.value)", "[null,5,1]", "5"},
        {"the last", "last(v.value)", "[2,5,1,null]", "1"},
        {"a text", "last(v.value)", "[\"a\",\"b\"]", "\"b\""},
        {"by an order", "first(v.value, -v.key)", "[2,5,1]", "1"},
        {"by an order, the last of equals", "last(v.value, v.key / 2)", "[2,5,1,7]", "7"},
        {"by an order, the first of equals", "first(v.value, v.key / 2)", "[2,5,1,7]", "2"},
        {"by a text", "last(v.value, char(100 - v.key))", "[2,5,1]", "2"},
        {"none", "first(v.value)", "[]", "null"},
        {"a difference of whole numbers", "delta(v.value)", "[9007199254740993,9007199254740995]",
         "2"},
        {"a difference", "delta(v.value)", "[1.5,9,4]", "2.5"},
        {"a difference by an order", "delta(v.value, -v.key)", "[1.5,9,4]", "-2.5"},
        {"of one value", "delta(v.value)", "[7]", "0"},
        {"of none", "delta(v.value)", "[null]", "null"},
        {"more than 64 bits", "delta(v.value)", "[-9223372036854775808,9223372036854775807]",
         "1.8446744073709552e19"},
        {"a rate", "rate(v.value, v.key * 500)", "[10,11,14]", "4.0"},
        {"a rate of rows in disorder", "rate(v.value, (v.key * 2) % 3 * 1000)", "[10,30,20]",
         "10.0"},
        {"no time has passed", "rate(v.value, 5)", "[1,2]", "null"},
        {"a rate of one", "rate(v.value, v.key)", "[1]", "null"},
        {"sample deviation", "round(stddev(v.value), 12)", "[2.5,3.5,7,1,9,4]", "2.966479394838"},
        {"of the population", "round(stddev_pop(v.value), 12)", "[2.5,3.5,7,1,9,4]",
         "2.708012801545"},
        {"large numbers close together", "round(stddev(v.value), 9)",
         "[1000000004,1000000007,1000000013,1000000016]", "5.477225575"},
        {"of one", "stddev(v.value)", "[3]", "null"},
        {"of one, population", "stddev_pop(v.value)", "[3]", "0.0"},
        {"the lowest", "percentile(v.value, 0)", "[2.5,3.5,7,1,9,4]", "1.0"},
        {"between two", "percentile(v.value, 25)", "[2.5,3.5,7,1,9,4]", "2.75"},
        {"ninety", "percentile(v.value, 90)", "[2.5,3.5,7,1,9,4]", "8.0"},
        {"ninety-five", "percentile(v.value, 95)", "[2.5,3.5,7,1,9,4]", "8.5"},
        {"the highest", "percentile(v.value, 100)", "[2.5,3.5,7,1,9,4]", "9.0"},
        {"median of an even number", "median(v.value)", "[2.5,3.5,7,1,9,4]", "3.75"},
        {"median of an odd number", "median(v.value)", "[3,1,null,2]", "2.0"},
        {"a number as text", "median(v.value)", "[\"3\",\"1\",\"2\"]", "2.0"},
        {"weighted", "round(ewma(v.value, 0.3), 9)", "[2.5,3.5,7,1,9,4]", "4.62958"},
        {"weighted, two", "ewma(v.value, 0.5)", "[10,20]", "15.0"},
        {"with FILTER", "median(v.value) FILTER (WHERE v.value > 2)", "[1,2,3,4,9]", "4.0"},
        {"with DISTINCT", "stddev_pop(DISTINCT v.value)", "[1,1,1,3]", "1.0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[300], payload[300], want[300];
        snprintf(sql, sizeof(sql), "SELECT %s AS y " OVER_X, cases[i].expression);
        snprintf(payload, sizeof(payload), "{\"x\":%s}", cases[i].x);
        snprintf(want, sizeof(want), "0.0.0.0 a/b|out|{\"y\":%s}\n", cases[i].want);
        rules_expect(*state, sql, "a/b", payload, want);
    }
}

// Frames of three rows that move on: what leaves is taken out again.
static void aggregates_slide_over_windows(void **state)
{
    static const struct {
        const char *expression, *want;
    } cases[] = {
        {"median(v.value)", "[2.5,3.0,3.5,3.5,7.0,4.0]"},
        {"percentile(v.value, 100)", "[2.5,3.5,7.0,7.0,9.0,9.0]"},
        {"stddev(v.value)", "[null,0.707107,2.362908,3.013857,4.163332,4.041452]"},
        {"ewma(v.value, 0.5)", "[2.5,3.0,5.0,3.125,6.5,4.5]"},
        {"delta(v.value)", "[0.0,1.0,4.5,-2.5,2.0,3.0]"},
        {"rate(v.value, v.key * 1000)", "[null,1.0,2.25,-1.25,1.0,1.5]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[400], want[300];
        snprintf(
            sql, sizeof(sql),
            "SELECT json_group_array(round(y, 6)) AS y FROM (SELECT %s OVER (ORDER BY v.key ROWS 2 "
            "PRECEDING) AS y " OVER_X ")",
            cases[i].expression);
        snprintf(want, sizeof(want), "0.0.0.0 a/b|out|{\"y\":%s}\n", cases[i].want);
        rules_expect(*state, sql, "a/b", "{\"x\":[2.5,3.5,7,1,9,4.0]}", want);
    }
}

static void what_aggregates_refuse(void **state)
{
    static const struct {
        const char *why, *expression, *x, *want;
    } cases[] = {
        {"a text", "stddev(v.value)", "[1,\"warm\"]", "stddev(): 'warm' is not a number"},
        {"a text, median", "median(v.value)", "[1,\"warm\"]", "'warm' is not a number"},
        {"p", "percentile(v.value, 101)", "[1]", "p must be a number from 0 to 100"},
        {"p is a text", "percentile(v.value, 'x')", "[1]", "p must be a number from 0 to 100"},
        {"alpha", "ewma(v.value, 0)", "[1]", "alpha must be above 0 and at most 1"},
    };
    struct rules_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[300], payload[300];
        snprintf(sql, sizeof(sql), "SELECT %s AS y " OVER_X, cases[i].expression);
        snprintf(payload, sizeof(payload), "{\"x\":%s}", cases[i].x);
        assert_int_equal(rules_compile(fixture, sql), ERR_OK);
        rules_clear(fixture);
        rules_put_text(fixture, "a/b", payload);
        const char *have = rules_output(fixture);
        if (strstr(have, "failed") == NULL || strstr(have, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].why, have);
        }
    }
    assert_int_equal(rules_compile(fixture, "SELECT first(v.value) OVER () AS y " OVER_X),
                     ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "may not be used as a window function"));
}

// A frame that grows over very many rows costs more than its instructions.
static void work_on_many_rows_is_in_the_budget(void **state)
{
    struct rules_fixture *fixture = *state;
    static const char sql[] =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "
        "SELECT max(y) AS y FROM (SELECT median(i * 7919 % 10007) OVER (ORDER BY i) AS y FROM c), "
        "\"a/+\" e WHERE e.n > 0";
    fixture->spec.rule_steps_max = 1000000;
    assert_int_equal(rules_compile(fixture, sql), ERR_OK);
    rules_put_text(fixture, "a/b", "{\"n\":1}");
    const char *have = rules_output(fixture);
    if (strstr(have, "more than 1000000 SQLite instructions") == NULL) {
        fail_msg("%s", have);
    }
}

static void the_list_is_what_sqlite_has(void **state)
{
    struct rules_fixture *fixture = *state;
    assert_int_equal(rules_compile(fixture, "SELECT 1 AS one FROM \"a/+\""), ERR_OK);
    for (size_t i = 0; i < function_count; i++) {
        const struct function_info *row = &function_list[i];
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(fixture->db,
                                            "SELECT 1 FROM pragma_function_list WHERE name = ?", -1,
                                            &statement, NULL),
                         SQLITE_OK);
        sqlite3_bind_text(statement, 1, row->name, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) != SQLITE_ROW) {
            fail_msg("%s is in the list only", row->name);
        }
        sqlite3_finalize(statement);
        assert_true(row->sentence[0] != '\0' && strstr(row->example, row->name) != NULL);
    }
}

static void examples_of_the_list_compile(void **state)
{
    struct rules_fixture *fixture = *state;
    for (size_t i = 0; i < function_count; i++) {
        char sql[300];
        snprintf(sql, sizeof(sql), "SELECT %s AS y FROM \"a/+\"", function_list[i].example);
        if (rules_compile(fixture, sql) != ERR_OK) {
            fail_msg("%s: %s", sql, fixture->e.text);
        }
    }
}

static void calls_that_remember_get_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *why, *sql, *want;
    } cases[] = {
        {"a call", "SELECT changed(x) AS c", "SELECT changed(1,x) AS c"},
        {"two calls", "changed(x, 1) AND Previous (y)", "changed(1,x, 1) AND Previous (2,y)"},
        {"one in another", "changed(smooth(x, 0.1))", "changed(1,smooth(2,x, 0.1))"},
        {"a comment between", "changed /* ( */ (x)", "changed /* ( */ (1,x)"},
        {"in a text", "'changed(x)'", NULL},
        {"in a name", "\"changed(x)\", [changed(x)], `changed(x)`", NULL},
        {"in a comment", "-- changed(x)\n1 /* changed(x) */", NULL},
        {"a column", "changed, e.changed + 1", NULL},
        {"a longer name", "unchanged(x), changed2(x)", NULL},
        {"a text with a quote in it", "'it''s' || changed(x)", "'it''s' || changed(1,x)"},
        {"open ends", "changed(x) 'abc", "changed(1,x) 'abc"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct function_sites sites;
        assert_int_equal(function_sites_number(&sites, cases[i].sql, NULL), ERR_OK);
        if (cases[i].want == NULL ? sites.text != NULL
                                  : sites.text == NULL || strcmp(sites.text, cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, sites.text == NULL ? "(none)" : sites.text);
        }
        for (int32_t at = 0; sites.text != NULL && sites.text[at] != '\0'; at++) {
            int32_t place = function_sites_place(&sites, at);
            if (sites.text[at] != cases[i].sql[place] && strchr("12,", sites.text[at]) == NULL) {
                fail_msg("%s: %d is not at %d", cases[i].why, at, place);
            }
        }
        function_sites_deinit(&sites);
    }
}

static void faults_around_numbered_calls_have_their_place(void **state)
{
    static const struct {
        const char *why, *sql, *want;
        int32_t offset;
    } cases[] = {
        {"behind a call", "SELECT changed(x) AS c, nosuch(y) AS d FROM \"a/+\"",
         "no such function: nosuch", 24},
        {"no name", "SELECT n, changed(x) FROM \"a/+\"", "column 2 has no name", -1},
        {"too many arguments", "SELECT changed(x, 1, 2, 3) AS c FROM \"a/+\"",
         "wrong number of arguments", 7},
    };
    struct rules_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(rules_compile(fixture, cases[i].sql), ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL ||
            fixture->e.offset != cases[i].offset) {
            fail_msg("%s: %s (%d)", cases[i].why, fixture->e.text, fixture->e.offset);
        }
    }
    fixture->spec.identity_count = 1;
    fixture->identities[0] =
        (struct identity_spec){.name = "i", .from = "a/+", .device = "previous(serial)"};
    assert_int_equal(rules_compile(fixture, "SELECT n FROM \"a/+\""), ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "previous() remembers from event to event"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_setup, rules_teardown)
    const struct CMUnitTest tests[] = {
        TEST(aggregates_give_known_figures),
        TEST(aggregates_slide_over_windows),
        TEST(what_aggregates_refuse),
        TEST(work_on_many_rows_is_in_the_budget),
        TEST(the_list_is_what_sqlite_has),
        TEST(examples_of_the_list_compile),
        cmocka_unit_test(calls_that_remember_get_numbers),
        TEST(faults_around_numbered_calls_have_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
