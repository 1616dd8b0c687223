// cloudevent.h - CloudEvents 1.0 as they come in: binary mode (attributes are user properties),
// structured mode (JSON or protobuf) [CloudEvents MQTT binding 1.0.2, 3].
//
// Threads:   core thread.
//
// Ownership: attributes and data are in the memory given or borrowed from the message.
//
// Failure:   ERR_INVALID with the attribute's name. ERR_NO_MEMORY.
#ifndef PIPIT_CORE_CLOUDEVENT_H
#define PIPIT_CORE_CLOUDEVENT_H

#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/format_types.h"

#define CLOUDEVENT_ATTRIBUTES_MAX 64

struct cloudevent_attribute {
    struct bytes name;
    struct event_value value; // A text, a whole number, a boolean, a blob.
};

struct cloudevent {
    struct cloudevent_attribute *attributes;
    uint32_t count;
    struct bytes data;         // ptr NULL: there is none.
    struct bytes content_type; // Of the data; may be empty.
    bool has_time;
    int64_t time_ms;
    const char *type, *id; // id: "<source>#<id>".
};

enum cloudevent_mode {
    CLOUDEVENT_NONE,
    CLOUDEVENT_BINARY,
    CLOUDEVENT_JSON,
    CLOUDEVENT_PROTOBUF,
    CLOUDEVENT_BATCH,   // In JSON: see cloudevent_batch.h.
    CLOUDEVENT_UNKNOWN, // application/cloudevents in a format that is none of these.
};

// How a message carries a CloudEvent. is_expected: its topic is configured so, and where MQTT 3.1.1
// has no properties the payload's first byte tells.
enum cloudevent_mode cloudevent_mode(const struct message *message, bool is_expected);

// mode: BINARY, JSON or PROTOBUF.
enum err cloudevent_read(struct cloudevent *out_event, enum cloudevent_mode mode,
                         const struct message *message, struct event_memory *memory,
                         struct error *e);

// NULL: it has none of that name.
const struct event_value *cloudevent_find(const struct cloudevent *event, struct bytes name);

// The readers add attributes by this; of two with one name the first counts.
enum err cloudevent_add(struct cloudevent *event, struct bytes name,
                        const struct event_value *value, struct error *e);
enum err cloudevent_read_json(struct cloudevent *event, struct bytes payload,
                              struct event_memory *memory, struct error *e);
enum err cloudevent_read_protobuf(struct cloudevent *event, struct bytes payload,
                                  struct event_memory *memory, struct error *e);

// NULL: the event came as none.
const struct cloudevent *cloudevent_of(const struct event *event);

#endif
