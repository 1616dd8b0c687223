// The engine: what is undone when a workflow fails or is cancelled, in which order, whatever of it
// fails again; and the bounds of an instance.
#include "workflow_scenario.h"

#define UNDO(name, more) ",'undo':[" CALL(name, more) "]"
#define STEPS_MAX        5

// ---- five steps, each of which fails in turn
// -----------------------------------------------------

enum ending { REFUSED, UNKNOWN, CANCELLED_THERE };

struct text {
    char text[PLAY_TEXT_MAX];
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
    size_t len = strlen(text->text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text->text + len, sizeof(text->text) - len, format, arguments);
    va_end(arguments);
}

static void write_five(struct text *out)
{
    add(out, "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'ignore'},"
             "'failure':'undo','keep':864000000,'steps':[");
    for (int i = 1; i <= STEPS_MAX; i++) {
        add(out,
            "%s{'name':'s%d','do':'call','to':'web','topic':'/s%d','is_url':true,'payload':'json',"
            "'undo':[{'name':'u%d','do':'call','to':'web','topic':'/u%d','is_url':true,"
            "'payload':'json','retry':{'attempts':3,'backoff':1000,'backoff_max':1000}}]}",
            i == 1 ? "" : ",", i, i, i, i);
    }
    add(out, "]}");
}

// The step at `at` ends so; what has to be undone is, the first of it at the second attempt.
static void write_story(int at, enum ending ending, struct text *script, struct text *record,
                        struct text *sent)
{
    add(script, "e start {'k':1};");
    add(record, "started");
    for (int i = 1; i < at; i++) {
        add(script, "a /s%d done;", i);
        add(record, " s%d> s%d+", i, i);
        add(sent, "%s/s%d", i == 1 ? "" : " ", i);
    }
    add(record, " s%d>", at);
    add(sent, "%s/s%d", at == 1 ? "" : " ", at);
    if (ending == CANCELLED_THERE) {
        add(script, "c undo 1;");
        add(record, " s%dx", at);
    } else {
        add(script, "a /s%d %s;", at, ending == REFUSED ? "reject" : "retry");
        add(record, " s%d!%s", at, ending == REFUSED ? "refused" : "unavailable");
    }
    int last = ending == REFUSED ? at - 1 : at;
    add(record, "%s", last > 0 ? " undoing" : "");
    for (int i = last; i >= 1; i--) {
        if (i == at && ending == CANCELLED_THERE) {
            add(script, "a /s%d done;", at); // It comes when nobody waits any more.
        }
        if (i == last) {
            add(script, "a /u%d retry;t 1000;", i);
            add(record, " u%d> u%d~unavailable", i, i);
            add(sent, " /u%d", i);
        }
        add(script, "a /u%d done;", i);
        add(record, " u%d> u%d+ s%d<", i, i, i);
        add(sent, " /u%d", i);
    }
    add(record, " %s", ending == CANCELLED_THERE ? "cancelled" : "failed");
}

static void every_step_fails_in_turn(void **state)
{
    static struct text five, script, record, sent;
    (void)state;
    five.text[0] = '\0';
    write_five(&five);
    for (int at = 1; at <= STEPS_MAX; at++) {
        for (int ending = REFUSED; ending <= CANCELLED_THERE; ending++) {
            script.text[0] = record.text[0] = sent.text[0] = '\0';
            write_story(at, (enum ending)ending, &script, &record, &sent);
            const struct scenario scenario = {"five steps", five.text, script.text,
                                              record.text,  sent.text, NULL};
            play_scenario(&scenario, NULL);
        }
    }
}

// ---- undoing, parking ---------------------------------------------------------------------------

#define NO "{'name':'no','do':'fail','reason':'so'}"
#define PARKING(more, steps)                                                                       \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'ignore'},"                \
    "'failure':'park','keep':864000000," more "'steps':[" steps "]}"
#define AGAIN "e start {'k':1};"

