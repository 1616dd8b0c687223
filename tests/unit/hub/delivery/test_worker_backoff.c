// Backoff: grows, stays within its limits, differs by seed and starts over when told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "delivery/worker_backoff.h"

static void test_limits_and_growth(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int64_t min_ms, max_ms, floor_ms, ceiling_ms;
    } cases[] = {
        {"as configured", 100, 5000, 100, 5000},
        {"nothing is not a busy loop", 0, 0, 1, 1},
        {"a maximum below the minimum is the minimum", 200, 50, 200, 200},
        {"no overflow", INT64_MAX / 4, INT64_MAX - 1, INT64_MAX / 4, INT64_MAX - 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct worker_backoff backoff;
        int64_t largest = 0, last = cases[i].floor_ms;
        worker_backoff_init(&backoff, cases[i].min_ms, cases[i].max_ms, 7);
        for (int n = 0; n < 1000; n++) {
            int64_t ms = worker_backoff_next_ms(&backoff);
            if (ms < cases[i].floor_ms || ms > cases[i].ceiling_ms ||
                (last <= INT64_MAX / 3 && ms > last * 3)) {
                fail_msg("%s: %lld after %lld", cases[i].why, (long long)ms, (long long)last);
            }
            largest = ms > largest ? ms : largest;
            last = ms;
        }
        assert_true(largest > cases[i].ceiling_ms / 2);
        worker_backoff_reset(&backoff);
        int64_t first_ms = worker_backoff_next_ms(&backoff);
        assert_true(first_ms / 3 <= cases[i].floor_ms);
    }
}

static void test_seeds_differ(void **state)
{
    (void)state;
    struct worker_backoff a, b, again;
    int same = 0;
    worker_backoff_init(&a, 100, 60000, 1);
    worker_backoff_init(&b, 100, 60000, 2);
    worker_backoff_init(&again, 100, 60000, 1);
    for (int i = 0; i < 100; i++) {
        int64_t ms = worker_backoff_next_ms(&a);
        same += ms == worker_backoff_next_ms(&b);
        assert_int_equal(ms, worker_backoff_next_ms(&again));
    }
    assert_in_range(same, 0, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_and_growth),
        cmocka_unit_test(test_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
