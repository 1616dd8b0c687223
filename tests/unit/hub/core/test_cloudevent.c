#include "core_support.h"

#include <cloudevents/cloudevents.pb-c.h>

#include "base/time_text.h"
#include "core/cloudevent_batch.h"

#define JSON     "application/cloudevents+json"
#define PROTOBUF "application/cloudevents+protobuf"
#define BATCH    "application/cloudevents-batch+json"

// "name=value;name=value": user properties.
#define REQUIRED "specversion=1.0;id=1;source=/s;type=t"

static struct format_spec formats[] = {
    {.name = "events", .from = "ce/#", .kind = FORMAT_CLOUDEVENTS},
    {.name = "plain", .from = "plain/#", .kind = FORMAT_JSON}};

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *fixture = *state;
    fixture_close(fixture);
    fixture->rules[0].sql = "SELECT id, type, time, content_type, fields FROM \"#\"";
    fixture->rules[0].key = "id";
    fixture->routes[0].topic = "out";
    fixture->spec.formats = formats;
    fixture->spec.format_count = 2;
    fixture_open(fixture);
    return 0;
}

static struct user_property properties[16];
static char property_text[512];

static uint32_t take_properties(const char *text)
{
    uint32_t count = 0;
    char *rest = NULL;
    snprintf(property_text, sizeof(property_text), "%s", text);
    for (char *item = strtok_r(property_text, ";", &rest); item != NULL;
         item = strtok_r(NULL, ";", &rest)) {
        char *value = strchr(item, '=');
        *value++ = '\0';
        properties[count++] = (struct user_property){bytes_from_text(item), bytes_from_text(value)};
    }
    return count;
}

static void give(struct fixture *fixture, const char *topic, const char *type, const char *names,
                 struct bytes payload)
{
    struct message *message = add_message(fixture, topic, payload);
    message->content_type = bytes_from_text(type);
    message->property_count = take_properties(names);
    message->properties = properties;
    step(fixture);
}

// What the rule made of it, or the reason of its rejection.
static const char *result(struct fixture *fixture)
{
    static char text[1024];
    uint32_t count = take(fixture, 0, FLIGHT_MAX);
    snprintf(text, sizeof(text), "%s",
             fixture->outcome.rejection == NULL ? "nothing" : fixture->outcome.rejection);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes payload = fixture->taken[i]->payload;
        snprintf(text, sizeof(text), "%.*s", (int)payload.len, (const char *)payload.ptr);
        add_settlement(fixture, fixture->taken[i]->id, VERDICT_DONE);
    }
    step(fixture);
    return text;
}

