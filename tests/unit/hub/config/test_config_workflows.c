// Workflows in the configuration: the definition that each way of writing becomes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "config/config_diff.h"
#include "unit/hub/config/config_support.h"

#define TOP                                                                                        \
    GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [\"a/#\"]}}\n"                                 \
             "targets: {bus: {mqtt: {url: \"mqtt://127.0.0.1:1\"}}, file: {file: {path: x}},\n"    \
             "  web: {http: {url: \"http://127.0.0.1:1\"}}}\n"
#define START "start: {from: \"a/+\", key: id}"
// The steps of a workflow whose beginning is of no interest.
#define STEPS(steps)                                                                               \
    TOP "workflows:\n  w:\n    " START "\n    variables: {n: n}\n    steps:\n" steps
#define HEAD                                                                                       \
    "{\"format\":1,\"name\":\"w\",\"start\":{\"from\":\"a/+\",\"key\":\"id\","                     \
    "\"running\":\"ignore\"},\"variables\":"
#define MIDDLE    ",\"failure\":\"undo\",\"keep\":604800000,\"steps\":["
#define ONE(step) HEAD "{\"n\":\"n\"}" MIDDLE step "]}"
#define NAP       "{\"name\":\"b\",\"do\":\"sleep\",\"for\":1000}"

static void what_is_written_is_what_the_definition_says(void **state)
{
    (void)state;
    static const struct {
        const char *why, *yaml, *want;
    } cases[] = {
        {"all that a workflow has of its own",
         TOP "workflows:\n  w:\n    start: {from: \"a/+\", where: \"x > 1 \", key: id, running: "
             "queue}\n    within: 2 h\n    failure: park\n    keep: 1 d\n"
             "    steps: [{b: {sleep: 1 s}}]\n",
         "{\"format\":1,\"name\":\"w\",\"start\":{\"from\":\"a/+\",\"where\":\"x > "
         "1\",\"key\":\"id\",\"running\":\"queue\"},\"variables\":{},\"within\":7200000,"
         "\"failure\":\"park\",\"keep\":86400000,\"steps\":[" NAP "]}"},
        {"a rule's rows have a topic of their own",
         TOP "rules: {r: {sql: 'SELECT 1 AS id FROM \"a/#\"'}}\n"
             "workflows: {w: {start: {rule: r, key: id}, steps: {b: {sleep: 1 s}}}}\n",
         "{\"format\":1,\"name\":\"w\",\"start\":{\"key\":\"id\",\"running\":\"ignore\","
         "\"from\":\"$rule/r\"},\"variables\":{}" MIDDLE NAP "]}"},
        {"so have those that are awaited",
         TOP "rules: {r: {sql: 'SELECT 1 AS id FROM \"a/#\"'}}\n"
             "workflows: {w: {steps: {a: {await: {rule: r, key: id}}}}}\n",
         "{\"format\":1,\"name\":\"w\",\"variables\":{}" MIDDLE
         "{\"name\":\"a\",\"do\":\"await\",\"key\":\"id\",\"keep\":0,\"from\":\"$rule/r\"}]}"},
        {"without a start it is for others to run",
         TOP "workflows: {w: {variables: {n: }, steps: {b: {sleep: 1 s}}}}\n",
         "{\"format\":1,\"name\":\"w\",\"variables\":{\"n\":null}" MIDDLE NAP "]}"},
        {"variables of steps are there from the beginning",
         TOP "workflows:\n  w:\n    " START "\n    variables: {n: n, m: }\n    steps:\n"
             "      - a: {await: {from: x, key: k}, take: {t: \"1\", n: \"2\"}}\n"
             "      - b: {sleep: 1 s}\n",
         HEAD "{\"n\":\"n\",\"m\":null,\"t\":null}" MIDDLE
              "{\"name\":\"a\",\"do\":\"await\",\"from\":\"x\",\"key\":\"k\",\"keep\":0,\"take\":{"
              "\"t\":\"1\",\"n\":\"2\"}}," NAP "]}"},
        {"an emit to the one MQTT target",
         STEPS("      - a: {emit: {topic: \"t/{n}\", qos: 0, retain: true, fields: {x: n + 1}}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"emit\",\"to\":\"bus\",\"payload\":\"json\",\"topic\":\"t/"
             "{n}\",\"qos\":0,\"retain\":true,\"fields\":{\"x\":\"n + 1\"}}")},
        {"an emit to the rules",
         STEPS("      - a: {emit: {to: rules, topic: t, payload: text, text: \"{n}\"}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"emit\",\"to\":\"rules\",\"payload\":\"text\",\"text\":\"{n}"
             "\",\"topic\":\"t\"}")},
        {"an address is method and path, its values are percent-encoded",
         STEPS("      - a: {call: {to: web, method: PUT, path: \"/i/{n}\", properties: {A: "
               "\"{n}\"}}, within: 2 s}\n"),
         ONE("{\"name\":\"a\",\"do\":\"call\",\"within\":2000,\"to\":\"web\",\"payload\":\"json\","
             "\"topic\":\"PUT /i/{n}\",\"is_url\":true,\"properties\":{\"A\":\"{n}\"}}")},
        {"without a path it is the target's url", STEPS("      - a: {call: {to: web}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"call\",\"to\":\"web\",\"payload\":\"json\",\"topic\":"
             "\"POST\",\"is_url\":true}")},
        {"a file needs no address", STEPS("      - a: {call: {to: file, fields: {}}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"call\",\"to\":\"file\",\"payload\":\"json\",\"fields\":{}"
             "}")},
        {"a command",
         STEPS("      - a: {command: {device: \"'g/' || n\", name: boost, fields: {level: 3}, "
               "expires: 1 min, offline: fail}, retry: {attempts: 3}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"command\",\"to\":\"bus\",\"device\":\"'g/' || "
             "n\",\"command\":\"boost\",\"expires\":60000,\"offline\":\"fail\",\"fields\":{"
             "\"level\":\"3\"},\"retry\":{\"attempts\":3,\"backoff\":1000,\"backoff_max\":60000,"
             "\"errors\":[\"timeout\",\"unavailable\",\"offline\",\"answer\"]}}")},
        {"retry as it is written, one error needs no list",
         STEPS("      - a: {await: {from: x, key: k, match: n, where: n > 1, keep: 1 h}, retry: "
               "{backoff: 2 s, backoff_max: 4 s, within: 1 min, errors: timeout}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"await\",\"from\":\"x\",\"key\":\"k\",\"match\":\"n\","
             "\"where\":\"n > "
             "1\",\"keep\":3600000,\"retry\":{\"attempts\":10,\"backoff\":2000,\"backoff_max\":"
             "4000,"
             "\"within\":60000,\"errors\":[\"timeout\"]}}")},
        {"undo and on_error, one step or a list",
         STEPS("      - a: {sleep: 1 s, undo: {b: {sleep: 1 s}}, on_error: [{c: {fail: "
               "\"{n}\"}}]}\n"),
         ONE("{\"name\":\"a\",\"do\":\"sleep\",\"for\":1000,\"undo\":[" NAP
             "],\"on_error\":[{\"name\":\"c\",\"do\":\"fail\",\"reason\":\"{n}\"}]}")},
        {"if and switch",
         STEPS("      - a: {if: n > 1, then: {b: {sleep: 1 s}}, else: {c: {goto: d}}}\n"
               "      - d: {switch: n, cases: {\"1\": {e: {sleep: 1 s}}}, default: {f: {sleep: 1 "
               "s}}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"if\",\"when\":\"n > 1\",\"then\":[" NAP
             "],\"else\":[{\"name\":\"c\",\"do\":\"goto\",\"step\":\"d\"}]},{\"name\":\"d\",\"do\":"
             "\"switch\",\"on\":\"n\",\"cases\":{\"1\":[{\"name\":\"e\",\"do\":\"sleep\",\"for\":"
             "1000}]},\"default\":[{\"name\":\"f\",\"do\":\"sleep\",\"for\":1000}]}")},
        {"branches",
         STEPS("      - a: {parallel: {x: {b: {sleep: 1 s}}, y: [{c: {sleep: 1 s}}]}, wait: 1}\n"),
         ONE("{\"name\":\"a\",\"do\":\"parallel\",\"wait\":1,\"branches\":{\"x\":[" NAP
             "],\"y\":[{\"name\":\"c\",\"do\":\"sleep\",\"for\":1000}]}}")},
        {"all branches", STEPS("      - a: {parallel: {x: {b: {sleep: 1 s}}}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"parallel\",\"wait\":\"all\",\"branches\":{\"x\":[" NAP
             "]}}")},
        {"items; `as` is a variable",
         STEPS("      - a: {for_each: n, as: n, at_once: 4, wave: true, stop: failed > 2, steps: "
               "{b: {sleep: 1 s}}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"for_each\",\"in\":\"n\",\"as\":\"n\",\"at_once\":4,\"wave\":"
             "true,\"stop\":\"failed > 2\",\"steps\":[" NAP "]}")},
        {"set, run, end",
         STEPS("      - a: {set: {n: n + 1}}\n"
               "      - b: {run: {workflow: w, with: {n: 2}, wait: false}}\n"
               "      - c: {end: {total: n}}\n"),
         ONE("{\"name\":\"a\",\"do\":\"set\",\"set\":{\"n\":\"n + "
             "1\"}},{\"name\":\"b\",\"do\":\"run\",\"workflow\":\"w\",\"key\":\"my.key\",\"wait\":"
             "false,\"with\":{\"n\":\"2\"}},{\"name\":\"c\",\"do\":\"end\",\"result\":{\"total\":"
             "\"n\"}}")},
        {"an end without a result", STEPS("      - a: {end: }\n"),
         ONE("{\"name\":\"a\",\"do\":\"end\"}")},
        {"SQL is left alone, other texts are not",
         STEPS(
             "      - a: {emit: {topic: \"${env:PIPIT_TEST_TOPIC}/{n}\", fields: {x: \"'${x}'\"}}}"
             "\n"),
         ONE("{\"name\":\"a\",\"do\":\"emit\",\"to\":\"bus\",\"payload\":\"json\",\"topic\":"
             "\"north/"
             "{n}\",\"qos\":1,\"fields\":{\"x\":\"'${x}'\"}}")},
    };
    struct folder folder;
    folder_create(&folder);
    setenv("PIPIT_TEST_TOPIC", "north", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config *config = folder_load(&folder, cases[i].yaml);
        if (config == NULL) {
            fail_msg("%s: %s", cases[i].why, folder.faults);
        }
        assert_int_equal(config->core.workflow_count, 1);
        assert_string_equal(config->core.workflows[0].name, "w");
        if (strcmp(config->core.workflows[0].definition, cases[i].want) != 0) {
            fail_msg("%s:\n%s\nwanted\n%s", cases[i].why, config->core.workflows[0].definition,
                     cases[i].want);
        }
        config_destroy(config);
    }
    folder_destroy(&folder);
}

// Or instances would go on with an old version for the sake of a comment.
static void the_same_meaning_is_the_same_text(void **state)
{
    (void)state;
    static const char *const ways[] = {
        STEPS("      - a: {call: {to: web, fields: {x: n}}, within: 90 s, take: {n: \"2\"}}\n"),
        STEPS("      - a:\n          take:\n            n: '2'\n"
              "          within: 90000 ms    # A minute and a half.\n"
              "          call:\n            fields: {\"x\": \"n\"}\n            to: web\n"),
        STEPS("    # One step.\n      a:\n        call: {payload: json, to: web, method: POST, "
              "fields: {x: n}}\n        within: 90 s\n        take:\n          n: |\n            "
              "2\n"),
    };
    struct folder folder;
    folder_create(&folder);
    char first[2000] = "";
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct config *config = folder_load(&folder, ways[i]);
        if (config == NULL) {
            fail_msg("%zu: %s", i, folder.faults);
        }
        const char *text = config->core.workflows[0].definition;
        if (i == 0) {
            snprintf(first, sizeof(first), "%s", text);
        }
        assert_string_equal(text, first);
        config_destroy(config);
    }
    struct config *other = folder_load(
        &folder,
        STEPS("      - a: {call: {to: web, fields: {x: n}}, within: 91 s, take: {n: \"2\"}}\n"));
    assert_non_null(other);
    assert_string_not_equal(other->core.workflows[0].definition, first);
    config_destroy(other);
    folder_destroy(&folder);
}

