#include <jansson.h>
#include <stdlib.h>

#include "base/file.h"
#include "core/format.h"
#include "event_support.h"

struct fixture {
    struct event_batch *batch;
    struct formats *formats;
    char *descriptors;
    struct message message;
    uint8_t buffer[1000];
    struct error e;
};

static const struct field_spec tank_fields[] = {
    {"level", FIELD_NUMBER, true},      {"unit", FIELD_TEXT, false},
    {"on", FIELD_BOOLEAN, false},       {"count", FIELD_INTEGER, false},
    {"place.lat", FIELD_NUMBER, false}, {"tags", FIELD_ARRAY, false},
    {"more", FIELD_OBJECT, false},      {"data", FIELD_BLOB, false},
};

static struct format_spec entries[] = {
    {.name = "first", .from = "tanks/+/raw", .kind = FORMAT_BYTES},
    {.name = "tanks",
     .from = "tanks/#",
     .kind = FORMAT_JSON,
     .fields = tank_fields,
     .field_count = sizeof(tank_fields) / sizeof(tank_fields[0]),
     .is_closed = true},
    {.name = "gas", .from = "gas/#", .kind = FORMAT_CBOR, .fields = tank_fields, .field_count = 8},
    {.name = "meter", .from = "meters/+", .kind = FORMAT_PROTOBUF, .message = "acme.Less"},
    {.name = "words", .from = "words", .kind = FORMAT_TEXT},
    {.name = "figures", .from = "figures", .kind = FORMAT_NUMBER},
    {.name = "ours",
     .from = "pipit/v1/+/+/event/meter",
     .kind = FORMAT_PROTOBUF,
     .message = "acme.Less"},
    {.name = "any", .from = "open/#", .kind = FORMAT_JSON},
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    size_t len;
    assert_int_equal(
        file_read(PIPIT_FORMATS_DESC, 1000000, &fixture->descriptors, &len, &fixture->e), ERR_OK);
    entries[3].descriptors = entries[6].descriptors = bytes_of(fixture->descriptors, len);
    const struct core_spec spec = {.formats = entries,
                                   .format_count = sizeof(entries) / sizeof(entries[0])};
    assert_int_equal(event_batch_create(&fixture->batch, 4, &fixture->e), ERR_OK);
    if (formats_create(&fixture->formats, &spec, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    event_batch_set_formats(fixture->batch, fixture->formats);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    event_batch_destroy(fixture->batch);
    formats_destroy(fixture->formats);
    free(fixture->descriptors);
    free(fixture);
    return 0;
}

// A lone event; NULL with the reason in e.
static struct event *read_event(struct fixture *fixture, const char *topic, struct bytes payload,
                                const char *content_type)
{
    struct event *event;
    event_batch_clear(fixture->batch);
    fixture->message = message_of(topic, payload);
    fixture->message.content_type = bytes_from_text(content_type);
    if (event_batch_add(fixture->batch, &fixture->message, &event, &fixture->e) != ERR_OK ||
        event_validate(event, &fixture->e) != ERR_OK) {
        return NULL;
    }
    return event;
}

// As text, whatever it is; to be freed.
static char *field_text(struct event *event, const char *path)
{
    struct event_value value;
    const char *problem;
    event_field(event, path, &value);
    json_t *json =
        value.kind == VALUE_BLOB ? json_string("a blob") : value_to_json(&value, &problem);
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(json);
    return text;
}

static void payloads_become_fields(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *topic, *content_type, *payload;
        size_t len; // 0: of a text.
        const char *path, *want;
    } cases[] = {
        {"JSON", "tanks/1", "", "{\"level\":1.5}", 0, "level", "1.5"},
        {"the first entry decides", "tanks/1/raw", "", "{\"level\":1.5}", 0, "level", "null"},
        {"CBOR by an entry", "gas/1", "", "\xa1\x65level\x18\x2a", 9, "level", "42"},
        {"CBOR by its content type", "x", "application/cbor", "\xa1\x61\x61\x01", 4, "a", "1"},
        {"and kinds of it", "x", "application/senml+cbor; x=y", "\x81\xa1\x02\x01", 4, "0.2", "1"},
        {"not without", "x", "", "\xa1\x61\x61\x01", 4, "a", "null"},
        {"an entry goes before the content type", "any", "application/cbor", "\xa1\x61\x61\x01", 4,
         "a", "1"},
        {"protobuf", "meters/1", "", "\x18\x05\x72\x01x", 5, "an_int32", "5"},
        {"its text", "meters/1", "", "\x18\x05\x72\x01x", 5, "a_string", "\"x\""},
        {"a protobuf message of no bytes", "meters/1", "", "", 0, "an_int32", "0"},
        {"a text", "words", "", "on", 0, "value", "\"on\""},
        {"a text that looks like JSON", "words", "", "{", 0, "value", "\"{\""},
        {"a text has one field", "words", "", "on", 0, "on", "null"},
        {"no text", "words", "", "", 0, "value", "null"},
        {"a whole number", "figures", "", " -17\n", 0, "value", "-17"},
        {"a number", "figures", "", "+1.25e1", 0, "value", "12.5"},
        {"a number beyond 63 bits", "figures", "", "9223372036854775808", 0, "value",
         "9.2233720368547758e18"},
        {"text without an entry has no fields", "x", "", "on", 0, "value", "null"},
        {"a number without an entry", "x", "", "17", 0, "value", "17"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = cases[i].len == 0 ? strlen(cases[i].payload) : cases[i].len;
        struct event *event = read_event(fixture, cases[i].topic, bytes_of(cases[i].payload, len),
                                         cases[i].content_type);
        if (event == NULL) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
        char *text = field_text(event, cases[i].path);
        if (strcmp(text, cases[i].want) != 0 && strtod(text, NULL) != strtod(cases[i].want, NULL)) {
            fail_msg("%s: %s", cases[i].why, text);
        }
        free(text);
    }
}

static void payloads_that_do_not_fit_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *topic, *payload;
        size_t len;
        const char *want; // NULL: fine.
    } cases[] = {
        {"JSON that is none", "tanks/1", "level=5", 0, "the JSON does not parse"},
        {"nothing at all", "tanks/1", "", 0, "the payload is empty; JSON was expected"},
        {"a required field", "tanks/1", "{\"unit\":\"m\"}", 0,
         "format \"tanks\": the field \"level\" is missing or null; it must be a number"},
        {"null is as good as missing", "tanks/1", "{\"level\":null}", 0, "is missing or null"},
        {"another type", "tanks/1", "{\"level\":\"high\"}", 0,
         "the field \"level\" is a text; it must be a number"},
        {"optional, null", "tanks/1", "{\"level\":1,\"unit\":null}", 0, NULL},
        {"optional, of another type", "tanks/1", "{\"level\":1,\"unit\":5}", 0,
         "the field \"unit\" is an integer; it must be a text"},
        {"a boolean", "tanks/1", "{\"level\":1,\"on\":1}", 0, "must be a boolean"},
        {"a whole number written as a real", "tanks/1", "{\"level\":1,\"count\":5.0}", 0, NULL},
        {"a real", "tanks/1", "{\"level\":1,\"count\":5.5}", 0,
         "the field \"count\" is a number; it must be an integer"},
        {"further down", "tanks/1", "{\"level\":1,\"place\":{\"lat\":true}}", 0,
         "the field \"place.lat\" is a boolean; it must be a number"},
        {"an array", "tanks/1", "{\"level\":1,\"tags\":[1]}", 0, NULL},
        {"an object for an array", "tanks/1", "{\"level\":1,\"tags\":{}}", 0, "is an object"},
        {"an array for an object", "tanks/1", "{\"level\":1,\"more\":[]}", 0, "is an array"},
        {"JSON has no blobs", "tanks/1", "{\"level\":1,\"data\":\"x\"}", 0, "must be a blob"},
        {"CBOR has", "gas/1",
         "\xa2\x65level\x01\x64"
         "data\x41\x00",
         15, NULL},
        {"fields that are not declared are fine", "tanks/1", "{\"level\":1,\"new\":2}", 0, NULL},
        {"CBOR that is none", "gas/1", "{", 0, "the CBOR does not parse: byte 0 of 1"},
        {"CBOR that lacks a field", "gas/1", "\xa0", 1, "the field \"level\" is missing"},
        {"protobuf that is none", "meters/1", "\x18", 1, "is not a acme.Less: malformed"},
        {"a text that is not UTF-8", "words", "\xff", 1, "not valid UTF-8; a text was expected"},
        {"no number", "figures", "12 C", 0, "is not a number in decimal text"},
        {"hexadecimal", "figures", "0x10", 0, "is not a number in decimal text"},
        {"infinity", "figures", "inf", 0, "is not a number in decimal text"},
        {"too large", "figures", "1e999", 0, "is not a number in decimal text"},
        {"empty", "figures", "", 0, "is not a number in decimal text"},
        {"NUL within", "figures", "1\0002", 3, "is not a number in decimal text"},
        {"bytes are anything", "tanks/1/raw", "\xff{", 2, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = cases[i].len == 0 ? strlen(cases[i].payload) : cases[i].len;
        bool is_fine =
            read_event(fixture, cases[i].topic, bytes_of(cases[i].payload, len), "") != NULL;
        if (is_fine != (cases[i].want == NULL) ||
            (!is_fine && strstr(fixture->e.text, cases[i].want) == NULL)) {
            fail_msg("%s: %s", cases[i].why, is_fine ? "taken" : fixture->e.text);
        }
    }
}

// On a topic of ours the entry is about what is within the envelope.
static void an_entry_reads_what_is_in_an_envelope(void **state)
{
    struct fixture *fixture = *state;
    Pipit__V1__Event envelope = PIPIT__V1__EVENT__INIT;
    envelope.sequence = 5;
    envelope.type = (char *)(uintptr_t) "meter";
    envelope.payload = (ProtobufCBinaryData){2, (uint8_t *)(uintptr_t) "\x18\x07"};
    struct bytes bytes =
        bytes_of(fixture->buffer, pipit__v1__event__pack(&envelope, fixture->buffer));
    struct event *event = read_event(fixture, "pipit/v1/g/d/event/meter", bytes, "");
    assert_non_null(event);
    assert_string_equal(event_id(event), "g/d/0/5");
    char *text = field_text(event, "an_int32");
    assert_string_equal(text, "7");
    free(text);
    Pipit__V1__Field own = real_field("celsius", 21.5), *list[] = {&own};
    envelope.payload.len = 0;
    envelope.fields = list;
    envelope.n_fields = 1;
    bytes = bytes_of(fixture->buffer, pipit__v1__event__pack(&envelope, fixture->buffer));
    event = read_event(fixture, "pipit/v1/g/d/event/meter", bytes, "");
    assert_non_null(event); // An event of fields has no payload that could be wrong.
    text = field_text(event, "celsius");
    assert_string_equal(text, "21.5");
    free(text);
    text = field_text(event, "an_int32");
    assert_string_equal(text, "null");
    free(text);
    envelope.n_fields = 0;
    envelope.payload = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "\x18"};
    bytes = bytes_of(fixture->buffer, pipit__v1__event__pack(&envelope, fixture->buffer));
    assert_null(read_event(fixture, "pipit/v1/g/d/event/meter", bytes, ""));
    assert_non_null(strstr(fixture->e.text, "is not a acme.Less"));
}

