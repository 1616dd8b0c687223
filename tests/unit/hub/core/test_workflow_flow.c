// The engine: attempts, branches, items, awaits, commands, other workflows.
#include "workflow_scenario.h"

#define NAP(name)   SLEEP(name, "100")
#define ATTEMPTS(n) ",'retry':{'attempts':" #n ",'backoff':1000,'backoff_max':60000}"

static const struct scenario retries[] = {
    {"as many attempts as allowed, then it fails", WORKFLOW("", CALL("go", ATTEMPTS(3))),
     START "a /go retry;t 1000;a /go retry;t 2000;a /go retry;t 60000;",
     "started go> go~unavailable go> go~unavailable go> go!unavailable failed", "/go /go /go",
     NULL},
    {"an attempt that succeeds", WORKFLOW("", CALL("go", ATTEMPTS(3))),
     START "a /go retry;t 1000;a /go done 200;", "started go> go~unavailable go> go+ completed",
     "/go /go", NULL},
    {"what is refused is not tried again", WORKFLOW("", CALL("go", ATTEMPTS(3))),
     START "a /go reject 409;t 60000;", "started go> go!refused failed", "/go", NULL},
    {"unless it says so",
     WORKFLOW("", CALL("go", ",'retry':{'attempts':2,'backoff':1000,'backoff_max':1000,'errors':"
                             "['refused']}")),
     START "a /go reject 409;t 1000;a /go done 200;", "started go> go~refused go> go+ completed",
     "/go /go", NULL},
    {"no attempt begins after `within` of all",
     WORKFLOW("", CALL("go", ",'retry':{'attempts':9,'backoff':1000,'backoff_max':1000,"
                             "'within':1500}")),
     START "a /go retry;t 1000;t 501;a /go retry;",
     "started go> go~unavailable go> go!unavailable "
     "failed",
     "/go /go", NULL},
    {"one attempt's time is over, the next is answered",
     WORKFLOW("", CALL("go", ",'within':500" ATTEMPTS(2))),
     START "t 500;t 1000;a /go retry;a /go done 200;", "started go> go~timeout go> go+ completed",
     "/go /go", NULL},
    {"the first attempt's answer comes while it backs off, and counts",
     WORKFLOW("", CALL("go", ",'within':500" ATTEMPTS(2))), START "t 500;a /go done 200;t 5000;",
     "started go> go~timeout go+ completed", "/go", NULL},
    {"the first attempt fails while it backs off: nothing new",
     WORKFLOW("", CALL("go", ",'within':500" ATTEMPTS(2))),
     START "t 500;a /go retry;t 1000;a /go done;", "started go> go~timeout go> go+ completed",
     "/go /go", NULL},
    {"an expression that fails",
     WORKFLOW("'variables':{'n':'n'},", SET("bad", "n", "json_extract(`{`, `$.a`)")), START,
     "started bad!expression failed", "", "{'n':5}"},
};

#define TWO(wait, a, b)                                                                            \
    "{'name':'both','do':'parallel','branches':{'a':[" a "],'b':[" b "]},'wait':" wait "}"

