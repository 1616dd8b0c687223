// Versions of workflows: instances stay on theirs, whatever becomes of the configuration.
#include "workflow_ask.h"

#define TELLING(topic)                                                                             \
    "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo',"                  \
    "'keep':864000000,'steps':[{'name':'go','do':'await','from':'go','key':'k'},"                  \
    "{'name':'got','do':'emit','to':'bus','topic':'" topic "/{my.key}','payload':'json'}]}"

static const char versions_sql[] = "SELECT count(*) FROM pipit_workflow_definition";

static void an_instance_stays_on_its_version(void **state)
{
    (void)state;
    struct play *play = one(TELLING("old"));
    play_script(play, "e start {'k':1};");
    assert_int_equal(core_notes(play->core)->count, 0);
    swap(play, TELLING("new"));
    assert_int_equal(core_notes(play->core)->count, 1);
    assert_non_null(strstr(core_notes(play->core)->texts[0], "workflow w: 1 instance stays on"));
    assert_asked(play, versions_sql, "2");
    play_script(play, "e start {'k':2};s 1000;e go {'k':1};e go {'k':2};");
    assert_string_equal(play->sent, "old/1 new/2");
    swap(play, TELLING("new")); // Nothing has changed, and nobody runs on the old one.
    assert_int_equal(core_notes(play->core)->count, 0);
    assert_asked(play, versions_sql, "2"); // Its ended instance can still be looked at.
    play_script(play, "t 864000001;");
    assert_asked(play, states_sql, "");
    play_reopen(play);
    assert_asked(play, versions_sql, "1");
    play_destroy(play);
}

static void a_version_comes_back(void **state)
{
    (void)state;
    struct play *play = one(TELLING("old"));
    play_script(play, "e start {'k':1};");
    swap(play, TELLING("new"));
    swap(play, TELLING("old"));
    assert_int_equal(core_notes(play->core)->count, 0); // Everybody runs on it.
    play_script(play, "e start {'k':2};e go {'k':2};e go {'k':1};");
    assert_string_equal(play->sent, "old/2 old/1");
    play_destroy(play);
}

static void one_that_is_gone_runs_on(void **state)
{
    (void)state;
    struct play *play = one(TELLING("old"));
    play_script(play, "e start {'k':1};");
    swap(play, NULL);
    assert_int_equal(core_notes(play->core)->count, 1);
    assert_non_null(strstr(core_notes(play->core)->texts[0],
                           "workflow w is not configured any more: its 1 instance runs on"));
    play_script(play, "e start {'k':2};s 1000;e go {'k':1};");
    assert_asked(play, states_sql, "1 1 completed");
    assert_string_equal(play->sent, "old/1");
    play_destroy(play);
}

// A try leaves nothing behind.
static void a_try_changes_nothing(void **state)
{
    (void)state;
    struct play *play = one(TELLING("old"));
    play_script(play, "e start {'k':1};");
    char before[PLAY_TEXT_MAX];
    memcpy(before, play->texts[0], sizeof(before));
    play_quote(play->texts[0], PLAY_TEXT_MAX, TELLING("new"));
    assert_int_equal(core_try_swap(play->core, &play->spec, &play->e), ERR_OK);
    assert_int_equal(core_notes(play->core)->count, 1);
    assert_asked(play, versions_sql, "1");
    memcpy(play->texts[0], before, sizeof(before));
    play_quote(play->texts[0], PLAY_TEXT_MAX, TELLING("{"));
    assert_int_equal(core_try_swap(play->core, &play->spec, &play->e), ERR_CONFIG);
    assert_non_null(strstr(play->e.text, "workflow \"w\" at /steps/1"));
    memcpy(play->texts[0], before, sizeof(before));
    play_script(play, "e go {'k':1};");
    assert_string_equal(play->sent, "old/1");
    play_destroy(play);
}

#define OVER_TABLE                                                                                 \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'queue'},"                 \
    "'failure':'undo','keep':864000000,'steps':["                                                  \
    "{'name':'nap','do':'sleep','for':1000},"                                                      \
    "{'name':'set','do':'set','set':{'m':'(SELECT max(v) FROM seen)'}},"                           \
    "{'name':'got','do':'emit','to':'bus','topic':'got/{my.key}/{m}','payload':'json'}]}"

// A table is gone that a version names: the hub starts, its instances rest.
static void one_that_does_not_compile_rests(void **state)
{
    (void)state;
    static const struct table_spec table = {
        .name = "seen", .key = "d", .sql = "SELECT d, v FROM \"seen/#\"", .rows_max = 10};
    struct play *play = one(TELLING("old"));
    play->spec.tables = &table;
    play->spec.table_count = 1;
    swap(play, OVER_TABLE);
    play_script(play, "e seen {'d':1,'v':7};e start {'k':1};e start {'k':1};e start {'k':2};");
    play->spec.table_count = 0;
    swap(play, TELLING("new"));
    assert_int_equal(core_notes(play->core)->count, 2);
    const char *rests = core_notes(play->core)->texts[0];
    assert_non_null(strstr(rests, "3 instances of version"));
    assert_non_null(strstr(rests, "seen"));
    play_script(play, "s 5000;t 5000;e go {'k':1};c! undo 1;c! retry 1;");
    assert_asked(play, states_sql, "1 1 running, 2 1 queued, 3 2 running");
    assert_true(core_next_timer_ms(play->core) > play->now_ms); // It does not spin.
    play_script(play, "c abandon 3;");
    assert_asked(play, states_sql, "1 1 running, 2 1 queued, 3 2 cancelled");
    // It is there again: what rested goes on, late.
    play->spec.table_count = 1;
    swap(play, OVER_TABLE);
    play_script(play, "e seen {'d':1,'v':8};t 600000;");
    assert_asked(play, states_sql, "1 1 completed, 2 1 running, 3 2 cancelled");
    assert_string_equal(play->sent, "got/1/8");
    play_destroy(play);
}

