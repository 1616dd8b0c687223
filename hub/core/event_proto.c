// event_proto.c - pipit.v1 messages into events, by protobuf-c into the batch's memory.
#include <pipit/v1/pipit.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/event_parts.h"
#include "core/format_types.h"
#include "core/proto_unpack.h"

// What decoding may take: this, for EVENT_FIELDS_MAX fields, and a multiple of the message's size.
#define DECODE_BYTES_MIN 65536
#define DECODE_FACTOR    2

static enum err invalid(struct error *e, const char *problem)
{
    return error_set(e, ERR_INVALID, "%s", problem);
}

// A member of a message as a sentence calls it, with its text.
struct named_text {
    const char *name, *text;
};

static enum err check_text(struct named_text member, struct error *e)
{
    const char *problem = proto_text_problem(member.text);
    return problem == NULL ? ERR_OK : error_set(e, ERR_INVALID, "%s %s", member.name, problem);
}

static enum err check_field(const Pipit__V1__Field *field, uint32_t index, struct error *e)
{
    size_t len = strlen(field->name);
    if (len == 0 || len > EVENT_NAME_MAX) {
        return error_set(e, ERR_INVALID, "field %u must have a name of 1 to %d bytes", index + 1,
                         EVENT_NAME_MAX);
    }
    enum err rc = check_text((struct named_text){"a field's name", field->name}, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (field->value_case == PIPIT__V1__FIELD__VALUE__NOT_SET) {
        return error_set(e, ERR_INVALID, "field \"%s\" has no value", field->name);
    }
    if (field->value_case == PIPIT__V1__FIELD__VALUE_TEXT) {
        rc = check_text((struct named_text){"the text", field->text}, e);
        return rc == ERR_OK ? rc : error_wrap(e, "field \"%s\"", field->name);
    }
    return ERR_OK;
}

static enum err check_is_new(Pipit__V1__Field *const *fields, uint32_t index, struct error *e)
{
    for (uint32_t i = 0; i < index; i++) {
        if (strcmp(fields[i]->name, fields[index]->name) == 0) {
            return error_set(e, ERR_INVALID, "field \"%s\" is there twice", fields[index]->name);
        }
    }
    return ERR_OK;
}

static enum err too_many_fields(struct error *e)
{
    return error_set(e, ERR_INVALID,
                     "the message has more than %d fields, or too many members that are not known",
                     EVENT_FIELDS_MAX);
}

static enum err take_fields(struct event *event, Pipit__V1__Field **fields, size_t count,
                            struct error *e)
{
    if (count > EVENT_FIELDS_MAX) {
        return too_many_fields(e);
    }
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = check_field(fields[i], i, e);
        if (rc == ERR_OK) {
            rc = check_is_new(fields, i, e);
        }
    }
    event->fields = fields;
    event->field_count = (uint32_t)count;
    return rc;
}

static enum err take_payload(struct event *event, ProtobufCBinaryData payload,
                             const char *content_type, struct error *e)
{
    enum err rc = check_text((struct named_text){"content_type", content_type}, e);
    bool has_payload = payload.len > 0 || content_type[0] != '\0';
    if (rc == ERR_OK && has_payload && event->field_count > 0) {
        rc = invalid(e, "the message has both fields and a payload; it may have one of them");
    }
    static const uint8_t nothing[1];
    event->payload = has_payload ? bytes_of(payload.len > 0 ? payload.data : nothing, payload.len)
                                 : bytes_of(NULL, 0);
    event->content_type = bytes_from_text(content_type);
    return rc;
}

static enum err check_type(const struct event *event, const char *type, struct error *e)
{
    enum err rc = check_text((struct named_text){"type", type}, e);
    if (rc == ERR_OK && strcmp(type, event->type) != 0) {
        rc = error_set(
            e, ERR_INVALID,
            "the envelope says type \"%.128s\" but the topic says \"%s\"; they must be equal", type,
            event->type);
    }
    return rc;
}

