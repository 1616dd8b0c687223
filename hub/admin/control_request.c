#include "admin/control_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json_bytes.h"

#define DELIVERIES_MAX   20000 // Of one chunk.
#define REASON_BYTES_MAX 1000

struct control_request {
    json_t *json;
    struct arena *arena;
    struct edit edit;
    struct replay_chunk chunk;
};

typedef const char *read_fn(struct control_request *request, struct control_ask *ask);

void control_request_destroy(struct control_request *request)
{
    if (request != NULL) {
        json_decref(request->json);
        arena_destroy(request->arena);
        free(request);
    }
}

static bool read_number(const json_t *object, const char *name, uint64_t absent, uint64_t *out)
{
    const json_t *value = json_object_get(object, name);
    *out = json_is_integer(value) ? (uint64_t)json_integer_value(value) : absent;
    return value == NULL || (json_is_integer(value) && json_integer_value(value) >= 0);
}

static const char *read_range(struct control_request *request, struct control_ask *ask)
{
    if (!read_number(request->json, "first", 0, &ask->operation.first) ||
        !read_number(request->json, "last", UINT64_MAX, &ask->operation.last)) {
        return "first and last must be whole numbers, 0 or more";
    }
    return NULL;
}

static const char *read_edit(struct control_request *request, struct control_ask *ask)
{
    struct edit *edit = &request->edit;
    ask->operation.edit = edit;
    if (!json_get_bytes(request->json, "topic", request->arena, &edit->topic) ||
        !json_get_bytes(request->json, "payload", request->arena, &edit->payload)) {
        return "topic and payload must be strings, or base64 as topic_base64 and payload_base64";
    }
    return read_range(request, ask);
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static const char *read_begin(struct control_request *request, struct control_ask *ask)
{
    request->chunk = (struct replay_chunk){
        .rule = text(request->json, "rule"),
        .what = text(request->json, "what"),
        .token = text(request->json, "token"),
    };
    ask->operation.chunk = &request->chunk;
    return request->chunk.rule == NULL || request->chunk.what == NULL ||
                   request->chunk.token == NULL
               ? "rule, what and token must be texts"
               : NULL;
}

static bool read_delivery(struct arena *arena, const json_t *json, struct replayed *out)
{
    struct delivery *delivery = &out->delivery;
    json_int_t route = json_integer_value(json_object_get(json, "route"));
    out->target = text(json, "target");
    out->route = route < 1 || route > UINT32_MAX ? 0 : (uint32_t)route;
    delivery->rule = text(json, "rule");
    delivery->idempotency_key = text(json, "idempotency_key");
    delivery->content_type = text(json, "content_type");
    return json_get_bytes(json, "key", arena, &delivery->key) &&
           json_get_bytes(json, "topic", arena, &delivery->topic) &&
           json_get_bytes(json, "payload", arena, &delivery->payload) &&
           json_get_bytes(json, "properties", arena, &delivery->properties) &&
           out->target != NULL && out->route != 0 && delivery->rule != NULL &&
           delivery->idempotency_key != NULL && delivery->content_type != NULL;
}

static const char *read_chunk(struct control_request *request, struct control_ask *ask)
{
    const json_t *list = json_object_get(request->json, "deliveries");
    size_t count = json_array_size(list);
    struct replayed *deliveries = NULL;
    if (!json_is_array(list) || count > DELIVERIES_MAX) {
        return "deliveries must be a list of at most 20000";
    }
    deliveries = arena_alloc(request->arena, (count + 1) * sizeof(deliveries[0]));
    for (size_t i = 0; i < count; i++) {
        if (deliveries == NULL ||
            !read_delivery(request->arena, json_array_get(list, i), &deliveries[i])) {
            return "a delivery must have target, rule, route, idempotency_key, key, topic, payload "
                   "and content_type";
        }
    }
    struct replay_chunk *chunk = &request->chunk;
    ask->operation.chunk = chunk;
    chunk->deliveries = deliveries;
    chunk->count = (uint32_t)count;
    chunk->is_last = json_is_true(json_object_get(request->json, "is_last"));
    if (!read_number(request->json, "replay", 0, &chunk->replay) ||
        !read_number(request->json, "number", 0, &chunk->number)) {
        return "replay and number must be whole numbers";
    }
    return NULL;
}

static const char *read_instance(struct control_request *request, struct control_ask *ask)
{
    const json_t *id = json_object_get(request->json, "instance");
    const json_t *reason = json_object_get(request->json, "reason");
    if (!json_is_integer(id) || json_integer_value(id) < 1) {
        return "instance must be the number of a workflow's instance";
    }
    if (reason != NULL &&
        (!json_is_string(reason) || json_string_length(reason) > REASON_BYTES_MAX)) {
        return "reason must be a text of at most 1000 bytes";
    }
    ask->operation.first = ask->operation.last = (uint64_t)json_integer_value(id);
    ask->operation.reason = json_string_value(reason);
    ask->operation.cancel =
        json_is_true(json_object_get(request->json, "abandon")) ? CANCEL_ABANDON : CANCEL_UNDO;
    return NULL;
}

static const char *read_nothing(struct control_request *request, struct control_ask *ask)
{
    (void)request;
    (void)ask;
    return NULL;
}

static const char *read_reload(struct control_request *request, struct control_ask *ask)
{
    ask->is_dry = json_is_true(json_object_get(request->json, "dry_run"));
    return NULL;
}

static const struct {
    const char *name;
    enum control_op op;
    enum operation_kind kind;
    read_fn *read;
} ops[] = {
    {"status", CONTROL_STATUS, 0, read_nothing},
    {"reload", CONTROL_RELOAD, 0, read_reload},
    {"dead_replay", CONTROL_OPERATE, OPERATION_DEAD_REPLAY, read_range},
    {"dead_drop", CONTROL_OPERATE, OPERATION_DEAD_DROP, read_range},
    {"dead_edit", CONTROL_OPERATE, OPERATION_DEAD_EDIT, read_edit},
    {"quarantine_drop", CONTROL_OPERATE, OPERATION_QUARANTINE_DROP, read_range},
    {"quarantine_replay", CONTROL_OPERATE, OPERATION_QUARANTINE_REPLAY, read_range},
    {"quarantine_edit", CONTROL_OPERATE, OPERATION_QUARANTINE_EDIT, read_edit},
    {"replay_begin", CONTROL_OPERATE, OPERATION_REPLAY_BEGIN, read_begin},
    {"replay_chunk", CONTROL_OPERATE, OPERATION_REPLAY_CHUNK, read_chunk},
    {"workflow_cancel", CONTROL_OPERATE, OPERATION_WORKFLOW_CANCEL, read_instance},
    {"workflow_retry", CONTROL_OPERATE, OPERATION_WORKFLOW_RETRY, read_instance},
    {"workflow_replay", CONTROL_OPERATE, OPERATION_WORKFLOW_REPLAY, read_instance},
};

const char *control_request_read(const char *line, size_t len, struct control_ask *ask)
{
    struct control_request *request = calloc(1, sizeof(*request));
    ask->request = request;
    if (request == NULL || (request->arena = arena_create()) == NULL) {
        return "the hub has no memory left for the request";
    }
    request->json = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(request->json)) {
        return "the request is not a line of JSON {\"op\": …}";
    }
    const char *name = text(request->json, "op");
    for (size_t i = 0; name != NULL && i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(ops[i].name, name) == 0) {
            ask->op = ops[i].op;
            ask->operation.kind = ops[i].kind;
            return ops[i].read(request, ask);
        }
    }
    return "op must be status, reload, dead_replay, dead_drop, dead_edit, quarantine_replay, "
           "quarantine_drop, quarantine_edit, replay_begin, replay_chunk, workflow_cancel, "
           "workflow_retry or workflow_replay";
}
