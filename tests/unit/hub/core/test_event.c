// Messages become events with identity, type and fields, or a sentence that says why not.
#include <jansson.h>
#include <stdlib.h>

#include "event_support.h"

#define TOPIC "pipit/v1/plant/dev1/event/temperature"

struct fixture {
    struct event_batch *batch;
    struct event *event;
    struct error e;
    uint8_t buffer[65536];
    struct message messages[8];
    uint32_t count;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(event_batch_create(&fixture->batch, 8, &fixture->e), ERR_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    event_batch_destroy(fixture->batch);
    free(fixture);
    return 0;
}

static enum err add(struct fixture *fixture, const char *topic, struct bytes payload)
{
    event_batch_clear(fixture->batch);
    fixture->messages[0] = message_of(topic, payload);
    return event_batch_add(fixture->batch, &fixture->messages[0], &fixture->event, &fixture->e);
}

static enum err add_text(struct fixture *fixture, const char *topic, const char *text)
{
    return add(fixture, topic, bytes_from_text(text));
}

// The event as JSON, one member of it.
static void expect_member(struct fixture *fixture, const char *name, const char *want)
{
    char *text = event_to_json(fixture->event);
    json_t *object = json_loads(text, 0, NULL);
    char *have = json_dumps(json_object_get(object, name), JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(have == NULL ? "absent" : have, want);
    free(have);
    json_decref(object);
    free(text);
}

static void a_pipit_event_is_decoded(void **state)
{
    struct fixture *fixture = *state;
    Pipit__V1__Field fields[] = {real_field("celsius", 27.1), text_field("room", "küche")};
    struct bytes payload = pack_event(fixture->buffer, "temperature", 42, fields, 2);
    assert_int_equal(add(fixture, TOPIC, payload), ERR_OK);
    assert_int_equal(event_kind(fixture->event), EVENT_PIPIT);
    assert_string_equal(event_identity(fixture->event)->key, "plant/dev1");
    assert_int_equal(event_identity(fixture->event)->boot, 7);
    assert_int_equal(event_identity(fixture->event)->sequence, 42);
    assert_string_equal(event_id(fixture->event), "plant/dev1/7/42");
    assert_string_equal(event_type(fixture->event), "temperature");
    assert_false(event_wants_receipt(fixture->event));
    int64_t time_ms;
    assert_true(event_time_ms(fixture->event, &time_ms));
    assert_int_equal(time_ms, 1700000000000);
    expect_member(fixture, "fields", "{\"celsius\":27.100000000000001,\"room\":\"küche\"}");
    char *text = event_to_json(fixture->event);
    assert_non_null(strstr(text, "\"celsius\":27.1,")); // The shortest that names it.
    free(text);
}

static void expect_error(struct fixture *fixture, const char *topic, struct bytes payload,
                         const char *want)
{
    assert_int_equal(add(fixture, topic, payload), ERR_INVALID);
    if (strstr(fixture->e.text, want) == NULL) {
        fail_msg("want \"%s\", have \"%s\"", want, fixture->e.text);
    }
    assert_int_equal(event_batch_count(fixture->batch), 0);
}

static void bad_bytes_are_refused_with_a_reason(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why;
        struct bytes payload;
        const char *want;
    } cases[] = {
#define BYTES(text) {(const uint8_t *)(text), sizeof(text) - 1}
        {"no protobuf", BYTES("{\"celsius\":1}"), "malformed or cut short"},
        {"cut in a field", BYTES("\x10\x01\x1a\x0btemp"), "malformed or cut short"},
        {"a member of 4 GB", BYTES("\x1a\xff\xff\xff\xff\x0f"), "malformed or cut short"},
        {"empty", BYTES(""), "the envelope says type \"\""},
        {"no sequence", BYTES("\x1a\x0btemperature"), "sequences start at 1"},
        {"type of another topic", BYTES("\x10\x01\x1a\x04heat"),
         "the envelope says type \"heat\" but the topic says \"temperature\""},
        {"type with NUL", BYTES("\x10\x01\x1a\x0ctemperature\0"), "type holds a NUL character"},
        {"a field without value", BYTES("\x10\x01\x1a\x0btemperature\x2a\x03\x0a\x01x"),
         "field \"x\" has no value"},
        {"a field without name", BYTES("\x10\x01\x1a\x0btemperature\x2a\x02\x10\x01"),
         "field 1 must have a name"},
        {"a name that is not UTF-8",
         BYTES("\x10\x01\x1a\x0btemperature\x2a\x05\x0a\x01\xff\x10\x01"),
         "a field's name is not valid UTF-8"},
        {"a text that is not UTF-8",
         BYTES("\x10\x01\x1a\x0btemperature\x2a\x06\x0a\x01x\x3a\x01\xff"),
         "field \"x\": the text is not valid UTF-8"},
        {"a text with NUL", BYTES("\x10\x01\x1a\x0btemperature\x2a\x07\x0a\x01x\x3a\x02\0a"),
         "field \"x\": the text holds a NUL character"},
        {"a name twice",
         BYTES("\x10\x01\x1a\x0btemperature\x2a\x05\x0a\x01x\x10\x01\x2a\x05\x0a\x01x\x10\x01"),
         "field \"x\" is there twice"},
        {"fields and payload",
         BYTES("\x10\x01\x1a\x0btemperature\x2a\x05\x0a\x01x\x10\x01\x32\x01z"),
         "both fields and a payload"},
#undef BYTES
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_error(fixture, TOPIC, cases[i].payload, cases[i].want);
    }
}

static void topics_of_ours_are_checked(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *topic, *want;
    } cases[] = {{"pipit/v1//dev/event/t", "must have a group"},
                 {"pipit/v1/g//event/t", "must have a device"},
                 {"pipit/v1/g/d/event", "lacks the event type"},
                 {"pipit/v1/g/d/reply/", "lacks the command's name"},
                 {"a/+/b", "holds the wildcard +"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_error(fixture, cases[i].topic, bytes_of("", 0), cases[i].want);
    }
    static const char *const foreign[] = {"pipit/v1/$hub/h/event/x", "pipit/v1/g/d/command/boost",
                                          "pipit/v2/g/d/event/t", "pipit/v1/g/d/status/x", "pipit"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        assert_int_equal(add_text(fixture, foreign[i], "x"), ERR_OK);
        assert_int_equal(event_kind(fixture->event), EVENT_FOREIGN);
        assert_string_equal(event_identity(fixture->event)->key, "");
    }
}

// A prefix of a good event is refused or, where it ends between members, lacks something; never
// more.
static void every_prefix_and_every_flip_is_survived(void **state)
{
    struct fixture *fixture = *state;
    Pipit__V1__Field fields[] = {real_field("celsius", 27.1), text_field("room", "x")};
    struct bytes payload = pack_event(fixture->buffer, "temperature", 42, fields, 2);
    for (size_t len = 0; len < payload.len; len++) {
        add(fixture, TOPIC, bytes_of(payload.ptr, len));
    }
    for (size_t i = 0; i < payload.len * 8; i++) {
        uint8_t *changed = malloc(payload.len); // Exactly as long, for the sanitizer.
        memcpy(changed, payload.ptr, payload.len);
        changed[i / 8] ^= (uint8_t)(1 << (i % 8));
        if (add(fixture, TOPIC, bytes_of(changed, payload.len)) == ERR_OK) {
            free(event_to_json(fixture->event));
        }
        free(changed);
    }
}

static void fields_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    static char names[257][8];
    static Pipit__V1__Field fields[257];
    for (size_t i = 0; i < 257; i++) {
        snprintf(names[i], sizeof(names[i]), "f%zu", i);
        fields[i] = real_field(names[i], 1.5);
    }
    struct bytes payload = pack_event(fixture->buffer, "temperature", 1, fields, 256);
    assert_int_equal(add(fixture, TOPIC, payload), ERR_OK);
    payload = pack_event(fixture->buffer, "temperature", 1, fields, 257);
    expect_error(fixture, TOPIC, payload, "more than 256 fields");
    for (size_t i = 0; i + 1 < sizeof(fixture->buffer); i += 2) { // Empty fields, 32768 of them.
        fixture->buffer[i] = 0x2a;
        fixture->buffer[i + 1] = 0;
    }
    expect_error(fixture, TOPIC, bytes_of(fixture->buffer, sizeof(fixture->buffer)),
                 "more than 256 fields");
}

