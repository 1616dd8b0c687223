// Options: what a user may write, what it means, and the sentence that answers a wrong text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <string.h>

#include "base/option.h"

static const struct option_spec table[] = {
    {"flag", OPTION_BOOL, false, "true", 0, 0, NULL, "A flag."},
    {"qos", OPTION_INT, false, "1", 0, 2, NULL, "A small number."},
    {"count", OPTION_INT, false, NULL, 0, 0, NULL, "Any number."},
    {"limit", OPTION_SIZE, false, "1 GB", 1024, INT64_C(1) << 40, NULL, "A bound."},
    {"free", OPTION_SIZE, false, NULL, 0, 0, NULL, "No bound."},
    {"every", OPTION_DURATION, false, "10 s", 0, 86400000, NULL, "A time."},
    {"least", OPTION_DURATION, false, NULL, 1500, INT64_MAX, NULL, "A time with a floor."},
    {"name", OPTION_TEXT, true, NULL, 0, 0, NULL, "A text."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL, "A secret."},
    {"path", OPTION_PATH, false, NULL, 0, 0, NULL, "A file."},
    {"payload", OPTION_ENUM, false, "json", 0, 0, "json|text|pipit", "A choice."},
    {NULL},
};

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *why, *name, *text;
        int64_t want;
    } cases[] = {
        {"plain bytes", "limit", "4096", 4096},
        {"powers of 1024", "limit", "64 KB", 65536},
        {"without the blank", "limit", "64KB", 65536},
        {"megabytes", "limit", "10 MB", 10485760},
        {"gigabytes", "limit", "2 GB", INT64_C(2147483648)},
        {"the upper limit itself", "limit", "1 TB", INT64_C(1) << 40},
        {"the lower limit itself", "limit", "1024", 1024},
        {"milliseconds", "every", "250 ms", 250},
        {"seconds", "every", "30 s", 30000},
        {"minutes", "every", "5 min", 300000},
        {"hours", "every", "2 h", 7200000},
        {"days", "every", "1 d", 86400000},
        {"nothing needs no unit", "every", "0", 0},
        {"an integer", "qos", "2", 2},
        {"negative where there is no limit", "count", "-7", -7},
        {"the largest", "count", "9223372036854775807", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options *options = options_create(table);
        struct error e = {0};
        enum err rc = options_set(options, cases[i].name, cases[i].text, &e);
        if (rc != ERR_OK || option_int(options, cases[i].name) != cases[i].want) {
            fail_msg("%s: '%s' gave %lld (%s)", cases[i].why, cases[i].text,
                     (long long)option_int(options, cases[i].name), e.text);
        }
        options_destroy(options);
    }
}

