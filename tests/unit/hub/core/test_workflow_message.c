// What steps send: addresses, payloads, properties, commands; and what cannot be sent.
#include <pipit/v1/pipit.pb-c.h>

#include "core/properties.h"
#include "core/workflow_message.h"
#include "store_support.h"

#define PARTS_MAX 4
#define NOW_MS    1700000000123

static const char *const variables[] = {"device", "n",     "ratio",  "note",
                                        "tags",   "empty", "absent", "is_on"};
#define VARIABLES                                                                                  \
    "{\"device\": \"plant/press\", \"n\": 3, \"ratio\": 0.5, \"note\": \"a b/c\","                 \
    " \"tags\": [1, \"x\"], \"empty\": \"\", \"absent\": null, \"is_on\": true}"

struct fixture {
    struct store *store;
    struct rule_space *space;
    struct event_memory memory;
    json_t *values;
    struct query_input input;
    struct workflow_step step;
    struct error e;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->store = open_store(":memory:");
    assert_ok(rule_space_get(store_db(fixture->store), &fixture->space, &fixture->e), fixture->e);
    event_memory_init(&fixture->memory);
    fixture->values = json_loads(VARIABLES, 0, NULL);
    assert_non_null(fixture->values);
    fixture->input = (struct query_input){.variables = fixture->values,
                                          .key = "key 1",
                                          .workflow = "cooling",
                                          .now_ms = NOW_MS,
                                          .memory = &fixture->memory,
                                          .steps_max = 100000};
    *state = fixture;
    return 0;
}

static void step_clear(struct fixture *fixture)
{
    workflow_query_destroy(fixture->step.message.address);
    workflow_query_destroy(fixture->step.message.properties);
    workflow_query_destroy(fixture->step.message.fields);
    fixture->step = (struct workflow_step){.name = "tell"};
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    step_clear(fixture);
    json_decref(fixture->values);
    event_memory_deinit(&fixture->memory);
    store_close(fixture->store);
    free(fixture);
    return 0;
}

