#include "trial/case_decode.h"

#include <jansson.h>
#include <pipit/v1/pipit.pb-c.h>

#include "base/json_bytes.h"
#include "core/event.h"
#include "core/topic.h"
#include "trial/case_proto.h"

static enum err decode_json(struct bytes payload, json_t **out_json, struct error *e)
{
    json_error_t why;
    json_t *json = json_loadb((const char *)payload.ptr, payload.len,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (json == NULL) {
        return error_set(e, ERR_INVALID, "is no JSON: %.200s", why.text);
    }
    *out_json = json;
    return ERR_OK;
}

// As the core reads it when it comes in.
static enum err decode_cbor(struct bytes payload, json_t **out_json, struct error *e)
{
    const struct message message = {.topic = bytes_from_text("cbor"),
                                    .payload = payload,
                                    .content_type = bytes_from_text("application/cbor")};
    struct event_batch *batch = NULL;
    struct event *event = NULL;
    enum err rc = event_batch_create(&batch, 1, e);
    rc = rc == ERR_OK ? event_batch_add(batch, &message, &event, e) : rc;
    rc = rc == ERR_OK ? event_validate(event, e) : rc;
    json_t *fields = rc == ERR_OK ? event_fields_json(event) : NULL;
    if (rc == ERR_OK && fields == NULL) {
        rc = error_set(e, ERR_INVALID, "has no fields");
    }
    if (rc == ERR_OK) {
        *out_json = json_incref(fields);
    }
    event_batch_destroy(batch);
    return rc;
}

static json_t *field_value(const Pipit__V1__Field *field)
{
    json_t *holder;
    switch (field->value_case) {
    case PIPIT__V1__FIELD__VALUE_BOOLEAN:
        return json_boolean(field->boolean);
    case PIPIT__V1__FIELD__VALUE_SIGNED:
        return json_integer(field->signed_);
    case PIPIT__V1__FIELD__VALUE_UNSIGNED:
        return json_integer((json_int_t)field->unsigned_);
    case PIPIT__V1__FIELD__VALUE_SINGLE:
        return json_real((double)field->single);
    case PIPIT__V1__FIELD__VALUE_REAL:
        return json_real(field->real);
    case PIPIT__V1__FIELD__VALUE_TEXT:
        return json_string(field->text);
    case PIPIT__V1__FIELD__VALUE_DATA:
        holder = json_object();
        json_set_bytes(holder, "data", bytes_of(field->data.data, field->data.len));
        return holder;
    default:
        return json_null();
    }
}

static enum err decode_pipit(struct bytes payload, json_t **out_json, struct error *e)
{
    Pipit__V1__Event *event = pipit__v1__event__unpack(NULL, payload.len, payload.ptr);
    if (event == NULL) {
        return error_set(e, ERR_INVALID, "is no Pipit event");
    }
    json_t *json = json_object(), *fields = json_object();
    for (size_t i = 0; i < event->n_fields; i++) {
        json_object_set_new(fields, event->fields[i]->name, field_value(event->fields[i]));
    }
    json_object_set_new(json, "type", json_string(event->type));
    json_object_set_new(json, "fields", fields);
    if (event->device_time_case == PIPIT__V1__EVENT__DEVICE_TIME_TIME) {
        json_object_set_new(json, "time", json_integer((json_int_t)event->time));
    }
    pipit__v1__event__free_unpacked(event, NULL);
    *out_json = json;
    return ERR_OK;
}

static enum err decode_command(struct bytes payload, json_t **out_json, struct error *e)
{
    Pipit__V1__Command *command = pipit__v1__command__unpack(NULL, payload.len, payload.ptr);
    if (command == NULL) {
        return error_set(e, ERR_INVALID, "is no command");
    }
    json_t *fields = json_object();
    for (size_t i = 0; i < command->n_fields; i++) {
        json_object_set_new(fields, command->fields[i]->name, field_value(command->fields[i]));
    }
    pipit__v1__command__free_unpacked(command, NULL);
    *out_json = fields;
    return ERR_OK;
}

bool case_is_command(struct bytes topic)
{
    return topic.len > 0 && topic_filter_matches(bytes_from_text("pipit/v1/+/+/command/#"), topic);
}

enum err case_decode(const struct config *config, const struct case_expect *expect,
                     struct bytes payload, struct json_t **out_json, struct error *e)
{
    switch (expect->kind) {
    case CASE_PAYLOAD_CBOR:
        return decode_cbor(payload, out_json, e);
    case CASE_PAYLOAD_PIPIT:
        return decode_pipit(payload, out_json, e);
    case CASE_PAYLOAD_COMMAND:
        return decode_command(payload, out_json, e);
    case CASE_PAYLOAD_PROTOBUF:
        return case_proto_read(config, expect->protobuf, payload, out_json, e);
    default:
        return decode_json(payload, out_json, e);
    }
}
