// proto_write.c - messages of run-time types filled with values by path, and packed.
#include <jansson.h>

#include "core/proto_parts.h"

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a protobuf message");
}

// ---- making room --------------------------------------------------------------------------------

struct ProtobufCMessage *proto_make(const struct proto_type *type, struct event_memory *memory)
{
    ProtobufCMessage *message = event_memory_take(memory, type->base.sizeof_message);
    if (message != NULL) {
        memset(message, 0, type->base.sizeof_message);
        message->descriptor = &type->base;
    }
    return message;
}

static size_t *count_of(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return proto_member(message, field->quantifier_offset);
}

// Room for `count` elements of a repeated field; the new ones are zero, texts are empty: protobuf-c
// takes no NULL among them. NULL without memory.
static uint8_t *grow(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t count,
                     struct event_memory *memory)
{
    size_t bytes = proto_value_bytes(field->type), had = *count_of(message, field);
    uint8_t **elements = proto_member(message, field->offset);
    if (count <= had) {
        return *elements;
    }
    uint8_t *grown = event_memory_take(memory, count * bytes);
    if (grown == NULL) {
        return NULL;
    }
    memset(grown, 0, count * bytes);
    if (had > 0) {
        memcpy(grown, *elements, had * bytes);
    }
    for (size_t i = had; field->type == PROTOBUF_C_TYPE_STRING && i < count; i++) {
        ((const char **)(void *)grown)[i] = protobuf_c_empty_string;
    }
    *elements = grown;
    *count_of(message, field) = count;
    return grown;
}

// Notes that a singular field is set; of a oneof no other member is any more.
static void mark_set(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t *chosen = proto_member(message, field->quantifier_offset);
        if (*chosen != field->id) {
            memset(proto_member(message, field->offset), 0, sizeof(ProtobufCBinaryData));
        }
        *chosen = field->id;
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset != 0) {
        *(protobuf_c_boolean *)proto_member(message, field->quantifier_offset) = 1;
    }
}

// ---- values -------------------------------------------------------------------------------------

struct writing {
    struct event_memory *memory;
    unsigned levels; // Of messages that may still be within.
};

static enum err put_field(struct writing *writing, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, const struct event_value *value,
                          struct error *e);

static enum err misfit(const char *wanted, struct error *e)
{
    return error_set(e, ERR_INVALID, "must be %s", wanted);
}

// A whole number within the bounds.
static bool whole(const struct event_value *value, int64_t min, int64_t max, int64_t *out_number)
{
    int64_t number = value->integer;
    if (value->kind == VALUE_REAL) {
        if (!(value->real >= -0x1p63 && value->real < 0x1p63)) {
            return false;
        }
        number = (int64_t)value->real;
        if ((double)number != value->real) {
            return false;
        }
    } else if (value->kind != VALUE_INTEGER && value->kind != VALUE_BOOLEAN) {
        return false;
    }
    *out_number = number;
    return number >= min && number <= max;
}

static enum err put_unsigned64(uint64_t *slot, const struct event_value *value, struct error *e)
{
    int64_t number;
    if (whole(value, 0, INT64_MAX, &number)) {
        *slot = (uint64_t)number;
    } else if (value->kind == VALUE_REAL && value->real >= 0x1p63 && value->real < 0x1p64) {
        *slot = (uint64_t)value->real;
    } else {
        return misfit("a whole number from 0 to 18446744073709551615", e);
    }
    return ERR_OK;
}

static enum err put_real(const ProtobufCFieldDescriptor *field, void *slot,
                         const struct event_value *value, struct error *e)
{
    if (value->kind != VALUE_REAL && value->kind != VALUE_INTEGER) {
        return misfit("a number", e);
    }
    double real = value->kind == VALUE_REAL ? value->real : (double)value->integer;
    if (field->type == PROTOBUF_C_TYPE_DOUBLE) {
        *(double *)slot = real;
        return ERR_OK;
    }
    bool is_finite = real - real == 0;
    if (is_finite && !(real >= -0x1.fffffep127 && real <= 0x1.fffffep127)) {
        return misfit("a number that a float can hold", e);
    }
    *(float *)slot = (float)real;
    return ERR_OK;
}

