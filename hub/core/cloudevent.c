#include "core/cloudevent.h"

#include <strings.h>

#include "base/time_text.h"
#include "base/utf8.h"

#define CONTENT_TYPE "application/cloudevents"

static bool begins_with(struct bytes text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && strncasecmp((const char *)text.ptr, prefix, len) == 0;
}

static bool has_property(const struct message *message, const char *name)
{
    for (uint32_t i = 0; i < message->property_count; i++) {
        if (bytes_equal(message->properties[i].name, bytes_from_text(name))) {
            return true;
        }
    }
    return false;
}

static enum cloudevent_mode mode_of_content(struct bytes content_type)
{
    static const struct {
        const char *type;
        enum cloudevent_mode mode;
    } types[] = {
        {CONTENT_TYPE "+json", CLOUDEVENT_JSON},
        {CONTENT_TYPE "+protobuf", CLOUDEVENT_PROTOBUF},
        {CONTENT_TYPE "-batch+json", CLOUDEVENT_BATCH},
        {CONTENT_TYPE, CLOUDEVENT_JSON}, // The binding's default format.
    };
    if (!begins_with(content_type, CONTENT_TYPE)) {
        return CLOUDEVENT_NONE;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (content_type_is(content_type, types[i].type, types[i].type)) {
            return types[i].mode;
        }
    }
    return CLOUDEVENT_UNKNOWN;
}

static bool is_binary(const struct message *message)
{
    return message->property_count >= 4 && has_property(message, "specversion") &&
           has_property(message, "id") && has_property(message, "source") &&
           has_property(message, "type");
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

enum cloudevent_mode cloudevent_mode(const struct message *message, bool is_expected)
{
    enum cloudevent_mode mode = CLOUDEVENT_NONE;
    if (message->content_type.len > 0) {
        mode = mode_of_content(message->content_type);
    }
    if (mode == CLOUDEVENT_NONE && is_binary(message)) {
        return CLOUDEVENT_BINARY;
    }
    if (mode != CLOUDEVENT_NONE || !is_expected) {
        return mode;
    }
    if (has_property(message, "specversion")) {
        return CLOUDEVENT_BINARY; // What it lacks is told by name.
    }
    uint8_t first = message->content_type.len == 0 ? first_byte(message->payload) : 0;
    return first == '{' ? CLOUDEVENT_JSON : first == '[' ? CLOUDEVENT_BATCH : CLOUDEVENT_NONE;
}

const struct event_value *cloudevent_find(const struct cloudevent *event, struct bytes name)
{
    for (uint32_t i = 0; i < event->count; i++) {
        if (bytes_equal(event->attributes[i].name, name)) {
            return &event->attributes[i].value;
        }
    }
    return NULL;
}

enum err cloudevent_add(struct cloudevent *event, struct bytes name,
                        const struct event_value *value, struct error *e)
{
    if (event->count == CLOUDEVENT_ATTRIBUTES_MAX) {
        return error_set(e, ERR_INVALID, "the CloudEvent has more than %d attributes",
                         CLOUDEVENT_ATTRIBUTES_MAX);
    }
    if (cloudevent_find(event, name) == NULL) {
        event->attributes[event->count++] = (struct cloudevent_attribute){name, *value};
    }
    return ERR_OK;
}

// Lower-case letters and digits; other user properties are none.
static bool is_attribute_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9')) {
            return false;
        }
    }
    return name.len > 0;
}

static enum err read_binary(struct cloudevent *event, const struct message *message,
                            struct error *e)
{
    enum err rc = ERR_OK;
    if (message->content_type.len > 0) {
        const struct event_value value = {.kind = VALUE_TEXT, .bytes = message->content_type};
        rc = cloudevent_add(event, bytes_from_text("datacontenttype"), &value, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < message->property_count; i++) {
        const struct user_property *property = &message->properties[i];
        const struct event_value value = {.kind = VALUE_TEXT, .bytes = property->value};
        if (is_attribute_name(property->name)) {
            rc = cloudevent_add(event, property->name, &value, e);
        }
    }
    event->data = message->payload.len > 0 ? message->payload : bytes_of(NULL, 0);
    event->content_type = message->content_type;
    return rc;
}

static enum err missing(const char *name, struct error *e)
{
    return error_set(e, ERR_INVALID, "the CloudEvent's attribute \"%s\" is missing or empty", name);
}

static bool has_control(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            return true;
        }
    }
    return false;
}

