// render_cloudevent.h - rows as CloudEvents 1.0 in their MQTT binding: binary (attributes as user
// properties, the columns as JSON payload) or structured (all of it in JSON).
// Threads:   core thread.
// Ownership: results are in the row's memory.
// Failure:   ERR_CONFIG at creating; ERR_INVALID, this row makes no CloudEvent.
#ifndef PIPIT_CORE_RENDER_CLOUDEVENT_H
#define PIPIT_CORE_RENDER_CLOUDEVENT_H

#include "core/render_template.h"

#define CONTENT_TYPE_CLOUDEVENT "application/cloudevents+json; charset=utf-8"

struct cloudevent_route;

enum err cloudevent_create(struct cloudevent_route **out_route, const struct cloudevent_spec *spec,
                           sqlite3_stmt *compiled, struct error *e);
void cloudevent_destroy(struct cloudevent_route *route); // NULL is fine.

struct cloudevent_output {
    struct text_writer *scratch;    // Overwritten.
    struct text_writer *properties; // The attributes of binary mode are appended.
    struct bytes payload;
    const char *content_type;
};

enum err cloudevent_render(struct cloudevent_route *route, const struct render_row *row,
                           const char *id, struct cloudevent_output *output, struct error *e);

#endif