static enum err put_enum(const ProtobufCEnumDescriptor *type, int32_t *slot,
                         const struct event_value *value, struct error *e)
{
    int64_t number;
    if (whole(value, INT32_MIN, INT32_MAX, &number)) {
        *slot = (int32_t)number;
        return ERR_OK;
    }
    char name[200];
    if (value->kind == VALUE_TEXT && value->bytes.len < sizeof(name)) {
        snprintf(name, sizeof(name), "%.*s", (int)value->bytes.len, (const char *)value->bytes.ptr);
        const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(type, name);
        if (found != NULL) {
            *slot = found->value;
            return ERR_OK;
        }
    }
    return error_set(e, ERR_INVALID, "must be a value of the enum %s, by name or number",
                     type->name);
}

static enum err put_text(char **slot, const struct event_value *value, struct event_memory *memory,
                         struct error *e)
{
    if (value->kind != VALUE_TEXT && value->kind != VALUE_JSON) {
        return misfit("a text", e);
    }
    if (value->bytes.len > 0 && memchr(value->bytes.ptr, 0, value->bytes.len) != NULL) {
        return error_set(e, ERR_INVALID, "holds a NUL character");
    }
    *slot = event_memory_text(memory, value->bytes);
    return *slot == NULL ? no_memory(e) : ERR_OK;
}

// A text is its own bytes. They are copied: they may be those of a tree.
static enum err put_bytes(ProtobufCBinaryData *slot, const struct event_value *value,
                          struct event_memory *memory, struct error *e)
{
    if (value->kind != VALUE_BLOB && value->kind != VALUE_TEXT) {
        return misfit("a blob", e);
    }
    char *copy = event_memory_text(memory, value->bytes);
    *slot = (ProtobufCBinaryData){value->bytes.len, (uint8_t *)copy};
    return copy == NULL ? no_memory(e) : ERR_OK;
}

static enum err put_members(struct writing *writing, ProtobufCMessage *message, json_t *object,
                            struct error *e)
{
    enum err rc = ERR_OK;
    const char *key;
    json_t *member;
    json_object_foreach(object, key, member)
    {
        struct bytes name = bytes_from_text(key);
        const struct proto_type *type = proto_type_of(message);
        const ProtobufCFieldDescriptor *field = proto_field_find(&type->base, name);
        struct event_value value;
        value_of_json(member, &value);
        if (rc == ERR_OK && field == NULL) {
            rc = proto_no_field(type, name, ERR_INVALID, e);
        } else if (rc == ERR_OK) {
            rc = put_field(writing, message, field, &value, e);
        }
    }
    return rc;
}

static enum err put_message(struct writing *writing, const ProtobufCFieldDescriptor *field,
                            ProtobufCMessage **slot, const struct event_value *value,
                            struct error *e)
{
    if (value->kind != VALUE_TREE || !json_is_object(value->tree)) {
        return misfit("an object", e);
    }
    if (writing->levels == 0) {
        return error_set(e, ERR_INVALID, "is nested deeper than %d levels", PROTO_DEPTH_MAX);
    }
    *slot = proto_make(proto_type_below(field), writing->memory);
    writing->levels--;
    enum err rc = *slot == NULL ? no_memory(e) : put_members(writing, *slot, value->tree, e);
    writing->levels++;
    return rc;
}

// One value into its slot.
static enum err put_value(struct writing *writing, const ProtobufCFieldDescriptor *field,
                          void *slot, const struct event_value *value, struct error *e)
{
    int64_t number = 0;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        if (!whole(value, INT32_MIN, INT32_MAX, &number)) {
            return misfit("a whole number from -2147483648 to 2147483647", e);
        }
        *(int32_t *)slot = (int32_t)number;
        return ERR_OK;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return whole(value, INT64_MIN, INT64_MAX, slot) ? ERR_OK : misfit("a whole number", e);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        if (!whole(value, 0, UINT32_MAX, &number)) {
            return misfit("a whole number from 0 to 4294967295", e);
        }
        *(uint32_t *)slot = (uint32_t)number;
        return ERR_OK;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return put_unsigned64(slot, value, e);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_real(field, slot, value, e);
    case PROTOBUF_C_TYPE_BOOL:
        if (!whole(value, 0, 1, &number)) {
            return misfit("a boolean, or 0 or 1", e);
        }
        *(protobuf_c_boolean *)slot = (protobuf_c_boolean)number;
        return ERR_OK;
    case PROTOBUF_C_TYPE_ENUM:
        return put_enum(field->descriptor, slot, value, e);
    case PROTOBUF_C_TYPE_STRING:
        return put_text(slot, value, writing->memory, e);
    case PROTOBUF_C_TYPE_BYTES:
        return put_bytes(slot, value, writing->memory, e);
    case PROTOBUF_C_TYPE_MESSAGE:
        return put_message(writing, field, slot, value, e);
    }
    return misfit("of a known type", e);
}

