// proto_read.c - messages of run-time types: read, checked, reached by paths, shown as JSON.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/field_path.h"
#include "core/proto_parts.h"
#include "core/proto_unpack.h"

// What reading may take: protobuf-c notes each member of a message (40 bytes) before it takes them.
#define READ_BYTES_MIN 65536
#define READ_TIMES     32
#define READ_TIMES_MOST                                                                            \
    4194304 // Of the multiple; what is larger may take four times its size more.

// ---- presence -----------------------------------------------------------------------------------

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    size_t count;
    memcpy(&count, proto_member(message, field->quantifier_offset), sizeof(count));
    return count;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    uint32_t chosen;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(&chosen, proto_member(message, field->quantifier_offset), sizeof(chosen));
        return chosen == field->id;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return count_of(message, field) > 0;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE ||
        (field->type == PROTOBUF_C_TYPE_STRING && field->label == PROTOBUF_C_LABEL_OPTIONAL)) {
        return *(void **)proto_member(message, field->offset) != NULL;
    }
    if (field->label == PROTOBUF_C_LABEL_NONE) {
        return true;
    }
    memcpy(&chosen, proto_member(message, field->quantifier_offset), sizeof(chosen));
    return chosen != 0;
}

// The elements of a repeated field.
static const uint8_t *elements(const ProtobufCMessage *message,
                               const ProtobufCFieldDescriptor *field)
{
    return *(uint8_t **)proto_member(message, field->offset);
}

// ---- checking -----------------------------------------------------------------------------------

static enum err check_value(const ProtobufCFieldDescriptor *field, const void *value,
                            struct error *e)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)value;
        return message == NULL ? error_set(e, ERR_INVALID, "is not set") : proto_check(message, e);
    }
    return utf8_is_valid(proto_text(*(char *const *)value))
               ? ERR_OK
               : error_set(e, ERR_INVALID, "the text is not valid UTF-8");
}

static enum err check_values(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                             struct error *e)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        return check_value(field, proto_member(message, field->offset), e);
    }
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < count_of(message, field); i++) {
        rc = check_value(field, elements(message, field) + i * sizeof(void *), e);
    }
    return rc;
}

static enum err check_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                            bool is_required, struct error *e)
{
    enum err rc = ERR_OK;
    bool is_there = is_set(message, field);
    if (is_required && !is_there) {
        rc = error_set(e, ERR_INVALID, "is missing; %s requires it", message->descriptor->name);
    } else if (is_there && (field->type == PROTOBUF_C_TYPE_STRING ||
                            (field->type == PROTOBUF_C_TYPE_MESSAGE &&
                             proto_type_below(field)->is_to_be_checked))) {
        rc = check_values(message, field, e);
    }
    return rc == ERR_OK ? ERR_OK : error_wrap(e, "%s", field->name);
}

// As deep as the bytes were found to be, at most.
enum err proto_check(const ProtobufCMessage *message, struct error *e)
{
    const struct proto_type *type = proto_type_of(message);
    enum err rc = ERR_OK;
    for (unsigned i = 0; rc == ERR_OK && i < type->base.n_fields; i++) {
        rc = check_field(message, &type->base.fields[i], type->is_required[i], e);
    }
    return rc;
}

static enum err unreadable(const struct proto_type *type, struct bytes bytes,
                           const struct event_memory *memory, struct error *e)
{
    const char *name = type->base.name;
    if (memory->is_over_budget) {
        return error_set(e, ERR_INVALID,
                         "the payload (%zu bytes) has too many small members to be read as %s",
                         bytes.len, name);
    }
    return error_set(e, ERR_INVALID, "the payload (%zu bytes) is not a %s: malformed or cut short",
                     bytes.len, name);
}

static size_t budget_for(size_t len)
{
    size_t times = len > READ_TIMES_MOST / READ_TIMES ? READ_TIMES_MOST : len * READ_TIMES;
    return READ_BYTES_MIN + 4 * len + times;
}

