// Fails on purpose, in the way that its argument names: the tester must see each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char kind;

static int setup(void **state)
{
    (void)state;
    return kind == '7' ? 1 : 0;
}

static void test_passes(void **state)
{
    (void)state;
    assert_int_equal(1, 1);
}

static void test_fails(void **state)
{
    (void)state;
    switch (kind) {
    case '1':
        assert_int_equal(1, UINT64_C(0x100000001));
        break;
    case '2':
        assert_memory_equal("abc", "abd", 3);
        break;
    case '3':
        fail_msg("%s", "said so");
        break;
    case '4':
        __builtin_trap();
        break;
    case '5':
        assert_string_equal("a", "b");
        break;
    case '6':
        assert_true(1 > 2);
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_fails),
        cmocka_unit_test_setup(test_passes, setup),
    };
    kind = argc > 1 ? argv[argc - 1][0] : '0'; // Some put a word of their own in front.
    return cmocka_run_group_tests(tests, NULL, NULL);
}
