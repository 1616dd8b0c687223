// event.h - one message, decoded: identity, type, time and named fields, lazily and once.
// Threads:   core thread.
// Ownership: borrows the message; field texts and trees live in the event until event_reset.
// Failure:   ERR_INVALID with the reason; the event then goes to quarantine.
#ifndef PIPIT_CORE_EVENT_H
#define PIPIT_CORE_EVENT_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

#define EVENT_NAME_MAX 128 // Bytes of a device, group or type name.

enum event_kind {
    EVENT_PIPIT,   // pipit/v1/<group>/<device>/event/<type>: identity in the envelope.
    EVENT_STATUS,  // .../status: pipit.v1.Status, its members as fields.
    EVENT_REPLY,   // .../reply/<name>: pipit.v1.Reply, its members and fields as fields.
    EVENT_FOREIGN, // Any other topic: JSON object, other JSON, text, or bytes.
};

struct event; // Pooled: the batch holds them.

// A fixed set of events, reused from batch to batch.
struct event_batch;
enum err event_batch_create(struct event_batch **out_batch, uint32_t capacity, struct error *e);
void event_batch_destroy(struct event_batch *batch);
void event_batch_clear(struct event_batch *batch);
// What reads the payloads of events added from now on; they are used until event_batch_clear. NULL
// (as made): no entries, the built-ins alone.
struct formats;
void event_batch_set_formats(struct event_batch *batch, const struct formats *formats);

// Decodes the envelope (Pipit's: all of it, malformed bytes are found here) and checks it against
// the topic. The payload is read by event_validate, once and before any field is asked for.
enum err event_batch_add(struct event_batch *batch, const struct message *message,
                         struct event **out_event, struct error *e);
uint32_t event_batch_count(const struct event_batch *batch);
// Forgets all but the first count of them.
void event_batch_truncate(struct event_batch *batch, uint32_t count);
// False: memory was out since the batch was cleared, so that names and ids of its events may be
// empty.
bool event_batch_is_whole(const struct event_batch *batch);
struct event *event_batch_at(struct event_batch *batch, uint32_t index);

struct event_identity {
    const char *key; // "<group>/<device>", in the batch's memory; empty: there is no identity.
    uint32_t boot;
    uint64_t sequence; // 0: none (no dedupe, no receipt).
};

enum event_kind event_kind(const struct event *event);
const struct message *event_message(const struct event *event);
const struct event_identity *event_identity(const struct event *event);
void event_set_identity(struct event *event, const char *group, const char *device, uint32_t boot,
                        uint64_t sequence);
void event_set_time(struct event *event, int64_t time_ms);
bool event_wants_receipt(const struct event *event);
const char *event_group(const struct event *event);  // "" when unknown.
const char *event_device(const struct event *event); // "" when unknown.
const char *event_type(const struct event *event);   // "" when unknown.
bool event_time_ms(const struct event *event, int64_t *out_ms);
const char *event_id(struct event *event); // "<group>/<device>/<boot>/<sequence>" or as set.
void event_set_id(struct event *event, const char *id);

// A payload that its format cannot read, or that lacks what the entry says: ERR_INVALID with what
// is wrong and where.
enum err event_validate(struct event *event, struct error *e);

// All fields as a JSON object (for a JSON array: the array), made once and freed with the event;
// NULL when the event has none.
struct json_t *event_fields_json(struct event *event);

// The whole decoded event as one compact JSON object (for the mirror, `pipit tail`, quarantine).
// The caller frees it with free().
char *event_to_json(struct event *event);

#endif