static enum err take_event(struct event *event, const Pipit__V1__Event *message, struct error *e)
{
    enum err rc = check_type(event, message->type, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (message->sequence == 0 || message->sequence > INT64_MAX) {
        return invalid(e, "sequence is absent, zero or beyond 2^63-1; sequences start at 1");
    }
    if (message->device_time_case == PIPIT__V1__EVENT__DEVICE_TIME_TIME) {
        if (message->time > EVENT_TIME_MAX_MS) {
            return error_set(e, ERR_INVALID, "time %llu is not milliseconds since 1970",
                             (unsigned long long)message->time);
        }
        event_set_time(event, (int64_t)message->time);
    }
    event->identity.boot = message->boot;
    event->identity.sequence = message->sequence;
    event->has_boot = true;
    event->wants_receipt = message->wants_receipt != 0;
    rc = take_fields(event, message->fields, message->n_fields, e);
    return rc == ERR_OK ? take_payload(event, message->payload, message->content_type, e) : rc;
}

// Room for members of the envelope that rules see as fields, before the message's own fields.
static Pipit__V1__Field **member_fields(struct event *event, size_t members, size_t fields)
{
    Pipit__V1__Field **list =
        event_memory_take(event->memory, (members + fields) * sizeof(Pipit__V1__Field *));
    Pipit__V1__Field *made = event_memory_take(event->memory, members * sizeof(*made));
    if (list == NULL || made == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < members; i++) {
        pipit__v1__field__init(&made[i]);
        list[i] = &made[i];
    }
    return list;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for an event's fields");
}

static void set_text(Pipit__V1__Field *field, const char *name, char *text)
{
    field->name = (char *)(uintptr_t)name; // protobuf-c has no const; nobody writes to it.
    field->value_case = PIPIT__V1__FIELD__VALUE_TEXT;
    field->text = text;
}

static void set_unsigned(Pipit__V1__Field *field, const char *name, uint64_t value)
{
    field->name = (char *)(uintptr_t)name;
    field->value_case = PIPIT__V1__FIELD__VALUE_UNSIGNED;
    field->unsigned_ = value;
}

// Fields: id, status, message, then the reply's own; of two with one name the first is seen.
static enum err take_reply(struct event *event, const Pipit__V1__Reply *message, struct error *e)
{
    const struct named_text texts[] = {{"id", message->id}, {"message", message->message}};
    enum err rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        rc = check_text(texts[i], e);
    }
    if (rc == ERR_OK) {
        rc = take_fields(event, message->fields, message->n_fields, e);
    }
    if (rc == ERR_OK) {
        rc = take_payload(event, message->payload, message->content_type, e);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    Pipit__V1__Field **list = member_fields(event, 3, message->n_fields);
    if (list == NULL) {
        return no_memory(e);
    }
    set_text(list[0], "id", message->id);
    list[1]->name = (char *)(uintptr_t) "status";
    list[1]->value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
    list[1]->signed_ = message->status;
    set_text(list[2], "message", message->message);
    for (size_t i = 0; i < message->n_fields; i++) {
        list[3 + i] = message->fields[i];
    }
    event->fields = list;
    event->field_count += 3;
    return ERR_OK;
}

static enum err take_status(struct event *event, const Pipit__V1__Status *message, struct error *e)
{
    enum err rc = check_text((struct named_text){"software", message->software}, e);
    if (rc != ERR_OK) {
        return rc;
    }
    Pipit__V1__Field **list = member_fields(event, 5, 0);
    if (list == NULL) {
        return no_memory(e);
    }
    list[0]->name = (char *)(uintptr_t) "online";
    list[0]->value_case = PIPIT__V1__FIELD__VALUE_BOOLEAN;
    list[0]->boolean = message->online;
    set_unsigned(list[1], "boot", message->boot);
    set_text(list[2], "software", message->software);
    set_unsigned(list[3], "waiting", message->waiting);
    set_unsigned(list[4], "dropped", message->dropped);
    event->fields = list;
    event->field_count = 5;
    event->identity.boot = message->boot;
    event->has_boot = true;
    event->payload = event->content_type = bytes_of(NULL, 0);
    return ERR_OK;
}

static const ProtobufCMessageDescriptor *descriptor_of(enum event_kind kind)
{
    switch (kind) {
    case EVENT_PIPIT:
        return &pipit__v1__event__descriptor;
    case EVENT_REPLY:
        return &pipit__v1__reply__descriptor;
    default:
        return &pipit__v1__status__descriptor;
    }
}

// All of the message's bytes into the event, checked.
static enum err event_proto_decode(struct event *event, struct error *e)
{
    struct bytes bytes = event->message->payload;
    const ProtobufCMessageDescriptor *descriptor = descriptor_of(event->kind);
    event_memory_set_budget(event->memory, DECODE_BYTES_MIN + DECODE_FACTOR * bytes.len);
    const ProtobufCMessage *message = proto_unpack(descriptor, bytes, event->memory);
    if (message == NULL && event->memory->is_over_budget) {
        return too_many_fields(e);
    }
    if (message == NULL) {
        return error_set(e, ERR_INVALID,
                         "the payload (%zu bytes) is not a %s: malformed or cut short", bytes.len,
                         descriptor->name);
    }
    enum err rc;
    if (event->kind == EVENT_PIPIT) {
        rc = take_event(event, (const Pipit__V1__Event *)message, e);
    } else if (event->kind == EVENT_REPLY) {
        rc = take_reply(event, (const Pipit__V1__Reply *)message, e);
    } else {
        rc = take_status(event, (const Pipit__V1__Status *)message, e);
    }
    return rc;
}

// The shortest decimal that names this float, so that 27.1f reads 27.1 and not 27.100000381469727.
double real_of_float(float single)
{
    static const double scales[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double exact = (double)single;
    if (exact > -1e9 && exact < 1e9) {
        for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
            double scaled = exact * scales[i];
            double whole = (double)(int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
            double shorter = whole / scales[i];
            if ((float)shorter == single && whole > -1e9 && whole < 1e9) {
                return whole == 0 ? exact : shorter; // Keeps -0.
            }
        }
    }
    char text[REAL_TEXT_BYTES];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, exact);
        double shorter = strtod(text, NULL);
        if ((float)shorter == single) {
            return shorter;
        }
    }
    return exact; // NaN.
}

