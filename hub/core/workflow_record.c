// workflow_record.c - what a step sent and what came back, for its entries: decoded where it is the
// hub's own, else as JSON where it is an object or array, else as text by its beginning, else in
// hexadecimal.
#include <pipit/v1/pipit.pb-c.h>

#include "base/utf8.h"
#include "core/event_parts.h"
#include "core/event_value.h"
#include "core/render.h"
#include "core/workflow_message.h"
#include "core/workflow_parts.h"

#define RECORD_BYTES_MAX 1000 // Of a payload.
#define RECORD_HEX_MAX   (RECORD_BYTES_MAX / 2)

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

// What bytes are called.
struct names {
    const char *text, *hex, *bytes;
    bool may_be_json;
};

static const struct names sent_names = {"payload", "payload_hex", "payload_bytes", true};
static const struct names come_names = {"body", "body_hex", "body_bytes", true};

// An object or array; NULL: it is something else, or has what would be lost (a name twice).
static json_t *read_json(struct bytes text)
{
    return json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
}

// As JSON, as text, or as hex where they are none; with their number too where not all are there.
static void set_bytes(json_t *record, const struct names *names, struct bytes bytes)
{
    size_t used = workflow_record_whole(bytes, RECORD_BYTES_MAX);
    bool is_text = used == bytes.len || used + 4 > RECORD_BYTES_MAX; // Or it ends with the room.
    bool is_whole = is_text && used == bytes.len && bytes.len > 0;
    json_t *json = is_whole && names->may_be_json ? read_json(bytes) : NULL;
    if (json != NULL) {
        json_object_set_new(record, names->text, json);
    } else if (is_text && bytes.len > 0) {
        json_object_set_new(record, names->text, json_stringn((const char *)bytes.ptr, used));
    } else if (bytes.len > 0) {
        used = bytes.len < RECORD_HEX_MAX ? bytes.len : RECORD_HEX_MAX;
        json_object_set_new(record, names->hex, json_of_blob(bytes_of(bytes.ptr, used)));
    }
    if (used < bytes.len) {
        json_object_set_new(record, names->bytes, json_integer((json_int_t)bytes.len));
    }
}

// ---- what was sent ------------------------------------------------------------------------------

static void set_fields(json_t *object, Pipit__V1__Field **fields, size_t count)
{
    struct event event = {.fields = fields, .field_count = (uint32_t)count};
    json_t *json = event_proto_fields(&event);
    if (json != NULL) {
        json_object_set_new(object, "fields", json);
    }
}

// NULL: these bytes are no command.
static json_t *command_json(struct bytes payload)
{
    Pipit__V1__Command *command = pipit__v1__command__unpack(NULL, payload.len, payload.ptr);
    json_t *json =
        command == NULL ? NULL : json_pack("{s:s, s:s}", "id", command->id, "name", command->name);
    if (json != NULL) {
        if (command->expiry_case == PIPIT__V1__COMMAND__EXPIRY_EXPIRES) {
            json_object_set_new(json, "expires", json_integer((json_int_t)command->expires));
        }
        set_fields(json, command->fields, command->n_fields);
    }
    pipit__v1__command__free_unpacked(command, NULL);
    return json;
}

static json_t *event_record(struct bytes payload)
{
    Pipit__V1__Event *event = pipit__v1__event__unpack(NULL, payload.len, payload.ptr);
    json_t *json = event == NULL ? NULL : json_pack("{s:s}", "type", event->type);
    if (json != NULL) {
        if (event->device_time_case == PIPIT__V1__EVENT__DEVICE_TIME_TIME) {
            json_object_set_new(json, "time", json_integer((json_int_t)event->time));
        }
        set_fields(json, event->fields, event->n_fields);
    }
    pipit__v1__event__free_unpacked(event, NULL);
    return json;
}

// False: it is none of the hub's own messages.
static bool set_own(json_t *record, const struct workflow_step *step,
                    const struct workflow_made *made)
{
    bool is_own = made->payload.len > 0 && strcmp(made->content_type, CONTENT_TYPE_PIPIT) == 0;
    bool is_command = step->kind == STEP_COMMAND;
    json_t *json = !is_own      ? NULL
                   : is_command ? command_json(made->payload)
                                : event_record(made->payload);
    return json != NULL && json_object_set_new(record, is_command ? "command" : "event", json) == 0;
}

json_t *workflow_record_sent(const struct workflow_step *step, const struct workflow_made *made)
{
    const char *target = step->message.target;
    json_t *record = json_object();
    if (record == NULL) {
        return NULL;
    }
    json_object_set_new(record, "to", json_string(target == NULL ? "rules" : target));
    json_object_set_new(record, "topic",
                        json_stringn((const char *)made->topic.ptr, made->topic.len));
    if (!set_own(record, step, made)) {
        set_bytes(record, &sent_names, made->payload);
    }
    return record;
}

// ---- what came ----------------------------------------------------------------------------------

void workflow_record_event(json_t *record, struct event_batch *batch, uint32_t index)
{
    if (record == NULL || batch == NULL || index >= event_batch_count(batch)) {
        return;
    }
    static const struct names topic_names = {"topic", "topic_hex", "topic_bytes", false};
    struct event *event = event_batch_at(batch, index);
    const struct message *message = event_message(event);
    bool is_own = event_kind(event) != EVENT_FOREIGN;
    struct bytes body = is_own ? event->payload : message->payload; // Or the envelope's bytes.
    bool is_text = body.len > 0 && utf8_is_valid(body), has_own = is_own && event->field_count > 0;
    if (message->topic.len > 0 &&
        !bytes_equal(message->topic, bytes_from_text(WORKFLOW_ANSWER_TOPIC))) {
        set_bytes(record, &topic_names, message->topic);
    }
    json_t *fields = has_own || !is_text ? event_fields_json(event) : NULL;
    if (fields != NULL) {
        json_object_set(record, "fields", fields);
    }
    if (body.len > 0 && (has_own || fields == NULL)) {
        set_bytes(record, &come_names, body);
    }
}
