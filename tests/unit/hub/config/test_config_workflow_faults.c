// Workflows that are wrong: each fault has its place in the file and says what to do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

#define TOP                                                                                        \
    "hub: {id: h, store: h.db}\n"                                                                  \
    "sources: {s: {mqtt: {url: u}, topics: [\"a/#\", \"pipit/v1/#\"]}}\n"                          \
    "targets: {bus: {mqtt: {url: \"mqtt://127.0.0.1:1\"}}, web: {http: {url: \"http://x\"}}}\n"
// The step stands on the ninth line from the ninth column on.
#define STEPS(steps)                                                                               \
    TOP "workflows:\n  w:\n    start: {from: \"a/+\", key: no}\n    variables: {n: n}\n"           \
        "    steps:\n" steps
#define S "      - "

struct fault_case {
    const char *why, *yaml, *want;
};

static enum err no_source_check(const char *hub_id, const char *name, const struct options *options,
                                struct error *e)
{
    (void)hub_id, (void)name, (void)options, (void)e;
    return ERR_OK;
}

// What `pipit check` would say: faults of reading, else of compiling, else warnings.
static void examine(struct folder *folder, const char *yaml)
{
    struct error e = {0};
    struct config *config = folder_load(folder, yaml);
    if (config != NULL &&
        config_check(config, no_source_check, folder_collect, folder, &e) == ERR_OK) {
        assert_int_equal(config_warn(config, folder_collect, folder, &e), ERR_OK);
    }
    config_destroy(config);
}

static void check_cases(const struct fault_case *cases, size_t count)
{
    struct folder folder;
    folder_create(&folder);
    bool is_bad = false;
    for (size_t i = 0; i < count; i++) {
        examine(&folder, cases[i].yaml);
        if (strcmp(folder.faults, cases[i].want) != 0) {
            print_error("%s\nwant:\n%s\ngot:\n%s\n", cases[i].why, cases[i].want, folder.faults);
            is_bad = true;
        }
    }
    folder_destroy(&folder);
    assert_false(is_bad);
}

#define CHECK(cases) check_cases(cases, sizeof(cases) / sizeof((cases)[0]))

