// render_protobuf.h - rows as protobuf messages of a type that the configuration names: each column
// is the field of its (dotted) name.
// Threads:   core thread.
// Ownership: results are in the row's memory.
// Failure:   ERR_CONFIG at creating: no such message, or a column that it has no field for.
//            ERR_INVALID: a value does not fit its field.
#ifndef PIPIT_CORE_RENDER_PROTOBUF_H
#define PIPIT_CORE_RENDER_PROTOBUF_H

#include "core/render.h"

struct protobuf_route;

enum err protobuf_route_create(struct protobuf_route **out_route, const struct route_spec *spec,
                               sqlite3_stmt *compiled, struct error *e);
void protobuf_route_destroy(struct protobuf_route *route); // NULL is fine.
enum err protobuf_route_render(const struct protobuf_route *route, const struct render_row *row,
                               struct bytes *out_payload, struct error *e);

#endif