static const struct scenario branches[] = {
    {"all of them", WORKFLOW("", TWO("'all'", CALL("one", ""), CALL("two", "")) "," NAP("nap")),
     START "a /two done;a /one done;t 100;",
     "started both> one> two> two+ one+ both+ nap> nap+ completed", "/one /two", NULL},
    {"any of them, the other is ended",
     WORKFLOW("", TWO("'any'", SLEEP("long", "5000"), CALL("two", "")) "," NAP("nap")),
     START "a /two done;t 10000;", "started both> long> two> two+ longx both+ nap> nap+ completed",
     "/two", NULL},
    {"one fails of all: the other is ended, the step fails",
     WORKFLOW("", TWO("'all'", SLEEP("long", "5000"), CALL("two", ""))), START "a /two reject;",
     "started both> long> two> two!refused longx both!failed failed", "/two", NULL},
    {"one fails of any: the other goes on",
     WORKFLOW("", TWO("'any'", SLEEP("long", "5000"), CALL("two", ""))),
     START "a /two reject;t 5000;", "started both> long> two> two!refused long+ both+ completed",
     "/two", NULL},
    {"a branch handles its own failure",
     WORKFLOW("", TWO("'all'", CALL("one", ",'on_error':[" SET("fine", "m", "1") "]"), NAP("nap"))),
     START "a /one reject;t 100;", "started both> one> nap> one!refused fine+ nap+ both+ completed",
     "/one", NULL},
    {"each branch handles its own error, also when another fails meanwhile",
     WORKFLOW("'variables':{'x':'NULL','y':'NULL'},",
              TWO("'all'",
                  "{'name':'nox','do':'fail','reason':'X','on_error':[" SLEEP("a", "100") "," SET(
                      "sx", "x", "my.reason") "]}",
                  SLEEP("b", "50") ",{'name':'noy','do':'fail','reason':'Y','on_error':[" SLEEP(
                      "c", "100") "," SET("sy", "y", "my.error || my.reason") "]}")),
     START "t 50;t 50;t 50;",
     "started both> nox!failed a> b> b+ noy!failed c> a+ sx+ c+ sy+ both+ completed", "",
     "{'x':'X','y':'failedY'}"},
    {"a reason that is no text, of a branch and of the whole",
     WORKFLOW("'variables':{'m':'NULL'},",
              TWO("'all'",
                  "{'name':'no','do':'fail','reason':'{CAST(x`41c328` AS TEXT)}',"
                  "'on_error':[" SET("see", "m", "my.reason") "]}",
                  NAP("nap")) ",{'name':'end','do':'fail','reason':'{CAST(x`c328` AS TEXT)}'}"),
     START "t 100;", "started both> no!failed see+ nap> nap+ both+ end!failed failed", "",
     "{'m':'A?('}"},
    {"the parallel's on_error",
     WORKFLOW("", "{'name':'both','do':'parallel','branches':{'a':[" NAP(
                      "nap") "],'b':[{'name':'no','do':'fail','reason':"
                             "'so'}]},'wait':'all','on_error':[" SET("why", "m", "my.reason") "]}"),
     START, "started both> nap> no!failed napx both!failed why+ completed", "",
     "{'m':'branch b: so'}"},
    {"two of three",
     WORKFLOW("", "{'name':'some','do':'parallel','branches':{'a':[" NAP(
                      "x") "],"
                           "'b':[" SLEEP("y", "200") "],'c':[" SLEEP("z", "300") "]},"
                                                                                 "'wait':2}"),
     START "t 100;t 100;", "started some> x> y> z> x+ y+ zx some+ completed", "", NULL},
    {"branches within branches",
     WORKFLOW("", TWO("'all'",
                      "{'name':'inner','do':'parallel','branches':{'c':[" NAP("c") "],'d':[" SLEEP(
                          "d", "200") "]},'wait':'all'}",
                      NAP("e"))),
     START "t 100;t 100;", "started both> inner> e> c> d> e+ c+ d+ inner+ both+ completed", "",
     NULL},
    {"end in a branch ends all",
     WORKFLOW("", TWO("'all'", NAP("nap"), "{'name':'stop','do':'end'}")), START,
     "started both> nap> stop+ napx bothx completed", "", NULL},
    {"a parallel's own time",
     WORKFLOW("", "{'name':'both','do':'parallel','within':50,'branches':"
                  "{'a':[" NAP("nap") "],'b':[" SET("m", "m", "1") "]},'wait':'all'}"),
     START "t 50;t 50;", "started both> nap> m+ napx both!timeout failed", "", NULL},
};

#define EACH(more, steps)                                                                          \
    "{'name':'each','do':'for_each','in':'list','as':'item'," more "'steps':[" steps "]}"
#define LIST         "'variables':{'list':'list','seen':'`[]`'},"
#define LISTED(list) "e start {'k':1,'list':" list "};"

// A number in one array fewer than `width`.
#define DEEP(width)                                                                                \
    WORKFLOW(                                                                                      \
        "'variables':{'item':'NULL'},",                                                            \
        "{'name':'each','do':'for_each','as':'item','at_once':1,'in':'replace(printf(`%" width     \
        "d`,0),` `,`[`) || substr(replace(printf(`%-" width "d`,0),` `,`]`),2)',"                  \
        "'steps':[" NAP("nap") "]}")

