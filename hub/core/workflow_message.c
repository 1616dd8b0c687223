#include "core/workflow_message.h"

#include "base/utf8.h"
#include "core/address.h"
#include "core/event_parts.h"
#include "core/properties.h"
#include "core/render_json.h"
#include "core/render_properties.h"
#include "core/topic.h"

// What is being made.
struct making {
    const struct workflow_step *step;
    const struct query_input *input;
    struct event_value *address; // Values of message.address.
    struct text_writer writer, scratch;
    const struct pipit_command_head *command; // Of a command.
    struct workflow_made made;
};

// ---- addresses ----------------------------------------------------------------------------------

static enum err run_query(struct workflow_query *query, const struct query_input *input,
                          struct event_value **out_values, struct error *e)
{
    uint32_t count = workflow_query_count(query);
    struct event_value *values = event_memory_take(input->memory, (count + 1) * sizeof(*values));
    if (values == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the values of a step");
    }
    bool has_row = false;
    enum err rc = workflow_query_run(query, input, values, &has_row, e);
    if (rc == ERR_OK && !has_row) {
        return error_set(e, ERR_INVALID, "the expressions give nothing");
    }
    *out_values = values;
    return rc;
}

// The part of the address as text, which is also a C string; NULL where there is no such part.
static enum err address_text(struct making *making, const char *name, struct bytes *out_text,
                             struct error *e)
{
    struct workflow_query *query = making->step->message.address;
    uint32_t count = query == NULL ? 0 : workflow_query_count(query);
    *out_text = bytes_of(NULL, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(workflow_query_name(query, i), name) == 0) {
            making->writer.len = 0;
            enum err rc = text_writer_add_value(&making->writer, &making->address[i], e);
            rc = rc == ERR_OK
                     ? text_writer_keep(&making->writer, making->input->memory, out_text, e)
                     : rc;
            return rc == ERR_INVALID ? error_wrap(e, "%s", name) : rc;
        }
    }
    return ERR_OK;
}

static bool has_empty_level(struct bytes topic)
{
    struct bytes rest = topic, level;
    while (topic_next_level(&rest, &level)) {
        if (level.len == 0) {
            return true;
        }
    }
    return false;
}

static enum err check_topic(struct bytes topic, struct error *e)
{
    const char *problem = topic_problem(topic);
    if (problem == NULL && has_empty_level(topic)) {
        problem = "has an empty level";
    }
    return problem == NULL ? ERR_OK
                           : error_set(e, ERR_INVALID, "the topic \"%.*s\" %s",
                                       (int)(topic.len < 100 ? topic.len : 100),
                                       topic.len == 0 ? "" : (const char *)topic.ptr, problem);
}

// ---- payloads -----------------------------------------------------------------------------------

static enum err make_json(struct making *making, const struct render_row *row, struct error *e)
{
    struct json_row *json = NULL;
    enum err rc = json_row_create(&json, row->compiled, NULL, e);
    rc = rc == ERR_OK ? json_row_render(json, row, &making->made.payload, e) : rc;
    json_row_destroy(json);
    making->made.content_type = CONTENT_TYPE_JSON;
    return rc;
}

static enum err check_text(struct bytes text, struct error *e)
{
    return utf8_is_valid(text) ? ERR_OK
                               : error_set(e, ERR_INVALID, "the text payload is not valid UTF-8");
}

// Without a template: the first field.
static enum err make_text(struct making *making, const struct render_row *row, struct error *e)
{
    struct event_value value;
    value_of_sqlite(sqlite3_column_value(row->compiled, 0), &value);
    making->writer.len = 0;
    enum err rc = text_writer_add_value(&making->writer, &value, e);
    if (rc == ERR_INVALID) {
        return error_wrap(e, "field \"%s\"", sqlite3_column_name(row->compiled, 0));
    }
    rc = rc == ERR_OK ? text_writer_keep(&making->writer, row->memory, &making->made.payload, e)
                      : rc;
    making->made.content_type = CONTENT_TYPE_TEXT;
    return rc == ERR_OK ? check_text(making->made.payload, e) : rc;
}

// Without a type of its own an event is called like the workflow, as a rule's like the rule.
static enum err make_pipit(struct making *making, const struct render_row *row, struct error *e)
{
    struct bytes type;
    enum err rc = address_text(making, "type", &type, e);
    const char *name = type.ptr == NULL ? making->input->workflow : (const char *)type.ptr;
    rc = rc == ERR_OK ? pipit_row_check(row->compiled, name, e) : rc;
    making->made.content_type = CONTENT_TYPE_PIPIT;
    return rc == ERR_OK ? pipit_row_render(row, name, &making->made.payload, e) : rc;
}

