// Definitions of workflows: where the flow goes on from each step, and what is refused, with where.
#include "workflow_support.h"

// With start and name around it.
#define DEFINITION(variables, steps)                                                               \
    "{\"format\":1,\"name\":\"order\",\"start\":{\"from\":\"shop/+\",\"key\":\"id\","              \
    "\"running\":\"queue\"},\"variables\":{" variables "},\"failure\":\"undo\",\"keep\":1000,"     \
    "\"steps\":[" steps "]}"
#define SET(name)      "{\"name\":\"" name "\",\"do\":\"set\",\"set\":{\"x\":\"1\"}}"
#define SLEEP(name)    "{\"name\":\"" name "\",\"do\":\"sleep\",\"for\":1000}"
#define GOTO(name, to) "{\"name\":\"" name "\",\"do\":\"goto\",\"step\":\"" to "\"}"
#define END(name)      "{\"name\":\"" name "\",\"do\":\"end\"}"

static void print_place(const struct workflow_definition *definition, workflow_place place,
                        char *out_text, size_t size)
{
    size_t len = strlen(out_text);
    const char *name = place == PLACE_NONE     ? "-"
                       : place == PLACE_END    ? "END"
                       : place == PLACE_JOIN   ? "JOIN"
                       : place == PLACE_UNDONE ? "UNDONE"
                       : place == PLACE_FAIL   ? "FAIL"
                                               : definition->steps[place].name;
    snprintf(out_text + len, size - len, " %s", name);
}

// "name: next catch undo parent of [branches]", a line a step.
static void print_flow(const struct workflow_definition *definition, char *out_text, size_t size)
{
    out_text[0] = '\0';
    for (uint32_t i = 0; i < definition->step_count; i++) {
        const struct workflow_step *step = &definition->steps[i];
        size_t len = strlen(out_text);
        snprintf(out_text + len, size - len, "%s%s:", step->is_undo ? "u " : "", step->name);
        print_place(definition, step->next, out_text, size);
        print_place(definition, step->catch, out_text, size);
        print_place(definition, step->undo, out_text, size);
        print_place(definition, step->parent, out_text, size);
        print_place(definition, step->of, out_text, size);
        for (uint32_t branch = 0; branch < step->branch_count; branch++) {
            len = strlen(out_text);
            snprintf(out_text + len, size - len, " [%s",
                     step->branches[branch].name == NULL ? "" : step->branches[branch].name);
            print_place(definition, step->branches[branch].first, out_text, size);
            len = strlen(out_text);
            snprintf(out_text + len, size - len, "]");
        }
        len = strlen(out_text);
        snprintf(out_text + len, size - len, "\n");
    }
}

static struct workflow_definition *compile(struct workflow_fixture *fixture, const char *text)
{
    struct workflow_definition *definition = NULL;
    struct workflow_fault fault;
    if (workflow_definition_create(&definition, fixture->space, text, &fault, &fixture->e) !=
        ERR_OK) {
        fail_msg("%s: %s\n%s", fault.path, fixture->e.text, text);
    }
    return definition;
}