static const struct scenario items[] = {
    {"one after the other", WORKFLOW(LIST, EACH("'at_once':1,", NAP("nap"))),
     LISTED("[1,2]") "t 100;t 100;", "started each> nap> nap+ nap> nap+ each+ completed", "", NULL},
    {"no items", WORKFLOW(LIST, EACH("'at_once':1,", NAP("nap"))), LISTED("[]"),
     "started each+ completed", "", NULL},
    {"each has its own item",
     WORKFLOW(LIST, EACH("'at_once':3,", SET("see", "seen", "json_insert(seen, `$[#]`, item)"))),
     LISTED("['a','b']"), "started each> see+ see+ each+ completed", "",
     "{'list':['a','b'],'seen':['a','b'],'item':null}"},
    {"what comes back is the item's own",
     WORKFLOW(LIST, EACH("'at_once':2,",
                         "{'name':'ask','do':'call','to':'web','topic':'/{item}','is_url':true,"
                         "'payload':'json','take':{'code':'body.code'}}," NAP("nap") "," SET(
                             "see", "seen", "json_insert(seen, `$[#]`, code)"))),
     LISTED("['a','b']") "a /a done 200 {'code':1};a /b done 200 {'code':2};t 100;",
     "started each> ask> ask> ask+ nap> ask+ nap> nap+ see+ nap+ see+ each+ completed", "/a /b",
     "{'list':['a','b'],'seen':[1,2],'item':null,'code':null}"},
    {"so many at once, the next when one has ended",
     WORKFLOW(LIST, EACH("'at_once':2,", "{'name':'until','do':'until','at':'my.started + item'}")),
     LISTED("[300,100,200]") "t 100;t 100;t 100;",
     "started each> until> until> until+ until> until+ until+ each+ completed", "", NULL},
    {"in waves: the next when all have ended",
     WORKFLOW(LIST, EACH("'at_once':2,'wave':true,",
                         "{'name':'until','do':'until','at':'my.started + item'}")),
     LISTED("[300,100,400]") "t 100;t 100;t 100;t 100;",
     "started each> until> until> until+ until+ until> until+ each+ completed", "", NULL},
    {"a failure stops all, unless it says otherwise",
     WORKFLOW(LIST, EACH("'at_once':2,", "{'name':'two','do':'if','when':'item = 2','then':[{"
                                         "'name':'no','do':'fail','reason':'two'}]}," NAP("nap"))),
     LISTED("[1,2,3]"), "started each> two+ nap> two+ no!failed napx each!failed failed", "", NULL},
    {"as many failures as `stop` lets pass",
     WORKFLOW(LIST, EACH("'at_once':1,'stop':'failed * 2 > total',",
                         "{'name':'odd','do':'if','when':'item % 2','then':[{'name':'no','do':"
                         "'fail','reason':'odd'}]}")),
     LISTED("[1,2,3,4]"), "started each> odd+ no!failed odd+ odd+ no!failed odd+ each+ completed",
     "", NULL},
    {"one more",
     WORKFLOW(LIST, EACH("'at_once':1,'stop':'failed * 2 > total',",
                         "{'name':'odd','do':'if','when':'item % 2','then':[{'name':"
                         "'no','do':'fail','reason':'odd'}]}")),
     LISTED("[1,3,5,4]"),
     "started each> odd+ no!failed odd+ no!failed odd+ no!failed each!failed "
     "failed",
     "", NULL},
    {"zero bytes in texts, which JSON may have",
     WORKFLOW(LIST, EACH("'at_once':1,'stop':'0',", NAP("nap") "," SET("see", "seen", "item"))),
     LISTED("['a\\u0000b']") "t 100;", "started each> nap> nap+ see+ each+ completed", "",
     "{'list':['a\\u0000b'],'seen':'a\\u0000b','item':null}"},
    {"as deep as may be", DEEP("1001"), START "t 100;", "started each> nap> nap+ each+ completed",
     "", NULL},
    {"what is too deep to be read again", DEEP("1002"), START, "started each!bound failed", "",
     NULL},
    {"what is no array", WORKFLOW(LIST, EACH("'at_once':1,", NAP("nap"))), LISTED("17"),
     "started each!expression failed", "", NULL},
    {"items within items",
     WORKFLOW(LIST, EACH("'at_once':1,",
                         "{'name':'inner','do':'for_each','in':'item','as':'one',"
                         "'at_once':1,'steps':[" SET(
                             "see", "seen",
                             "json_insert(seen, `$[#]`, one + json_array_length(item))") "]}")),
     LISTED("[[1,2],[3]]"),
     "started each> inner> see+ see+ inner+ inner> see+ inner+ each+ "
     "completed",
     "", "{'list':[[1,2],[3]],'seen':[3,4,4],'item':null,'one':null}"},
};

