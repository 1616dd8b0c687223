// event_json.c - JSON payloads: read at most once, reached by dotted paths, written back.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/format_types.h"

#define TREE_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

static bool starts_with(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && strncasecmp((const char *)text.ptr, prefix, len) == 0;
}

static uint8_t first_byte(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(" \t\r\n", text.ptr[i], 4) == NULL) {
            return text.ptr[i];
        }
    }
    return 0;
}

// Whether it is worth reading at all: JSON begins with one of these.
static bool may_be_json(struct bytes text)
{
    uint8_t first = first_byte(text);
    return first != 0 && memchr("{[\"-0123456789tfn", first, 17) != NULL;
}

// The entry says so.
static bool event_is_json(const struct event *event)
{
    return event->format != NULL && format_type_of(event->format) == &format_json;
}

// Whether the payload has to be JSON, so that it is rejected when it is not.
static bool must_be_json(const struct event *event)
{
    return event_is_json(event) ||
           content_type_is(event->content_type, "application/json", "+json") ||
           (event->kind == EVENT_FOREIGN && event->content_type.len == 0 &&
            first_byte(event->payload) == '{');
}

static void set_problem(struct event *event, const char *problem)
{
    event->json_state = JSON_BROKEN;
    event->json_problem = problem;
}

static void read_json(struct event *event)
{
    struct bytes text = event->payload;
    event->json_state = JSON_NONE;
    if (event->kind == EVENT_STATUS || text.ptr == NULL) {
        return;
    }
    bool is_json = must_be_json(event);
    if (!is_json && (event->content_type.len > 0 || !may_be_json(text))) {
        return;
    }
    struct error why;
    if (json_tape_read(&event->tape, text, event->memory, &why) == ERR_OK) {
        event->json_state = JSON_READ;
    } else if (is_json) {
        const char *kept = event_memory_text(event->memory, bytes_from_text(why.text));
        set_problem(event, kept == NULL ? "the JSON does not parse" : kept);
    }
}

static bool has_json(struct event *event)
{
    if (event->json_state == JSON_UNREAD) {
        read_json(event);
    }
    return event->json_state == JSON_READ;
}

json_t *event_json(struct event *event)
{
    if (has_json(event) && event->json == NULL) {
        event->json =
            json_loadb((const char *)event->payload.ptr, event->payload.len, TREE_FLAGS, NULL);
    }
    return event->json;
}

void event_json_free(struct event *event)
{
    json_decref(event->json);
    json_decref(event->fields_json);
    json_decref(event->trees);
    event->json = event->fields_json = event->trees = NULL;
    event->json_state = JSON_UNREAD;
}

json_t *event_keep_tree(struct event *event, json_t *take_tree)
{
    if (event->trees == NULL) {
        event->trees = json_array();
    }
    return json_array_append_new(event->trees, take_tree) == 0 ? take_tree : NULL;
}

enum err event_json_validate(struct event *event, struct error *e)
{
    has_json(event);
    if (event->json_state == JSON_BROKEN) {
        return error_set(e, ERR_INVALID, "%s", event->json_problem);
    }
    bool is_text = event->kind == EVENT_FOREIGN && starts_with(event->content_type, "text/");
    if (is_text && !utf8_is_valid(event->payload)) {
        return error_set(e, ERR_INVALID, "the payload says it is text but is not valid UTF-8");
    }
    return ERR_OK;
}

// Objects and arrays as trees, so that they are written as everywhere.
static bool tree_value(struct event *event, struct event_value *inout_value)
{
    struct bytes text = inout_value->bytes;
    json_t *tree = json_loadb((const char *)text.ptr, text.len, TREE_FLAGS, NULL);
    *inout_value = (struct event_value){.kind = VALUE_TREE, .tree = event_keep_tree(event, tree)};
    return inout_value->tree != NULL;
}

bool event_json_field(struct event *event, const char *path, struct event_value *out_value)
{
    if (!has_json(event)) {
        return false;
    }
    const struct json_node *found = &event->tape.nodes[0];
    if (found->kind == JSON_KIND_OBJECT || found->kind == JSON_KIND_ARRAY) {
        found = json_tape_find(&event->tape, path);
    } else if (strcmp(path, "value") != 0) {
        found = NULL;
    }
    if (found == NULL) {
        return false;
    }
    json_node_value(found, out_value);
    return out_value->kind != VALUE_JSON || tree_value(event, out_value);
}

