// Rows into topics, keys and payloads.
#include <jansson.h>

#include "core/event_value.h"
#include "core/render.h"
#include "rules_support.h"

static const char *content_type;
static uint8_t last_payload[4096];
static size_t last_len;

static enum err keep_output(void *context, const struct rule_output *output, struct error *e)
{
    content_type = output->content_type; // A constant, or compared before the run ends.
    assert_true(output->payload.len <= sizeof(last_payload));
    last_len = output->payload.len;
    memcpy(last_payload, output->payload.ptr, last_len);
    return log_output(context, output, e);
}

static void run(struct rules_fixture *fixture)
{
    const struct rule_sink sink = {fixture, keep_output, log_failure, NULL};
    fixture->log_len = 0;
    fixture->log[0] = '\0';
    last_len = 0;
    assert_int_equal(rules_run(fixture->rules, fixture->batch, NULL, NOW_MS, &sink, &fixture->e),
                     ERR_OK);
}

#define SQL     "SELECT n, x, t, \"on\", z, x'00ff' AS blob, json_array(1, 'a') AS j FROM \"a/+\""
#define PAYLOAD "{\"n\":5,\"x\":0.1,\"t\":\"lamp\",\"on\":false,\"empty\":\"\"}"

static void templates_are_filled(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *why, *topic, *text, *want;
    } cases[] = {
        {"columns of the result", "o/{t}/{n}", "{n} {x} {t} {on} {j}",
         "k|o/lamp/5|5 0.1 lamp false [1,\"a\"]"},
        {"columns of the event", "{topic}/x", "{qos} {received} {retain}",
         "k|a/b/x|1 1700000000123 false"},
        {"a field that was not selected", "o", "{fields.n}", "k|o|5"},
        {"NULL in a text", "o", "<{z}>", "k|o|<>"},
        {"braces", "o", "{{{n}}} {{}}", "k|o|{5} {}"},
        {"no column", "o", "plain", "k|o|plain"},
        {"the first column without a template", "o", NULL, "k|o|5"},
        {"no topic", NULL, "x", "k||x"},
        {"case as in SQL", "o/{T}", "x", "k|o/lamp|x"},
        {"a blob", "o", "{blob}", "failed: rule \"r\": text payload: column \"blob\" is a blob"},
        {"a blob in a topic", "o/{blob}", "x", "column \"blob\" is a blob"},
        {"an empty text in a topic", "o/{fields.empty}", "x", "is an empty text and would leave"},
        {"an absent field in a topic", "o/{fields.none}", "x", "is NULL and would leave"},
        {"a device that is not known", "o/{device}", "x", "column \"device\" is NULL"},
    };
    fixture->routes[0].format = PAYLOAD_TEXT;
    fixture->rule_specs[0].key = NULL;
    rules_put_text(fixture, "a/b", PAYLOAD);
    event_set_identity(event_batch_at(fixture->batch, 0), "k", "", 0, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->routes[0].topic = cases[i].topic;
        fixture->routes[0].text = cases[i].text;
        if (rules_compile(fixture, SQL) != ERR_OK) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
        run(fixture);
        char want[200];
        snprintf(want, sizeof(want), "%s%s", cases[i].want[0] == 'k' ? "0.0.0.0 k/" : "",
                 cases[i].want + (cases[i].want[0] == 'k'));
        if (strstr(fixture->log, want) == NULL) {
            fail_msg("%s: want %s have %s", cases[i].why, want, fixture->log);
        }
    }
}

static void bad_routes_are_explained(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *sql, *key;
        struct route_spec route;
        const char *want;
    } cases[] = {
        {SQL,
         NULL,
         {.topic = "o/{devise}"},
         "route 1: topic: \"o/{devise}\": there is no column "
         "\"devise\""},
        {SQL, NULL, {.topic = "o/{devise}"}, "(did you mean \"device\"?)"},
        {SQL, NULL, {.topic = "o/{n"}, "has a { without"},
        {SQL, NULL, {.topic = "o/{}"}, "has a { without"},
        {SQL, NULL, {.topic = "o/n}"}, "has a } without"},
        {SQL, "nn", {.topic = "o"}, "key: there is no column \"nn\""},
        {SQL, NULL, {.format = PAYLOAD_TEXT, .text = "{zz}"}, "route 1: payload: \"{zz}\""},
        {"SELECT n, m AS n FROM \"a/+\"",
         NULL,
         {.topic = "o"},
         "two columns of the result are called \"n\""},
        {"SELECT n, m AS n FROM \"a/+\"",
         NULL,
         {.format = PAYLOAD_PIPIT},
         "two columns of the result are called \"n\""},
        {SQL, NULL, {.format = PAYLOAD_PIPIT, .type = "a/+"}, "cannot be the type"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->routes[0] = cases[i].route;
        fixture->rule_specs[0].key = cases[i].key;
        assert_int_equal(rules_compile(fixture, cases[i].sql), ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL) {
            fail_msg("%s", fixture->e.text);
        }
    }
}