static void what_is_no_step_is_said(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"an unknown kind", STEPS(S "b: {gto: a}\n"),
         "9:13: workflow w: step b: 'gto' is no kind of step; did you mean 'goto'?"},
        {"the kind is at fault, not what is beside it",
         STEPS(S "b: {within: 1 s, awaitt: {from: x, key: k}}\n"),
         "9:26: workflow w: step b: 'awaitt' is no kind of step; did you mean 'await'?"},
        {"two kinds", STEPS(S "a: {sleep: 5 min, emit: {topic: x}}\n"),
         "9:27: workflow w: step a: 'emit' besides 'sleep'; a step does one thing"},
        {"no kind", STEPS(S "a: {}\n"),
         "9:12: workflow w: step a: does not say what to do; known are: emit, call, command, "
         "await, sleep, until, if, switch, parallel, for_each, set, run, end, fail, goto"},
        {"no mapping", STEPS(S "a: 5\n"),
         "9:12: workflow w: step a: must be what it does, such as {sleep: 5 min}, not a single "
         "value"},
        {"a '-' is missing", STEPS(S "a: {sleep: 1 s}\n        b: {sleep: 1 s}\n"),
         "10:9: workflow w: steps: a step is its name and what it does, such as - pause: {sleep: 5 "
         "min}; the next one needs a '-' of its own"},
        {"the name is missing, what it does takes a value", STEPS(S "sleep: 5 min\n"),
         "9:9: workflow w: 'sleep' is what a step does; its name comes first: - NAME: {sleep: "
         "...}"},
        {"the name is missing, what it does takes a mapping", STEPS(S "end: {got: n}\n"),
         "9:9: workflow w: 'end' is what a step does; its name comes first: - NAME: {end: ...}"},
        {"the name is missing, and something is beside it",
         STEPS(S "await: {from: a/x, key: k}\n        within: 5 s\n"),
         "9:9: workflow w: steps: 'await' is what a step does; its name comes first: - NAME: "
         "{await: ...}"},
        {"what stands beside a call is in it",
         STEPS(S "a: {call: {to: web, path: /x, within: 5 s, take: {n: body.n}}}\n"),
         "9:39: workflow w: step a: call: 'within' stands beside it, not in it\n"
         "9:52: workflow w: step a: call: 'take' stands beside it, not in it"},
        {"what stands beside an await is in it",
         STEPS(S "a: {await: {from: a/x, key: k, within: 5 s}}\n"),
         "9:40: workflow w: step a: await: 'within' stands beside it, not in it"},
        {"what stands in a call is beside it",
         STEPS(S "a: {call: {to: web}, method: GET, path: /x, fields: {n: n}, within: 1 s}\n"),
         "9:30: workflow w: step a: 'method' belongs into call: {...}, not beside it\n"
         "9:43: workflow w: step a: 'path' belongs into call: {...}, not beside it\n"
         "9:53: workflow w: step a: 'fields' belongs into call: {...}, not beside it"},
        {"what stands in an emit, a command, an await and a run is",
         STEPS(S "a: {emit: {to: bus, topic: x}, retain: true, text: y}\n" S
                 "b: {command: {device: n, name: x}, offline: send}\n" S
                 "c: {await: {from: a/x, key: k}, keep: 1 h}\n" S
                 "d: {run: {workflow: w}, with: {n: n}}\n"),
         "9:40: workflow w: step a: 'retain' belongs into emit: {...}, not beside it\n"
         "9:54: workflow w: step a: 'text' belongs into emit: {...}, not beside it\n"
         "10:44: workflow w: step b: 'offline' belongs into command: {...}, not beside it\n"
         "11:41: workflow w: step c: 'keep' belongs into await: {...}, not beside it\n"
         "12:33: workflow w: step d: 'with' belongs into run: {...}, not beside it"},
        {"what has to stand in it is beside it: that is told, and not that it is missing",
         STEPS(S "a: {await: {from: a/x}, key: k}\n" S "b: {await: {key: k}, from: a/x}\n" S
                 "c: {command: {name: x}, device: n}\n" S "d: {run: {key: n}, workflow: w}\n" S
                 "e: {call: {path: /x}, to: web}\n" S "f: {emit: {to: bus}, topic: x}\n"),
         "9:33: workflow w: step a: 'key' belongs into await: {...}, not beside it\n"
         "10:30: workflow w: step b: 'from' belongs into await: {...}, not beside it\n"
         "11:33: workflow w: step c: 'device' belongs into command: {...}, not beside it\n"
         "12:28: workflow w: step d: 'workflow' belongs into run: {...}, not beside it\n"
         "13:31: workflow w: step e: 'to' belongs into call: {...}, not beside it\n"
         "14:30: workflow w: step f: 'topic' belongs into emit: {...}, not beside it"},
        {"of another kind they are unknown", STEPS(S "a: {sleep: 1 s, path: /x}\n"),
         "9:25: unknown key 'path' in workflow w: step a; known are: retry, take, undo, on_error, "
         "sleep, until, if, switch, for_each, fail, goto, within"},
        {"a method is written in capitals",
         STEPS(S "a: {call: {to: web, method: get, path: /x}}\n"),
         "9:37: workflow w: step a: call: method: must be one of POST, PUT, PATCH, DELETE, GET, "
         "HEAD, not 'get'; did you mean 'GET'?"},
        {"no steps", STEPS("      []\n"),
         "9:7: workflow w: steps: must be a list of steps, such as - pause: {sleep: 5 min}, not an "
         "empty one"},
        {"steps are missing", TOP "workflows: {w: {variables: {n: n}}}\n",
         "4:13: workflow w: 'steps' is missing: a list such as [{pause: {sleep: 5 min}}]"},
        {"nothing", TOP "workflows: {w: }\n",
         "4:13: workflow w: 'steps' is missing: a list such as [{pause: {sleep: 5 min}}]"},
        {"a name twice", STEPS(S "a: {if: n, then: {b: {sleep: 1 s}}}\n" S "b: {sleep: 1 s}\n"),
         "10:9: workflow w: step b is already there on line 9, column 27; names are for all steps "
         "of the workflow"},
        {"a name that is none", STEPS(S "a b: {sleep: 1 s}\n"),
         "9:9: workflow w: step a b name 'a b': must be 1 to 64 letters, digits, '_' or '-'"},
        {"a goto to nowhere", STEPS(S "a: {goto: pauze}\n" S "pause: {sleep: 1 s}\n"),
         "9:19: workflow w: step a: goto: there is no step 'pauze'; did you mean 'pause'?"},
        {"an unknown key of a step", STEPS(S "a: {sleep: 1 s, on_eror: {b: {sleep: 1 s}}}\n"),
         "9:25: unknown key 'on_eror' in workflow w: step a; did you mean 'on_error'?"},
        {"an await of nothing",
         STEPS(S "a: {await: {key: k}}\n" S "b: {await: {rule: r, key: k}}\n"),
         "9:20: workflow w: step a: await: which events? Those of a topic filter, 'from', or the "
         "rows of a 'rule'\n"
         "10:27: workflow w: step b: await: there is no rule 'r'"},
        {"an unknown key of a kind", STEPS(S "a: {await: {form: x, key: k}}\n"),
         "9:21: unknown key 'form' in workflow w: step a: await; did you mean 'from'?"},
        {"a key of a workflow", TOP "workflows: {w: {step: {a: {sleep: 1 s}}}}\n",
         "4:13: workflow w: 'steps' is missing: a list such as [{pause: {sleep: 5 min}}]\n"
         "4:17: unknown key 'step' in workflow w; did you mean 'steps'?"},
        {"a duration that is none", STEPS(S "a: {sleep: 5 mins}\n"),
         "9:20: workflow w: step a: sleep: must be a duration from 1 ms to 3660 d (ms, s, min, h "
         "or d, such as 30 s), not '5 mins'"},
        {"what does nothing", STEPS(S "a: {sleep: 1 s, retry: {}, within: 2 s, take: {n: 1}}\n"),
         "9:25: workflow w: step a: 'retry' does nothing for a step that is 'sleep'\n"
         "9:36: workflow w: step a: 'within' does nothing for a step that is 'sleep'\n"
         "9:49: workflow w: step a: 'take' does nothing for a step that is 'sleep'"},
    };
    CHECK(cases);
}

