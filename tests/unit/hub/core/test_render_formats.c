// Rows as CBOR and CloudEvents, and the user properties of deliveries.
#include <jansson.h>

#include "core/properties.h"
#include "core/render.h"
#include "rules_support.h"

// Of the output last seen.
static char content_type[80], properties[2000], payload_hex[2000];

static void keep_properties(struct bytes rest)
{
    struct bytes name, value;
    size_t used = 0;
    properties[0] = '\0';
    while (properties_next(&rest, &name, &value)) {
        used += (size_t)snprintf(properties + used, sizeof(properties) - used, "%s=%s;", name.ptr,
                                 value.ptr);
        assert_true(used < sizeof(properties));
    }
    assert_int_equal(rest.len, 0);
}

static enum err keep_output(void *context, const struct rule_output *output, struct error *e)
{
    snprintf(content_type, sizeof(content_type), "%s", output->content_type);
    keep_properties(output->properties);
    assert_true(2 * output->payload.len < sizeof(payload_hex));
    payload_hex[0] = '\0';
    for (size_t i = 0; i < output->payload.len; i++) {
        snprintf(payload_hex + 2 * i, 3, "%02x", output->payload.ptr[i]);
    }
    return log_output(context, output, e);
}

static void run(struct rules_fixture *fixture)
{
    const struct rule_sink sink = {fixture, keep_output, log_failure, NULL};
    fixture->log_len = 0;
    fixture->log[0] = '\0';
    assert_int_equal(rules_run(fixture->rules, fixture->batch, NULL, NOW_MS, &sink, &fixture->e),
                     ERR_OK);
}

static void compile(struct rules_fixture *fixture, const char *why, const char *sql)
{
    if (rules_compile(fixture, sql) != ERR_OK) {
        fail_msg("%s: %s", why, fixture->e.text);
    }
}

// The bytes are those of RFC 8949, appendix A, where it has the value.
static void columns_become_cbor(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *why, *column, *want;
    } cases[] = {
        {"zero", "0", "00"},
        {"the largest in a byte", "23", "17"},
        {"one byte more", "24", "1818"},
        {"two bytes", "1000", "1903e8"},
        {"four bytes", "1000000", "1a000f4240"},
        {"eight bytes", "1000000000000", "1b000000e8d4a51000"},
        {"the largest integer", "9223372036854775807", "1b7fffffffffffffff"},
        {"minus one", "-1", "20"},
        {"minus a thousand", "-1000", "3903e7"},
        {"the least integer", "-9223372036854775807 - 1", "3b7fffffffffffffff"},
        {"a real that needs eight bytes", "1.1", "fb3ff199999999999a"},
        {"a real that four bytes hold", "100000.0", "fa47c35000"},
        {"a whole real is no integer", "2.0", "fa40000000"},
        {"a real beyond four bytes", "1e300", "fb7e37e43c8800759c"},
        {"infinity", "9e999", "fb7ff0000000000000"},
        {"text", "'IETF'", "6449455446"},
        {"text of two bytes a character", "'\xc3\xbc'", "62c3bc"},
        {"no text", "''", "60"},
        {"a blob", "x'01020304'", "4401020304"},
        {"no blob", "x''", "40"},
        {"NULL", "NULL", "f6"},
        {"an absent field", "gone", "f6"},
        {"a boolean field", "\"on\"", "f5"},
        {"the other one", "\"off\"", "f4"},
        {"a JSON field", "j", "a26161016162820203"},
        {"JSON that was made", "json_array(1, 'a', NULL, json('true'))", "84016161f6f5"},
    };
    fixture->routes[0].format = PAYLOAD_CBOR;
    rules_put_text(fixture, "a/b", "{\"on\":true,\"off\":false,\"j\":{\"a\":1,\"b\":[2,3]}}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sql[200], want[200];
        snprintf(sql, sizeof(sql), "SELECT %s AS v, 7 AS w FROM \"a/+\"", cases[i].column);
        snprintf(want, sizeof(want), "a26176%s617707", cases[i].want);
        compile(fixture, cases[i].why, sql);
        run(fixture);
        if (strcmp(payload_hex, want) != 0) {
            fail_msg("%s: want %s have %s %s", cases[i].why, want, payload_hex, fixture->log);
        }
        assert_string_equal(content_type, "application/cbor");
    }
}

