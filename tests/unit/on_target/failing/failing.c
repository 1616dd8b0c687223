// Fails on purpose, in one of several ways: the tester must see each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int bad_setup(void **state)
{
    (void)state;
    return 1;
}

static void test_passes(void **state)
{
    (void)state;
    assert_int_equal(1, 1);
}

static void test_fails(void **state)
{
    (void)state;
#if TEST_FAILURE == 1
    assert_int_equal(1, UINT64_C(0x100000001));
#elif TEST_FAILURE == 2
    assert_memory_equal("abc", "abd", 3);
#elif TEST_FAILURE == 3
    fail_msg("%s", "said so");
#elif TEST_FAILURE == 4
    __builtin_trap();
#elif TEST_FAILURE == 5
    assert_string_equal("a", "b");
#elif TEST_FAILURE == 6
    assert_true(1 > 2);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_fails),
#if TEST_FAILURE == 7
        cmocka_unit_test_setup(test_passes, bad_setup),
#endif
    };
    (void)bad_setup;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
