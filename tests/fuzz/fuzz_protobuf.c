// Descriptor sets and payloads from anybody. By its first byte an input is a set, of which every
// message named below is made and used, or a payload of one message of tests/data/formats.proto:
// what can be read can be shown, packed again, and then reads the same.
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "core/proto_dynamic.h"
#include "fuzz.h"

const uint32_t fuzz_count = 60000;

static const char *const names[] = {"acme.Everything", "acme.Legacy",
                                    "acme.Less",       "acme.Location",
                                    "acme.Grouped",    "acme.Everything.Inner.Core"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static const char everything[] =
    "{\"a_double\":1.5,\"a_float\":2.5,\"an_int32\":-3,\"a_uint64\":9,\"a_sint64\":-4,"
    "\"a_fixed32\":5,\"a_bool\":true,\"a_string\":\"text\",\"a_bytes\":\"bytes\","
    "\"a_mode\":\"MODE_COOL\",\"location\":{\"lat\":1,\"name\":\"n\"},\"maybe_int\":0,"
    "\"packed_ints\":[1,2,300],\"loose_ints\":[4,5],\"flags\":[true],\"modes\":[1,2],"
    "\"names\":[\"a\",\"b\"],\"places\":[{\"lat\":1},{}],\"labels\":{\"k\":\"v\"},"
    "\"by_number\":{\"-1\":2},\"by_place\":{\"x\":{\"lon\":3}},\"word\":\"w\","
    "\"inner\":{\"core\":{\"depth\":1,\"cores\":[{\"depth\":2}]}},\"again\":{\"an_int32\":1},"
    "\"legacy\":{\"id\":1,\"serial\":\"s\",\"packed\":[1,2],\"counts\":{\"c\":1}}}";

static struct bytes descriptors;
static struct proto_set *ours;
static struct event_memory memory;
static uint64_t packed_again, read_first; // Nearly all of them must be.

static void start(void)
{
    char *text;
    size_t len;
    struct error e = {0};
    if (ours == NULL) {
        event_memory_init(&memory);
        enum err rc = file_read(PIPIT_FORMATS_DESC, FUZZ_INPUT_MAX - 1, &text, &len, &e);
        assert(rc == ERR_OK);
        descriptors = bytes_of(text, len);
        rc = proto_set_create(&ours, descriptors, &e);
        assert(rc == ERR_OK);
    }
}

// What of the JSON the type has.
static struct ProtobufCMessage *fill(struct proto_set *set, const struct proto_type *type)
{
    struct ProtobufCMessage *message = proto_make(type, &memory);
    json_t *object = json_loads(everything, 0, NULL), *member;
    const char *key;
    assert(object != NULL && message != NULL);
    json_object_foreach(object, key, member)
    {
        const struct proto_path *path;
        struct event_value value;
        value_of_json(member, &value);
        if (proto_path_create(&path, set, type, key, NULL) == ERR_OK) {
            proto_put(message, path, &value, &memory, NULL);
        }
    }
    json_decref(object);
    return message;
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    const struct proto_type *type;
    struct bytes bytes;
    start();
    if (index == 0 && descriptors.len < size) {
        out[0] = 0xFF;
        memcpy(out + 1, descriptors.ptr, descriptors.len);
        return descriptors.len + 1;
    }
    if (index > 3 || proto_set_message(ours, names[index % 3], &type, NULL) != ERR_OK ||
        proto_pack(fill(ours, type), &memory, &bytes, NULL) != ERR_OK || bytes.len >= size) {
        return index > 3 ? 0 : 1;
    }
    out[0] = (uint8_t)(index % 3);
    memcpy(out + 1, bytes.ptr, bytes.len);
    return bytes.len + 1;
}

static char *shown(const struct ProtobufCMessage *message)
{
    json_t *json = proto_to_json(message);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert(text != NULL);
    json_decref(json);
    return text;
}

static void ask(const struct ProtobufCMessage *message)
{
    static const char *const paths[] = {"location.lat",      "places.0.name",    "labels.k",
                                        "legacy.id",         "again.again.word", "by_number.-1",
                                        "inner.core.cores.0"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct event_value value;
        if (proto_get(message, paths[i], &value) && value.kind == VALUE_TREE) {
            json_decref(value.tree);
        }
    }
}

// protobuf-c ends a text that it packs at its first NUL, leaves out -0 where there is no presence,
// and takes a field of number 0 if that is written at length, but not as it writes it itself.
static void check_again(const struct proto_type *type, const struct ProtobufCMessage *message)
{
    struct bytes bytes;
    struct ProtobufCMessage *again;
    char *before = shown(message);
    if (strstr(before, "\\u0000") == NULL && strstr(before, "-0.0") == NULL) {
        enum err rc = proto_pack(message, &memory, &bytes, NULL);
        assert(rc == ERR_OK);
        if (proto_read(type, bytes, &memory, &again, NULL) == ERR_OK) {
            char *after = shown(again);
            assert(strcmp(before, after) == 0);
            free(after);
            packed_again++;
        }
    }
    free(before);
}

static void try_payload(const struct proto_type *type, struct bytes bytes)
{
    struct ProtobufCMessage *message;
    struct error e = {0};
    enum err rc = proto_read(type, bytes, &memory, &message, &e);
    assert(rc == ERR_OK || (rc == ERR_INVALID && e.text[0] != '\0'));
    if (rc == ERR_OK) {
        ask(message);
        read_first++;
        check_again(type, message);
        assert(packed_again >= read_first / 2);
    }
}

static void try_set(struct bytes bytes)
{
    struct proto_set *set = NULL;
    struct error e = {0};
    enum err rc = proto_set_create(&set, bytes, &e);
    assert((rc == ERR_OK) == (set != NULL));
    assert(rc == ERR_OK || (rc == ERR_CONFIG && e.text[0] != '\0'));
    for (size_t i = 0; rc == ERR_OK && i < NAMES; i++) {
        const struct proto_type *type;
        struct bytes packed;
        if (proto_set_message(set, names[i], &type, &e) != ERR_OK) {
            continue;
        }
        assert(proto_type_name(type) != NULL);
        for (const char *const *name = proto_type_fields(type); *name != NULL; name++) {
            assert(strchr(*name, '.') != NULL || proto_type_has(type, *name));
        }
        if (proto_pack(fill(set, type), &memory, &packed, NULL) == ERR_OK) {
            try_payload(type, packed);
        }
        try_payload(type, bytes);
    }
    proto_set_destroy(set);
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    const struct proto_type *type;
    start();
    if (len == 0) {
        return;
    }
    struct bytes rest = bytes_of(ptr + 1, len - 1);
    if (ptr[0] >= 0x80) {
        try_set(rest);
    } else if (proto_set_message(ours, names[ptr[0] % 3], &type, NULL) == ERR_OK) {
        try_payload(type, rest);
    }
    event_memory_reset(&memory);
}
