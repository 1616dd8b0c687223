// The engine: workflows that would never come to an end, or grow without one.
#include "workflow_scenario.h"

// Plays it and gives what SQL says then.
static void expect(const char *why, const char *const *definitions, const char *script,
                   const char *sql, const char *wanted)
{
    for (int mode = 0; mode < PLAY_MODES; mode++) {
        struct play *play = play_create(definitions, (enum play_mode)mode);
        play_script(play, script);
        const char *got = play_ask(play, sql);
        if (strcmp(got, wanted) != 0) {
            fail_msg("%s (mode %d): %s, not %s", why, mode, got, wanted);
        }
        play_check(play, why);
        play_destroy(play);
    }
}

#define LAST_ENTRIES                                                                               \
    "SELECT group_concat(step || '.' || what || coalesce('!' || error, ''), ' ') FROM (SELECT *"   \
    " FROM pipit_workflow_entry WHERE instance = 1 ORDER BY number DESC LIMIT 2)"

static void a_circle_whose_waits_never_wait(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("'variables':{'n':'0'},",
                 "{'name':'then','do':'until','at':'1'}," SET(
                     "more", "n", "n + 1") ",{'name':'back','do':'goto','step':'then'}"),
        NULL};
    (void)state;
    expect("until 1970 is over", definitions, START, LAST_ENTRIES,
           ".failed!bound more.error!bound");
    expect("until 1970 is over", definitions, START,
           "SELECT json_extract(variables, '$.n') FROM pipit_workflow_instance", "333");
}

static void a_circle_through_on_error(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", "{'name':'then','do':'until','at':'1'},{'name':'no','do':'fail','reason':'x',"
                     "'on_error':[{'name':'back','do':'goto','step':'then'}]}"),
        NULL};
    (void)state;
    // Whichever step it is that is one too many.
    expect("a failure leads back", definitions, START,
           "SELECT state || error FROM pipit_workflow_instance", "5bound");
}

static void items_of_items_of_items(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("'variables':{'list':'(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                 "FROM c WHERE i < 300) SELECT json_group_array(i) FROM c)'},",
                 "{'name':'a','do':'for_each','in':'list','as':'x','at_once':300,'steps':[{'name':"
                 "'b','do':'for_each','in':'list','as':'y','at_once':1,'steps':[" SET("s", "n",
                                                                                      "1") "]}]}"),
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START);
    assert_string_equal(play_ask(play, "SELECT state || error || (reason LIKE '%: 40000 steps"
                                       " without waiting') FROM pipit_workflow_instance"),
                        "5failed1");
    play_check(play, "90000 steps that do not wait");
    play_destroy(play);
}

static void more_items_than_there_may_be(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", "{'name':'a','do':'for_each','in':'(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL"
                     " SELECT i + 1 FROM c WHERE i < 10001) SELECT json_group_array(i) FROM c)',"
                     "'as':'x','at_once':1,'steps':[" SLEEP("nap", "1") "]}"),
        NULL};
    (void)state;
    expect("10001 items", definitions, START, LAST_ENTRIES, ".failed!bound a.error!bound");
}

// As many as there may be; the parent is a token, too.
static void all_items_at_once(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", "{'name':'a','do':'for_each','in':'(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL"
                     " SELECT i + 1 FROM c WHERE i < 9999) SELECT json_group_array(i) FROM c)',"
                     "'as':'x','at_once':10000,'steps':[" SLEEP("nap", "1000") "]}"),
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START "t 1000;");
    assert_string_equal(play_ask(play, "SELECT state || ' ' || next_token"
                                       " FROM pipit_workflow_instance"),
                        "4 10001");
    play_check(play, "9999 items");
    play_destroy(play);
}

static void variables_that_grow(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("'variables':{'t':'`12345678`'},",
                 SET("more", "t", "t || t") "," SLEEP("nap", "1") ",{'name':'back','do':'goto',"
                                                                  "'step':'more'}"),
        NULL};
    (void)state;
    expect("twice as long each time", definitions,
           START "t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;", LAST_ENTRIES,
           ".failed!bound more.error!bound");
    expect("the last that fitted stays", definitions,
           START "t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;t 1;",
           "SELECT length(json_extract(variables, '$.t')) FROM pipit_workflow_instance", "32768");
}

static void one_that_runs_itself(void **state)
{
    static const char *const waits[] = {
        WORKFLOW("", "{'name':'sub','do':'run','workflow':'w','key':'my.key','wait':true}"), NULL};
    static const char *const goes[] = {
        WORKFLOW("", "{'name':'sub','do':'run','workflow':'w','key':'my.key','wait':false}"), NULL};
    (void)state;
    expect("and waits for itself", waits, START,
           "SELECT count(*) || ' ' || sum(state = 5) FROM pipit_workflow_instance", "33 33");
    expect("and does not wait", goes, START,
           "SELECT count(*) || ' ' || sum(state = 5) || ' ' || sum(state = 4)"
           " FROM pipit_workflow_instance",
           "33 1 32");
}

