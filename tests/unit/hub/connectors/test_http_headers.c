// Headers of a call: what a delivery brings, what the target sets, and what nobody may.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/http_headers.h"

struct test {
    struct http_headers headers;
    struct http_fixed fixed;
    char problem[200];
};

static const char *make(struct test *test, const char *lines, const char *properties, size_t len,
                        const char *key)
{
    const struct delivery delivery = {.idempotency_key = key,
                                      .content_type = "application/json",
                                      .properties = bytes_of(properties, len)};
    assert_int_equal(http_fixed_parse(lines, &test->fixed, NULL), ERR_OK);
    const char *problem = http_headers_make(&test->headers, &test->fixed, &delivery, test->problem);
    return problem;
}

static const char *find(const struct test *test, const char *name)
{
    const char *found = NULL;
    for (uint32_t i = 0; i < test->headers.count; i++) {
        if (strcmp(test->headers.headers[i].name, name) == 0) {
            assert_null(found); // Once.
            found = test->headers.headers[i].value;
        }
    }
    return found;
}

#define PROPERTIES(text) text, sizeof(text) - 1

static void test_headers(void **state)
{
    static const struct {
        const char *why, *lines, *properties;
        size_t len;
        const char *key, *name, *value; // value NULL: it is not there.
    } cases[] = {
        {"the key", "", PROPERTIES(""), "a/d1/0/1:r:1", "Idempotency-Key", "a/d1/0/1:r:1"},
        {"one with what a header cannot have", "", PROPERTIES(""), "a b\n\xc3\xbc%",
         "Idempotency-Key", "a%20b%0A%C3%BC%25"},
        {"the type", "", PROPERTIES(""), "k", "Content-Type", "application/json"},
        {"a property goes before it", "", PROPERTIES("Content-Type\0text/csv\0"), "k",
         "Content-Type", "text/csv"},
        {"the target's own", "X-A: 1\n\n  X-B :  2 3\t\r\n", PROPERTIES(""), "k", "X-B", "2 3"},
        {"a property replaces it", "X-A: 1", PROPERTIES("X-A\0two\0"), "k", "X-A", "two"},
        {"also in other letters", "x-a: 1", PROPERTIES("X-A\0two\0"), "k", "x-a", NULL},
        {"a value may be empty", "X-A:", PROPERTIES(""), "k", "X-A", ""},
        {"an attribute of a CloudEvent", "", PROPERTIES("specversion\0001.0\0subject\0a \"b\"\0"),
         "k", "ce-subject", "a%20%22b%22"},
    };
    struct test *test = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *problem =
            make(test, cases[i].lines, cases[i].properties, cases[i].len, cases[i].key);
        const char *value = problem == NULL ? find(test, cases[i].name) : NULL;
        if (problem != NULL || (value == NULL) != (cases[i].value == NULL) ||
            (value != NULL && strcmp(value, cases[i].value) != 0)) {
            fail_msg("%s: %s", cases[i].why, problem != NULL ? problem : value);
        }
        http_fixed_deinit(&test->fixed);
    }
}

// What comes from devices must not make headers of its own.
static void test_what_a_property_cannot_be(void **state)
{
    static const struct {
        const char *why, *properties;
        size_t len;
        const char *problem;
    } cases[] = {
        {"a line's end in a value", PROPERTIES("X-A\0one\r\nX-B: two\0"), "control character"},
        {"in a name", PROPERTIES("X-A: b\r\nX-C\0one\0"), "no name"},
        {"a space in a name", PROPERTIES("X A\0one\0"), "no name"},
        {"no name", PROPERTIES("\0one\0"), "no name"},
        {"how long the message is", PROPERTIES("content-length\0007\0"), "the hub sets itself"},
        {"whom it is for", PROPERTIES("Host\0other\0"), "the hub sets itself"},
        {"another key", PROPERTIES("idempotency-key\0mine\0"), "the hub sets itself"},
    };
    struct test *test = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *problem = make(test, "", cases[i].properties, cases[i].len, "k");
        if (problem == NULL || strstr(problem, cases[i].problem) == NULL) {
            fail_msg("%s: %s", cases[i].why, problem == NULL ? "taken" : problem);
        }
        http_fixed_deinit(&test->fixed);
    }
}

static void test_more_than_a_call_can_have(void **state)
{
    struct test *test = *state;
    char many[HTTP_HEADERS_MAX * 10];
    size_t len = 0;
    for (int i = 0; i < HTTP_HEADERS_MAX; i++) {
        len += (size_t)snprintf(many + len, sizeof(many) - len, "x%d", i) + 1;
        len += (size_t)snprintf(many + len, sizeof(many) - len, "%d", i) + 1;
    }
    assert_non_null(make(test, "", many, len, "k"));
    http_fixed_deinit(&test->fixed);
    char *huge = calloc(1, 40000); // An attribute that is three times as long when it is encoded.
    memcpy(huge, "specversion\0001.0\0a\0", 18);
    memset(huge + 18, ' ', 30000);
    assert_non_null(make(test, "", huge, 18 + 30001, "k"));
    http_fixed_deinit(&test->fixed);
    free(huge);
}

static void test_lines_that_are_none(void **state)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"s3cret", "no colon"},
        {"X A: 1", "'X A' is no name"},
        {": 1", "'' is no name"},
        {"X-A: 1\nHost: x", "'Host' is a header that the hub sets itself"},
        {"X-A: \x01", "control character"},
    };
    struct test *test = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        assert_int_equal(http_fixed_parse(cases[i].text, &test->fixed, &e), ERR_CONFIG);
        if (strstr(e.text, cases[i].problem) == NULL || strstr(e.text, "s3cret") != NULL) {
            fail_msg("%s: %s", cases[i].text, e.text);
        }
    }
}

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct test));
    return *state == NULL;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_headers),
        TEST(test_what_a_property_cannot_be),
        TEST(test_more_than_a_call_can_have),
        TEST(test_lines_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
