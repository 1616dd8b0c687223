#include "cli/explain_message.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "core/properties.h"
#include "core/sequence_window.h"
#include "store/store_view.h"

#define PAYLOAD_MAX  (256 * 1024 * 1024)
#define HISTORY_ROWS 1000 // Looked at in one go.

static struct bytes copy(struct arena *arena, struct bytes bytes)
{
    const char *text = arena_text(arena, bytes.len == 0 ? "" : (const char *)bytes.ptr, bytes.len);
    return bytes_of(text, text == NULL ? 0 : bytes.len);
}

static struct bytes copy_text(struct arena *arena, const char *text)
{
    return copy(arena, bytes_from_text(text));
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory");
}

static enum err read_properties(const char *text, struct arena *arena, struct message *message,
                                struct error *e)
{
    json_error_t why;
    const char *name;
    json_t *value, *json = text == NULL ? json_object() : json_loads(text, 0, &why);
    if (!json_is_object(json)) {
        json_decref(json);
        return error_set(e, ERR_INVALID,
                         "--properties: must be a JSON object such as {\"name\": \"value\"}");
    }
    struct user_property *properties =
        arena_alloc(arena, (json_object_size(json) + 1) * sizeof(properties[0]));
    json_object_foreach(json, name, value)
    {
        if (properties == NULL || !json_is_string(value)) {
            json_decref(json);
            return error_set(e, ERR_INVALID, "--properties: the values must be texts");
        }
        properties[message->property_count++] = (struct user_property){
            copy_text(arena, name), copy_text(arena, json_string_value(value))};
    }
    message->properties = properties;
    json_decref(json);
    return ERR_OK;
}

static enum err read_arguments(const struct options *options, struct arena *arena,
                               struct message *message, struct error *e)
{
    const char *file = option_text(options, "payload-file");
    message->topic = copy_text(arena, option_text(options, "topic"));
    message->payload = copy_text(arena, option_text(options, "payload"));
    message->content_type = copy_text(arena, option_text(options, "content-type"));
    message->is_retained = option_bool(options, "retain");
    message->qos = 1;
    if (file != NULL) {
        char *text = NULL;
        size_t len = 0;
        enum err rc = file_read(file, PAYLOAD_MAX, &text, &len, e);
        if (rc != ERR_OK) {
            return rc;
        }
        message->payload = copy(arena, bytes_of(text, len));
        free(text);
    }
    return read_properties(option_text(options, "properties"), arena, message, e);
}

// Name, value, ... each ended by a zero byte.
static enum err unpack_properties(struct bytes packed, struct arena *arena, struct message *message,
                                  struct error *e)
{
    struct bytes name, value, rest = packed;
    uint32_t count = 0;
    while (properties_next(&rest, &name, &value)) {
        count++;
    }
    struct user_property *properties = arena_alloc(arena, (count + 1) * sizeof(properties[0]));
    if (properties == NULL) {
        return no_memory(e);
    }
    for (rest = packed; properties_next(&rest, &name, &value);) {
        properties[message->property_count++] =
            (struct user_property){copy(arena, name), copy(arena, value)};
    }
    message->properties = properties;
    return ERR_OK;
}

struct found {
    struct arena *arena;
    const char *id; // Wanted of the history.
    struct explained_message *out;
    struct error *e;
    uint64_t next; // Of the history: where to go on.
    uint32_t seen;
    bool is_found;
    enum err rc;
};

static bool on_event(void *context, const struct view_event *event)
{
    struct found *found = context;
    struct message *message = &found->out->message;
    found->next = event->id + 1;
    found->seen++;
    if (strcmp(event->event, found->id) != 0) {
        return true;
    }
    found->is_found = true;
    message->topic = copy(found->arena, event->topic);
    message->payload = copy(found->arena, event->payload);
    message->content_type = copy_text(found->arena, event->content_type);
    message->qos = (uint8_t)event->qos;
    message->is_retained = event->is_retained;
    message->received_ms = event->received_ms;
    found->rc = unpack_properties(event->properties, found->arena, message, found->e);
    return false;
}