static void status_and_reply_have_their_members_as_fields(void **state)
{
    struct fixture *fixture = *state;
    Pipit__V1__Status status = PIPIT__V1__STATUS__INIT;
    status.online = 1;
    status.boot = 9;
    status.software = (char *)(uintptr_t) "pump 1.2";
    status.waiting = 3;
    struct bytes payload =
        bytes_of(fixture->buffer, pipit__v1__status__pack(&status, fixture->buffer));
    assert_int_equal(add(fixture, "pipit/v1/g/d/status", payload), ERR_OK);
    assert_int_equal(event_kind(fixture->event), EVENT_STATUS);
    assert_string_equal(event_type(fixture->event), "status");
    assert_int_equal(event_identity(fixture->event)->sequence, 0);
    char *text = event_to_json(fixture->event);
    assert_non_null(strstr(text, "\"online\":true"));
    assert_non_null(strstr(text, "\"software\":\"pump 1.2\""));
    free(text);
    Pipit__V1__Field field = real_field("speed", 0.5), *list[] = {&field};
    Pipit__V1__Reply reply = PIPIT__V1__REPLY__INIT;
    reply.id = (char *)(uintptr_t) "c-1";
    reply.status = -2;
    reply.fields = list;
    reply.n_fields = 1;
    payload = bytes_of(fixture->buffer, pipit__v1__reply__pack(&reply, fixture->buffer));
    assert_int_equal(add(fixture, "pipit/v1/g/d/reply/boost", payload), ERR_OK);
    assert_string_equal(event_type(fixture->event), "reply/boost");
    text = event_to_json(fixture->event);
    assert_non_null(strstr(text, "\"id\":\"c-1\""));
    assert_non_null(strstr(text, "\"status\":-2"));
    assert_non_null(strstr(text, "\"speed\":0.5"));
    free(text);
}

