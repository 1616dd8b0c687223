#include "trial/case_proto.h"

#include <jansson.h>

#include "core/proto_dynamic.h"

struct found {
    struct proto_set *set;
    const struct proto_type *type;
};

// Looks into one set; false: it has no such message.
static bool look(struct bytes descriptors, const char *message, struct found *found)
{
    struct error unused;
    if (descriptors.len == 0 || proto_set_create(&found->set, descriptors, &unused) != ERR_OK) {
        return false;
    }
    if (proto_set_message(found->set, message, &found->type, &unused) == ERR_OK) {
        return true;
    }
    proto_set_destroy(found->set);
    found->set = NULL;
    return false;
}

static bool look_in_routes(const struct rule_spec *rule, const char *message, struct found *found)
{
    for (uint32_t i = 0; i < rule->route_count; i++) {
        if (look(rule->routes[i].descriptors, message, found)) {
            return true;
        }
    }
    return false;
}

static enum err find(const struct config *config, const char *message, struct found *found,
                     struct error *e)
{
    for (uint32_t i = 0; i < config->core.format_count; i++) {
        if (look(config->core.formats[i].descriptors, message, found)) {
            return ERR_OK;
        }
    }
    for (uint32_t i = 0; i < config->core.rule_count; i++) {
        if (look_in_routes(&config->core.rules[i], message, found)) {
            return ERR_OK;
        }
    }
    return error_set(e, ERR_CONFIG, "no descriptor set of the configuration has the message %.100s",
                     message);
}

static enum err put_all(struct found *found, struct ProtobufCMessage *message, json_t *fields,
                        struct event_memory *memory, struct error *e)
{
    enum err rc = ERR_OK;
    const char *name;
    json_t *json;
    json_object_foreach(fields, name, json)
    {
        const struct proto_path *path = NULL;
        struct event_value value;
        value_of_json(json, &value);
        rc = proto_path_create(&path, found->set, found->type, name, e);
        rc = rc == ERR_OK ? proto_put(message, path, &value, memory, e) : rc;
        if (rc != ERR_OK) {
            break;
        }
    }
    return rc;
}

enum err case_proto_pack(const struct config *config, const char *message,
                         const struct json_t *fields, struct arena *arena, struct bytes *out_bytes,
                         struct error *e)
{
    struct found found = {0};
    struct event_memory memory;
    enum err rc = find(config, message, &found, e);
    if (rc != ERR_OK) {
        return rc;
    }
    event_memory_init(&memory);
    struct ProtobufCMessage *made = proto_make(found.type, &memory);
    struct bytes packed = {0};
    rc = made == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for a message")
                      : put_all(&found, made, (json_t *)(uintptr_t)fields, &memory, e);
    rc = rc == ERR_OK ? proto_pack(made, &memory, &packed, e) : rc;
    if (rc == ERR_OK) {
        const char *copy = arena_text(arena, (const char *)packed.ptr, packed.len);
        *out_bytes = bytes_of(copy, copy == NULL ? 0 : packed.len);
    }
    event_memory_deinit(&memory);
    proto_set_destroy(found.set);
    return rc;
}

enum err case_proto_read(const struct config *config, const char *message, struct bytes bytes,
                         struct json_t **out_fields, struct error *e)
{
    struct found found = {0};
    struct event_memory memory;
    struct ProtobufCMessage *read = NULL;
    enum err rc = find(config, message, &found, e);
    if (rc != ERR_OK) {
        return rc;
    }
    event_memory_init(&memory);
    rc = proto_read(found.type, bytes, &memory, &read, e);
    json_t *fields = rc == ERR_OK ? proto_to_json(read) : NULL;
    if (rc == ERR_OK && fields == NULL) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory for a message");
    }
    if (rc == ERR_OK) {
        *out_fields = fields;
    }
    event_memory_deinit(&memory);
    proto_set_destroy(found.set);
    return rc;
}
