#include "core/event.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cloudevent.h"
#include "core/event_parts.h"
#include "core/format.h"
#include "core/topic.h"

#define SHOWN_TOPIC_MAX 120 // Bytes of a topic in an error text.

struct event_batch {
    struct event_memory memory;
    const struct formats *formats;
    uint32_t count, capacity;
    struct event events[];
};

enum err event_batch_create(struct event_batch **out_batch, uint32_t capacity, struct error *e)
{
    struct event_batch *batch = calloc(1, sizeof(*batch) + capacity * sizeof(batch->events[0]));
    if (batch == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a batch of %u events", capacity);
    }
    event_memory_init(&batch->memory);
    batch->capacity = capacity;
    *out_batch = batch;
    return ERR_OK;
}

void event_batch_set_formats(struct event_batch *batch, const struct formats *formats)
{
    batch->formats = formats;
}

static void release_one(struct event *event, const struct format *format)
{
    if (format != NULL && format_type_of(format)->release != NULL) {
        format_type_of(format)->release(event);
    }
}

static void event_release(struct event *event)
{
    release_one(event, event->format);
    release_one(event, event->envelope);
    event_json_free(event);
}

void event_batch_truncate(struct event_batch *batch, uint32_t count)
{
    while (batch->count > count) {
        event_release(&batch->events[--batch->count]);
    }
}

void event_batch_clear(struct event_batch *batch)
{
    event_batch_truncate(batch, 0);
    event_memory_reset(&batch->memory);
}

void event_batch_destroy(struct event_batch *batch)
{
    if (batch != NULL) {
        event_batch_clear(batch);
        event_memory_deinit(&batch->memory);
        free(batch);
    }
}

static bool level_is(struct bytes level, const char *text)
{
    return bytes_equal(level, bytes_from_text(text));
}

static enum err bad_topic(const struct message *message, const char *problem, struct error *e)
{
    size_t len = message->topic.len < SHOWN_TOPIC_MAX ? message->topic.len : SHOWN_TOPIC_MAX;
    return error_set(e, ERR_INVALID, "topic \"%.*s\" %s", (int)len,
                     (const char *)message->topic.ptr, problem);
}

// The levels of pipit/v1/<group>/<device>/<what>[/<rest>]; what is empty when the topic is another.
struct pipit_topic {
    struct bytes group, device, what, rest;
};

static struct pipit_topic split_topic(struct bytes topic)
{
    struct pipit_topic parts = {.what = bytes_of(NULL, 0)};
    struct bytes level, rest = topic;
    bool is_ours = topic_next_level(&rest, &level) && level_is(level, "pipit") &&
                   topic_next_level(&rest, &level) && level_is(level, "v1") &&
                   topic_next_level(&rest, &parts.group) &&
                   (parts.group.len == 0 || parts.group.ptr[0] != '$') &&
                   topic_next_level(&rest, &parts.device) && topic_next_level(&rest, &parts.what);
    parts.rest = rest;
    return is_ours ? parts : (struct pipit_topic){.what = bytes_of(NULL, 0)};
}

static enum event_kind kind_of(const struct pipit_topic *parts)
{
    if (level_is(parts->what, "event")) {
        return EVENT_PIPIT;
    }
    if (level_is(parts->what, "reply")) {
        return EVENT_REPLY;
    }
    return level_is(parts->what, "status") && parts->rest.ptr == NULL ? EVENT_STATUS
                                                                      : EVENT_FOREIGN;
}

// NULL when group, device and type of a topic of ours can be used as names.
static const char *names_problem(const struct pipit_topic *parts, enum event_kind kind)
{
    if (parts->group.len == 0 || parts->group.len > EVENT_NAME_MAX) {
        return "must have a group of 1 to 128 bytes as its third level";
    }
    if (parts->device.len == 0 || parts->device.len > EVENT_NAME_MAX) {
        return "must have a device of 1 to 128 bytes as its fourth level";
    }
    if (kind == EVENT_STATUS) {
        return NULL;
    }
    if (parts->rest.len == 0) {
        return kind == EVENT_PIPIT ? "lacks the event type: .../event/<type>"
                                   : "lacks the command's name: .../reply/<name>";
    }
    return parts->rest.len > EVENT_NAME_MAX ? "has a type of more than 128 bytes" : NULL;
}