static void each_step_knows_where_the_flow_goes_on(void **state)
{
    static const struct {
        const char *why, *text, *want;
    } cases[] = {
        {"one behind the other, to the end", DEFINITION("", SET("a") "," SET("b")),
         "a: b FAIL - - -\n"
         "b: END FAIL - - -\n"},
        {"a choice goes on behind it; what is not there leads there at once",
         DEFINITION("", "{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" SET("t") "," SET(
                            "u") "]}," SET("z")),
         "i: z FAIL - - - [ t] [ z]\n"
         "z: END FAIL - - -\n"
         "t: u FAIL - - i\n"
         "u: z FAIL - - i\n"},
        {"cases by value, the default last",
         DEFINITION("", "{\"name\":\"s\",\"do\":\"switch\",\"on\":\"1\",\"cases\":{\"a\":[" SET(
                            "a") "],\"b\":[]},\"default\":[" SET("d") "]}"),
         "s: END FAIL - - - [a a] [b END] [ d]\n"
         "a: END FAIL - - s\n"
         "d: END FAIL - - s\n"},
        {"an error goes to the nearest handler, which goes on behind its step",
         DEFINITION("", "{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" SET(
                            "t") "],"
                                 "\"on_error\":[" SET("h") "]}," SET("z")),
         "i: z h - - - [ t] [ z]\n"
         "z: END FAIL - - -\n"
         "h: z FAIL - - i\n"
         "t: z h - - i\n"},
        {"an empty handler goes on at once",
         DEFINITION(
             "", "{\"name\":\"a\",\"do\":\"set\",\"set\":{\"x\":\"1\"},\"on_error\":[]}," SET("z")),
         "a: z z - - -\n"
         "z: END FAIL - - -\n"},
        {"branches join; what nobody handles in them fails the branch",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"a\":[" SET(
                            "a") "],\"b\":["
                                 "{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" SET(
                                     "b") "]}]},"
                                          "\"wait\":\"any\",\"on_error\":[" SET("h") "]}"),
         "p: END h - - - [a a] [b i]\n"
         "h: END FAIL - - p\n"
         "a: JOIN JOIN - p p\n"
         "i: JOIN JOIN - p p [ b] [ JOIN]\n"
         "b: JOIN JOIN - p i\n"},
        {"items too",
         DEFINITION("", "{\"name\":\"f\",\"do\":\"for_each\",\"in\":\"'[]'\",\"as\":\"y\","
                        "\"steps\":[" SET("a") "]}"),
         "f: END FAIL - - - [ a]\n"
         "a: JOIN JOIN - f f\n"},
        {"what undoes a step stands alone",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"set\",\"set\":{\"x\":\"1\"},\"undo\":[" SET(
                            "u") ",{\"name\":\"v\",\"do\":\"set\",\"set\":{\"x\":\"2\"},"
                                 "\"on_error\":[" SET("w") "]}]}"),
         "a: END FAIL u - -\n"
         "u u: v FAIL - - a\n"
         "u v: UNDONE w - - a\n"
         "u w: UNDONE FAIL - - v\n"},
        {"a goto leads where it says", DEFINITION("", SLEEP("a") "," GOTO("g", "a")),
         "a: g FAIL - - -\n"
         "g: a FAIL - - -\n"},
        {"end and fail go nowhere else",
         DEFINITION("", "{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" END(
                            "e") "],\"else\":[{\"name\":\"f\",\"do\":\"fail\","
                                 "\"reason\":\"no\"}]}"),
         "i: END FAIL - - - [ e] [ f]\n"
         "e: END FAIL - - i\n"
         "f: - FAIL - - i\n"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char have[2000];
        struct workflow_definition *definition = compile(fixture, cases[i].text);
        print_flow(definition, have, sizeof(have));
        if (strcmp(have, cases[i].want) != 0) {
            fail_msg("%s\nwant %s\nhave %s", cases[i].why, cases[i].want, have);
        }
        workflow_definition_destroy(definition);
    }
}

