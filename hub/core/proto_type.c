// proto_type.c - messages of a descriptor set as protobuf-c's descriptors: where each field stands,
// what it needs, and what a path leads to.
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/proto_types.h"

enum { LABEL_REQUIRED = 2, LABEL_REPEATED = 3 }; // In a descriptor.

#define FIELD_NUMBER_MAX 536870911
#define TYPE_GROUP       10

struct making {
    struct proto_set *set;
    struct arena *arena;
    struct proto_entry *entries[PROTO_TYPES_MAX]; // Made in this round, the first ones filled.
    uint32_t count, filled;
};

// Where fields of one oneof stand: they share the place and the case.
struct oneof {
    unsigned case_offset, offset;
};

// One message under way.
struct layout {
    struct making *making;
    const struct proto_entry *entry;
    ProtobufCFieldDescriptor *fields;
    bool *is_required;
    struct oneof *oneofs;
    size_t size; // So far.
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a message's type");
}

size_t proto_value_bytes(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4; // protobuf_c_boolean and enums, too.
    }
}

static unsigned place(struct layout *layout, size_t bytes)
{
    size_t alignment = bytes > 4 ? 8 : 4;
    layout->size = (layout->size + alignment - 1) / alignment * alignment;
    unsigned offset = (unsigned)layout->size;
    layout->size += bytes;
    return offset;
}

static bool is_packable(ProtobufCType type)
{
    return type != PROTOBUF_C_TYPE_STRING && type != PROTOBUF_C_TYPE_BYTES &&
           type != PROTOBUF_C_TYPE_MESSAGE;
}

static void place_oneof(struct layout *layout, ProtobufCFieldDescriptor *field, int32_t index)
{
    struct oneof *oneof = &layout->oneofs[index];
    if (oneof->offset == 0) {
        oneof->case_offset = place(layout, sizeof(uint32_t));
        oneof->offset = place(layout, sizeof(ProtobufCBinaryData)); // The largest.
    }
    field->label = PROTOBUF_C_LABEL_OPTIONAL;
    field->flags |= PROTOBUF_C_FIELD_FLAG_ONEOF;
    field->quantifier_offset = oneof->case_offset;
    field->offset = oneof->offset;
}

static void place_field(struct layout *layout, ProtobufCFieldDescriptor *field,
                        const Descriptor__Field *source)
{
    bool is_proto3 = layout->entry->is_proto3;
    bool is_pointer =
        field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING;
    if (source->label == LABEL_REPEATED) {
        bool is_packed = source->options != NULL && source->options->has_packed
                             ? source->options->packed != 0
                             : is_proto3;
        field->label = PROTOBUF_C_LABEL_REPEATED;
        field->flags |= is_packed && is_packable(field->type) ? PROTOBUF_C_FIELD_FLAG_PACKED : 0u;
        field->quantifier_offset = place(layout, sizeof(size_t));
        field->offset = place(layout, sizeof(void *));
    } else if (source->has_oneof_index && !source->proto3_optional) {
        place_oneof(layout, field, source->oneof_index);
    } else if (is_proto3 && !source->proto3_optional && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        field->label = PROTOBUF_C_LABEL_NONE; // Without presence.
        field->offset = place(layout, proto_value_bytes(field->type));
    } else {
        field->label = PROTOBUF_C_LABEL_OPTIONAL;
        field->quantifier_offset = is_pointer ? 0 : place(layout, sizeof(protobuf_c_boolean));
        field->offset = place(layout, proto_value_bytes(field->type));
    }
}

static const int field_types[] = {
    [1] = PROTOBUF_C_TYPE_DOUBLE,    [2] = PROTOBUF_C_TYPE_FLOAT,
    [3] = PROTOBUF_C_TYPE_INT64,     [4] = PROTOBUF_C_TYPE_UINT64,
    [5] = PROTOBUF_C_TYPE_INT32,     [6] = PROTOBUF_C_TYPE_FIXED64,
    [7] = PROTOBUF_C_TYPE_FIXED32,   [8] = PROTOBUF_C_TYPE_BOOL,
    [9] = PROTOBUF_C_TYPE_STRING,    [11] = PROTOBUF_C_TYPE_MESSAGE,
    [12] = PROTOBUF_C_TYPE_BYTES,    [13] = PROTOBUF_C_TYPE_UINT32,
    [14] = PROTOBUF_C_TYPE_ENUM,     [15] = PROTOBUF_C_TYPE_SFIXED32,
    [16] = PROTOBUF_C_TYPE_SFIXED64, [17] = PROTOBUF_C_TYPE_SINT32,
    [18] = PROTOBUF_C_TYPE_SINT64,
};

