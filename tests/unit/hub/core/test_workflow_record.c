// What the history keeps of payloads: JSON as such, so that nobody has to read JSON out of a text.
#include "workflow_scenario.h"

#define LONG 1200 // Bytes; more than are kept.

// Of what came back, and of what was sent for it.
static const char came_sql[] = "SELECT data ->> 'status' || ' ' || (data -> 'body') ||"
                               " coalesce(' ' || (data -> 'body_bytes'), '')"
                               " FROM pipit_workflow_entry WHERE step = 'go' AND what = 'done'";
static const char sent_sql[] = "SELECT (data -> 'payload') || (data -> 'topic')"
                               " FROM pipit_workflow_entry WHERE step = 'go' AND what = 'entered'";

static const struct {
    const char *why, *body, *came;
} cases[] = {
    {"an object", "{\"a\": {\"b\": [1.5, null]}}", "200 {\"a\":{\"b\":[1.5,null]}}"},
    {"an array", "[1,\"x\"]", "200 [1,\"x\"]"},
    {"a value is as what a text looks like, and stays text", "17", "200 \"17\""},
    {"the same of a quoted one", "\"17\"", "200 \"\\\"17\\\"\""},
};

static struct play *answered(const char *body)
{
    static const char *const definitions[] = {
        WORKFLOW("'variables':{'n':'n'},", CALL("go", ",'fields':{'n':'n'}")), NULL};
    char line[LONG + 100];
    struct play *play = play_create(definitions, (enum play_mode)0);
    play_script(play, START);
    snprintf(line, sizeof(line), "a /go done 200 %s", body);
    play_line(play, line);
    play_flush(play);
    return play;
}

static void json_is_kept_as_such(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct play *play = answered(cases[i].body);
        if (strcmp(play_ask(play, came_sql), cases[i].came) != 0) {
            fail_msg("%s: %s", cases[i].why, play_ask(play, came_sql));
        }
        assert_string_equal(play_ask(play, sent_sql), "{\"n\":5}\"/go\"");
        play_destroy(play);
    }
}

static void what_is_cut_stays_text(void **state)
{
    (void)state;
    char body[LONG + 1], want[LONG + 1];
    memset(body, '1', LONG);
    body[0] = '[';
    body[LONG - 1] = ']';
    body[LONG] = '\0';
    for (int i = 2; i < LONG - 1; i += 2) {
        body[i] = ',';
    }
    body[LONG - 2] = '1'; // Its last number has two digits.
    struct play *play = answered(body);
    snprintf(want, sizeof(want), "200 \"%.1000s\" %d", body, LONG);
    assert_string_equal(play_ask(play, came_sql), want);
    play_destroy(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_kept_as_such),
        cmocka_unit_test(what_is_cut_stays_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