static enum err check_text(const struct cloudevent *event, const char *name, bool is_required,
                           struct bytes *out_text, struct error *e)
{
    const struct event_value *value = cloudevent_find(event, bytes_from_text(name));
    *out_text = bytes_of(NULL, 0);
    if (value == NULL || (value->kind == VALUE_TEXT && value->bytes.len == 0)) {
        return is_required ? missing(name, e) : ERR_OK;
    }
    if (value->kind != VALUE_TEXT || !utf8_is_valid(value->bytes)) {
        return error_set(e, ERR_INVALID, "the CloudEvent's attribute \"%s\" is not a text", name);
    }
    if (has_control(value->bytes)) {
        return error_set(e, ERR_INVALID,
                         "the CloudEvent's attribute \"%s\" holds a control character", name);
    }
    *out_text = value->bytes;
    return ERR_OK;
}

struct required {
    struct bytes specversion, id, source, type, time, unused;
};

static enum err check_required(const struct cloudevent *event, struct required *found,
                               struct error *e)
{
    const struct {
        const char *name;
        bool is_required;
        struct bytes *out;
    } texts[] = {
        {"specversion", true, &found->specversion},
        {"id", true, &found->id},
        {"source", true, &found->source},
        {"type", true, &found->type},
        {"time", false, &found->time},
        {"subject", false, &found->unused},
        {"dataschema", false, &found->unused},
        {"datacontenttype", false, &found->unused},
    };
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        rc = check_text(event, texts[i].name, texts[i].is_required, texts[i].out, e);
        if (rc == ERR_OK && i == 0 && !bytes_equal(found->specversion, bytes_from_text("1.0"))) {
            rc = error_set(e, ERR_INVALID,
                           "the CloudEvent's attribute \"specversion\" is \"%.*s\"; only 1.0 is "
                           "known",
                           (int)(found->specversion.len < 20 ? found->specversion.len : 20),
                           (const char *)found->specversion.ptr);
        }
    }
    return rc;
}

static enum err take_time(struct cloudevent *event, struct bytes text, struct error *e)
{
    if (text.ptr == NULL) {
        return ERR_OK;
    }
    if (!time_text_read(text, &event->time_ms)) {
        return error_set(e, ERR_INVALID,
                         "the CloudEvent's attribute \"time\" is \"%.*s\"; it must be as RFC 3339 "
                         "says, like 2026-11-21T09:30:00Z",
                         (int)(text.len < 60 ? text.len : 60), (const char *)text.ptr);
    }
    event->has_time = true;
    return ERR_OK;
}

static enum err finish(struct cloudevent *event, struct event_memory *memory, struct error *e)
{
    struct required found;
    enum err rc = check_required(event, &found, e);
    if (rc == ERR_OK) {
        rc = take_time(event, found.time, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    char *id = event_memory_take(memory, found.source.len + found.id.len + 2);
    event->type = event_memory_text(memory, found.type);
    if (id == NULL || event->type == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    memcpy(id, found.source.ptr, found.source.len);
    id[found.source.len] = '#';
    memcpy(id + found.source.len + 1, found.id.ptr, found.id.len);
    id[found.source.len + 1 + found.id.len] = '\0';
    event->id = id;
    return ERR_OK;
}

enum err cloudevent_read(struct cloudevent *out_event, enum cloudevent_mode mode,
                         const struct message *message, struct event_memory *memory,
                         struct error *e)
{
    *out_event = (struct cloudevent){
        .attributes = event_memory_take(memory, CLOUDEVENT_ATTRIBUTES_MAX *
                                                    sizeof(struct cloudevent_attribute))};
    if (out_event->attributes == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    enum err rc;
    if (mode == CLOUDEVENT_BINARY) {
        rc = read_binary(out_event, message, e);
    } else if (mode == CLOUDEVENT_JSON) {
        rc = cloudevent_read_json(out_event, message->payload, memory, e);
    } else {
        rc = cloudevent_read_protobuf(out_event, message->payload, memory, e);
    }
    return rc == ERR_OK ? finish(out_event, memory, e) : rc;
}
