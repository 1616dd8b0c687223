// cmocka.h - as much of cmocka's interface as the SDK's unit tests use, for processors where cmocka
// itself does not run: the very same test sources are compiled with this folder in front.
// Threads:   one.
// Ownership: everything is borrowed for the call.
// Failure:   a failed assertion prints file:line and ends the program with exit code 1, the tests
//            that follow are not run; 0 says that every test has run.
#ifndef ON_TARGET_CMOCKA_H
#define ON_TARGET_CMOCKA_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int on_target_fixture(void **state);

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    on_target_fixture *setup_func;
    on_target_fixture *teardown_func;
    void *initial_state;
};

#define cmocka_unit_test(test)                                                                     \
    {                                                                                              \
#test, (test), NULL, NULL, NULL                                                            \
    }
#define cmocka_unit_test_setup(test, setup)                                                        \
    {                                                                                              \
#test, (test), (setup), NULL, NULL                                                         \
    }
#define cmocka_unit_test_teardown(test, down)                                                      \
    {                                                                                              \
#test, (test), NULL, (down), NULL                                                          \
    }
#define cmocka_unit_test_setup_teardown(test, setup, down)                                         \
    {                                                                                              \
#test, (test), (setup), (down), NULL                                                       \
    }
#define cmocka_unit_test_prestate(test, state)                                                     \
    {                                                                                              \
#test, (test), NULL, NULL, (state)                                                         \
    }
#define cmocka_run_group_tests(tests, setup, down)                                                 \
    on_target_run((tests), sizeof(tests) / sizeof((tests)[0]), (setup), (down))

int on_target_run(const struct CMUnitTest *tests, size_t count, on_target_fixture *setup,
                  on_target_fixture *teardown);

struct on_target_place {
    const char *file;
    int line;
    const char *text;
};

#define ON_TARGET_HERE(text_) (&(const struct on_target_place){__FILE__, __LINE__, (text_)})

_Noreturn void on_target_fail(const struct on_target_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void on_target_true(const struct on_target_place *place, int is_true);
void on_target_equal(const struct on_target_place *place, uintmax_t a, uintmax_t b, int is_equal);
void on_target_range(const struct on_target_place *place, uintmax_t value, uintmax_t min,
                     uintmax_t max);
void on_target_memory(const struct on_target_place *place, const void *a, const void *b,
                      size_t size, int is_equal);
void on_target_string(const struct on_target_place *place, const char *a, const char *b,
                      int is_equal);

#define assert_true(c)              on_target_true(ON_TARGET_HERE(#c), (c) ? 1 : 0)
#define assert_false(c)             on_target_true(ON_TARGET_HERE("!(" #c ")"), (c) ? 0 : 1)
#define assert_null(p)              on_target_true(ON_TARGET_HERE(#p " is NULL"), (p) == NULL)
#define assert_non_null(p)          on_target_true(ON_TARGET_HERE(#p " is not NULL"), (p) != NULL)
#define assert_ptr_equal(a, b)      on_target_true(ON_TARGET_HERE(#a " is " #b), (a) == (b))
#define assert_ptr_not_equal(a, b)  on_target_true(ON_TARGET_HERE(#a " is not " #b), (a) != (b))
#define assert_return_code(rc, err) on_target_true(ON_TARGET_HERE(#rc " >= 0"), (rc) >= 0)
#define ON_TARGET_EQUAL(a, b, equal)                                                               \
    on_target_equal(ON_TARGET_HERE(#a ", " #b), (uintmax_t)(a), (uintmax_t)(b), (equal))
#define assert_int_equal(a, b)     ON_TARGET_EQUAL(a, b, 1)
#define assert_int_not_equal(a, b) ON_TARGET_EQUAL(a, b, 0)
#define assert_in_range(v, min, max)                                                               \
    on_target_range(ON_TARGET_HERE(#v), (uintmax_t)(v), (uintmax_t)(min), (uintmax_t)(max))
#define assert_memory_equal(a, b, size)                                                            \
    on_target_memory(ON_TARGET_HERE(#a ", " #b), (a), (b), (size), 1)
#define assert_memory_not_equal(a, b, size)                                                        \
    on_target_memory(ON_TARGET_HERE(#a ", " #b), (a), (b), (size), 0)
#define assert_string_equal(a, b)     on_target_string(ON_TARGET_HERE(#a ", " #b), (a), (b), 1)
#define assert_string_not_equal(a, b) on_target_string(ON_TARGET_HERE(#a ", " #b), (a), (b), 0)
#define fail()                        on_target_fail(ON_TARGET_HERE("fail"), "%s", "")
#define fail_msg(...)                 on_target_fail(ON_TARGET_HERE("fail"), __VA_ARGS__)
#define print_message(...)            ((void)0)

// cmocka's find leaks and overruns; here they are the plain ones, and the host's run finds those.
#define test_malloc  malloc
#define test_calloc  calloc
#define test_realloc realloc
#define test_free    free

#endif
