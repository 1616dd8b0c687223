// case_payload.c - what an event's payload is made of: text, JSON, CBOR, protobuf, Pipit's own
// events, a file.
#include <inttypes.h>
#include <jansson.h>
#include <pipit/v1/pipit.pb-c.h>
#include <stdlib.h>

#include "base/file.h"
#include "core/event_value.h"
#include "trial/case_parts.h"
#include "trial/case_proto.h"

#define PAYLOAD_FILE_MAX (16 * 1024 * 1024)

const char *const case_payload_keys[] = {"json",  "text",     "hex",  "cbor",
                                         "pipit", "protobuf", "file", NULL};

const struct option_spec case_pipit_options[] = {
    {"device", OPTION_TEXT, true, NULL, 0, 0, NULL, "Who sends it: `<group>/<device>`."},
    {"type", OPTION_TEXT, true, NULL, 0, 0, NULL, "The event's type."},
    {"boot", OPTION_INT, false, "1", 0, UINT32_MAX, NULL, "The boot it belongs to."},
    {"sequence", OPTION_INT, false, NULL, 0, INT64_MAX, NULL,
     "Its number in the boot. Without it one more than the one before, from 1."},
    {"time", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "The device's time as an instant, or `none`. Without it that of the clock."},
    {NULL},
};

static struct bytes keep_bytes(struct case_builder *builder, const char *text, size_t len)
{
    const char *copy = arena_text(builder->reader.arena, text, len);
    return bytes_of(copy, copy == NULL ? 0 : len);
}

static bool make_json(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message)
{
    json_t *json = value_of_node(node, n);
    char *text = json == NULL ? NULL : json_to_text(json);
    if (text == NULL) {
        builder->is_out_of_memory = true;
    } else {
        message->payload = keep_bytes(builder, text, strlen(text));
    }
    free(text);
    json_decref(json);
    return true;
}

static bool make_text(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message)
{
    const char *text = reader_text(&builder->reader, node, "text");
    if (text != NULL) {
        message->payload = bytes_from_text(value_numbered(builder->reader.arena, text, n));
    }
    return text != NULL;
}

static bool make_hex(struct case_builder *builder, const struct node *node, case_number n,
                     struct message *message)
{
    (void)n;
    if (node->kind == NODE_TEXT &&
        value_hex(builder->reader.arena, node->text, &message->payload)) {
        return true;
    }
    reader_problem(&builder->reader, node->at, "hex: must be pairs of hexadecimal digits");
    return false;
}

static bool make_cbor(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message)
{
    json_t *json = value_of_node(node, n);
    size_t len = 0;
    const uint8_t *bytes =
        json == NULL ? NULL : case_cbor_encode(builder->reader.arena, json, &len);
    builder->is_out_of_memory = builder->is_out_of_memory || bytes == NULL;
    message->payload = bytes_of(bytes, bytes == NULL ? 0 : len);
    message->content_type = bytes_from_text("application/cbor");
    json_decref(json);
    return true;
}

static bool make_file(struct case_builder *builder, const struct node *node, case_number n,
                      struct message *message)
{
    (void)n;
    struct error e = {0};
    char *text = NULL;
    size_t len = 0;
    const char *path = reader_text(&builder->reader, node, "file");
    if (path == NULL) {
        return false;
    }
    if (file_read(reader_path(&builder->reader, path), PAYLOAD_FILE_MAX, &text, &len, &e) !=
        ERR_OK) {
        reader_problem(&builder->reader, node->at, "file: %s", e.text);
        return false;
    }
    message->payload = keep_bytes(builder, text, len);
    free(text);
    return true;
}

static bool make_protobuf(struct case_builder *builder, const struct node *node, case_number n,
                          struct message *message)
{
    static const char *const keys[] = {"message", "fields", NULL};
    const struct shape shape = {.what = "protobuf", .others = keys};
    struct error e = {0};
    if (!reader_mapping(&builder->reader, node, "protobuf", false)) {
        return false;
    }
    reader_options(&builder->reader, node, &shape);
    const struct node *name = node_get(node, "message"), *fields = node_get(node, "fields");
    if (name == NULL || name->kind != NODE_TEXT || fields == NULL || fields->kind != NODE_MAPPING) {
        reader_problem(&builder->reader, node->at,
                       "protobuf: needs 'message', the full name of a configured message, and "
                       "'fields', a mapping");
        return false;
    }
    json_t *json = value_of_node(fields, n);
    enum err rc = case_proto_pack(builder->config, name->text, json, builder->reader.arena,
                                  &message->payload, &e);
    json_decref(json);
    if (rc != ERR_OK) {
        reader_problem(&builder->reader, node->at, "protobuf: %s", e.text);
    }
    return rc == ERR_OK;
}

// ---- Pipit's own --------------------------------------------------------------------------------

static void set_value(Pipit__V1__Field *field, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_TRUE:
    case JSON_FALSE:
        field->value_case = PIPIT__V1__FIELD__VALUE_BOOLEAN;
        field->boolean = json_is_true(json);
        break;
    case JSON_INTEGER:
        field->value_case = PIPIT__V1__FIELD__VALUE_SIGNED;
        field->signed_ = json_integer_value(json);
        break;
    case JSON_REAL:
        field->value_case = PIPIT__V1__FIELD__VALUE_REAL;
        field->real = json_real_value(json);
        break;
    default:
        field->value_case = PIPIT__V1__FIELD__VALUE_TEXT;
        field->text = (char *)(uintptr_t)json_string_value(json);
        break;
    }
}

