// The history names the branch that a line is of: that of a parallel by its name, the item of a
// for_each by its number and, where it is short, its value; also of what is undone.
#include "workflow_scenario.h"

#define NAP(name) SLEEP(name, "100")
#define EACH(name, in, as, steps)                                                                  \
    "{'name':'" name "','do':'for_each','in':'" in "','as':'" as "','at_once':9,'steps':[" steps   \
    "]}"
#define BOTH(name, a, b)                                                                           \
    "{'name':'" name "','do':'parallel','branches':{'left':[" a "],'right':[" b "]},'wait':'all'}"
#define ONE(name, a)   "{'name':'" name "','do':'parallel','branches':{'left':[" a "]},'wait':'all'}"
#define ITEMS          "'variables':{'items':'items'},"
#define LISTED(list)   "e start {'k':1,'items':" list "};"
#define DO(name, undo) "{'name':'" name "','do':'set','set':{'n':'1'},'undo':[" undo "]}"
#define NO             ",{'name':'no','do':'fail','reason':'so'}"
#define LONG_ITEM      "0123456789012345678901234567890123456789012345678901234567"

// Lines that are of a branch: step, what, the branches around it.
static const char lines_sql[] =
    "SELECT group_concat(line, ' ') FROM (SELECT step || '.' || what || '[' || (SELECT"
    " group_concat((value ->> 'step') || ':' || coalesce(value ->> 'branch', value ->> 'item') ||"
    " coalesce('=' || (value -> 'value'), ''), '/') FROM json_each(branch)) || ']' AS line"
    " FROM pipit_workflow_entry WHERE branch IS NOT NULL ORDER BY instance, number)";

static const struct {
    const char *why, *definition, *script, *lines;
} cases[] = {
    {"in no branch there is none", WORKFLOW("", NAP("nap")), START "t 100;", ""},
    {"of a parallel its name", WORKFLOW("", BOTH("both", NAP("a"), NAP("b"))), START "t 100;",
     "a.entered[both:left] b.entered[both:right] a.done[both:left] b.done[both:right]"},
    {"of an item its number and value", WORKFLOW(ITEMS, EACH("each", "items", "item", NAP("nap"))),
     LISTED("['x',{'a':1}]") "t 100;",
     "nap.entered[each:1=\"x\"] nap.entered[each:2={\"a\":1}] nap.done[each:1=\"x\"]"
     " nap.done[each:2={\"a\":1}]"},
    {"its value, if it is short", WORKFLOW(ITEMS, EACH("each", "items", "item", NAP("nap"))),
     LISTED("['" LONG_ITEM "','" LONG_ITEM "8']"),
     "nap.entered[each:1=\"" LONG_ITEM "\"] nap.entered[each:2]"},
    {"one in another is a path",
     WORKFLOW(ITEMS, EACH("each", "items", "item",
                          BOTH("both", EACH("inner", "item", "one", NAP("nap")), NAP("b")))),
     LISTED("[[7,8]]") "t 100;",
     "both.entered[each:1=[7,8]] inner.entered[each:1=[7,8]/both:left]"
     " b.entered[each:1=[7,8]/both:right] nap.entered[each:1=[7,8]/both:left/inner:1=7]"
     " nap.entered[each:1=[7,8]/both:left/inner:2=8] b.done[each:1=[7,8]/both:right]"
     " nap.done[each:1=[7,8]/both:left/inner:1=7] nap.done[each:1=[7,8]/both:left/inner:2=8]"
     " inner.done[each:1=[7,8]/both:left] both.done[each:1=[7,8]]"},
    {"what is undone, of the branch that it was done in",
     WORKFLOW(ITEMS, EACH("each", "items", "item", ONE("both", DO("a", NAP("undo")))) NO),
     LISTED("['x','y']") "t 100;t 100;",
     "both.entered[each:1=\"x\"] both.entered[each:2=\"y\"] a.done[each:1=\"x\"/both:left]"
     " both.done[each:1=\"x\"] a.done[each:2=\"y\"/both:left]"
     " both.done[each:2=\"y\"] undo.entered[each:2=\"y\"/both:left]"
     " undo.done[each:2=\"y\"/both:left] a.undone[each:2=\"y\"/both:left]"
     " undo.entered[each:1=\"x\"/both:left] undo.done[each:1=\"x\"/both:left]"
     " a.undone[each:1=\"x\"/both:left]"},
    {"branches of an undo come behind it",
     WORKFLOW("", ONE("both", DO("a", ONE("mend", NAP("undo")))) NO), START "t 100;",
     "a.done[both:left] mend.entered[both:left] undo.entered[both:left/mend:left]"
     " undo.done[both:left/mend:left] mend.done[both:left] a.undone[both:left]"},
    {"an undo that parks, and is cancelled",
     WORKFLOW("", ONE("both", DO("a", CALL("undo", ""))) NO), START "a /undo reject;c abandon 1;",
     "a.done[both:left] undo.entered[both:left] undo.error[both:left] undo.parked[both:left]"},
    {"two that call their item the same: the outer one has its number only",
     WORKFLOW(ITEMS, EACH("each", "items", "item",
                          EACH("inner", "json_array(item)", "item", DO("a", NAP("undo")))) NO),
     LISTED("['x']"),
     "inner.entered[each:1=\"x\"] a.done[each:1=\"x\"/inner:1=\"x\"] inner.done[each:1=\"x\"]"
     " undo.entered[each:1/inner:1=\"x\"]"},
};

static void a_line_names_its_branch(void **state)
{
    (void)state;
    bool is_bad = false;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const definitions[] = {cases[i].definition, NULL};
        for (int mode = 0; mode < PLAY_MODES; mode++) {
            struct play *play = play_create(definitions, (enum play_mode)mode);
            play_script(play, cases[i].script);
            const char *lines = play_ask(play, lines_sql);
            if (strcmp(lines, cases[i].lines) != 0) {
                print_error("%s (mode %d):\n  %s\nis not\n  %s\n", cases[i].why, mode, lines,
                            cases[i].lines);
                is_bad = true;
            }
            play_check(play, cases[i].why);
            play_destroy(play);
        }
    }
    assert_false(is_bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_line_names_its_branch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