static void what_cbor_cannot_say(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->routes[0].format = PAYLOAD_CBOR;
    rules_put_text(fixture, "a/b", "{}");
    assert_int_equal(rules_compile(fixture, "SELECT 1 AS n, 2 AS n FROM \"a/+\""), ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "two columns of the result are called \"n\""));
    compile(fixture, "no text", "SELECT CAST(x'ff' AS TEXT) AS t FROM \"a/+\"");
    run(fixture);
    assert_string_equal(fixture->log, "0.0 failed: rule \"r\": column \"t\": is not valid UTF-8\n");
}

static const struct user_property trace[] = {
    {{(const uint8_t *)"traceparent", 11}, {(const uint8_t *)"00-1-2-01", 9}},
    {{(const uint8_t *)"other", 5}, {(const uint8_t *)"x", 1}},
    {{(const uint8_t *)"tracestate", 10}, {(const uint8_t *)"a=b", 3}},
};

static struct message *put_traced(struct rules_fixture *fixture, const char *payload)
{
    rules_put_text(fixture, "a/b", payload);
    struct message *message = &fixture->messages[fixture->count - 1];
    message->properties = trace;
    message->property_count = 3;
    return message;
}

static void properties_of_any_payload(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct property_spec specs[] = {
        {"site", "{s}-{topic}"}, {"empty", "{gone}"}, {"traceparent", "{own}"}};
    static const struct {
        const char *why, *sql, *id;
        uint32_t count;
        bool is_traced;
        const char *want;
    } cases[] = {
        {"none", "SELECT 1 FROM \"a/+\"", "d/1", 0, false, ""},
        {"templates; an empty one is left out", "SELECT s, gone, NULL AS own FROM \"a/+\"", "d/1",
         3, false, "site=north-a/b;"},
        {"the event's trace context", "SELECT 1 FROM \"a/+\"", "d/1", 0, true,
         "traceparent=00-1-2-01;tracestate=a=b;"},
        {"one's own comes first", "SELECT s, gone, 'mine' AS own FROM \"a/+\"", "d/1", 3, true,
         "site=north-a/b;traceparent=mine;tracestate=a=b;"},
        {"a replay", "SELECT 1 FROM \"a/+\"", "replay/12/d/1", 0, true,
         "traceparent=00-1-2-01;tracestate=a=b;replay=12;"},
        {"a device that is called so", "SELECT 1 FROM \"a/+\"", "replay/x/1/2", 0, false, ""},
        {"a number that does not end", "SELECT 1 FROM \"a/+\"", "replay/1x/1/2", 0, false, ""},
        {"text that is none", "SELECT CAST(x'ff' AS TEXT) AS s, gone, NULL AS own FROM \"a/+\"",
         "d/1", 3, false, "failed: rule \"r\": property site is not valid UTF-8"},
        {"a NUL", "SELECT char(65, 0) AS s, gone, NULL AS own FROM \"a/+\"", "d/1", 3, false,
         "failed: rule \"r\": property site holds a NUL character"},
        {"a blob", "SELECT x'00' AS s, gone, NULL AS own FROM \"a/+\"", "d/1", 3, false,
         "failed: rule \"r\": property site: column \"s\" is a blob"},
        {"far too long", "SELECT printf('%40000d', 1) AS s, gone, NULL AS own FROM \"a/+\"", "d/1",
         3, false, "with property site the properties are more than 32768 bytes"},
    };
    fixture->routes[0].properties = specs;
    fixture->routes[0].format = PAYLOAD_TEXT;
    fixture->routes[0].text = "x";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rules_clear(fixture);
        if (cases[i].is_traced) {
            put_traced(fixture, "{\"s\":\"north\"}");
        } else {
            rules_put_text(fixture, "a/b", "{\"s\":\"north\"}");
        }
        event_set_id(event_batch_at(fixture->batch, 0), cases[i].id);
        rules_close(fixture->rules); // Before their spec changes.
        fixture->rules = NULL;
        fixture->routes[0].property_count = cases[i].count;
        compile(fixture, cases[i].why, cases[i].sql);
        run(fixture);
        bool is_failed = strstr(cases[i].want, "failed") != NULL || strchr(cases[i].want, '=') == 0;
        bool is_good = is_failed && cases[i].want[0] != '\0'
                           ? strstr(fixture->log, cases[i].want) != NULL
                           : strcmp(properties, cases[i].want) == 0;
        if (!is_good) {
            fail_msg("%s: want %s have %s %s", cases[i].why, cases[i].want, properties,
                     fixture->log);
        }
    }
}