static const struct scenario undoings[] = {
    {"nothing to undo", WORKFLOW("", NO), START, "started no!failed failed", "", NULL},
    {"my.error and my.reason are those of the failure",
     WORKFLOW("", SET("one", "m", "1") ",{'name':'s','do':'call','to':'web','topic':'/s','is_url':"
                                       "true,'payload':'json','undo':[{'name':'u','do':'call','to':"
                                       "'web','topic':'/u/{my.error}','is_url':true,'payload':"
                                       "'json'}]}," NO),
     START "a /s done;a /u/failed done;", "started one+ s> s+ no!failed undoing u> u+ s< failed",
     "/s /u/failed", NULL},
    {"an undo that fails parks; tried again it succeeds",
     WORKFLOW("", CALL("s", UNDO("u", "")) "," NO),
     START "a /s done;a /u reject;c! undo 1;c retry 1;a /u done;c! retry 1;c! undo 1;",
     "started s> s+ no!failed undoing u> u!refused u.parked!refused retried u> u+ s< failed",
     "/s /u /u", NULL},
    {"an undo that fails parks; it is given up", WORKFLOW("", CALL("s", UNDO("u", "")) "," NO),
     START "a /s done;a /u reject;c abandon 1;",
     "started s> s+ no!failed undoing u> u!refused u.parked!refused cancelled", "/s /u", NULL},
    {"an undo that handles its error goes on",
     WORKFLOW("", CALL("s", UNDO("u", ",'on_error':[" SET("fine", "m", "1") "]")) "," NO),
     START "a /s done;a /u reject;", "started s> s+ no!failed undoing u> u!refused fine+ s< failed",
     "/s /u", NULL},
    {"undoing cannot be cancelled, but abandoned", WORKFLOW("", CALL("s", UNDO("u", "")) "," NO),
     START "a /s done;c! undo 1;c abandon 1;a /u done;",
     "started s> s+ no!failed undoing u> ux cancelled", "/s /u", NULL},
    {"abandoned at once nothing is undone",
     WORKFLOW("", CALL("s", UNDO("u", "")) "," SLEEP("nap", "100")), START "a /s done;c abandon 1;",
     "started s> s+ nap> napx cancelled", "/s", NULL},
    {"what failed parks first: tried again",
     PARKING("", CALL("s", UNDO("u", "")) "," CALL("t", "")),
     AGAIN "a /s done;a /t reject;c retry 1;a /t done;",
     "started s> s+ t> t!refused t.parked!refused retried t> t+ completed", "/s /t /t", NULL},
    {"what failed parks first: cancelled", PARKING("", CALL("s", UNDO("u", "")) "," CALL("t", "")),
     AGAIN "a /s done;a /t reject;c undo 1;a /u done;",
     "started s> s+ t> t!refused t.parked!refused undoing u> u+ s< cancelled", "/s /t /u", NULL},
    {"what may have happened is undone, also from the park, and once",
     PARKING("", CALL("s", UNDO("u", ""))),
     AGAIN "a /s retry;c retry 1;a /s retry;c undo 1;a /u done;",
     "started s> s!unavailable s.parked!unavailable retried s> s!unavailable s.parked!unavailable "
     "undoing u> u+ s< cancelled",
     "/s /s /u", NULL},
    {"the workflow's own time",
     WORKFLOW("'within':1000,", CALL("s", UNDO("u", "")) "," SLEEP("nap", "5000")),
     START "a /s done;t 1000;a /u done;t 9000;", "started s> s+ nap> napx undoing u> u+ s< failed",
     "/s /u", NULL},
    {"the workflow's own time, and it parks", PARKING("'within':1000,", SLEEP("nap", "5000")),
     AGAIN "t 1000;c retry 1;t 999;t 1;c undo 1;",
     "started nap> parked retried nap> parked cancelled", "", NULL},
    {"its own time, where the clock has been set back while it was parked",
     PARKING("'within':1000,", CALL("s", "") "," SLEEP("nap", "5000")),
     AGAIN "a /s reject;t -90000;c retry 1;a /s done;t 1000;",
     "started s> s!refused s.parked!refused retried s> s+ nap> parked", "/s /s", NULL},
    {"the branches' own time, which has gone by while it was parked",
     PARKING(
         "'within':1000,",
         SLEEP("nap", "500") ",{'name':'both','do':'parallel','within':800,'branches':{'a':[" SLEEP(
             "a", "90000") "],'b':[" SLEEP("b", "90000") "]},'wait':'all'}"),
     AGAIN "t 500;t 500;t 9000;c retry 1;t 799;t 1;c undo 1;",
     "started nap> nap+ both> a> b> parked retried a> b> bx ax both!timeout both.parked!timeout "
     "cancelled",
     "", NULL},
    {"branches are undone as they were done, the newest first, each under its key",
     WORKFLOW("",
              "{'name':'both','do':'parallel','branches':{'a':[" CALL(
                  "a", UNDO("ua", "")) "],"
                                       "'b':[" CALL("b", UNDO("ub", "")) "]},'wait':'all'}," NO),
     START "a /b done;a /a done;a /ua done;a /ub done;",
     "started both> a> b> b+ a+ both+ no!failed undoing ua> ua+ a< ub> ub+ b< failed",
     "/a /b /ua /ub", NULL},
    {"a branch that is ended may have happened",
     WORKFLOW("",
              "{'name':'both','do':'parallel','branches':{'a':[" CALL(
                  "a", UNDO("ua", "")) "],"
                                       "'b':[" CALL("b", UNDO("ub", "")) "]},'wait':'any'}," NO),
     START "a /b done;a /a done;a /ua done;a /ub done;",
     "started both> a> b> b+ ax both+ no!failed undoing ua> ua+ a< ub> ub+ b< failed",
     "/a /b /ua /ub", NULL},
    {"items are undone with what they were",
     WORKFLOW("'variables':{'list':'`[1,2]`'},",
              "{'name':'each','do':'for_each','in':'list','as':'item','at_once':1,'steps':[{'name':"
              "'s','do':'call','to':'web','topic':'/s/{item}','is_url':true,'payload':'json',"
              "'undo':[{'name':'u','do':'call','to':'web','topic':'/u/{item}','is_url':true,"
              "'payload':'json'}]}]}," NO),
     START "a /s/1 done;a /s/2 done;a /u/2 done;a /u/1 done;",
     "started each> s> s+ s> s+ each+ no!failed undoing u> u+ s< u> u+ s< failed",
     "/s/1 /s/2 /u/2 /u/1", NULL},
    {"a loop is undone as often as it was gone round",
     WORKFLOW("'variables':{'i':'0'},",
              "{'name':'s','do':'call','to':'web','topic':'/s/{i}','is_url':true,'payload':'json',"
              "'undo':[" CALL("u", "") "]}," SET(
                  "more", "i",
                  "i + 1") ",{'name':'if','do':'if',"
                           "'when':'i < 2','then':[{'name':'back','do':'goto','step':'s'}]}," NO),
     START "a /s/0 done;a /s/1 done;a /u done;a /u done;",
     "started s> s+ more+ if+ back+ s> s+ more+ if+ no!failed undoing u> u+ s< u> u+ s< failed",
     "/s/0 /s/1 /u /u", NULL},
    {"an undo of several steps",
     WORKFLOW("", CALL("s", ",'undo':[" CALL("u", "") "," SLEEP("nap", "100") "," CALL(
                                "v", "") "]") "," NO),
     START "a /s done;a /u done;t 100;a /v done;",
     "started s> s+ no!failed undoing u> u+ nap> nap+ v> v+ s< failed", "/s /u /v", NULL},
    {"what may have happened of one step is nothing of the next",
     WORKFLOW("",
              CALL("s", ",'on_error':[" SET("fine", "m", "1") "]") "," CALL("t", UNDO("u", ""))),
     START "a /s retry;a /t reject;", "started s> s!unavailable fine+ t> t!refused failed", "/s /t",
     NULL},
    {"a device that says no has not done it, whichever attempt it speaks of",
     WORKFLOW("", "{'name':'go','do':'command','to':'bus','device':'`g/d1`','command':'boost',"
                  "'offline':'send','within':1000,'retry':{'attempts':2,'backoff':100,"
                  "'backoff_max':100},'undo':[" CALL("u", "") "]}"),
     START "a pipit/v1/g/d1/command/boost done;t 1000;t 100;r pipit/v1/g/d1/command/boost 3;",
     "started go> go~timeout go> go!refused failed",
     "pipit/v1/g/d1/command/boost pipit/v1/g/d1/command/boost", NULL},
    {"one that did not begin this attempt may have begun the other",
     WORKFLOW("", "{'name':'go','do':'command','to':'bus','device':'`g/d1`','command':'boost',"
                  "'offline':'send','within':1000,'retry':{'attempts':2,'backoff':100,"
                  "'backoff_max':100},'undo':[" CALL("u", "") "]}"),
     START "a pipit/v1/g/d1/command/boost done;t 1000;t 100;r pipit/v1/g/d1/command/boost -15;"
           "a /u done;",
     "started go> go~timeout go> go!refused undoing u> u+ go< failed",
     "pipit/v1/g/d1/command/boost pipit/v1/g/d1/command/boost /u", NULL},
    {"one whose reply did not fit has done it",
     WORKFLOW("", "{'name':'go','do':'command','to':'bus','device':'`g/d1`','command':'boost',"
                  "'offline':'send','undo':[" CALL("u", "") "]}"),
     START "a pipit/v1/g/d1/command/boost done;r pipit/v1/g/d1/command/boost -3;a /u done;",
     "started go> go!answer undoing u> u+ go< failed", "pipit/v1/g/d1/command/boost /u", NULL},
    {"a device that says nothing may have done it",
     WORKFLOW("", "{'name':'go','do':'command','to':'bus','device':'`g/d1`','command':'boost',"
                  "'offline':'send','within':1000,'undo':[" CALL("u", "") "]}"),
     START "a pipit/v1/g/d1/command/boost done;t 1000;a /u done;",
     "started go> go!timeout undoing u> u+ go< failed", "pipit/v1/g/d1/command/boost /u", NULL},
    {"what succeeds undoes nothing", WORKFLOW("", CALL("s", UNDO("u", ""))), START "a /s done;",
     "started s> s+ completed", "/s", NULL},
};

