// workflow_record.c - what a step sent and what came back, for its entries: as far as it is text,
// by its beginning.
#include "base/utf8.h"
#include "core/event_value.h"
#include "core/workflow_parts.h"

#define RECORD_BYTES_MAX 1000 // Of a payload.

size_t workflow_record_whole(struct bytes text, size_t bytes_max)
{
    size_t used = 0, length = 0;
    uint32_t code_point;
    while (used + length <= bytes_max) {
        used += length;
        length = used < text.len
                     ? utf8_decode(bytes_of(text.ptr + used, text.len - used), &code_point)
                     : 0;
        if (length == 0) {
            break;
        }
    }
    return used;
}

// Under name as text; what is none, or is longer, by its length under "<name>_bytes" too.
static void set_bytes(json_t *record, const char *name, const char *bytes_name, struct bytes bytes)
{
    size_t used = workflow_record_whole(bytes, RECORD_BYTES_MAX);
    bool is_text = used == bytes.len || used + 4 > RECORD_BYTES_MAX; // Or it ends with the room.
    if (is_text && bytes.len > 0) {
        json_object_set_new(record, name, json_stringn((const char *)bytes.ptr, used));
    }
    if (used < bytes.len) {
        json_object_set_new(record, bytes_name, json_integer((json_int_t)bytes.len));
    }
}

json_t *workflow_record_sent(const char *target, struct bytes topic, struct bytes payload)
{
    json_t *record = json_object();
    if (record != NULL) {
        json_object_set_new(record, "to", json_string(target == NULL ? "rules" : target));
        json_object_set_new(record, "topic", json_stringn((const char *)topic.ptr, topic.len));
        set_bytes(record, "payload", "payload_bytes", payload);
    }
    return record;
}

// The fields of an event whose payload is no text.
static json_t *fields_of(struct event *event)
{
    char *text = event_to_json(event);
    json_t *json = text == NULL ? NULL : json_loads(text, JSON_ALLOW_NUL, NULL);
    json_t *fields = json_incref(json_object_get(json, "fields"));
    json_decref(json);
    free(text);
    return fields;
}

void workflow_record_event(json_t *record, struct event_batch *batch, uint32_t index)
{
    if (record == NULL || batch == NULL || index >= event_batch_count(batch)) {
        return;
    }
    struct event *event = event_batch_at(batch, index);
    const struct message *message = event_message(event);
    if (message->topic.len > 0) {
        set_bytes(record, "topic", "topic_bytes", message->topic);
    }
    set_bytes(record, "body", "body_bytes", message->payload);
    if (json_object_get(record, "body") == NULL && message->payload.len > 0) {
        json_t *fields = fields_of(event);
        json_object_set_new(record, "fields", fields == NULL ? json_null() : fields);
    }
}