// A copy; "" when memory is out, which the batch remembers.
static const char *keep(const struct event *event, struct bytes text)
{
    const char *copy = event_memory_text(event->memory, text);
    return copy == NULL ? "" : copy;
}

static void set_key(struct event *event, struct bytes group, struct bytes device)
{
    char key[2 * EVENT_NAME_MAX + 2];
    int len = snprintf(key, sizeof(key), "%.*s/%.*s", (int)group.len, (const char *)group.ptr,
                       (int)device.len, (const char *)device.ptr);
    event->identity.key = keep(event, bytes_of(key, (size_t)len));
}

// Group, device, identity key and type from a topic of ours.
static enum err take_names(struct event *event, const struct pipit_topic *parts, struct error *e)
{
    struct bytes type = parts->rest;
    if (event->kind == EVENT_STATUS) {
        type = bytes_from_text("status");
    } else if (event->kind == EVENT_REPLY) { // "reply/<name>" as it stands in the topic.
        type = bytes_of(parts->what.ptr, parts->what.len + 1 + parts->rest.len);
    }
    event->group = event_memory_text(event->memory, parts->group);
    event->device = event_memory_text(event->memory, parts->device);
    event->type = event_memory_text(event->memory, type);
    if (event->group == NULL || event->device == NULL || event->type == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an event's names");
    }
    set_key(event, parts->group, parts->device);
    return ERR_OK;
}

static void event_begin(struct event *event, struct event_batch *batch,
                        const struct message *message)
{
    event->message = message;
    event->memory = &batch->memory;
    event->formats = batch->formats;
    event->envelope = event->format = NULL;
    event->envelope_data = event->data = NULL;
    event->kind = EVENT_FOREIGN;
    event->identity.key = "";
    event->identity.boot = 0;
    event->identity.sequence = 0;
    event->group = event->device = event->type = event->id = "";
    event->wants_receipt = event->has_time = event->has_boot = false;
    event->time_ms = 0;
    event->fields = NULL;
    event->field_count = 0;
    event->payload = message->payload;
    event->content_type = message->content_type;
    event->json_state = JSON_UNREAD;
    event->json = event->fields_json = event->trees = NULL;
    event->json_problem = NULL;
}

// What reads the message: Pipit's envelope on a topic of ours, else the entry of its topic.
static enum err choose_envelope(struct event *event, const struct format *entry, struct error *e)
{
    struct pipit_topic parts = split_topic(event->message->topic);
    event->kind = kind_of(&parts);
    if (event->kind == EVENT_FOREIGN) {
        event->envelope = entry != NULL && format_type_of(entry)->is_envelope ? entry : NULL;
        if (entry == NULL && cloudevent_mode(event->message, false) != CLOUDEVENT_NONE) {
            event->envelope = format_of_cloudevents();
        }
        return ERR_OK;
    }
    event->envelope = format_of_pipit();
    const char *problem = names_problem(&parts, event->kind);
    return problem == NULL ? take_names(event, &parts, e) : bad_topic(event->message, problem, e);
}

static enum err decode(struct event *event, struct error *e)
{
    const struct message *message = event->message;
    const char *problem = topic_problem(message->topic);
    if (problem != NULL) {
        return bad_topic(message, problem, e);
    }
    const struct format *entry = formats_of_topic(event->formats, message->topic);
    enum err rc = choose_envelope(event, entry, e);
    if (rc == ERR_OK && event->envelope != NULL) {
        rc = format_type_of(event->envelope)->decode(event, e);
    }
    if (event->format == NULL) {
        bool is_for_payload = entry != NULL && !format_type_of(entry)->is_envelope;
        event->format = is_for_payload ? entry : format_of_content(event->content_type);
    }
    return rc;
}

