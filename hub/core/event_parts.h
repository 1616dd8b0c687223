// event_parts.h - what an event is made of, for the files that decode it and read it: event*.c and
// format*.c.
// Threads:   core thread.
// Ownership: texts and messages are in the batch's memory, the JSON tree is freed with the batch.
// Failure:   as event.h.
#ifndef PIPIT_CORE_EVENT_PARTS_H
#define PIPIT_CORE_EVENT_PARTS_H

#include "core/event.h"
#include "core/event_memory.h"
#include "core/event_value.h"
#include "core/json_tape.h"

#define EVENT_ID_MAX      (2 * EVENT_NAME_MAX + 39) // Bytes of an id that is made here.
#define EVENT_FIELDS_MAX  256
#define EVENT_TIME_MAX_MS 253402300799999 // The end of the year 9999.

struct Pipit__V1__Field;

enum json_state { JSON_UNREAD, JSON_NONE, JSON_READ, JSON_BROKEN };

struct event {
    const struct message *message;
    struct event_memory *memory; // The batch's.
    const struct formats *formats;
    const struct format *envelope; // NULL: none.
    const struct format *format;   // Reads the payload.
    void *envelope_data, *data;    // Theirs of this event.
    enum event_kind kind;
    struct event_identity identity;
    const char *group, *device, *type, *id;
    bool wants_receipt, has_time, has_boot;
    int64_t time_ms;
    struct Pipit__V1__Field **fields; // Of Pipit's envelope.
    uint32_t field_count;
    struct bytes payload;      // The opaque one; ptr NULL when there is none.
    struct bytes content_type; // Of the payload.
    enum json_state json_state;
    struct json_tape tape;      // With JSON_READ.
    struct json_t *json;        // The same as a tree, made when somebody asks for it.
    struct json_t *fields_json; // Made when somebody asks for all fields.
    struct json_t *trees;       // An array of what event_keep_tree got.
    const char *json_problem;
};

// event_proto.c: the field by index, below field_count.
void event_proto_field_at(const struct event *event, uint32_t index, const char **out_name,
                          struct event_value *out_value);

// For an envelope: the payload within and its content type (may be empty). ptr NULL: there is none.
void event_set_payload(struct event *event, struct bytes payload, struct bytes content_type);
// For an envelope: what reads the payload, whatever its content type.
void event_set_format(struct event *event, const struct format *format);
// The payload's fields alone, as struct format_type's fields gives them: new, or NULL.
struct json_t *event_payload_fields(struct event *event);

// event_json.c: the payload's JSON tree, read at most once; NULL when it is not JSON.
struct json_t *event_json(struct event *event);
void event_json_free(struct event *event);
bool event_json_field(struct event *event, const char *path, struct event_value *out_value);
enum err event_json_validate(struct event *event, struct error *e);
// A tree that was made for a value lives as long as the event: takes it, also without memory, and
// gives it back, or NULL.
struct json_t *event_keep_tree(struct event *event, struct json_t *take_tree);
// Pipit's own fields as a new object; NULL when the envelope has none.
struct json_t *event_proto_fields(struct event *event);
struct json_t *json_of_blob(struct bytes blob); // Hexadecimal text.

#endif
