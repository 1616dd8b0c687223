// part_format.c - how payloads are read: the section `formats`.
#include <string.h>

#include "config/parts.h"
#include "core/format.h"
#include "core/proto_dynamic.h"
#include "core/topic.h"

const struct option_spec format_options[] = {
    {"from", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Topic filter of the messages that this entry is for. The first entry whose filter matches a "
     "topic decides."},
    {"closed", OPTION_BOOL, false, "false", 0, 0, NULL,
     "There are no fields but those in `fields`: `pipit check` then finds the rule that names "
     "another. protobuf, text, number and bytes are so by nature."},
    {NULL},
};

const struct option_spec protobuf_options[] = {
    {"descriptors", OPTION_PATH, true, NULL, 0, 0, NULL,
     "The file that `protoc --include_imports --descriptor_set_out` wrote of the message's .proto. "
     "A reload reads it again."},
    {"message", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Full name of the message that a payload is, such as `plant.v1.Reading`."},
    {NULL},
};

// A kind of format is a key of its own in the entry, with its options.
static const struct {
    const char *name;
    enum format_kind kind;
    const struct option_spec *options; // NULL: it has none.
} kinds[] = {
    {"json", FORMAT_JSON, NULL},
    {"cbor", FORMAT_CBOR, NULL},
    {"protobuf", FORMAT_PROTOBUF, protobuf_options},
    {"sparkplug", FORMAT_SPARKPLUG, NULL},
    {"cloudevents", FORMAT_CLOUDEVENTS, NULL},
    {"text", FORMAT_TEXT, NULL},
    {"number", FORMAT_NUMBER, NULL},
    {"bytes", FORMAT_BYTES, NULL},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

struct entry {
    struct builder *builder;
    const struct node *node;
    const char *what; // "format meter".
    struct format_spec *spec;
};

static size_t kind_find(const char *name)
{
    size_t kind = 0;
    while (kind < KIND_COUNT && strcmp(kinds[kind].name, name) != 0) {
        kind++;
    }
    return kind;
}

static const char *copy(const struct entry *entry, const struct options *options, const char *name)
{
    const char *text = option_text(options, name);
    return text == NULL ? NULL : arena_print(entry->builder->file->arena, "%s", text);
}

// ---- fields -------------------------------------------------------------------------------------

static const char *const type_names[] = {
    [FIELD_ANY] = "any",       [FIELD_INTEGER] = "integer", [FIELD_NUMBER] = "number",
    [FIELD_TEXT] = "text",     [FIELD_BOOLEAN] = "boolean", [FIELD_BLOB] = "blob",
    [FIELD_OBJECT] = "object", [FIELD_ARRAY] = "array",     [FIELD_ARRAY + 1] = NULL,
};

static void field_build(const struct entry *entry, const struct node *node,
                        struct field_spec *out_field)
{
    struct reader *reader = &entry->builder->reader;
    const char *written = node->kind == NODE_TEXT ? node->text : "";
    size_t len = strlen(written);
    out_field->name = node->key->text;
    out_field->is_required = len == 0 || written[len - 1] != '?';
    const char *type =
        arena_print(reader->arena, "%.*s", (int)(len - !out_field->is_required), written);
    for (int i = 0; type != NULL && type_names[i] != NULL; i++) {
        if (strcmp(type_names[i], type) == 0) {
            out_field->type = (enum field_type)i;
            return;
        }
    }
    reader_problem(reader, node->at,
                   "%s: fields: %.80s: must be a type, such as number, or number? where it may be "
                   "missing, not '%.40s'%s",
                   entry->what, node->key->text,
                   node->kind == NODE_TEXT ? written : node_kind_name(node),
                   type == NULL ? "" : reader_hint(reader, type, type_names));
}

static void fields_build(const struct entry *entry)
{
    struct builder *builder = entry->builder;
    const struct node *node = node_get(entry->node, "fields");
    const char *what = arena_print(builder->reader.arena, "%s: fields", entry->what);
    if (node == NULL || what == NULL || !reader_mapping(&builder->reader, node, what, true)) {
        return;
    }
    struct field_spec *fields =
        arena_alloc(builder->file->arena, (node->count + 1) * sizeof(fields[0]));
    if (fields == NULL) {
        return;
    }
    entry->spec->fields = fields;
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        field_build(entry, member, &fields[entry->spec->field_count++]);
    }
}

// ---- kinds --------------------------------------------------------------------------------------

static void protobuf_check(const struct entry *entry, const struct node *kind)
{
    struct reader *reader = &entry->builder->reader;
    const struct format_spec *spec = entry->spec;
    struct proto_set *set = NULL;
    const struct proto_type *type;
    struct error e = {0};
    if (spec->descriptors.ptr == NULL || spec->message == NULL) {
        return; // Said already.
    }
    if (proto_set_create(&set, spec->descriptors, &e) != ERR_OK) {
        reader_problem(reader, node_get(kind, "descriptors")->at, "%s: descriptors: %s",
                       entry->what, e.text);
    } else if (proto_set_message(set, spec->message, &type, &e) != ERR_OK) {
        reader_problem(reader, node_get(kind, "message")->at, "%s: message: %s", entry->what,
                       e.text);
    }
    proto_set_destroy(set);
}

static void kind_build(const struct entry *entry, const struct node *node, size_t kind)
{
    struct builder *builder = entry->builder;
    const char *what = arena_print(builder->reader.arena, "%s: %s", entry->what, kinds[kind].name);
    struct options *options = NULL;
    if (kinds[kind].options != NULL) {
        options = options_make(builder, kinds[kind].options);
    }
    struct shape shape = {.what = what, .options = {options, NULL}};
    if (what != NULL) {
        reader_options(&builder->reader, node, &shape);
    }
    entry->spec->kind = kinds[kind].kind;
    if (options != NULL && entry->spec->kind == FORMAT_PROTOBUF) {
        const char *path = option_text(options, "descriptors");
        entry->spec->message = copy(entry, options, "message");
        if (path != NULL) {
            entry->spec->descriptors =
                descriptors_read(builder, node_get(node, "descriptors"), entry->what, path);
        }
        protobuf_check(entry, node);
    }
    options_destroy(options);
}

// NULL-terminated: the keys of an entry that are no options.
static const char *const *other_names(struct arena *arena)
{
    const char **names = arena_alloc(arena, (KIND_COUNT + 2) * sizeof(names[0]));
    for (size_t i = 0; names != NULL && i < KIND_COUNT; i++) {
        names[i] = kinds[i].name;
    }
    if (names != NULL) {
        names[KIND_COUNT] = "fields";
    }
    return names;
}

static bool has_unknown_key(const struct node *node, const char *const *others)
{
    for (const struct node *member = node->first; member != NULL; member = member->next) {
        const char *name = member->key->text;
        if (option_find(format_options, name) == NULL && !name_is_among(name, others)) {
            return true;
        }
    }
    return false;
}

// Exactly one key says how.
static void kinds_build(const struct entry *entry, const char *const *others)
{
    struct reader *reader = &entry->builder->reader;
    const struct node *found = NULL;
    for (const struct node *member = entry->node->first; member != NULL; member = member->next) {
        size_t kind = kind_find(member->key->text);
        if (kind == KIND_COUNT) {
            continue;
        }
        if (found != NULL) {
            reader_problem(reader, member->key->at,
                           "%s: '%s' besides '%s'; an entry is of one kind", entry->what,
                           member->key->text, found->key->text);
            continue;
        }
        found = member;
        kind_build(entry, member, kind);
    }
    if (found == NULL && !has_unknown_key(entry->node, others)) {
        reader_problem(reader, entry->node->at,
                       "%s: what payloads are is missing: json, cbor, protobuf, sparkplug, "
                       "cloudevents, text, number or bytes",
                       entry->what);
    }
}

static void from_check(const struct entry *entry)
{
    const char *from = entry->spec->from;
    const char *problem = from == NULL ? NULL : topic_filter_problem(bytes_from_text(from));
    if (problem != NULL) {
        reader_problem(&entry->builder->reader, node_get(entry->node, "from")->at,
                       "%s: from: topic filter '%.80s' %s", entry->what, from, problem);
        entry->spec->from = NULL;
    }
}

static void format_build(struct builder *builder, const struct node *node,
                         struct format_spec *out_format)
{
    struct reader *reader = &builder->reader;
    struct options *options = options_make(builder, format_options);
    const char *const *others = other_names(reader->arena);
    struct entry entry = {builder, node, arena_print(reader->arena, "format %s", node->key->text),
                          out_format};
    if (options != NULL && others != NULL && entry.what != NULL) {
        reader_name(reader, node->key, "format");
        struct shape shape = {.what = entry.what, .options = {options, NULL}, .others = others};
        reader_options(reader, node, &shape);
        out_format->name = node->key->text;
        out_format->from = copy(&entry, options, "from");
        out_format->is_closed = option_bool(options, "closed");
        from_check(&entry);
        if (node->kind == NODE_MAPPING) {
            kinds_build(&entry, others);
            fields_build(&entry);
        }
    }
    options_destroy(options);
}

void formats_build(struct builder *builder)
{
    struct core_spec *core = &builder->file->config.core;
    const struct node *section = section_find(builder, "formats");
    struct format_spec *formats =
        section == NULL ? NULL
                        : arena_alloc(builder->file->arena, section->count * sizeof(formats[0]));
    if (formats == NULL) {
        return;
    }
    core->formats = formats;
    for (const struct node *node = section->first; node != NULL; node = node->next) {
        format_build(builder, node, &formats[core->format_count++]);
    }
}