static void json_is_validated_where_it_must_be_json(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *payload, *content_type, *want; // NULL: valid.
    } cases[] = {
        {"an object", "{\"a\":1}", "", NULL},
        {"begins like an object", "{\"a\":", "", "the JSON does not parse: line 1"},
        {"plain text", "on", "", NULL},
        {"text in brackets", "[info] started", "", NULL},
        {"says it is JSON", "on", "application/json", "does not parse"},
        {"says it is a kind of JSON", "{", "application/senml+json; charset=utf-8",
         "does not parse"},
        {"says it is something else", "{", "text/plain", NULL},
        {"a member twice", "{\"a\":1,\"a\":2}", "", "has a member twice"},
        {"NUL in a text", "{\"a\":\"x\\u0000y\"}", "", NULL},
        {"too large a number", "{\"a\":123456789012345678901234567890}", "", "64 bits do not hold"},
        {"more behind it", "{} {}", "", "trailing garbage"},
        {"not UTF-8", "{\"a\":\"\xff\"}", "", "does not parse"},
        {"text that is not UTF-8", "\xff", "text/plain", "not valid UTF-8"},
        {"bytes", "\xff\xfe", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        event_batch_clear(fixture->batch);
        fixture->messages[0] = message_of("legacy/1", bytes_from_text(cases[i].payload));
        fixture->messages[0].content_type = bytes_from_text(cases[i].content_type);
        assert_int_equal(
            event_batch_add(fixture->batch, &fixture->messages[0], &fixture->event, &fixture->e),
            ERR_OK);
        enum err rc = event_validate(fixture->event, &fixture->e);
        if (rc != (cases[i].want == NULL ? ERR_OK : ERR_INVALID) ||
            (cases[i].want != NULL && strstr(fixture->e.text, cases[i].want) == NULL)) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
    }
}

static void json_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char *text = (char *)fixture->buffer;
    for (int depth = 32; depth <= 33; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        text[2 * depth] = '\0';
        char whole[100];
        snprintf(whole, sizeof(whole), "{\"a\":%s}", text + 1); // One level is the object.
        whole[strlen(whole) - 2] = '}';
        whole[strlen(whole) - 1] = '\0';
        assert_int_equal(add_text(fixture, "x", whole), ERR_OK);
        enum err rc = event_validate(fixture->event, &fixture->e);
        assert_int_equal(rc, depth == 32 ? ERR_OK : ERR_INVALID);
    }
    assert_string_equal(fixture->e.text,
                        "the JSON is nested deeper than 32 levels (line 1, column 37)");
    size_t len = 200000;
    char *many = malloc(len);
    for (size_t i = 0; i < len; i++) {
        many[i] = i % 2 == 0 ? '1' : ',';
    }
    memcpy(many, "{\"a\":[", 6);
    memcpy(many + len - 3, "1]}", 3);
    assert_int_equal(add(fixture, "x", bytes_of(many, len)), ERR_OK);
    assert_int_equal(event_validate(fixture->event, &fixture->e), ERR_INVALID);
    assert_non_null(strstr(fixture->e.text, "the JSON has too many members and items"));
    free(many);
}

static void identity_can_be_set(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(add_text(fixture, "legacy/5/telemetry", "{\"n\":3}"), ERR_OK);
    assert_string_equal(event_id(fixture->event), "");
    event_set_id(fixture->event, "ab12cd34/9");
    assert_string_equal(event_id(fixture->event), "ab12cd34/9");
    event_set_identity(fixture->event, "legacy", "5", 1, 3);
    assert_string_equal(event_id(fixture->event), "legacy/5/1/3");
    assert_string_equal(event_device(fixture->event), "5");
}

static void a_batch_has_its_size(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t i = 0; i < 9; i++) {
        struct message *message = &fixture->messages[i % 8];
        *message = message_of("a", bytes_from_text("1"));
        assert_int_equal(event_batch_add(fixture->batch, message, &fixture->event, &fixture->e),
                         i < 8 ? ERR_OK : ERR_FULL);
    }
    assert_int_equal(event_batch_count(fixture->batch), 8);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_pipit_event_is_decoded),
        TEST(bad_bytes_are_refused_with_a_reason),
        TEST(topics_of_ours_are_checked),
        TEST(every_prefix_and_every_flip_is_survived),
        TEST(fields_are_bounded),
        TEST(status_and_reply_have_their_members_as_fields),
        TEST(json_is_validated_where_it_must_be_json),
        TEST(json_is_bounded),
        TEST(identity_can_be_set),
        TEST(a_batch_has_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