static void what_a_kind_needs_is_said(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"retry",
         STEPS(S "a: {call: {to: web}, retry: {attempts: 0, backoff: 1 h, errors: "
                 "[timout]}}\n"),
         "9:48: workflow w: step a: retry: attempts: must be a whole number from 1 to 1000000, not "
         "'0'\n"
         "9:60: workflow w: step a: retry: backoff (1 h) is longer than backoff_max (1 min)\n"
         "9:74: workflow w: step a: retry: errors: 'timout' is no kind of error; did you mean "
         "'timeout'?"},
        {"an unknown target", STEPS(S "a: {emit: {to: bos, topic: x}}\n"),
         "9:24: workflow w: step a: emit: there is no target 'bos'; did you mean 'bus'?"},
        {"a call says where to", STEPS(S "a: {call: {path: /x}}\n"),
         "9:13: workflow w: step a: call: 'to', the target, is missing; known are: bus, web"},
        {"rules do not answer", STEPS(S "a: {call: {to: rules}}\n"),
         "9:24: workflow w: step a: call: there is no target 'rules'; known are: bus, web"},
        {"two brokers",
         "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [\"a/#\"]}}\n"
         "targets: {a: {mqtt: {url: \"mqtt://x\"}}, b: {mqtt: {url: \"mqtt://y\"}}}\n"
         "workflows: {w: {steps: {a: {emit: {topic: x}}}}}\n",
         "4:29: workflow w: step a: emit: 'to', the target, is missing; known are: a, b, rules"},
        {"devices are at a broker", STEPS(S "a: {command: {to: web, device: n, name: x}}\n"),
         "9:27: workflow w: step a: command: target web is no MQTT broker, which devices are at"},
        {"an option of another connector", STEPS(S "a: {call: {to: web, topic: x}}\n"),
         "9:29: unknown key 'topic' in workflow w: step a: call; known are: fields, properties, "
         "method, path, to, payload, text, type"},
        {"a wildcard", STEPS(S "a: {emit: {topic: \"a/+\"}}\n"),
         "9:27: workflow w: step a: emit: topic: 'a/+' holds the wildcard +, which no message is "
         "published on"},
        {"an address that is none", STEPS(S "a: {call: {to: web, path: \"items/{n}\"}}\n"),
         "9:35: workflow w: step a: call: path: the address 'POST items/{n}' has a path that does "
         "not begin with /"},
        {"text",
         STEPS(S "a: {emit: {topic: x, text: t}}\n" S
                 "b: {emit: {topic: x, payload: text, fields: {n: n}}}\n"),
         "9:30: workflow w: step a: emit: 'text' needs payload: text\n"
         "10:13: workflow w: step b: emit: payload: text needs 'text', its template\n"
         "10:45: workflow w: step b: emit: 'fields' does nothing for payload: text"},
        {"a header of the hub's own",
         STEPS(S "a: {call: {to: web, properties: {idempotency-key: x}}}\n"),
         "9:42: workflow w: step a: call: properties: the name 'idempotency-key' is set by the hub "
         "itself"},
        {"what is no header",
         STEPS(S "a: {call: {to: web, properties: {\"a b\": x, Host: y, X-A: z}}}\n"),
         "9:42: workflow w: step a: call: properties: the name 'a b' is no name of a header\n"
         "9:52: workflow w: step a: call: properties: the name 'Host' is a header that the hub "
         "sets itself"},
        {"a filter that is none", STEPS(S "a: {await: {from: \"a/#/b\", key: k}}\n"),
         "9:27: workflow w: step a: await: from: topic filter \"a/#/b\" has a # that is not its "
         "last level"},
        {"more branches than there are",
         STEPS(S "a: {parallel: {x: {b: {sleep: 1 s}}}, wait: 2}\n"),
         "9:53: workflow w: step a: wait: must be all, any, or a number from 1 to 1, the branches "
         "there are, not '2'"},
        {"lists that are missing",
         STEPS(S "a: {if: n}\n" S "b: {switch: n}\n" S "c: {for_each: n}\n"),
         "9:13: workflow w: step a: 'then' is missing: The steps where the expression is true.\n"
         "10:13: workflow w: step b: 'cases' is missing: The steps for each value, {<value>: "
         "[...]}.\n"
         "11:12: workflow w: step c: 'as' is missing: Variable that holds the item.\n"
         "11:13: workflow w: step c: 'steps' is missing: What is done for each item."},
        {"variables", STEPS(S "a: {set: {N: 1, \"a b\": 2}}\n" S "b: {set: {}}\n"),
         "9:19: workflow w: step a: set: variable 'N': 'n' is there, too, and SQL takes them for "
         "the same\n"
         "9:25: workflow w: step a: set: variable 'a b': must be 1 to 64 letters, digits or '_', "
         "and no digit first\n"
         "10:18: workflow w: step b: which variables? Such as set: {tries: \"tries + 1\"}"},
        {"an expression that is none", STEPS(S "a: {set: {n: [1]}}\n"),
         "9:22: workflow w: step a: set: n: must be an SQL expression, not a list"},
        {"another workflow",
         STEPS(S "a: {run: {workflow: v}}\n" S "b: {run: {workflow: w, with: {m: 1}}}\n" S
                 "c: {run: {workflow: w, wait: false}, take: {n: 1}}\n"),
         "9:29: workflow w: step a: run: there is no workflow 'v'; known are: w\n"
         "10:39: workflow w: step b: run: with: workflow w declares no variable 'm'\n"
         "11:46: workflow w: step c: 'take' needs 'wait: true': there is no answer yet"},
    };
    CHECK(cases);
}

