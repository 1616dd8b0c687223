// cbor_value.c - what is in a CBOR tape: by path, as a value, as JSON.
#include <jansson.h>
#include <stdio.h>

#include "core/cbor_tape.h"
#include "core/event_parts.h"
#include "core/field_path.h"

static const struct cbor_node *behind(const struct cbor_node *node)
{
    return node + node->span;
}

// How people write a key; number is room for one.
static struct bytes key_text(const struct cbor_node *key, char number[REAL_TEXT_BYTES])
{
    if (key->kind == CBOR_KIND_TEXT) {
        return key->bytes;
    }
    snprintf(number, REAL_TEXT_BYTES, "%lld", (long long)key->integer);
    return bytes_from_text(number);
}

// The value of the first member of that key.
static const struct cbor_node *member(const struct cbor_node *map, struct bytes name)
{
    const struct cbor_node *end = behind(map), *key = map + 1;
    while (key < end) {
        char number[REAL_TEXT_BYTES];
        if (bytes_equal(key_text(key, number), name)) {
            return key + 1;
        }
        key = behind(key + 1);
    }
    return NULL;
}

static const struct cbor_node *step_into(const struct cbor_node *node, struct bytes step)
{
    uint32_t index;
    if (node->kind == CBOR_KIND_MAP) {
        return member(node, step);
    }
    if (node->kind != CBOR_KIND_ARRAY || !field_path_index(step, &index)) {
        return NULL;
    }
    const struct cbor_node *end = behind(node), *item = node + 1;
    while (item < end && index > 0) {
        item = behind(item);
        index--;
    }
    return item < end ? item : NULL;
}

const struct cbor_node *cbor_tape_find(const struct cbor_tape *tape, const char *path)
{
    const struct cbor_node *root = tape->nodes;
    if (root->kind != CBOR_KIND_MAP && root->kind != CBOR_KIND_ARRAY) {
        return strcmp(path, "value") == 0 ? root : NULL;
    }
    struct bytes rest = bytes_from_text(path);
    const struct cbor_node *found = step_into(root, rest); // A key may have dots in it.
    bool is_open = found == NULL && strchr(path, '.') != NULL;
    for (found = is_open ? root : found; is_open; is_open = found != NULL && rest.ptr != NULL) {
        found = step_into(found, field_path_step(&rest));
    }
    return found;
}

static json_t *array_of(const struct cbor_node *node)
{
    json_t *array = json_array();
    for (const struct cbor_node *item = node + 1; item < behind(node); item = behind(item)) {
        json_array_append_new(array, cbor_node_to_json(item));
    }
    return array;
}

static json_t *object_of(const struct cbor_node *node)
{
    json_t *object = json_object();
    for (const struct cbor_node *key = node + 1; key < behind(node); key = behind(key + 1)) {
        char number[REAL_TEXT_BYTES];
        struct bytes text = key_text(key, number);
        if (json_object_getn(object, (const char *)text.ptr, text.len) == NULL) {
            json_object_setn_new_nocheck(object, (const char *)text.ptr, text.len,
                                         cbor_node_to_json(key + 1));
        }
    }
    return object;
}

void cbor_node_value(const struct cbor_node *node, struct event_value *out_value)
{
    *out_value = (struct event_value){.kind = VALUE_NULL};
    switch (node->kind) {
    case CBOR_KIND_NULL:
        break;
    case CBOR_KIND_BOOLEAN:
    case CBOR_KIND_INTEGER:
        out_value->kind = node->kind == CBOR_KIND_BOOLEAN ? VALUE_BOOLEAN : VALUE_INTEGER;
        out_value->integer = node->integer;
        break;
    case CBOR_KIND_REAL:
        out_value->kind = VALUE_REAL;
        out_value->real = node->real;
        break;
    case CBOR_KIND_TEXT:
    case CBOR_KIND_BLOB:
        out_value->kind = node->kind == CBOR_KIND_TEXT ? VALUE_TEXT : VALUE_BLOB;
        out_value->bytes = node->bytes;
        break;
    case CBOR_KIND_ARRAY:
    case CBOR_KIND_MAP:
        out_value->kind = VALUE_TREE;
        out_value->tree = node->kind == CBOR_KIND_ARRAY ? array_of(node) : object_of(node);
        break;
    }
}

// As deep as a tape may be.
json_t *cbor_node_to_json(const struct cbor_node *node)
{
    struct event_value value;
    const char *problem;
    cbor_node_value(node, &value);
    if (value.kind == VALUE_TREE) {
        return value.tree;
    }
    json_t *json =
        value.kind == VALUE_BLOB ? json_of_blob(value.bytes) : value_to_json(&value, &problem);
    return json == NULL ? json_null() : json; // NaN and infinities are nothing in JSON.
}
