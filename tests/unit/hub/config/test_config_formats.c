// The section `formats`: what it becomes, and what is said about a wrong one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include "unit/hub/config/config_support.h"

#define HEAD                                                                                       \
    "hub: {id: h, store: s}\n"                                                                     \
    "sources: {s: {mqtt: {url: u}, topics: [a]}}\n"                                                \
    "formats:\n"

static void entries_are_read_in_order(void **state)
{
    (void)state;
    struct folder folder;
    folder_create(&folder);
    struct config *config = folder_load(
        &folder, HEAD
        "  meter: {from: meters/+, protobuf: {descriptors: " PIPIT_FORMATS_DESC
        ", message: .acme.Less}}\n"
        "  tanks: {from: tanks/#, json: {}, closed: true, fields: {level: number, unit: \"text?\","
        " place.lat: \"any?\", on: boolean, n: integer, b: blob, o: object, a: \"array?\"}}\n"
        "  gas: {from: gas/#, cbor: }\n"
        "  t: {from: t, text: {}}\n  n: {from: n, number: {}}\n  b: {from: b, bytes: {}}\n"
        "  s: {from: spBv1.0/#, sparkplug: {}}\n  c: {from: c/#, cloudevents: {}}\n");
    if (config == NULL) {
        fail_msg("%s", folder.faults);
    }
    const struct core_spec *core = &config->core;
    static const enum format_kind kinds[] = {FORMAT_PROTOBUF,  FORMAT_JSON,       FORMAT_CBOR,
                                             FORMAT_TEXT,      FORMAT_NUMBER,     FORMAT_BYTES,
                                             FORMAT_SPARKPLUG, FORMAT_CLOUDEVENTS};
    assert_int_equal(core->format_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(core->formats[i].kind, kinds[i]);
    }
    assert_string_equal(core->formats[0].name, "meter");
    assert_string_equal(core->formats[0].from, "meters/+");
    assert_string_equal(core->formats[0].message, ".acme.Less");
    assert_true(core->formats[0].descriptors.len > 1000);
    assert_false(core->formats[0].is_closed);
    assert_true(core->formats[1].is_closed);
    static const struct field_spec fields[] = {
        {"level", FIELD_NUMBER, true}, {"unit", FIELD_TEXT, false}, {"place.lat", FIELD_ANY, false},
        {"on", FIELD_BOOLEAN, true},   {"n", FIELD_INTEGER, true},  {"b", FIELD_BLOB, true},
        {"o", FIELD_OBJECT, true},     {"a", FIELD_ARRAY, false},
    };
    assert_int_equal(core->formats[1].field_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(core->formats[1].fields[i].name, fields[i].name);
        assert_int_equal(core->formats[1].fields[i].type, fields[i].type);
        assert_int_equal(core->formats[1].fields[i].is_required, fields[i].is_required);
    }
    config_destroy(config);
    folder_destroy(&folder);
}

static void faults_have_their_places(void **state)
{
    (void)state;
    static const struct {
        const char *why, *entry, *want;
    } cases[] = {
        {"a kind that is misspelt", "x: {from: a, jsn: {}}",
         "4:16: unknown key 'jsn' in format x; did you mean 'json'?"},
        {"no kind", "x: {from: a}",
         "4:6: format x: what payloads are is missing: json, cbor, protobuf, sparkplug, "
         "cloudevents, text, number or bytes"},
        {"two kinds", "x: {from: a, json: {}, cbor: {}}",
         "4:26: format x: 'cbor' besides 'json'; an entry is of one kind"},
        {"no filter", "x: {json: {}}",
         "4:6: format x: 'from' is missing: Topic filter of the messages that this entry is for."},
        {"a bad filter", "x: {from: a/+b, json: {}}",
         "4:13: format x: from: topic filter 'a/+b' has a + that does not stand alone between "
         "slashes"},
        {"no mapping", "x: json",
         "4:6: format x: must be a mapping (key: value), not a single value"},
        {"a kind with options that it has not", "x: {from: a, json: {deep: 1}}",
         "4:23: unknown key 'deep' in format x: json"},
        {"a kind that is a text", "x: {from: a, json: yes}",
         "4:22: format x: json: must be a mapping (key: value), not a single value"},
        {"no descriptors", "x: {from: a, protobuf: {message: a.B}}",
         "4:26: format x: protobuf: 'descriptors' is missing: The file that `protoc "
         "--include_imports --descriptor_set_out` wrote of the message's .proto."},
        {"no message", "x: {from: a, protobuf: {descriptors: " PIPIT_FORMATS_DESC "}}",
         "4:26: format x: protobuf: 'message' is missing: Full name of the message that a payload "
         "is, such as `plant.v1.Reading`."},
        {"a file that is not there", "x: {from: a, protobuf: {descriptors: /none, message: a.B}}",
         "4:40: format x: descriptors: /none: cannot be read: No such file or directory"},
        {"a file that is something else",
         "x: {from: a, protobuf: {descriptors: /etc/passwd, message: a.B}}", NULL},
        {"another message",
         "x: {from: a, protobuf: {message: acme.Les, descriptors: " PIPIT_FORMATS_DESC "}}",
         "4:36: format x: message: there is no message \"acme.Les\" in the descriptor set; did you "
         "mean \"acme.Less\"?"},
        {"a message with a group",
         "x: {from: a, protobuf: {message: acme.Grouped, descriptors: " PIPIT_FORMATS_DESC "}}",
         "4:36: format x: message: acme.Grouped: field old: it is a group, which is not supported; "
         "use a message"},
        {"a bad type", "x: {from: a, json: {}, fields: {level: nmber}}",
         "4:42: format x: fields: level: must be a type, such as number, or number? where it may "
         "be missing, not 'nmber'; did you mean 'number'?"},
        {"a type that is a list", "x: {from: a, json: {}, fields: {level: [number]}}",
         "4:42: format x: fields: level: must be a type, such as number, or number? where it may "
         "be missing, not 'a list'; known are: any, integer, number, text, boolean, blob, object, "
         "array"},
        {"fields that are a list", "x: {from: a, json: {}, fields: [level]}",
         "4:34: format x: fields: must be a mapping (key: value), not a list"},
        {"a field twice", "x: {from: a, json: {}, fields: {l: text, l: text}}",
         "4:44: format x: fields: 'l' is already there on line 4, column 35"},
        {"a bad name", "x y: {from: a, json: {}}",
         "4:3: format name 'x y': must be 1 to 64 letters, digits, '_' or '-'"},
    };
    struct folder folder;
    folder_create(&folder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[2000];
        snprintf(text, sizeof(text), HEAD "  %s\n", cases[i].entry);
        struct config *config = folder_load(&folder, text);
        bool is_as_wanted = cases[i].want == NULL
                                ? strstr(folder.faults, "4:40: format x: descriptors: ") != NULL
                                : strcmp(folder.faults, cases[i].want) == 0;
        if (config != NULL || !is_as_wanted) {
            fail_msg("%s\nwant:\n%s\ngot:\n%s\n", cases[i].why, cases[i].want, folder.faults);
        }
    }
    folder_destroy(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read_in_order),
        cmocka_unit_test(faults_have_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
