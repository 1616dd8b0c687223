// Functions on texts that are ours for the sake of their bounds: the same as SQLite's own, which a
// connection without rules still has.
#include "rules_support.h"

struct both {
    sqlite3 *ours, *theirs;
};

static const char *ask(sqlite3 *db, const char *expression, char *out, size_t size)
{
    sqlite3_stmt *statement = NULL;
    char sql[1000];
    snprintf(sql, sizeof(sql), "SELECT quote(%s)", expression);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    bool has_row = sqlite3_step(statement) == SQLITE_ROW;
    snprintf(out, size, "%s",
             has_row ? (const char *)sqlite3_column_text(statement, 0) : sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    return out;
}

static int setup(void **state)
{
    int rc = rules_setup(state);
    struct rules_fixture *fixture = *state;
    fixture->spec.rule_count = 0;
    assert_int_equal(rules_open(&fixture->rules, fixture->db, &fixture->spec, &fixture->e), ERR_OK);
    return rc;
}

static void compare(const struct both *both, const char *expression)
{
    char ours[4000], theirs[4000];
    ask(both->ours, expression, ours, sizeof(ours));
    ask(both->theirs, expression, theirs, sizeof(theirs));
    if (strcmp(ours, theirs) != 0) {
        fail_msg("%s: SQLite says %s, we say %s", expression, theirs, ours);
    }
}

static void the_same_as_sqlite(void **state)
{
    struct rules_fixture *fixture = *state;
    static const char *const expressions[] = {
        "replace('abcabc', 'b', 'xyz')",
        "replace('aaa', 'aa', 'b')",
        "replace('abc', '', 'x')",
        "replace(NULL, 'a', 'b')",
        "replace('a', NULL, 'b')",
        "replace('', 'a', 'b')",
        "replace('a', 'a', '')",
        "replace(12321, 2, 'two')",
        "replace(x'616263', 'b', 'd')",
        "replace('\xc3\xbc\xc3\xa4', '\xc3\xa4', 'ae')",
        "instr('hello', 'll')",
        "instr('hello', 'x')",
        "instr('hello', '')",
        "instr('', 'a')",
        "instr(NULL, 'a')",
        "instr('\xc3\xbc\xc3\xa4x', 'x')",
        "instr(x'0102030405', x'0304')",
        "instr(x'c3bc78', x'78')",
        "instr(x'c3bc78', 'x')",
        "instr(12345, 34)",
        "trim('  a b  ')",
        "ltrim('  a b  ')",
        "rtrim('  a b  ')",
        "trim('xyaxyx', 'xy')",
        "ltrim('xyaxyx', 'yx')",
        "rtrim('xyaxyx', 'yx')",
        "trim('\xc3\xbc"
        "a\xc3\xbc', '\xc3\xbc')",
        "trim('abc', '')",
        "trim(NULL)",
        "trim('a', NULL)",
        "trim('', 'x')",
        "trim('xxx', 'x')",
        "trim(123, 3)",
        "'abc' LIKE 'A%'",
        "'abc' LIKE '_b_'",
        "'abc' LIKE 'ab'",
        "'a%c' LIKE 'a\\%c' ESCAPE '\\'",
        "'abc' LIKE 'a\\%c' ESCAPE '\\'",
        "NULL LIKE 'a'",
        "'a' LIKE NULL",
        "'' LIKE ''",
        "'abc' NOT LIKE 'b%'",
        "'a' LIKE 'a' ESCAPE 'ab'",
        "'abc' GLOB 'a*'",
        "'abc' GLOB 'A*'",
        "'abc' GLOB '[a-c]?[^x]'",
        "12 LIKE '1%'",
        "'\xc3\x9c' LIKE '\xc3\xbc'",
        "printf('%d %i', 5, -7)",
        "printf('%05d|%-5d|%+d|% d', 42, 42, 42, 42)",
        "printf('%x %X %o %u', 255, 255, 8, 7)",
        "printf('%#x', 255)",
        "printf('%x', -1)",
        "printf('%d', 9223372036854775807)",
        "printf('%,d', 1234567)",
        "printf('%f %.2f', 1.5, 2.345)",
        "printf('%e %g %G %E', 12345.678, 0.0001, 1e20, 1.0)",
        "printf('%8.3f|%-8.3f|', 3.14159, 2.5)",
        "printf('%s|%10s|%-10s|%.2s', 'a', 'b', 'c', 'defg')",
        "printf('%q %Q %w', 'it''s', 'it''s', 'a\"b')",
        "printf('%Q', NULL)",
        "printf('%s', NULL)",
        "printf('%c%c', 'x', '\xc3\xbc')",
        "printf('%.3c', 'ab')",
        "printf('%5c|%-5c|', 'a', 'b')",
        "printf('%%')",
        "printf('%5%')",
        "printf('%*d|%.*f', 6, 42, 2, 3.14159)",
        "printf('%-*d|', 6, 42)",
        "printf('%d %s', 1)",
        "printf('%d', 'abc')",
        "printf('%d', '12x')",
        "printf('%f', '1.5')",
        "printf('%y')",
        "printf('a%')",
        "printf(NULL)",
        "printf('')",
        "printf('%z', 'zz')",
        "printf('%!.20f', 0.1)",
        "printf('%lld', 5)",
        "printf('%ld', 5)",
        "printf('%!5s|', '\xc3\xbc')",
        "printf('%r', 3)",
        "printf('%.0f', 2.5)",
        "printf('%0*d', 4, 7)",
        "format('%s-%03d', 'a', 7)",
        "printf('%*d', -6, 42) || '|'",
        "printf('%s', x'616200')",
        "printf('%c', '')",
        "printf('%n|', 5)",
        "printf('%10.4s|', 'abcdefgh')",
        "printf('%s')",
    };
    struct both both = {fixture->db, NULL};
    assert_int_equal(sqlite3_open(":memory:", &both.theirs), SQLITE_OK);
    sqlite3_limit(both.theirs, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256);
    for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
        compare(&both, expressions[i]);
    }
    sqlite3_close(both.theirs);
}

