// The rules of a configuration on a clock that the test moves.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trial_support.h"

static const char two_rules[] =
    TRIAL_HEAD "rules:\n"
               "  hot:\n"
               "    sql: SELECT celsius FROM \"t/+\" WHERE celsius > 30\n"
               "    key: topic\n"
               "    to: [{bus: {topic: hot}}, {log: {}}]\n"
               "  all:\n"
               "    sql: SELECT celsius FROM \"t/#\"\n"
               "    to: [{bus: {topic: all}}]\n";

static void what_goes_out_is_in_order(void **state)
{
    (void)state;
    struct bed bed = {0};
    bed_open(&bed, two_rules, NULL);
    bed_send(&bed, "t/a", "{\"celsius\": 31}", TRIAL_START_MS);
    bed_send(&bed, "t/a", "{\"celsius\": 20}", TRIAL_START_MS);
    bed_send(&bed, "t/a", "{\"celsius\": 32}", TRIAL_START_MS + 1);
    // A key has one delivery under way at a time, so what follows it may be another key's.
    assert_string_equal(bed_taken(&bed), "bus hot {\"celsius\":31}\n"
                                         "bus all {\"celsius\":31}\n"
                                         "bus all {\"celsius\":20}\n"
                                         "log  {\"celsius\":31}\n"
                                         "bus hot {\"celsius\":32}\n"
                                         "bus all {\"celsius\":32}\n"
                                         "log  {\"celsius\":32}\n");
    assert_string_equal(bed_taken(&bed), "");
    struct books books;
    core_books(trial_core(bed.trial), &books);
    assert_int_equal(books.delivered, 7);
    assert_int_equal(books.waiting, 0);
    bed_close(&bed);
}

static void one_rule_sees_what_is_for_it(void **state)
{
    (void)state;
    struct bed bed = {0};
    bed_open(&bed, two_rules, "hot");
    bed_send(&bed, "t/a", "{\"celsius\": 31}", TRIAL_START_MS);
    assert_string_equal(bed_taken(&bed), "bus hot {\"celsius\":31}\nlog  {\"celsius\":31}\n");
    bed_close(&bed);
}

struct told {
    char text[1000];
};

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    struct told *told = context;
    size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof(told->text) - len, "%.*s: %s\n", (int)rejection->topic.len,
             (const char *)rejection->topic.ptr, rejection->reason);
}

static void what_is_rejected_is_told_once(void **state)
{
    (void)state;
    struct bed bed = {0};
    struct told told = {""};
    bed_open(&bed, two_rules, NULL);
    bed_send(&bed, "t/a", "{\"celsius\":", TRIAL_START_MS);
    assert_int_equal(trial_rejections(bed.trial, on_rejection, &told, NULL), ERR_OK);
    assert_non_null(strstr(told.text, "t/a: "));
    told.text[0] = '\0';
    assert_int_equal(trial_rejections(bed.trial, on_rejection, &told, NULL), ERR_OK);
    assert_string_equal(told.text, "");
    bed_close(&bed);
}

// A target takes nothing before the clock moves or somebody asks: so a held route is full.
static void a_route_that_holds_is_emptied(void **state)
{
    (void)state;
    struct bed bed = {0};
    bed_open(&bed,
             TRIAL_HEAD "rules:\n"
                        "  all:\n"
                        "    sql: SELECT celsius FROM \"t/#\"\n"
                        "    to: [{bus: {topic: all, limit: 100}}]\n",
             NULL);
    for (int i = 0; i < 50; i++) {
        bed_send(&bed, "t/a", "{\"celsius\": 31}", TRIAL_START_MS);
    }
    const char *taken = bed_taken(&bed);
    int lines = 0;
    for (const char *at = taken; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    assert_int_equal(lines, 50);
    bed_close(&bed);
}

static void the_clock_may_step_back(void **state)
{
    (void)state;
    struct bed bed = {0};
    bed_open(&bed,
             TRIAL_HEAD "rules:\n"
                        "  all:\n"
                        "    sql: SELECT now_ms() AS now FROM \"t/#\"\n"
                        "    to: [{bus: {topic: all}}]\n",
             NULL);
    bed_send(&bed, "t/a", "{}", TRIAL_START_MS);
    bed_send(&bed, "t/a", "{}", TRIAL_START_MS - 7200000);
    assert_string_equal(bed_taken(&bed),
                        "bus all {\"now\":1767261600000}\nbus all {\"now\":1767254400000}\n");
    assert_int_equal(trial_advance(bed.trial, TRIAL_START_MS, NULL), ERR_OK);
    assert_int_equal(trial_now_ms(bed.trial), TRIAL_START_MS);
    bed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_out_is_in_order),
        cmocka_unit_test(one_rule_sees_what_is_for_it),
        cmocka_unit_test(what_is_rejected_is_told_once),
        cmocka_unit_test(a_route_that_holds_is_emptied),
        cmocka_unit_test(the_clock_may_step_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
