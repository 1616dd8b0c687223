// Expressions of workflows: which names they see, what values come out, what an error says.
#include <time.h>

#include "core/event_parts.h"
#include "workflow_support.h"

#define FILTER "shop/+"
#define VARIABLES                                                                                  \
    "{\"amount\":5,\"price\":1.5,\"name\":\"a b/c\",\"ok\":true,\"gone\":null,"                    \
    "\"list\":[1,{\"a\":2}],\"device\":\"d1\",\"x\":\"?&=\\u00e4\",\"empty\":\"\",\"dots\":\".."   \
    "\","                                                                                          \
    "\"Mixed\":1}"

static const char *const names[] = {"amount", "price",  "name",     "ok",       "gone",
                                    "list",   "device", "x",        "empty",    "dots",
                                    "Mixed",  "scoped", "order_id", "odd name", "order"};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static struct query_spec spec_of(enum query_over over, const struct query_part *part)
{
    return (struct query_spec){.over = over,
                               .filter = over == QUERY_EVENT ? FILTER : NULL,
                               .variables = names,
                               .variable_count = NAME_COUNT,
                               .parts = part,
                               .part_count = 1};
}

static struct query_input input_of(struct workflow_fixture *fixture, const json_t *variables,
                                   const json_t *scope)
{
    return (struct query_input){.scope = scope,
                                .variables = variables,
                                .key = "k-1",
                                .workflow = "order",
                                .instance = 7,
                                .started_ms = 1700000000000,
                                .now_ms = NOW_MS,
                                .batch = fixture->batch,
                                .status = 201,
                                .answer_reason = "made",
                                .done = 3,
                                .failed = 1,
                                .total = 9,
                                .memory = &fixture->memory,
                                .steps_max = 20000,
                                .memory_max = 1 << 20};
}

// The value, or the sentence of the error in <>.
static void evaluate(struct workflow_fixture *fixture, const struct query_spec *spec,
                     char *out_text, size_t size)
{
    struct workflow_query *query = NULL;
    uint32_t part;
    struct event_value value;
    bool has_row = false;
    json_t *variables = json_loads(VARIABLES, 0, NULL);
    json_t *scope = json_pack("{s:s}", "scoped", "mine");
    assert_non_null(variables);
    const struct query_input input = input_of(fixture, variables, scope);
    enum err rc = workflow_query_create(&query, fixture->space, spec, &part, &fixture->e);
    rc = rc == ERR_OK ? workflow_query_run(query, &input, &value, &has_row, &fixture->e) : rc;
    if (rc != ERR_OK) {
        snprintf(out_text, size, "<%s>", fixture->e.text);
    } else if (!has_row) {
        snprintf(out_text, size, "no row");
    } else {
        workflow_print(&value, out_text, size);
    }
    workflow_query_destroy(query);
    json_decref(variables);
    json_decref(scope);
}

struct value_case {
    const char *why;
    enum query_over over;
    const char *text, *want;
};

static void expect(struct workflow_fixture *fixture, const struct value_case *one, bool is_template)
{
    char have[1000];
    const struct query_part part = {.name = "v", .text = one->text, .is_template = is_template};
    const struct query_spec spec = spec_of(one->over, &part);
    evaluate(fixture, &spec, have, sizeof(have));
    if (strcmp(have, one->want) != 0) {
        fail_msg("%s: %s\nwant %s\nhave %s", one->why, one->text, one->want, have);
    }
}

