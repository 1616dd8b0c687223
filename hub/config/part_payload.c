// part_payload.c - what a route sends: its payload's format, and its user properties.
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "config/parts.h"

#define DESCRIPTORS_BYTES_MAX (4 * 1024 * 1024)
#define PROPERTY_NAME_MAX     128

// The choices stand in the order of enum payload_format.
const struct option_spec route_payload_options[] = {
    {"payload", OPTION_ENUM, false, "json", 0, 0,
     "json|text|pipit|original|cbor|protobuf|cloudevent",
     "What is sent: `json` an object of the row's columns, `text` the template in `text` (without "
     "one the first column), `pipit` a Pipit event whose fields are the columns, `original` "
     "the event's payload as it came, `cbor` a map of the columns, `protobuf` a `message` whose "
     "fields are the columns, `cloudevent` a CloudEvent whose data are the columns."},
    {"text", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Template for `payload: text`; `{column}` is replaced by the column's value."},
    {"type", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Event type for `payload: pipit`; for `payload: cloudevent` a template. Without it the rule's "
     "name."},
    {"source", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Template of a CloudEvent's source. Without it `/pipit/<hub id>`."},
    {"subject", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Template of a CloudEvent's subject. Without it there is none."},
    {"mode", OPTION_ENUM, false, "binary", 0, 0, "binary|structured",
     "How a CloudEvent travels: `binary` has its attributes as user properties and the data as "
     "payload, `structured` is one JSON document."},
    {"descriptors", OPTION_PATH, false, NULL, 0, 0, NULL,
     "For `payload: protobuf`: the file that `protoc --include_imports --descriptor_set_out` wrote "
     "of the message's .proto."},
    {"message", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "For `payload: protobuf`: the message's full name, such as `plant.v1.Reading`."},
    {NULL},
};

#define FORMAT(payload) (1U << (payload))

// Options that would be there to no effect are mistakes.
static const struct {
    const char *option;
    uint32_t formats;
    const char *needs;
} uses[] = {
    {"text", FORMAT(PAYLOAD_TEXT), "payload: text"},
    {"type", FORMAT(PAYLOAD_PIPIT) | FORMAT(PAYLOAD_CLOUDEVENT),
     "payload: pipit or payload: cloudevent"},
    {"source", FORMAT(PAYLOAD_CLOUDEVENT), "payload: cloudevent"},
    {"subject", FORMAT(PAYLOAD_CLOUDEVENT), "payload: cloudevent"},
    {"mode", FORMAT(PAYLOAD_CLOUDEVENT), "payload: cloudevent"},
    {"descriptors", FORMAT(PAYLOAD_PROTOBUF), "payload: protobuf"},
    {"message", FORMAT(PAYLOAD_PROTOBUF), "payload: protobuf"},
};

static void check_uses(struct builder *builder, const struct node *node, const char *what,
                       const struct route_spec *route)
{
    for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
        const struct node *member = node_get(node, uses[i].option);
        bool is_used = (uses[i].formats & FORMAT(route->format)) != 0;
        if (member != NULL && !is_used) {
            reader_problem(&builder->reader, member->key->at, "%s: '%s' needs %s", what,
                           uses[i].option, uses[i].needs);
        } else if (member == NULL && route->format == PAYLOAD_PROTOBUF && is_used) {
            reader_problem(&builder->reader, node->at, "%s: payload: protobuf needs '%s'", what,
                           uses[i].option);
        }
    }
}

struct bytes descriptors_read(struct builder *builder, const struct node *node, const char *what,
                              const char *path)
{
    struct error e = {0};
    char *text;
    size_t len;
    if (file_read(path, DESCRIPTORS_BYTES_MAX, &text, &len, &e) != ERR_OK) {
        reader_problem(&builder->reader, node->at, "%s: descriptors: %s", what, e.text);
        return bytes_of(NULL, 0);
    }
    uint8_t *copy = arena_alloc(builder->file->arena, len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
    }
    free(text);
    return bytes_of(copy, copy == NULL ? 0 : len);
}

static const char *copy(struct builder *builder, const struct options *options, const char *name)
{
    const char *text = option_text(options, name);
    return text == NULL ? NULL : arena_print(builder->file->arena, "%s", text);
}

static void fill_cloudevent(struct builder *builder, const struct options *options,
                            const struct rule_spec *rule, struct route_spec *out_route)
{
    struct cloudevent_spec *spec = &out_route->cloudevent;
    const char *hub_id = builder->file->config.core.hub_id;
    spec->is_structured = option_choice(options, "mode") == 1;
    spec->type = copy(builder, options, "type");
    spec->type = spec->type == NULL ? rule->name : spec->type;
    spec->source = copy(builder, options, "source");
    spec->subject = copy(builder, options, "subject");
    if (spec->source == NULL) {
        spec->source = arena_print(builder->file->arena, "/pipit/%s", hub_id == NULL ? "" : hub_id);
    }
}

static void fill_protobuf(struct builder *builder, const struct node *node, const char *what,
                          const struct options *options, struct route_spec *out_route)
{
    const struct node *file = node_get(node, "descriptors");
    const char *path = option_text(options, "descriptors");
    out_route->message = copy(builder, options, "message");
    if (file != NULL && path != NULL) {
        out_route->descriptors = descriptors_read(builder, file, what, path);
    }
}

const char *property_problem(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > PROPERTY_NAME_MAX || !utf8_is_valid(bytes_from_text(name))) {
        return "must be 1 to 128 bytes of UTF-8";
    }
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F) {
            return "holds a control character";
        }
    }
    if (strcmp(name, "idempotency-key") == 0 || strcmp(name, "replay") == 0) {
        return "is set by the hub itself";
    }
    return NULL;
}