static enum err make_payload(struct making *making, const struct render_row *row, struct error *e)
{
    if (making->command != NULL) {
        enum err rc = pipit_row_check(row->compiled, making->command->name, e);
        return rc == ERR_OK ? pipit_command_render(making->command, row, &making->made.payload, e)
                            : rc;
    }
    switch (making->step->message.format) {
    case PAYLOAD_TEXT:
        return make_text(making, row, e);
    case PAYLOAD_PIPIT:
        return make_pipit(making, row, e);
    case PAYLOAD_CBOR:
        making->made.content_type = CONTENT_TYPE_CBOR;
        return cbor_row_render(row, &making->scratch, &making->made.payload, e);
    default:
        return make_json(making, row, e);
    }
}

static enum err on_row(void *context, sqlite3_stmt *compiled, struct error *e)
{
    struct making *making = context;
    struct event now = {.has_time = true, .time_ms = making->input->now_ms}; // The instance's.
    const struct render_row row = {compiled, &now, making->input->memory, 0};
    enum err rc = make_payload(making, &row, e);
    // What is no mistake of the configuration any more: names made of these values.
    rc = rc == ERR_CONFIG ? error_wrap(e, "payload") : rc;
    return rc == ERR_CONFIG ? (e->code = ERR_INVALID) : rc;
}

static enum err make_fields(struct making *making, struct error *e)
{
    struct workflow_query *fields = making->step->message.fields;
    enum err rc =
        fields == NULL ? ERR_OK : workflow_query_row(fields, making->input, on_row, making, e);
    if (rc == ERR_OK && making->made.payload.len > WORKFLOW_PAYLOAD_BYTES_MAX) {
        return error_set(e, ERR_INVALID, "the payload of %zu bytes is larger than %d bytes",
                         making->made.payload.len, WORKFLOW_PAYLOAD_BYTES_MAX);
    }
    return rc;
}

static enum err make_body(struct making *making, struct error *e)
{
    struct bytes text;
    enum err rc = address_text(making, "text", &text, e);
    if (rc != ERR_OK || text.ptr == NULL) {
        return rc == ERR_OK ? make_fields(making, e) : rc;
    }
    making->made.payload = text;
    making->made.content_type = CONTENT_TYPE_TEXT;
    return check_text(text, e);
}

// ---- properties ---------------------------------------------------------------------------------

// One without a value is left out.
static enum err add_property(struct making *making, const char *name,
                             const struct event_value *value, struct error *e)
{
    making->scratch.len = 0;
    enum err rc = text_writer_add_value(&making->scratch, value, e);
    rc = rc == ERR_INVALID ? error_wrap(e, "property %s", name) : rc;
    if (rc == ERR_OK && making->scratch.len > 0) {
        rc = property_add(&making->writer, name,
                          bytes_of(making->scratch.text, making->scratch.len), e);
    }
    return rc;
}

// So that the broker does not keep a command for a device that must not start it any more.
static enum err add_expiry(struct making *making, struct error *e)
{
    if (making->command == NULL || making->command->expires_ms == 0) {
        return ERR_OK;
    }
    const struct event_value expires = {.kind = VALUE_INTEGER,
                                        .integer = making->command->expires_ms};
    return add_property(making, PROPERTY_EXPIRES, &expires, e);
}

static enum err make_properties(struct making *making, struct error *e)
{
    struct workflow_query *query = making->step->message.properties;
    uint32_t count = query == NULL ? 0 : workflow_query_count(query);
    struct event_value *values = NULL;
    making->made.properties = bytes_of("", 0);
    making->writer.len = 0;
    enum err rc = query == NULL ? ERR_OK : run_query(query, making->input, &values, e);
    rc = rc == ERR_OK ? add_expiry(making, e) : rc;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        rc = add_property(making, workflow_query_name(query, i), &values[i], e);
    }
    if (rc == ERR_OK && making->writer.len > 0) {
        rc = text_writer_keep(&making->writer, making->input->memory, &making->made.properties, e);
    }
    return rc;
}

// ---- messages -----------------------------------------------------------------------------------

static enum err begin(struct making *making, const struct workflow_step *step,
                      const struct query_input *input, struct error *e)
{
    *making = (struct making){.step = step, .input = input};
    making->made.payload = making->made.topic = bytes_of("", 0);
    making->made.content_type = "";
    return step->message.address == NULL
               ? ERR_OK
               : run_query(step->message.address, input, &making->address, e);
}

static void end(struct making *making)
{
    text_writer_deinit(&making->writer);
    text_writer_deinit(&making->scratch);
}

// Whoever looks at the delivery or the history sees what is sent. One that is no address is refused
// by the connector.
static bool carries_payload(struct bytes address)
{
    if (address_problem(address) != NULL) {
        return true;
    }
    struct address parsed = address_parse(address);
    return address_has_body(&parsed);
}

