// The engine: a workflow that undoes what it did waits until those that it runs have undone what
// they did, for that is newer.
#include "workflow_scenario.h"

#define UNDO(name) ",'undo':[" CALL(name, "") "]"
#define DONE(name) CALL(name, UNDO("u" name)) // Done, and to be undone.
#define RUN(name, key, more)                                                                       \
    "{'name':'" name "','do':'run','workflow':'child','key':'" key "','wait':true" more "}"
#define SUB RUN("sub", "my.key", "")
#define BOTH(wait, a, b)                                                                           \
    "{'name':'both','do':'parallel','branches':{'a':[" a "],'b':[" b "]},'wait':" wait "}"
#define MAKE(name, running, failure, steps)                                                        \
    "{'format':1,'name':'" name "','start':{'from':'never-" name "','key':'k','running':'" running \
    "'},'variables':{'a':'0'},'failure':'" failure "','keep':864000000,'steps':[" steps "]}"
#define CHILD(steps) MAKE("child", "ignore", "undo", steps)
#define LONG         SLEEP("nap", "100000")
#define NO           "{'name':'no','do':'fail','reason':'so'}"
#define PARKING(steps)                                                                             \
    "{'format':1,'name':'w','start':{'from':'start','key':'k','running':'ignore'},"                \
    "'failure':'park','keep':864000000,'steps':[" steps "]}"

static const char one[] = CHILD(DONE("c") "," LONG);
static const char at_once[] = CHILD(LONG);
// By its key, so that two of them are told apart.
static const char each[] =
    CHILD("{'name':'c','do':'call','to':'web','topic':'/c/{my.key}','is_url':true,'payload':'json',"
          "'undo':[{'name':'uc','do':'call','to':'web','topic':'/uc/{my.key}','is_url':true,"
          "'payload':'json'}]}," LONG);
static const char queued[] = MAKE("child", "queue", "undo", DONE("c") "," LONG);
static const char parking[] = MAKE("child", "ignore", "park", DONE("c") "," CALL("d", ""));
static const char two_ends[] =
    CHILD("{'name':'if','do':'if','when':'a = 1','then':[" NO "]},{'name':'stop','do':'end'}");
static const char middle[] =
    CHILD(DONE("c") ",{'name':'run','do':'run','workflow':'third','key':'my.key','wait':true}");
static const char third[] = MAKE("third", "ignore", "undo", DONE("g") "," LONG);

#define CHILD_UNDONE " | started c> c+ nap> napx undoing uc> uc+ c< cancelled"