// Behind those that are written; the rule's branches go their own ways.
static void a_rule_that_starts_one_has_a_last_route(void **state)
{
    (void)state;
    static const struct {
        const char *why, *rule;
        uint32_t routes;
    } cases[] = {
        {"it needs no other", "{sql: 'SELECT 1 AS id FROM \"a/#\"'}", 1},
        {"it is the last", "{sql: 'SELECT 1 AS id FROM \"a/#\"', to: [bus: {topic: t}, file: {}]}",
         3},
        {"else is a rule of its own",
         "{sql: 'SELECT 1 AS id FROM \"a/#\"', to: [file: {}], else: [file: {}]}", 2},
    };
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char yaml[1000];
        snprintf(yaml, sizeof(yaml),
                 TOP
                 "rules:\n  r: %s\n  other: {sql: 'SELECT 1 AS id FROM \"a/#\"', to: [file: "
                 "{}]}\nworkflows: {w: {start: {rule: r, key: id}, steps: {b: {sleep: 1 s}}}}\n",
                 cases[i].rule);
        struct config *config = folder_load(&folder, yaml);
        if (config == NULL) {
            fail_msg("%s: %s", cases[i].why, folder.faults);
        }
        const struct rule_spec *rule = &config->core.rules[0];
        const struct rule_spec *last = &config->core.rules[config->core.rule_count - 1];
        assert_int_equal(rule->route_count, cases[i].routes);
        const struct route_spec *route = &rule->routes[rule->route_count - 1];
        assert_int_equal(route->target, ROUTE_TO_RULES);
        assert_string_equal(route->topic, "$rule/r");
        assert_int_equal(route->format, PAYLOAD_JSON);
        assert_string_equal(last->name, "other");
        assert_int_equal(last->route_count, 1);
        if (config->core.rule_count == 3) {
            assert_int_equal(config->core.rules[1].route_count, 1);
        }
        config_destroy(config);
    }
    folder_destroy(&folder);
}

