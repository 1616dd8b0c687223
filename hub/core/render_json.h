// render_json.h - rows as JSON objects of their columns, and as pipit.v1.Event messages.
// Threads:   core thread.
// Ownership: results are in the row's memory.
// Failure:   ERR_INVALID names the column.
#ifndef PIPIT_CORE_RENDER_JSON_H
#define PIPIT_CORE_RENDER_JSON_H

#include "core/render.h"

// One object, refilled for each row: the values stay in place when their kind does.
struct json_row;

enum err json_row_create(struct json_row **out_row, sqlite3_stmt *compiled, struct error *e);
void json_row_destroy(struct json_row *json_row); // NULL is fine.
enum err json_row_render(struct json_row *json_row, const struct render_row *row,
                         struct bytes *out_payload, struct error *e);

// render_pipit.c: an Event of this type with boot and sequence 0, for it is the rule's and no
// device's; time is the source event's. NULL columns are left out.
enum err pipit_row_check(sqlite3_stmt *compiled, const char *type, struct error *e);
enum err pipit_row_render(const struct render_row *row, const char *type, struct bytes *out_payload,
                          struct error *e);

#endif