#define AWAIT(name, more) "{'name':'" name "','do':'await','from':'pay','key':'k','keep':0" more "}"

static const struct scenario awaits[] = {
    {"the event with its key", WORKFLOW("", AWAIT("pay", ",'take':{'sum':'event.sum'}")),
     START "e pay {'k':2,'sum':9};e pay {'k':1,'sum':3};e pay {'k':1,'sum':4};",
     "started pay> pay+ completed", "", "{'sum':3}"},
    {"one that fits",
     WORKFLOW("'variables':{'n':'n'},", AWAIT("pay", ",'where':'event.sum >= my.n'")),
     START "e pay {'k':1,'sum':4};e pay {'k':1,'sum':5};", "started pay> pay+ completed", "", NULL},
    {"the built-in table latest is kept for its expressions",
     WORKFLOW("", NAP("nap") "," SET("look", "m",
                                     "(SELECT json_array(min(topic), max(topic)) FROM latest)")),
     START "e other {'a':1};t 60000;", "started nap> nap+ look+ completed", "",
     "{'m':['other','start']}"},
    {"by another value than the key",
     WORKFLOW("'variables':{'n':'n'},", AWAIT("pay", ",'match':'my.n + 1'")),
     START "e pay {'k':1};e pay {'k':6};", "started pay> pay+ completed", "", NULL},
    {"too late", WORKFLOW("", AWAIT("pay", ",'within':1000")), START "t 1000;e pay {'k':1};",
     "started pay> pay!timeout failed", "", NULL},
    {"too early, and not kept", WORKFLOW("", NAP("nap") "," AWAIT("pay", "")),
     START "e pay {'k':1};t 100;", "started nap> nap+ pay>", "", NULL},
    {"too early, and kept",
     WORKFLOW("", NAP("nap") ",{'name':'pay','do':'await','from':'pay','key':'k','keep':1000,"
                             "'take':{'sum':'event.sum'}}"),
     START "e pay {'k':1,'sum':8};t 100;", "started nap> nap+ pay+ completed", "", "{'sum':8}"},
    {"kept too long",
     WORKFLOW("", NAP("nap") ",{'name':'pay','do':'await','from':'pay','key':'k','keep':50}"),
     START "e pay {'k':1};t 100;", "started nap> nap+ pay>", "", NULL},
    {"each event is taken once", WORKFLOW("", AWAIT("pay", "") "," AWAIT("again", "")),
     START "e pay {'k':1};", "started pay> pay+ again>", "", NULL},
};

#define COMMAND(more)                                                                              \
    "{'name':'go','do':'command','to':'bus','device':'`g/d1`','command':'boost'" more "}"
#define TOPIC "pipit/v1/g/d1/command/boost"
#define ON    "o g/d1 on;"
#define OFF   "o g/d1 off;"

