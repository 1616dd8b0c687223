// Addresses of HTTP targets: what is one, and what is in it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/address.h"

static void assert_text(struct bytes got, const char *want, const char *why)
{
    if (!bytes_equal(got, bytes_from_text(want))) {
        fail_msg("%s: '%.*s'", why, (int)got.len, (const char *)got.ptr);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *method, *path;
    } cases[] = {
        {"a method and a path", "PUT /a/b?c=1", "PUT", "/a/b?c=1"},
        {"a path alone is for POST", "/a", "POST", "/a"},
        {"so is a query", "?a=1", "POST", "?a=1"},
        {"nothing is the target's own url", "", "POST", ""},
        {"so is a method alone", "DELETE", "DELETE", ""},
        {"and one with a space", "GET ", "GET", ""},
        {"values are encoded", "/%C3%BC%2F%20", "POST", "/%C3%BC%2F%20"},
        {"brackets are let through", "/a?b[]=1&c=a|b", "POST", "/a?b[]=1&c=a|b"},
        {"dots that are no part of their own", "/a..b/.c/d.", "POST", "/a..b/.c/d."},
        {"nor are those of a query", "/a?b=/../c", "POST", "/a?b=/../c"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes text = bytes_from_text(cases[i].text);
        const char *problem = address_problem(text);
        if (problem != NULL) {
            fail_msg("%s: %s", cases[i].why, problem);
        }
        assert_text(address_parse(text).method, cases[i].method, cases[i].why);
        assert_text(address_parse(text).path, cases[i].path, cases[i].why);
    }
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *problem;
    } cases[] = {
        {"a space", "/a b", "%20"},
        {"two of them", "GET  /a", "begin with /"},
        {"a method in small letters", "get /a", "capitals"},
        {"a path without its slash", "PUT a", "begin with /"},
        {"a host", "http://x/a", "capitals"},
        {"a method that makes a tunnel", "CONNECT /", "not for calls"},
        {"a method that echoes secrets", "TRACE /", "not for calls"},
        {"a method that is too long", "ABCDEFGHIJKLMNOPQRSTU /", "no method"},
        {"no method", " /a", "no method"},
        {"a fragment", "/a#b", "#"},
        {"a part that leads up", "/a/../b", ". or .."},
        {"at the end", "/a/..", ". or .."},
        {"before a query", "/..?a", ". or .."},
        {"a part that leads nowhere", "/./a", ". or .."},
        {"a line's end", "/a\r\nHost: b", "percent-encoded"},
        {"a byte that is no ASCII", "/\xc3\xbc", "percent-encoded"},
        {"a backslash, which some take for a slash", "/a\\b", "percent-encoded"},
        {"a brace", "/{a}", "percent-encoded"},
        {"a % alone", "/100%", "hexadecimal"},
        {"a % with half of it", "/%2", "hexadecimal"},
        {"a % with other letters", "/%zz", "hexadecimal"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *problem = address_problem(bytes_from_text(cases[i].text));
        if (problem == NULL || strstr(problem, cases[i].problem) == NULL) {
            fail_msg("%s: %s", cases[i].why, problem == NULL ? "taken" : problem);
        }
    }
    assert_non_null(address_problem(bytes_of("/a\0b", 4)));
    char *longest = malloc(ADDRESS_BYTES_MAX + 1);
    memset(longest, 'a', ADDRESS_BYTES_MAX + 1);
    longest[0] = '/';
    assert_null(address_problem(bytes_of(longest, ADDRESS_BYTES_MAX)));
    assert_non_null(address_problem(bytes_of(longest, ADDRESS_BYTES_MAX + 1)));
    free(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