bool case_fields_make(struct case_builder *builder, const struct node *node, const json_t *json,
                      struct case_fields *out_fields)
{
    size_t count = json_object_size(json);
    Pipit__V1__Field *fields = case_alloc(builder, count, sizeof(fields[0]));
    Pipit__V1__Field **list = case_alloc(builder, count, sizeof(list[0]));
    *out_fields = (struct case_fields){list, 0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (fields == NULL || list == NULL) {
            return false;
        }
        if (json_is_object(value) || json_is_array(value) || json_is_null(value)) {
            reader_problem(&builder->reader, node_get(node, name)->at,
                           "pipit: field '%.80s' must be a text, a number or a boolean", name);
            return false;
        }
        Pipit__V1__Field *field = &fields[out_fields->count];
        pipit__v1__field__init(field);
        field->name = (char *)(uintptr_t)name;
        set_value(field, value);
        list[out_fields->count++] = field;
    }
    return true;
}

static uint64_t next_sequence(struct case_builder *builder, const struct options *options)
{
    char key[400];
    snprintf(key, sizeof(key), "%.300s %" PRId64, option_text(options, "device"),
             option_int(options, "boot"));
    json_int_t last = json_integer_value(json_object_get(builder->sequences, key));
    json_int_t next =
        options_is_set(options, "sequence") ? option_int(options, "sequence") : last + 1;
    json_object_set_new(builder->sequences, key, json_integer(next));
    return (uint64_t)next;
}

static bool set_time(struct case_builder *builder, const struct node *node,
                     const struct options *options, int64_t now_ms, Pipit__V1__Event *event)
{
    const char *text = option_text(options, "time");
    int64_t time_ms = now_ms;
    if (text != NULL && strcmp(text, "none") == 0) {
        return true;
    }
    if (text != NULL && !case_instant(builder, node, options, "time", &time_ms)) {
        return false;
    }
    event->device_time_case = PIPIT__V1__EVENT__DEVICE_TIME_TIME;
    event->time = (uint64_t)time_ms;
    return true;
}

static bool pack_pipit(struct case_builder *builder, const struct node *node,
                       const struct options *options, case_number n, int64_t now_ms,
                       struct message *message)
{
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    const struct node *fields = node_get(node, "fields");
    json_t *json = fields == NULL ? json_object() : value_of_node(fields, n);
    struct arena *arena = builder->reader.arena;
    const char *device = value_numbered(arena, option_text(options, "device"), n);
    const char *type = option_text(options, "type");
    event.boot = (uint32_t)option_int(options, "boot");
    event.sequence = next_sequence(builder, options);
    event.type = (char *)(uintptr_t)type;
    struct case_fields made = {0};
    bool is_good = json != NULL && set_time(builder, node, options, now_ms, &event) &&
                   case_fields_make(builder, fields, json, &made);
    event.fields = made.fields;
    event.n_fields = made.count;
    uint8_t *bytes = is_good ? arena_alloc(arena, pipit__v1__event__get_packed_size(&event)) : NULL;
    if (bytes != NULL) {
        message->payload = bytes_of(bytes, pipit__v1__event__pack(&event, bytes));
        message->topic = bytes_from_text(arena_print(arena, "pipit/v1/%s/event/%s", device, type));
    }
    json_decref(json);
    return is_good;
}

static bool make_pipit(struct case_builder *builder, const struct node *event, case_number n,
                       int64_t now_ms, struct message *message)
{
    static const char *const others[] = {"fields", NULL};
    const struct node *node = node_get(event, "pipit"), *fields = NULL;
    struct options *options = case_options_make(builder, case_pipit_options);
    const struct shape shape = {.what = "pipit", .options = {options}, .others = others};
    uint32_t before = builder->reader.problem_count;
    if (options == NULL || !reader_mapping(&builder->reader, node, "pipit", false)) {
        options_destroy(options);
        return false;
    }
    reader_options(&builder->reader, node, &shape);
    fields = node_get(node, "fields");
    if (node_get(event, "topic") != NULL) {
        reader_problem(&builder->reader, node_get(event, "topic")->key->at,
                       "event: 'topic' and 'pipit'; device and type make the topic");
    }
    if (fields != NULL && fields->kind != NODE_MAPPING) {
        reader_problem(&builder->reader, fields->at, "pipit: fields must be a mapping, not %s",
                       node_kind_name(fields));
    }
    bool is_good = builder->reader.problem_count == before &&
                   pack_pipit(builder, node, options, n, now_ms, message);
    options_destroy(options);
    return is_good;
}

bool case_payload_make(struct case_builder *builder, const struct node *event, case_number n,
                       int64_t now_ms, struct message *message)
{
    static const struct {
        const char *key;
        bool (*make)(struct case_builder *builder, const struct node *node, case_number n,
                     struct message *message);
    } makers[] = {
        {"json", make_json},
        {"text", make_text},
        {"hex", make_hex},
        {"cbor", make_cbor},
        {"protobuf", make_protobuf},
        {"file", make_file},
        {"online", case_online_make},
        {"offline", case_offline_make},
    };
    if (node_get(event, "pipit") != NULL) {
        return make_pipit(builder, event, n, now_ms, message);
    }
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        const struct node *node = node_get(event, makers[i].key);
        if (node != NULL) {
            return makers[i].make(builder, node, n, message);
        }
    }
    return true;
}