void value_of_json(json_t *json, struct event_value *out_value)
{
    *out_value = (struct event_value){.kind = VALUE_NULL};
    switch (json_typeof(json)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        out_value->kind = VALUE_TREE;
        out_value->tree = json;
        break;
    case JSON_STRING:
        out_value->kind = VALUE_TEXT;
        out_value->bytes = bytes_of(json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        out_value->kind = VALUE_INTEGER;
        out_value->integer = json_integer_value(json);
        break;
    case JSON_REAL:
        out_value->kind = VALUE_REAL;
        out_value->real = json_real_value(json);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        out_value->kind = VALUE_BOOLEAN;
        out_value->integer = json_is_true(json);
        break;
    case JSON_NULL:
        break;
    }
}

static json_t *json_of_text(struct bytes text, const char **out_problem)
{
    json_t *json = json_stringn(text.len == 0 ? "" : (const char *)text.ptr, text.len);
    if (json == NULL) {
        *out_problem = "is not valid UTF-8";
    }
    return json;
}

json_t *value_to_json(const struct event_value *value, const char **out_problem)
{
    json_t *json = NULL;
    switch (value->kind) {
    case VALUE_NULL:
        return json_null();
    case VALUE_BOOLEAN:
        return json_boolean(value->integer);
    case VALUE_INTEGER:
        return json_integer(value->integer);
    case VALUE_REAL:
        json = json_real(value->real);
        *out_problem = json == NULL ? "is an infinite number, which JSON has not" : NULL;
        return json;
    case VALUE_TEXT:
        return json_of_text(value->bytes, out_problem);
    case VALUE_TREE:
        return json_incref(value->tree);
    case VALUE_JSON:
        json = json_loadb((const char *)value->bytes.ptr, value->bytes.len,
                          JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        *out_problem = json == NULL ? "is not valid JSON" : NULL;
        return json;
    case VALUE_BLOB:
        *out_problem = "is a blob, which JSON has not; use hex(...) for it";
        break;
    }
    return NULL;
}

json_t *json_of_blob(struct bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * bytes.len + 1);
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        text[2 * i] = digits[bytes.ptr[i] >> 4];
        text[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
    json_t *json = json_stringn_nocheck(text, 2 * bytes.len);
    free(text);
    return json;
}

json_t *event_proto_fields(struct event *event)
{
    json_t *object = event->field_count == 0 ? NULL : json_object();
    for (uint32_t i = 0; object != NULL && i < event->field_count; i++) {
        const char *name, *problem;
        struct event_value value;
        event_proto_field_at(event, i, &name, &value);
        if (json_object_get(object, name) != NULL) {
            continue; // Of two with one name the first is seen.
        }
        json_t *json =
            value.kind == VALUE_BLOB ? json_of_blob(value.bytes) : value_to_json(&value, &problem);
        json_object_set_new_nocheck(object, name, json == NULL ? json_null() : json);
    }
    return object;
}

json_t *event_payload_fields(struct event *event)
{
    const struct format_type *type = format_type_of(event->format);
    return type->fields == NULL ? NULL : type->fields(event);
}

// NULL: there is no envelope, or it has none of its own.
static json_t *envelope_fields(struct event *event)
{
    const struct format_type *type =
        event->envelope == NULL ? NULL : format_type_of(event->envelope);
    return type == NULL || type->fields == NULL ? NULL : type->fields(event);
}

json_t *event_fields_json(struct event *event)
{
    if (event->fields_json == NULL) {
        event->fields_json = envelope_fields(event);
    }
    if (event->fields_json == NULL) {
        event->fields_json = event_payload_fields(event);
    }
    json_t *json = event->fields_json;
    return json_is_object(json) || json_is_array(json) ? json : NULL;
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text[0] != '\0') {
        json_object_set_new_nocheck(object, name, json_string(text));
    }
}

static void set_integer(json_t *object, const char *name, int64_t number)
{
    json_object_set_new_nocheck(object, name, json_integer(number));
}

static void set_payload(json_t *object, struct event *event)
{
    if (event->payload.ptr == NULL || event->kind == EVENT_STATUS) {
        return;
    }
    json_t *json = event_payload_fields(event);
    const char *problem;
    if (json != NULL) {
        json_object_set_new_nocheck(object, "payload", json);
    } else if (utf8_is_valid(event->payload)) {
        json_object_set_new_nocheck(object, "payload", json_of_text(event->payload, &problem));
    } else {
        json_object_set_new_nocheck(object, "payload_hex", json_of_blob(event->payload));
    }
}

static void set_standard(json_t *object, struct event *event)
{
    const char *problem;
    set_text(object, "id", event_id(event));
    json_object_set_new_nocheck(object, "topic", json_of_text(event->message->topic, &problem));
    set_text(object, "device_group", event->group);
    set_text(object, "device", event->device);
    set_text(object, "type", event->type);
    if (event->has_boot) {
        set_integer(object, "boot", event->identity.boot);
    }
    if (event->identity.sequence != 0) {
        set_integer(object, "sequence", (int64_t)event->identity.sequence);
    }
    if (event->has_time) {
        set_integer(object, "time", event->time_ms);
    }
    set_integer(object, "received", event->message->received_ms);
    if (event->content_type.len > 0) {
        json_object_set_new_nocheck(object, "content_type",
                                    json_of_text(event->content_type, &problem));
    }
}

char *event_to_json(struct event *event)
{
    json_t *object = json_object();
    if (object == NULL) {
        return NULL;
    }
    set_standard(object, event);
    json_t *fields = envelope_fields(event);
    if (fields != NULL) {
        json_object_set_new_nocheck(object, "fields", fields);
    }
    set_payload(object, event);
    char *text = json_to_text(object);
    json_decref(object);
    return text;
}

char *json_to_text(const json_t *json)
{
    size_t precision = (size_t)json_precision(json);
    return json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(precision));
}

int json_precision(const json_t *json)
{
    json_t *tree = (json_t *)(uintptr_t)json, *item;
    int most = json_is_real(json) ? real_precision(json_real_value(json)) : 15;
    size_t index;
    const char *key;
    json_array_foreach(tree, index, item)
    {
        int needed = json_precision(item);
        most = needed > most ? needed : most;
    }
    json_object_foreach(tree, key, item)
    {
        int needed = json_precision(item);
        most = needed > most ? needed : most;
    }
    return most;
}