static enum err check_source(const Descriptor__Field *source, struct error *e)
{
    if (source->name == NULL || source->name[0] == '\0') {
        return error_set(e, ERR_CONFIG, "a field has no name");
    }
    if (source->number < 1 || source->number > FIELD_NUMBER_MAX) {
        return error_set(e, ERR_CONFIG, "the number %d is not 1 to %d", source->number,
                         FIELD_NUMBER_MAX);
    }
    if (source->type == TYPE_GROUP) {
        return error_set(e, ERR_CONFIG, "it is a group, which is not supported; use a message");
    }
    if (source->type < 1 || (size_t)source->type >= sizeof(field_types) / sizeof(field_types[0])) {
        return error_set(e, ERR_CONFIG, "the type %d is not known", source->type);
    }
    if (source->has_oneof_index &&
        (source->oneof_index < 0 || source->oneof_index >= PROTO_FIELDS_MAX)) {
        return error_set(e, ERR_CONFIG, "there is no oneof %d", source->oneof_index);
    }
    return ERR_OK;
}

// An empty type that is filled later: types may need each other.
static struct proto_type *type_of_entry(struct making *making, struct proto_entry *entry)
{
    if (entry->made_message == NULL) {
        struct proto_type *type = arena_alloc(making->arena, sizeof(*type));
        if (type != NULL && making->count < PROTO_TYPES_MAX) {
            type->set = making->set;
            making->entries[making->count++] = entry;
            entry->made_message = type;
        }
    }
    return entry->made_message;
}

static enum err take_type(struct layout *layout, ProtobufCFieldDescriptor *field,
                          const Descriptor__Field *source, struct error *e)
{
    struct making *making = layout->making;
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    if (!is_message && field->type != PROTOBUF_C_TYPE_ENUM) {
        return ERR_OK;
    }
    const char *name = source->type_name == NULL ? "" : source->type_name;
    struct proto_entry *entry = proto_entry_find(making->set, name);
    if (entry == NULL || is_message != (entry->message != NULL)) {
        return error_set(e, ERR_CONFIG,
                         "its type %.200s is not in the descriptor set; write it with protoc "
                         "--include_imports",
                         name);
    }
    if (is_message) {
        field->descriptor = type_of_entry(making, entry);
        return field->descriptor == NULL ? no_memory(e) : ERR_OK;
    }
    enum err rc = entry->made_enum == NULL ? proto_enum_make(making->set, entry, e) : ERR_OK;
    field->descriptor = entry->made_enum;
    return rc;
}

static enum err take_field(struct layout *layout, uint32_t index, const Descriptor__Field *source,
                           struct error *e)
{
    ProtobufCFieldDescriptor *field = &layout->fields[index];
    enum err rc = check_source(source, e);
    if (rc == ERR_OK) {
        field->name = source->name;
        field->id = (uint32_t)source->number;
        field->type = (ProtobufCType)field_types[source->type];
        layout->is_required[index] = source->label == LABEL_REQUIRED;
        rc = take_type(layout, field, source, e);
    }
    if (rc == ERR_OK) {
        place_field(layout, field, source);
        return ERR_OK;
    }
    return error_wrap(e, "%.200s: field %.100s", layout->entry->name,
                      source->name == NULL ? "?" : source->name);
}

static int source_by_number(const void *a, const void *b)
{
    const Descriptor__Field *left = *(Descriptor__Field *const *)a,
                            *right = *(Descriptor__Field *const *)b;
    return left->number == right->number ? 0 : left->number < right->number ? -1 : 1;
}

struct name_index {
    const char *name;
    unsigned index;
};

static int index_by_name(const void *a, const void *b)
{
    return strcmp(((const struct name_index *)a)->name, ((const struct name_index *)b)->name);
}

static enum err sort_names(struct layout *layout, struct proto_type *type, struct error *e)
{
    unsigned count = type->base.n_fields;
    struct arena *arena = layout->making->arena;
    struct name_index *sorted = arena_alloc(arena, (count + 1) * sizeof(sorted[0]));
    unsigned *indices = arena_alloc(arena, (count + 1) * sizeof(indices[0]));
    const char **names = arena_alloc(arena, (count + 1) * sizeof(names[0]));
    if (sorted == NULL || indices == NULL || names == NULL) {
        return no_memory(e);
    }
    for (unsigned i = 0; i < count; i++) {
        sorted[i] = (struct name_index){layout->fields[i].name, i};
        names[i] = layout->fields[i].name;
    }
    qsort(sorted, count, sizeof(sorted[0]), index_by_name);
    for (unsigned i = 0; i < count; i++) {
        indices[i] = sorted[i].index;
        if (i > 0 && strcmp(sorted[i - 1].name, sorted[i].name) == 0) {
            return error_set(e, ERR_CONFIG, "%.200s: the field %.100s is there twice",
                             layout->entry->name, sorted[i].name);
        }
    }
    type->base.fields_sorted_by_name = indices;
    type->names = names;
    return ERR_OK;
}

static bool can_be_key(const ProtobufCFieldDescriptor *field)
{
    return field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_BYTES &&
           field->type != PROTOBUF_C_TYPE_ENUM && field->type != PROTOBUF_C_TYPE_FLOAT &&
           field->type != PROTOBUF_C_TYPE_DOUBLE;
}