enum err event_batch_add(struct event_batch *batch, const struct message *message,
                         struct event **out_event, struct error *e)
{
    if (batch->count == batch->capacity) {
        return error_set(e, ERR_FULL, "the batch holds %u events already", batch->capacity);
    }
    struct event *event = &batch->events[batch->count];
    event_begin(event, batch, message);
    enum err rc = decode(event, e);
    event_memory_set_budget(&batch->memory, SIZE_MAX);
    if (rc == ERR_OK) {
        batch->count++;
        *out_event = event;
    } else {
        event_release(event);
    }
    return rc;
}

uint32_t event_batch_count(const struct event_batch *batch)
{
    return batch->count;
}

bool event_batch_is_whole(const struct event_batch *batch)
{
    return !batch->memory.is_out_of_memory;
}

struct event *event_batch_at(struct event_batch *batch, uint32_t index)
{
    return &batch->events[index];
}

static enum err validate_one(struct event *event, const struct format *format, struct error *e)
{
    const struct format_type *type = format_type_of(format);
    enum err rc = type->validate == NULL ? ERR_OK : type->validate(event, e);
    return rc == ERR_OK ? format_check_fields(format, event, e) : rc;
}

enum err event_validate(struct event *event, struct error *e)
{
    enum err rc = ERR_OK;
    if (event->payload.ptr != NULL || event->envelope == NULL) {
        rc = validate_one(event, event->format, e);
    }
    if (rc == ERR_OK && event->envelope != NULL) {
        rc = validate_one(event, event->envelope, e);
    }
    event_memory_set_budget(event->memory, SIZE_MAX);
    return rc;
}

void event_set_payload(struct event *event, struct bytes payload, struct bytes content_type)
{
    event->payload = payload;
    event->content_type = content_type;
}

void event_set_format(struct event *event, const struct format *format)
{
    event->format = format;
}

enum event_kind event_kind(const struct event *event)
{
    return event->kind;
}

const struct message *event_message(const struct event *event)
{
    return event->message;
}

const struct event_identity *event_identity(const struct event *event)
{
    return &event->identity;
}

void event_set_identity(struct event *event, const char *group, const char *device, uint32_t boot,
                        uint64_t sequence)
{
    struct bytes group_text = bytes_from_text(group), device_text = bytes_from_text(device);
    group_text.len = group_text.len > EVENT_NAME_MAX ? EVENT_NAME_MAX : group_text.len;
    device_text.len = device_text.len > EVENT_NAME_MAX ? EVENT_NAME_MAX : device_text.len;
    event->group = keep(event, group_text);
    event->device = keep(event, device_text);
    set_key(event, group_text, device_text);
    event->identity.boot = boot;
    event->identity.sequence = sequence;
    event->has_boot = sequence != 0;
    event->id = "";
}

void event_set_time(struct event *event, int64_t time_ms)
{
    event->has_time = true;
    event->time_ms = time_ms;
}

bool event_wants_receipt(const struct event *event)
{
    return event->wants_receipt;
}

const char *event_group(const struct event *event)
{
    return event->group;
}

const char *event_device(const struct event *event)
{
    return event->device;
}

const char *event_type(const struct event *event)
{
    return event->type;
}

bool event_time_ms(const struct event *event, int64_t *out_ms)
{
    if (event->has_time) {
        *out_ms = event->time_ms;
    }
    return event->has_time;
}

const char *event_id(struct event *event)
{
    if (event->id[0] == '\0' && event->identity.sequence != 0) {
        char id[EVENT_ID_MAX + 1];
        int len = snprintf(id, sizeof(id), "%s/%u/%llu", event->identity.key, event->identity.boot,
                           (unsigned long long)event->identity.sequence);
        event->id = keep(event, bytes_of(id, (size_t)len));
    }
    return event->id;
}

void event_set_id(struct event *event, const char *id)
{
    event->id = keep(event, bytes_from_text(id));
}
