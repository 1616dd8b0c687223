// Windows in the configuration: what they become, and what makes no sense.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

// The window stands on the fifth line from the 13th column on.
#define WINDOW(window)                                                                             \
    "hub: {id: h, store: s}\n"                                                                     \
    "sources: {p: {mqtt: {url: \"mqtt://x\"}, topics: [\"a/#\"]}}\n"                               \
    "targets: {f: {file: {path: out.ndjson}}}\n"                                                   \
    "rules: {r: {sql: 'SELECT count(*) AS n FROM \"a/+\"', to: [f: {}],\n"                         \
    "    window: {" window "}}}\n"

static void what_is_written_is_what_the_core_gets(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        struct window_spec want;
    } cases[] = {
        {WINDOW("tumbling: 1 h"),
         {WINDOW_TUMBLING, 3600000, 3600000, 86400000, 0, 0, NULL, NULL, false, 0, 60000, 86400000,
          100000, 100000}},
        {WINDOW("hopping: 1 h, every: 5 min, grace: 2 min, idle: 10 s, ahead: 1 h, rows: 10"),
         {WINDOW_HOPPING, 3600000, 300000, 86400000, 0, 0, NULL, NULL, false, 120000, 10000,
          3600000, 10, 100000}},
        {WINDOW("session: 5 min, longest: 1 h, by: arrival, keys: 7"),
         {WINDOW_SESSION, 300000, 300000, 3600000, 0, 0, NULL, NULL, true, 0, 60000, 86400000,
          100000, 7}},
        {WINDOW("sliding: 10 s"),
         {WINDOW_SLIDING, 10000, 10000, 86400000, 0, 0, NULL, NULL, false, 0, 60000, 86400000,
          100000, 100000}},
        {WINDOW("count: 100"),
         {WINDOW_COUNT, 0, 0, 86400000, 100, 100, NULL, NULL, false, 0, 60000, 86400000, 100000,
          100000}},
        {WINDOW("count: 100, every: 10"),
         {WINDOW_COUNT, 0, 0, 86400000, 100, 10, NULL, NULL, false, 0, 60000, 86400000, 100000,
          100000}},
    };
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = folder_load(&folder, cases[i].yaml);
        if (config == NULL) {
            fail_msg("%s", folder.faults);
        }
        const struct window_spec *have = &config->core.rules[0].window, *want = &cases[i].want;
        assert_int_equal(have->kind, want->kind);
        assert_int_equal(have->size_ms, want->size_ms);
        assert_int_equal(have->every_ms, want->every_ms);
        assert_int_equal(have->session_max_ms, want->session_max_ms);
        assert_int_equal(have->count, want->count);
        assert_int_equal(have->every_count, want->every_count);
        assert_int_equal(have->is_by_arrival, want->is_by_arrival);
        assert_int_equal(have->grace_ms, want->grace_ms);
        assert_int_equal(have->idle_ms, want->idle_ms);
        assert_int_equal(have->ahead_ms, want->ahead_ms);
        assert_int_equal(have->rows_max, want->rows_max);
        assert_int_equal(have->keys_max, want->keys_max);
        config_destroy(config);
    }
    folder_destroy(&folder);
}

static void expressions_are_sql(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(
        &folder, WINDOW("tumbling: 1 h, key: \"device || '${x}'\", where: \"v IS NOT NULL\""));
    if (config == NULL) {
        fail_msg("%s", folder.faults);
    }
    assert_string_equal(config->core.rules[0].window.key, "device || '${x}'");
    assert_string_equal(config->core.rules[0].window.where, "v IS NOT NULL");
    config_destroy(config);
    folder_destroy(&folder);
}

static void what_makes_no_sense_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *why, *yaml, *want;
    } cases[] = {
        {"no kind", WINDOW("grace: 1 s"),
         "5:13: rule r: window: what kind of window? Give it one of tumbling, hopping, sliding, "
         "session, count"},
        {"two kinds", WINDOW("tumbling: 1 h, count: 5"),
         "5:29: rule r: window: a window is one kind; it is 'tumbling' and 'count'"},
        {"a step that leaves gaps", WINDOW("hopping: 1 h, every: 2 h"),
         "5:28: rule r: window: 'every' is longer than the windows, so that events would be left "
         "out"},
        {"no step", WINDOW("hopping: 1 h"),
         "5:14: rule r: window: a hopping window needs 'every', the time from one to the next"},
        {"pieces without end", WINDOW("hopping: 1 h, every: 59999 ms"),
         "5:13: rule r: window: a key would have up to 3600000 pieces of windows open, at most "
         "10000 are possible; make 'grace' shorter, or 'every' a larger part of the size"},
        {"a step of a window that has none", WINDOW("sliding: 1 h, every: 1 min"),
         "5:28: rule r: window: 'every' is for hopping and count windows"},
        {"grace by arrival", WINDOW("tumbling: 1 h, by: arrival, grace: 1 s"),
         "5:42: rule r: window: 'grace' is for windows by time, and this one is by arrival"},
        {"a clock for what counts", WINDOW("count: 5, idle: 1 s"),
         "5:24: rule r: window: 'idle' does nothing for a window that counts events"},
        {"more events than rows", WINDOW("count: 5, rows: 4"),
         "5:14: rule r: window: 'count' is 5, more than 'rows', 4"},
        {"a session that is cut before it ends", WINDOW("session: 5 min, longest: 1 min"),
         "5:30: rule r: window: 'longest' is shorter than the pause that ends a session"},
        {"longest of something else", WINDOW("tumbling: 5 min, longest: 1 h"),
         "5:31: rule r: window: 'longest' is for sessions"},
    };
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = folder_load(&folder, cases[i].yaml);
        if (config != NULL || strcmp(folder.faults, cases[i].want) != 0) {
            print_error("%s\nwant:\n%s\ngot:\n%s\n", cases[i].why, cases[i].want, folder.faults);
            config_destroy(config);
            fail();
        }
    }
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_the_core_gets),
        cmocka_unit_test(expressions_are_sql),
        cmocka_unit_test(what_makes_no_sense_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
