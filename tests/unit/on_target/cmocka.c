#include "cmocka.h"

#include <stdarg.h>
#include <stdio.h>

_Noreturn static void fail_at(const struct on_target_place *place)
{
    printf("\n%s:%d: %s\n", place->file, place->line, place->text);
    exit(1);
}

void on_target_fail(const struct on_target_place *place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    fail_at(place);
}

void on_target_true(const struct on_target_place *place, int is_true)
{
    if (!is_true) {
        fail_at(place);
    }
}

void on_target_equal(const struct on_target_place *place, uintmax_t a, uintmax_t b, int is_equal)
{
    if ((a == b) != (is_equal != 0)) {
        printf("\n0x%08lx%08lx, 0x%08lx%08lx", (unsigned long)(a >> 32),
               (unsigned long)(a & 0xFFFFFFFFu), (unsigned long)(b >> 32),
               (unsigned long)(b & 0xFFFFFFFFu));
        fail_at(place);
    }
}

void on_target_range(const struct on_target_place *place, uintmax_t value, uintmax_t min,
                     uintmax_t max)
{
    if (value < min || value > max) {
        fail_at(place);
    }
}

void on_target_memory(const struct on_target_place *place, const void *a, const void *b,
                      size_t size, int is_equal)
{
    if ((memcmp(a, b, size) == 0) != (is_equal != 0)) {
        fail_at(place);
    }
}

void on_target_string(const struct on_target_place *place, const char *a, const char *b,
                      int is_equal)
{
    if ((strcmp(a, b) == 0) != (is_equal != 0)) {
        printf("\n\"%s\", \"%s\"", a, b);
        fail_at(place);
    }
}

static void run(const struct CMUnitTest *test)
{
    void *state = test->initial_state;
    printf("%s", test->name);
    if (test->setup_func != NULL && test->setup_func(&state) != 0) {
        printf(": its setup failed\n");
        exit(1);
    }
    test->test_func(&state);
    if (test->teardown_func != NULL && test->teardown_func(&state) != 0) {
        printf(": its teardown failed\n");
        exit(1);
    }
    printf(" ok\n");
}

int on_target_run(const struct CMUnitTest *tests, size_t count, on_target_fixture *setup,
                  on_target_fixture *teardown)
{
    void *state = NULL;
    if (setup != NULL && setup(&state) != 0) {
        printf("the group's setup failed\n");
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        run(&tests[i]);
    }
    if (teardown != NULL && teardown(&state) != 0) {
        printf("the group's teardown failed\n");
        return 1;
    }
    printf("%u tests passed\n", (unsigned)count);
    return 0;
}