static void events_are_read(void **state)
{
    static const struct {
        const char *why, *topic, *type, *properties, *payload, *want;
    } cases[] = {
        {"binary mode, no entry", "x", "application/json", REQUIRED ";subject=p;key=7",
         "{\"c\":21.5}",
         "{\"id\":\"/s#1\",\"type\":\"t\",\"time\":null,\"content_type\":\"application/json\","
         "\"fields\":{\"c\":21.5,\"ce_datacontenttype\":\"application/json\","
         "\"ce_specversion\":\"1.0\",\"ce_id\":\"1\",\"ce_source\":\"/s\",\"ce_type\":\"t\","
         "\"ce_subject\":\"p\",\"ce_key\":\"7\"}}"},
        {"binary mode without data", "x", "", REQUIRED ";time=1970-01-01T01:00:01.5%2B01:00", "",
         "must be as RFC 3339 says"},
        {"a time with an offset", "x", "", REQUIRED ";time=1970-01-01T01:00:01.5+01:00", "",
         "\"time\":1500,\"content_type\":null"},
        {"structured mode", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"n\":3,\"b\":true,"
         "\"data\":{\"c\":1}}",
         "{\"id\":\"s#a\",\"type\":\"t\",\"time\":null,\"content_type\":\"application/json\","
         "\"fields\":{\"c\":1,\"ce_specversion\":\"1.0\",\"ce_id\":\"a\",\"ce_source\":\"s\","
         "\"ce_type\":\"t\",\"ce_n\":3,\"ce_b\":true}}"},
        {"with a charset", "x", JSON "; charset=utf-8", "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"data\":5}",
         "\"fields\":{\"value\":5,"},
        {"data as a JSON text", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\","
         "\"data\":\"a\\\"b\"}",
         "\"fields\":{\"value\":\"a\\\"b\","},
        {"data that is no JSON", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\","
         "\"datacontenttype\":\"text/plain\",\"data\":\"{hello\"}",
         "\"content_type\":\"text/plain\""},
        {"base64", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\","
         "\"datacontenttype\":\"application/json\",\"data_base64\":\"eyJjIjo3fQ==\"}",
         "\"fields\":{\"c\":7,"},
        {"null is none", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"subject\":null,"
         "\"data\":null}",
         "\"ce_type\":\"t\"}}"},
        {"MQTT 3.1.1 has no content type: the entry tells", "ce/x", "", "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"data\":{\"c\":4}"
         "}",
         "\"fields\":{\"c\":4,"},
        {"without one it is JSON", "x", "", "", "{\"specversion\":\"1.0\",\"id\":\"a\"}",
         "\"fields\":{\"specversion\":\"1.0\",\"id\":\"a\"}"},
        {"another entry decides", "plain/x", "application/json", REQUIRED, "{\"c\":1}",
         "\"fields\":{\"c\":1}}"},
        // What is not fine.
        {"no id", "ce/x", "", "specversion=1.0;source=s;type=t", "", "\"id\" is missing or empty"},
        {"an empty type", "x", "", "specversion=1.0;id=1;source=s;type=", "",
         "\"type\" is missing or empty"},
        {"an old version", "x", "", "specversion=0.3;id=1;source=s;type=t", "",
         "\"specversion\" is \"0.3\"; only 1.0 is known"},
        {"a bad time", "x", "", REQUIRED ";time=yesterday", "", "\"time\" is \"yesterday\""},
        {"no CloudEvent", "ce/x", "text/plain", "", "hello", "it is no CloudEvent"},
        {"an unknown format", "x", "application/cloudevents+avro", "", "hello",
         "application/cloudevents+avro is not known"},
        {"no object", "x", JSON, "", "[]", "is not a JSON object"},
        {"no JSON", "x", JSON, "", "{", "the JSON does not parse"},
        {"an attribute that is a list", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"list\":[]}",
         "\"list\" must be a text"},
        {"a number for an id", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":5,\"source\":\"s\",\"type\":\"t\"}",
         "\"id\" is not a text"},
        {"an id that no header can carry", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\\u0000b\",\"source\":\"s\",\"type\":\"t\"}",
         "\"id\" holds a control character"},
        {"data twice", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\",\"data\":1,"
         "\"data_base64\":\"\"}",
         "both data and data_base64"},
        {"no base64", "x", JSON, "",
         "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\","
         "\"data_base64\":\"a*==\"}",
         "is not base64"},
        {"broken data", "x", "application/json", REQUIRED, "{", "the JSON does not parse"},
        {"no protobuf", "x", PROTOBUF, "", "hello", "is not a CloudEvent in protobuf"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        give(*state, cases[i].topic, cases[i].type, cases[i].properties,
             bytes_from_text(cases[i].payload));
        const char *got = result(*state);
        if (strstr(got, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].why, got);
        }
    }
}

static Cloudevents__CloudEvent__AttributesEntry entry_of(const char *name,
                                                         Cloudevents__AttributeValue *value)
{
    Cloudevents__CloudEvent__AttributesEntry entry =
        CLOUDEVENTS__CLOUD_EVENT__ATTRIBUTES_ENTRY__INIT;
    entry.key = (char *)(uintptr_t)name;
    entry.value = value;
    return entry;
}