static void many_children_one_after_the_other(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("'variables':{'n':'0'},",
                 SET("more", "n", "n + 1") ",{'name':'sub','do':'run','workflow':'child','key':'n',"
                                           "'wait':true},{'name':'if','do':'if','when':'n < 2000',"
                                           "'then':[{'name':'back','do':'goto','step':'more'}]}"),
        "{'format':1,'name':'child','start':{'from':'never','key':'k','running':'ignore'},"
        "'failure':'undo','keep':864000000,'steps':[{'name':'stop','do':'end'}]}",
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START);
    assert_string_equal(play_ask(play, "SELECT count(*) || ' ' || sum(state = 4)"
                                       " FROM pipit_workflow_instance"),
                        "2001 2001");
    play_destroy(play);
}

static void children_without_end(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", "{'name':'sub','do':'run','workflow':'child','key':'my.key','wait':true},"
                     "{'name':'back','do':'goto','step':'sub'}"),
        "{'format':1,'name':'child','start':{'from':'never','key':'k','running':'ignore'},"
        "'failure':'undo','keep':864000000,'steps':[{'name':'stop','do':'end'}]}",
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START);
    assert_string_equal(
        play_ask(play, "SELECT state || error FROM pipit_workflow_instance WHERE id = 1"),
        "5bound");
    play_destroy(play);
}

// Each begins when the one before is over: one event, and whoever looks for the next of the key
// must not look at all of them.
static void very_many_of_a_key(void **state)
{
    static const char *const definitions[] = {
        "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'queue'},"
        "'failure':'undo','keep':864000000,'variables':{'n':'n'},'steps':["
        "{'name':'first','do':'if','when':'n = 0','then':[" SLEEP("nap", "100") "]}," SET(
            "more", "n", "n + 1") "]}",
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_TOGETHER);
    play_script(play, "e start {'k':1,'n':0};");
    for (int i = 0; i < 3000; i++) {
        play_message(play, "start", bytes_from_text("{\"k\":1,\"n\":1}"));
        if (play->count == PLAY_INPUTS_MAX) {
            play_flush(play);
        }
    }
    play_script(play, "t 100;");
    assert_string_equal(
        play_ask(play, "SELECT group_concat(state || ' ' || n, ', ') FROM (SELECT state, count(*)"
                       " AS n FROM pipit_workflow_instance GROUP BY state)"),
        "4 3001");
    play_check(play, "very many of a key");
    play_destroy(play);
}

// A play whose store is a file: only there is a disk.
static struct play *play_on_disk(const struct folder *folder, const char *const *definitions)
{
    struct play *play = play_create(definitions, PLAY_PLAIN);
    core_close(play->core);
    store_close(play->store);
    play->store = open_store(folder->store_path);
    play_open(play);
    return play;
}

#define STATES                                                                                     \
    "SELECT group_concat(state, ' ') FROM (SELECT state FROM pipit_workflow_instance ORDER BY id)"

// What is due would use up what settling needs, so it is late; an answer is settled all the same.
static void a_disk_below_half_of_its_reserve(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", SLEEP("nap", "1000")),
        "{'format':1,'name':'child','start':{'from':'start','key':'k','running':'ignore'},"
        "'failure':'undo','keep':864000000,'steps':[" CALL("ask", "") "]}",
        NULL};
    struct folder folder;
    (void)state;
    folder_create(&folder);
    struct play *play = play_on_disk(&folder, definitions);
    play_script(play, START);
    assert_string_equal(play_ask(play, STATES), "1 1");
    play->spec.disk_reserve_bytes = UINT64_MAX / 4;
    play->now_ms += 1000;
    play->inputs[play->count++] = (struct input){.kind = INPUT_TICK};
    assert_int_equal(play_try(play), ERR_FULL);
    assert_non_null(strstr(play->e.text, "less than half of disk_reserve"));
    play_answer(play, "/ask done 200", true);
    assert_int_equal(play_try(play), ERR_OK);
    assert_string_equal(play_ask(play, STATES), "1 4");
    play->spec.disk_reserve_bytes = 1; // There is room again.
    play_flush(play);
    assert_string_equal(play_ask(play, STATES), "4 4");
    play_check(play, "a disk below half of its reserve");
    play_destroy(play);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_circle_whose_waits_never_wait),
        cmocka_unit_test(a_circle_through_on_error),
        cmocka_unit_test(items_of_items_of_items),
        cmocka_unit_test(more_items_than_there_may_be),
        cmocka_unit_test(all_items_at_once),
        cmocka_unit_test(variables_that_grow),
        cmocka_unit_test(one_that_runs_itself),
        cmocka_unit_test(many_children_one_after_the_other),
        cmocka_unit_test(children_without_end),
        cmocka_unit_test(very_many_of_a_key),
        cmocka_unit_test(a_disk_below_half_of_its_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
