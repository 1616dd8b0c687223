#include "core/render_protobuf.h"

#include <stdlib.h>

#include "core/proto_dynamic.h"

struct protobuf_route {
    struct proto_set *set;
    const struct proto_type *type;
    int count;
    const struct proto_path *paths[]; // By column.
};

static enum err add_column(struct protobuf_route *route, int column, sqlite3_stmt *compiled,
                           struct error *e)
{
    const char *name = sqlite3_column_name(compiled, column);
    for (int i = 0; i < column; i++) {
        if (strcmp(sqlite3_column_name(compiled, i), name) == 0) {
            return error_set(e, ERR_CONFIG,
                             "two columns of the result are called \"%s\"; name one with AS", name);
        }
    }
    enum err rc = proto_path_create(&route->paths[column], route->set, route->type, name, e);
    return rc == ERR_CONFIG ? error_wrap(e, "column \"%s\"", name) : rc;
}

enum err protobuf_route_create(struct protobuf_route **out_route, const struct route_spec *spec,
                               sqlite3_stmt *compiled, struct error *e)
{
    int count = sqlite3_column_count(compiled);
    struct protobuf_route *route =
        calloc(1, sizeof(*route) + (size_t)count * sizeof(route->paths[0]));
    if (route == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a protobuf message");
    }
    route->count = count;
    enum err rc = proto_set_create(&route->set, spec->descriptors, e);
    rc = rc == ERR_CONFIG ? error_wrap(e, "descriptors") : rc;
    if (rc == ERR_OK) {
        rc = proto_set_message(route->set, spec->message, &route->type, e);
        rc = rc == ERR_CONFIG ? error_wrap(e, "message") : rc;
    }
    for (int i = 0; rc == ERR_OK && i < count; i++) {
        rc = add_column(route, i, compiled, e);
    }
    if (rc == ERR_OK) {
        *out_route = route;
    } else {
        protobuf_route_destroy(route);
    }
    return rc;
}

void protobuf_route_destroy(struct protobuf_route *route)
{
    if (route != NULL) {
        proto_set_destroy(route->set);
        free(route);
    }
}

enum err protobuf_route_render(const struct protobuf_route *route, const struct render_row *row,
                               struct bytes *out_payload, struct error *e)
{
    struct ProtobufCMessage *message = proto_make(route->type, row->memory);
    if (message == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a protobuf message");
    }
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < route->count; i++) {
        struct event_value value;
        value_of_sqlite(sqlite3_column_value(row->compiled, i), &value);
        rc = proto_put(message, route->paths[i], &value, row->memory, e);
        rc = rc == ERR_INVALID
                 ? error_wrap(e, "column \"%s\"", sqlite3_column_name(row->compiled, i))
                 : rc;
    }
    rc = rc == ERR_OK ? proto_pack(message, row->memory, out_payload, e) : rc;
    return rc == ERR_INVALID ? error_wrap(e, "%s", proto_type_name(route->type)) : rc;
}
