// render_properties.h - the user properties of a route's deliveries.
// Threads:   core thread.
// Ownership: properties collect in a writer, in the form of struct delivery's.
// Failure:   ERR_CONFIG at creating; ERR_INVALID, this row's cannot be sent.
#ifndef PIPIT_CORE_RENDER_PROPERTIES_H
#define PIPIT_CORE_RENDER_PROPERTIES_H

#include "core/render_template.h"

struct route_properties;

enum err route_properties_create(struct route_properties **out_properties,
                                 const struct route_spec *spec, sqlite3_stmt *compiled,
                                 struct error *e);
void route_properties_destroy(struct route_properties *properties); // NULL is fine.

// Appends the route's own; scratch is overwritten.
enum err route_properties_render(const struct route_properties *properties,
                                 const struct render_row *row, struct text_writer *scratch,
                                 struct text_writer *writer, struct error *e);
// What every delivery of the event carries on: its W3C trace context, and the number of the replay
// that its id, and so the delivery's idempotency key, begins with.
enum err carried_properties_render(const struct render_row *row, struct text_writer *writer,
                                   struct error *e);

// Appends one, unless there is one of that name: the first one wins.
enum err property_add(struct text_writer *writer, const char *name, struct bytes value,
                      struct error *e);

#endif