static void protobuf_is_read(void **state)
{
    Cloudevents__CloudEvent event = CLOUDEVENTS__CLOUD_EVENT__INIT;
    Cloudevents__Timestamp timestamp = CLOUDEVENTS__TIMESTAMP__INIT;
    Cloudevents__AttributeValue values[3];
    uint8_t packed[256];
    for (int i = 0; i < 3; i++) {
        cloudevents__attribute_value__init(&values[i]);
    }
    timestamp.seconds = 1700000000;
    timestamp.nanos = 250000000;
    values[0].attr_case = CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_TIMESTAMP;
    values[0].ce_timestamp = &timestamp;
    values[1].attr_case = CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_INTEGER;
    values[1].ce_integer = -7;
    values[2].attr_case = CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_STRING;
    values[2].ce_string = "application/json";
    Cloudevents__CloudEvent__AttributesEntry entries[] = {entry_of("time", &values[0]),
                                                          entry_of("level", &values[1]),
                                                          entry_of("datacontenttype", &values[2])};
    Cloudevents__CloudEvent__AttributesEntry *list[] = {&entries[0], &entries[1], &entries[2]};
    event.id = "9";
    event.source = "/p";
    event.spec_version = "1.0";
    event.type = "t";
    event.n_attributes = 3;
    event.attributes = list;
    event.data_case = CLOUDEVENTS__CLOUD_EVENT__DATA_TEXT_DATA;
    event.text_data = "{\"c\":2}";
    give(*state, "x", PROTOBUF, "",
         bytes_of(packed, cloudevents__cloud_event__pack(&event, packed)));
    assert_string_equal(
        result(*state),
        "{\"id\":\"/p#9\",\"type\":\"t\",\"time\":1700000000250,\"content_type\":"
        "\"application/json\",\"fields\":{\"c\":2,\"ce_specversion\":\"1.0\",\"ce_id\":\"9\","
        "\"ce_source\":\"/p\",\"ce_type\":\"t\",\"ce_time\":\"2023-11-14T22:13:20.250Z\","
        "\"ce_level\":-7,\"ce_datacontenttype\":\"application/json\"}}");
    event.spec_version = "";
    give(*state, "x", PROTOBUF, "",
         bytes_of(packed, cloudevents__cloud_event__pack(&event, packed)));
    assert_non_null(strstr(result(*state), "\"specversion\" is missing or empty"));
}

// received, routed, filtered, rejected that a batch adds.
static void batches_are_events(void **state)
{
#define EVENT(id) "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"s\",\"type\":\"t\"}"
    static const struct {
        const char *why, *topic, *type, *payload;
        uint64_t received, routed, filtered, rejected;
    } cases[] = {
        {"two events", "x", BATCH, "[" EVENT("1") "," EVENT("2") "]", 2, 2, 0, 0},
        {"one of them is bad", "x", BATCH, "[" EVENT("1") ",{},7]", 3, 1, 0, 2},
        {"none", "x", BATCH, " [ ] ", 1, 0, 1, 0},
        {"no list", "x", BATCH, "{}", 1, 0, 0, 1},
        {"no JSON", "x", BATCH, "[", 1, 0, 0, 1},
        {"by the entry", "ce/x", "", "[" EVENT("1") "]", 1, 1, 0, 0},
        {"a JSON list is none", "x", "", "[" EVENT("1") "," EVENT("2") "]", 1, 1, 0, 0},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct books before = books_of(fixture), after;
        give(fixture, cases[i].topic, cases[i].type, "", bytes_from_text(cases[i].payload));
        after = books_of(fixture);
        if (after.received - before.received != cases[i].received ||
            after.routed - before.routed != cases[i].routed ||
            after.filtered - before.filtered != cases[i].filtered ||
            after.rejected - before.rejected != cases[i].rejected) {
            fail_msg("%s: %s", cases[i].why, result(fixture));
        }
        result(fixture);
    }
}

