// format.h - how the bytes of a payload become fields: one format_type each, chosen for an event by
// the configured entry whose filter matches its topic first, else by its topic and content type.
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
    enum format_kind kind;
    // Compiles the entry (descriptors, fields) into format_state; NULL: there is nothing to do.
    enum err (*open)(const struct format_spec *spec, void **out_state, struct error *e);
    void (*close)(void *state);
    // What every event needs: identity, time, type, id; and whatever must be done in order. May be
    // NULL. State that lasts is told apart by format_context.
    enum err (*decode)(struct event *event, struct error *e);
    // All of the payload, against the schema, too. Once, before anything else asks for a field.
    enum err (*validate)(struct event *event, struct error *e);
    // The field at a (dotted) path; false: there is none.
    bool (*field)(struct event *event, const char *path, struct event_value *out_value);
    // All fields as a new JSON object; NULL: none, or out of memory.
    struct json_t *(*fields)(struct event *event);
    void (*release)(struct event *event); // What the batch's memory does not free; may be NULL.
    // Can payloads of this entry have the field? What `pipit check` asks. NULL: any.
    bool (*has_field)(const void *state, const char *path);
    // For hints: the names there are, NULL-terminated; NULL: unknown.
    const char *const *(*names)(const void *state);
};

enum err formats_create(struct formats **out_formats, const struct core_spec *spec,
                        struct error *e);
void formats_destroy(struct formats *formats); // NULL is fine.

// Never NULL: without an entry a built-in.
const struct format *formats_find(const struct formats *formats, const struct message *message);
const struct format_type *format_type_of(const struct format *format);
void *format_state(const struct format *format);

// The column that no event of the topic filter can have, by the configured entries alone: every
// entry that decides for a topic of the filter is closed and lacks it. out_nearest: a name that is
// there, or NULL.
bool formats_lack(const struct formats *formats, const char *filter, const char *column,
                  const char **out_nearest);

#endif