#define START(start) TOP "workflows:\n  w:\n    start: " start "\n    steps: {a: {sleep: 1 s}}\n"

static void starts_that_are_none_are_said(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"neither", START("{key: no}"),
         "6:12: workflow w: start: which events? Those of a topic filter, 'from', or the rows of a "
         "'rule'"},
        {"both", START("{from: \"a/+\", rule: r, key: no}"),
         "6:26: workflow w: start: which events? Those of a topic filter, 'from', or the rows of a "
         "'rule', not both"},
        {"the topic of a rule's rows is the hub's business", START("{from: $rule/hot, key: no}"),
         "6:19: workflow w: start: from: for the rows of a rule write rule: hot"},
        {"no such rule",
         TOP "rules: {hot: {sql: 'SELECT 1 AS no FROM \"a/#\"'}}\nworkflows:\n  w:\n"
             "    start: {rule: hott, key: no}\n    steps: {a: {sleep: 1 s}}\n",
         "4:14: rule hot: 'to' must be a list of routes, such as - bus: {topic: "
         "\"alerts/{device}\"}\n"
         "7:19: workflow w: start: there is no rule 'hott'; did you mean 'hot'?"},
        {"no key", START("{from: \"a/+\"}"),
         "6:12: workflow w: start: 'key' is missing: SQL expression over the event: what the "
         "instance is about."},
        {"a key that is none", START("{from: \"a/+\", key: \"no ||\"}"),
         "6:31: workflow w: start: key: near \")\": syntax error"},
        {"a running that is none", START("{from: \"a/+\", key: no, running: skip}"),
         "6:44: workflow w: start: running: must be one of ignore, queue, restart, parallel, not "
         "'skip'"},
        {"a filter that is none", START("{from: \"a/b+\", key: no}"),
         "6:19: workflow w: start: from: topic filter \"a/b+\" has a + that does not stand alone "
         "between slashes"},
    };
    CHECK(cases);
}