static void keys_order_deliveries(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *key, *want;
    } cases[] = {{"n", "0.0.0.0 5|out|"},
                 {"topic", "0.0.0.0 a/b|out|"},
                 {"z", "0.0.0.0 |out|"},
                 {"fields.t", "0.0.0.0 lamp|out|"},
                 {NULL, "0.0.0.0 a/b|out|"}};
    fixture->routes[0].format = PAYLOAD_TEXT;
    rules_put_text(fixture, "a/b", PAYLOAD);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->rule_specs[0].key = cases[i].key;
        assert_int_equal(rules_compile(fixture, SQL), ERR_OK);
        run(fixture);
        assert_memory_equal(fixture->log, cases[i].want, strlen(cases[i].want));
    }
    fixture->rule_specs[0].key = "long";
    assert_int_equal(rules_compile(fixture, "SELECT printf('%2000d', n) AS long FROM \"a/+\""),
                     ERR_OK);
    run(fixture);
    assert_string_equal(fixture->log,
                        "0.0 failed: rule \"r\": key \"long\" is longer than 1024 bytes\n");
}

static void a_pipit_event_is_made(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->routes[0].format = PAYLOAD_PIPIT;
    fixture->rule_specs[0].name = "made";
    rules_put_text(fixture, "a/b", PAYLOAD);
    event_set_time(event_batch_at(fixture->batch, 0), 1700000000456);
    assert_int_equal(rules_compile(fixture, SQL), ERR_OK);
    run(fixture);
    assert_string_equal(content_type, CONTENT_TYPE_PIPIT);
    Pipit__V1__Event *event = pipit__v1__event__unpack(NULL, last_len, last_payload);
    assert_non_null(event);
    assert_string_equal(event->type, "made");
    assert_int_equal(event->boot, 0);
    assert_int_equal(event->sequence, 0);
    assert_int_equal(event->time, 1700000000456);
    assert_int_equal(event->n_fields, 6); // z is NULL.
    static const Pipit__V1__Field__ValueCase kinds[] = {
        PIPIT__V1__FIELD__VALUE_SIGNED, PIPIT__V1__FIELD__VALUE_REAL,
        PIPIT__V1__FIELD__VALUE_TEXT,   PIPIT__V1__FIELD__VALUE_BOOLEAN,
        PIPIT__V1__FIELD__VALUE_DATA,   PIPIT__V1__FIELD__VALUE_TEXT};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(event->fields[i]->value_case, kinds[i]);
    }
    assert_string_equal(event->fields[5]->text, "[1,\"a\"]");
    pipit__v1__event__free_unpacked(event, NULL);
}

static void routes_have_their_own_payloads(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->routes[0] = (struct route_spec){.topic = "j1"};
    fixture->routes[1] = (struct route_spec){.topic = "raw", .format = PAYLOAD_ORIGINAL};
    fixture->routes[2] = (struct route_spec){.topic = "j2"};
    fixture->rule_specs[0].route_count = 3;
    rules_put_text(fixture, "a/b", "{ \"n\": 5 }");
    fixture->messages[0].content_type = bytes_from_text("application/json");
    assert_int_equal(rules_compile(fixture, "SELECT n FROM \"a/+\""), ERR_OK);
    run(fixture);
    assert_string_equal(fixture->log, "0.0.0.0 a/b|j1|{\"n\":5}\n"
                                      "0.0.0.1 a/b|raw|{ \"n\": 5 }\n"
                                      "0.0.0.2 a/b|j2|{\"n\":5}\n");
}

// Kinds change from row to row, and each row is right.
static void json_follows_the_kinds(void **state)
{
    struct rules_fixture *fixture = *state;
    static const char *const values[] = {"1",           "2.5",        "\"x\"", "\"\"", "null",
                                         "true",        "{\"a\":[]}", "[]",    "3",    "4",
                                         "\"\\u0000\"", "-0.0",       "1e300", "false"};
    char want[2000] = "", payload[14][64];
    for (uint32_t i = 0; i < 14; i++) {
        snprintf(payload[i], sizeof(payload[i]), "{\"v\":%s}", values[i]);
        rules_put_text(fixture, "a/b", payload[i]);
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "0.%u.0.0 a/b|out|{\"v\":%s}\n",
                 i, values[i]);
    }
    assert_int_equal(rules_compile(fixture, "SELECT v FROM \"a/+\""), ERR_OK);
    run(fixture);
    assert_string_equal(fixture->log, want);
}

static void numbers_are_the_shortest(void **state)
{
    (void)state;
    static const struct {
        double real;
        const char *want;
    } cases[] = {{0.1, "0.1"},
                 {27.0, "27.0"},
                 {-0.5, "-0.5"},
                 {0.30000000000000004, "0.30000000000000004"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e21, "1e+21"},
                 {58.20000076293945, "58.20000076293945"},
                 {0.0, "0.0"},
                 {5e-324, "4.94065645841247e-324"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[REAL_TEXT_BYTES];
        assert_int_equal(real_to_text(cases[i].real, text), strlen(cases[i].want));
        assert_string_equal(text, cases[i].want);
    }
    uint64_t seed = 88172645463325252ULL;
    for (int i = 0; i < 100000; i++) { // Whatever the number, its text names it.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        double real;
        memcpy(&real, &seed, sizeof(real));
        real = i % 2 == 0 ? (double)(int64_t)(seed >> 30) / 1000.0 : real;
        if (real - real == 0) { // Finite.
            char text[REAL_TEXT_BYTES];
            real_to_text(real, text);
            assert_true(strtod(text, NULL) == real);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_setup, rules_teardown)
    const struct CMUnitTest tests[] = {
        TEST(templates_are_filled),
        TEST(bad_routes_are_explained),
        TEST(keys_order_deliveries),
        TEST(a_pipit_event_is_made),
        TEST(routes_have_their_own_payloads),
        TEST(json_follows_the_kinds),
        cmocka_unit_test(numbers_are_the_shortest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