static const struct {
    struct scenario scenario;
    const char *child;
} scenarios[] = {
    {{"cancelled: the child first", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 1;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled" CHILD_UNDONE,
      "/s /c /uc /us", NULL},
     one},
    {{"nothing of the parent is undone while the child's undo is not over",
      WORKFLOW("", DONE("s") "," SUB), START "a /s done;a /c done;c undo 1;t 500000;",
      "started s> s+ sub> subx undoing sub.undoing"
      " | started c> c+ nap> napx undoing uc>",
      "/s /c /uc", NULL},
     one},
    {{"also what the child may have done", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;c undo 1;a /c done;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
      " | started c> cx undoing uc> uc+ c< cancelled",
      "/s /c /uc /us", NULL},
     one},
    {{"one with nothing of its own is not over before its child", WORKFLOW("", SUB),
      START "a /c done;c undo 1;a /uc done;",
      "started sub> subx undoing sub.undoing cancelled" CHILD_UNDONE, "/c /uc", NULL},
     one},
    {{"a child that has nothing to undo holds nobody up", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;c undo 1;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
      " | started nap> napx cancelled",
      "/s /us", NULL},
     at_once},
    {{"another branch fails", WORKFLOW("", DONE("s") "," BOTH("'all'", SUB, CALL("t", ""))),
      START "a /s done;a /c done;a /t reject;a /uc done;a /us done;",
      "started s> s+ both> sub> t> t!refused subx both!failed undoing sub.undoing us> us+ s< "
      "failed" CHILD_UNDONE,
      "/s /t /c /uc /us", NULL},
     one},
    {{"overdue", WORKFLOW("'within':1000,", DONE("s") "," SUB),
      START "a /s done;a /c done;t 1000;t 9000;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< failed" CHILD_UNDONE, "/s /c /uc /us",
      NULL},
     one},
    {{"the run takes too long, and nobody handles it",
      WORKFLOW("", DONE("s") "," RUN("sub", "my.key", ",'within':1000")),
      START "a /s done;a /c done;t 1000;a /uc done;a /us done;",
      "started s> s+ sub> sub!timeout undoing sub.undoing us> us+ s< failed" CHILD_UNDONE,
      "/s /c /uc /us", NULL},
     one},
    {{"the run takes too long and the parent goes on: beside, but before what is older",
      WORKFLOW("", DONE("s") "," RUN("sub", "my.key",
                                     ",'within':1000,'on_error':[" SET(
                                         "fine", "m", "1") "]") "," DONE("t") "," NO),
      START "a /s done;a /c done;t 1000;a /t done;a /ut done;a /uc done;a /us done;",
      "started s> s+ sub> sub!timeout fine+ t> t+ no!failed undoing ut> ut+ t< sub.undoing us> us+ "
      "s< failed" CHILD_UNDONE,
      "/s /c /t /uc /ut /us", NULL},
     one},
    {{"and is over when that is its turn: nothing to wait for",
      WORKFLOW("", DONE("s") "," RUN("sub", "my.key",
                                     ",'within':1000,'on_error':[" SET(
                                         "fine", "m", "1") "]") "," DONE("t") "," NO),
      START "a /s done;a /c done;t 1000;a /uc done;a /t done;a /ut done;a /us done;",
      "started s> s+ sub> sub!timeout fine+ t> t+ no!failed undoing ut> ut+ t< us> us+ s< "
      "failed" CHILD_UNDONE,
      "/s /c /t /uc /ut /us", NULL},
     one},
    {{"who completes waits for nobody", WORKFLOW("", BOTH("'any'", SUB, CALL("t", ""))),
      START "a /c done;a /t done;a /uc done;",
      "started both> sub> t> t+ subx both+ completed" CHILD_UNDONE, "/t /c /uc", NULL},
     one},
    {{"several, side by side",
      WORKFLOW("", DONE("s") "," BOTH("'all'", RUN("p", "`p`", ""), RUN("q", "`q`", ""))),
      START "a /s done;a /c/p done;a /c/q done;c undo 1;a /uc/q done;a /uc/p done;a /us done;",
      "started s> s+ both> p> q> qx px bothx undoing p.undoing us> us+ s< cancelled" CHILD_UNDONE
          CHILD_UNDONE,
      "/s /c/p /c/q /uc/q /uc/p /us", NULL},
     each},
    {{"several, the other one first",
      WORKFLOW("", DONE("s") "," BOTH("'all'", RUN("p", "`p`", ""), RUN("q", "`q`", ""))),
      START "a /s done;a /c/p done;a /c/q done;c undo 1;a /uc/p done;a /uc/q done;a /us done;",
      "started s> s+ both> p> q> qx px bothx undoing p.undoing q.undoing us> us+ s< "
      "cancelled" CHILD_UNDONE CHILD_UNDONE,
      "/s /c/p /c/q /uc/q /uc/p /us", NULL},
     each},
    {{"of a for_each",
      WORKFLOW("'variables':{'list':'`[1,2]`'},",
               DONE("s") ",{'name':'all','do':'for_each','in':'list','as':'item','at_once':2,"
                         "'steps':[" RUN("sub", "item", "") "]}"),
      START "a /s done;a /c/1 done;a /c/2 done;c undo 1;a /uc/2 done;a /uc/1 done;a /us done;",
      "started s> s+ all> sub> sub> subx subx allx undoing sub.undoing us> us+ s< "
      "cancelled" CHILD_UNDONE CHILD_UNDONE,
      "/s /c/1 /c/2 /uc/2 /uc/1 /us", NULL},
     each},
    {{"the child's undo parks it; tried again it succeeds", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 1;a /uc reject;t 500000;c! undo 1;c! retry 1;c! undo 2;"
            "c retry 2;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
      " | started c> c+ nap> napx undoing uc> uc!refused uc.parked!refused retried uc> uc+ c< "
      "cancelled",
      "/s /c /uc /uc /us", NULL},
     one},
    {{"the child's undo parks it; it is given up", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 1;a /uc reject;c abandon 2;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
      " | started c> c+ nap> napx undoing uc> uc!refused uc.parked!refused cancelled",
      "/s /c /uc /us", NULL},
     one},
    {{"who is given up gives up what it waits for", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 1;a /uc reject;c abandon 1;t 500000;",
      "started s> s+ sub> subx undoing sub.undoing cancelled"
      " | started c> c+ nap> napx undoing uc> uc!refused uc.parked!refused cancelled",
      "/s /c /uc", NULL},
     one},
    {{"given up while it runs: nothing of the child is undone", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c abandon 1;t 500000;",
      "started s> s+ sub> subx cancelled | started c> c+ nap> napx cancelled", "/s /c", NULL},
     one},
    {{"the child is cancelled once more", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 1;c! undo 2;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled" CHILD_UNDONE,
      "/s /c /uc /us", NULL},
     one},
    {{"the child was cancelled before its parent was", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;c undo 2;c undo 1;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled" CHILD_UNDONE,
      "/s /c /uc /us", NULL},
     one},
    {{"a child that was parked undoes, too", WORKFLOW("", DONE("s") "," SUB),
      START "a /s done;a /c done;a /d reject;c undo 1;a /uc done;a /us done;",
      "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
      " | started c> c+ d> d!refused d.parked!refused undoing uc> uc+ c< cancelled",
      "/s /c /d /uc /us", NULL},
     parking},
    {{"one that waits for its turn is over at once",
      WORKFLOW("", DONE("s") "," RUN("sub", "9", "")),
      START "a /s done;a /c done;e start {'k':2};a /s done;c undo 3;a /us done;",
      "started s> s+ sub> | started c> c+ nap>"
      " | started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled | queued cancelled",
      "/s /c /s /us", NULL},
     queued},
    {{"parked first, then cancelled while the child undoes",
      PARKING(DONE("s") "," BOTH("'all'", SUB, CALL("t", ""))),
      START "a /s done;a /c done;a /t reject;c undo 1;a /uc done;a /us done;",
      "started s> s+ both> sub> t> t!refused subx both!failed both.parked!failed undoing "
      "sub.undoing "
      "us> "
      "us+ s< cancelled" CHILD_UNDONE,
      "/s /t /c /uc /us", NULL},
     one},
    {{"parked first, then cancelled when the child is over",
      PARKING(DONE("s") "," BOTH("'all'", SUB, CALL("t", ""))),
      START "a /s done;a /c done;a /t reject;a /uc done;c undo 1;a /us done;",
      "started s> s+ both> sub> t> t!refused subx both!failed both.parked!failed undoing us> us+ "
      "s< "
      "cancelled" CHILD_UNDONE,
      "/s /t /c /uc /us", NULL},
     one},
    {{"a child that had completed when its parent failed is undone by the step that ran it",
      WORKFLOW("", DONE("s") "," BOTH("'all'", RUN("p", "`p`", ",'with':{'a':'1'}"),
                                      RUN("q", "`q`", UNDO("uq")))),
      START "a /s done;a /uq done;a /us done;",
      "started s> s+ both> p> q> p!failed qx both!failed undoing uq> uq+ q< us> us+ s< failed"
      " | started if+ no!failed failed | started if+ stop+ completed",
      "/s /uq /us", NULL},
     two_ends},
    {{"what an undo runs and gives up is waited for before the next undo",
      WORKFLOW("", DONE("s") "," CALL("t", ",'undo':[" RUN("sub", "my.key",
                                                           ",'within':1000,'on_error':[" SET(
                                                               "fine", "m", "1") "]") "]") "," NO),
      START "a /s done;a /t done;a /c done;t 1000;a /uc done;a /us done;",
      "started s> s+ t> t+ no!failed undoing sub> sub!timeout fine+ t< sub.undoing us> us+ s< "
      "failed" CHILD_UNDONE,
      "/s /t /c /uc /us", NULL},
     one},
    {{"an undo is parked by what it runs, and is given up with it",
      WORKFLOW("", CALL("t", ",'undo':[" RUN("sub", "my.key", ",'within':1000") "]") "," NO),
      START "a /t done;a /c done;t 1000;c abandon 1;",
      "started t> t+ no!failed undoing sub> sub!timeout sub.parked!timeout cancelled"
      " | started c> c+ nap> napx undoing uc> ucx cancelled",
      "/t /c /uc", NULL},
     one},
    {{"an undo is parked by what it runs, and is tried again when that is over",
      WORKFLOW("", CALL("t", ",'undo':[" RUN("sub", "my.key", ",'within':1000") "]") "," NO),
      START "a /t done;a /c done;t 1000;a /uc done;c retry 1;c undo 3;c abandon 1;",
      "started t> t+ no!failed undoing sub> sub!timeout sub.parked!timeout retried sub> "
      "subx cancelled" CHILD_UNDONE " | started c> cx undoing uc> ucx cancelled",
      "/t /c /uc /c", NULL},
     one},
};