// Positions inside the texts, whatever their quoting and folding.
static void what_does_not_compile_has_its_place(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"a step that nothing leads to", STEPS(S "a: {end: {n: n}}\n" S "b: {sleep: 1 s}\n"),
         "10:9: workflow w: step \"b\" can never be reached: what stands before it always leads "
         "elsewhere"},
        {"a circle without a wait", STEPS(S "a: {set: {n: n + 1}}\n" S "b: {goto: a}\n"),
         "10:9: workflow w: step b: the steps a, b, a go in a circle and none of them waits: put "
         "a sleep or an await into it"},
        {"a variable that is not there", STEPS(S "a: {emit: {topic: \"x/{nn}\"}}\n"),
         "9:31: workflow w: step a: topic: there is no variable \"nn\""},
        {"a duration where a time is meant", STEPS(S "a: {until: now_ms() + 1 h}\n"),
         "9:33: workflow w: step a: until: near \"h\": syntax error; durations in expressions are "
         "milliseconds: 3600000 for 1 h"},
        {"a text without its quotes", STEPS(S "a: {emit: {topic: x, fields: {lamp: plant/x}}}\n"),
         "9:45: workflow w: step a: fields: lamp: there is no variable \"plant\"; a text stands in "
         "quotes: \"'plant/x'\""},
        {"a condition is no text", STEPS(S "a: {if: turquoise, then: {b: {sleep: 1 s}}}\n"),
         "9:17: workflow w: step a: if: there is no variable \"turquoise\""},
        {"in an address", STEPS(S "a: {call: {to: web, method: PUT, path: \"/i/{n + m}\"}}\n"),
         "9:57: workflow w: step a: path: there is no variable \"m\""},
        {"a function that is not there",
         STEPS(S "a: {emit: {topic: x, fields: {x: n, y: "
                 "'n + foo(3)'}}}\n"),
         "9:53: workflow w: step a: fields: y: no such function: foo"},
        {"SQL over lines",
         STEPS(S "a:\n          if: |\n            n\n            >\n              > 1\n"
                 "          then: {b: {sleep: 1 s}}\n"),
         "13:15: workflow w: step a: if: near \">\": syntax error"},
        {"a template that does not end", STEPS(S "a: {fail: \"why {n\"}\n"),
         "9:24: workflow w: step a: fail: the template has a { without a } behind it; write {{ "
         "for the brace itself"},
        {"a column that the rule does not give",
         TOP "rules: {r: {sql: 'SELECT n AS level, topic FROM \"a/#\"'}}\nworkflows:\n  w:\n"
             "    start: {rule: r, where: level > 1, key: lvel}\n    steps: {a: {sleep: 1 s}}\n",
         "7:45: workflow w: start: key: the rule's rows have no column \"lvel\"; did you mean "
         "\"level\"?"},
        {"in a variable, and in what is awaited",
         TOP "rules: {r: {sql: 'SELECT n AS level FROM \"a/#\"'}}\nworkflows:\n"
             "  v: {start: {rule: r, key: level}, variables: {x: 1 + depth}, steps: {a: {sleep: 1 "
             "s}}}\n"
             "  w: {start: {from: \"a/+\", key: no}, variables: {n: n}, steps: {a: {await: {rule: "
             "r, key: level, where: my.n > event.m}}}}\n"
             "  x: {start: {from: \"a/+\", key: no}, variables: {n: n}, steps: {a: {await: {rule: "
             "r, key: level, where: my.n > 1}, take: {n: event.level + bar}}}}\n",
         "6:56: workflow v: variables: x: the rule's rows have no column \"depth\"\n"
         "7:118: workflow w: step a: where: the rule's rows have no column \"m\"\n"
         "8:140: workflow x: step a: take: n: the rule's rows have no column \"bar\""},
        {"a field that the formats do not have",
         TOP "formats: {f: {from: \"a/#\", json: {}, closed: true, fields: {level: number}}}\n"
             "workflows:\n  w:\n    start: {from: \"a/+\", key: levl}\n"
             "    steps: {a: {sleep: 1 s}}\n",
         "7:31: workflow w: start: key: no payload that \"a/+\" matches has the field \"levl\", by "
         "the formats configured for it; did you mean \"level\"?"},
        {"each faulty workflow is told",
         TOP "workflows:\n  v: {start: {from: x, key: no +}, steps: {a: {emit: {topic: x}}}}\n"
             "  w: {steps: {a: {set: {n: \")\"}}}}\n  x: {steps: {a: {sleep: 1 s}}}\n",
         "5:29: workflow v: start: key: near \")\": syntax error\n"
         "6:29: workflow w: step a: set: n: is not one expression"},
    };
    CHECK(cases);
}

