#include "core/format.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/event_parts.h"
#include "core/format_types.h"
#include "core/topic_trie.h"

struct format {
    const struct format_type *type;
    const struct format_spec *spec; // NULL: a built-in.
    void *state;
};

struct formats {
    struct topic_trie *trie;
    uint32_t count;
    struct format list[];
};

static const struct format_type *const types[] = {
    [FORMAT_JSON] = &format_json,         [FORMAT_CBOR] = &format_cbor,
    [FORMAT_PROTOBUF] = &format_protobuf, [FORMAT_SPARKPLUG] = &format_sparkplug,
    [FORMAT_TEXT] = &format_text,         [FORMAT_NUMBER] = &format_number,
    [FORMAT_BYTES] = &format_bytes,       [FORMAT_CLOUDEVENTS] = &format_cloudevents,
};

static const struct format_type *type_of_kind(enum format_kind kind)
{
    return (size_t)kind < sizeof(types) / sizeof(types[0]) ? types[kind] : NULL;
}

static enum err open_entry(struct formats *formats, uint32_t index, const struct format_spec *spec,
                           struct error *e)
{
    struct format *format = &formats->list[index];
    const struct format_type *type = type_of_kind(spec->kind);
    if (type == NULL) {
        return error_set(e, ERR_CONFIG, "a format of kind %d is not known", (int)spec->kind);
    }
    format->spec = spec;
    format->type = type;
    enum err rc = type->open == NULL ? ERR_OK : type->open(spec, &format->state, e);
    if (rc == ERR_OK) {
        rc = topic_trie_add(formats->trie, bytes_from_text(spec->from), index, e);
    }
    if (rc == ERR_INVALID) { // The filter.
        rc = e->code = ERR_CONFIG;
    }
    return rc;
}

enum err formats_create(struct formats **out_formats, const struct core_spec *spec, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    struct formats *formats =
        calloc(1, sizeof(*formats) + spec->format_count * sizeof(formats->list[0]));
    if (formats == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for formats");
    }
    enum err rc = topic_trie_create(&formats->trie, e);
    for (uint32_t i = 0; rc == ERR_OK && i < spec->format_count; i++) {
        formats->count = i + 1;
        rc = open_entry(formats, i, &spec->formats[i], e);
        if (rc != ERR_OK) {
            error_wrap(e, "format \"%s\"", spec->formats[i].name);
        }
    }
    if (rc == ERR_OK) {
        *out_formats = formats;
    } else {
        formats_destroy(formats);
    }
    return rc;
}

void formats_destroy(struct formats *formats)
{
    if (formats == NULL) {
        return;
    }
    for (uint32_t i = 0; i < formats->count; i++) {
        const struct format *format = &formats->list[i];
        if (format->type != NULL && format->type->close != NULL && format->state != NULL) {
            format->type->close(format->state);
        }
    }
    topic_trie_destroy(formats->trie);
    free(formats);
}

static void take_first(void *context, uint32_t id)
{
    uint32_t *first = context;
    *first = id < *first ? id : *first;
}

const struct format *formats_of_topic(const struct formats *formats, struct bytes topic)
{
    if (formats == NULL || formats->count == 0) {
        return NULL;
    }
    uint32_t first = UINT32_MAX;
    topic_trie_match(formats->trie, topic, take_first, &first);
    return first == UINT32_MAX ? NULL : &formats->list[first];
}

const struct format *formats_at(const struct formats *formats, uint32_t index)
{
    return formats != NULL && index < formats->count ? &formats->list[index] : NULL;
}

bool content_type_is(struct bytes content_type, const char *type, const char *suffix)
{
    const uint8_t *end =
        content_type.len == 0 ? NULL : memchr(content_type.ptr, ';', content_type.len);
    size_t len = end == NULL ? content_type.len : (size_t)(end - content_type.ptr);
    while (len > 0 && content_type.ptr[len - 1] == ' ') {
        len--;
    }
    const char *text = (const char *)content_type.ptr;
    size_t tail = strlen(suffix);
    return (len == strlen(type) && strncasecmp(text, type, len) == 0) ||
           (len > tail && strncasecmp(text + len - tail, suffix, tail) == 0);
}

