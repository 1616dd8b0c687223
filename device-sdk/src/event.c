#include "device.h"
#include "wire.h"

// Field numbers of pipit.v1.Event. Identity and wants_receipt are added when it is sent.
enum {
    EVENT_BOOT = 1,
    EVENT_SEQUENCE,
    EVENT_TYPE,
    EVENT_TIME,
    EVENT_FIELDS,
    EVENT_PAYLOAD,
    EVENT_CONTENT_TYPE,
    EVENT_WANTS_RECEIPT
};

static void event_time(struct pipit_event *event, const struct pipit_event_options *options)
{
    const struct pipit_config *config = event->device->config;
    if (options != NULL && options->has_time) {
        pipit_sink_varint(&event->sink, EVENT_TIME, options->time_ms);
    } else if (config->clock_ms != NULL) {
        uint64_t now = config->clock_ms(config->clock_context);
        if (now != 0) {
            pipit_sink_varint(&event->sink, EVENT_TIME, now);
        }
    }
}

enum pipit_err pipit_event_begin(struct pipit_event *event, struct pipit_device *device,
                                 const char *type, const struct pipit_event_options *options)
{
    struct pipit_bytes name = pipit_text(type);
    pipit_sink_init(&event->sink, event->sink.ptr, event->sink.size);
    event->device = device;
    event->mark = NULL;
    event->has_fields = false;
    event->has_payload = false;
    if (options != NULL && options->has_mark) {
        event->mark_value = options->mark;
        event->mark = &event->mark_value;
    }
    event->type_len = (uint8_t)name.len;
    if (!pipit_wire_is_name(name, PIPIT_TYPE_MAX, true)) {
        pipit_sink_fail(&event->sink, name.len == 0 ? PIPIT_ERR_ARGUMENT : PIPIT_ERR_TEXT);
    }
    pipit_sink_bytes(&event->sink, EVENT_TYPE, name);
    event_time(event, options);
    return event->sink.rc;
}

enum pipit_err pipit_event_add(struct pipit_event *event, const struct pipit_field *field)
{
    if (event->has_payload) {
        pipit_sink_fail(&event->sink, PIPIT_ERR_ARGUMENT);
    }
    event->has_fields = true;
    pipit_sink_field(&event->sink, EVENT_FIELDS, field);
    return event->sink.rc;
}

enum pipit_err pipit_event_payload(struct pipit_event *event, const char *content_type,
                                   struct pipit_bytes payload)
{
    struct pipit_bytes kind = pipit_text(content_type);
    if (event->has_fields || event->has_payload || (payload.len > 0 && payload.ptr == NULL)) {
        pipit_sink_fail(&event->sink, PIPIT_ERR_ARGUMENT);
    } else if (PIPIT_WITH_TEXT_CHECKS && !pipit_wire_is_utf8(kind)) {
        pipit_sink_fail(&event->sink, PIPIT_ERR_TEXT);
    }
    event->has_payload = true;
    if (payload.len > 0) {
        pipit_sink_bytes(&event->sink, EVENT_PAYLOAD, payload);
    }
    if (kind.len > 0) {
        pipit_sink_bytes(&event->sink, EVENT_CONTENT_TYPE, kind);
    }
    return event->sink.rc;
}

enum pipit_err pipit_event_commit(struct pipit_event *event)
{
    struct pipit_spool *spool = event->device->config->spool;
    struct pipit_bytes body = {event->sink.ptr, event->sink.len};
    if (event->sink.rc != PIPIT_OK) {
        return event->sink.rc;
    }
    size_t need = body.len + pipit_device_overhead(event->device, event->type_len);
    if (!pipit_device_fits(event->device, need)) {
        return PIPIT_ERR_SIZE; // It could be kept, but never sent.
    }
    enum pipit_err rc = spool->type->put(spool, body, event->mark);
    event->sink.rc = rc != PIPIT_OK ? rc : PIPIT_ERR_STATE; // Committed once.
    return rc;
}

static void event_init(struct pipit_event *event, const struct pipit_device *device)
{
    memset(event, 0, sizeof(*event));
    event->sink.ptr = device->config->buffer;
    event->sink.size = device->config->buffer_bytes;
}

enum pipit_err pipit_publish_fields(struct pipit_device *device, const char *type,
                                    const struct pipit_field *fields, size_t fields_count,
                                    const struct pipit_event_options *options)
{
    struct pipit_event event;
    event_init(&event, device);
    enum pipit_err rc = pipit_event_begin(&event, device, type, options);
    for (size_t i = 0; i < fields_count && rc == PIPIT_OK; i++) {
        rc = pipit_event_add(&event, &fields[i]);
    }
    return rc == PIPIT_OK ? pipit_event_commit(&event) : rc;
}

enum pipit_err pipit_publish_payload(struct pipit_device *device, const char *type,
                                     const char *content_type, struct pipit_bytes payload,
                                     const struct pipit_event_options *options)
{
    struct pipit_event event;
    event_init(&event, device);
    (void)pipit_event_begin(&event, device, type, options);
    enum pipit_err rc = pipit_event_payload(&event, content_type, payload);
    return rc == PIPIT_OK ? pipit_event_commit(&event) : rc;
}

void pipit_event_encode(struct pipit_sink *sink, const struct pipit_record *record,
                        bool wants_receipt)
{
    if (record->boot != 0) {
        pipit_sink_varint(sink, EVENT_BOOT, record->boot);
    }
    pipit_sink_varint(sink, EVENT_SEQUENCE, record->sequence);
    pipit_sink_raw(sink, record->body);
    if (wants_receipt) {
        pipit_sink_varint(sink, EVENT_WANTS_RECEIPT, 1);
    }
}

// The type comes first in a body, as pipit_event_begin wrote it: at most PIPIT_TYPE_MAX bytes, so a
// length of one byte, or of two.
enum pipit_err pipit_event_type(struct pipit_bytes body, struct pipit_bytes *out_type)
{
    size_t at = 2, len = 0;
    if (body.len >= 3 && body.ptr[0] == (EVENT_TYPE << 3 | WIRE_BYTES)) {
        len = body.ptr[1];
        if (len > 0x7F) {
            len = (len & 0x7F) | (size_t)body.ptr[2] << 7;
            at = 3;
        }
    }
    if (len == 0 || len > PIPIT_TYPE_MAX || len > body.len - at) {
        return PIPIT_ERR_CORRUPT;
    }
    out_type->ptr = body.ptr + at;
    out_type->len = len;
    return PIPIT_OK;
}