#define TWO(first, second)                                                                         \
    TOP "workflows:\n"                                                                             \
        "  v: {start: {from: \"a/v\", key: no}, steps: [" first "]}\n"                             \
        "  w: {start: {from: \"a/w\", key: no}, steps: [" second "]}\n"
#define EMIT(name, topic) name ": {emit: {to: rules, topic: " topic "}}"

static void workflows_that_start_themselves_are_said(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"by an event", TWO(EMIT("a", "a/v"), "b: {sleep: 1 s}"),
         "5:46: workflow v starts itself, whatever happens: v (step a) -> v; to repeat steps use "
         "`goto`, to end it put the step into an `if`"},
        {"by running itself, after a step",
         TWO("{a: {set: {n: 1}}}, {b: {run: {workflow: v}}}", "b: {sleep: 1 s}"),
         "5:67: workflow v starts itself, whatever happens: v (step b) -> v; to repeat steps use "
         "`goto`, to end it put the step into an `if`"},
        {"with a pause it is fine, and hardly meant",
         TWO("{a: {sleep: 1 s}}, {b: {run: {workflow: v}}}", "b: {sleep: 1 s}"),
         "5:66: warning: workflow v starts itself again and again: v (step b) -> v; `goto` repeats "
         "steps in one instance"},
        {"with a pause and a condition it is how one repeats",
         TWO("{a: {sleep: 1 s}}, {c: {if: \"my.key > 1\", then: {b: {run: {workflow: v}}}}}",
             "b: {sleep: 1 s}"),
         ""},
        {"by way of another", TWO(EMIT("a", "a/w"), "b: {run: {workflow: v}}"),
         "5:46: workflow v starts itself, whatever happens: v (step a) -> w (step b) -> v; to "
         "repeat steps use `goto`, to end it put the step into an `if`"},
        {"in a branch that all go",
         TWO("a: {parallel: {x: {b: {run: {workflow: v}}}}}", "b: {sleep: 1 s}"),
         "5:65: workflow v starts itself, whatever happens: v (step b) -> v; to repeat steps use "
         "`goto`, to end it put the step into an `if`"},
        {"perhaps, for there is a condition",
         TWO("a: {if: \"my.started > 1\", then: {" EMIT("b", "a/v") "}}", "b: {sleep: 1 s}"),
         "5:79: warning: workflow v may start itself: v (step b) -> v; after 32 times without a "
         "pause the hub stops it"},
        {"perhaps, for it depends on a value", TWO(EMIT("a", "\"a/{my.key}\""), "b: {sleep: 1 s}"),
         "5:46: warning: workflow v may start itself: v (step a) -> v; after 32 times without a "
         "pause the hub stops it"},
        {"perhaps, for it may have ended before",
         TWO("{a: {if: 1, then: {e: {end: }}}}, {b: {run: {workflow: v}}}", "b: {sleep: 1 s}"),
         "5:81: warning: workflow v may start itself: v (step b) -> v; after 32 times without a "
         "pause the hub stops it"},
        {"perhaps, by way of a rule",
         TOP "rules: {r: {sql: 'SELECT 1 AS no FROM \"a/r\"'}}\n"
             "workflows: {w: {start: {rule: r, key: no}, steps: {" EMIT("a", "a/r") "}}}\n",
         "5:52: warning: workflow w may start itself: w (step a) -> w; after 32 times without a "
         "pause the hub stops it"},
        {"by way of the broker",
         "hub: {id: h, store: s}\n"
         "sources: {s: {mqtt: {url: \"mqtt://x\"}, topics: [\"a/#\"]}}\n"
         "targets: {bus: {mqtt: {url: \"mqtt://x\"}}, far: {mqtt: {url: \"mqtt://y\"}}}\n"
         "workflows:\n"
         "  v: {start: {from: \"a/v/+\", key: no}, steps: [{a: {emit: {to: bus, topic: "
         "\"a/v/x{my.key || '/'}y\"}}}]}\n"
         "  w: {start: {from: \"a/w\", key: no}, steps: [{b: {emit: {to: far, topic: a/w}}}]}\n"
         "  x: {start: {from: \"a/x\", key: no}, steps: [{c: {emit: {to: bus, topic: b/x}}}]}\n"
         "  y: {start: {from: \"a/y\", key: no}, steps: [{d: {emit: {to: bus, topic: "
         "\"a/{my.key}\"}}}]}\n",
         "5:49: warning: workflow v may start itself by way of the broker: v (step a) -> v; "
         "nothing stops it there"},
        {"not at all: another topic", TWO(EMIT("a", "a/w"), "b: {sleep: 1 s}"), ""},
    };
    CHECK(cases);
}

