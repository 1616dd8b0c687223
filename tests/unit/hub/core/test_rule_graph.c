// Which topics of a template can match a filter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/rule_graph.h"

static void a_template_may_feed_a_filter(void **state)
{
    (void)state;
    static const struct {
        const char *why, *template, *filter;
        bool want;
    } cases[] = {
        {"the same", "a/b", "a/b", true},
        {"another", "a/b", "a/c", false},
        {"shorter", "a", "a/b", false},
        {"longer", "a/bc", "a/b", false},
        {"a column is any value", "a/{x}/c", "a/b/c", true},
        {"of one level", "a/{x}", "a/b/c", false},
        {"what is behind a column counts", "{x}/b", "{x}/c", false},
        {"a column with its braces as the filter", "{x}/b", "{y}/b", true},
        {"what is before a column in its level counts", "a-{x}/b", "b/b", false},
        {"a part of a level", "a-{x}", "a-1", true},
        {"a doubled brace is one", "a{{/b", "a{/b", true},
        {"also a closing one", "a}}/b", "a}/b", true},
        {"+ is one level", "a/b", "+/b", true},
        {"# is the rest", "a/b/c", "a/#", true},
        {"and none", "a", "a/#", true},
        {"wildcards leave $ alone", "$x/b", "+/b", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (rule_graph_may_feed(cases[i].template, cases[i].filter) != cases[i].want) {
            fail_msg("%s: %s, %s", cases[i].why, cases[i].template, cases[i].filter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_may_feed_a_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