static void value_of_unsigned(uint64_t number, struct event_value *out_value)
{
    if (number <= INT64_MAX) {
        *out_value = (struct event_value){.kind = VALUE_INTEGER, .integer = (int64_t)number};
    } else { // As SQL does with whole numbers that it cannot hold.
        *out_value = (struct event_value){.kind = VALUE_REAL, .real = (double)number};
    }
}

static void value_of_field(const Pipit__V1__Field *field, struct event_value *out_value)
{
    switch (field->value_case) {
    case PIPIT__V1__FIELD__VALUE_BOOLEAN:
        *out_value = (struct event_value){.kind = VALUE_BOOLEAN, .integer = field->boolean != 0};
        break;
    case PIPIT__V1__FIELD__VALUE_SIGNED:
        *out_value = (struct event_value){.kind = VALUE_INTEGER, .integer = field->signed_};
        break;
    case PIPIT__V1__FIELD__VALUE_UNSIGNED:
        value_of_unsigned(field->unsigned_, out_value);
        break;
    case PIPIT__V1__FIELD__VALUE_SINGLE:
        *out_value = (struct event_value){.kind = VALUE_REAL, .real = real_of_float(field->single)};
        break;
    case PIPIT__V1__FIELD__VALUE_REAL:
        *out_value = (struct event_value){.kind = VALUE_REAL, .real = field->real};
        break;
    case PIPIT__V1__FIELD__VALUE_TEXT:
        *out_value =
            (struct event_value){.kind = VALUE_TEXT, .bytes = bytes_from_text(field->text)};
        break;
    default:
        *out_value = (struct event_value){.kind = VALUE_BLOB,
                                          .bytes = bytes_of(field->data.data, field->data.len)};
        break;
    }
}

static bool event_proto_field(struct event *event, const char *name, struct event_value *out_value)
{
    for (uint32_t i = 0; i < event->field_count; i++) {
        if (strcmp(event->fields[i]->name, name) == 0) {
            value_of_field(event->fields[i], out_value);
            return true;
        }
    }
    return false;
}

void event_proto_field_at(const struct event *event, uint32_t index, const char **out_name,
                          struct event_value *out_value)
{
    *out_name = event->fields[index]->name;
    value_of_field(event->fields[index], out_value);
}

const struct format_type format_pipit = {
    .name = "pipit",
    .is_envelope = true,
    .decode = event_proto_decode,
    .field = event_proto_field,
    .fields = event_proto_fields,
};