static void what_is_hardly_meant_is_said(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"nothing to hear a reply by",
         "hub: {id: h, store: s}\nsources: {s: {mqtt: {url: u}, topics: [\"a/#\"]}}\n"
         "targets: {bus: {mqtt: {url: \"mqtt://x\"}}}\nworkflows:\n  w:\n"
         "    start: {from: \"a/+\", key: no}\n    steps:\n"
         "      - a: {command: {device: my.key, name: x}}\n"
         "      - b: {command: {device: my.key, name: x, offline: send}}\n",
         "8:9: workflow w: step a: no source hears the device's reply; subscribe one to "
         "\"pipit/v1/+/+/reply/#\"\n"
         "8:9: workflow w: step a: no source hears whether the device is online; subscribe one to "
         "\"pipit/v1/+/+/status\", or say offline: send\n"
         "9:9: workflow w: step b: no source hears the device's reply; subscribe one to "
         "\"pipit/v1/+/+/reply/#\""},
        {"a variable that nothing uses",
         TOP "workflows:\n  w:\n    start: {from: \"a/+\", key: no}\n"
             "    variables: {n: n, used: u}\n    steps:\n"
             "      - a: {await: {from: \"a/b\", key: no}, take: {m: my.used}}\n",
         "7:20: warning: workflow w: nothing uses the variable n"},
        {"what is taken and not used has a name like another's",
         STEPS(S "a: {call: {to: web, method: GET, path: /x}, take: {reservaton: body.id}}\n" S
                 "b: {set: {reservation: n}}\n" S "c: {end: {r: reservation}}\n"),
         "9:60: warning: workflow w: nothing uses the variable reservaton; did you mean "
         "'reservation'?"},
        {"it is the declared one that is not used",
         TOP "workflows:\n  w:\n    start: {from: \"a/+\", key: no}\n"
             "    variables: {reservaton: \"NULL\"}\n    steps:\n"
             "      - a: {set: {reservation: \"1\"}}\n      - b: {end: {r: reservation}}\n",
         "7:29: warning: workflow w: nothing uses the variable reservaton; did you mean "
         "'reservation'?"},
        {"what is like one that is not used either is to be seen in the instance",
         STEPS(S "a: {call: {to: web, method: GET, path: \"/x/{n}\"}, take: {status: body.s, "
                 "state: body.t}}\n"),
         ""},
        {"two of a kind are no mistake",
         STEPS(S "a: {set: {valve_1: n, valve_2: n}}\n" S "b: {end: {v: valve_1}}\n"), ""},
        {"what is sent without fields is all variables", STEPS(S "a: {emit: {topic: x}}\n"), ""},
        {"events that cannot come",
         TOP "workflows:\n  w:\n    start: {from: \"b/+\", key: no}\n    steps:\n"
             "      - a: {await: {from: c, key: no}}\n",
         "6:19: warning: workflow w: no source, rule or workflow gives anything that \"b/+\" "
         "matches\n"
         "8:27: warning: workflow w: no source, rule or workflow gives anything that \"c\" "
         "matches"},
        {"those that workflows make",
         TOP
         "rules: {r: {sql: 'SELECT 1 AS no FROM \"made/r\"'}}\nworkflows:\n"
         "  v: {start: {from: \"a/+\", key: no}, steps: [{" EMIT(
             "a",
             "\"made/{my.key}\"") "}]}\n"
                                  "  w: {start: {from: \"made/x\", key: no}, steps: {a: {sleep: 1 "
                                  "s}}}\n"
                                  "  x: {start: {rule: r, key: no}, steps: {a: {sleep: 1 s}}}\n",
         ""},
        {"nothing starts it", TOP "workflows: {w: {steps: {a: {sleep: 1 s}}}}\n",
         "4:13: warning: workflow w: it has no 'start', and no workflow runs it"},
        {"another runs it",
         TWO("a: {run: {workflow: x}}", "b: {sleep: 1 s}") "  x: {steps: {a: {sleep: 1 s}}}\n", ""},
    };
    CHECK(cases);
}

