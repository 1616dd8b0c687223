#include "core/stored_message.h"

#include <string.h>

#include "core/properties.h"

static uint8_t *append(uint8_t *at, struct bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    at[bytes.len] = '\0'; // No text of MQTT has one inside [MQTT-1.5.4-2].
    return at + bytes.len + 1;
}

bool stored_properties(const struct message *message, struct event_memory *memory,
                       struct bytes *out_packed)
{
    size_t size = 0;
    for (uint32_t i = 0; i < message->property_count; i++) {
        size += message->properties[i].name.len + message->properties[i].value.len + 2;
    }
    *out_packed = bytes_of("", 0);
    if (size == 0) {
        return true;
    }
    uint8_t *packed = event_memory_take(memory, size), *at = packed;
    for (uint32_t i = 0; packed != NULL && i < message->property_count; i++) {
        at = append(at, message->properties[i].name);
        at = append(at, message->properties[i].value);
    }
    *out_packed = bytes_of(packed, size);
    return packed != NULL;
}

static bool copy(struct bytes from, struct event_memory *memory, struct bytes *out)
{
    char *text = event_memory_text(memory, from);
    *out = bytes_of(text, from.len);
    return text != NULL;
}

static uint32_t count_properties(struct bytes packed)
{
    struct bytes name, value;
    uint32_t count = 0;
    while (properties_next(&packed, &name, &value)) {
        count++;
    }
    return count;
}

static bool unpack(struct bytes packed, struct event_memory *memory, struct message *message)
{
    struct bytes own;
    uint32_t count = count_properties(packed);
    message->properties = NULL;
    message->property_count = 0;
    if (count == 0) {
        return true;
    }
    struct user_property *properties = event_memory_take(memory, count * sizeof(properties[0]));
    if (properties == NULL || !copy(packed, memory, &own)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        properties_next(&own, &properties[i].name, &properties[i].value);
    }
    message->properties = properties;
    message->property_count = count;
    return true;
}

bool stored_message_copy(const struct message *from, struct bytes packed,
                         struct event_memory *memory, struct message *out_message)
{
    *out_message = *from;
    return copy(from->topic, memory, &out_message->topic) &&
           copy(from->payload, memory, &out_message->payload) &&
           copy(from->content_type, memory, &out_message->content_type) &&
           unpack(packed, memory, out_message);
}