// What runs one that rests does not wait for it for ever.
static const char *const parent_and_child[] = {
    "{'format':1,'name':'w','start':{'from':'start','key':'k'},'failure':'undo',"
    "'keep':864000000,'steps':[{'name':'s','do':'set','set':{'m':'1'},'undo':[{'name':'us','do':"
    "'set','set':{'m':'2'}}]},{'name':'sub','do':'run','workflow':'child','key':'my.key',"
    "'wait':true}]}",
    "{'format':1,'name':'child','failure':'undo','keep':864000000,'steps':["
    "{'name':'nap','do':'sleep','for':1000,'undo':[{'name':'un','do':'sleep','for':1000}]},"
    "{'name':'set','do':'set','set':{'m':'(SELECT max(v) FROM seen)'}},"
    "{'name':'rest','do':'sleep','for':100000}]}",
    NULL};

static const struct table_spec seen_table = {
    .name = "seen", .key = "d", .sql = "SELECT d, v FROM \"seen/#\"", .rows_max = 10};

// What configures the child, and with has_table what it reads.
static void swap_child(struct play *play, bool has_child, bool has_table)
{
    play->spec.tables = &seen_table;
    play->spec.table_count = has_table;
    play->spec.workflow_count = 1 + has_child;
    assert_ok(core_swap(play->core, &play->spec, &play->e), play->e);
}

static struct play *play_parent_and_child(void)
{
    const char *parent_only[] = {parent_and_child[0], NULL};
    struct play *play = play_create(parent_only, PLAY_PLAIN);
    play_quote(play->texts[1], PLAY_TEXT_MAX, parent_and_child[1]);
    play->workflows[1] = (struct workflow_spec){"child", play->texts[1]};
    swap_child(play, true, true);
    play_script(play, "e start {'k':1};");
    assert_asked(play, states_sql, "1 1 running, 2 1 running");
    return play;
}

static void one_that_is_given_up_is_told_of(void **state)
{
    (void)state;
    struct play *play = play_parent_and_child();
    swap_child(play, false, false);
    play_script(play, "t 2000;c abandon 2;");
    assert_asked(play, states_sql, "1 1 failed, 2 1 cancelled");
    assert_asked(play, "SELECT error FROM pipit_workflow_instance WHERE id = 1", "cancelled");
    play_destroy(play);
}

// Nor does what undoes itself, once the child has been given up.
static void one_that_rests_is_waited_for_until_it_is_given_up(void **state)
{
    (void)state;
    struct play *play = play_parent_and_child();
    swap_child(play, false, false);
    play_script(play, "c undo 1;t 900000;");
    assert_asked(play, states_sql, "1 1 undoing, 2 1 running");
    assert_asked(play,
                 "SELECT reason FROM pipit_workflow_entry WHERE instance = 1 AND step = 'sub' AND"
                 " what = 'undoing'",
                 "it waits for workflow child, instance 2, which cannot be used any more: pipit "
                 "workflow cancel --abandon 2");
    play_script(play, "c abandon 2;");
    assert_asked(play, states_sql, "1 1 cancelled, 2 1 cancelled");
    assert_asked(play, "SELECT count(*) FROM pipit_workflow_entry WHERE what = 'undone'", "1");
    play_destroy(play);
}

// Its version is not configured any more, but can be used.
static void one_that_is_gone_undoes_itself_first(void **state)
{
    (void)state;
    struct play *play = play_parent_and_child();
    play_script(play, "t 1000;");
    swap_child(play, false, true);
    play_script(play, "c undo 1;t 999;");
    assert_asked(play, states_sql, "1 1 undoing, 2 1 undoing");
    play_script(play, "s 1;");
    assert_asked(play, states_sql, "1 1 cancelled, 2 1 cancelled");
    play_destroy(play);
}

#define QUEUED_BY(running)                                                                         \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'" running "'},"           \
    "'failure':'undo','keep':864000000,'steps':[" SLEEP("nap", "1000") "]}"

// One that waits for its turn gets it, whatever the versions before it and after it say.
static void one_that_is_queued_begins(void **state)
{
    static const char *const runnings[] = {QUEUED_BY("parallel"), QUEUED_BY("ignore"),
                                           QUEUED_BY("restart"), QUEUED_BY("queue"), NULL};
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct play *play = one(QUEUED_BY("queue"));
        play_script(play, "e start {'k':1};e start {'k':1};");
        swap(play, runnings[i]);
        play_script(play, "e start {'k':1};t 1000;t 1000;t 1000;");
        assert_asked(play,
                     "SELECT count(*) FROM pipit_workflow_instance WHERE id <= 2 AND state <> 4"
                     " AND NOT (state = 6 AND (SELECT text LIKE '%restart%' FROM"
                     " pipit_workflow_definition ORDER BY id DESC LIMIT 1))",
                     "0");
        play_destroy(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_instance_stays_on_its_version),
        cmocka_unit_test(a_version_comes_back),
        cmocka_unit_test(one_that_is_gone_runs_on),
        cmocka_unit_test(a_try_changes_nothing),
        cmocka_unit_test(one_that_does_not_compile_rests),
        cmocka_unit_test(one_that_is_given_up_is_told_of),
        cmocka_unit_test(one_that_rests_is_waited_for_until_it_is_given_up),
        cmocka_unit_test(one_that_is_gone_undoes_itself_first),
        cmocka_unit_test(one_that_is_queued_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
