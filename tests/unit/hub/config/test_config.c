// The configuration: what it becomes when it is right.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

static const char whole[] =
    "hub: {id: plant-7, store: data/hub.db, store_limit: 2 GB, mirror: true, stats_source: slow}\n"
    "sources:\n"
    "  plant:\n"
    "    mqtt: {url: \"mqtts://127.0.0.1:8883\", ca: ca.pem, username: hub, priority: 3}\n"
    "    topics: [\"pipit/v1/+/+/event/#\", \"legacy/+/telemetry\"]\n"
    "  slow: {mqtt: {url: u, ca: /etc/ca.pem}, topics: [slow/#]}\n"
    "devices:\n"
    "  legacy: {from: \"legacy/+/telemetry\", device: \"topic_part(2)\", sequence: n}\n"
    "targets:\n"
    "  bus:   {mqtt: {url: \"mqtt://127.0.0.1:1883\"}, attempts: 3, backoff_min: 1 s}\n"
    "  audit: {file: {path: alerts.ndjson}}\n"
    "rules:\n"
    "  overheat:\n"
    "    sql: |\n"
    "      SELECT device, celsius * 1.8 + 32 AS fahrenheit, time\n"
    "      FROM \"pipit/v1/+/+/event/temperature\"\n"
    "    key: device\n"
    "    to:\n"
    "      - bus:   {topic: \"alerts/{device}\", qos: 2, retain: true, payload: text, text: "
    "\"t\"}\n"
    "      - audit:\n"
    "  copy: {sql: 'SELECT * FROM \"slow/#\"', to: [bus: {topic: c, payload: pipit, type: x, "
    "limit: "
    "1 MB, overflow: drop_old}]}\n";

static void test_whole(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(&folder, whole);
    if (config == NULL) {
        fail_msg("%s", folder.faults);
        return;
    }
    char path[160];
    snprintf(path, sizeof(path), "%sdata/hub.db", folder.path);
    assert_string_equal(option_text(config->hub, "store"), path);
    assert_string_equal(config->core.hub_id, "plant-7");
    assert_int_equal(config->core.store_limit_bytes, INT64_C(2) << 30);
    assert_int_equal(config->core.payload_bytes_max, 1 << 20);
    assert_true(config->core.is_mirror_on);
    assert_true(config->core.is_telling_workflows); // Unless the configuration says otherwise.
    assert_false(config->core.fault_no_dedupe);

    assert_int_equal(config->source_count, 2);
    assert_string_equal(config->sources[0].name, "plant");
    assert_string_equal(config->sources[0].topics[1], "legacy/+/telemetry");
    assert_null(config->sources[0].topics[2]);
    snprintf(path, sizeof(path), "%sca.pem", folder.path);
    assert_string_equal(option_text(config->sources[0].options, "ca"), path);
    assert_string_equal(option_text(config->sources[1].options, "ca"), "/etc/ca.pem");
    assert_int_equal(option_int(config->sources[0].options, "priority"), 3);

    assert_int_equal(config->core.identity_count, 1);
    assert_string_equal(config->core.identities[0].name, "legacy");
    assert_string_equal(config->core.identities[0].device, "topic_part(2)");
    assert_string_equal(config->core.identities[0].sequence, "n");
    assert_null(config->core.identities[0].time);
    config_destroy(config);
    folder_destroy(&folder);
}

static void test_rules_and_targets(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(&folder, whole);
    assert_non_null(config);
    assert_int_equal(config->target_count, 2);
    assert_int_equal(config->core.target_count, 2);
    assert_string_equal(config->targets[1].name, "audit");
    assert_string_equal(config->targets[1].type->name, "file");
    assert_int_equal(config->core.targets[0].attempts_max, 3);
    assert_int_equal(config->core.targets[0].backoff_min_ms, 1000);
    assert_int_equal(config->core.targets[1].backoff_max_ms, 60000);

    assert_int_equal(config->core.rule_count, 2);
    const struct rule_spec *rule = &config->core.rules[0];
    assert_string_equal(rule->name, "overheat");
    assert_string_equal(rule->key, "device");
    assert_int_equal(rule->route_count, 2);
    assert_string_equal(rule->routes[0].topic, "alerts/{device}");
    assert_int_equal(rule->routes[0].qos, 2);
    assert_true(rule->routes[0].is_retained);
    assert_int_equal(rule->routes[0].format, PAYLOAD_TEXT);
    assert_int_equal(rule->routes[0].overflow, OVERFLOW_HOLD);
    assert_int_equal(rule->routes[1].target, 1);
    assert_null(rule->routes[1].topic);
    assert_int_equal(rule->routes[1].format, PAYLOAD_JSON);
    rule = &config->core.rules[1];
    assert_null(rule->key);
    assert_int_equal(rule->routes[0].format, PAYLOAD_PIPIT);
    assert_string_equal(rule->routes[0].type, "x");
    assert_int_equal(rule->routes[0].limit_bytes, 1 << 20);
    assert_int_equal(rule->routes[0].overflow, OVERFLOW_DROP_OLD);
    assert_int_equal(rule->routes[0].qos, 1); // The connector's default.
    config_destroy(config);
    folder_destroy(&folder);
}