// Each nests by three levels of YAML.
static void bounds_are_said(void **state)
{
    (void)state;
    static char yaml[200000];
    struct folder folder;
    folder_create(&folder);
    for (int depth = 8; depth <= 9; depth++) {
        snprintf(yaml, sizeof(yaml), "%s", STEPS(S));
        for (int i = 1; i < depth; i++) {
            snprintf(yaml + strlen(yaml), 100, "i%d: {if: n, then: {", i);
        }
        strcat(yaml, "a: {sleep: 1 s}");
        for (int i = 1; i < depth; i++) {
            strcat(yaml, "}}");
        }
        strcat(yaml, "\n");
        examine(&folder, yaml);
        bool is_refused = strstr(folder.faults, "steps within steps, more than 8 deep") != NULL;
        if (is_refused != (depth == 9) || folder.fault_count != (unsigned)(depth == 9)) {
            fail_msg("%d: %s", depth, folder.faults);
        }
    }
    for (int count = 500; count <= 502; count++) {
        snprintf(yaml, sizeof(yaml), "%s", STEPS(""));
        for (int i = 0; i < count; i++) {
            snprintf(yaml + strlen(yaml), 100, S "s%d: {emit: {topic: x}}\n", i);
        }
        examine(&folder, yaml);
        assert_string_equal(folder.faults,
                            count == 500 ? ""
                                         : "509:9: workflow w: more than 500 steps; workflows can "
                                           "`run` others");
    }
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_step_is_said),
        cmocka_unit_test(what_a_kind_needs_is_said),
        cmocka_unit_test(starts_that_are_none_are_said),
        cmocka_unit_test(what_does_not_compile_has_its_place),
        cmocka_unit_test(workflows_that_start_themselves_are_said),
        cmocka_unit_test(what_is_hardly_meant_is_said),
        cmocka_unit_test(bounds_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
