// Waits grow with jitter and stay within their bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "intake/backoff.h"

static void waits_stay_within_bounds(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    int64_t last_ms = 100;
    for (int i = 0; i < 10000; i++) {
        int64_t wait_ms = backoff_next(&backoff, 100, 5000);
        assert_in_range(wait_ms, 100, 5000);
        assert_true(wait_ms <= last_ms * 3);
        last_ms = wait_ms;
    }
}

static void waits_differ_and_grow(void **state)
{
    (void)state;
    int64_t sum_first = 0, sum_tenth = 0, smallest = INT64_MAX, largest = 0;
    for (int i = 0; i < 1000; i++) {
        struct backoff backoff = {0};
        int64_t wait_ms = backoff_next(&backoff, 100, 60000);
        sum_first += wait_ms;
        smallest = wait_ms < smallest ? wait_ms : smallest;
        largest = wait_ms > largest ? wait_ms : largest;
        for (int n = 0; n < 9; n++) {
            wait_ms = backoff_next(&backoff, 100, 60000);
        }
        sum_tenth += wait_ms;
    }
    assert_true(largest - smallest > 100); // Of 100 to 300.
    assert_true(sum_tenth > sum_first * 3);
}

static void reset_begins_anew(void **state)
{
    (void)state;
    struct backoff backoff = {.last_ms = 60000};
    backoff_reset(&backoff);
    assert_in_range(backoff_next(&backoff, 100, 60000), 100, 300);
}

static void odd_bounds_are_taken(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    assert_int_equal(backoff_next(&backoff, 500, 200), 200); // The maximum wins.
    assert_int_equal(backoff_next(&backoff, 200, 200), 200);
    backoff.last_ms = INT64_MAX / 2;
    assert_in_range(backoff_next(&backoff, 1, 1000), 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_stay_within_bounds),
        cmocka_unit_test(waits_differ_and_grow),
        cmocka_unit_test(reset_begins_anew),
        cmocka_unit_test(odd_bounds_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