static enum err search_history(struct store_view *view, struct found *found, struct error *e)
{
    enum err rc = ERR_OK;
    do {
        const struct view_history_filter filter = {.first = found->next,
                                                   .last = UINT64_MAX,
                                                   .from_ms = INT64_MIN,
                                                   .to_ms = INT64_MAX,
                                                   .rows_max = HISTORY_ROWS};
        found->seen = 0;
        rc = store_view_history(view, &filter, on_event, found, e);
    } while (rc == ERR_OK && !found->is_found && found->seen == HISTORY_ROWS);
    rc = rc == ERR_OK ? found->rc : rc;
    if (rc == ERR_OK && !found->is_found) {
        return error_set(e, ERR_NOT_FOUND,
                         "event %s is not in the history; `history` in the configuration says what "
                         "is kept",
                         found->id);
    }
    return rc;
}

static bool on_entry(void *context, const struct view_quarantined *entry)
{
    struct found *found = context;
    struct message *message = &found->out->message;
    const char *reason = (const char *)copy_text(found->arena, entry->reason).ptr;
    found->is_found = true;
    found->out->was_rejected = reason;
    message->topic = copy(found->arena, entry->topic);
    message->payload = copy(found->arena, entry->payload);
    message->content_type = copy_text(found->arena, entry->content_type);
    message->qos = (uint8_t)entry->qos;
    message->is_retained = entry->is_retained;
    message->received_ms = entry->received_ms;
    found->rc = unpack_properties(entry->properties, found->arena, message, found->e);
    if (found->rc == ERR_OK && entry->payload_bytes > entry->payload.len) {
        found->rc = error_set(found->e, ERR_INVALID,
                              "entry %" PRIu64 " of the quarantine has been cut short from %" PRIu64
                              " bytes; nothing can be said about the rest",
                              entry->id, entry->payload_bytes);
    }
    return false;
}

static enum err search_quarantine(struct store_view *view, uint64_t id, struct found *found,
                                  struct error *e)
{
    const struct view_filter filter = {.first = id, .last = id};
    enum err rc = store_view_quarantine(view, &filter, on_entry, found, e);
    rc = rc == ERR_OK ? found->rc : rc;
    return rc == ERR_OK && !found->is_found
               ? error_set(e, ERR_NOT_FOUND, "there is no entry %" PRIu64 " in the quarantine", id)
               : rc;
}

static enum err read_store(const struct options *options, struct store_view *view,
                           struct found *found, struct error *e)
{
    found->id = option_text(options, "id");
    return found->id != NULL
               ? search_history(view, found, e)
               : search_quarantine(view, (uint64_t)option_int(options, "quarantine"), found, e);
}

enum err explain_message_read(const struct options *options, struct store_view *view,
                              int64_t now_ms, struct arena *arena,
                              struct explained_message *out_message, struct error *e)
{
    *out_message = (struct explained_message){.message = {.received_ms = now_ms}};
    struct found found = {.arena = arena, .out = out_message, .e = e};
    enum err rc = option_text(options, "topic") != NULL
                      ? read_arguments(options, arena, &out_message->message, e)
                      : read_store(options, view, &found, e);
    if (rc == ERR_OK && out_message->message.received_ms == 0) {
        out_message->message.received_ms = now_ms;
    }
    return rc == ERR_OK && arena_is_exhausted(arena) ? no_memory(e) : rc;
}

struct sought {
    uint64_t sequence;
    bool is_seen;
};

static bool on_boot(void *context, const struct view_boot *boot)
{
    struct sought *sought = context;
    struct sequence_window window;
    sequence_window_init(&window, 1);
    window.upto = boot->upto;
    sequence_window_set_bitmap(&window, boot->bitmap);
    sought->is_seen = !sequence_window_add(&window, sought->sequence);
    return false;
}

bool explain_is_seen(struct store_view *view, const struct json_t *read)
{
    const char *group = json_string_value(json_object_get(read, "group"));
    const char *device = json_string_value(json_object_get(read, "device"));
    struct sought sought = {.sequence =
                                (uint64_t)json_integer_value(json_object_get(read, "sequence"))};
    uint32_t boot = (uint32_t)json_integer_value(json_object_get(read, "boot"));
    char key[600];
    if (group == NULL || device == NULL || sought.sequence == 0 || view == NULL) {
        return false;
    }
    snprintf(key, sizeof(key), "%s/%s", group, device);
    enum err rc = store_view_boot(view, key, boot, on_boot, &sought, NULL);
    return rc == ERR_OK && sought.is_seen;
}