static enum err put_array(struct writing *writing, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, json_t *array, struct error *e)
{
    size_t count = json_array_size(array), bytes = proto_value_bytes(field->type);
    *count_of(message, field) = 0; // What was there is replaced.
    uint8_t *slots = count == 0 ? NULL : grow(message, field, count, writing->memory);
    enum err rc = slots == NULL && count > 0 ? no_memory(e) : ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        struct event_value value;
        value_of_json(json_array_get(array, i), &value);
        rc = put_value(writing, field, slots + i * bytes, &value, e);
        if (rc != ERR_OK) {
            error_wrap(e, "%zu", i);
            *count_of(message, field) = 0; // None of it is whole.
        }
    }
    return rc;
}

// A key as text becomes what the map has for keys.
static enum err put_key(struct writing *writing, ProtobufCMessage *entry, struct bytes text,
                        struct error *e)
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[0];
    struct event_value value = {.kind = VALUE_TEXT, .bytes = text};
    char number[32];
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        bool is_true = bytes_equal(text, bytes_from_text("true"));
        if (!is_true && !bytes_equal(text, bytes_from_text("false"))) {
            return misfit("a key of true or false", e);
        }
        value = (struct event_value){.kind = VALUE_BOOLEAN, .integer = is_true};
    } else if (field->type != PROTOBUF_C_TYPE_STRING) {
        char *end = number;
        if (text.len < sizeof(number)) {
            snprintf(number, sizeof(number), "%.*s", (int)text.len, (const char *)text.ptr);
            value =
                (struct event_value){.kind = VALUE_INTEGER, .integer = strtoll(number, &end, 10)};
        }
        if (end == number || *end != '\0') {
            return misfit("a key that is a whole number", e);
        }
    }
    mark_set(entry, field);
    return put_value(writing, field, proto_member(entry, field->offset), &value, e);
}

