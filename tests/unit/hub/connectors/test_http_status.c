// Lists of statuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "connectors/http_status.h"

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text;
        int first, last, other; // All from first to last, and other; 0: none. No more.
    } cases[] = {
        {"one", "404", 404, 404, 0},
        {"a class", "2xx", 200, 299, 0},
        {"a range", "200-204", 200, 204, 0},
        {"a range of classes", "4xx-5xx", 400, 599, 0},
        {"several, with spaces or commas", " 2xx,\t 409 ", 200, 299, 409},
        {"nothing", "", 1, 0, 0},
        {"the ends", "200-599", 200, 599, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_status_set set;
        assert_int_equal(http_status_parse(cases[i].text, &set, NULL), ERR_OK);
        for (int status = -1; status < 700; status++) {
            bool want = (status >= cases[i].first && status <= cases[i].last) ||
                        (status == cases[i].other && status != 0);
            if (http_status_has(&set, status) != want) {
                fail_msg("%s: %d", cases[i].why, status);
            }
        }
    }
}

static void test_what_is_none(void **state)
{
    (void)state;
    static const char *const cases[] = {"199",     "600",  "20",         "2000",    "2xy",
                                        "xx",      "200-", "-200",       "204-200", "1xx",
                                        "200;201", "ok",   "200-2xx-299"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_status_set set;
        struct error e = {0};
        if (http_status_parse(cases[i], &set, &e) != ERR_CONFIG ||
            strstr(e.text, cases[i]) == NULL) {
            fail_msg("%s: %s", cases[i], e.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
