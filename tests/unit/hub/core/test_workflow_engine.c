// The engine: what one kind of step after the other makes of events, answers and time. Each case is
// played three times, by itself, with the hub stopped between any two lines, and with what can come
// in one batch; what is written down has to be the same.
#include "workflow_scenario.h"

static const struct scenario scenarios[] = {
    {"steps that do not wait", WORKFLOW("'variables':{'n':'n'},", SET("one", "n", "n + 1")), START,
     "started one+ completed", "", "{'n':6}"},
    {"if, its else and what comes behind",
     WORKFLOW(
         "'variables':{'n':'n'},",
         "{'name':'big','do':'if','when':'n > 7','then':[" SET("yes", "n", "0") "],'else':[" SET(
             "no", "n", "n * 2") "]}," SET("last", "n", "n + 1")),
     START, "started big+ no+ last+ completed", "", "{'n':11}"},
    {"an if without else goes on behind it",
     WORKFLOW("'variables':{'n':'n'},", "{'name':'big','do':'if','when':'n > 7','then':[" SET(
                                            "yes", "n", "0") "]}," SET("last", "n", "n + 1")),
     START, "started big+ last+ completed", "", "{'n':6}"},
    {"switch by value",
     WORKFLOW(
         "'variables':{'n':'n'},",
         "{'name':'by','do':'switch','on':'n','cases':{'4':[" SET("four", "n", "40") "],'5':[" SET(
             "five", "n", "50") "]},'default':[" SET("other", "n", "0") "]}"),
     START, "started by+ five+ completed", "", "{'n':50}"},
    {"switch by default",
     WORKFLOW("'variables':{'n':'n'},",
              "{'name':'by','do':'switch','on':'n + 1','cases':{'5':[" SET(
                  "five", "n", "50") "]},'default':[" SET("other", "n", "0") "]}"),
     START, "started by+ other+ completed", "", "{'n':0}"},
    {"a sleep ends when its time is over, not before",
     WORKFLOW("", "{'name':'nap','do':'sleep','for':1000}"), START "t 999;t 1;",
     "started nap> nap+ completed", "", NULL},
    {"a sleep that is not over", WORKFLOW("", "{'name':'nap','do':'sleep','for':1000}"),
     START "t 999;", "started nap>", "", NULL},
    {"a sleep that ended while the hub was down",
     WORKFLOW("", "{'name':'nap','do':'sleep','for':1000}"), START "s 5000;",
     "started nap> nap+ completed", "", NULL},
    {"until a time of the instance",
     WORKFLOW("", "{'name':'then','do':'until','at':'my.started + 500'}"), START "t 499;t 1;",
     "started then> then+ completed", "", NULL},
    {"until a time that is over goes on at once",
     WORKFLOW("", "{'name':'then','do':'until','at':'my.started - 500'}"), START,
     "started then+ completed", "", NULL},
    {"until what is no time", WORKFLOW("", "{'name':'then','do':'until','at':'`soon`'}"), START,
     "started then!expression failed", "", NULL},
    {"a call takes what came back",
     WORKFLOW("'variables':{'n':'n'},",
              CALL("order", ",'take':{'id':'body.id','code':'answer.status'}")),
     START "a /order done 201 {'id':77};", "started order> order+ completed", "/order",
     "{'n':5,'code':201,'id':77}"},
    {"a call that is refused", WORKFLOW("", CALL("order", "")), START "a /order reject 404;",
     "started order> order!refused failed", "/order", NULL},
    {"a call that is answered too late", WORKFLOW("", CALL("order", ",'within':1000")),
     START "t 999;t 1;a /order done 200;", "started order> order!timeout failed", "/order", NULL},
    {"an answer that cannot be read fails only who takes of it",
     WORKFLOW("'variables':{'n':'n'},", CALL("one", "") "," CALL("two", ",'take':{'n':'body.n'}")),
     START "a /one done 200 {{{;a /two done 200 {{{;", "started one> one+ two> two!answer failed",
     "/one /two", NULL},
    {"on_error handles it, and knows what it was",
     WORKFLOW("'variables':{'n':'n'},",
              CALL("order", ",'on_error':[" SET(
                                "handle", "n",
                                "my.error || `: ` || my.reason") "]") "," SET("behind", "m", "1")),
     START "a /order reject 404;", "started order> order!refused handle+ behind+ completed",
     "/order", "{'n':'refused: the target said no','m':1}"},
    {"emit is done at once",
     WORKFLOW("", "{'name':'say','do':'emit','to':'bus','topic':'t/{my.key}','payload':'json'},"
                  "{'name':'nap','do':'sleep','for':1000}"),
     START "a t/1 done;", "started say+ nap>", "t/1", NULL},
    {"emit without its value",
     WORKFLOW("'variables':{'x':'NULL'},", "{'name':'say','do':'emit','to':'bus','topic':'t/{x}',"
                                           "'payload':'json'}"),
     START, "started say!expression failed", "", NULL},
    {"end gives a result and ends all",
     WORKFLOW("'variables':{'n':'n'},", "{'name':'stop','do':'end','result':{'n':'n'}}"), START,
     "started stop+ completed", "", NULL},
    {"fail",
     WORKFLOW("'variables':{'n':'n'},",
              "{'name':'no','do':'fail','reason':'n is {n}','on_error':[" SET("why", "n",
                                                                              "my.reason") "]}"),
     START, "started no!failed why+ completed", "", "{'n':'n is 5'}"},
    {"a text that is no text", WORKFLOW("", SET("bad", "m", "CAST(x`ff` AS TEXT)")), START,
     "started bad!expression failed", "", NULL},
    {"a reason that is no text",
     WORKFLOW("", "{'name':'no','do':'fail','reason':'so {CAST(x`ff` AS TEXT)}'}"), START,
     "started no!failed failed", "", NULL},
    {"a key that is no text",
     WORKFLOW("", "{'name':'pay','do':'await','from':'pay','key':'k','keep':0,'match':'CAST(x`ff` "
                  "AS TEXT)'}"),
     START, "started pay!expression failed", "", NULL},
    {"goto with a wait between, three times round",
     WORKFLOW(
         "'variables':{'n':'0'},",
         SET("more", "n",
             "n + 1") ",{'name':'nap','do':'sleep','for':10},"
                      "{'name':'again','do':'if','when':'n < 3','then':[{'name':'back','do':'goto',"
                      "'step':'more'}]}"),
     START "t 10;t 10;t 10;",
     "started more+ nap> nap+ again+ back+ more+ nap> nap+ again+ back+ more+ nap> nap+ again+ "
     "completed",
     "", "{'n':3}"},
};

static void every_kind_of_step(void **state)
{
    (void)state;
    play_scenarios(scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