static void values_are_what_the_expression_gives(void **state)
{
    static const struct value_case cases[] = {
        {"a constant reads nothing", QUERY_VARIABLES, "1 + 1", "2"},
        {"a variable", QUERY_VARIABLES, "amount * 2", "10"},
        {"by its table", QUERY_VARIABLES, "my.amount", "5"},
        {"a real", QUERY_VARIABLES, "price * amount", "7.5"},
        {"a boolean stays one", QUERY_VARIABLES, "ok", "true"},
        {"and is a number in SQL", QUERY_VARIABLES, "ok + 1", "2"},
        {"null", QUERY_VARIABLES, "gone", "null"},
        {"one that is not set is null", QUERY_VARIABLES, "order_id", "null"},
        {"JSON stays JSON", QUERY_VARIABLES, "list", "[1,{\"a\":2}]"},
        {"and goes into other JSON as such", QUERY_VARIABLES, "json_object('l', list)",
         "{\"l\":[1,{\"a\":2}]}"},
        {"and is text for SQL", QUERY_VARIABLES, "list ->> '$[1].a'", "2"},
        {"case does not matter", QUERY_VARIABLES, "MIXED_ IS NULL",
         "<there is no variable \"MIXED_\" (did you mean \"Mixed\"?)>"},
        {"case does not matter", QUERY_VARIABLES, "miXED + 1", "2"},
        {"the branch's variables", QUERY_VARIABLES, "scoped", "\"mine\""},
        {"a name with a blank", QUERY_VARIABLES, "\"odd name\" IS NULL", "1"},
        {"the instance itself", QUERY_VARIABLES,
         "my.key || my.workflow || my.instance || my.started || ifnull(my.error, '-')",
         "\"k-1order71700000000000-\""},
        {"which needs no table", QUERY_VARIABLES, "started + 1", "1700000000001"},
        {"the hub's time", QUERY_VARIABLES, "now_ms()", "1700000001000"},
        {"reference tables", QUERY_VARIABLES,
         "(SELECT top FROM limits AS l WHERE l.device = my.device)", "30.0"},
        {"a list of a table, for a for_each", QUERY_VARIABLES,
         "(SELECT json_group_array(device) FROM limits)", "[\"d1\",\"d2\"]"},
        {"the event's functions give nothing without one", QUERY_VARIABLES, "topic_part(1)",
         "null"},
        {"a comment at the end", QUERY_VARIABLES, "amount -- the amount", "5"},
        {"an event's field", QUERY_EVENT, "event.total + my.amount", "25"},
        {"which needs no table", QUERY_EVENT, "total", "20"},
        {"an event's column", QUERY_EVENT, "topic", "\"shop/1\""},
        {"the event's functions", QUERY_EVENT, "topic_part(2)", "\"1\""},
        {"a field called like a variable", QUERY_EVENT, "event.amount", "3"},
        {"a variable that no event could have, without its table", QUERY_EVENT, "dots",
         "<\"dots\" is a name of the workflow and may be one of the event, too: write my.dots or "
         "event.dots>"},
        {"a name of both", QUERY_EVENT, "amount > 1",
         "<\"amount\" is a name of the workflow and may be one of the event, too: write my.amount "
         "or event.amount>"},
        {"a name of both, a column", QUERY_EVENT, "device",
         "<\"device\" is a name of the workflow and may be one of the event, too: write my.device "
         "or event.device>"},
        {"a name of both within a sub-select that has it", QUERY_EVENT,
         "(SELECT count(device) FROM limits)", "2"},
        {"an answer's field", QUERY_ANSWER, "body.id", "9"},
        {"one that is a column of events", QUERY_ANSWER, "body.time || body.type", "\"nowt\""},
        {"a nested one", QUERY_ANSWER, "body.\"in.deep\"", "true"},
        {"its status", QUERY_ANSWER, "answer.status", "201"},
        {"which needs no table", QUERY_ANSWER, "status < 300", "1"},
        {"its reason", QUERY_ANSWER, "answer.reason", "\"made\""},
        {"a reason of both", QUERY_ANSWER, "reason",
         "<\"reason\" is a name of the workflow and may be one of the answer, too: write my.reason "
         "or answer.reason>"},
        {"a variable beside it", QUERY_ANSWER, "amount + body.id", "14"},
        {"all of it", QUERY_ANSWER, "json_extract(fields(), '$.id')", "9"},
        {"as it came", QUERY_ANSWER, "length(body.payload) > 5", "1"},
        {"what is not in it", QUERY_ANSWER, "body.missing", "null"},
        {"without its table it is no field", QUERY_ANSWER, "id",
         "<there is no variable \"id\"; a field of the answer is written body.id>"},
        {"how far a for_each is", QUERY_ITEMS, "failed * 10 > total", "1"},
        {"with the variables", QUERY_ITEMS, "done + amount", "8"},
        {"how far it is, elsewhere", QUERY_VARIABLES, "failed > 0",
         "<there is no variable \"failed\" (did you mean \"Mixed\"?)>"},
        {"an unknown name", QUERY_VARIABLES, "amont > 1",
         "<there is no variable \"amont\" (did you mean \"amount\"?)>"},
        {"an unknown name of the instance", QUERY_VARIABLES, "my.keys",
         "<there is no variable \"keys\" (did you mean \"key\"?)>"},
        {"an unknown one beside an event", QUERY_EVENT, "my.amont",
         "<there is no variable \"amont\" (did you mean \"amount\"?)>"},
        {"an event where there is none", QUERY_VARIABLES, "event.x",
         "<event.x: no event is at hand here; take it over into a variable>"},
        {"an answer where there is none", QUERY_EVENT, "body.x + answer.status",
         "<body.x: no answer is at hand here; take it over into a variable>"},
        {"what an answer does not have", QUERY_ANSWER, "answer.body",
         "<answer.body: of an answer there are answer.status, answer.reason and, of what it says, "
         "body.<name>>"},
        {"a word of SQL", QUERY_VARIABLES, "order",
         "<\"order\" is a word of SQL: as a variable it is written in double quotes>"},
        {"a word of SQL in quotes", QUERY_VARIABLES, "\"order\"", "null"},
        {"a text in double quotes", QUERY_VARIABLES, "name = \"draft\"",
         "<there is no variable \"draft\"; a text is written in single quotes>"},
        {"an infinite number", QUERY_VARIABLES, "9e999",
         "is an infinite number, which JSON has not"},
        {"a blob", QUERY_VARIABLES, "x'00'", "is a blob, which JSON has not; use hex(...) for it"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        workflow_put(fixture, "shop/1",
                     "{\"total\":20,\"amount\":3,\"id\":9,\"time\":\"now\",\"type\":\"t\","
                     "\"in\":{\"deep\":true}}");
        expect(fixture, &cases[i], false);
    }
}

static void what_is_no_expression_is_refused(void **state)
{
    static const struct value_case cases[] = {
        {"another statement's end", QUERY_VARIABLES, "1) FROM limits --",
         "<is not one expression>"},
        {"a union", QUERY_VARIABLES, "1) UNION SELECT (2", "<is not one expression>"},
        {"two", QUERY_VARIABLES, "1, 2", "<row value misused>"},
        {"a second column", QUERY_VARIABLES, "1) AS b, (2", "<is not one expression>"},
        {"a statement behind it", QUERY_VARIABLES, "1; SELECT 2", "<is not one expression>"},
        {"gone", QUERY_VARIABLES, " ", "<there is no expression>"},
        {"a comment alone", QUERY_VARIABLES, "-- 1", "<there is no expression>"},
        {"an open parenthesis", QUERY_VARIABLES, "max(1", "<a ( has no ) in the expression>"},
        {"an open comment", QUERY_VARIABLES, "1 /*", "<incomplete input>"},
        {"an open text", QUERY_VARIABLES, "'a", "<a ' has no second one behind it>"},
        {"an open text that ends with a quote", QUERY_VARIABLES, "'a''",
         "<a ' has no second one behind it>"},
        {"an open name", QUERY_VARIABLES, "1 + \"a", "<a \" has no second one behind it>"},
        {"a parameter", QUERY_VARIABLES, "?1", "<a rule has no parameters (?, :name) to bind>"},
        {"the hub's tables", QUERY_VARIABLES, "(SELECT payload FROM pipit_outbox)",
         "<access to pipit_outbox.payload is prohibited>"},
        {"a topic filter", QUERY_VARIABLES, "(SELECT topic FROM \"a/+\")",
         "<no such table: a/+ (expressions see the event that they are for, and reference "
         "tables)>"},
        {"the own one twice", QUERY_EVENT, "(SELECT topic FROM \"" FILTER "\")",
         "<the statement reads the topic filter \"shop/+\" more than once; a rule sees one event "
         "at a time, so name it once>"},
        {"a function that is fenced", QUERY_VARIABLES, "random()",
         "<not authorized to use function: random>"},
        {"a function that remembers", QUERY_EVENT, "changed(event.total)",
         "<changed() remembers from event to event, which only the sql of a rule without a window "
         "can; a window sees its events together: lag(x) OVER (ORDER BY time)>"},
        {"another query's table", QUERY_VARIABLES,
         "(SELECT * FROM \"my\x01"
         "1\")",
         "<no such table: my (expressions see the event that they are for, and reference tables)>"},
        {"an aggregate, which would make a row of none", QUERY_VARIABLES, "amount FILTER",
         "<near \"FILTER\": syntax error>"},
        {"too many instructions", QUERY_VARIABLES,
         "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c)",
         "<more than 20000 SQLite instructions for one event>"},
        {"too much memory", QUERY_VARIABLES,
         "(WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 900) "
         "SELECT group_concat(printf('%5000d', i)) FROM c)",
         "<string or blob too big>"},
        {"an error while it runs", QUERY_VARIABLES, "json_extract('{', '$')", "<malformed JSON>"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        workflow_put(fixture, "shop/1", "{\"total\":20}");
        expect(fixture, &cases[i], false);
    }
}

#define NO_VARIABLE(name) "<there is no variable \"" name "\""
#define NEAR(word)        "<near \"" word "\": syntax error"
#define DURATION(ms, as)  "; durations in expressions are milliseconds: " ms " for " as ">"
#define IN_QUOTES(text)   "; a text stands in quotes: \"'" text "'\">"

static void what_a_beginner_writes_is_answered(void **state)
{
    static const struct value_case cases[] = {
        {"a duration", QUERY_VARIABLES, "now_ms() + 1 h", NEAR("h") DURATION("3600000", "1 h")},
        {"in one word", QUERY_VARIABLES, "now_ms() + 10min",
         "<unrecognized token: \"10min\"" DURATION("600000", "10 min")},
        {"a part of one", QUERY_VARIABLES, "my.started+1.5  d + 1",
         NEAR("d") DURATION("129600000", "1.5 d")},
        {"beside an event", QUERY_EVENT, "event.total > 250 ms",
         NEAR("ms") DURATION("250", "250 ms")},
        {"no unit of ours", QUERY_VARIABLES, "5 weeks", NEAR("weeks") ">"},
        {"a unit that begins so", QUERY_VARIABLES, "5 mins", NEAR("mins") ">"},
        {"no number", QUERY_VARIABLES, "'5' h", NEAR("h") ">"},
        {"a name that ends with one", QUERY_VARIABLES, "x5 h", NEAR("h") ">"},
        {"less than can be said", QUERY_VARIABLES, "0.0001 s", NEAR("s") ">"},
        {"more than can be said", QUERY_VARIABLES, "99999999999999999999 d", NEAR("d") ">"},
        {"two points", QUERY_VARIABLES, "1.2.3 s", NEAR(".3") ">"},
        {"a path", QUERY_VARIABLES, "plant/press-1",
         NO_VARIABLE("plant") IN_QUOTES("plant/press-1")},
        {"of which a level is a word of SQL", QUERY_VARIABLES, "group/press",
         NEAR("group") IN_QUOTES("group/press")},
        {"a word", QUERY_VARIABLES, "turquoise", NO_VARIABLE("turquoise") IN_QUOTES("turquoise")},
        {"a word of SQL", QUERY_VARIABLES, "default", NEAR("default") IN_QUOTES("default")},
        {"words with a dash", QUERY_VARIABLES, "bright-turquoise",
         NO_VARIABLE("bright") IN_QUOTES("bright-turquoise")},
        {"a word that is nearly a variable", QUERY_VARIABLES, "amounts",
         NO_VARIABLE("amounts") " (did you mean \"amount\"?)>"},
        {"a difference", QUERY_VARIABLES, "turquoise-1", NO_VARIABLE("turquoise") ">"},
        {"a quotient by a number", QUERY_VARIABLES, "turquoise/2", NO_VARIABLE("turquoise") ">"},
        {"a quotient with a variable", QUERY_VARIABLES, "turquoise/amount",
         NO_VARIABLE("turquoise") ">"},
        {"an expression", QUERY_VARIABLES, "turquoise + 1", NO_VARIABLE("turquoise") ">"},
        {"a call", QUERY_VARIABLES, "upper(turquoise)", NO_VARIABLE("turquoise") ">"},
        {"beside an answer it is more likely its field", QUERY_ANSWER, "turquoise",
         NO_VARIABLE("turquoise") "; a field of the answer is written body.turquoise>"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        workflow_put(fixture, "shop/1", "{\"total\":20}");
        expect(fixture, &cases[i], false);
    }
}

static void before_there_is_an_instance_the_event_is_alone(void **state)
{
    static const struct value_case cases[] = {
        {"names are the event's", QUERY_EVENT, "amount", "3"},
        {"also those that the instance will have", QUERY_EVENT, "key || device_group", "null"},
        {"there is no instance", QUERY_EVENT, "my.amount",
         "<my.amount: there is no instance yet, "
         "the event alone is at hand>"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char have[1000];
        const struct query_part part = {.name = "v", .text = cases[i].text};
        struct query_spec spec = spec_of(QUERY_EVENT, &part);
        spec.variables = NULL;
        spec.variable_count = 0;
        workflow_put(fixture, "shop/1", "{\"amount\":3,\"key\":\"k\"}");
        evaluate(fixture, &spec, have, sizeof(have));
        if (strcmp(have, cases[i].want) != 0) {
            fail_msg("%s: %s\nwant %s\nhave %s", cases[i].why, cases[i].text, cases[i].want, have);
        }
    }
}

static void an_error_names_its_part_and_its_place(void **state)
{
    static const struct {
        const char *why, *first, *second, *where;
        bool is_template;
        uint32_t part;
        int32_t offset;
    } cases[] = {
        {"the first", "amont", "1", NULL, false, 0, 0},
        {"the second", "amount", "1 +\n amont", NULL, false, 1, 5},
        {"the condition", "amount", "1", "price > prize", false, 2, 8},
        {"in a template", "1", "a {amount} b {1 + amont}", NULL, true, 1, 18},
        {"a duration", "now_ms() + 1 h", "1", NULL, false, 0, 13},
        {"a path", "1", "plant/x", NULL, false, 1, 0},
        {"a brace in a template", "1", "a } b", NULL, true, 1, 2},
        {"a parenthesis", "1", "1)", NULL, false, 1, 1},
        {"what is too much", "1", "1", "1) --", false, 2, 1},
        {"the part that would hide the next", "1 /*", "*/ 1", NULL, false, 0, -1},
        {"the part that would hide the condition", "1", "1 /*", "*/ + 1", false, 1, -1},
        {"a comment that is closed hides nothing", "1 /* */", "amont", NULL, false, 1, 0},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct query_part parts[] = {
            {.name = "a", .text = cases[i].first},
            {.name = "b", .text = cases[i].second, .is_template = cases[i].is_template}};
        struct query_spec spec = spec_of(QUERY_VARIABLES, parts);
        spec.part_count = 2;
        spec.where = cases[i].where;
        struct workflow_query *query = NULL;
        uint32_t part = 99;
        enum err rc = workflow_query_create(&query, fixture->space, &spec, &part, &fixture->e);
        if (rc != ERR_CONFIG || part != cases[i].part || fixture->e.offset != cases[i].offset) {
            fail_msg("%s: part %u, offset %d: %s", cases[i].why, part, fixture->e.offset,
                     rc == ERR_OK ? "ok" : fixture->e.text);
        }
    }
}

static void a_condition_says_whether_there_is_a_row(void **state)
{
    static const struct {
        const char *why, *where;
        bool want;
    } cases[] = {
        {"true", "event.total > my.amount", true},
        {"false", "event.total < my.amount", false},
        {"NULL is no", "NULL", false},
        {"without the event", "ok", true},
    };
    struct workflow_fixture *fixture = *state;
    json_t *variables = json_loads(VARIABLES, 0, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query_spec spec = spec_of(QUERY_EVENT, NULL);
        spec.part_count = 0;
        spec.where = i == 3 ? "my.ok" : cases[i].where;
        struct workflow_query *query = NULL;
        uint32_t part;
        bool has_row = false;
        workflow_put(fixture, "shop/1", "{\"total\":20}");
        const struct query_input input = input_of(fixture, variables, NULL);
        enum err rc = workflow_query_create(&query, fixture->space, &spec, &part, &fixture->e);
        rc = rc == ERR_OK ? workflow_query_run(query, &input, NULL, &has_row, &fixture->e) : rc;
        if (rc != ERR_OK || has_row != cases[i].want || workflow_query_count(query) != 0) {
            fail_msg("%s: %d %s", cases[i].why, has_row, rc == ERR_OK ? "" : fixture->e.text);
        }
        workflow_query_destroy(query);
    }
    json_decref(variables);
}

// Else SQLite would take a name in the condition for a column of the result.
static void a_condition_is_over_the_event_not_the_result(void **state)
{
    static const struct {
        const char *why, *name, *payload;
        uint32_t part_count;
        bool want;
    } cases[] = {
        {"a part has the field's name", "size", "{\"size\":500,\"amount\":3}", 1, true},
        {"and another value", "size", "{\"size\":3,\"amount\":500}", 1, false},
        {"there is no part", "x", "{\"x\":500}", 0, true},
        {"the field is not there", "c0", "{}", 0, false},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct query_part part = {.name = cases[i].name, .text = "amount"};
        struct query_spec spec = spec_of(QUERY_EVENT, &part);
        spec.part_count = cases[i].part_count;
        spec.variables = NULL;
        spec.variable_count = 0;
        char where[40];
        snprintf(where, sizeof(where), "%s > 100", cases[i].name);
        spec.where = where;
        char have[100];
        workflow_put(fixture, "shop/1", cases[i].payload);
        evaluate(fixture, &spec, have, sizeof(have));
        if ((strcmp(have, "no row") != 0) != cases[i].want || have[0] == '<') {
            fail_msg("%s: %s", cases[i].why, have);
        }
    }
}

static void templates_are_filled(void **state)
{
    static const struct value_case cases[] = {
        {"no expression", QUERY_VARIABLES, "as it is", "\"as it is\""},
        {"empty", QUERY_VARIABLES, "", "\"\""},
        {"an integer", QUERY_VARIABLES, "n {amount}!", "\"n 5!\""},
        {"a real, the shortest", QUERY_VARIABLES, "{price} {0.1 + 0.2}",
         "\"1.5 0.30000000000000004\""},
        {"a boolean", QUERY_VARIABLES, "{ok}", "\"true\""},
        {"JSON", QUERY_VARIABLES, "{list}", "\"[1,{\\\"a\\\":2}]\""},
        {"braces", QUERY_VARIABLES, "{{{amount}}}", "\"{5}\""},
        {"a brace in a text", QUERY_VARIABLES, "{json_extract('{\"a\":1}', '$.a')}", "\"1\""},
        {"an empty text", QUERY_VARIABLES, "a{empty}b", "\"ab\""},
        {"NULL", QUERY_VARIABLES, "a {gone}", "<{gone} is NULL>"},
        {"a blob", QUERY_VARIABLES, "{x'00'}",
         "<{x'00'} is a blob, not a text; use hex(...) for it>"},
        {"a brace that is open", QUERY_VARIABLES, "a {amount",
         "<the template has a { without a } behind it; write {{ for the brace itself>"},
        {"a brace that is not", QUERY_VARIABLES, "a } b",
         "<the template has a } without a {; write }} for the brace itself>"},
        {"nothing between them", QUERY_VARIABLES, "a { } b",
         "<there is no expression between { and }>"},
        {"a brace in a comment is none", QUERY_VARIABLES, "{amount /* } */}", "\"5\""},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        workflow_put(fixture, "shop/1", "{}");
        expect(fixture, &cases[i], true);
    }
}

static void addresses_are_encoded(void **state)
{
    static const struct value_case cases[] = {
        {"a slash stays within its part", QUERY_VARIABLES, "/a/{name}?q={x}",
         "\"/a/a%20b%2Fc?q=%3F%26%3D%C3%A4\""},
        {"numbers", QUERY_VARIABLES, "/a/{price}", "\"/a/1.5\""},
        {"an empty part would be another address", QUERY_VARIABLES, "/a/{empty}",
         "<{empty} is an empty text, which would leave a part of the address empty>"},
        {"so would dots", QUERY_VARIABLES, "/a/{dots}",
         "<{dots} is a dot or two, which would lead out of its place in the address>"},
    };
    struct workflow_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char have[1000];
        const struct query_part part = {
            .name = "v", .text = cases[i].text, .is_template = true, .is_url = true};
        const struct query_spec spec = spec_of(QUERY_VARIABLES, &part);
        evaluate(fixture, &spec, have, sizeof(have));
        if (strcmp(have, cases[i].want) != 0) {
            fail_msg("%s\nwant %s\nhave %s", cases[i].why, cases[i].want, have);
        }
    }
}

static void truth_is_as_in_sql(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct event_value value;
        bool want;
    } cases[] = {
        {"NULL", {.kind = VALUE_NULL}, false},
        {"zero", {.kind = VALUE_INTEGER, .integer = 0}, false},
        {"a number", {.kind = VALUE_INTEGER, .integer = -1}, true},
        {"false", {.kind = VALUE_BOOLEAN, .integer = 0}, false},
        {"true", {.kind = VALUE_BOOLEAN, .integer = 1}, true},
        {"zero as a real", {.kind = VALUE_REAL, .real = 0.0}, false},
        {"a real", {.kind = VALUE_REAL, .real = 0.5}, true},
        {"a text is no number", {.kind = VALUE_TEXT, .bytes = {(const uint8_t *)"yes", 3}}, false},
        {"a text that begins with one",
         {.kind = VALUE_TEXT, .bytes = {(const uint8_t *)"2 m", 3}},
         true},
        {"a zero in a text", {.kind = VALUE_TEXT, .bytes = {(const uint8_t *)"0.0", 3}}, false},
        {"infinity is a word",
         {.kind = VALUE_TEXT, .bytes = {(const uint8_t *)"infinity", 8}},
         false},
        {"hex is not read", {.kind = VALUE_TEXT, .bytes = {(const uint8_t *)"0x10", 4}}, false},
        {"an empty text", {.kind = VALUE_TEXT}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (query_value_is_true(&cases[i].value) != cases[i].want) {
            fail_msg("%s", cases[i].why);
        }
    }
}

static void rows_go_with_their_names(void **state)
{
    struct workflow_fixture *fixture = *state;
    const struct query_part parts[] = {{.name = "a", .text = "amount"},
                                       {.name = "b \"c\"", .text = "'{' || name || '}'"}};
    struct query_spec spec = spec_of(QUERY_VARIABLES, parts);
    spec.part_count = 2;
    struct workflow_query *query = NULL;
    uint32_t part;
    assert_int_equal(workflow_query_create(&query, fixture->space, &spec, &part, &fixture->e),
                     ERR_OK);
    assert_int_equal(workflow_query_count(query), 2);
    assert_string_equal(workflow_query_name(query, 0), "a");
    assert_string_equal(workflow_query_name(query, 1), "b \"c\"");
    workflow_query_destroy(query);
}

// A figure, not a promise: machines differ, and sanitizers are slow.
static void what_it_costs(void **state)
{
    struct workflow_fixture *fixture = *state;
    static const struct {
        const char *what;
        enum query_over over;
        const char *text;
    } cases[] = {{"a constant", QUERY_VARIABLES, "1"},
                 {"a comparison", QUERY_VARIABLES, "amount > 3"},
                 {"of an event", QUERY_EVENT, "event.total > my.amount"},
                 {"of an answer", QUERY_ANSWER, "body.id"}};
    json_t *variables = json_loads(VARIABLES, 0, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct query_part part = {.name = "v", .text = cases[i].text};
        const struct query_spec spec = spec_of(cases[i].over, &part);
        struct workflow_query *query = NULL;
        uint32_t at, rounds = 2000;
        workflow_put(fixture, "shop/1", "{\"total\":20,\"id\":9}");
        const struct query_input input = input_of(fixture, variables, NULL);
        assert_int_equal(workflow_query_create(&query, fixture->space, &spec, &at, &fixture->e),
                         ERR_OK);
        clock_t begin = clock();
        for (uint32_t round = 0; round < rounds; round++) {
            struct event_value value;
            bool has_row;
            assert_int_equal(workflow_query_run(query, &input, &value, &has_row, &fixture->e),
                             ERR_OK);
        }
        printf("%s: %.2f us\n", cases[i].what,
               1e6 * (double)(clock() - begin) / CLOCKS_PER_SEC / rounds);
        workflow_query_destroy(query);
    }
    json_decref(variables);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, workflow_setup, workflow_teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_are_what_the_expression_gives),
        TEST(what_is_no_expression_is_refused),
        TEST(what_a_beginner_writes_is_answered),
        TEST(before_there_is_an_instance_the_event_is_alone),
        TEST(an_error_names_its_part_and_its_place),
        TEST(a_condition_says_whether_there_is_a_row),
        TEST(a_condition_is_over_the_event_not_the_result),
        TEST(templates_are_filled),
        TEST(addresses_are_encoded),
        TEST(truth_is_as_in_sql),
        TEST(rows_go_with_their_names),
        TEST(what_it_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
