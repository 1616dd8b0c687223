// What explaining a rule needs to know of its SQL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/sql_words.h"

static void words_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *why, *sql, *want;
    } cases[] = {
        {"names, numbers, operators", "a + 1.5e-3", "w:a p:+ n:1.5e-3 "},
        {"a doubled quote is part of a name", "\"a\"\"b\" c", "q:\"a\"\"b\" w:c "},
        {"and of a text", "'it''s' x", "t:'it''s' w:x "},
        {"brackets and backticks are names", "[a b]`c`", "q:[a b] q:`c` "},
        {"comments are passed over", "a -- b\n/* c */d", "w:a w:d "},
        {"a comment without an end", "a /* b", "w:a "},
        {"a text without an end", "'a", "t:'a "},
        {"UTF-8 belongs to a name",
         "gr\xC3\xB6\xC3\x9F"
         "e",
         "w:gr\xC3\xB6\xC3\x9F"
         "e "},
        {"nothing", "  ", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static const char kinds[] = {[SQL_WORD] = 'w',
                                     [SQL_QUOTED] = 'q',
                                     [SQL_TEXT] = 't',
                                     [SQL_NUMBER] = 'n',
                                     [SQL_PUNCTUATION] = 'p'};
        char got[200] = "";
        struct bytes rest = bytes_from_text(cases[i].sql);
        struct sql_word word = sql_word_next(&rest);
        for (; word.kind != SQL_END; word = sql_word_next(&rest)) {
            size_t len = strlen(got);
            snprintf(got + len, sizeof(got) - len, "%c:%.*s ", kinds[word.kind], (int)word.text.len,
                     (const char *)word.text.ptr);
        }
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, got);
        }
    }
}

static void clauses_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *why, *sql;
        bool is_found;
        const char *select, *from, *where;
    } cases[] = {
        {"all three", "SELECT a, b FROM \"t/+\" WHERE a > 1 AND b", true, "a, b", "\"t/+\"",
         "a > 1 AND b"},
        {"no condition", "SELECT a FROM \"t/+\"", true, "a", "\"t/+\"", ""},
        {"what follows is none of it", "SELECT a FROM \"t/+\" WHERE a GROUP BY b", true, "a",
         "\"t/+\"", "a"},
        {"keywords in parentheses do not count",
         "SELECT (SELECT 1 FROM x WHERE y) FROM \"t/+\" WHERE z IN (SELECT 1 FROM u WHERE v)", true,
         "(SELECT 1 FROM x WHERE y)", "\"t/+\"", "z IN (SELECT 1 FROM u WHERE v)"},
        {"nor in texts and names", "SELECT 'from', \"where\" FROM \"a/where\"", true,
         "'from', \"where\"", "\"a/where\"", ""},
        {"a join belongs to FROM", "SELECT a FROM \"t/+\" e JOIN u ON u.k = e.k WHERE a", true, "a",
         "\"t/+\" e JOIN u ON u.k = e.k", "a"},
        {"CASE has its END", "SELECT CASE WHEN a THEN b END FROM \"t/+\" WHERE c;", true,
         "CASE WHEN a THEN b END", "\"t/+\"", "c"},
        {"case does not matter", "select a\nfrom \"t/+\"\nwhere b\n", true, "a", "\"t/+\"", "b"},
        {"two in one", "SELECT a FROM \"t/+\" UNION SELECT 1", false, NULL, NULL, NULL},
        {"WITH is not taken apart", "WITH x AS (SELECT 1) SELECT a FROM \"t/+\"", false, NULL, NULL,
         NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sql_clauses got;
        bool is_found = sql_clauses_find(bytes_from_text(cases[i].sql), &got);
        bool is_good = is_found == cases[i].is_found &&
                       (!is_found || (bytes_equal(got.select, bytes_from_text(cases[i].select)) &&
                                      bytes_equal(got.from, bytes_from_text(cases[i].from)) &&
                                      bytes_equal(got.where, bytes_from_text(cases[i].where))));
        if (!is_good) {
            fail_msg("%s: [%.*s] [%.*s] [%.*s]", cases[i].why, (int)got.select.len,
                     (const char *)got.select.ptr, (int)got.from.len, (const char *)got.from.ptr,
                     (int)got.where.len, (const char *)got.where.ptr);
        }
    }
}

static void conditions_fall_into_terms(void **state)
{
    (void)state;
    static const struct {
        const char *why, *condition, *want;
    } cases[] = {
        {"between the ANDs", "a > 1 AND b < 2 and c", "[a > 1][b < 2][c]"},
        {"one", "a > 1", "[a > 1]"},
        {"BETWEEN has an AND of its own", "a BETWEEN 1 AND 2 AND b", "[a BETWEEN 1 AND 2][b]"},
        {"an OR holds all together", "a AND b OR c", "[a AND b OR c]"},
        {"an OR in parentheses does not", "a AND (b OR c)", "[a][(b OR c)]"},
        {"an AND in parentheses or CASE is not one", "(a AND b) AND CASE WHEN c AND d THEN 1 END",
         "[(a AND b)][CASE WHEN c AND d THEN 1 END]"},
        {"texts are no keywords", "a = ' AND ' AND b", "[a = ' AND '][b]"},
        {"nothing", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char got[200] = "";
        struct bytes rest = bytes_from_text(cases[i].condition), term;
        while (sql_term_next(&rest, &term)) {
            size_t len = strlen(got);
            snprintf(got + len, sizeof(got) - len, "[%.*s]", (int)term.len, (const char *)term.ptr);
        }
        if (strcmp(got, cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, got);
        }
    }
}

static void names_are_found_where_they_stand(void **state)
{
    (void)state;
    static const struct {
        const char *why, *sql, *name;
        ptrdiff_t want;
    } cases[] = {
        {"a plain name", "SELECT a, celsius FROM x", "celsius", 10},
        {"case does not matter", "SELECT Celsius", "celsius", 7},
        {"in quotes", "SELECT \"location.lat\"", "location.lat", 7},
        {"not in a text", "SELECT 'a', a", "a", 12},
        {"not as a part of another", "SELECT ab, b", "b", 11},
        {"nowhere", "SELECT a", "b", -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ptrdiff_t got = sql_find_name(bytes_from_text(cases[i].sql), cases[i].name);
        if (got != cases[i].want) {
            fail_msg("%s: %td", cases[i].why, got);
        }
    }
}

// Whatever it is, it ends, and within the text: the sanitizers watch.
static void any_text_comes_to_an_end(void **state)
{
    (void)state;
    static const char *const pieces[] = {"select", "from", "where", "and", "or", "between", "case",
                                         "end",    "(",    ")",     "'",   "\"", "[",       "`",
                                         "--",     "/*",   "*/",    " ",   "a",  "1.",      "\n"};
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[200] = "select ";
        while (strlen(text) < sizeof(text) - 10 && random % 23 != 0) {
            random = random * 1664525 + 1013904223;
            strcat(text, pieces[(random >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        random = random * 1664525 + 1013904223;
        struct bytes sql = bytes_from_text(text), rest = sql, term;
        struct sql_clauses clauses;
        uint32_t terms = 0;
        sql_clauses_find(sql, &clauses);
        while (sql_term_next(&rest, &term)) {
            assert_in_range(terms++, 0, sizeof(text));
        }
        sql_find_name(sql, "a");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_told_apart),
        cmocka_unit_test(clauses_are_found),
        cmocka_unit_test(conditions_fall_into_terms),
        cmocka_unit_test(names_are_found_where_they_stand),
        cmocka_unit_test(any_text_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