static void children_undo_before_their_parent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        play_scenario(&scenarios[i].scenario, scenarios[i].child);
    }
}

static void grandchildren_undo_before_their_parents(void **state)
{
    static const struct scenario cancelled = {
        "cancelled",
        WORKFLOW("", DONE("s") "," SUB),
        START "a /s done;a /c done;a /g done;c undo 1;a /ug done;a /uc done;a /us done;",
        "started s> s+ sub> subx undoing sub.undoing us> us+ s< cancelled"
        " | started c> c+ run> runx undoing run.undoing uc> uc+ c< cancelled"
        " | started g> g+ nap> napx undoing ug> ug+ g< cancelled",
        "/s /c /g /ug /uc /us",
        NULL};
    static const struct scenario abandoned = {
        "given up",
        WORKFLOW("", DONE("s") "," SUB),
        START "a /s done;a /c done;a /g done;c undo 1;c abandon 1;a /ug done;",
        "started s> s+ sub> subx undoing sub.undoing cancelled"
        " | started c> c+ run> runx undoing run.undoing cancelled"
        " | started g> g+ nap> napx undoing ug> ugx cancelled",
        "/s /c /g /ug",
        NULL};
    (void)state;
    const char *const definitions[] = {cancelled.definition, middle, third, NULL};
    play_scenario_of(&cancelled, definitions);
    play_scenario_of(&abandoned, definitions);
}

static void an_operator_sees_what_it_waits_for(void **state)
{
    static const char *const definitions[] = {WORKFLOW("", DONE("s") "," SUB), one, NULL};
    (void)state;
    struct play *play = play_create(definitions, PLAY_REOPENED);
    play_script(play, START "a /s done;a /c done;c undo 1;");
    assert_string_equal(
        play_ask(play, "SELECT step || ': ' || reason || ' ' || data FROM pipit_workflow_entry"
                       " WHERE instance = 1 AND what = 'undoing' AND step <> ''"),
        "sub: it waits until workflow child, key 1 (instance 2) has undone what it did"
        " {\"workflow\":\"child\",\"key\":\"1\",\"instance\":2}");
    assert_string_equal(play_ask(play, "SELECT reason FROM pipit_workflow_instance WHERE id = 2"),
                        "workflow w, which runs it, has cancelled it");
    play_destroy(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_undo_before_their_parent),
        cmocka_unit_test(grandchildren_undo_before_their_parents),
        cmocka_unit_test(an_operator_sees_what_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
