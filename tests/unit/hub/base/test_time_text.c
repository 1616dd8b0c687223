// Lengths of time as people write them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "base/time_text.h"

static void durations_are_in_the_largest_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int64_t ms;
        const char *want;
    } cases[] = {
        {"none", 0, "0 d"},
        {"below a second", 20, "20 ms"},
        {"a second and something", 1001, "1001 ms"},
        {"seconds", 20000, "20 s"},
        {"more than a minute, but not two", 90000, "90 s"},
        {"minutes", 300000, "5 min"},
        {"a day and a half", 129600000, "36 h"},
        {"days", 2 * 86400000LL, "2 d"},
        {"the largest number", INT64_MAX, "9223372036854775807 ms"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[DURATION_TEXT_BYTES];
        print_message("%s\n", cases[i].why);
        assert_string_equal(duration_text_write(cases[i].ms, text), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_in_the_largest_unit_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