// Why a property of the route cannot have this name; NULL: it can.
static const char *name_problem(const char *name, const struct route_spec *route)
{
    static const char *const attributes[] = {"specversion", "id",   "source",          "type",
                                             "subject",     "time", "datacontenttype", NULL};
    const char *problem = property_problem(name);
    if (problem != NULL) {
        return problem;
    }
    bool is_binary = route->format == PAYLOAD_CLOUDEVENT && !route->cloudevent.is_structured;
    return is_binary && name_is_among(name, attributes) ? "is an attribute of the CloudEvent"
                                                        : NULL;
}

void properties_check(struct builder *builder, const struct node *section, const char *what,
                      const struct connector_type *type)
{
    const struct node *node = section == NULL ? NULL : section->first;
    for (; type->property_problem != NULL && node != NULL; node = node->next) {
        bool is_told = node->key == NULL || property_problem(node->key->text) != NULL;
        const char *problem = is_told ? NULL : type->property_problem(node->key->text);
        if (problem != NULL) {
            reader_problem(&builder->reader, node->key->at, "%s: properties: the name '%.80s' %s",
                           what, node->key->text, problem);
        }
    }
}

static void fill_properties(struct builder *builder, const struct node *section, const char *what,
                            struct route_spec *out_route)
{
    struct reader *reader = &builder->reader;
    const char *own_what = arena_print(reader->arena, "%s: properties", what);
    if (section == NULL || own_what == NULL || !reader_mapping(reader, section, own_what, false)) {
        return;
    }
    if (section->count > ROUTE_PROPERTIES_MAX) {
        reader_problem(reader, section->at, "%s: %u of them; at most %d are possible", own_what,
                       section->count, ROUTE_PROPERTIES_MAX);
        return;
    }
    struct property_spec *properties =
        arena_alloc(reader->arena, section->count * sizeof(properties[0]));
    for (const struct node *node = section->first; properties != NULL && node != NULL;
         node = node->next) {
        const char *problem = name_problem(node->key->text, out_route);
        const char *value = reader_text(reader, node, own_what);
        if (problem != NULL) {
            reader_problem(reader, node->key->at, "%s: the name '%.80s' %s", own_what,
                           node->key->text, problem);
        } else if (value != NULL) {
            properties[out_route->property_count++] =
                (struct property_spec){node->key->text, value};
        }
    }
    out_route->properties = properties;
}

// What a branch passes on is the event, so it does that as it came unless the route says otherwise.
static enum payload_format format_of(const struct options *options, const struct rule_spec *rule)
{
    return rule->branch != BRANCH_MAIN && !options_is_set(options, "payload")
               ? PAYLOAD_ORIGINAL
               : (enum payload_format)option_choice(options, "payload");
}

void payload_build(struct builder *builder, const struct shape *shape, const struct node *node,
                   const struct rule_spec *rule, struct route_spec *out_route)
{
    const struct options *options = shape->options[2];
    out_route->format = format_of(options, rule);
    out_route->text = copy(builder, options, "text");
    if (out_route->format == PAYLOAD_CLOUDEVENT) {
        fill_cloudevent(builder, options, rule, out_route);
    } else {
        out_route->type = copy(builder, options, "type");
    }
    fill_protobuf(builder, node, shape->what, options, out_route);
    fill_properties(builder, node_get(node, "properties"), shape->what, out_route);
    check_uses(builder, node, shape->what, out_route);
}
