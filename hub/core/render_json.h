// render_json.h - rows as JSON objects and CBOR maps of their columns, and as Pipit's own
// messages.
// Threads:   core thread.
// Ownership: results are in the row's memory.
// Failure:   ERR_INVALID names the column.
#ifndef PIPIT_CORE_RENDER_JSON_H
#define PIPIT_CORE_RENDER_JSON_H

#include "core/render_template.h"

// One object, refilled for each row: the values stay in place when their kind does.
struct json_row;

// Columns whose names begin with `left_out` are not in it; NULL: all are.
enum err json_row_create(struct json_row **out_row, sqlite3_stmt *compiled, const char *left_out,
                         struct error *e);
void json_row_destroy(struct json_row *json_row); // NULL is fine.
enum err json_row_render(struct json_row *json_row, const struct render_row *row,
                         struct bytes *out_payload, struct error *e);

// render_pipit.c: an Event of this type with boot and sequence 0, for it is the rule's and no
// device's; time is the source event's. NULL columns are left out.
enum err pipit_row_check(sqlite3_stmt *compiled, const char *type, struct error *e);
enum err pipit_row_render(const struct render_row *row, const char *type, struct bytes *out_payload,
                          struct error *e);

// The same columns as the fields of a pipit.v1.Command for a device; row->compiled NULL: it has
// none.
struct pipit_command_head {
    const char *id, *name;
    int64_t expires_ms; // Since 1970; 0: never.
};
enum err pipit_command_render(const struct pipit_command_head *head, const struct render_row *row,
                              struct bytes *out_payload, struct error *e);

// render_cbor.c: a map of the columns [RFC 8949]; numbers are as short as they can be without
// becoming others.
enum err cbor_row_check(sqlite3_stmt *compiled, struct error *e);
enum err cbor_row_render(const struct render_row *row, struct text_writer *scratch,
                         struct bytes *out_payload, struct error *e);

#endif
