// Routes in the configuration: branches, routes to rules, classes, rates, samples, limits of keys.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

#define HEAD                                                                                       \
    "hub: {id: h, store: s}\n"                                                                     \
    "sources: {p: {mqtt: {url: \"mqtt://x\"}, topics: [\"a/#\"]}}\n"                               \
    "targets: {f: {file: {path: out.ndjson}}, bus: {mqtt: {url: \"mqtt://x\"}}}\n"                 \
    "rules:\n"
// The fifth line of the file; what stands behind it begins in the ninth column.
#define ROUTE(route) HEAD "  r: {sql: 'SELECT v FROM \"a/+\"', to: [\n    f: {" route "}]}\n"

static void what_is_written_is_what_the_core_gets(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(
        &folder, HEAD "  r:\n"
                      "    sql: SELECT v FROM \"a/+\"\n"
                      "    key: v\n"
                      "    to:\n"
                      "      - f: {priority: high, rate: 100/min, per: key, sample: 10}\n"
                      "      - rules: {topic: \"b/{v}\", payload: cbor}\n"
                      "      - f: {rate: 5 / h, excess: wait, limit: 1 MB, priority: low,"
                      " key_limit: 2 KB, overflow: drop_old}\n"
                      "    else:\n"
                      "      - f: {}\n"
                      "      - bus: {topic: \"{topic}\", payload: json}\n"
                      "  s: {sql: 'SELECT v FROM \"b/+\"', to: [f: {}]}\n");
    if (config == NULL) {
        fail_msg("%s", folder.faults);
    }
    const struct core_spec *core = &config->core;
    assert_int_equal(core->rule_count, 3);
    const struct rule_spec *rule = &core->rules[0], *branch = &core->rules[1];
    const struct route_spec *first = &rule->routes[0], *third = &rule->routes[2];
    assert_int_equal(rule->route_count, 3);
    assert_int_equal(first->priority, PRIORITY_HIGH);
    assert_int_equal(first->sample, 10);
    assert_int_equal(first->rate.count, 100);
    assert_int_equal(first->rate.per_ms, 60000);
    assert_true(first->rate.is_per_key && !first->rate.is_waiting);
    assert_true(rule->routes[1].target == ROUTE_TO_RULES);
    assert_string_equal(rule->routes[1].topic, "b/{v}");
    assert_int_equal(rule->routes[1].format, PAYLOAD_CBOR);
    assert_int_equal(third->priority, PRIORITY_LOW);
    assert_int_equal(third->rate.per_ms, 3600000);
    assert_true(third->rate.is_waiting && !third->rate.is_per_key);
    assert_int_equal(third->key_limit_bytes, 2048);
    assert_string_equal(branch->name, "r/else");
    assert_null(branch->sql);
    assert_int_equal(branch->branch, BRANCH_ELSE);
    assert_int_equal(branch->parent, 0);
    assert_string_equal(branch->key, "v");
    assert_int_equal(branch->routes[0].format, PAYLOAD_ORIGINAL);
    assert_int_equal(branch->routes[1].format, PAYLOAD_JSON);
    assert_string_equal(core->rules[2].name, "s");
    assert_int_equal(core->rules[2].routes[0].sample, 1);
    config_destroy(config);
    folder_destroy(&folder);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *why, *yaml, *want;
    } cases[] = {
        {"a class that there is not", ROUTE("priority: urgent"),
         "6:19: rule r: route to f: priority: must be one of normal, high, low, not 'urgent'"},
        {"no unit", ROUTE("rate: 10"),
         "6:15: rule r: route to f: 'rate' is a whole number from 1 to 1000000 and /s, /min or /h, "
         "such as 10/s"},
        {"nothing at all", ROUTE("rate: 0/s"),
         "6:15: rule r: route to f: 'rate' is a whole number from 1 to 1000000 and /s, /min or /h, "
         "such as 10/s"},
        {"not a number", ROUTE("rate: -1/s"),
         "6:15: rule r: route to f: 'rate' is a whole number from 1 to 1000000 and /s, /min or /h, "
         "such as 10/s"},
        {"of each key of what?", ROUTE("per: key"),
         "6:9: rule r: route to f: 'per' needs a 'rate'"},
        {"what waits needs a bound", ROUTE("rate: 10/s, excess: wait"),
         "6:21: rule r: route to f: 'excess: wait' needs a 'limit': what comes faster than it goes "
         "would fill the store"},
        {"one key must not hold up all", ROUTE("key_limit: 1 MB"),
         "6:9: rule r: route to f: 'key_limit' needs 'overflow: drop_new' or 'drop_old': one key "
         "must not hold up all others"},
        {"shedding without a limit", ROUTE("overflow: drop_new"),
         "6:9: rule r: route to f: 'overflow' needs a 'limit' or 'key_limit' to overflow at"},
        {"a sample of none", ROUTE("sample: 0"),
         "6:17: rule r: route to f: sample: must be a whole number from 1 to 1000000, not '0'"},
        {"nobody publishes on a wildcard",
         HEAD "  r: {sql: 'SELECT v FROM \"a/+\"', to: [bus: {topic: \"o/{v}/#\"}]}\n",
         "5:53: rule r: route to bus: topic: 'o/{v}/#' holds the wildcard #, which no message is "
         "published on"},
        {"for rules neither",
         HEAD "  r: {sql: 'SELECT v FROM \"a/+\"', to: [rules: {topic: \"o/+\"}]}\n",
         "5:55: rule r: route to rules: topic: 'o/+' holds the wildcard +, which no message is "
         "published on"},
        {"the reserved name",
         "hub: {id: h, store: s}\nsources: {p: {mqtt: {url: \"mqtt://x\"}, topics: [\"a/#\"]}}\n"
         "targets: {rules: {file: {path: out.ndjson}}}\n",
         "3:11: target rules: the name is taken: a route to 'rules' leads to other rules"},
        {"the reserved name of a rule",
         HEAD "  workflow: {sql: 'SELECT v FROM \"a/+\"', to: [f: {}]}\n",
         "5:3: rule workflow: the name is taken: what workflows send goes by it"},
        {"nothing is late without a window",
         HEAD "  r: {sql: 'SELECT v FROM \"a/+\"', to: [f: {}], late: [f: {}]}\n",
         "5:48: rule r: 'late' needs a 'window' to be late for"},
        {"a faulty window is one fault",
         HEAD
         "  r: {sql: 'SELECT count(*) FROM \"a/+\"', window: {tumbling: 1 min, session: 1 min},\n"
         "      to: [f: {}], late: [f: {}]}\n",
         "5:68: rule r: window: a window is one kind; it is 'tumbling' and 'session'"},
        {"windows have no else",
         HEAD "  r: {sql: 'SELECT count(*) FROM \"a/+\"', window: {tumbling: 1 min}, to: [f: {}],\n"
              "      else: [f: {}]}\n",
         "6:7: rule r: 'else' is for rules without a window; write another rule with the opposite "
         "condition"},
        {"a branch's routes are routes",
         HEAD "  r: {sql: 'SELECT v FROM \"a/+\"', to: [f: {}],\n      else: {f: {}}}\n",
         "6:13: rule r/else: 'else' must be a list of routes, such as - bus: {topic: "
         "\"alerts/{device}\"}"},
    };
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = folder_load(&folder, cases[i].yaml);
        if (config != NULL || strcmp(folder.faults, cases[i].want) != 0) {
            print_error("%s\nwant:\n%s\ngot:\n%s\n", cases[i].why, cases[i].want, folder.faults);
            config_destroy(config);
            fail();
        }
    }
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_the_core_gets),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
