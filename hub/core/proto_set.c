// proto_set.c - a FileDescriptorSet by its names; what a message needs is made when it is asked
// for.
#include <stdlib.h>
#include <uthash.h>

#include "base/arena.h"
#include "base/option.h"
#include "core/proto_parts.h"
#include "core/proto_types.h"
#include "core/proto_unpack.h"

#define NAME_MAX_BYTES 512 // Of a full name.
#define HINTS_MAX      2000

struct proto_set {
    Descriptor__FileSet *files;
    struct arena *arena;
    struct proto_entry *entries; // By full name.
};

struct arena *proto_set_arena(struct proto_set *set)
{
    return set->arena;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for a descriptor set");
}

struct scope {
    struct proto_set *set;
    const char *prefix; // "acme." or "".
    bool is_proto3;
};

static enum err add_entry(const struct scope *scope, const char *name, struct proto_entry *found,
                          struct error *e)
{
    struct proto_set *set = scope->set;
    if (name == NULL || name[0] == '\0') {
        return error_set(e, ERR_CONFIG, "a message or enum in \"%.100s\" has no name",
                         scope->prefix);
    }
    if (strlen(scope->prefix) + strlen(name) > NAME_MAX_BYTES) {
        return error_set(e, ERR_CONFIG, "\"%.100s...\" is longer than %d bytes", scope->prefix,
                         NAME_MAX_BYTES);
    }
    struct proto_entry *entry = arena_alloc(set->arena, sizeof(*entry)), *other;
    const char *full = arena_print(set->arena, "%s%s", scope->prefix, name);
    if (entry == NULL || full == NULL) {
        return no_memory(e);
    }
    *entry = *found;
    entry->name = full;
    entry->is_proto3 = scope->is_proto3;
    HASH_FIND_STR(set->entries, full, other);
    if (other != NULL) {
        return error_set(e, ERR_CONFIG, "\"%.200s\" is there twice", full);
    }
    if (HASH_COUNT(set->entries) >= PROTO_TYPES_MAX) {
        return error_set(e, ERR_CONFIG, "it has more than %d messages and enums", PROTO_TYPES_MAX);
    }
    HASH_ADD_KEYPTR(hh, set->entries, entry->name, strlen(entry->name), entry);
    return ERR_OK;
}

static enum err add_enums(const struct scope *scope, Descriptor__Enumeration **enums, size_t count,
                          struct error *e)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        struct proto_entry entry = {.enumeration = enums[i]};
        rc = add_entry(scope, enums[i]->name, &entry, e);
    }
    return rc;
}

// The bytes have been found to be not too deep.
static enum err add_messages(const struct scope *scope, Descriptor__Message **messages,
                             size_t count, struct error *e)
{
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        const Descriptor__Message *message = messages[i];
        struct proto_entry entry = {.message = message};
        rc = add_entry(scope, message->name, &entry, e);
        if (rc != ERR_OK) {
            return rc;
        }
        struct scope within = *scope;
        within.prefix = arena_print(scope->set->arena, "%s%s.", scope->prefix, message->name);
        if (within.prefix == NULL) {
            return no_memory(e);
        }
        rc = add_enums(&within, message->enum_type, message->n_enum_type, e);
        if (rc == ERR_OK) {
            rc = add_messages(&within, message->nested_type, message->n_nested_type, e);
        }
    }
    return rc;
}

static enum err add_file(struct proto_set *set, const Descriptor__File *file, struct error *e)
{
    const char *syntax = file->syntax == NULL ? "proto2" : file->syntax;
    struct scope scope = {set, "", strcmp(syntax, "proto3") == 0};
    if (!scope.is_proto3 && strcmp(syntax, "proto2") != 0) {
        return error_set(e, ERR_CONFIG, "syntax \"%.40s\" is not known; proto2 and proto3 are",
                         syntax);
    }
    if (file->package != NULL && file->package[0] != '\0') {
        scope.prefix = arena_print(set->arena, "%s.", file->package);
    }
    if (scope.prefix == NULL) {
        return no_memory(e);
    }
    enum err rc = add_enums(&scope, file->enum_type, file->n_enum_type, e);
    return rc == ERR_OK ? add_messages(&scope, file->message_type, file->n_message_type, e) : rc;
}