enum err proto_read(const struct proto_type *type, struct bytes bytes, struct event_memory *memory,
                    struct ProtobufCMessage **out_message, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    if (type->depth > PROTO_DEPTH_MAX && proto_is_deeper(&type->base, bytes, PROTO_DEPTH_MAX)) {
        return error_set(e, ERR_INVALID, "the messages in the %s are nested deeper than %d levels",
                         type->base.name, PROTO_DEPTH_MAX);
    }
    event_memory_set_budget(memory, budget_for(bytes.len));
    ProtobufCMessage *message = proto_unpack(&type->base, bytes, memory);
    enum err rc = message == NULL ? unreadable(type, bytes, memory, e) : ERR_OK;
    event_memory_set_budget(memory, SIZE_MAX);
    if (rc == ERR_OK && type->is_to_be_checked) {
        rc = proto_check(message, e);
        if (rc != ERR_OK) {
            error_wrap(e, "%s", type->base.name);
        }
    }
    if (rc == ERR_OK) {
        *out_message = message;
    }
    return rc;
}

// ---- values -------------------------------------------------------------------------------------

static struct event_value integer_value(int64_t integer)
{
    return (struct event_value){.kind = VALUE_INTEGER, .integer = integer};
}

static struct event_value unsigned_value(uint64_t number)
{
    return number <= INT64_MAX // As SQL does with whole numbers that it cannot hold.
               ? integer_value((int64_t)number)
               : (struct event_value){.kind = VALUE_REAL, .real = (double)number};
}

static struct event_value enum_value(const ProtobufCEnumDescriptor *type, int32_t number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    return value == NULL
               ? integer_value(number)
               : (struct event_value){.kind = VALUE_TEXT, .bytes = bytes_from_text(value->name)};
}

static struct event_value blob_value(const ProtobufCBinaryData *data)
{
    return (struct event_value){.kind = VALUE_BLOB, .bytes = bytes_of(data->data, data->len)};
}

// One value of a field; a message is a new tree.
static struct event_value value_at(const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return integer_value(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return integer_value(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return integer_value(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return unsigned_value(*(const uint64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return (struct event_value){.kind = VALUE_REAL, .real = real_of_float(*(const float *)at)};
    case PROTOBUF_C_TYPE_DOUBLE:
        return (struct event_value){.kind = VALUE_REAL, .real = *(const double *)at};
    case PROTOBUF_C_TYPE_BOOL:
        return (struct event_value){.kind = VALUE_BOOLEAN, .integer = *(const int *)at != 0};
    case PROTOBUF_C_TYPE_ENUM:
        return enum_value(field->descriptor, *(const int32_t *)at);
    case PROTOBUF_C_TYPE_STRING:
        return (struct event_value){.kind = VALUE_TEXT, .bytes = proto_text(*(char *const *)at)};
    case PROTOBUF_C_TYPE_BYTES:
        return blob_value(at);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    const ProtobufCMessage *message = *(ProtobufCMessage *const *)at;
    return message == NULL
               ? (struct event_value){.kind = VALUE_NULL}
               : (struct event_value){.kind = VALUE_TREE, .tree = proto_to_json(message)};
}

// A new JSON value.
static json_t *json_at(const ProtobufCFieldDescriptor *field, const void *at)
{
    struct event_value value = value_at(field, at);
    if (value.kind == VALUE_TREE) {
        return value.tree; // New already.
    }
    const char *problem;
    json_t *json =
        value.kind == VALUE_BLOB ? json_of_blob(value.bytes) : value_to_json(&value, &problem);
    return json == NULL ? json_null() : json; // NaN and infinities are nothing in JSON.
}

bool proto_field_is_map(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE &&
           proto_type_below(field)->is_map_entry;
}

static json_t *array_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    json_t *array = json_array();
    size_t bytes = proto_value_bytes(field->type);
    for (size_t i = 0; i < count_of(message, field); i++) {
        json_array_append_new(array, json_at(field, elements(message, field) + i * bytes));
    }
    return array;
}

static ProtobufCMessage *entry_at(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, size_t index)
{
    return ((ProtobufCMessage *const *)(const void *)elements(message, field))[index];
}

// The key of a map's entry as text; number is room for one.
static struct bytes key_of(const ProtobufCMessage *entry, char number[REAL_TEXT_BYTES])
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[0];
    struct event_value value = value_at(field, proto_member(entry, field->offset));
    if (value.kind == VALUE_TEXT) {
        return value.bytes;
    }
    if (value.kind == VALUE_BOOLEAN) {
        return bytes_from_text(value.integer != 0 ? "true" : "false");
    }
    if (value.kind == VALUE_REAL) {
        snprintf(number, REAL_TEXT_BYTES, "%llu",
                 *(unsigned long long *)proto_member(entry, field->offset));
    } else {
        snprintf(number, REAL_TEXT_BYTES, "%lld", (long long)value.integer);
    }
    return bytes_from_text(number);
}

// Of an entry without a value the value is the type's zero: an empty message for a message.
static json_t *entry_value(const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[1];
    json_t *json = json_at(field, proto_member(entry, field->offset));
    bool is_empty = json_is_null(json) && field->type == PROTOBUF_C_TYPE_MESSAGE;
    return is_empty ? json_object() : json;
}

static json_t *object_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count_of(message, field); i++) {
        char number[REAL_TEXT_BYTES];
        const ProtobufCMessage *entry = entry_at(message, field, i);
        struct bytes key = key_of(entry, number);
        json_object_setn_new_nocheck(object, (const char *)key.ptr, key.len, entry_value(entry));
    }
    return object;
}

static json_t *field_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (proto_field_is_map(field)) {
        return object_of(message, field);
    }
    return field->label == PROTOBUF_C_LABEL_REPEATED
               ? array_of(message, field)
               : json_at(field, proto_member(message, field->offset));
}

