// event_parts.h - what an event is made of, for the files that decode it and read it: event.c,
// event_proto.c, event_json.c, event_value.c.
// Threads:   core thread.
// Ownership: texts and messages are in the batch's memory, the JSON tree is freed with the batch.
#ifndef PIPIT_CORE_EVENT_PARTS_H
#define PIPIT_CORE_EVENT_PARTS_H

#include "core/event.h"
#include "core/event_memory.h"
#include "core/event_value.h"

#define EVENT_FIELDS_MAX     256
#define EVENT_JSON_DEPTH_MAX 32
#define EVENT_TIME_MAX_MS    253402300799999 // The end of the year 9999.

struct Pipit__V1__Field;

enum json_state { JSON_UNREAD, JSON_NONE, JSON_READ, JSON_BROKEN };

struct event {
    const struct message *message;
    struct event_memory *memory; // The batch's.
    enum event_kind kind;
    struct event_identity identity;
    const char *group, *device, *type, *id;
    bool wants_receipt, has_time, has_boot;
    int64_t time_ms;
    struct Pipit__V1__Field **fields; // Of protobuf.
    uint32_t field_count;
    struct bytes payload;      // The opaque one; ptr NULL when there is none.
    struct bytes content_type; // Of the payload.
    enum json_state json_state;
    struct json_t *json;
    struct json_t *fields_json; // Made of protobuf fields when somebody asks for all of them.
    const char *json_problem;
    char id_buffer[2 * EVENT_NAME_MAX + 40];
};

// event_proto.c: all of the message's bytes into the event, checked.
enum err event_proto_decode(struct event *event, struct error *e);
bool event_proto_field(const struct event *event, const char *name, struct event_value *out_value);
// Field by index, below field_count.
void event_proto_field_at(const struct event *event, uint32_t index, const char **out_name,
                          struct event_value *out_value);

// event_json.c: the payload's JSON tree, read at most once; NULL when it is not JSON.
struct json_t *event_json(struct event *event);
void event_json_free(struct event *event);
bool event_json_field(struct event *event, const char *path, struct event_value *out_value);
// All fields as a JSON object (for a JSON array: the array), made once and freed with the event's
// JSON; NULL when the event has none.
struct json_t *event_fields_json(struct event *event);

#endif