static void what_is_undone(void **state)
{
    (void)state;
    play_scenarios(undoings, sizeof(undoings) / sizeof(undoings[0]));
}

// ---- names of attempts --------------------------------------------------------------------------

static bool is_one_ticket(const char *definition, const char *script)
{
    const char *const definitions[] = {definition, NULL};
    struct play *play = play_create(definitions, PLAY_REOPENED);
    play_script(play, script);
    assert_int_equal(play->delivery_count, 2);
    bool is_one = strcmp(play->deliveries[0].ticket, play->deliveries[1].ticket) == 0;
    play_destroy(play);
    return is_one;
}

static void attempts_have_one_name(void **state)
{
    (void)state;
    // What may have happened is asked for again under its name, what was refused under another.
    assert_true(is_one_ticket(PARKING("", CALL("s", "")), AGAIN "a /s retry;c retry 1;"));
    assert_false(is_one_ticket(PARKING("", CALL("s", "")), AGAIN "a /s reject;c retry 1;"));
    assert_true(is_one_ticket(
        WORKFLOW("", CALL("s", ",'retry':{'attempts':2,'backoff':10,'backoff_max':10}")),
        START "a /s retry;t 10;"));
}

static void an_undo_goes_under_the_key_of_what_it_undoes(void **state)
{
    static const char *const definitions[] = {
        WORKFLOW("", "{'name':'both','do':'parallel','branches':{'a':[" CALL(
                         "a", UNDO("ua", "")) "],'b':[" SLEEP("nap", "100") "]},'wait':'all'}," NO),
        NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_PLAIN);
    play_script(play, START "a /a done;t 100;");
    assert_int_equal(play->delivery_count, 2);
    assert_string_equal(play->deliveries[0].key, "w/1/0");
    assert_string_equal(play->deliveries[1].key, "w/1/0");
    play_destroy(play);
}

