#include "connectors/json_line.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/json_bytes.h"
#include "base/utf8.h"
#include "core/properties.h"

static bool is_json_type(const char *content_type)
{
    size_t len = strcspn(content_type, "; ");
    static const char plain[] = "application/json";
    return (len == sizeof(plain) - 1 && strncasecmp(content_type, plain, len) == 0) ||
           (len > 5 && strncasecmp(content_type + len - 5, "+json", 5) == 0);
}

static bool is_json(const struct delivery *delivery)
{
    if (delivery->content_type == NULL || !is_json_type(delivery->content_type) ||
        !utf8_is_valid(delivery->payload)) {
        return false;
    }
    json_t *json = json_loadb((const char *)delivery->payload.ptr, delivery->payload.len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(json);
    return json != NULL;
}

static bool set_text(json_t *line, const char *name, const char *text)
{
    return text == NULL || text[0] == '\0' ||
           json_object_set_new(line, name, json_string(text)) == 0;
}

static bool set_time(json_t *line, int64_t ms)
{
    char text[40];
    struct tm utc;
    time_t seconds = (time_t)(ms / 1000);
    if (ms < 0 || gmtime_r(&seconds, &utc) == NULL) {
        return json_object_set_new(line, "time", json_integer(ms)) == 0;
    }
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, sizeof(text) - len, ".%03dZ", (int)(ms % 1000));
    return set_text(line, "time", text);
}

// A name that is there twice has all its values, in a list.
static bool add_property(json_t *object, struct bytes name, struct bytes value)
{
    const char *key = (const char *)name.ptr; // Ended by a zero byte.
    json_t *new = json_stringn((const char *)value.ptr, value.len);
    json_t *old = json_object_get(object, key);
    if (new == NULL || old == NULL) {
        return json_object_set_new(object, key, new) == 0;
    }
    if (json_is_array(old)) {
        return json_array_append_new(old, new) == 0;
    }
    return json_object_set_new(object, key, json_pack("[oo]", json_incref(old), new)) == 0;
}

static bool set_properties(json_t *line, struct bytes properties)
{
    struct bytes name, value;
    if (properties.len == 0) {
        return true;
    }
    json_t *object = json_object();
    bool is_made = object != NULL;
    while (is_made && properties_next(&properties, &name, &value)) {
        is_made = !utf8_is_valid(name) || !utf8_is_valid(value) || // No MQTT property.
                  add_property(object, name, value);
    }
    return json_object_set_new(line, "properties", object) == 0 && is_made;
}

static json_t *make_members(const struct delivery *delivery, bool has_json)
{
    json_t *line = json_object();
    bool is_made = line != NULL && set_text(line, "idempotency_key", delivery->idempotency_key) &&
                   set_time(line, delivery->created_ms) && set_text(line, "rule", delivery->rule) &&
                   (delivery->key.len == 0 || json_set_bytes(line, "key", delivery->key)) &&
                   (delivery->topic.len == 0 || json_set_bytes(line, "topic", delivery->topic)) &&
                   set_text(line, "content_type", delivery->content_type) &&
                   set_properties(line, delivery->properties) &&
                   (has_json || json_set_bytes(line, "payload", delivery->payload));
    if (!is_made) {
        json_decref(line);
        return NULL;
    }
    return line;
}

// Puts the payload's own bytes in as the last member: parsing and printing them again would change
// its numbers. Raw line breaks can only stand between tokens, where a blank does as well.
static char *splice(char *text, struct bytes payload, size_t *out_len)
{
    static const char member[] = ",\"payload\":";
    size_t len = strlen(text) - 1; // Without its closing brace.
    char *line = realloc(text, len + sizeof(member) - 1 + payload.len + 3);
    if (line == NULL) {
        free(text);
        return NULL;
    }
    memcpy(line + len, member, sizeof(member) - 1);
    len += sizeof(member) - 1;
    for (size_t i = 0; i < payload.len; i++) {
        uint8_t byte = payload.ptr[i];
        line[len++] = byte == '\n' || byte == '\r' ? ' ' : (char)byte;
    }
    line[len++] = '}';
    line[len] = '\0';
    *out_len = len;
    return line;
}

enum err json_line_make(const struct delivery *delivery, char **out_line, size_t *out_len,
                        struct error *e)
{
    bool has_json = is_json(delivery);
    json_t *members = make_members(delivery, has_json);
    char *line = members == NULL ? NULL : json_dumps(members, JSON_COMPACT);
    json_decref(members);
    size_t len = 0;
    if (line != NULL && has_json) {
        line = splice(line, delivery->payload, &len);
    } else if (line != NULL) {
        len = strlen(line);
        char *longer = realloc(line, len + 2);
        if (longer == NULL) {
            free(line);
        }
        line = longer;
    }
    if (line == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    line[len++] = '\n';
    line[len] = '\0';
    *out_line = line;
    *out_len = len;
    return ERR_OK;
}