static const struct scenario commands[] = {
    {"done is what the device says", WORKFLOW("", COMMAND(",'offline':'wait'")),
     ON START "a " TOPIC " done;r " TOPIC " 0;", "started go> go+ completed", TOPIC, NULL},
    {"its reply comes before the broker's answer", WORKFLOW("", COMMAND(",'offline':'wait'")),
     ON START "r " TOPIC " 0;a " TOPIC " done;", "started go> go+ completed", TOPIC, NULL},
    {"it says no", WORKFLOW("", COMMAND(",'offline':'wait'")),
     ON START "a " TOPIC " done;r " TOPIC " 7;", "started go> go!refused failed", TOPIC, NULL},
    {"it is busy: it has not begun and is asked again",
     WORKFLOW("", COMMAND(",'offline':'wait'" ATTEMPTS(2))),
     START "a " TOPIC " done;r " TOPIC " -2;t 1000;r " TOPIC " 0;",
     "started go> go~unavailable go> go+ completed", TOPIC " " TOPIC, NULL},
    {"it waits for the device to be online", WORKFLOW("", COMMAND(",'offline':'wait'")),
     OFF START "t 100000;" ON "a " TOPIC " done;r " TOPIC " 0;", "started go> go> go+ completed",
     TOPIC, NULL},
    {"it does not wait", WORKFLOW("", COMMAND(",'offline':'fail'")), OFF START,
     "started go!offline failed", "", NULL},
    {"it does not care", WORKFLOW("", COMMAND(",'offline':'send'")), OFF START "a " TOPIC " done;",
     "started go>", TOPIC, NULL},
    {"one that nothing is known of is asked", WORKFLOW("", COMMAND(",'offline':'wait'")),
     START "a " TOPIC " done;r " TOPIC " 0;", "started go> go+ completed", TOPIC, NULL},
    {"it waits so long and no longer",
     WORKFLOW("", COMMAND(",'offline':'wait','retry':{'attempts':3,'backoff':100,'backoff_max':100,"
                          "'within':5000}")),
     OFF START "t 4999;t 1;t 5000;", "started go> go!offline failed", "", NULL},
    {"no reply, once more, and it comes",
     WORKFLOW("", COMMAND(",'offline':'wait','within':1000" ATTEMPTS(2))),
     ON START "a " TOPIC " done;t 1000;t 1000;a " TOPIC " done;r " TOPIC " 0;r " TOPIC " 0;",
     "started go> go~timeout go> go+ completed", TOPIC " " TOPIC, NULL},
    {"the reply comes while it backs off",
     WORKFLOW("", COMMAND(",'offline':'wait','within':1000" ATTEMPTS(2))),
     ON START "a " TOPIC " done;t 1000;r " TOPIC " 0;t 60000;",
     "started go> go~timeout go+ completed", TOPIC, NULL},
};

#define CHILD(steps)                                                                               \
    "{'format':1,'name':'child','start':{'from':'never','key':'k','running':'ignore'},"            \
    "'variables':{'a':'a','b':'b'},'failure':'undo','keep':864000000,'steps':[" steps "]}"
#define RUN(more) "{'name':'sub','do':'run','workflow':'child','key':'my.key'" more "}"