static const struct cloudevent_spec binary = {.type = "plant.{t}", .source = "/plants/{topic}"};
static const struct cloudevent_spec structured = {
    .is_structured = true, .type = "hot", .source = "/p", .subject = "{t}"};

#define CE_SQL                                                                                     \
    "SELECT t, 5 AS n, 'x1' AS ce_zone, \"on\" AS ce_live, 2.5 AS ce_ratio, "                      \
    "NULL AS ce_none, 7 AS ce_small, 5000000000 AS ce_large FROM \"a/+\""

static void make_cloudevent(struct rules_fixture *fixture, const struct cloudevent_spec *spec)
{
    fixture->routes[0].format = PAYLOAD_CLOUDEVENT;
    fixture->routes[0].cloudevent = *spec;
    put_traced(fixture, "{\"t\":\"lamp\",\"on\":true}");
    event_set_id(event_batch_at(fixture->batch, 0), "d/1/2/3");
    compile(fixture, "CloudEvent", CE_SQL);
    run(fixture);
}

static void a_binary_cloudevent(void **state)
{
    struct rules_fixture *fixture = *state;
    make_cloudevent(fixture, &binary);
    assert_string_equal(fixture->log, "0.0.0.0 a/b|out|{\"t\":\"lamp\",\"n\":5}\n");
    assert_string_equal(content_type, "application/json");
    // Without a time of its own: when it was received.
    assert_string_equal(properties,
                        "specversion=1.0;id=d/1/2/3:r:1;source=/plants/a/b;type=plant.lamp;"
                        "time=2023-11-14T22:13:20.123Z;zone=x1;live=true;ratio=2.5;small=7;"
                        "large=5000000000;traceparent=00-1-2-01;tracestate=a=b;");
}

static void a_structured_cloudevent(void **state)
{
    struct rules_fixture *fixture = *state;
    make_cloudevent(fixture, &structured);
    assert_string_equal(
        fixture->log,
        "0.0.0.0 a/b|out|{\"specversion\":\"1.0\",\"id\":\"d/1/2/3:r:1\",\"source\":\"/p\","
        "\"type\":\"hot\",\"subject\":\"lamp\",\"time\":\"2023-11-14T22:13:20.123Z\","
        "\"zone\":\"x1\",\"live\":true,\"ratio\":\"2.5\",\"small\":7,\"large\":\"5000000000\","
        "\"datacontenttype\":\"application/json\",\"data\":{\"t\":\"lamp\",\"n\":5}}\n");
    assert_string_equal(content_type, "application/cloudevents+json; charset=utf-8");
    assert_string_equal(properties, "traceparent=00-1-2-01;tracestate=a=b;");
}

