#include "core/sparkplug_format.h"

#include <jansson.h>
#include <sparkplug/sparkplug_b.pb-c.h>

#include "core/event_parts.h"
#include "core/field_path.h"
#include "core/sparkplug_value.h"

struct sparkplug_message *sparkplug_message_of(const struct event *event)
{
    bool is_sparkplug =
        event->envelope != NULL && format_type_of(event->envelope) == &format_sparkplug;
    return is_sparkplug ? event->envelope_data : NULL;
}

static enum err decode(struct event *event, struct error *e)
{
    struct sparkplug_message *message = event_memory_take(event->memory, sizeof(*message));
    if (message == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a Sparkplug message");
    }
    enum err rc = sparkplug_message_address(event->message->topic, event->memory, message, e);
    if (rc != ERR_OK) {
        return rc;
    }
    event->envelope_data = message;
    event_set_identity(event, message->group, message->device, 0, 0);
    event->type = sparkplug_type_name(message->type);
    if (message->type == SPARKPLUG_STATE) { // JSON, as its payload says.
        return ERR_OK;
    }
    event_set_format(event, format_of_content(bytes_from_text("application/octet-stream")));
    rc = sparkplug_message_read(message, event->message->payload, event->memory, e);
    if (rc == ERR_OK && message->has_time) {
        event_set_time(event, message->time_ms);
    }
    return rc;
}

static enum err validate(struct event *event, struct error *e)
{
    return sparkplug_message_check(event->envelope_data, e);
}

// Of several with one name the last counts: it is the newest where old values are sent along.
static const Sparkplug__Metric *find(const struct sparkplug_message *message, struct bytes name)
{
    for (uint32_t i = message->metric_count; i > 0; i--) {
        const Sparkplug__Metric *metric = message->metrics[i - 1];
        if (metric->name != NULL && bytes_equal(bytes_from_text(metric->name), name)) {
            return metric;
        }
    }
    return NULL;
}

static bool tree_value(struct event *event, json_t *take_tree, struct event_value *out_value)
{
    json_t *tree = event_keep_tree(event, take_tree);
    if (tree != NULL) {
        value_of_json(tree, out_value);
    }
    return tree != NULL;
}

static bool metric_value(struct event *event, const Sparkplug__Metric *metric,
                         struct event_value *out_value)
{
    return sparkplug_metric_value(metric, out_value) ||
           tree_value(event, sparkplug_metric_json(metric), out_value);
}

static json_t *optional_time(const Sparkplug__Metric *metric)
{
    return metric->has_timestamp ? json_integer((json_int_t)metric->timestamp) : json_null();
}

// Everything that a metric says beside its value.
static json_t *details_json(const Sparkplug__Metric *metric)
{
    json_t *object = json_object();
    json_t *properties = sparkplug_metric_properties(metric);
    json_object_set_new(object, "timestamp", optional_time(metric));
    json_object_set_new(object, "datatype", json_string(sparkplug_datatype_name(metric->datatype)));
    json_object_set_new(object, "is_historical", json_boolean(metric->is_historical));
    json_object_set_new(object, "is_transient", json_boolean(metric->is_transient));
    if (properties != NULL) {
        json_object_set_new(object, "properties", properties);
    }
    return object;
}

// "<metric>.properties.<name>", "<metric>.timestamp", or the way into a tree.
static bool part_value(struct event *event, const Sparkplug__Metric *metric, const char *path,
                       struct event_value *out_value)
{
    struct event_value whole;
    json_t *found = NULL;
    if (!sparkplug_metric_value(metric, &whole)) {
        found = field_path_find(event_keep_tree(event, sparkplug_metric_json(metric)), path);
    }
    if (found == NULL) {
        found = field_path_find(event_keep_tree(event, details_json(metric)), path);
    }
    if (found != NULL) {
        value_of_json(found, out_value);
    }
    return found != NULL;
}

// [{"name": ..., "value": ..., "timestamp": ..., ...}, ...] in the order of the payload.
static json_t *metrics_json(const struct sparkplug_message *message)
{
    json_t *array = json_array();
    for (uint32_t i = 0; array != NULL && i < message->metric_count; i++) {
        const Sparkplug__Metric *metric = message->metrics[i];
        json_t *object = json_object();
        json_object_set_new(object, "name",
                            metric->name == NULL ? json_null() : json_string(metric->name));
        json_object_set_new(object, "value", sparkplug_metric_json(metric));
        json_t *details = details_json(metric);
        json_object_update(object, details);
        json_decref(details);
        json_array_append_new(array, object);
    }
    return array;
}

static bool message_value(struct event *event, const char *path, struct event_value *out_value)
{
    const struct sparkplug_message *message = event->envelope_data;
    if (strcmp(path, "metrics") == 0 && message->type != SPARKPLUG_STATE) {
        return tree_value(event, metrics_json(message), out_value);
    }
    if (strcmp(path, "seq") == 0 && message->seq >= 0) {
        *out_value = (struct event_value){.kind = VALUE_INTEGER, .integer = message->seq};
        return true;
    }
    return false;
}

static bool field(struct event *event, const char *path, struct event_value *out_value)
{
    const struct sparkplug_message *message = event->envelope_data;
    size_t len = strlen(path);
    const Sparkplug__Metric *metric = find(message, bytes_of(path, len));
    if (metric != NULL) {
        return metric_value(event, metric, out_value);
    }
    for (size_t at = len; at > 1; at--) { // Names may hold dots: the longest first.
        if (path[at - 1] == '.') {
            metric = find(message, bytes_of(path, at - 1));
            if (metric != NULL && part_value(event, metric, path + at, out_value)) {
                return true;
            }
        }
    }
    return message_value(event, path, out_value);
}

static json_t *fields(struct event *event)
{
    const struct sparkplug_message *message = event->envelope_data;
    if (message->type == SPARKPLUG_STATE) {
        return event_payload_fields(event);
    }
    json_t *object = json_object();
    for (uint32_t i = 0; object != NULL && i < message->metric_count; i++) {
        const Sparkplug__Metric *metric = message->metrics[i];
        if (metric->name != NULL) {
            json_object_set_new(object, metric->name, sparkplug_metric_json(metric));
        }
    }
    return object;
}

const struct format_type format_sparkplug = {
    .name = "sparkplug",
    .is_envelope = true,
    .decode = decode,
    .validate = validate,
    .field = field,
    .fields = fields,
};
