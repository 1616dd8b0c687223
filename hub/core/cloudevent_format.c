// cloudevent_format.c - CloudEvents as an envelope: attributes are the columns ce_<name>, the data
// is read by its own content type.
#include <jansson.h>

#include "core/cloudevent.h"
#include "core/event_parts.h"

#define PREFIX     "ce_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

const struct cloudevent *cloudevent_of(const struct event *event)
{
    bool is_ours =
        event->envelope != NULL && format_type_of(event->envelope) == &format_cloudevents;
    return is_ours ? event->envelope_data : NULL;
}

static enum err refuse(enum cloudevent_mode mode, const struct message *message, struct error *e)
{
    if (mode == CLOUDEVENT_UNKNOWN) {
        size_t len = message->content_type.len < 80 ? message->content_type.len : 80;
        return error_set(e, ERR_INVALID,
                         "the content type %.*s is not known; CloudEvents are read in JSON, in "
                         "protobuf, and in batches of JSON",
                         (int)len, (const char *)message->content_type.ptr);
    }
    if (mode == CLOUDEVENT_BATCH) {
        return error_set(e, ERR_INVALID, "a batch of CloudEvents within another");
    }
    return error_set(e, ERR_INVALID,
                     "it is no CloudEvent: it has neither a content type that begins with "
                     "application/cloudevents nor the user properties specversion, id, source and "
                     "type");
}

static enum err decode(struct event *event, struct error *e)
{
    const struct message *message = event->message;
    enum cloudevent_mode mode = cloudevent_mode(message, true);
    if (mode != CLOUDEVENT_BINARY && mode != CLOUDEVENT_JSON && mode != CLOUDEVENT_PROTOBUF) {
        return refuse(mode, message, e);
    }
    struct cloudevent *read = event_memory_take(event->memory, sizeof(*read));
    if (read == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    enum err rc = cloudevent_read(read, mode, message, event->memory, e);
    if (rc != ERR_OK) {
        return rc;
    }
    event->envelope_data = read;
    event->type = read->type;
    if (strlen(read->id) <= EVENT_ID_MAX) {
        event_set_id(event, read->id);
    }
    if (read->has_time) {
        event_set_time(event, read->time_ms);
    }
    event_set_payload(event, read->data, read->content_type);
    return ERR_OK;
}

static bool field(struct event *event, const char *path, struct event_value *out_value)
{
    if (strncmp(path, PREFIX, PREFIX_LEN) != 0) {
        return false;
    }
    const struct event_value *value =
        cloudevent_find(event->envelope_data, bytes_from_text(path + PREFIX_LEN));
    if (value != NULL) {
        *out_value = *value;
    }
    return value != NULL;
}

static json_t *attribute_json(const struct event_value *value)
{
    const char *problem;
    json_t *json =
        value->kind == VALUE_BLOB ? json_of_blob(value->bytes) : value_to_json(value, &problem);
    return json == NULL ? json_null() : json;
}

static void set_attribute(json_t *object, const struct cloudevent_attribute *attribute)
{
    char name[EVENT_NAME_MAX + PREFIX_LEN];
    if (attribute->name.len < EVENT_NAME_MAX) {
        memcpy(name, PREFIX, PREFIX_LEN);
        memcpy(name + PREFIX_LEN, attribute->name.ptr, attribute->name.len);
        json_object_setn_new(object, name, PREFIX_LEN + attribute->name.len,
                             attribute_json(&attribute->value));
    }
}

// The data's fields and the attributes; data that has no names is `value`.
static json_t *fields(struct event *event)
{
    const struct cloudevent *read = event->envelope_data;
    json_t *data = event_payload_fields(event), *object = json_object();
    if (json_is_object(data)) {
        json_object_update(object, data);
    } else if (data != NULL) {
        json_object_set(object, "value", data);
    }
    json_decref(data);
    for (uint32_t i = 0; i < read->count; i++) {
        set_attribute(object, &read->attributes[i]);
    }
    return object;
}

const struct format_type format_cloudevents = {
    .name = "cloudevents",
    .is_envelope = true,
    .decode = decode,
    .field = field,
    .fields = fields,
};
