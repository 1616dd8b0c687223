// proto_enum.c - enums of a descriptor set as protobuf-c's descriptors.
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/proto_types.h"

const ProtobufCIntRange *proto_ranges(struct arena *arena, const struct proto_numbers *numbers,
                                      unsigned *out_count)
{
    ProtobufCIntRange *ranges = arena_alloc(arena, (numbers->count + 1) * sizeof(ranges[0]));
    unsigned made = 0;
    int64_t last = INT64_MIN;
    for (unsigned i = 0; ranges != NULL && i < numbers->count; i++) {
        int32_t number;
        memcpy(&number,
               (const uint8_t *)numbers->items + i * numbers->item_bytes + numbers->number_offset,
               sizeof(number));
        if (made == 0 || number != last + 1) {
            ranges[made++] = (ProtobufCIntRange){number, i};
        }
        last = number;
    }
    if (ranges != NULL) {
        ranges[made] = (ProtobufCIntRange){0, numbers->count};
    }
    *out_count = made;
    return ranges;
}

static int by_number(const void *a, const void *b)
{
    const ProtobufCEnumValue *left = a, *right = b;
    if (left->value != right->value) {
        return left->value < right->value ? -1 : 1;
    }
    return left->c_name < right->c_name ? -1 : 1; // As declared.
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ProtobufCEnumValueIndex *)a)->name,
                  ((const ProtobufCEnumValueIndex *)b)->name);
}

// Of an alias the name that was declared first stands for the number; all names lead to it.
static void drop_aliases(ProtobufCEnumDescriptor *made, ProtobufCEnumValue *values,
                         ProtobufCEnumValueIndex *names, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        names[i].name = values[i].name;
        if (kept == 0 || values[kept - 1].value != values[i].value) {
            values[kept++] = values[i];
        }
        names[i].index = kept - 1;
    }
    made->n_values = kept;
    made->n_value_names = count;
    made->values = values;
    made->values_by_name = names;
    qsort(names, count, sizeof(names[0]), by_name);
}

enum err proto_enum_make(struct proto_set *set, struct proto_entry *entry, struct error *e)
{
    struct arena *arena = proto_set_arena(set);
    const Descriptor__Enumeration *source = entry->enumeration;
    unsigned count = (unsigned)source->n_value;
    ProtobufCEnumDescriptor *made = arena_alloc(arena, sizeof(*made));
    ProtobufCEnumValue *values = arena_alloc(arena, (count + 1) * sizeof(values[0]));
    ProtobufCEnumValueIndex *names = arena_alloc(arena, (count + 1) * sizeof(names[0]));
    char *order = arena_alloc(arena, count + 1); // Only its addresses are used.
    if (made == NULL || values == NULL || names == NULL || order == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an enum");
    }
    for (unsigned i = 0; i < count; i++) {
        if (source->value[i]->name == NULL) {
            return error_set(e, ERR_CONFIG, "the enum %.200s has a value without a name",
                             entry->name);
        }
        values[i] =
            (ProtobufCEnumValue){source->value[i]->name, order + i, source->value[i]->number};
    }
    qsort(values, count, sizeof(values[0]), by_number);
    drop_aliases(made, values, names, count);
    const struct proto_numbers numbers = {values, sizeof(values[0]),
                                          offsetof(ProtobufCEnumValue, value), made->n_values};
    made->value_ranges = proto_ranges(arena, &numbers, &made->n_value_ranges);
    made->magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC;
    made->name = made->short_name = made->c_name = entry->name;
    made->package_name = "";
    if (made->value_ranges == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an enum");
    }
    entry->made_enum = made;
    return ERR_OK;
}