static struct workflow_query *query_of(struct fixture *fixture, const struct query_part *parts)
{
    uint32_t count = 0, part;
    while (count < PARTS_MAX && parts[count].text != NULL) {
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    const struct query_spec spec = {.over = QUERY_VARIABLES,
                                    .variables = variables,
                                    .variable_count = sizeof(variables) / sizeof(variables[0]),
                                    .parts = parts,
                                    .part_count = count};
    struct workflow_query *query = NULL;
    assert_ok(workflow_query_create(&query, fixture->space, &spec, &part, &fixture->e), fixture->e);
    return query;
}

#define TOPIC(t)                                                                                   \
    {                                                                                              \
        .name = "topic", .text = (t), .is_template = true                                          \
    }
#define URL(t)                                                                                     \
    {                                                                                              \
        .name = "topic", .text = (t), .is_template = true, .is_url = true                          \
    }
#define TEXT(t)                                                                                    \
    {                                                                                              \
        .name = "text", .text = (t), .is_template = true                                           \
    }
#define TYPE(t)                                                                                    \
    {                                                                                              \
        .name = "type", .text = (t), .is_template = true                                           \
    }
#define SQL(n, t)                                                                                  \
    {                                                                                              \
        .name = (n), .text = (t)                                                                   \
    }

// want_payload NULL: not looked at. want_error: part of the sentence.
static const struct message_case {
    const char *why;
    enum payload_format format;
    bool is_url;
    struct query_part address[PARTS_MAX], fields[PARTS_MAX], properties[PARTS_MAX];
    const char *want_topic, *want_payload, *want_type, *want_error;
} cases[] = {
    {"fields as JSON, each as what it is",
     PAYLOAD_JSON,
     false,
     {TOPIC("alarms/{device}")},
     {SQL("n", "n + 1"), SQL("all", "tags"), SQL("on", "is_on"), SQL("none", "absent")},
     {{0}},
     "alarms/plant/press",
     "{\"n\":4,\"all\":[1,\"x\"],\"on\":true,\"none\":null}",
     "application/json",
     NULL},
    {"a text of its own goes before fields",
     PAYLOAD_TEXT,
     false,
     {TOPIC("say"), TEXT("{n} of {{many}}: {note}")},
     {SQL("n", "n")},
     {{0}},
     "say",
     "3 of {many}: a b/c",
     "text/plain; charset=utf-8",
     NULL},
    {"without one the first field is the text",
     PAYLOAD_TEXT,
     false,
     {TOPIC("say")},
     {SQL("x", "ratio"), SQL("y", "n")},
     {{0}},
     "say",
     "0.5",
     "text/plain; charset=utf-8",
     NULL},
    {"CBOR",
     PAYLOAD_CBOR,
     false,
     {TOPIC("say")},
     {SQL("n", "n")},
     {{0}},
     "say",
     "\xa1\x61n\x03",
     "application/cbor",
     NULL},
    {"nothing to say: an empty payload",
     PAYLOAD_JSON,
     false,
     {TOPIC("say")},
     {{0}},
     {{0}},
     "say",
     "",
     "",
     NULL},
    {"an address of HTTP is no topic and its values are encoded",
     PAYLOAD_JSON,
     true,
     {URL("PUT /items/{note}?n={n}")},
     {SQL("n", "n")},
     {{0}},
     "PUT /items/a%20b%2Fc?n=3",
     "{\"n\":3}",
     "application/json",
     NULL},
    {"a DELETE carries nothing, and nobody is shown that it did",
     PAYLOAD_JSON,
     true,
     {URL("DELETE /items/{n}")},
     {SQL("n", "n")},
     {{0}},
     "DELETE /items/3",
     "",
     "",
     NULL},
    {"a path alone is a POST",
     PAYLOAD_JSON,
     true,
     {URL("/items/{n}")},
     {SQL("n", "n")},
     {{0}},
     "/items/3",
     "{\"n\":3}",
     "application/json",
     NULL},
    {"a wildcard",
     PAYLOAD_JSON,
     false,
     {TOPIC("alarms/{'+'}")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "the topic \"alarms/+\" holds the wildcard"},
    {"an empty level in between",
     PAYLOAD_JSON,
     false,
     {TOPIC("a/{empty}/b")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "the topic \"a//b\" has an empty level"},
    {"an empty level at the end",
     PAYLOAD_JSON,
     false,
     {TOPIC("a/{empty}")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "has an empty level"},
    {"an empty topic",
     PAYLOAD_JSON,
     false,
     {TOPIC("{empty}")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "the topic \"\" is empty"},
    {"a topic that is too long",
     PAYLOAD_JSON,
     false,
     {TOPIC("{printf('%080000d', 0)}")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "the topic \"0000"},
    {"NULL in a topic",
     PAYLOAD_JSON,
     false,
     {TOPIC("a/{absent}")},
     {{0}},
     {{0}},
     NULL,
     NULL,
     NULL,
     "{absent} is NULL"},
    {"a payload that is too large",
     PAYLOAD_JSON,
     false,
     {TOPIC("say")},
     {SQL("x", "printf('%01200000d', 0)")},
     {{0}},
     NULL,
     NULL,
     NULL,
     "is larger than 1000000 bytes"},
    {"a blob in JSON",
     PAYLOAD_JSON,
     false,
     {TOPIC("say")},
     {SQL("x", "x'00ff'")},
     {{0}},
     NULL,
     NULL,
     NULL,
     "\"x\" is a blob"},
    {"a text that is none",
     PAYLOAD_TEXT,
     false,
     {TOPIC("say")},
     {SQL("x", "CAST(x'ff' AS TEXT)")},
     {{0}},
     NULL,
     NULL,
     NULL,
     "not valid UTF-8"},
    {"a type that cannot be one",
     PAYLOAD_PIPIT,
     false,
     {TOPIC("say"), TYPE("a/{'#'}")},
     {SQL("x", "1")},
     {{0}},
     NULL,
     NULL,
     NULL,
     "cannot be the type of a Pipit event"},
    {"properties of which one is too much",
     PAYLOAD_JSON,
     false,
     {TOPIC("say")},
     {{0}},
     {SQL("a", "printf('%020000d', 0)"), SQL("b", "printf('%020000d', 0)")},
     NULL,
     NULL,
     NULL,
     "with property b the properties are more than 32768 bytes"},
};

static void use(struct fixture *fixture, const struct message_case *test)
{
    step_clear(fixture);
    fixture->step.kind = STEP_EMIT;
    fixture->step.message.format = test->format;
    fixture->step.message.is_url = test->is_url;
    fixture->step.message.address = query_of(fixture, test->address);
    fixture->step.message.fields = query_of(fixture, test->fields);
    fixture->step.message.properties = query_of(fixture, test->properties);
}

static void messages_are_made(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct message_case *test = &cases[i];
        struct workflow_made made;
        use(fixture, test);
        enum err rc = workflow_message_make(&fixture->step, &fixture->input, &made, &fixture->e);
        if (test->want_error != NULL) {
            if (rc != ERR_INVALID || strstr(fixture->e.text, test->want_error) == NULL) {
                fail_msg("%s: %s", test->why, rc == ERR_OK ? "was made" : fixture->e.text);
            }
            continue;
        }
        if (rc != ERR_OK || !bytes_equal(made.topic, bytes_from_text(test->want_topic)) ||
            !bytes_equal(made.payload, bytes_from_text(test->want_payload)) ||
            strcmp(made.content_type, test->want_type) != 0) {
            fail_msg("%s: %s, %.*s", test->why, rc == ERR_OK ? "wrong" : fixture->e.text,
                     (int)made.payload.len, (const char *)made.payload.ptr);
        }
    }
}

// Those without a value are left out.
static void properties_are_made(void **state)
{
    struct fixture *fixture = *state;
    static const struct message_case with_properties = {
        .address = {TOPIC("say")},
        .properties = {SQL("a", "note"), SQL("b", "absent"), SQL("c", "empty"), SQL("d", "n")},
    };
    struct workflow_made made;
    use(fixture, &with_properties);
    assert_ok(workflow_message_make(&fixture->step, &fixture->input, &made, &fixture->e),
              fixture->e);
    assert_true(bytes_equal(made.properties, bytes_of("a\0a b/c\0d\0"
                                                      "3\0",
                                                      12)));
}

static void an_event_has_type_time_and_fields(void **state)
{
    struct fixture *fixture = *state;
    static const struct message_case events[] = {
        {.format = PAYLOAD_PIPIT,
         .address = {TOPIC("say"), TYPE("alarm/{n}")},
         .fields = {SQL("n", "n"), SQL("none", "absent"), SQL("on", "is_on")}},
        {.format = PAYLOAD_PIPIT, .address = {TOPIC("say")}, .fields = {SQL("n", "n")}},
    };
    static const char *const types[] = {"alarm/3", "cooling"}; // The workflow's name.
    for (size_t i = 0; i < 2; i++) {
        struct workflow_made made;
        use(fixture, &events[i]);
        assert_ok(workflow_message_make(&fixture->step, &fixture->input, &made, &fixture->e),
                  fixture->e);
        Pipit__V1__Event *event =
            pipit__v1__event__unpack(NULL, made.payload.len, made.payload.ptr);
        assert_non_null(event);
        assert_string_equal(event->type, types[i]);
        assert_int_equal(event->time, NOW_MS);
        assert_int_equal(event->sequence, 0);
        assert_int_equal(event->n_fields, 2 - i);
        assert_int_equal(event->fields[0]->signed_, 3);
        assert_true(i == 1 || event->fields[1]->boolean);
        pipit__v1__event__free_unpacked(event, NULL);
    }
}

// ---- commands -----------------------------------------------------------------------------------

static void use_command(struct fixture *fixture, const char *device, const char *name,
                        const struct query_part *fields)
{
    const struct query_part address[PARTS_MAX] = {
        SQL("device", device), {.name = "command", .text = name, .is_template = true}};
    step_clear(fixture);
    fixture->step.kind = STEP_COMMAND;
    fixture->step.message.address = query_of(fixture, address);
    fixture->step.message.fields = fields == NULL ? NULL : query_of(fixture, fields);
}

static void a_command_is_what_the_device_reads(void **state)
{
    struct fixture *fixture = *state;
    static const struct query_part fields[PARTS_MAX] = {SQL("level", "n"), SQL("why", "note"),
                                                        SQL("none", "absent")};
    struct workflow_made made;
    use_command(fixture, "device", "set/{n}", fields);
    assert_ok(workflow_command_make(&fixture->step, &fixture->input, "id-1", NOW_MS + 5, &made,
                                    &fixture->e),
              fixture->e);
    assert_true(bytes_equal(made.topic, bytes_from_text("pipit/v1/plant/press/command/set/3")));
    assert_true(bytes_equal(made.properties, bytes_of(PROPERTY_EXPIRES "\0"
                                                                       "1700000000128\0",
                                                      sizeof(PROPERTY_EXPIRES) + 14)));
    Pipit__V1__Command *command =
        pipit__v1__command__unpack(NULL, made.payload.len, made.payload.ptr);
    assert_non_null(command);
    assert_string_equal(command->id, "id-1");
    assert_string_equal(command->name, "set/3");
    assert_int_equal(command->expires, NOW_MS + 5);
    assert_int_equal(command->n_fields, 2);
    assert_string_equal(command->fields[0]->name, "level");
    assert_int_equal(command->fields[0]->signed_, 3);
    assert_string_equal(command->fields[1]->text, "a b/c");
    pipit__v1__command__free_unpacked(command, NULL);
}

static void a_command_may_have_no_fields_and_no_end(void **state)
{
    struct fixture *fixture = *state;
    struct workflow_made made;
    use_command(fixture, "device", "reset", NULL);
    assert_ok(workflow_command_make(&fixture->step, &fixture->input, "id-1", 0, &made, &fixture->e),
              fixture->e);
    assert_int_equal(made.properties.len, 0);
    Pipit__V1__Command *command =
        pipit__v1__command__unpack(NULL, made.payload.len, made.payload.ptr);
    assert_non_null(command);
    assert_int_equal(command->expiry_case, PIPIT__V1__COMMAND__EXPIRY__NOT_SET);
    assert_int_equal(command->n_fields, 0);
    pipit__v1__command__free_unpacked(command, NULL);
}

static const struct {
    const char *why, *device, *name, *want_error;
} strangers[] = {
    {"no group", "'press'", "boost", "\"press\" is no device"},
    {"nothing", "absent", "boost", "\"\" is no device"},
    {"an empty group", "'/press'", "boost", "is no device"},
    {"an empty name", "'plant/'", "boost", "is no device"},
    {"three levels", "'plant/hall/press'", "boost", "is no device"},
    {"a wildcard for all", "'plant/+'", "boost", "is no device"},
    {"the hub's own group", "'$hub/x'", "boost", "is no device"},
    {"a number", "5", "boost", "\"5\" is no device"},
    {"a blob", "x'00'", "boost", "device: is a blob"},
    {"a name that is too long", "'plant/' || printf('%0200d', 0)", "boost", "is no device"},
    {"a command without a name", "device", "{empty}", "name: a command's has 1 to 128 bytes"},
    {"a command with a wildcard", "device", "all/#", "holds the wildcard #"},
    {"a command with an empty level", "device", "a//b", "has an empty level"},
};

static void what_is_no_device_gets_no_command(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        struct workflow_made made;
        use_command(fixture, strangers[i].device, strangers[i].name, NULL);
        enum err rc =
            workflow_command_make(&fixture->step, &fixture->input, "id-1", 0, &made, &fixture->e);
        if (rc != ERR_INVALID || strstr(fixture->e.text, strangers[i].want_error) == NULL) {
            fail_msg("%s: %s", strangers[i].why, rc == ERR_OK ? "was made" : fixture->e.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(properties_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_has_type_time_and_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_is_what_the_device_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_may_have_no_fields_and_no_end, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_device_gets_no_command, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