static enum err read_files(struct proto_set *set, struct bytes bytes, struct error *e)
{
    if (bytes.len > PROTO_SET_BYTES_MAX) {
        return error_set(e, ERR_CONFIG, "a descriptor set may have %d bytes, this one has %zu",
                         PROTO_SET_BYTES_MAX, bytes.len);
    }
    if (proto_is_deeper(&descriptor__file_set__descriptor, bytes, PROTO_DEPTH_MAX)) {
        return error_set(e, ERR_CONFIG, "its messages are nested deeper than %d levels",
                         PROTO_DEPTH_MAX);
    }
    set->files = descriptor__file_set__unpack(NULL, bytes.len, bytes.ptr);
    if (set->files == NULL || set->files->n_file == 0) {
        return error_set(e, ERR_CONFIG,
                         "these %zu bytes are not what protoc --descriptor_set_out writes",
                         bytes.len);
    }
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < set->files->n_file; i++) {
        const Descriptor__File *file = set->files->file[i];
        rc = add_file(set, file, e);
        if (rc != ERR_OK) {
            error_wrap(e, "%.200s", file->name == NULL ? "a file without a name" : file->name);
        }
    }
    return rc;
}

enum err proto_set_create(struct proto_set **out_set, struct bytes descriptors, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    struct proto_set *set = calloc(1, sizeof(*set));
    if (set != NULL) {
        set->arena = arena_create();
    }
    enum err rc =
        set == NULL || set->arena == NULL ? no_memory(e) : read_files(set, descriptors, e);
    if (rc == ERR_OK) {
        *out_set = set;
    } else {
        proto_set_destroy(set);
    }
    return rc;
}

void proto_set_destroy(struct proto_set *set)
{
    if (set == NULL) {
        return;
    }
    HASH_CLEAR(hh, set->entries); // They are the arena's.
    if (set->files != NULL) {
        descriptor__file_set__free_unpacked(set->files, NULL);
    }
    arena_destroy(set->arena);
    free(set);
}

struct proto_entry *proto_entry_find(const struct proto_set *set, const char *name)
{
    struct proto_entry *entry;
    name += name[0] == '.';
    HASH_FIND_STR(set->entries, name, entry);
    return entry;
}

// By full name, or the same last part: "Meter" for "acme.Meter".
static const char *nearest_message(struct proto_set *set, const char *name)
{
    size_t count = 0;
    const char **names = arena_alloc(set->arena, (HINTS_MAX + 1) * sizeof(names[0]));
    struct proto_entry *entry, *next;
    HASH_ITER(hh, set->entries, entry, next)
    {
        const char *dot = strrchr(entry->name, '.');
        bool is_message = entry->message != NULL;
        if (is_message && strcmp(dot == NULL ? entry->name : dot + 1, name) == 0) {
            return entry->name;
        }
        if (is_message && names != NULL && count < HINTS_MAX) {
            names[count++] = entry->name;
        }
    }
    const char *near = names == NULL ? NULL : nearest_name(name, names);
    return near == NULL && count == 1 ? names[0] : near;
}

enum err proto_set_message(struct proto_set *set, const char *name,
                           const struct proto_type **out_type, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    struct proto_entry *entry = proto_entry_find(set, name);
    if (entry == NULL || entry->message == NULL) {
        const char *near = nearest_message(set, name + (name[0] == '.'));
        return error_set(e, ERR_CONFIG,
                         "there is no message \"%.200s\" in the descriptor set%s%s%s", name,
                         near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                         near == NULL ? "" : "\"?");
    }
    return proto_type_make(set, entry, out_type, e);
}

const char *proto_type_name(const struct proto_type *type)
{
    return type->base.name;
}

const char *const *proto_type_fields(const struct proto_type *type)
{
    return type->names;
}