static void what_is_wrong_is_told_with_its_place(void **state)
{
    static const struct {
        const char *why, *text, *path, *want;
        int32_t offset;
    } cases[] = {
        {"no JSON", "{", "", "the definition is no JSON", -1},
        {"no object", "[]", "", "the definition is no JSON object", -1},
        {"of a newer hub", "{\"format\":2,\"news\":1}", "/format", "format is 2", -1},
        {"nothing in it", "{}", "", "format is missing", -1},
        {"no steps", DEFINITION("", ""), "/steps", "there is no step", -1},
        {"a step that is none", DEFINITION("", "1"), "/steps", "has to be a list of steps", -1},
        {"another kind of step", DEFINITION("", "{\"name\":\"a\",\"do\":\"emits\"}"), "/steps/0/do",
         "do cannot be \"emits\" (did you mean \"emit\"?)", -1},
        {"a member that is missing", DEFINITION("", "{\"name\":\"a\",\"do\":\"sleep\"}"),
         "/steps/0", "for is missing", -1},
        {"a member of another type",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"sleep\",\"for\":\"1 s\"}"), "/steps/0/for",
         "for is no whole number", -1},
        {"a number that is too large",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"sleep\",\"for\":999999999999999}"),
         "/steps/0/for", "for is no whole number", -1},
        {"a negative one", DEFINITION("", "{\"name\":\"a\",\"do\":\"sleep\",\"for\":-1}"),
         "/steps/0/for", "for is no whole number", -1},
        {"an unknown member",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"sleep\",\"for\":1,\"take\":{}}"), "/steps/0/take",
         "\"take\" is not known here", -1},
        {"two steps of a name",
         DEFINITION(
             "", SET("a") ",{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" SET("a") "]}"),
         "/steps/1/then/0/name", "there are two steps called \"a\"", -1},
        {"a name that no topic can hold", DEFINITION("", SET("a/b")), "/steps/0/name",
         "holds a slash", -1},
        {"a variable that is two", DEFINITION("\"X\":\"1\"", SET("a")), "/steps/0/set/x",
         "the variables \"X\" and \"x\" are one in SQL", -1},
        {"a variable of the hub's", DEFINITION("\"Key\":\"1\"", SET("a")), "/variables/Key",
         "a variable cannot be called \"Key\"", -1},
        {"a variable with a quote", DEFINITION("\"a\\\"b\":\"1\"", SET("a")), "/variables/a\"b",
         "holds a double quote", -1},
        {"a goto to nowhere", DEFINITION("", SLEEP("a") "," GOTO("g", "b")), "/steps/1/step",
         "there is no step \"b\"", -1},
        {"a goto into a branch",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" SLEEP(
                            "b") "]}}," GOTO("g", "b")),
         "/steps/1/step", "step \"b\" is in another branch", -1},
        {"a goto out of one",
         DEFINITION("",
                    SLEEP("a") ",{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" GOTO(
                        "g", "a") "]}}"),
         "/steps/1/branches/x/0/step", "step \"a\" is in another branch", -1},
        {"a goto out of an undo",
         DEFINITION("", SLEEP("a") ",{\"name\":\"b\",\"do\":\"sleep\",\"for\":1,\"undo\":[" GOTO(
                            "g", "a") "]}"),
         "/steps/1/undo/0/step", "step \"a\" is in another branch or undo", -1},
        {"an undo of an undo",
         DEFINITION("", "{\"name\":\"b\",\"do\":\"sleep\",\"for\":1,\"undo\":[{\"name\":\"u\","
                        "\"do\":\"sleep\",\"for\":1,\"undo\":[" SET("v") "]}]}"),
         "/steps/0/undo/0/undo", "has no undo itself", -1},
        {"the end of an undo",
         DEFINITION("", "{\"name\":\"b\",\"do\":\"sleep\",\"for\":1,\"undo\":[" END("e") "]}"),
         "/steps/0/undo/0", "end cannot stand in an undo", -1},
        {"a step behind the end", DEFINITION("", END("e") "," SET("a")), "/steps/1",
         "step \"a\" can never be reached", -1},
        {"a step behind a goto", DEFINITION("", SLEEP("s") "," GOTO("g", "s") "," SET("a")),
         "/steps/2", "step \"a\" can never be reached", -1},
        {"a step behind a choice that never comes back",
         DEFINITION("", "{\"name\":\"i\",\"do\":\"if\",\"when\":\"1\",\"then\":[" END(
                            "e") "],\"else\":[" END("f") "]}," SET("a")),
         "/steps/1", "step \"a\" can never be reached", -1},
        {"a circle without a wait", DEFINITION("", SET("a") "," SET("b") "," GOTO("g", "a")),
         "/steps/2", "the steps a, b, g, a go in a circle and none of them waits", -1},
        {"a circle of itself", DEFINITION("", GOTO("g", "g")), "/steps/0",
         "the steps g, g go in a circle", -1},
        {"a circle by an error",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"set\",\"set\":{\"x\":\"1\"},\"on_error\":[" GOTO(
                            "g", "a") "]}"),
         "/steps/0/on_error/0", "the steps a, g, a go in a circle", -1},
        {"a circle of branches that do not wait",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" SET(
                            "a") "]}}," GOTO("g", "p")),
         "/steps/1", "go in a circle", -1},
        {"a circle that sleeps for no time",
         DEFINITION("", "{\"name\":\"s\",\"do\":\"sleep\",\"for\":0}," GOTO("g", "s")), "/steps/1",
         "go in a circle", -1},
        {"a circle that does not wait for what it runs",
         DEFINITION("", "{\"name\":\"r\",\"do\":\"run\",\"workflow\":\"w\",\"key\":\"1\","
                        "\"wait\":false}," GOTO("g", "r")),
         "/steps/1", "go in a circle", -1},
        {"an expression of the start", DEFINITION("\"a\":\"id +\"", SET("b")), "/variables/a",
         "syntax error", -1},
        {"a variable that is not there",
         DEFINITION("\"amount\":\"1\"", "{\"name\":\"a\",\"do\":\"if\",\"when\":\"1 + amont\","
                                        "\"then\":[" SET("b") "]}"),
         "/steps/0/when", "there is no variable \"amont\" (did you mean \"amount\"?)", 4},
        {"an expression in an object",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"set\",\"set\":{\"x\":\"1\",\"y/z~\":\"q\"}}"),
         "/steps/0/set/y~1z~0", "holds a slash", -1},
        {"a field's expression",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"emit\",\"to\":\"bus\",\"topic\":\"t\","
                        "\"fields\":{\"f/g\":\"  q\"}}"),
         "/steps/0/fields/f~1g", "there is no variable \"q\"", 2},
        {"a template",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"emit\",\"to\":\"bus\",\"topic\":\"t/{q}\"}"),
         "/steps/0/topic", "there is no variable \"q\"", 3},
        {"a filter",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"await\",\"from\":\"a/#/b\",\"key\":\"id\"}"),
         "/steps/0/from", "topic filter \"a/#/b\"", -1},
        {"the key of an event sees the event alone",
         DEFINITION("\"v\":\"1\"", "{\"name\":\"a\",\"do\":\"await\",\"from\":\"a/b\","
                                   "\"key\":\"my.v\"}"),
         "/steps/0/key", "there is no instance yet", 0},
        {"more branches than there are",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" SLEEP(
                            "b") "]},\"wait\":2}"),
         "/steps/0/wait", "wait has to be from 1 to 1", -1},
        {"another word",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" SLEEP(
                            "b") "]},\"wait\":\"some\"}"),
         "/steps/0/wait", "wait is all, any or a number", -1},
        {"an error that there is not",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"call\",\"to\":\"h\",\"retry\":{\"errors\":"
                        "[\"timout\"]}}"),
         "/steps/0/retry/errors", "no step fails with \"timout\" (did you mean \"timeout\"?)", -1},
        {"no attempt",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"call\",\"to\":\"h\",\"retry\":{\"attempts\":0}}"),
         "/steps/0/retry/attempts", "attempts has to be at least 1", -1},
        {"a call of the hub itself",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"call\",\"to\":\"rules\"}"), "/steps/0/to",
         "emit is for them", -1},
        {"variables of no event",
         "{\"format\":1,\"name\":\"o\",\"variables\":{\"a\":null,\"b\":\"event.x\"},\"steps\":"
         "[" SLEEP("s") "]}",
         "/variables/b", "event.x: no event is at hand here", 0},
        {"an empty branch",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[]}}"),
         "/steps/0/branches", "there is no step in it", -1},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct workflow_definition *definition = NULL;
        struct workflow_fault fault = {.path = "unset"};
        enum err rc = workflow_definition_create(&definition, fixture->space, cases[i].text, &fault,
                                                 &fixture->e);
        if (rc != ERR_CONFIG || strcmp(fault.path, cases[i].path) != 0 ||
            strstr(fixture->e.text, cases[i].want) == NULL ||
            (cases[i].offset >= 0 && fixture->e.offset != cases[i].offset)) {
            fail_msg("%s: %s, offset %d, %s\n%s", cases[i].why, fault.path, fixture->e.offset,
                     rc == ERR_OK ? "compiles" : fixture->e.text, cases[i].text);
        }
    }
}

