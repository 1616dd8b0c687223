// The configuration: what is said about a wrong one, and where.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

struct fault_case {
    const char *why, *yaml, *want;
};

static void check_cases(const struct fault_case *cases, size_t count)
{
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < count; i++) {
        struct config *config = folder_load(&folder, cases[i].yaml);
        if (config != NULL || strcmp(folder.faults, cases[i].want) != 0) {
            fail_msg("%s\nwant:\n%s\ngot:\n%s\n", cases[i].why, cases[i].want, folder.faults);
        }
    }
    folder_destroy(&folder);
}

static void test_yaml(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"nothing in it", "", "1:1: the configuration is empty"},
        {"comments only", "# later\n", "1:1: the configuration is empty"},
        {"a list", "- hub\n", "1:1: the configuration: must be a mapping (key: value), not a list"},
        {"a tab", "hub:\n\tid: x\n", "2:1: not valid YAML: a tab; lines are indented by spaces"},
        {"an open quote", "hub: {id: \"x\n",
         "2:1: not valid YAML: found unexpected end of stream while scanning a quoted scalar that "
         "starts on line 1"},
        {"an open brace", "hub: {id: x\nsources: {}\n",
         "2:8: not valid YAML: did not find expected ',' or '}' while parsing a flow mapping that "
         "starts on line 1"},
        {"an indentation that fits nothing", "hub:\n    id: x\n  store: y\n",
         "3:3: not valid YAML: did not find expected key while parsing a block mapping that starts "
         "on line 1"},
        {"an anchor", "hub: &h {id: x}\n",
         "1:6: anchor '&h': anchors and aliases are not supported; write the value out"},
        {"an alias", "hub: {id: *x}\n",
         "1:11: alias '*x': anchors and aliases are not supported; write the value out"},
        {"a merge", "hub:\n  <<: {id: h, store: s}\n",
         "1:1: the section 'sources' is missing or empty; at least one source is needed\n"
         "2:3: unknown key '<<' in hub; known are: id, store, store_limit, disk_reserve, "
         "quarantine_limit, batch_events, batch_bytes, payload_max, rule_steps, "
         "rule_memory, instances, stats_every, stats_source, mirror, transitions, log_level, "
         "drain, check_broker\n"
         "2:3: hub: 'id' is missing: Name of this hub in topics, client ids and metrics: 1 to 64 "
         "letters, digits, `_` or `-`.\n"
         "2:3: hub: 'store' is missing: The SQLite file that holds everything the hub has promised "
         "to keep."},
        {"a tag", "hub: !!map {id: x}\n",
         "1:6: tag 'tag:yaml.org,2002:map': tags are not supported; the option decides the type"},
        {"a list as key", "? [a, b]\n: c\n", "1:3: a key must be a text, not a list"},
        {"two documents", "hub: {id: x}\n---\nhub: {id: y}\n",
         "2:1: a second document; one file is one configuration"},
        {"NUL in a text", "hub: {id: \"a\\0b\"}\n", "1:11: a NUL character in a text"},
        {"not UTF-8", "hub: {id: x}\n# \xC3\x28\n",
         "2:4: not valid UTF-8 text: invalid trailing UTF-8 octet"},
        {"a control character", "hub: {id: x\x01}\n",
         "1:12: not valid UTF-8 text: control characters are not allowed"},
        {"deep", "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[x",
         "1:51: nested deeper than 48 levels"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_hub_and_sources(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"no hub", GOOD_SOURCES,
         "1:1: the section 'hub' is missing; write for instance hub: {id: plant-7, store: hub.db}"},
        {"no sources", GOOD_HUB,
         "1:1: the section 'sources' is missing or empty; at least one source is needed"},
        {"empty sources", GOOD_HUB "sources:\n",
         "2:1: the section 'sources' is missing or empty; at least one source is needed"},
        {"a source of nothing", GOOD_HUB "sources: {s: }\n",
         "2:11: source s: 'mqtt' and 'topics' are missing; write for instance {mqtt: {url: "
         "\"mqtt://127.0.0.1:1883\"}, topics: [\"pipit/v1/#\"]}"},
        {"sources is a list", GOOD_HUB "sources: [a]\n",
         "2:10: sources: must be a mapping (key: value), not a list"},
        {"an unknown section", GOOD_TOP "outposts: {}\n",
         "4:1: unknown key 'outposts' in the configuration; known are: hub, sources, devices, "
         "formats, history, targets, tables, rules, workflows"},
        {"a misspelt section", GOOD_TOP "rulse: {}\n",
         "4:1: unknown key 'rulse' in the configuration; did you mean 'rules'?"},
        {"a section twice", GOOD_TOP "sources: {}\n",
         "4:1: the configuration: 'sources' is already there on line 2, column 1"},
        {"required options", "hub: {}\n" GOOD_SOURCES,
         "1:6: hub: 'id' is missing: Name of this hub in topics, client ids and metrics: 1 to 64 "
         "letters, digits, `_` or `-`.\n"
         "1:6: hub: 'store' is missing: The SQLite file that holds everything the hub has promised "
         "to keep."},
        {"an empty hub", "hub:\n" GOOD_SOURCES,
         "1:5: hub: 'id' is missing: Name of this hub in topics, client ids and metrics: 1 to 64 "
         "letters, digits, `_` or `-`.\n"
         "1:5: hub: 'store' is missing: The SQLite file that holds everything the hub has promised "
         "to keep."},
        {"a bad id", "hub: {id: \"a/b\", store: s}\n" GOOD_SOURCES,
         "1:11: hub: id: must be 1 to 64 letters, digits, '_' or '-', not 'a/b'"},
        {"an unknown option", "hub: {id: h, store: s, store-limit: 1 GB}\n" GOOD_SOURCES,
         "1:24: unknown key 'store-limit' in hub; did you mean 'store_limit'?"},
        {"a wrong value", "hub: {id: h, store: s, batch_events: 0}\n" GOOD_SOURCES,
         "1:38: hub: batch_events: must be a whole number from 1 to 20000, not '0'"},
        {"a wrong kind", "hub: {id: h, store: s, mirror: [true]}\n" GOOD_SOURCES,
         "1:32: hub: mirror: must be true or false, not a list"},
        {"an empty value", "hub:\n  id: h\n  store:\n" GOOD_SOURCES,
         "3:9: hub: store: must be a path, not empty"},
        {"a key twice", "hub:\n  id: h\n  store: s\n  id: i\n" GOOD_SOURCES,
         "4:3: hub: 'id' is already there on line 2, column 3"},
        {"statistics on no source",
         "hub: {id: h, store: s, stats_source: plnt}\nsources: {plant: "
         "{mqtt: {url: u}, topics: [a]}}\n",
         "1:38: hub: stats_source: there is no source 'plnt'; did you mean 'plant'?"},
        {"a source of an unknown kind", GOOD_HUB "sources: {s: {mqt: {url: u}, topics: [a]}}\n",
         "2:15: unknown key 'mqt' in source s; did you mean 'mqtt'?"},
        {"a source without topics", GOOD_HUB "sources: {s: {mqtt: {url: u}}}\n",
         "2:14: source s: 'topics' must be a list of topic filters, such as [\"pipit/v1/#\"]"},
        {"one topic is a list, too", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: a}}\n",
         "2:39: source s: 'topics' must be a list of topic filters, such as [\"pipit/v1/#\"]"},
        {"a source without url", GOOD_HUB "sources: {s: {mqtt: {}, topics: [a]}}\n",
         "2:21: source s: mqtt: 'url' is missing: Where the broker is."},
        {"a source that is a text", GOOD_HUB "sources: {s: mqtt}\n",
         "2:14: source s: must be a mapping (key: value), not a single value"},
        {"a name that is no topic level",
         GOOD_HUB "sources: {\"a b\": {mqtt: {url: u}, topics: [a]}}\n",
         "2:11: source name 'a b': must be 1 to 64 letters, digits, '_' or '-'"},
        {"# in the middle", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [ok, a/#/b]}}\n",
         "2:44: source s: topic filter 'a/#/b' has a # that is not its last level"},
        {"an empty filter", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [\"\"]}}\n",
         "2:40: source s: topic filter '' is empty"},
        {"a filter twice", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [a, b, a]}}\n",
         "2:46: source s: topics: 'a' is already in the list"},
        {"a list in the list", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [[a]]}}\n",
         "2:40: source s: topics: must be a text, not a list"},
        {"sharing is an option", GOOD_HUB "sources: {s: {mqtt: {url: u}, topics: [$share/g/a]}}\n",
         "2:40: source s: '$share/g/a': write the filter alone and set shared_group in mqtt"},
        {"an unset variable",
         GOOD_HUB "sources: {s: {mqtt: {url: \"mq${env:PIPIT_NOT_SET}\"}, topics: [a]}}\n",
         "2:30: source s: mqtt: url: the environment has no variable PIPIT_NOT_SET"},
        {"an unreadable file",
         GOOD_HUB
         "sources: {s: {mqtt: {url: u, password: \"${file:/nonexistent/p}\"}, topics: [a]}}\n",
         "2:41: source s: mqtt: password: /nonexistent/p: cannot be read: No such file or "
         "directory"},
        {"something else in braces",
         GOOD_HUB "sources: {s: {mqtt: {url: u, password: \"${ENV}\"}, topics: [a]}}\n",
         "2:41: source s: mqtt: password: '${' must be ${env:NAME} or ${file:PATH}; for a plain "
         "'${' write '$${'"},
        {"an unknown reference",
         GOOD_HUB "sources: {s: {mqtt: {url: u, password: \"${vault:x}\"}, topics: [a]}}\n",
         "2:41: source s: mqtt: password: '${' must be ${env:NAME} or ${file:PATH}; for a plain "
         "'${' write '$${'"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_targets_and_devices(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"an unknown connector", GOOD_HUB GOOD_SOURCES "targets:\n  bus: {mqt: {url: u}}\n",
         "4:9: unknown key 'mqt' in target bus; did you mean 'mqtt'?"},
        {"a target of nothing", GOOD_HUB GOOD_SOURCES "targets: {bus: }\n",
         "3:11: target bus: does not say where to; known are: file, http, mqtt"},
        {"a table of nothing", GOOD_TOP "tables: {t: }\n",
         "4:10: table t: must have one of 'csv', 'sql' and 'events', which say where its rows come "
         "from"},
        {"no connector", GOOD_HUB GOOD_SOURCES "targets:\n  bus: {attempts: 3}\n",
         "4:8: target bus: does not say where to; known are: file, http, mqtt"},
        {"two connectors",
         GOOD_HUB GOOD_SOURCES "targets:\n  bus: {mqtt: {url: \"mqtt://h\"}, file: {path: f}}\n",
         "4:34: target bus: 'file' besides 'mqtt'; one target is one connector"},
        {"an unknown connector option", GOOD_HUB GOOD_SOURCES "targets:\n  log: {file: {pth: f}}\n",
         "4:16: unknown key 'pth' in target log: file; did you mean 'path'?"},
        {"backoff upside down",
         GOOD_HUB GOOD_SOURCES "targets:\n  log: {file: {path: f}, backoff_min: 2 min}\n",
         "4:39: target log: backoff_min (2 min) is longer than backoff_max (1 min)"},
        {"no attempts", GOOD_HUB GOOD_SOURCES "targets:\n  log: {file: {path: f}, attempts: 0}\n",
         "4:36: target log: attempts: must be a whole number from 1 to 1000000, not '0'"},
        {"a target that is a list", GOOD_HUB GOOD_SOURCES "targets:\n  log: [file]\n",
         "4:8: target log: must be a mapping (key: value), not a list"},
        {"an identity without expression", GOOD_TOP "devices:\n  old: {from: a/+}\n",
         "5:8: device identity old: 'device' is missing: SQL expression over one event that names "
         "the device: `topic_part(2)`, `serial`."},
        {"an identity from a bad filter", GOOD_TOP "devices:\n  old: {from: a+, device: d}\n",
         "5:15: device identity old: from: topic filter 'a+' has a + that does not stand alone "
         "between slashes"},
        {"a group that is no topic level", GOOD_TOP "devices:\n  a/b: {from: a, device: d}\n",
         "5:3: device identity name 'a/b': must be 1 to 64 letters, digits, '_' or '-'"},
        {"an identity's unknown key",
         GOOD_TOP "devices:\n  old: {from: a, device: d, sequnce: n}\n",
         "5:29: unknown key 'sequnce' in device identity old; did you mean 'sequence'?"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_rules(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"no sql", GOOD_TOP "rules:\n  r: {to: [bus: {topic: t}]}\n",
         "5:6: rule r: 'sql' is missing: The SELECT over one or more topic filters."},
        {"no routes", GOOD_TOP "rules:\n  r: {sql: SELECT 1}\n",
         "5:6: rule r: 'to' must be a list of routes, such as - bus: {topic: \"alerts/{device}\"}"},
        {"routes as a mapping", GOOD_TOP "rules:\n  r: {sql: s, to: {bus: {topic: t}}}\n",
         "5:19: rule r: 'to' must be a list of routes, such as - bus: {topic: "
         "\"alerts/{device}\"}"},
        {"a route with two targets",
         GOOD_TOP "rules:\n  r: {sql: s, to: [{bus: {topic: t}, b: {}}]}\n",
         "5:20: rule r: a route is one target with its options, such as - bus: {topic: "
         "\"alerts/{device}\"}"},
        {"a route that is a name only", GOOD_TOP "rules:\n  r: {sql: s, to: [bus]}\n",
         "5:20: rule r: a route is one target with its options, such as - bus: {topic: "
         "\"alerts/{device}\"}"},
        {"an unknown target", GOOD_TOP "rules:\n  r: {sql: s, to: [bsu: {topic: t}]}\n",
         "5:20: rule r: there is no target 'bsu'; did you mean 'bus'?"},
        {"no targets at all",
         GOOD_HUB GOOD_SOURCES "rules:\n  r: {sql: s, to: [bus: {topic: t}]}\n",
         "4:20: rule r: there is no target 'bus'; known are: rules"},
        {"no topic", GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {}]}\n",
         "5:25: rule r: route to bus: 'topic' is missing: Topic to publish on; {column} is "
         "replaced by the column's value."},
        {"no options at all", GOOD_TOP "rules:\n  r:\n    sql: s\n    to:\n      - bus:\n",
         "8:13: rule r: route to bus: 'topic' is missing: Topic to publish on; {column} is "
         "replaced by the column's value."},
        {"a misspelt route option",
         GOOD_TOP "rules:\n  r:\n    sql: s\n    to:\n      - bus: {topic: t, reatin: true}\n",
         "8:25: unknown key 'reatin' in rule r: route to bus; did you mean 'retain'?"},
        {"a qos that is not there",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, qos: 3}]}\n",
         "5:41: rule r: route to bus: qos: must be a whole number from 0 to 2, not '3'"},
        {"an unknown payload",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, payload: xml}]}\n",
         "5:45: rule r: route to bus: payload: must be one of json, text, pipit, original, cbor, "
         "protobuf, cloudevent, not 'xml'"},
        {"text to no effect", GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, text: x}]}\n",
         "5:36: rule r: route to bus: 'text' needs payload: text"},
        {"type to no effect", GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, type: x}]}\n",
         "5:36: rule r: route to bus: 'type' needs payload: pipit or payload: cloudevent"},
        {"a CloudEvent's option to no effect",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, subject: x}]}\n",
         "5:36: rule r: route to bus: 'subject' needs payload: cloudevent"},
        {"protobuf of nothing known",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, payload: protobuf}]}\n",
         "5:25: rule r: route to bus: payload: protobuf needs 'descriptors'\n"
         "5:25: rule r: route to bus: payload: protobuf needs 'message'"},
        {"descriptors that are not there",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, payload: protobuf, message: m,\n"
                  "    descriptors: /nowhere/x.pb}]}\n",
         "6:18: rule r: route to bus: descriptors: /nowhere/x.pb: cannot be read: No such "
         "file or directory"},
        {"a property that the hub sets",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, properties: {replay: x}}]}\n",
         "5:49: rule r: route to bus: properties: the name 'replay' is set by the hub itself"},
        {"a property that is an attribute",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, payload: cloudevent,\n"
                  "    properties: {id: x}}]}\n",
         "6:18: rule r: route to bus: properties: the name 'id' is an attribute of the CloudEvent"},
        {"properties that are a list",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, properties: [x]}]}\n",
         "5:48: rule r: route to bus: properties: must be a mapping (key: value), not a list"},
        {"a property without a value",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, properties: {x: }}]}\n",
         "5:52: rule r: route to bus: properties: must be a text, not empty"},
        {"a policy to no effect",
         GOOD_TOP "rules:\n  r: {sql: s, to: [bus: {topic: t, overflow: drop_new}]}\n",
         "5:36: rule r: route to bus: 'overflow' needs a 'limit' or 'key_limit' to overflow at"},
        {"a rule twice",
         GOOD_TOP
         "rules:\n  r: {sql: s, to: [bus: {topic: t}]}\n  r: {sql: s, to: [bus: {topic: t}]}\n",
         "6:3: rules: 'r' is already there on line 5, column 3"},
        {"SQL that is a list", GOOD_TOP "rules:\n  r: {sql: [s], to: [bus: {topic: t}]}\n",
         "5:12: rule r: sql: must be a text, not a list"},
        {"a broken target is one fault, not two",
         GOOD_HUB GOOD_SOURCES "rules:\n  r: {sql: s, to: [log: {}]}\ntargets: {log: {fil: {}}}\n",
         "5:17: unknown key 'fil' in target log; did you mean 'file'?"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

// Rules look names up in targets that are read first; the faults come in file order all the same.
static void test_file_order(void **state)
{
    (void)state;
    static const struct fault_case cases[] = {
        {"last section first",
         "rules: {r: {to: [bus: {topic: t}]}}\n"
         "targets: {bus: {mqtt: {url: \"mqtt://h\", x1: 1}}}\n"
         "sources: {s: {mqtt: {url: u, x2: 2}, topics: [a]}}\n"
         "hub: {id: h, store: s, x3: 3}\n",
         "1:12: rule r: 'sql' is missing: The SELECT over one or more topic filters.\n"
         "2:41: unknown key 'x1' in target bus: mqtt; known are: url, ca, cert, key, username, "
         "password, client_id, version, timeout, keepalive, in_flight\n"
         "3:30: unknown key 'x2' in source s: mqtt; known are: url, ca, username, password, "
         "priority\n"
         "4:24: unknown key 'x3' in hub; known are: id, store, store_limit, disk_reserve, "
         "quarantine_limit, batch_events, batch_bytes, payload_max, rule_steps, "
         "rule_memory, instances, stats_every, stats_source, mirror, transitions, log_level, "
         "drain, check_broker"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void test_at_most_twenty(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    char yaml[40000] = GOOD_TOP "rules:\n";
    for (int i = 0; i < 1000; i++) {
        snprintf(yaml + strlen(yaml), 40, "  r%d: {x: 1}\n", i);
    }
    assert_null(folder_load(&folder, yaml));
    assert_int_equal(folder.fault_count, CONFIG_ERRORS_MAX);
    assert_non_null(strstr(folder.faults, "5:7: rule r0: 'sql' is missing"));
    folder_destroy(&folder);
}

static void test_unreadable(void **state)
{
    (void)state;
    struct config *config = NULL;
    struct error e = {0};
    assert_int_equal(
        config_load(&config, "/nonexistent/hub.yaml", test_source_options, NULL, NULL, &e),
        ERR_NOT_FOUND);
    assert_string_equal(e.text, "/nonexistent/hub.yaml: cannot be read: No such file or directory");
    assert_int_equal(config_load(&config, "/tmp", test_source_options, NULL, NULL, &e),
                     ERR_INVALID);
    assert_string_equal(e.text, "/tmp: cannot be read: Is a directory");
    assert_null(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_hub_and_sources),
        cmocka_unit_test(test_targets_and_devices),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_file_order),
        cmocka_unit_test(test_at_most_twenty),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
