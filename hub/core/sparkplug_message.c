#include "core/sparkplug_message.h"

#include <sparkplug/sparkplug_b.pb-c.h>
#include <stdio.h>

#include "core/event_parts.h"
#include "core/proto_unpack.h"
#include "core/sparkplug_value.h"
#include "core/topic.h"

// What decoding may take: this and a multiple of the payload. A metric of 6 bytes needs 170.
#define DECODE_BYTES_MIN 65536
#define DECODE_FACTOR    32
#define DECODE_BYTES_MAX (16 << 20)

static const char *const type_names[] = {
#define TYPE_NAME(name) #name,
    SPARKPLUG_TYPES(TYPE_NAME)
#undef TYPE_NAME
};

const char *sparkplug_type_name(enum sparkplug_type type)
{
    return type_names[type];
}

// ---- the topic ----------------------------------------------------------------------------------

static enum err bad_topic(struct error *e, const char *problem)
{
    return error_set(e, ERR_INVALID,
                     "the topic %s; Sparkplug's are spBv1.0/<group>/<type>/<node>[/<device>]",
                     problem);
}

static bool find_type(struct bytes level, enum sparkplug_type *out_type)
{
    for (int i = 0; i < SPARKPLUG_TYPE_COUNT; i++) {
        if (bytes_equal(level, bytes_from_text(type_names[i]))) {
            *out_type = (enum sparkplug_type)i;
            return true;
        }
    }
    return false;
}

static bool is_of_device(enum sparkplug_type type)
{
    return type == SPARKPLUG_DBIRTH || type == SPARKPLUG_DDEATH || type == SPARKPLUG_DDATA ||
           type == SPARKPLUG_DCMD;
}

// The levels behind spBv1.0.
struct address {
    struct bytes group, type, node, part, rest;
};

static struct address split(struct bytes topic)
{
    struct bytes level, rest = topic;
    struct address address = {0};
    topic_next_level(&rest, &level);
    topic_next_level(&rest, &address.group);
    topic_next_level(&rest, &address.type);
    topic_next_level(&rest, &address.node);
    topic_next_level(&rest, &address.part);
    address.rest = rest;
    return address;
}

static enum err take_names(const struct address *address, struct event_memory *memory,
                           struct sparkplug_message *message, struct error *e)
{
    size_t size = address->node.len + address->part.len + 2;
    char *device = event_memory_take(memory, size);
    message->group = event_memory_text(memory, address->group);
    message->node = event_memory_text(memory, address->node);
    message->part = event_memory_text(memory, address->part);
    if (device == NULL || message->group == NULL || message->node == NULL ||
        message->part == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for an event's names");
    }
    snprintf(device, size, message->part[0] == '\0' ? "%s" : "%s/%s", message->node, message->part);
    message->device = device;
    return ERR_OK;
}

// spBv1.0/STATE/<host>.
static enum err take_host(const struct address *address, struct event_memory *memory,
                          struct sparkplug_message *message, struct error *e)
{
    if (address->type.len == 0 || address->type.len > EVENT_NAME_MAX || address->node.ptr != NULL) {
        return bad_topic(e, "of a STATE must be spBv1.0/STATE/<host>");
    }
    message->type = SPARKPLUG_STATE;
    message->group = message->part = "";
    message->device = message->node = event_memory_text(memory, address->type);
    return message->node == NULL ? error_set(e, ERR_NO_MEMORY, "out of memory for an event's names")
                                 : ERR_OK;
}

enum err sparkplug_message_address(struct bytes topic, struct event_memory *memory,
                                   struct sparkplug_message *out_message, struct error *e)
{
    struct address address = split(topic);
    *out_message = (struct sparkplug_message){.seq = -1, .bdseq = -1};
    if (bytes_equal(address.group, bytes_from_text("STATE"))) {
        return take_host(&address, memory, out_message, e);
    }
    if (!find_type(address.type, &out_message->type) || out_message->type == SPARKPLUG_STATE) {
        return bad_topic(e, "names no type of message (NBIRTH, NDATA, ...)");
    }
    if (address.group.len == 0 || address.group.len > EVENT_NAME_MAX) {
        return bad_topic(e, "must have a group of 1 to 128 bytes");
    }
    if (address.node.len == 0 || address.node.len + address.part.len >= EVENT_NAME_MAX) {
        return bad_topic(e, "must have a node, which with its device has at most 127 bytes");
    }
    if (address.rest.ptr != NULL) {
        return bad_topic(e, "has too many levels");
    }
    if (is_of_device(out_message->type) != (address.part.len > 0)) {
        return bad_topic(e, is_of_device(out_message->type) ? "lacks the device"
                                                            : "of a node must not name a device");
    }
    return take_names(&address, memory, out_message, e);
}

// ---- the payload --------------------------------------------------------------------------------