static void circles_that_wait_are_fine(void **state)
{
    static const struct {
        const char *why, *text;
    } cases[] = {
        {"a sleep", DEFINITION("", SET("a") "," SLEEP("s") "," GOTO("g", "a"))},
        {"a retry by hand, behind a sleep",
         DEFINITION("", "{\"name\":\"a\",\"do\":\"set\",\"set\":{\"x\":\"1\"},\"on_error\":[" SLEEP(
                            "s") "," GOTO("g", "a") "]}")},
        {"a branch that waits",
         DEFINITION("",
                    "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[{\"name\":\"i\","
                    "\"do\":\"if\",\"when\":\"1\",\"then\":[" SLEEP("b") "]}]}}," GOTO("g", "p"))},
        {"what it runs is waited for",
         DEFINITION("", "{\"name\":\"r\",\"do\":\"run\",\"workflow\":\"w\",\"key\":\"1\"}," GOTO(
                            "g", "r"))},
        {"a goto within a branch",
         DEFINITION("", "{\"name\":\"p\",\"do\":\"parallel\",\"branches\":{\"x\":[" SLEEP(
                            "b") "," GOTO("g", "b") "]}}")},
        {"a goto out of a choice",
         DEFINITION("", SLEEP("s") ",{\"name\":\"i\",\"do\":\"if\","
                                   "\"when\":\"1\",\"then\":[" GOTO("g", "s") "]}")},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        workflow_definition_destroy(compile(fixture, cases[i].text));
    }
}

