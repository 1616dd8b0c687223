// proto_path.c - fields of run-time types by name, and whether a path can lead anywhere.
#include "core/proto_parts.h"

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

static bool is_index(struct bytes step)
{
    for (size_t i = 0; i < step.len; i++) {
        if (step.ptr[i] < '0' || step.ptr[i] > '9') {
            return false;
        }
    }
    return step.len > 0;
}

bool proto_type_has(const struct proto_type *type, const char *path)
{
    struct bytes rest = bytes_from_text(path);
    while (type != NULL && rest.ptr != NULL) {
        const ProtobufCFieldDescriptor *field = proto_field_find(&type->base, proto_step(&rest));
        if (field == NULL) {
            return false;
        }
        bool is_map = proto_field_is_map(field);
        if (is_map && rest.ptr != NULL) { // A key may have any dots in it.
            return true;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED && rest.ptr != NULL &&
            !is_index(proto_step(&rest))) {
            return false;
        }
        type = field->type == PROTOBUF_C_TYPE_MESSAGE ? proto_type_below(field) : NULL;
    }
    return rest.ptr == NULL;
}