// The entry of the key, made when it is not there yet.
static enum err entry_for(struct writing *writing, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, struct bytes key,
                          ProtobufCMessage **out_entry, struct error *e)
{
    ProtobufCMessage *entry = proto_map_entry(message, field, key);
    if (entry == NULL) {
        size_t count = *count_of(message, field);
        void *slots = grow(message, field, count + 1, writing->memory);
        entry = slots == NULL ? NULL : proto_make(proto_type_below(field), writing->memory);
        if (entry == NULL) {
            return no_memory(e);
        }
        ((ProtobufCMessage **)slots)[count] = entry;
        enum err rc = put_key(writing, entry, key, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    *out_entry = entry;
    return ERR_OK;
}

static enum err put_map(struct writing *writing, ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, json_t *object, struct error *e)
{
    enum err rc = ERR_OK;
    const char *key;
    json_t *member;
    json_object_foreach(object, key, member)
    {
        ProtobufCMessage *entry;
        struct event_value value;
        value_of_json(member, &value);
        if (rc == ERR_OK) {
            rc = entry_for(writing, message, field, bytes_from_text(key), &entry, e);
        }
        if (rc == ERR_OK) {
            rc = put_field(writing, entry, &entry->descriptor->fields[1], &value, e);
        }
    }
    return rc;
}

static enum err put_all(struct writing *writing, ProtobufCMessage *message,
                        const ProtobufCFieldDescriptor *field, const struct event_value *value,
                        struct error *e)
{
    json_t *tree = value->kind == VALUE_TREE ? value->tree : NULL;
    if (proto_field_is_map(field)) {
        return json_is_object(tree) ? put_map(writing, message, field, tree, e)
                                    : misfit("an object: it is a map", e);
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return json_is_array(tree) ? put_array(writing, message, field, tree, e)
                                   : misfit("an array: the field is repeated", e);
    }
    mark_set(message, field);
    return put_value(writing, field, proto_member(message, field->offset), value, e);
}

static bool takes_a_tree(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED || field->type == PROTOBUF_C_TYPE_MESSAGE;
}

// All of a field; NULL leaves it as it is. The text names it.
static enum err put_field(struct writing *writing, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, const struct event_value *value,
                          struct error *e)
{
    struct event_value of_text;
    json_t *own = NULL;
    bool is_text = value->kind == VALUE_JSON || value->kind == VALUE_TEXT;
    if (value->kind == VALUE_NULL) {
        return ERR_OK;
    }
    if (is_text && takes_a_tree(field)) {
        own = json_loadb((const char *)value->bytes.ptr, value->bytes.len, JSON_ALLOW_NUL, NULL);
        of_text = (struct event_value){.kind = VALUE_TREE, .tree = own};
        value = own == NULL ? value : &of_text;
    }
    enum err rc = put_all(writing, message, field, value, e);
    json_decref(own);
    return rc == ERR_OK ? ERR_OK : error_wrap(e, "%s", field->name);
}

// ---- by path ------------------------------------------------------------------------------------

// The message within a slot, made when it is not there yet.
static ProtobufCMessage *message_in(ProtobufCMessage **slot, const ProtobufCFieldDescriptor *field,
                                    struct event_memory *memory)
{
    if (*slot == NULL) {
        *slot = proto_make(proto_type_below(field), memory);
    }
    return *slot;
}

// The elements below an index that nothing was put into are empty messages.
static ProtobufCMessage *element_of(ProtobufCMessage *message, const struct path_step *step,
                                    struct event_memory *memory)
{
    ProtobufCMessage **slots = (void *)grow(message, step->field, step->index + 1, memory);
    for (uint32_t i = 0; slots != NULL && i <= step->index; i++) {
        if (message_in(&slots[i], step->field, memory) == NULL) {
            return NULL;
        }
    }
    return slots == NULL ? NULL : slots[step->index];
}

// Into the message that a step leads to.
static enum err enter(struct writing *writing, ProtobufCMessage **message,
                      const struct path_step *step, struct error *e)
{
    const ProtobufCFieldDescriptor *field = step->field;
    ProtobufCMessage *within = *message;
    if (step->key.ptr != NULL) {
        enum err rc = entry_for(writing, within, field, step->key, &within, e);
        if (rc != ERR_OK) {
            return rc;
        }
        field = &within->descriptor->fields[1];
    }
    if (step->is_element) {
        within = element_of(within, step, writing->memory);
    } else {
        mark_set(within, field);
        within = message_in(proto_member(within, field->offset), field, writing->memory);
    }
    *message = within;
    return within == NULL ? no_memory(e) : ERR_OK;
}

static enum err put_element(struct writing *writing, ProtobufCMessage *message,
                            const struct path_step *step, const struct event_value *value,
                            struct error *e)
{
    const ProtobufCFieldDescriptor *field = step->field;
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (is_message && element_of(message, step, writing->memory) == NULL) {
        return no_memory(e);
    }
    uint8_t *slots = grow(message, field, step->index + 1, writing->memory);
    return slots == NULL
               ? no_memory(e)
               : put_value(writing, field, slots + step->index * proto_value_bytes(field->type),
                           value, e);
}

enum err proto_put(struct ProtobufCMessage *message, const struct proto_path *path,
                   const struct event_value *value, struct event_memory *memory, struct error *e)
{
    struct writing writing = {memory, PROTO_DEPTH_MAX};
    struct error own;
    e = e == NULL ? &own : e;
    enum err rc = ERR_OK;
    if (value->kind == VALUE_NULL) {
        return ERR_OK;
    }
    for (uint32_t i = 0; rc == ERR_OK && i + 1 < path->count; i++) {
        rc = enter(&writing, &message, &path->steps[i], e);
    }
    const struct path_step *last = &path->steps[path->count - 1];
    const ProtobufCFieldDescriptor *field = last->field;
    if (rc == ERR_OK && last->key.ptr != NULL) {
        rc = entry_for(&writing, message, field, last->key, &message, e);
        field = rc == ERR_OK ? &message->descriptor->fields[1] : field;
    }
    if (rc == ERR_OK) {
        rc = last->is_element ? put_element(&writing, message, last, value, e)
                              : put_field(&writing, message, field, value, e);
    }
    return rc == ERR_OK || path->count == 1 ? rc : error_wrap(e, "\"%s\"", path->text);
}

enum err proto_pack(const struct ProtobufCMessage *message, struct event_memory *memory,
                    struct bytes *out_bytes, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    enum err rc = proto_type_of(message)->is_to_be_checked ? proto_check(message, e) : ERR_OK;
    if (rc != ERR_OK) {
        return rc;
    }
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = event_memory_take(memory, size + 1);
    if (bytes == NULL) {
        return no_memory(e);
    }
    *out_bytes = bytes_of(bytes, protobuf_c_message_pack(message, bytes));
    return ERR_OK;
}