static const char everything[] = DEFINITION(
    "\"user\":\"user_id\",\"amount\":\"0\",\"paid\":null",
    "{\"name\":\"reserve\",\"do\":\"call\",\"to\":\"stock\",\"topic\":\"POST /reserve/{my.key}\","
    "\"is_url\":true,\"payload\":\"json\",\"fields\":{\"user\":\"user\"},\"properties\":{\"X\":"
    "\"{user}\"},\"within\":10000,\"retry\":{\"attempts\":5,\"backoff\":2000,\"backoff_max\":9000,"
    "\"within\":600000,\"errors\":[\"timeout\",\"refused\"]},\"take\":{\"reservation\":\"body.id\"}"
    ","
    "\"undo\":[{\"name\":\"release\",\"do\":\"call\",\"to\":\"stock\",\"topic\":"
    "\"DELETE /reserve/{reservation}\",\"is_url\":true}]},"
    "{\"name\":\"pay\",\"do\":\"await\",\"from\":\"shop/payments\",\"key\":\"order_id\",\"match\":"
    "\"my.key\",\"where\":\"event.amount > 0\",\"keep\":3600000,\"within\":5000,\"take\":"
    "{\"amount\":\"event.amount\"}},"
    "{\"name\":\"alarm\",\"do\":\"emit\",\"to\":\"rules\",\"topic\":\"a/{user}\",\"text\":\"t\","
    "\"type\":\"y\",\"payload\":\"text\",\"qos\":1,\"retain\":true},"
    "{\"name\":\"cool\",\"do\":\"command\",\"to\":\"bus\",\"device\":\"'plant/' || user\","
    "\"command\":\"boost\",\"fields\":{\"level\":\"3\"},\"expires\":60000,\"offline\":\"fail\","
    "\"within\":30000},"
    "{\"name\":\"noon\",\"do\":\"until\",\"at\":\"my.started + 3600000\"},"
    "{\"name\":\"waves\",\"do\":\"for_each\",\"in\":\"(SELECT json_group_array(device) FROM "
    "limits)\",\"as\":\"device\",\"at_once\":10,\"wave\":true,\"stop\":\"failed * 10 > total\","
    "\"steps\":[" SLEEP(
        "w") "]},"
             "{\"name\":\"sub\",\"do\":\"run\",\"workflow\":\"ship\",\"key\":\"my.key\",\"with\":"
             "{\"weight\":\"2\"},\"wait\":true,\"take\":{\"tracking\":\"body.tracking\"}},"
             "{\"name\":\"done\",\"do\":\"end\",\"result\":{\"total\":\"amount\"}}");

static void members_are_taken(void **state)
{
    struct workflow_fixture *fixture = *state;
    struct workflow_definition *definition = compile(fixture, everything);
    static const char *const variables[] = {"user",        "amount", "paid",
                                            "reservation", "device", "tracking"};
    assert_string_equal(definition->name, "order");
    assert_string_equal(definition->filter, "shop/+");
    assert_int_equal(definition->running, RUNNING_QUEUE);
    assert_int_equal(definition->keep_ms, 1000);
    assert_false(definition->is_parking);
    assert_int_equal(definition->variable_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_not_equal(workflow_variable_find(definition, variables[i]), UINT32_MAX);
    }
    assert_int_equal(workflow_query_count(definition->start), 7);
    const struct workflow_step *reserve = &definition->steps[0], *pay = &definition->steps[1];
    assert_string_equal(reserve->path, "/steps/0");
    assert_true(reserve->is_waiting);
    assert_int_equal(reserve->within_ms, 10000);
    assert_int_equal(reserve->retry.attempts_max, 5);
    assert_int_equal(reserve->retry.backoff_ms, 2000);
    assert_int_equal(reserve->retry.backoff_max_ms, 9000);
    assert_int_equal(reserve->retry.within_ms, 600000);
    assert_int_equal(reserve->retry.errors, 1u << WORKFLOW_TIMEOUT | 1u << WORKFLOW_REFUSED);
    assert_true(reserve->message.is_url);
    assert_string_equal(reserve->message.target, "stock");
    assert_string_equal(workflow_query_name(reserve->message.address, 0), "topic");
    assert_string_equal(workflow_query_name(reserve->message.fields, 0), "user");
    assert_string_equal(workflow_query_name(reserve->message.properties, 0), "X");
    assert_string_equal(definition->variables[reserve->take_variables[0]], "reservation");
    assert_string_equal(pay->filter, "shop/payments");
    assert_int_equal(pay->keep_ms, 3600000);
    assert_non_null(pay->event_key);
    assert_non_null(pay->where);
    assert_non_null(pay->query);
    const struct workflow_step *alarm = &definition->steps[2], *cool = &definition->steps[3];
    assert_null(alarm->message.target);
    assert_null(alarm->message.fields);
    assert_int_equal(alarm->message.format, PAYLOAD_TEXT);
    assert_int_equal(alarm->message.qos, 1);
    assert_true(alarm->message.is_retained);
    assert_int_equal(workflow_query_count(alarm->message.address), 3);
    assert_int_equal(alarm->retry.attempts_max, 1);
    assert_false(alarm->is_waiting);
    assert_int_equal(cool->offline, OFFLINE_FAIL);
    assert_int_equal(cool->expires_ms, 60000);
    const struct workflow_step *waves = &definition->steps[5], *sub = &definition->steps[6];
    assert_int_equal(waves->at_once, 10);
    assert_true(waves->is_wave);
    assert_non_null(waves->stop);
    assert_string_equal(definition->variables[waves->item_variable], "device");
    assert_string_equal(sub->workflow, "ship");
    assert_true(sub->is_waited);
    assert_int_equal(workflow_query_count(sub->query), 2);
    assert_int_equal(workflow_step_find(definition, "done"), 7);
    assert_int_equal(workflow_step_find(definition, "gone"), PLACE_NONE);
    workflow_definition_destroy(definition);
}