static bool is_map_entry(const Descriptor__Message *source, const ProtobufCMessageDescriptor *made)
{
    const ProtobufCFieldDescriptor *fields = made->fields;
    return source->options != NULL && source->options->map_entry && made->n_fields == 2 &&
           fields[0].id == 1 && fields[1].id == 2 && can_be_key(&fields[0]) &&
           fields[0].label != PROTOBUF_C_LABEL_REPEATED &&
           fields[1].label != PROTOBUF_C_LABEL_REPEATED;
}

static enum err finish(struct layout *layout, struct proto_type *type, struct error *e)
{
    ProtobufCMessageDescriptor *base = &type->base;
    struct proto_numbers numbers = {layout->fields, sizeof(layout->fields[0]),
                                    offsetof(ProtobufCFieldDescriptor, id), base->n_fields};
    base->magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC;
    base->name = base->short_name = base->c_name = layout->entry->name;
    base->package_name = "";
    base->sizeof_message = (layout->size + 7) / 8 * 8;
    base->fields = layout->fields;
    base->field_ranges = proto_ranges(layout->making->arena, &numbers, &base->n_field_ranges);
    type->is_required = layout->is_required;
    type->is_map_entry = is_map_entry(layout->entry->message, base);
    return base->field_ranges == NULL ? no_memory(e) : sort_names(layout, type, e);
}

static size_t oneof_count(const Descriptor__Message *message)
{
    size_t count = 0;
    for (size_t i = 0; i < message->n_field; i++) {
        int32_t index = message->field[i]->oneof_index;
        if (index >= 0 && index < PROTO_FIELDS_MAX && (size_t)index >= count) {
            count = (size_t)index + 1;
        }
    }
    return count;
}

static enum err fill(struct making *making, struct proto_entry *entry, struct error *e)
{
    const Descriptor__Message *source = entry->message;
    struct proto_type *type = entry->made_message;
    size_t count = source->n_field;
    if (count > PROTO_FIELDS_MAX) {
        return error_set(e, ERR_CONFIG, "%.200s has %zu fields; at most %d are read", entry->name,
                         count, PROTO_FIELDS_MAX);
    }
    struct arena *arena = making->arena;
    struct layout layout = {.making = making, .entry = entry, .size = sizeof(ProtobufCMessage)};
    layout.fields = arena_alloc(arena, (count + 1) * sizeof(layout.fields[0]));
    layout.is_required = arena_alloc(arena, count + 1);
    layout.oneofs = arena_alloc(arena, (oneof_count(source) + 1) * sizeof(layout.oneofs[0]));
    if (layout.fields == NULL || layout.is_required == NULL || layout.oneofs == NULL) {
        return no_memory(e);
    }
    if (count > 0) {
        qsort(source->field, count, sizeof(source->field[0]), source_by_number);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = take_field(&layout, i, source->field[i], e);
        if (rc == ERR_OK && i > 0 && layout.fields[i].id == layout.fields[i - 1].id) {
            rc = error_set(e, ERR_CONFIG, "%.200s: the fields %.100s and %.100s have one number",
                           entry->name, layout.fields[i - 1].name, layout.fields[i].name);
        }
    }
    type->base.n_fields = (unsigned)count;
    return rc == ERR_OK ? finish(&layout, type, e) : rc;
}

// What a type is and what is below it; true when something has changed.
static bool look_below(struct proto_type *type)
{
    struct proto_type before = *type;
    unsigned depth = 1;
    for (unsigned i = 0; i < type->base.n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->base.fields[i];
        type->is_to_be_checked |= field->type == PROTOBUF_C_TYPE_STRING || type->is_required[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            const struct proto_type *below = proto_type_below(field);
            type->is_to_be_checked |= below->is_to_be_checked;
            depth = below->depth + 1 > depth ? below->depth + 1 : depth;
        }
    }
    type->depth = depth > PROTO_DEPTH_MAX + 1 ? PROTO_DEPTH_MAX + 1 : depth;
    return type->depth != before.depth || type->is_to_be_checked != before.is_to_be_checked;
}

static void look_at_all(struct making *making)
{
    bool is_changed = true;
    while (is_changed) {
        is_changed = false;
        for (uint32_t i = 0; i < making->count; i++) {
            is_changed |= look_below(making->entries[i]->made_message);
        }
    }
}

enum err proto_type_make(struct proto_set *set, struct proto_entry *entry,
                         const struct proto_type **out_type, struct error *e)
{
    if (entry->made_message != NULL) {
        *out_type = entry->made_message;
        return ERR_OK;
    }
    struct making *making = calloc(1, sizeof(*making));
    if (making == NULL) {
        return no_memory(e);
    }
    making->set = set;
    making->arena = proto_set_arena(set);
    enum err rc = type_of_entry(making, entry) == NULL ? no_memory(e) : ERR_OK;
    while (rc == ERR_OK && making->filled < making->count) {
        rc = fill(making, making->entries[making->filled++], e);
    }
    if (rc == ERR_OK) {
        look_at_all(making);
        *out_type = entry->made_message;
    }
    for (uint32_t i = 0; rc != ERR_OK && i < making->count; i++) {
        making->entries[i]->made_message = NULL; // Not to be found half made.
    }
    free(making);
    return rc;
}