// Made of few letters, so that they meet.
static void random_text(uint32_t *chance, char out[20])
{
    static const char *const letters[] = {"a", "b", "%", "_", "*", "\xc3\xbc", "a", "?", "["};
    size_t used = 0;
    *chance = *chance * 1664525 + 1013904223;
    uint32_t count = *chance >> 28;
    for (uint32_t i = 0; i < count % 8; i++) {
        *chance = *chance * 1664525 + 1013904223;
        const char *letter = letters[(*chance >> 16) % 9];
        memcpy(out + used, letter, strlen(letter));
        used += strlen(letter);
    }
    out[used] = '\0';
}

static void the_same_by_chance(void **state)
{
    struct rules_fixture *fixture = *state;
    static const char *const calls[] = {"replace('%s', '%s', '%s')", "instr('%s', '%s')||'%s'",
                                        "trim('%s', '%s')||'%s'",    "ltrim('%s', '%s')||'%s'",
                                        "rtrim('%s', '%s')||'%s'",   "('%s' LIKE '%s')||'%s'",
                                        "('%s' GLOB '%s')||'%s'",    "printf('%s', '%s', '%s')"};
    struct both both = {fixture->db, NULL};
    uint32_t chance = 1;
    assert_int_equal(sqlite3_open(":memory:", &both.theirs), SQLITE_OK);
    for (uint32_t i = 0; i < 4000; i++) {
        char texts[3][20], expression[200];
        for (int j = 0; j < 3; j++) {
            random_text(&chance, texts[j]);
        }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(expression, sizeof(expression), calls[i % 8], texts[0], texts[1], texts[2]);
#pragma GCC diagnostic pop
        compare(&both, expression);
    }
    sqlite3_close(both.theirs);
}

// Each would take minutes in one instruction, and is over at once.
static void work_is_bounded(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *expression, *want;
    } cases[] = {
        {"printf('%.2000000000c', n)", "1000000"},
        {"printf('%.*c', 9000000000, n)", "1000000"},
        {"printf('%*c', 9000000000, n)", "1000000"},
        {"replace(printf('%.4000000c', 'a'), printf('%.999999c', 'a') || 'b', 'c')", NULL},
        {"instr(printf('%.1000000c', 'a'), printf('%.500000c', 'a') || 'b')", NULL},
        {"trim(printf('%.1000000c', 'a'), printf('%.500000c', 'b') || 'a')", "SQLite instructions"},
        {"printf('%.1000000c', 'a') LIKE '%' || printf('%.200c', 'a') || 'b'",
         "SQLite instructions"},
        {"printf('%.1000000c', 'a') GLOB '*a*a*a*a*a*a*a*b'", "SQLite instructions"},
    };
    fixture->spec.rule_count = 1;
    fixture->spec.rule_memory_max = 64 << 20;
    rules_put_text(fixture, "a/b", "{\"n\":7}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[300];
        snprintf(sql, sizeof(sql), "SELECT length(%s) AS n FROM \"a/+\"", cases[i].expression);
        if (rules_compile(fixture, sql) != ERR_OK) {
            fail_msg("%s: %s", sql, fixture->e.text);
        }
        const char *have = rules_output(fixture);
        if (cases[i].want != NULL && strstr(have, cases[i].want) == NULL) {
            fail_msg("%s: want %s have %s", sql, cases[i].want, have);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rules_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_as_sqlite),
        TEST(the_same_by_chance),
        TEST(work_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