// Batches between other messages, all in one step: order is kept.
static void batches_keep_their_place(void **state)
{
    struct fixture *fixture = *state;
    const char *const payloads[] = {"{\"n\":0}", "[" EVENT("1") "," EVENT("2") "]", "{\"n\":3}",
                                    "[]", "[" EVENT("4") "]"};
    for (size_t i = 0; i < 5; i++) {
        add_message(fixture, payloads[i][0] == '[' ? "ce/x" : "x", bytes_from_text(payloads[i]));
    }
    step(fixture);
    assert_int_equal(books_of(fixture).received, 6);
    assert_int_equal(take(fixture, 0, FLIGHT_MAX), 5);
    const char *const want[] = {"\"n\":0", "s#1", "s#2", "\"n\":3", "s#4"};
    for (size_t i = 0; i < 5; i++) {
        char text[512];
        struct bytes payload = fixture->taken[i]->payload;
        snprintf(text, sizeof(text), "%.*s", (int)payload.len, (const char *)payload.ptr);
        assert_non_null(strstr(text, want[i]));
    }
}

static void a_batch_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    static char payload[4 * CLOUDEVENT_BATCH_MAX];
    for (uint32_t count = CLOUDEVENT_BATCH_MAX; count <= CLOUDEVENT_BATCH_MAX + 1; count++) {
        struct books before = books_of(fixture);
        size_t len = 0;
        payload[len++] = '[';
        for (uint32_t i = 0; i < count; i++) {
            len += (size_t)snprintf(payload + len, sizeof(payload) - len, "%s7", i > 0 ? "," : "");
        }
        payload[len++] = ']';
        fixture->inputs[0] = (struct input){
            .kind = INPUT_MESSAGE,
            .message = {.topic = bytes_from_text("ce/x"), .payload = bytes_of(payload, len)}};
        fixture->count = 1;
        step(fixture);
        assert_int_equal(books_of(fixture).received - before.received,
                         count > CLOUDEVENT_BATCH_MAX ? 1 : count);
    }
    // Many of them want to come in smaller steps.
    payload[strlen(payload) - 3] = ']';
    fixture->inputs[0].message.payload.len -= 2;
    for (int i = 1; i < 40; i++) {
        fixture->inputs[i] = fixture->inputs[0];
    }
    fixture->count = 40;
    assert_int_equal(try_step(fixture), ERR_FULL);
    fixture->count = 20;
    step(fixture);
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        bool is_time;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", true, 0},
        {"2023-11-14T22:13:20.25Z", true, 1700000000250},
        {"2023-11-14t23:13:20.250999+01:00", true, 1700000000250},
        {"2024-02-29T00:00:00-00:30", true, 1709166600000},
        {"1969-12-31T23:59:59.999Z", true, -1},
        {"2016-12-31T23:59:60Z", true, 1483228800000},
        {"2023-02-29T00:00:00Z", false, 0},
        {"2023-13-01T00:00:00Z", false, 0},
        {"2023-11-14T24:00:00Z", false, 0},
        {"2023-11-14T22:13:20", false, 0},
        {"2023-11-14T22:13:20.Z", false, 0},
        {"2023-11-14T22:13:20+1:00", false, 0},
        {"2023-11-14", false, 0},
        {"", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ms = 0;
        bool is_time = time_text_read(bytes_from_text(cases[i].text), &ms);
        if (is_time != cases[i].is_time || ms != cases[i].ms) {
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
        }
    }
}

static void times_are_written_as_they_are_read(void **state)
{
    (void)state;
    for (int64_t ms = 0; ms <= TIME_TEXT_MAX_MS; ms += 86400000LL * 13 + 12345678) {
        char text[TIME_TEXT_BYTES];
        int64_t back = -1;
        time_text_write(ms, text);
        assert_true(time_text_read(bytes_from_text(text), &back));
        assert_int_equal(back, ms);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_read),
        TEST(protobuf_is_read),
        TEST(batches_are_events),
        TEST(batches_keep_their_place),
        TEST(a_batch_is_bounded),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(times_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
