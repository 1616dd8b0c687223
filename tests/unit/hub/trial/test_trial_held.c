// Answers that are on their way in a trial come by their time, then in the order in which they were
// given, and keep what they hold.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "trial/trial.h"
#include "trial/trial_held.h"

static void add(struct trial_held *held, int64_t at_ms, uint64_t id)
{
    const struct settlement settlement = {.delivery_id = id, .verdict = VERDICT_DONE};
    assert_int_equal(trial_held_add_settlement(held, at_ms, &settlement, NULL), ERR_OK);
}

static uint64_t take(struct trial_held *held)
{
    struct input input;
    trial_held_first(held, &input);
    trial_held_drop(held);
    return input.settlement.delivery_id;
}

static void they_come_by_their_time(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int64_t at_ms[5];
        uint64_t want[5]; // Which of them comes when; from 1.
        uint32_t count;
    } cases[] = {
        {"in order", {1, 2, 3}, {1, 2, 3}, 3},
        {"the other way round", {3, 2, 1}, {3, 2, 1}, 3},
        {"one overtakes", {5, 5, 9, 6}, {1, 2, 4, 3}, 4},
        {"of one moment as they were given", {7, 7, 7, 7, 7}, {1, 2, 3, 4, 5}, 5},
        {"alone", {-1}, {1}, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trial_held *held = trial_held_create();
        assert_non_null(held);
        for (uint32_t j = 0; j < cases[i].count; j++) {
            add(held, cases[i].at_ms[j], j + 1);
        }
        for (uint32_t j = 0; j < cases[i].count; j++) {
            uint64_t got = take(held);
            if (got != cases[i].want[j]) {
                fail_msg("%s: %d comes where %d should", cases[i].why, (int)got,
                         (int)cases[i].want[j]);
            }
        }
        assert_true(trial_held_next_ms(held) == INT64_MAX);
        trial_held_destroy(held);
    }
}

static void so_many_are_due(void **state)
{
    (void)state;
    struct trial_held *held = trial_held_create();
    add(held, 10, 1);
    add(held, 20, 2);
    add(held, 20, 3);
    assert_int_equal(trial_held_due(held, 9), 0);
    assert_int_equal(trial_held_due(held, 10), 1);
    assert_int_equal(trial_held_due(held, 20), 3);
    assert_int_equal(trial_held_next_ms(held), 10);
    trial_held_destroy(held); // With some in it.
}

static void what_they_hold_is_theirs(void **state)
{
    (void)state;
    struct trial_held *held = trial_held_create();
    char text[] = "{\"a\":1}", reason[] = "because";
    struct reply reply = {.status = 503, .body = bytes_from_text(text), .content_type = "a/b"};
    const struct settlement settlement = {
        .delivery_id = 7, .verdict = VERDICT_RETRY, .reason = reason, .reply = &reply};
    const struct message message = {.topic = bytes_from_text(reason),
                                    .payload = bytes_from_text(text)};
    struct input input;
    assert_int_equal(trial_held_add_settlement(held, 1, &settlement, NULL), ERR_OK);
    assert_int_equal(trial_held_add_message(held, 2, &message, NULL), ERR_OK);
    memset(text, 'x', sizeof(text) - 1);
    memset(reason, 'x', sizeof(reason) - 1);
    reply.status = 0;
    add(held, 0, 1); // The others move.
    take(held);
    trial_held_first(held, &input);
    assert_int_equal(input.kind, INPUT_SETTLEMENT);
    assert_string_equal(input.settlement.reason, "because");
    assert_int_equal(input.settlement.reply->status, 503);
    assert_true(bytes_equal(input.settlement.reply->body, bytes_from_text("{\"a\":1}")));
    trial_held_drop(held);
    trial_held_first(held, &input);
    assert_int_equal(input.kind, INPUT_MESSAGE);
    assert_true(bytes_equal(input.message.topic, bytes_from_text("because")));
    trial_held_destroy(held);
}

static void there_is_a_bound(void **state)
{
    (void)state;
    struct trial_held *held = trial_held_create();
    const struct settlement settlement = {.delivery_id = 1};
    struct error e = {0};
    for (uint32_t i = 0; i < TRIAL_HELD_MAX; i++) {
        add(held, i, i);
    }
    assert_int_equal(trial_held_add_settlement(held, 0, &settlement, &e), ERR_FULL);
    assert_non_null(strstr(e.text, "answers are on their way"));
    for (uint64_t i = 0; i < TRIAL_HELD_MAX; i++) { // There is room behind each that goes.
        assert_int_equal(take(held), i);
        add(held, TRIAL_HELD_MAX + (int64_t)i, TRIAL_HELD_MAX + i);
    }
    trial_held_destroy(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_by_their_time),
        cmocka_unit_test(so_many_are_due),
        cmocka_unit_test(what_they_hold_is_theirs),
        cmocka_unit_test(there_is_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