static void test_secrets(void **state)
{
    (void)state;
    static const struct {
        const char *why, *written, *secret, *want;
    } cases[] = {
        {"the environment", "${env:PIPIT_CONFIG_TEST}", "", "from env"},
        {"a file, relative to the configuration", "${file:secret}", "s3cret", "s3cret"},
        {"the final newline is the editor's", "${file:secret}", "s3cret\n", "s3cret"},
        {"only one of them", "${file:secret}", "s3cret\n\n", "s3cret\n"},
        {"lines of other systems", "${file:secret}", "s3cret\r\n", "s3cret"},
        {"an empty file", "${file:secret}", "", ""},
        {"inside a text, twice", "a${env:PIPIT_CONFIG_TEST}b${file:secret}c", "X", "afrom envbXc"},
        {"not expanded again", "${file:secret}", "${env:HOME}", "${env:HOME}"},
        {"written plainly", "$${env:HOME} $5", "", "${env:HOME} $5"},
    };
    assert_int_equal(setenv("PIPIT_CONFIG_TEST", "from env", 1), 0);
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char yaml[400];
        folder_write(&folder, "secret", cases[i].secret);
        snprintf(yaml, sizeof(yaml),
                 GOOD_HUB "sources: {s: {mqtt: {url: u, password: \"%s\"}, topics: [a]}}\n",
                 cases[i].written);
        struct config *config = folder_load(&folder, yaml);
        if (config == NULL ||
            strcmp(option_text(config->sources[0].options, "password"), cases[i].want) != 0) {
            fail_msg("%s: %s", cases[i].why, folder.faults);
        }
        config_destroy(config);
    }
    folder_destroy(&folder);
}

// What tells a reload apart from a change: equal options and names.
static void test_reload_identity(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *before = folder_load(&folder, whole), *same = folder_load(&folder, whole);
    char *changed_text = strdup(whole);
    *strstr(changed_text, "priority: 3") = 'x'; // Unknown key: refused, and before stays as it is.
    assert_null(folder_load(&folder, changed_text));
    memcpy(strstr(changed_text, "xriority: 3"), "priority: 4", 11);
    struct config *changed = folder_load(&folder, changed_text);
    assert_true(options_equal(before->hub, same->hub));
    assert_true(options_equal(before->sources[0].options, same->sources[0].options));
    assert_true(options_equal(before->targets[0].options, same->targets[0].options));
    assert_false(options_equal(before->sources[0].options, changed->sources[0].options));
    assert_true(options_equal(before->sources[1].options, changed->sources[1].options));
    free(changed_text);
    config_destroy(before);
    config_destroy(same);
    config_destroy(changed);
    config_destroy(NULL);
    folder_destroy(&folder);
}

static void test_test_switches(void **state)
{
    (void)state;
    static const char yaml[] =
        "hub: {id: h, store: h.db, fault_no_dedupe: true}\n"
        "sources: {s: {mqtt: {url: u, ack_before_commit: true}, topics: [a]}}\n";
    struct folder folder;
    folder_create(&folder);
    unsetenv("PIPIT_TEST_FAULTS");
    assert_null(folder_load(&folder, yaml));
    assert_string_equal(
        folder.faults,
        "1:27: hub: fault_no_dedupe breaks a promise on purpose and is for tests only: refused "
        "without PIPIT_TEST_FAULTS=1 in the environment\n"
        "2:30: source s: mqtt: ack_before_commit breaks a promise on purpose and is for tests "
        "only: refused without PIPIT_TEST_FAULTS=1 in the environment");
    assert_int_equal(setenv("PIPIT_TEST_FAULTS", "1", 1), 0);
    struct config *config = folder_load(&folder, yaml);
    assert_non_null(config);
    assert_true(config->core.fault_no_dedupe);
    config_destroy(config);
    unsetenv("PIPIT_TEST_FAULTS");
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_rules_and_targets),
        cmocka_unit_test(test_secrets),       cmocka_unit_test(test_reload_identity),
        cmocka_unit_test(test_test_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