const struct format *format_of_content(struct bytes content_type)
{
    static const struct format any = {.type = &format_any}, cbor = {.type = &format_cbor};
    bool is_cbor =
        content_type.len > 0 && content_type_is(content_type, "application/cbor", "+cbor");
    return is_cbor ? &cbor : &any;
}

const struct format *format_of_pipit(void)
{
    static const struct format pipit = {.type = &format_pipit};
    return &pipit;
}

const struct format *format_of_cloudevents(void)
{
    static const struct format cloudevents = {.type = &format_cloudevents};
    return &cloudevents;
}

const struct format_type *format_type_of(const struct format *format)
{
    return format->type;
}

const struct format_spec *format_spec_of(const struct format *format)
{
    return format->spec;
}

void *format_state(const struct format *format)
{
    return format->state;
}

static const char *value_name(const struct event_value *value)
{
    switch (value->kind) {
    case VALUE_NULL:
        return "null";
    case VALUE_BOOLEAN:
        return "a boolean";
    case VALUE_INTEGER:
        return "an integer";
    case VALUE_REAL:
        return "a number";
    case VALUE_TEXT:
        return "a text";
    case VALUE_BLOB:
        return "a blob";
    case VALUE_TREE:
        return json_is_array(value->tree) ? "an array" : "an object";
    case VALUE_JSON:
        break;
    }
    return "JSON text";
}

static bool is_of_type(const struct event_value *value, enum field_type type)
{
    switch (type) {
    case FIELD_ANY:
        return true;
    case FIELD_INTEGER: // 5.0 is whole, too: many writers of JSON know one kind of number only.
        return value->kind == VALUE_INTEGER ||
               (value->kind == VALUE_REAL && value->real >= -0x1p63 && value->real < 0x1p63 &&
                (double)(int64_t)value->real == value->real);
    case FIELD_NUMBER:
        return value->kind == VALUE_INTEGER || value->kind == VALUE_REAL;
    case FIELD_TEXT:
        return value->kind == VALUE_TEXT;
    case FIELD_BOOLEAN:
        return value->kind == VALUE_BOOLEAN;
    case FIELD_BLOB:
        return value->kind == VALUE_BLOB;
    case FIELD_OBJECT:
        return value->kind == VALUE_TREE && json_is_object(value->tree);
    case FIELD_ARRAY:
        return value->kind == VALUE_TREE && json_is_array(value->tree);
    }
    return false;
}

static enum err check_field(const struct field_spec *field, struct event *event, struct error *e)
{
    static const char *const wanted[] = {
        [FIELD_ANY] = "any value",    [FIELD_INTEGER] = "an integer", [FIELD_NUMBER] = "a number",
        [FIELD_TEXT] = "a text",      [FIELD_BOOLEAN] = "a boolean",  [FIELD_BLOB] = "a blob",
        [FIELD_OBJECT] = "an object", [FIELD_ARRAY] = "an array",
    };
    struct event_value value;
    event_field(event, field->name, &value);
    if (value.kind == VALUE_NULL && !field->is_required) {
        return ERR_OK;
    }
    if (value.kind == VALUE_NULL) {
        return error_set(e, ERR_INVALID, "the field \"%.128s\" is missing or null; it must be %s",
                         field->name, wanted[field->type]);
    }
    if (!is_of_type(&value, field->type)) {
        return error_set(e, ERR_INVALID, "the field \"%.128s\" is %s; it must be %s", field->name,
                         value_name(&value), wanted[field->type]);
    }
    return ERR_OK;
}

enum err format_check_fields(const struct format *format, struct event *event, struct error *e)
{
    const struct format_spec *spec = format->spec;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; spec != NULL && rc == ERR_OK && i < spec->field_count; i++) {
        rc = check_field(&spec->fields[i], event, e);
    }
    return rc == ERR_OK ? rc : error_wrap(e, "format \"%s\"", spec->name);
}