static void times_of_cloudevents(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *why;
        int64_t ms;
        const char *want;
    } cases[] = {
        {"the epoch", 0, "1970-01-01T00:00:00.000Z"},
        {"a leap day", 1709164800000, "2024-02-29T00:00:00.000Z"},
        {"its last millisecond", 1709251199999, "2024-02-29T23:59:59.999Z"},
        {"the day after", 1709251200000, "2024-03-01T00:00:00.000Z"},
        {"a century that is no leap year", 4107542399000, "2100-02-28T23:59:59.000Z"},
        {"its March", 4107542400000, "2100-03-01T00:00:00.000Z"},
        {"a century that is one", 951782400000, "2000-02-29T00:00:00.000Z"},
        {"the end of a year", 1735689599999, "2024-12-31T23:59:59.999Z"},
        {"the last one", 253402300799999, "9999-12-31T23:59:59.999Z"},
    };
    fixture->routes[0].format = PAYLOAD_CLOUDEVENT;
    fixture->routes[0].cloudevent = structured;
    rules_put_text(fixture, "a/b", "{\"t\":\"lamp\"}");
    compile(fixture, "times", "SELECT t FROM \"a/+\"");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[80];
        event_set_time(event_batch_at(fixture->batch, 0), cases[i].ms);
        run(fixture);
        snprintf(want, sizeof(want), "\"time\":\"%s\"", cases[i].want);
        if (strstr(fixture->log, want) == NULL) {
            fail_msg("%s: want %s have %s", cases[i].why, want, fixture->log);
        }
    }
}

static void what_is_no_cloudevent(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *why, *sql;
        struct cloudevent_spec spec;
        const char *want;
    } cases[] = {
        {"an attribute of the hub",
         "SELECT 1 AS ce_id FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "column \"ce_id\" cannot be an extension: id is set by the hub"},
        {"an attribute of the route",
         "SELECT 1 AS ce_subject FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "column \"ce_subject\" cannot be an extension: subject is set by the route's option "
         "subject"},
        {"a name that is none",
         "SELECT 1 AS ce_Zone FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "column \"ce_Zone\" cannot be an extension: behind ce_ stand"},
        {"an extension twice",
         "SELECT 1 AS ce_a, 2 AS ce_a FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "two columns of the result are called \"ce_a\""},
        {"a column that is not there",
         "SELECT 1 AS n FROM \"a/+\"",
         {.type = "{nn}", .source = "s"},
         "payload: type: \"{nn}\": there is no column \"nn\""},
        {"no type in this row",
         "SELECT gone FROM \"a/+\"",
         {.type = "{gone}", .source = "s"},
         "0.0 failed: rule \"r\": CloudEvent: type is empty"},
        {"no source in this row",
         "SELECT gone FROM \"a/+\"",
         {.type = "t", .source = "{gone}"},
         "CloudEvent: source is empty"},
        {"a line break in an attribute",
         "SELECT char(10) AS n FROM \"a/+\"",
         {.type = "t", .source = "s{n}"},
         "CloudEvent: source holds a control character"},
        {"a blob as an extension",
         "SELECT x'00' AS ce_a FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "CloudEvent: column \"ce_a\" is a blob"},
        {"a blob among the data",
         "SELECT x'00' AS n FROM \"a/+\"",
         {.type = "t", .source = "s"},
         "CloudEvent: column \"n\" is a blob"},
    };
    fixture->routes[0].format = PAYLOAD_CLOUDEVENT;
    rules_put_text(fixture, "a/b", "{}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->routes[0].cloudevent = cases[i].spec;
        fixture->log[0] = '\0';
        if (rules_compile(fixture, cases[i].sql) == ERR_OK) {
            run(fixture);
        } else {
            rules_log(fixture, "%s", fixture->e.text);
        }
        if (strstr(fixture->log, cases[i].want) == NULL) {
            fail_msg("%s: want %s have %s", cases[i].why, cases[i].want, fixture->log);
        }
        fixture->log_len = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(columns_become_cbor, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(what_cbor_cannot_say, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(properties_of_any_payload, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(a_binary_cloudevent, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(a_structured_cloudevent, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(times_of_cloudevents, rules_setup, rules_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_cloudevent, rules_setup, rules_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