static const struct {
    struct scenario scenario;
    const char *child;
} children[] = {
    {{"waited for, with its result",
      WORKFLOW("", RUN(",'with':{'a':'40'},'wait':true,'take':{'sum':"
                       "'body.sum'}")),
      START "t 100;", "started sub> sub+ completed | started nap> nap+ stop+ completed", "",
      "{'sum':42}"},
     CHILD(NAP("nap") ",{'name':'stop','do':'end','result':{'sum':'a + 2'}}")},
    {{"one that ends at once",
      WORKFLOW("", RUN(",'with':{'b':'1'},'wait':true,'take':{'sum':"
                       "'body.sum'}")),
      START, "started sub> sub+ completed | started stop+ completed", "", "{'sum':null}"},
     CHILD("{'name':'stop','do':'end','result':{'sum':'a + 2'}}")},
    {{"not waited for", WORKFLOW("", RUN(",'wait':false")), START,
      "started sub+ completed | started nap>", "", NULL},
     CHILD(NAP("nap"))},
    {{"one that fails",
      WORKFLOW("", RUN(",'wait':true,'on_error':[" SET("why", "m", "my.reason") "]")), START,
      "started sub> sub!failed why+ completed | started no!failed failed", "",
      "{'m':'workflow child, key 1 has failed: so'}"},
     CHILD("{'name':'no','do':'fail','reason':'so'}")},
    {{"one that runs already", WORKFLOW("", RUN(",'wait':true")), START START "t 100;",
      "started sub> sub+ completed | started nap> nap+ completed | started sub!refused failed", "",
      NULL},
     CHILD(NAP("nap"))},
    {{"it takes too long and is cancelled", WORKFLOW("", RUN(",'wait':true,'within':50")),
      START "t 50;",
      "started sub> sub!timeout undoing sub.undoing failed | started nap> napx cancelled", "",
      NULL},
     CHILD(NAP("nap"))},
    {{"it is cancelled", WORKFLOW("", RUN(",'wait':true")), START "c undo 2;",
      "started sub> sub!cancelled failed | started nap> napx cancelled", "", NULL},
     CHILD(NAP("nap"))},
    {{"the one before ends when the next is waited for",
      WORKFLOW("", RUN(",'wait':true,'within':1000" ATTEMPTS(2))),
      START "a /c done;t 1000;t 1000;a /u done;a /c done;e go {'k':1};",
      "started sub> sub~timeout sub> sub+ completed"
      " | started c> c+ nap> napx undoing u> u+ c< cancelled | started c> c+ nap> nap+ completed",
      "/c /u /c", NULL},
     "{'format':1,'name':'child','start':{'from':'never','key':'k','running':'parallel'},"
     "'failure':'undo','keep':864000000,'steps':[" CALL(
         "c", ",'undo':[" CALL(
                  "u", "") "]") ","
                                "{'name':'nap','do':'await','from':'go','key':'k','keep':0}]}"},
    {{"its parent is cancelled", WORKFLOW("", RUN(",'wait':true")), START "c undo 1;",
      "started sub> subx undoing sub.undoing cancelled | started nap> napx cancelled", "", NULL},
     CHILD(NAP("nap"))},
    {{"one that no event starts begins with its own values",
      WORKFLOW("", RUN(",'with':{'b':'1'},'wait':true,'take':{'sum':'body.sum'}")), START,
      "started sub> sub+ completed | started stop+ completed", "", "{'sum':[7,1,'child-1']}"},
     "{'format':1,'name':'child','keep':864000000,'variables':{'a':'3 + "
     "4','b':'99','c':'my.workflow','d':null},"
     "'steps':[{'name':'stop','do':'end','result':{'sum':'json_array(a, b, my.workflow || `-` || "
     "my.key)'}}]}"},
    {{"which may be none", WORKFLOW("", RUN(",'wait':true")), START,
      "started sub!expression failed", "", NULL},
     "{'format':1,'name':'child','keep':864000000,'variables':{'a':'json_extract(`{`, `$`)'},"
     "'steps':[{'name':'stop','do':'end'}]}"},
    {{"a variable that it has not", WORKFLOW("", RUN(",'with':{'z':'1'},'wait':true")), START,
      "started sub!expression failed", "", NULL},
     CHILD(NAP("nap"))},
};

// ---- times of attempts --------------------------------------------------------------------------

static int64_t wait_ms(struct play *play)
{
    return core_next_timer_ms(play->core) - play->now_ms;
}

static void backoff_doubles_up_to_its_most(void **state)
{
    static const char *const definitions[] = {WORKFLOW("", CALL("go", ATTEMPTS(9))), NULL};
    static const int64_t most_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    int64_t waited_ms[8];
    (void)state;
    for (int mode = PLAY_PLAIN; mode <= PLAY_REOPENED; mode++) {
        struct play *play = play_create(definitions, (enum play_mode)mode);
        bool is_even = true;
        play_script(play, START);
        for (size_t i = 0; i < sizeof(most_ms) / sizeof(most_ms[0]); i++) {
            play_script(play, "a /go retry;");
            int64_t ms = wait_ms(play);
            assert_in_range(ms, most_ms[i] / 2, most_ms[i]);
            assert_true(mode == PLAY_PLAIN || ms == waited_ms[i]); // Chance, but always the same.
            is_even = is_even && ms % 500 == 0;
            waited_ms[i] = ms;
            play_script(play, "w;");
        }
        assert_false(is_even);
        play_destroy(play);
    }
}

#define GROUP(name)                                                                                \
    static void the_##name(void **state)                                                           \
    {                                                                                              \
        (void)state;                                                                               \
        play_scenarios(name, sizeof(name) / sizeof(name[0]));                                      \
    }
GROUP(retries)
GROUP(branches)
GROUP(items)
GROUP(awaits)
GROUP(commands)

static void the_children(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++) {
        play_scenario(&children[i].scenario, children[i].child);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_doubles_up_to_its_most),
        cmocka_unit_test(the_retries),
        cmocka_unit_test(the_branches),
        cmocka_unit_test(the_items),
        cmocka_unit_test(the_awaits),
        cmocka_unit_test(the_commands),
        cmocka_unit_test(the_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
