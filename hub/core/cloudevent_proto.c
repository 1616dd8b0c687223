// cloudevent_proto.c - a CloudEvent in its protobuf format [CloudEvents protobuf format 1.0.2].
#include <cloudevents/cloudevents.pb-c.h>
#include <stdio.h>

#include "base/time_text.h"
#include "core/cloudevent.h"
#include "core/proto_unpack.h"

// What decoding may take: this and a multiple of the message's size.
#define DECODE_BYTES_MIN 65536
#define DECODE_FACTOR    4

static enum err check_text(const char *name, const char *text, struct error *e)
{
    const char *problem = proto_text_problem(text);
    return problem == NULL ? ERR_OK
                           : error_set(e, ERR_INVALID, "the CloudEvent's attribute \"%.80s\" %s",
                                       name, problem);
}

static enum err add_text(struct cloudevent *event, const char *name, const char *text,
                         struct error *e)
{
    const struct event_value value = {.kind = VALUE_TEXT, .bytes = bytes_from_text(text)};
    enum err rc = check_text(name, text, e);
    return rc == ERR_OK ? cloudevent_add(event, bytes_from_text(name), &value, e) : rc;
}

static enum err add_time(struct cloudevent *event, const char *name,
                         const Cloudevents__Timestamp *timestamp, struct event_memory *memory,
                         struct error *e)
{
    char text[TIME_TEXT_BYTES];
    if (timestamp->seconds < 0 || timestamp->seconds > TIME_TEXT_MAX_MS / 1000 ||
        timestamp->nanos < 0 || timestamp->nanos > 999999999) {
        return error_set(e, ERR_INVALID,
                         "the CloudEvent's attribute \"%.80s\" lies outside 1970 to 9999", name);
    }
    time_text_write(timestamp->seconds * 1000 + timestamp->nanos / 1000000, text);
    const char *kept = event_memory_text(memory, bytes_from_text(text));
    if (kept == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a CloudEvent");
    }
    return add_text(event, name, kept, e);
}

static enum err add_value(struct cloudevent *event, const char *name,
                          const Cloudevents__AttributeValue *attribute, struct event_memory *memory,
                          struct error *e)
{
    struct event_value value = {.kind = VALUE_NULL};
    switch (attribute->attr_case) {
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_STRING:
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_URI:
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_URI_REF:
        return add_text(event, name, attribute->ce_string, e); // All three in one place.
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_TIMESTAMP:
        return add_time(event, name, attribute->ce_timestamp, memory, e);
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_BOOLEAN:
        value = (struct event_value){.kind = VALUE_BOOLEAN, .integer = attribute->ce_boolean != 0};
        break;
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_INTEGER:
        value = (struct event_value){.kind = VALUE_INTEGER, .integer = attribute->ce_integer};
        break;
    case CLOUDEVENTS__ATTRIBUTE_VALUE__ATTR_CE_BYTES:
        value = (struct event_value){
            .kind = VALUE_BLOB,
            .bytes = bytes_of(attribute->ce_bytes.data, attribute->ce_bytes.len)};
        break;
    default:
        return ERR_OK;
    }
    return cloudevent_add(event, bytes_from_text(name), &value, e);
}

static enum err add_attributes(struct cloudevent *event, const Cloudevents__CloudEvent *message,
                               struct event_memory *memory, struct error *e)
{
    const struct {
        const char *name, *text;
    } required[] = {
        {"specversion", message->spec_version},
        {"id", message->id},
        {"source", message->source},
        {"type", message->type},
    };
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(required) / sizeof(required[0]); i++) {
        rc = add_text(event, required[i].name, required[i].text, e);
    }
    for (size_t i = 0; rc == ERR_OK && i < message->n_attributes; i++) {
        const Cloudevents__CloudEvent__AttributesEntry *entry = message->attributes[i];
        rc = check_text("of a name", entry->key, e);
        if (rc == ERR_OK && entry->value != NULL) {
            rc = add_value(event, entry->key, entry->value, memory, e);
        }
    }
    return rc;
}

static struct bytes data_of(ProtobufCBinaryData data)
{
    return bytes_of(data.len == 0 ? (const uint8_t *)"" : data.data, data.len);
}

static enum err take_data(struct cloudevent *event, const Cloudevents__CloudEvent *message,
                          struct error *e)
{
    const struct event_value *type = cloudevent_find(event, bytes_from_text("datacontenttype"));
    event->content_type =
        type != NULL && type->kind == VALUE_TEXT ? type->bytes : bytes_of(NULL, 0);
    switch (message->data_case) {
    case CLOUDEVENTS__CLOUD_EVENT__DATA_BINARY_DATA:
        event->data = data_of(message->binary_data);
        return ERR_OK;
    case CLOUDEVENTS__CLOUD_EVENT__DATA_TEXT_DATA:
        event->data = bytes_from_text(message->text_data);
        return ERR_OK;
    case CLOUDEVENTS__CLOUD_EVENT__DATA_PROTO_DATA:
        event->data = data_of(message->proto_data->value);
        if (event->content_type.len == 0) {
            event->content_type = bytes_from_text("application/protobuf");
        }
        return add_text(event, "dataschema", message->proto_data->type_url, e);
    default:
        return ERR_OK;
    }
}

enum err cloudevent_read_protobuf(struct cloudevent *event, struct bytes payload,
                                  struct event_memory *memory, struct error *e)
{
    event_memory_set_budget(memory, DECODE_BYTES_MIN + DECODE_FACTOR * payload.len);
    const Cloudevents__CloudEvent *message = (const Cloudevents__CloudEvent *)proto_unpack(
        &cloudevents__cloud_event__descriptor, payload, memory);
    bool is_over_budget = memory->is_over_budget;
    event_memory_set_budget(memory, SIZE_MAX);
    if (message == NULL) {
        return error_set(e, ERR_INVALID,
                         is_over_budget ? "the CloudEvent has too many attributes"
                                        : "the payload is not a CloudEvent in protobuf: malformed "
                                          "or cut short");
    }
    enum err rc = add_attributes(event, message, memory, e);
    return rc == ERR_OK ? take_data(event, message, e) : rc;
}
