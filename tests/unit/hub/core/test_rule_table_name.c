// Where a topic filter is a table in SQL, and where it is something else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rule_table_name.h"

// "@" in `want` stands for the filter with its number.
static void it_is_put_where_the_table_is_meant(void **state)
{
    (void)state;
    static const struct {
        const char *why, *sql, *want;
    } cases[] = {
        {"behind FROM", "SELECT x FROM \"a/+\"", "SELECT x FROM @"},
        {"in other quotes", "SELECT x FROM [a/+] e", "SELECT x FROM @ e"},
        {"before a column", "SELECT \"a/+\".x FROM `a/+`", "SELECT @.x FROM @"},
        {"behind JOIN", "SELECT x FROM s JOIN \"a/+\" AS e ON e.x = s.x",
         "SELECT x FROM s JOIN @ AS e ON e.x = s.x"},
        {"in a list of tables", "SELECT x FROM s, \"a/+\" e", "SELECT x FROM s, @ e"},
        {"in parentheses", "SELECT x FROM (s, \"a/+\")", "SELECT x FROM (s, @)"},
        {"in a select within", "SELECT y FROM (SELECT x AS y, 1 FROM \"a/+\")",
         "SELECT y FROM (SELECT x AS y, 1 FROM @)"},
        {"behind the schema", "SELECT x FROM main.\"a/+\"", "SELECT x FROM main.@"},
        {"case does not matter", "SELECT x FROM \"A/+\"", "SELECT x FROM @"},
        {"a field of that name", "SELECT x, \"a/+\" FROM \"a/+\"", "SELECT x, \"a/+\" FROM @"},
        {"what a column is called", "SELECT x AS \"a/+\" FROM \"a/+\"",
         "SELECT x AS \"a/+\" FROM @"},
        {"a text", "SELECT 'FROM \"a/+\"' FROM \"a/+\"", "SELECT 'FROM \"a/+\"' FROM @"},
        {"a comment", "SELECT x -- FROM \"a/+\"\nFROM \"a/+\"", "SELECT x -- FROM \"a/+\"\nFROM @"},
        {"an argument", "SELECT max(x, \"a/+\") FROM \"a/+\"", "SELECT max(x, \"a/+\") FROM @"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct table_name name;
        struct error e = {0};
        assert_int_equal(table_name_make(&name, cases[i].sql, "a/+", 7, &e), ERR_OK);
        char want[400] = "";
        for (const char *c = cases[i].want; *c != '\0'; c++) {
            strncat(want,
                    *c == '@' ? "\"a/+\x01"
                                "7\""
                              : c,
                    *c == '@' ? 20 : 1);
        }
        if (strcmp(want, name.sql) != 0) {
            fail_msg("%s: %s", cases[i].why, name.sql);
        }
        table_name_deinit(&name);
    }
}

static void offsets_lead_back(void **state)
{
    (void)state;
    static const char sql[] = "SELECT \"a/+\".x FROM [a/+] WHERE y";
    struct table_name name;
    struct error e = {0};
    assert_int_equal(table_name_make(&name, sql, "a/+", 12345, &e), ERR_OK);
    static const char *const places[] = {"SELECT", ".x", "FROM", "WHERE", "y"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        int32_t now = (int32_t)(strstr(name.sql, places[i]) - name.sql);
        assert_int_equal(table_name_find_place(&name, now), strstr(sql, places[i]) - sql);
    }
    assert_int_equal(table_name_find_place(&name, 10), 7); // Within the name: its beginning.
    assert_int_equal(table_name_find_place(&name, -1), -1);
    char text[] = "no such column: a/+\x01"
                  "12345.z";
    assert_true(table_name_is_in(text));
    table_name_clean(text);
    assert_string_equal(text, "no such column: a/+.z");
    assert_false(table_name_is_in(text));
    table_name_deinit(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_put_where_the_table_is_meant),
        cmocka_unit_test(offsets_lead_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