static void collect_change(void *context, const char *section, const char *name, const char *what)
{
    char *text = context;
    size_t at = strlen(text);
    snprintf(text + at, 500 - at, "%s %s %s\n", section, name, what);
}

static void changes_are_told_by_name(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *before = folder_load(
        &folder, TOP "workflows:\n  same: {steps: {a: {sleep: 1 s}}}\n"
                     "  other: {steps: {a: {sleep: 1 s}}}\n  old: {steps: {a: {sleep: 1 s}}}\n");
    struct config *after = folder_load(
        &folder, TOP "workflows:\n  same: {steps: {a: {sleep: 1 s}}} # As it was.\n"
                     "  other: {steps: {a: {sleep: 2 s}}}\n  new: {steps: {a: {sleep: 1 s}}}\n");
    assert_non_null(before);
    assert_non_null(after);
    char text[500] = "";
    config_diff(before, after, collect_change, text);
    assert_string_equal(text, "workflows other changed\nworkflows new added\nworkflows old "
                              "removed\n");
    config_destroy(before);
    config_destroy(after);
    folder_destroy(&folder);
}

static void the_bound_of_instances_is_the_hubs(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(
        &folder, "hub: {id: h, store: h.db, instances: 12}\n" GOOD_SOURCES GOOD_TARGETS);
    assert_non_null(config);
    assert_int_equal(config->core.instances_max, 12);
    config_destroy(config);
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_what_the_definition_says),
        cmocka_unit_test(the_same_meaning_is_the_same_text),
        cmocka_unit_test(a_rule_that_starts_one_has_a_last_route),
        cmocka_unit_test(changes_are_told_by_name),
        cmocka_unit_test(the_bound_of_instances_is_the_hubs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