static enum err unpack(struct bytes payload, struct event_memory *memory,
                       Sparkplug__Payload **out_payload, struct error *e)
{
    if (proto_is_deeper(&sparkplug__payload__descriptor, payload, SPARKPLUG_DEPTH_MAX)) {
        return error_set(e, ERR_INVALID, "the payload is nested deeper than %d levels",
                         SPARKPLUG_DEPTH_MAX);
    }
    size_t budget = payload.len > DECODE_BYTES_MAX / DECODE_FACTOR
                        ? DECODE_BYTES_MAX
                        : DECODE_BYTES_MIN + DECODE_FACTOR * payload.len;
    event_memory_set_budget(memory, budget);
    *out_payload =
        (Sparkplug__Payload *)proto_unpack(&sparkplug__payload__descriptor, payload, memory);
    bool is_over_budget = memory->is_over_budget;
    event_memory_set_budget(memory, SIZE_MAX);
    if (*out_payload == NULL && is_over_budget) {
        return error_set(e, ERR_INVALID, "the payload needs more than %zu bytes of memory", budget);
    }
    if (*out_payload == NULL) {
        return error_set(e, ERR_INVALID,
                         "the payload (%zu bytes) is not Sparkplug B: malformed or cut short",
                         payload.len);
    }
    return ERR_OK;
}

static enum err check_name(const Sparkplug__Metric *metric, uint32_t index, struct error *e)
{
    if (metric->name == NULL) {
        return metric->has_alias
                   ? ERR_OK
                   : error_set(e, ERR_INVALID, "metric %u has neither a name nor an alias",
                               index + 1);
    }
    const char *problem = proto_text_problem(metric->name);
    if (problem != NULL) {
        return error_set(e, ERR_INVALID, "the name of metric %u %s", index + 1, problem);
    }
    // An empty name is none where an alias stands for it: some encoders write it so.
    return metric->name[0] == '\0' && !metric->has_alias
               ? error_set(e, ERR_INVALID, "the name of metric %u is empty", index + 1)
               : ERR_OK;
}

static enum err take_metrics(struct sparkplug_message *message, const Sparkplug__Payload *payload,
                             struct error *e)
{
    if (payload->n_metrics > SPARKPLUG_METRICS_MAX) {
        return error_set(e, ERR_INVALID, "the payload has more than %d metrics",
                         SPARKPLUG_METRICS_MAX);
    }
    message->metrics = payload->metrics;
    message->metric_count = (uint32_t)payload->n_metrics;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < message->metric_count; i++) {
        Sparkplug__Metric *metric = message->metrics[i];
        rc = check_name(metric, i, e);
        if (rc == ERR_OK && metric->name != NULL && metric->name[0] == '\0') {
            metric->name = NULL;
        }
    }
    return rc;
}

static void take_bdseq(struct sparkplug_message *message)
{
    for (uint32_t i = 0; i < message->metric_count; i++) {
        const Sparkplug__Metric *metric = message->metrics[i];
        if (metric->name == NULL || strcmp(metric->name, "bdSeq") != 0) {
            continue;
        }
        if (metric->value_case == SPARKPLUG__METRIC__VALUE_LONG_VALUE) {
            message->bdseq = (int64_t)(metric->long_value & INT64_MAX);
        } else if (metric->value_case == SPARKPLUG__METRIC__VALUE_INT_VALUE) {
            message->bdseq = metric->int_value;
        }
    }
}

static bool is_birth(enum sparkplug_type type)
{
    return type == SPARKPLUG_NBIRTH || type == SPARKPLUG_DBIRTH;
}

static enum err check_birth(const struct sparkplug_message *message, struct error *e)
{
    for (uint32_t i = 0; i < message->metric_count; i++) {
        const Sparkplug__Metric *metric = message->metrics[i];
        if (metric->name == NULL) {
            return error_set(e, ERR_INVALID,
                             "metric %u has no name; in a birth each metric must have one", i + 1);
        }
    }
    return ERR_OK;
}

static enum err take_payload(struct sparkplug_message *message, const Sparkplug__Payload *payload,
                             struct error *e)
{
    if (payload->has_seq && payload->seq > 255) {
        return error_set(e, ERR_INVALID, "seq is %llu; it must be 0 to 255",
                         (unsigned long long)payload->seq);
    }
    message->seq = payload->has_seq ? (int)payload->seq : -1;
    message->has_time = payload->has_timestamp && payload->timestamp <= EVENT_TIME_MAX_MS;
    message->time_ms = message->has_time ? (int64_t)payload->timestamp : 0;
    if (payload->has_timestamp && !message->has_time) {
        return error_set(e, ERR_INVALID, "the timestamp %llu lies beyond the year 9999",
                         (unsigned long long)payload->timestamp);
    }
    enum err rc = take_metrics(message, payload, e);
    if (rc == ERR_OK && is_birth(message->type)) {
        rc = check_birth(message, e);
    }
    if (rc == ERR_OK) {
        take_bdseq(message);
    }
    return rc;
}

enum err sparkplug_message_read(struct sparkplug_message *message, struct bytes payload,
                                struct event_memory *memory, struct error *e)
{
    Sparkplug__Payload *unpacked;
    enum err rc = unpack(payload, memory, &unpacked, e);
    return rc == ERR_OK ? take_payload(message, unpacked, e) : rc;
}

enum err sparkplug_message_check(const struct sparkplug_message *message, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < message->metric_count; i++) {
        rc = sparkplug_metric_check(message->metrics[i], e);
        if (rc != ERR_OK) {
            const char *name = message->metrics[i]->name;
            error_wrap(e, "metric \"%.128s\"", name == NULL ? "" : name);
        }
    }
    return rc;
}