static void test_wrong_texts(void **state)
{
    (void)state;
    static const struct {
        const char *why, *name, *text, *want;
    } cases[] = {
        {"yes is not YAML 1.2", "flag", "yes", "flag: must be true or false, not 'yes'"},
        {"above", "qos", "3", "qos: must be a whole number from 0 to 2, not '3'"},
        {"below", "qos", "-1", "qos: must be a whole number from 0 to 2, not '-1'"},
        {"no digits", "qos", "", "qos: must be a whole number from 0 to 2, not ''"},
        {"a unit on a number", "qos", "1 s", "qos: must be a whole number from 0 to 2, not '1 s'"},
        {"a fraction", "count", "1.5", "count: must be a whole number, not '1.5'"},
        {"beyond 64 bits", "count", "9223372036854775808",
         "count: must be a whole number, not '9223372036854775808'"},
        {"overflow by the unit", "free", "9000000000 GB",
         "free: must be a size (bytes, KB, MB, GB or TB, such as 64 KB), not '9000000000 GB'"},
        {"a negative size", "free", "-1",
         "free: must be a size (bytes, KB, MB, GB or TB, such as 64 KB), not '-1'"},
        {"unknown unit", "limit", "10 MiB",
         "limit: must be a size from 1 KB to 1 TB (bytes, KB, MB, GB or TB, such as 64 KB), "
         "not '10 MiB'"},
        {"too small", "limit", "1023",
         "limit: must be a size from 1 KB to 1 TB (bytes, KB, MB, GB or TB, such as 64 KB), "
         "not '1023'"},
        {"a duration needs its unit", "every", "30",
         "every: must be a duration from 0 to 1 d (ms, s, min, h or d, such as 30 s), not '30'"},
        {"below an open range", "least", "1 s",
         "least: must be a duration of at least 1500 ms (ms, s, min, h or d, such as 30 s), "
         "not '1 s'"},
        {"an unknown choice", "payload", "xml",
         "payload: must be one of json, text, pipit, not 'xml'"},
        {"part of a choice", "payload", "jso",
         "payload: must be one of json, text, pipit, not 'jso'; did you mean 'json'?"},
        {"an empty path", "path", "", "path: must be a path, not ''"},
    };
    struct options *options = options_create(table);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        assert_int_equal(options_set(options, cases[i].name, cases[i].text, &e), ERR_CONFIG);
        assert_string_equal(e.text, cases[i].want);
        assert_false(options_is_set(options, cases[i].name));
    }
    assert_int_equal(option_int(options, "qos"), 1); // What was there stays.
    options_destroy(options);
}

static void test_defaults_and_kinds(void **state)
{
    (void)state;
    struct options *options = options_create(table);
    assert_true(option_bool(options, "flag"));
    assert_int_equal(option_int(options, "limit"), INT64_C(1) << 30);
    assert_null(option_text(options, "name"));
    assert_int_equal(option_choice(options, "payload"), 0);
    assert_int_equal(options_set(options, "payload", "pipit", NULL), ERR_OK);
    assert_int_equal(option_choice(options, "payload"), 2);
    assert_int_equal(options_set(options, "name", "first", NULL), ERR_OK);
    assert_int_equal(options_set(options, "name", "second", NULL), ERR_OK);
    assert_string_equal(option_text(options, "name"), "second");
    assert_true(options_is_set(options, "name"));
    assert_false(options_is_set(options, "flag"));
    assert_ptr_equal(options_table(options), table);
    options_destroy(options);
    options_destroy(NULL);
}

static void test_equal(void **state)
{
    (void)state;
    struct options *a = options_create(table), *b = options_create(table);
    assert_true(options_equal(a, b));
    assert_int_equal(options_set(a, "password", "x", NULL), ERR_OK);
    assert_false(options_equal(a, b));
    assert_int_equal(options_set(b, "password", "y", NULL), ERR_OK);
    assert_false(options_equal(a, b));
    assert_int_equal(options_set(b, "password", "x", NULL), ERR_OK);
    assert_true(options_equal(a, b));
    options_destroy(a);
    options_destroy(b);
}

static void test_find(void **state)
{
    (void)state;
    assert_ptr_equal(option_find(table, "qos"), &table[1]);
    assert_null(option_find(table, "qo"));
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"topic", "topics", "retain", "qos", "store_limit", NULL};
    static const struct {
        const char *why, *name, *want;
    } cases[] = {
        {"neighbours swapped", "tpoic", "topic"},
        {"one letter gone", "retan", "retain"},
        {"case", "QOS", "qos"},
        {"a dash for an underscore", "store-limit", "store_limit"},
        {"the nearer of two", "topicss", "topics"},
        {"nothing like it", "workflows", NULL},
        {"two letters are not near three", "xy", NULL},
        {"the empty name", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got = nearest_name(cases[i].name, names);
        if ((got == NULL) != (cases[i].want == NULL) ||
            (got != NULL && strcmp(got, cases[i].want) != 0)) {
            fail_msg("%s: '%s' gave %s", cases[i].why, cases[i].name, got ? got : "nothing");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_wrong_texts),
        cmocka_unit_test(test_defaults_and_kinds),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
