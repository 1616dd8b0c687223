// format_protobuf.c - payloads that are a protobuf message which the configuration names.
#include <jansson.h>
#include <stdlib.h>

#include "core/event_parts.h"
#include "core/format_types.h"
#include "core/proto_dynamic.h"

struct schema {
    struct proto_set *set;
    const struct proto_type *type;
};

static char unreadable; // Its address stands for a message that could not be read.

static void close_schema(void *state)
{
    struct schema *schema = state;
    proto_set_destroy(schema->set);
    free(schema);
}

static enum err open_schema(const struct format_spec *spec, void **out_state, struct error *e)
{
    struct schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a schema");
    }
    enum err rc = proto_set_create(&schema->set, spec->descriptors, e);
    if (rc == ERR_OK) {
        rc = proto_set_message(schema->set, spec->message, &schema->type, e);
    }
    if (rc == ERR_OK) {
        *out_state = schema;
    } else {
        close_schema(schema);
    }
    return rc;
}

static enum err read_message(struct event *event, struct error *e)
{
    const struct schema *schema = format_state(event->format);
    struct ProtobufCMessage *message;
    enum err rc = proto_read(schema->type, event->payload, event->memory, &message, e);
    event->data = rc == ERR_OK ? (void *)message : &unreadable;
    return rc;
}

// NULL when there is none that can be read.
static const struct ProtobufCMessage *message_of(struct event *event)
{
    if (event->data == NULL && (event->payload.ptr != NULL || event->envelope == NULL)) {
        read_message(event, NULL);
    }
    return event->data == &unreadable ? NULL : event->data;
}

static bool field(struct event *event, const char *path, struct event_value *out_value)
{
    const struct ProtobufCMessage *message = message_of(event);
    if (message == NULL || !proto_get(message, path, out_value)) {
        return false;
    }
    if (out_value->kind == VALUE_TREE) {
        out_value->tree = event_keep_tree(event, out_value->tree);
    }
    return out_value->kind != VALUE_TREE || out_value->tree != NULL;
}

static json_t *fields(struct event *event)
{
    const struct ProtobufCMessage *message = message_of(event);
    return message == NULL ? NULL : proto_to_json(message);
}

static bool has_field(const void *state, const char *path)
{
    const struct schema *schema = state;
    return proto_type_has(schema->type, path);
}

static const char *const *names(const void *state)
{
    const struct schema *schema = state;
    return proto_type_fields(schema->type);
}

const struct format_type format_protobuf = {
    .name = "protobuf",
    .open = open_schema,
    .close = close_schema,
    .validate = read_message,
    .field = field,
    .fields = fields,
    .has_field = has_field,
    .names = names,
    .is_closed = true,
};