// The mirror's line, `fields` and fields(): the same whatever the payload was written in.
static void all_fields_are_shown_as_json(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *topic, *payload;
        size_t len;
        const char *fields, *mirror; // What stands in it.
    } cases[] = {
        {"tanks/1", "{\"level\":1.5}", 13, "{\"level\":1.5}", "\"payload\":{\"level\":1.5}"},
        {"gas/1", "\xa2\x65level\x01\x61\x62\x41\xfe", 12, "{\"level\":1,\"b\":\"fe\"}",
         "\"payload\":{\"level\":1,\"b\":\"fe\"}"},
        {"meters/1", "\x18\x05", 2, "{\"an_int32\":5,\"a_string\":\"\"}",
         "\"payload\":{\"an_int32\":5,\"a_string\":\"\"}"},
        {"words", "on", 2, "{\"value\":\"on\"}", "\"payload\":{\"value\":\"on\"}"},
        {"figures", "5", 1, "{\"value\":5}", "\"payload\":{\"value\":5}"},
        {"tanks/1/raw", "\xff", 1, NULL, "\"payload_hex\":\"ff\""},
        {"x", "on", 2, NULL, "\"payload\":\"on\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct event *event =
            read_event(fixture, cases[i].topic, bytes_of(cases[i].payload, cases[i].len), "");
        if (event == NULL) {
            fail_msg("%s: %s", cases[i].topic, fixture->e.text);
        }
        struct event_value value;
        event_column(event, EVENT_COLUMN_FIELDS, &value);
        char *fields = value.kind == VALUE_NULL ? NULL : json_to_text(value.tree);
        char *mirror = event_to_json(event);
        if ((fields == NULL) != (cases[i].fields == NULL) ||
            (fields != NULL && strcmp(fields, cases[i].fields) != 0) ||
            strstr(mirror, cases[i].mirror) == NULL) {
            fail_msg("%s: %s, %s", cases[i].topic, fields, mirror);
        }
        free(fields);
        free(mirror);
    }
}

