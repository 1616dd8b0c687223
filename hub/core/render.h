// render.h - a row of a rule's result into topic, key and payload of each of its routes.
// Threads:   core thread.
// Ownership: borrows rule, statement and event; outputs live in the memory given.
// Failure:   render_create: ERR_CONFIG, a template names a column that is not there. render_row:
//            ERR_INVALID, this row cannot be rendered.
#ifndef PIPIT_CORE_RENDER_H
#define PIPIT_CORE_RENDER_H

#include "core/event.h"
#include "core/event_memory.h"
#include "core/spec.h"

// Of rendered payloads, as MQTT 5 content type. PAYLOAD_ORIGINAL keeps the message's own.
#define CONTENT_TYPE_JSON     "application/json"
#define CONTENT_TYPE_TEXT     "text/plain; charset=utf-8"
#define CONTENT_TYPE_PIPIT    "application/x-protobuf"
#define CONTENT_TYPE_PROTOBUF "application/x-protobuf"
#define CONTENT_TYPE_CBOR     "application/cbor"

struct render;

struct render_row {
    sqlite3_stmt *compiled; // Standing on the row.
    struct event *event;
    struct event_memory *memory;
    uint32_t row_index; // Among the rows that this event gave in this rule.
};

struct rendered {
    struct bytes key, topic, payload;
    struct bytes properties; // As in struct delivery.
    const char *content_type;
};

enum err render_create(struct render **out_render, const struct rule_spec *rule,
                       sqlite3_stmt *compiled, struct error *e);
void render_destroy(struct render *render); // NULL is fine.

// Renders route_count outputs of the row.
enum err render_row(struct render *render, const struct render_row *row,
                    struct rendered *out_rendered, struct error *e);

#endif