enum err workflow_message_make(const struct workflow_step *step, const struct query_input *input,
                               struct workflow_made *out_made, struct error *e)
{
    struct making making;
    struct bytes topic = {NULL, 0};
    enum err rc = begin(&making, step, input, e);
    rc = rc == ERR_OK ? address_text(&making, "topic", &topic, e) : rc;
    if (rc == ERR_OK && topic.ptr != NULL) {
        rc = step->message.is_url ? ERR_OK : check_topic(topic, e);
        making.made.topic = topic;
    }
    if (rc == ERR_OK && (!step->message.is_url || carries_payload(topic))) {
        rc = make_body(&making, e);
    }
    rc = rc == ERR_OK ? make_properties(&making, e) : rc;
    end(&making);
    if (rc == ERR_OK) {
        *out_made = making.made;
    }
    return rc;
}

static bool is_device_part(struct bytes part)
{
    return part.len > 0 && part.len <= EVENT_NAME_MAX && memchr(part.ptr, '/', part.len) == NULL &&
           topic_is_valid(part);
}

static enum err check_device(struct bytes device, struct error *e)
{
    const uint8_t *slash = device.len == 0 ? NULL : memchr(device.ptr, '/', device.len);
    size_t len = slash == NULL ? 0 : (size_t)(slash - device.ptr);
    if (slash != NULL && is_device_part(bytes_of(device.ptr, len)) && device.ptr[0] != '$' &&
        is_device_part(bytes_of(slash + 1, device.len - len - 1))) {
        return ERR_OK;
    }
    return error_set(e, ERR_INVALID,
                     "device: \"%.*s\" is no device: it has to be <group>/<name>, each of 1 to %d "
                     "bytes without / + #",
                     (int)(device.len < 100 ? device.len : 100),
                     device.len == 0 ? "" : (const char *)device.ptr, EVENT_NAME_MAX);
}

static enum err make_device(struct making *making, struct bytes *out_device, struct error *e)
{
    enum err rc = address_text(making, "device", out_device, e);
    return rc == ERR_OK ? check_device(*out_device, e) : rc;
}

enum err workflow_command_device(const struct workflow_step *step, const struct query_input *input,
                                 const char **out_device, struct error *e)
{
    struct making making;
    struct bytes device = {NULL, 0};
    enum err rc = begin(&making, step, input, e);
    rc = rc == ERR_OK ? make_device(&making, &device, e) : rc;
    end(&making);
    if (rc == ERR_OK) {
        *out_device = (const char *)device.ptr;
    }
    return rc;
}

// pipit/v1/<group>/<device>/command/<name>
static enum err make_command_topic(struct making *making, struct bytes device, struct bytes name,
                                   struct error *e)
{
    const struct bytes parts[] = {bytes_from_text("pipit/v1/"), device,
                                  bytes_from_text("/command/"), name};
    enum err rc = ERR_OK;
    making->writer.len = 0;
    for (size_t i = 0; rc == ERR_OK && i < sizeof(parts) / sizeof(parts[0]); i++) {
        rc = text_writer_add(&making->writer, parts[i], e);
    }
    if (rc == ERR_OK) {
        rc = text_writer_keep(&making->writer, making->input->memory, &making->made.topic, e);
    }
    return rc == ERR_OK ? check_topic(making->made.topic, e) : rc;
}

static enum err check_name(struct bytes name, struct error *e)
{
    return name.len > 0 && name.len <= EVENT_NAME_MAX
               ? ERR_OK
               : error_set(e, ERR_INVALID, "name: a command's has 1 to %d bytes, not %zu",
                           EVENT_NAME_MAX, name.len);
}

static enum err make_command(struct making *making, struct pipit_command_head *head,
                             struct error *e)
{
    struct bytes device = {NULL, 0}, name = {NULL, 0};
    enum err rc = make_device(making, &device, e);
    rc = rc == ERR_OK ? address_text(making, "command", &name, e) : rc;
    rc = rc == ERR_OK ? check_name(name, e) : rc;
    rc = rc == ERR_OK ? make_command_topic(making, device, name, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    head->name = (const char *)name.ptr;
    making->made.device = (const char *)device.ptr;
    making->command = head;
    if (making->step->message.fields != NULL) {
        return make_fields(making, e);
    }
    const struct render_row no_row = {NULL, NULL, making->input->memory, 0};
    return pipit_command_render(head, &no_row, &making->made.payload, e);
}

enum err workflow_command_make(const struct workflow_step *step, const struct query_input *input,
                               const char *id, int64_t expires_ms, struct workflow_made *out_made,
                               struct error *e)
{
    struct making making;
    struct pipit_command_head head = {.id = id, .expires_ms = expires_ms};
    enum err rc = begin(&making, step, input, e);
    rc = rc == ERR_OK ? make_command(&making, &head, e) : rc;
    rc = rc == ERR_OK ? make_properties(&making, e) : rc;
    end(&making);
    if (rc == ERR_OK) {
        *out_made = making.made;
        out_made->content_type = CONTENT_TYPE_PIPIT;
    }
    return rc;
}