// What runs on a definition finds it by its fingerprint.
static void versions_differ_with_the_text(void **state)
{
    (void)state;
    char versions[4][WORKFLOW_VERSION_BYTES];
    static const char *const texts[] = {"", "a", "b", "ab"};
    for (size_t i = 0; i < 4; i++) {
        workflow_version(texts[i], versions[i]);
        assert_int_equal(strlen(versions[i]), 16);
        for (size_t other = 0; other < i; other++) {
            assert_string_not_equal(versions[i], versions[other]);
        }
    }
    workflow_version("a", versions[0]);
    assert_string_equal(versions[0], versions[1]);
    workflow_version("", versions[0]);
    assert_string_equal(versions[0], "f52a15e9a9b5e89b"); // Forever: it is in stores.
}

static void bounds_are_kept(void **state)
{
    struct workflow_fixture *fixture = *state;
    size_t size = 200000;
    char *text = malloc(size);
    for (int round = 0; round < 3; round++) {
        size_t len = (size_t)snprintf(text, size, "{\"format\":1,\"name\":\"o\",\"steps\":[");
        for (int i = 0; round == 0 && i < WORKFLOW_STEPS_MAX + 1; i++) {
            len += (size_t)snprintf(text + len, size - len,
                                    "%s{\"name\":\"s%d\",\"do\":\"sleep\",\"for\":1}",
                                    i == 0 ? "" : ",", i);
        }
        for (int i = 0; round == 1 && i < WORKFLOW_VARIABLES_MAX + 1; i++) {
            len += (size_t)snprintf(text + len, size - len,
                                    "%s{\"name\":\"s%d\",\"do\":\"set\",\"set\":{\"v%d\":\"1\"}}",
                                    i == 0 ? "" : ",", i, i);
        }
        for (int i = 0; round == 2 && i < WORKFLOW_DEPTH_MAX + 1; i++) {
            len += (size_t)snprintf(text + len, size - len,
                                    "{\"name\":\"s%d\",\"do\":\"if\",\"when\":\"1\",\"then\":[", i);
        }
        for (int i = 0; round == 2 && i < WORKFLOW_DEPTH_MAX + 1; i++) {
            len += (size_t)snprintf(text + len, size - len, "]}");
        }
        snprintf(text + len, size - len, "]}");
        static const char *const wants[] = {"more than 500 steps", "more than 200 variables",
                                            "more than 8 deep"};
        struct workflow_definition *definition = NULL;
        struct workflow_fault fault;
        assert_int_equal(
            workflow_definition_create(&definition, fixture->space, text, &fault, &fixture->e),
            ERR_CONFIG);
        if (strstr(fixture->e.text, wants[round]) == NULL) {
            fail_msg("%s: %s", wants[round], fixture->e.text);
        }
    }
    free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, workflow_setup, workflow_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_step_knows_where_the_flow_goes_on),
        TEST(what_is_wrong_is_told_with_its_place),
        TEST(circles_that_wait_are_fine),
        TEST(members_are_taken),
        TEST(versions_differ_with_the_text),
        TEST(bounds_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