json_t *proto_to_json(const struct ProtobufCMessage *message)
{
    json_t *object = json_object();
    for (unsigned i = 0; object != NULL && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED || is_set(message, field)) {
            json_object_set_new_nocheck(object, field->name, field_json(message, field));
        }
    }
    return object;
}

// ---- paths --------------------------------------------------------------------------------------

// Where a path has come to: a value of a field, or all of a repeated one.
struct place {
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field; // NULL: nowhere.
    const void *at;                        // NULL: all of the field.
};

ProtobufCMessage *proto_map_entry(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field, struct bytes key)
{
    for (size_t i = count_of(message, field); i > 0; i--) {
        char number[REAL_TEXT_BYTES];
        ProtobufCMessage *entry = entry_at(message, field, i - 1);
        if (bytes_equal(key_of(entry, number), key)) {
            return entry;
        }
    }
    return NULL;
}

static const void *map_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                             struct bytes key)
{
    const ProtobufCMessage *entry = proto_map_entry(message, field, key);
    return entry == NULL ? NULL : proto_member(entry, entry->descriptor->fields[1].offset);
}

static const struct place nowhere;

// Into one element of a repeated field or one value of a map, by the next step. A map's key may
// have dots in it: then all of the rest is the key.
static struct place enter_repeated(struct place place, struct bytes *rest)
{
    const ProtobufCFieldDescriptor *field = place.field;
    if (proto_field_is_map(field)) {
        place.field = &proto_type_below(field)->base.fields[1];
        place.at = map_value(place.message, field, *rest);
        if (place.at != NULL) {
            *rest = bytes_of(NULL, 0);
        } else {
            place.at = map_value(place.message, field, field_path_step(rest));
        }
        return place.at == NULL ? nowhere : place;
    }
    uint32_t index;
    if (!field_path_index(field_path_step(rest), &index) ||
        index >= count_of(place.message, field)) {
        return nowhere;
    }
    place.at = elements(place.message, field) + (size_t)index * proto_value_bytes(field->type);
    return place;
}

static struct place enter(const ProtobufCMessage *message, struct bytes *rest)
{
    const ProtobufCFieldDescriptor *field =
        proto_field_find(message->descriptor, field_path_step(rest));
    struct place place = {message, field, NULL};
    if (field == NULL) {
        return nowhere;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return rest->ptr == NULL ? place : enter_repeated(place, rest);
    }
    place.at = proto_member(message, field->offset);
    return is_set(message, field) ? place : nowhere;
}

bool proto_get(const struct ProtobufCMessage *message, const char *path,
               struct event_value *out_value)
{
    struct bytes rest = bytes_from_text(path);
    struct place place = enter(message, &rest);
    while (place.field != NULL && rest.ptr != NULL) {
        bool is_message = place.field->type == PROTOBUF_C_TYPE_MESSAGE && place.at != NULL;
        const ProtobufCMessage *within = is_message ? *(ProtobufCMessage *const *)place.at : NULL;
        place = within == NULL ? nowhere : enter(within, &rest);
    }
    if (place.field == NULL) {
        return false;
    }
    *out_value = place.at != NULL
                     ? value_at(place.field, place.at)
                     : (struct event_value){.kind = VALUE_TREE,
                                            .tree = field_json(place.message, place.field)};
    return out_value->kind != VALUE_TREE || out_value->tree != NULL;
}
