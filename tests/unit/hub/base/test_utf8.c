// What bytes from outside may do to a terminal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>
#include <stdio.h>

#include "base/utf8.h"

static void nothing_steers_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *why, *text, *want;
    } cases[] = {
        {"nothing", "", ""},
        {"plain text", "order 7", "order 7"},
        {"letters, signs and pictures of any language",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb1",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8c\xb1"},
        {"a colour", "\x1b[31mred", "?[31mred"},
        {"lines and tabs", "a\nb\tc\r", "a?b?c?"},
        {"delete", "a\x7f", "a?"},
        {"the one-character form of ESC [",
         "\xc2\x9b"
         "31mred",
         "?31mred"},
        {"the first that is no control", "\xc2\xa0", "\xc2\xa0"},
        {"the same as a byte of Latin-1",
         "\x9b"
         "31mred",
         "?31mred"},
        {"cut within a character", "a\xe2\x82", "a??"},
        {"an overlong ESC", "\xc0\x9b", "??"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", cases[i].text);
        print_message("%s\n", cases[i].why);
        assert_string_equal(utf8_disarm(text), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_steers_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
