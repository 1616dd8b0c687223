// How visits of steps are named outside, and that only our own names are read back.
#include "core/workflow_ticket.h"
#include "store_support.h"

static const struct {
    const char *why, *text;
    struct workflow_ticket ticket;
} tickets[] = {
    {"the usual", "0badcafe/w12-3-7-1700000000123", {12, 3, 7, 1700000000123}},
    {"the first of all", "0badcafe/w1-1-0-0", {1, 1, 0, 0}},
    {"the largest there can be",
     "0badcafe/w9223372036854775807-4294967295-999-9999999999999",
     {INT64_MAX, UINT32_MAX, 999, 9999999999999}},
};

static void what_is_made_is_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(tickets) / sizeof(tickets[0]); i++) {
        char text[WORKFLOW_TICKET_BYTES];
        struct workflow_ticket read;
        workflow_ticket_make(text, "0badcafe", &tickets[i].ticket);
        assert_string_equal(text, tickets[i].text);
        assert_true(strlen(text) <= 64); // What a command's id may have.
        assert_true(workflow_ticket_read(bytes_from_text(text), "0badcafe", &read));
        assert_int_equal(read.instance, tickets[i].ticket.instance);
        assert_int_equal(read.execution, tickets[i].ticket.execution);
        assert_int_equal(read.step, tickets[i].ticket.step);
        assert_int_equal(read.started_ms, tickets[i].ticket.started_ms);
    }
}

static const struct {
    const char *why, *text;
} strangers[] = {
    {"nothing", ""},
    {"only the store", "0badcafe"},
    {"only the beginning", "0badcafe/w"},
    {"of another store", "1badcafe/w1-2-0-3"},
    {"a delivery of a rule", "plant/press/7/42:overheat:1"},
    {"one number is missing", "0badcafe/w1-2-0"},
    {"one number is empty", "0badcafe/w1--0-3"},
    {"one number too many", "0badcafe/w1-2-0-3-4"},
    {"something behind it", "0badcafe/w1-2-0-3:emit:1"},
    {"a sign", "0badcafe/w-1-2-0-3"},
    {"a blank", "0badcafe/w1- 2-0-3"},
    {"written as we do not: a zero in front", "0badcafe/w01-2-0-3"},
    {"an instance beyond what there can be", "0badcafe/w9223372036854775808-2-0-3"},
    {"an execution beyond what there can be", "0badcafe/w1-4294967296-0-3"},
    {"a step beyond what there can be", "0badcafe/w1-2-1000-3"},
    {"a number of many digits", "0badcafe/w1-2-0-99999999999999999999999999"},
};

static void others_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        struct workflow_ticket ticket;
        if (workflow_ticket_read(bytes_from_text(strangers[i].text), "0badcafe", &ticket)) {
            fail_msg("%s: %s", strangers[i].why, strangers[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_read_back),
        cmocka_unit_test(others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
