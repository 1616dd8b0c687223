// proto_path.c - fields of run-time types by name, and whether a path can lead anywhere.
#include <stdio.h>

#include "base/arena.h"
#include "base/option.h"
#include "core/field_path.h"
#include "core/proto_parts.h"

#define INDEX_MAX 255 // Of a repeated field's element in a path that is written to.

static int compare(struct bytes name, const char *with)
{
    int order = strncmp((const char *)name.ptr, with, name.len);
    return order == 0 && with[name.len] != '\0' ? -1 : order;
}

const ProtobufCFieldDescriptor *proto_field_find(const ProtobufCMessageDescriptor *type,
                                                 struct bytes name)
{
    unsigned first = 0, end = name.len == 0 ? 0 : type->n_fields;
    while (first < end) {
        unsigned middle = first + (end - first) / 2;
        const ProtobufCFieldDescriptor *field = &type->fields[type->fields_sorted_by_name[middle]];
        int order = compare(name, field->name);
        if (order == 0) {
            return field;
        }
        if (order < 0) {
            end = middle;
        } else {
            first = middle + 1;
        }
    }
    return NULL;
}

bool proto_type_has(const struct proto_type *type, const char *path)
{
    struct bytes rest = bytes_from_text(path);
    uint32_t index;
    while (type != NULL && rest.ptr != NULL) {
        const ProtobufCFieldDescriptor *field =
            proto_field_find(&type->base, field_path_step(&rest));
        if (field == NULL) {
            return false;
        }
        bool is_map = proto_field_is_map(field);
        if (is_map && rest.ptr != NULL) { // A key may have any dots in it.
            return true;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED && rest.ptr != NULL &&
            !field_path_index(field_path_step(&rest), &index)) {
            return false;
        }
        type = field->type == PROTOBUF_C_TYPE_MESSAGE ? proto_type_below(field) : NULL;
    }
    return rest.ptr == NULL;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a path");
}

enum err proto_no_field(const struct proto_type *type, struct bytes name, enum err code,
                        struct error *e)
{
    char wanted[128];
    snprintf(wanted, sizeof(wanted), "%.*s", (int)(name.len < 100 ? name.len : 100),
             (const char *)name.ptr);
    const char *near = nearest_name(wanted, type->names);
    return error_set(e, code, "%s has no field \"%s\"%s%s%s", type->base.name, wanted,
                     near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                     near == NULL ? "" : "\"?");
}

static enum err take_index(struct path_step *step, struct bytes *rest, struct error *e)
{
    uint32_t index;
    if (!field_path_index(field_path_step(rest), &index) || index > INDEX_MAX) {
        return error_set(e, ERR_CONFIG,
                         "the field \"%s\" is repeated; an index of 0 to %d must follow its name",
                         step->field->name, INDEX_MAX);
    }
    step->is_element = true;
    step->index = index;
    return ERR_OK;
}

// A key of a map of messages ends at the first dot, any other has all that follows.
static void take_key(struct path_step *step, struct bytes *rest, struct arena *arena)
{
    const ProtobufCFieldDescriptor *value = &proto_type_below(step->field)->base.fields[1];
    struct bytes key = value->type == PROTOBUF_C_TYPE_MESSAGE ? field_path_step(rest) : *rest;
    if (value->type != PROTOBUF_C_TYPE_MESSAGE) {
        *rest = bytes_of(NULL, 0);
    }
    char *copy = arena_text(arena, (const char *)key.ptr, key.len);
    step->key = bytes_of(copy, copy == NULL ? 0 : key.len);
}

// What the next step goes into; NULL: nothing.
static const struct proto_type *type_behind(const struct path_step *step)
{
    const ProtobufCFieldDescriptor *field = step->field;
    if (proto_field_is_map(field)) {
        field = &proto_type_below(field)->base.fields[1];
    }
    return field->type == PROTOBUF_C_TYPE_MESSAGE ? proto_type_below(field) : NULL;
}

static enum err take_step(struct proto_path *path, const struct proto_type *type,
                          struct bytes *rest, struct arena *arena, struct error *e)
{
    struct path_step *step = &path->steps[path->count++];
    struct bytes name = field_path_step(rest);
    step->field = proto_field_find(&type->base, name);
    if (step->field == NULL) {
        return proto_no_field(type, name, ERR_CONFIG, e);
    }
    if (rest->ptr == NULL) {
        return ERR_OK;
    }
    if (proto_field_is_map(step->field)) {
        take_key(step, rest, arena);
        return step->key.ptr == NULL ? no_memory(e) : ERR_OK;
    }
    return step->field->label == PROTOBUF_C_LABEL_REPEATED ? take_index(step, rest, e) : ERR_OK;
}

enum err proto_path_create(const struct proto_path **out_path, struct proto_set *set,
                           const struct proto_type *type, const char *path, struct error *e)
{
    struct arena *arena = proto_set_arena(set);
    struct proto_path *made = arena_alloc(arena, sizeof(*made));
    struct bytes rest = bytes_from_text(path);
    enum err rc = made == NULL ? no_memory(e) : ERR_OK;
    do {
        if (rc == ERR_OK && type == NULL) {
            rc = error_set(e, ERR_CONFIG, "the field \"%s\" is no message; nothing is within it",
                           made->steps[made->count - 1].field->name);
        } else if (rc == ERR_OK && made->count == PROTO_DEPTH_MAX) {
            rc = error_set(e, ERR_CONFIG, "\"%.100s\" is deeper than %d levels", path,
                           PROTO_DEPTH_MAX);
        }
        if (rc == ERR_OK) {
            rc = take_step(made, type, &rest, arena, e);
        }
        type = rc == ERR_OK ? type_behind(&made->steps[made->count - 1]) : NULL;
    } while (rc == ERR_OK && rest.ptr != NULL);
    if (rc == ERR_OK) {
        made->text = arena_text(arena, path, strlen(path));
        *out_path = made;
    }
    return rc;
}