static void columns_that_cannot_be_are_found(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *filter, *column;
        bool is_lacking;
        const char *near;
    } cases[] = {
        {"declared", "tanks/x", "level", false, NULL},
        {"not declared", "tanks/x", "levle", true, "level"},
        {"a standard column", "tanks/x", "topic", false, NULL},
        {"whatever its case", "tanks/x", "TIME", false, NULL},
        {"a field called like one", "tanks/x", "fields.topic", true, NULL},
        {"above a declared one", "tanks/x", "place", false, NULL},
        {"beside a declared one", "tanks/x", "place.lon", true, "place.lat"},
        {"within an object", "tanks/x", "more.any.thing", false, NULL},
        {"within a number", "tanks/x", "level.x", true, "level"},
        {"an entry before it decides for some", "tanks/+/raw", "level", true, NULL},
        {"but not for others", "tanks/#", "level", false, NULL},
        {"neither has it", "tanks/#", "levle", true, "level"},
        {"not closed", "gas/x", "levle", false, NULL},
        {"protobuf is closed", "meters/7", "an_int33", true, "an_int32"},
        {"protobuf", "meters/7", "an_int32", false, NULL},
        {"topics without an entry", "meters/#", "an_int33", false, NULL},
        {"no entry at all", "other/#", "x", false, NULL},
        {"everything", "#", "nothing", false, NULL},
        {"a text", "words", "volue", true, "value"},
        {"a text's one field", "words", "value", false, NULL},
        {"bytes", "tanks/7/raw", "value", true, NULL},
        {"our own topics have envelopes", "pipit/v1/+/+/event/meter", "celsius", false, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *near = "none";
        bool is_lacking = formats_lack(fixture->formats, cases[i].filter, cases[i].column, &near);
        bool is_near = near == cases[i].near ||
                       (near != NULL && cases[i].near != NULL && strcmp(near, cases[i].near) == 0);
        if (is_lacking != cases[i].is_lacking || !is_near) {
            fail_msg("%s: %d, near %s", cases[i].why, is_lacking, near == NULL ? "none" : near);
        }
    }
    const char *near;
    assert_false(formats_lack(NULL, "a", "b", &near));
}

static void entries_are_checked(void **state)
{
    struct fixture *fixture = *state;
    struct format_spec bad[] = {
        {.name = "m",
         .from = "a",
         .kind = FORMAT_PROTOBUF,
         .message = "acme.Les",
         .descriptors = entries[3].descriptors},
        {.name = "f", .from = "a/#/b", .kind = FORMAT_JSON},
    };
    static const char *const want[] = {
        "format \"m\": there is no message \"acme.Les\" in the descriptor set; did you mean "
        "\"acme.Less\"?",
        "format \"f\": topic filter \"a/#/b\" has a # that is not its last level",
    };
    for (size_t i = 0; i < 2; i++) {
        const struct core_spec spec = {.formats = &bad[i], .format_count = 1};
        struct formats *formats = NULL;
        assert_int_equal(formats_create(&formats, &spec, &fixture->e), ERR_CONFIG);
        assert_string_equal(fixture->e.text, want[i]);
        assert_null(formats);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(payloads_become_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(payloads_that_do_not_fit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_reads_what_is_in_an_envelope, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_fields_are_shown_as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_that_cannot_be_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(entries_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
