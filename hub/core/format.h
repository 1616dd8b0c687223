// format.h - how the bytes of a payload become fields: one format_type each, chosen for an event by
// the configured entry whose filter matches its topic first, else by its topic and content type.
//
// An event is read by up to two of them. An envelope (Pipit's own, Sparkplug, CloudEvents) reads
// the message, sets identity, time, type and id, and may hand a payload on with its content type
// (event_set_payload); a payload format reads that, or the message's payload when there is no
// envelope. A field is asked of the envelope first. On Pipit's own topics the envelope is always
// Pipit's; an entry there says how the opaque payload within is read.
//
// Threads:   core thread.
//
// Ownership: a format belongs to its formats; what decode makes of an event lives in the batch's
// memory, or is given back by release.
//
// Failure:   formats_create: ERR_CONFIG, the entry's name in the text. decode, validate:
// ERR_INVALID with what is wrong and where in the payload.
#ifndef PIPIT_CORE_FORMAT_H
#define PIPIT_CORE_FORMAT_H

#include "core/event.h"
#include "core/event_value.h"
#include "core/spec.h"

struct format; // One configured entry, or a built-in.
struct formats;

struct format_type {
    const char *name; // "cbor", as in the configuration.
    bool is_envelope; // Its state of an event is event->envelope_data, a payload format's is data.
    // Compiles the entry (descriptors, fields) into format_state; NULL: there is nothing to do.
    enum err (*open)(const struct format_spec *spec, void **out_state, struct error *e);
    void (*close)(void *state); // May be NULL.
    // Of an envelope: what every event needs (identity, time, type, id, payload), and whatever must
    // be done in the order of events. It may pick the payload's format (event_set_format); else the
    // payload's content type does.
    enum err (*decode)(struct event *event, struct error *e);
    // All of the payload, against the schema, too. Once, before anything else asks for a field. May
    // be NULL.
    enum err (*validate)(struct event *event, struct error *e);
    // The field at a (dotted) path; false: there is none.
    bool (*field)(struct event *event, const char *path, struct event_value *out_value);
    // All fields as a new JSON object, of a payload that has no names a JSON value; NULL: none, or
    // out of memory. May be NULL. An envelope that gives an object gives all there is, its
    // payload's fields, too (event_payload_fields).
    struct json_t *(*fields)(struct event *event);
    void (*release)(struct event *event); // What the batch's memory does not free; may be NULL.
    // Can payloads of a closed entry have the field? What `pipit check` asks. NULL: what the
    // entry's `fields` say.
    bool (*has_field)(const void *state, const char *path);
    // For hints: the names there are, NULL-terminated. NULL: those of the entry's `fields`.
    const char *const *(*names)(const void *state);
    bool is_closed; // By nature there are no fields but those has_field knows.
};

enum err formats_create(struct formats **out_formats, const struct core_spec *spec,
                        struct error *e);
void formats_destroy(struct formats *formats); // NULL is fine.

// The configured entry that decides for a topic; NULL: none. formats may be NULL: no entries.
const struct format *formats_of_topic(const struct formats *formats, struct bytes topic);
const struct format *formats_at(const struct formats *formats, uint32_t index); // NULL: beyond.
// The built-in that reads payloads of a content type (may be empty); never NULL.
const struct format *format_of_content(struct bytes content_type);
// Pipit's own envelope.
const struct format *format_of_pipit(void);
// That of CloudEvents, for messages that say that they are some.
const struct format *format_of_cloudevents(void);

const struct format_type *format_type_of(const struct format *format);
const struct format_spec *format_spec_of(const struct format *format); // NULL: a built-in.
void *format_state(const struct format *format);

// Required fields are there and all that are have the type the entry says.
enum err format_check_fields(const struct format *format, struct event *event, struct error *e);

// Is the content type `type` (any parameters left out), or does it end in `suffix` ("+json")?
bool content_type_is(struct bytes content_type, const char *type, const char *suffix);

// The column that no event of the topic filter can have, by the configured entries alone: every
// entry that decides for a topic of the filter is closed and lacks it. out_nearest: a name that is
// there, or NULL. A standard column is never lacking.
bool formats_lack(const struct formats *formats, const char *filter, const char *column,
                  const char **out_nearest);

#endif
