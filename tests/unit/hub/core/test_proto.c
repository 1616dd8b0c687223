#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "core/proto_dynamic.h"

// tests/data/formats.proto, by protoc.
struct fixture {
    char *text;
    struct bytes descriptors;
    struct proto_set *set;
    struct event_memory memory;
    struct error e;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    size_t len;
    assert_int_equal(
        file_read(PIPIT_FORMATS_DESC, PROTO_SET_BYTES_MAX, &fixture->text, &len, &fixture->e),
        ERR_OK);
    fixture->descriptors = bytes_of(fixture->text, len);
    event_memory_init(&fixture->memory);
    if (proto_set_create(&fixture->set, fixture->descriptors, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    proto_set_destroy(fixture->set);
    event_memory_deinit(&fixture->memory);
    free(fixture->text);
    free(fixture);
    return 0;
}

static const struct proto_type *type_named(struct fixture *fixture, const char *name)
{
    const struct proto_type *type = NULL;
    if (proto_set_message(fixture->set, name, &type, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    return type;
}

// A JSON object into a message's bytes, by the fields' names.
static struct bytes pack(struct fixture *fixture, const struct proto_type *type, const char *json)
{
    json_t *object = json_loads(json, 0, NULL), *member;
    struct ProtobufCMessage *message = proto_make(type, &fixture->memory);
    const char *key;
    assert_non_null(object);
    json_object_foreach(object, key, member)
    {
        const struct proto_path *path;
        struct event_value value;
        value_of_json(member, &value);
        if (proto_path_create(&path, fixture->set, type, key, &fixture->e) != ERR_OK ||
            proto_put(message, path, &value, &fixture->memory, &fixture->e) != ERR_OK) {
            fail_msg("%s", fixture->e.text);
        }
    }
    struct bytes bytes;
    if (proto_pack(message, &fixture->memory, &bytes, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    json_decref(object);
    return bytes;
}

static const struct ProtobufCMessage *read_back(struct fixture *fixture,
                                                const struct proto_type *type, struct bytes bytes)
{
    struct ProtobufCMessage *message;
    if (proto_read(type, bytes, &fixture->memory, &message, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    return message;
}

static char *shown(const struct event_value *value)
{
    const char *problem;
    json_t *json = value->kind == VALUE_TREE ? value->tree : value_to_json(value, &problem);
    char *text = json == NULL ? strdup(value->kind == VALUE_BLOB ? "a blob" : "none")
                              : json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(json);
    return text;
}

// Each field by its path, after it went in by a path or in a tree: it comes out the same.
static void what_goes_in_comes_out(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type = type_named(fixture, "acme.Everything");
    static const struct {
        const char *why, *in, *path, *want; // want NULL: absent.
    } cases[] = {
        {"double", "{\"a_double\":1.5}", "a_double", "1.5"},
        {"float is its shortest decimal", "{\"a_float\":27.1}", "a_float", "27.100000000000001"},
        {"int32 below zero", "{\"an_int32\":-5}", "an_int32", "-5"},
        {"int64 at its end", "{\"an_int64\":-9223372036854775808}", "an_int64",
         "-9223372036854775808"},
        {"uint32 at its end", "{\"a_uint32\":4294967295}", "a_uint32", "4294967295"},
        {"uint64", "{\"a_uint64\":9223372036854775807}", "a_uint64", "9223372036854775807"},
        {"uint64 beyond 63 bits is a real", "{\"a_uint64\":18446744073709549568.0}", "a_uint64",
         "1.844674407370955e19"},
        {"sint32", "{\"a_sint32\":-2147483648}", "a_sint32", "-2147483648"},
        {"sint64", "{\"a_sint64\":-3}", "a_sint64", "-3"},
        {"fixed32", "{\"a_fixed32\":7}", "a_fixed32", "7"},
        {"fixed64", "{\"a_fixed64\":8}", "a_fixed64", "8"},
        {"sfixed32", "{\"a_sfixed32\":-9}", "a_sfixed32", "-9"},
        {"sfixed64", "{\"a_sfixed64\":-10}", "a_sfixed64", "-10"},
        {"bool", "{\"a_bool\":true}", "a_bool", "true"},
        {"bool from a number", "{\"a_bool\":1}", "a_bool", "true"},
        {"text", "{\"a_string\":\"\xc3\xa9\"}", "a_string", "\"\xc3\xa9\""},
        {"bytes are a blob", "{\"a_bytes\":\"ab\"}", "a_bytes", "a blob"},
        {"an enum is its name", "{\"a_mode\":\"MODE_COOL\"}", "a_mode", "\"MODE_COOL\""},
        {"by its number, too", "{\"a_mode\":-3}", "a_mode", "\"MODE_BELOW\""},
        {"a number without a name stays one", "{\"a_mode\":77}", "a_mode", "77"},
        {"without presence: the zero", "{}", "an_int32", "0"},
        {"without presence: no text", "{}", "a_string", "\"\""},
        {"without presence: the enum's zero", "{}", "a_mode", "\"MODE_OFF\""},
        {"a message that is not set", "{}", "location", NULL},
        {"within one that is not set", "{}", "location.lat", NULL},
        {"a path into a message", "{\"location.lat\":1.25}", "location.lat", "1.25"},
        {"all of a message", "{\"location.lat\":1.25}", "location", "{\"lat\":1.25,\"lon\":0.0}"},
        {"a tree for a message", "{\"location\":{\"name\":\"x\"}}", "location.name", "\"x\""},
        {"optional and unset", "{}", "maybe_int", NULL},
        {"optional and zero", "{\"maybe_int\":0}", "maybe_int", "0"},
        {"optional text and empty", "{\"maybe_text\":\"\"}", "maybe_text", "\"\""},
        {"optional enum", "{\"maybe_mode\":\"MODE_OFF\"}", "maybe_mode", "\"MODE_OFF\""},
        {"packed", "{\"packed_ints\":[1,-2,3]}", "packed_ints", "[1,-2,3]"},
        {"an element", "{\"packed_ints\":[1,-2,3]}", "packed_ints.1", "-2"},
        {"beyond the last", "{\"packed_ints\":[1]}", "packed_ints.1", NULL},
        {"no index", "{\"packed_ints\":[1]}", "packed_ints.x", NULL},
        {"none is an empty array", "{}", "packed_ints", "[]"},
        {"not packed", "{\"loose_ints\":[4,5]}", "loose_ints", "[4,5]"},
        {"booleans", "{\"flags\":[true,false]}", "flags", "[true,false]"},
        {"enums", "{\"modes\":[\"MODE_HEAT\",9]}", "modes", "[\"MODE_HEAT\",9]"},
        {"texts", "{\"names\":[\"a\",\"\"]}", "names.0", "\"a\""},
        {"messages", "{\"places\":[{\"lat\":1},{\"name\":\"b\"}]}", "places.1.name", "\"b\""},
        {"an element by a path", "{\"places.1.name\":\"b\"}", "places",
         "[{\"lat\":0.0,\"lon\":0.0},{\"lat\":0.0,\"lon\":0.0,\"name\":\"b\"}]"},
        {"texts before an element are empty", "{\"names.2\":\"c\"}", "names", "[\"\",\"\",\"c\"]"},
        {"so are blobs", "{\"blobs.1\":\"c\"}", "blobs", "[\"\",\"63\"]"},
        {"an element that is a number", "{\"zigzags.2\":-7}", "zigzags", "[0,0,-7]"},
        {"a map", "{\"labels\":{\"site\":\"x\"}}", "labels.site", "\"x\""},
        {"a map's entry by a path", "{\"labels.site\":\"x\"}", "labels", "{\"site\":\"x\"}"},
        {"a key with dots", "{\"labels\":{\"a.b\":\"x\"}}", "labels.a.b", "\"x\""},
        {"no such key", "{\"labels\":{\"a\":\"x\"}}", "labels.b", NULL},
        {"keys that are numbers", "{\"by_number\":{\"-4\":0.5}}", "by_number.-4", "0.5"},
        {"keys that are booleans", "{\"by_truth\":{\"true\":\"y\"}}", "by_truth.true", "\"y\""},
        {"messages in a map", "{\"by_place\":{\"a\":{\"lat\":2}}}", "by_place.a.lat", "2.0"},
        {"by a path", "{\"by_place.a.lat\":2}", "by_place.a.lat", "2.0"},
        {"large keys", "{\"by_big\":{\"9\":\"MODE_HEAT\"}}", "by_big.9", "\"MODE_HEAT\""},
        {"a oneof: what is set", "{\"word\":\"w\"}", "word", "\"w\""},
        {"a oneof: what is not", "{\"word\":\"w\"}", "count", NULL},
        {"a oneof: the last wins", "{\"count\":1,\"spot.lat\":3}", "count", NULL},
        {"a oneof: a message", "{\"count\":1,\"spot.lat\":3}", "spot.lat", "3.0"},
        {"a oneof: zero is set", "{\"count\":0}", "count", "0"},
        {"deep", "{\"inner.core.cores.0.depth\":5}", "inner.core.cores.0.depth", "5"},
        {"a type within itself", "{\"again.again.an_int32\":6}", "again.again.an_int32", "6"},
        {"the highest number", "{\"far\":1}", "far", "1"},
        {"no such field", "{}", "nothing", NULL},
        {"nothing within a number", "{\"an_int32\":1}", "an_int32.x", NULL},
        {"an empty path", "{}", "", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes bytes = pack(fixture, type, cases[i].in);
        const struct ProtobufCMessage *message = read_back(fixture, type, bytes);
        struct event_value value;
        bool is_there = proto_get(message, cases[i].path, &value);
        char *text = is_there ? shown(&value) : NULL;
        if (is_there != (cases[i].want != NULL) || (is_there && strcmp(text, cases[i].want) != 0)) {
            fail_msg("%s: %s", cases[i].why, text == NULL ? "absent" : text);
        }
        if (cases[i].want != NULL && !proto_type_has(type, cases[i].path)) {
            fail_msg("%s: proto_type_has says no", cases[i].why);
        }
        free(text);
        event_memory_reset(&fixture->memory);
    }
}

static void paths_that_cannot_be_are_known(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type = type_named(fixture, ".acme.Everything");
    static const struct {
        const char *path, *want; // NULL: it can be written to.
        bool has;
    } cases[] = {
        {"an_int32", NULL, true},
        {"location.lat", NULL, true},
        {"labels.any.thing", NULL, true},
        {"places.3.name", NULL, true},
        {"again.again.again.word", NULL, true},
        {"an_int", "acme.Everything has no field \"an_int\"; did you mean \"an_int32\"?", false},
        {"location.lt", "acme.Location has no field \"lt\"; did you mean \"lat\"?", false},
        {"an_int32.x", "the field \"an_int32\" is no message; nothing is within it", false},
        {"places.x", "the field \"places\" is repeated; an index of 0 to 255 must follow", false},
        {"places.999.name", "an index of 0 to 255 must follow", true},
        {"labels", NULL, true},
        {"", "has no field \"\"", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct proto_path *path;
        assert_int_equal(proto_type_has(type, cases[i].path), cases[i].has);
        enum err rc = proto_path_create(&path, fixture->set, type, cases[i].path, &fixture->e);
        assert_int_equal(rc, cases[i].want == NULL ? ERR_OK : ERR_CONFIG);
        if (cases[i].want != NULL && strstr(fixture->e.text, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].path, fixture->e.text);
        }
    }
}

static void values_that_do_not_fit_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type = type_named(fixture, "acme.Everything");
    static const struct {
        const char *path, *json, *want;
    } cases[] = {
        {"an_int32", "2147483648", "an_int32: must be a whole number from -2147483648"},
        {"an_int32", "1.5", "an_int32: must be a whole number"},
        {"an_int32", "\"1\"", "an_int32: must be a whole number"},
        {"a_uint32", "-1", "a_uint32: must be a whole number from 0"},
        {"a_uint64", "-1", "a_uint64: must be a whole number from 0"},
        {"a_float", "1e39", "a_float: must be a number that a float can hold"},
        {"a_double", "\"x\"", "a_double: must be a number"},
        {"a_bool", "2", "a_bool: must be a boolean, or 0 or 1"},
        {"a_string", "5", "a_string: must be a text"},
        {"a_string", "\"a\\u0000b\"", "a_string: holds a NUL character"},
        {"a_bytes", "5", "a_bytes: must be a blob"},
        {"a_mode", "\"MODE_HOT\"", "a_mode: must be a value of the enum acme.Mode"},
        {"location", "5", "location: must be an object"},
        {"location", "{\"lat\":\"x\"}", "location: lat: must be a number"},
        {"location", "{\"nope\":1}", "location: acme.Location has no field \"nope\""},
        {"packed_ints", "5", "packed_ints: must be an array"},
        {"packed_ints", "[1,\"x\"]", "packed_ints: 1: must be a whole number"},
        {"labels", "[]", "labels: must be an object: it is a map"},
        {"by_number", "{\"x\":1}", "by_number: must be a key that is a whole number"},
        {"by_truth", "{\"x\":\"y\"}", "by_truth: must be a key of true or false"},
        {"location.lat", "true", "\"location.lat\": lat: must be a number"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct proto_path *path;
        struct ProtobufCMessage *message = proto_make(type, &fixture->memory);
        json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        struct event_value value;
        value_of_json(json, &value);
        assert_int_equal(proto_path_create(&path, fixture->set, type, cases[i].path, &fixture->e),
                         ERR_OK);
        enum err rc = proto_put(message, path, &value, &fixture->memory, &fixture->e);
        if (rc != ERR_INVALID || strstr(fixture->e.text, cases[i].want) == NULL) {
            fail_msg("%s = %s: %s", cases[i].path, cases[i].json,
                     rc == ERR_OK ? "taken" : fixture->e.text);
        }
        json_decref(json);
    }
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *why, *type, *bytes;
        size_t len;
        const char *want; // NULL: it can be read.
    } cases[] = {
        {"nothing at all is a message without presence", "acme.Everything", "", 0, NULL},
        {"cut short", "acme.Everything",
         "\x72\x05"
         "ab",
         4, "malformed or cut short"},
        {"a length that lies", "acme.Everything", "\x72\xff\xff\xff\xff\x07", 6, "malformed"},
        {"a group of an unknown number", "acme.Everything", "\xfb\x06\xfc\x06", 4, "malformed"},
        {"text that is not UTF-8", "acme.Everything", "\x72\x01\xff", 3,
         "acme.Everything: a_string: the text is not valid UTF-8"},
        {"such text in a list", "acme.Everything", "\xda\x01\x01\xff", 4,
         "acme.Everything: names: the text is not valid UTF-8"},
        {"such a key of a map", "acme.Everything", "\x8a\x02\x03\x0a\x01\xff", 6,
         "labels: key: the text is not valid UTF-8"},
        {"a required number", "acme.Legacy", "\x12\x01x", 3,
         "acme.Legacy: id: is missing; acme.Legacy requires it"},
        {"a required text", "acme.Legacy", "\x08\x01", 2, "acme.Legacy: serial: is missing"},
        {"both are there", "acme.Legacy", "\x08\x01\x12\x01x", 5, NULL},
        {"required further down", "acme.Everything", "\xf2\x02\x02\x08\x01", 5,
         "acme.Everything: legacy: serial: is missing; acme.Legacy requires it"},
        {"an unknown field is kept aside", "acme.Less", "\x08\x01\x18\x05", 4, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct proto_type *type = type_named(fixture, cases[i].type);
        struct ProtobufCMessage *message;
        enum err rc = proto_read(type, bytes_of(cases[i].bytes, cases[i].len), &fixture->memory,
                                 &message, &fixture->e);
        if (rc != (cases[i].want == NULL ? ERR_OK : ERR_INVALID) ||
            (cases[i].want != NULL && strstr(fixture->e.text, cases[i].want) == NULL)) {
            fail_msg("%s: %s", cases[i].why, rc == ERR_OK ? "taken" : fixture->e.text);
        }
    }
}

// `levels` of the message `again` within each other.
static struct bytes nest(struct fixture *fixture, unsigned levels)
{
    size_t room = 8 * levels + 8, len = 0;
    uint8_t *bytes = event_memory_take(&fixture->memory, room);
    uint8_t *at = bytes + room;
    for (unsigned i = 0; i < levels; i++) { // From the innermost out: tag, length.
        size_t rest = len;
        uint8_t head[8];
        size_t used = 0;
        head[used++] = 0xEA;
        head[used++] = 0x02;
        while (rest >= 0x80) {
            head[used++] = (uint8_t)(rest | 0x80);
            rest >>= 7;
        }
        head[used++] = (uint8_t)rest;
        at -= used;
        len += used;
        memcpy(at, head, used);
    }
    return bytes_of(at, len);
}

static void nesting_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type = type_named(fixture, "acme.Everything");
    struct ProtobufCMessage *message;
    assert_int_equal(proto_read(type, nest(fixture, PROTO_DEPTH_MAX - 1), &fixture->memory,
                                &message, &fixture->e),
                     ERR_OK);
    assert_int_equal(
        proto_read(type, nest(fixture, PROTO_DEPTH_MAX), &fixture->memory, &message, &fixture->e),
        ERR_INVALID);
    assert_string_equal(fixture->e.text,
                        "the messages in the acme.Everything are nested deeper than 32 levels");
    assert_int_equal(
        proto_read(type, nest(fixture, 200000), &fixture->memory, &message, &fixture->e),
        ERR_INVALID); // It would take all of the stack.
}

static void memory_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type = type_named(fixture, "acme.Everything");
    size_t len = 1000000;
    uint8_t *many = malloc(len);
    for (size_t i = 0; i + 3 <= len; i += 3) { // Empty messages, 300,000 of them.
        memcpy(many + i, "\xea\x01\x00", 3);
    }
    struct ProtobufCMessage *message;
    enum err rc =
        proto_read(type, bytes_of(many, len / 3 * 3), &fixture->memory, &message, &fixture->e);
    assert_int_equal(rc, ERR_INVALID);
    assert_non_null(strstr(fixture->e.text, "has too many small members"));
    rc = proto_read(type, bytes_of(many, 3000), &fixture->memory, &message, &fixture->e);
    assert_int_equal(rc, ERR_OK);
    free(many);
}

static void sets_are_checked(void **state)
{
    struct fixture *fixture = *state;
    const struct proto_type *type;
    static const struct {
        const char *name, *want;
    } cases[] = {
        {"acme.Everythin", "did you mean \"acme.Everything\"?"},
        {"Everything", "did you mean \"acme.Everything\"?"},
        {"acme.Mode", "there is no message \"acme.Mode\""},
        {"acme.Grouped", "acme.Grouped: field old: it is a group, which is not supported"},
        {"", "there is no message \"\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(proto_set_message(fixture->set, cases[i].name, &type, &fixture->e),
                         ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].name, fixture->e.text);
        }
    }
    struct proto_set *set = NULL;
    assert_int_equal(proto_set_create(&set, bytes_of("hello", 5), &fixture->e), ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "not what protoc --descriptor_set_out writes"));
    assert_int_equal(proto_set_create(&set, bytes_of("", 0), &fixture->e), ERR_CONFIG);
    assert_null(set);
}

// Without --include_imports the set has the first file only.
static void a_missing_import_is_told(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t *set = fixture->descriptors.ptr;
    size_t at = 0; // Files are fields of number 1, imports first: take each as a set of its own.
    while (at < fixture->descriptors.len) {
        size_t len = 0, head = 1;
        for (unsigned shift = 0; head == 1 || (set[at + head - 1] & 0x80) != 0; shift += 7) {
            len |= (size_t)(set[at + head] & 0x7F) << shift;
            head++;
        }
        struct proto_set *one = NULL;
        const struct proto_type *type;
        assert_int_equal(proto_set_create(&one, bytes_of(set + at, head + len), &fixture->e),
                         ERR_OK);
        if (proto_set_message(one, "acme.Less", &type, &fixture->e) == ERR_OK) {
            assert_int_equal(proto_set_message(one, "acme.Everything", &type, &fixture->e),
                             ERR_CONFIG);
            assert_string_equal(fixture->e.text,
                                "acme.Everything: field legacy: its type .acme.Legacy is not in "
                                "the descriptor set; write it with protoc --include_imports");
            assert_int_equal(proto_set_message(one, "acme.Location", &type, &fixture->e), ERR_OK);
        }
        proto_set_destroy(one);
        at += head + len;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_goes_in_comes_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_that_cannot_be_are_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_that_do_not_fit_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_message_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nesting_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sets_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_import_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