// ---- keys that run already ----------------------------------------------------------------------

#define RUNNING(how)                                                                               \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'" how "'},"               \
    "'failure':'undo','keep':864000000,'steps':[" SLEEP("nap", "100") "]}"

static const struct scenario runnings[] = {
    {"ignored", RUNNING("ignore"), AGAIN AGAIN "t 100;", "started nap> nap+ completed", "", NULL},
    {"queued, one after the other", RUNNING("queue"), AGAIN AGAIN AGAIN "t 100;t 100;t 100;",
     "started nap> nap+ completed | queued started nap> nap+ completed | queued started nap> nap+ "
     "completed",
     "", NULL},
    {"its own time, where the clock has been set back while it was queued",
     "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'queue'},'within':1000,"
     "'failure':'undo','keep':864000000,'steps':[" SLEEP("nap", "5000") "]}",
     AGAIN AGAIN "t -90000;c undo 1;t 999;t 1;",
     "started nap> napx cancelled | queued started nap> napx failed", "", NULL},
    {"a queued one is cancelled at once", RUNNING("queue"), AGAIN AGAIN AGAIN "c undo 2;t 100;",
     "started nap> nap+ completed | queued cancelled | queued started nap>", "", NULL},
    {"the older one is cancelled", RUNNING("restart"), AGAIN AGAIN "t 100;",
     "started nap> napx cancelled | queued started nap> nap+ completed", "", NULL},
    {"all at once", RUNNING("parallel"), AGAIN AGAIN "t 100;",
     "started nap> nap+ completed | started nap> nap+ completed", "", NULL},
};

static void keys_that_run_already(void **state)
{
    (void)state;
    play_scenarios(runnings, sizeof(runnings) / sizeof(runnings[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_fails_in_turn),
        cmocka_unit_test(what_is_undone),
        cmocka_unit_test(attempts_have_one_name),
        cmocka_unit_test(an_undo_goes_under_the_key_of_what_it_undoes),
        cmocka_unit_test(keys_that_run_already),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
