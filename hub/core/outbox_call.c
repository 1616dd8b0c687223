// outbox_call.c - what workflows send: put by the name of the workflow, whose routes stay in the
// store for as long as instances of it may live, also when it is not configured any more.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/outbox_parts.h"

#define ROUTE_PREFIX     "workflow/"
#define ROUTE_NAME_BYTES 300
#define ROUTES           OUTBOX_ROUTE_CALL // Of each workflow.

static void route_name(char out_name[ROUTE_NAME_BYTES], const char *workflow)
{
    snprintf(out_name, ROUTE_NAME_BYTES, ROUTE_PREFIX "%s", workflow);
}

enum err outbox_prepare_workflow(struct outbox *outbox, const char *workflow, struct error *e)
{
    char name[ROUTE_NAME_BYTES];
    route_name(name, workflow);
    enum err rc = ERR_OK;
    for (uint32_t number = 1; rc == ERR_OK && number <= ROUTES; number++) {
        if (outbox_find_route(outbox, name, number) == NULL) {
            sql_bind_text(outbox->add_route, 1, bytes_from_text(name));
            sqlite3_bind_int64(outbox->add_route, 2, number);
            rc = sql_run(outbox->store, outbox->add_route, "add a workflow's route", e);
        }
    }
    return rc;
}

void outbox_note_workflow(struct outbox *outbox, struct outbox_route *route)
{
    size_t prefix = sizeof(ROUTE_PREFIX) - 1;
    if (strncmp(route->rule, ROUTE_PREFIX, prefix) != 0 || route->number > ROUTES) {
        return;
    }
    const char *workflow = route->rule + prefix;
    struct outbox_route **routes = &outbox->workflow_routes[route->number - 1];
    route->is_answered = route->number == OUTBOX_ROUTE_CALL;
    HASH_ADD_KEYPTR(by_workflow, *routes, workflow, (unsigned)strlen(workflow), route);
}

static struct outbox_route *find_route(struct outbox *outbox, const struct outbox_call *call)
{
    uint32_t number = call->is_answered ? OUTBOX_ROUTE_CALL : OUTBOX_ROUTE_EMIT;
    struct outbox_route *route = NULL;
    HASH_FIND(by_workflow, outbox->workflow_routes[number - 1], call->workflow,
              (unsigned)strlen(call->workflow), route);
    return route;
}

enum err outbox_put_call(struct outbox *outbox, const struct outbox_call *call, struct books *books,
                         uint64_t *out_id, struct error *e)
{
    struct outbox_target *target = outbox_find_target(outbox, call->target);
    struct outbox_route *route = find_route(outbox, call);
    if (target == NULL || route == NULL) {
        return error_set(e, ERR_INVALID, "the store knows no %s %s", // A renamed one.
                         target == NULL ? "target" : "workflow",
                         target == NULL ? call->target : call->workflow);
    }
    struct delivery delivery = call->delivery;
    delivery.attempts = 0;
    delivery.created_ms = outbox->now_ms;
    struct queue_row *row = queue_row_create(&delivery, target, route);
    if (row == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a delivery of %zu bytes",
                         delivery.payload.len);
    }
    if (row->stored_bytes > OUTBOX_ROW_BYTES_MAX) {
        free(row);
        return error_set(e, ERR_INVALID, "what it sends is larger than %d bytes",
                         OUTBOX_ROW_BYTES_MAX);
    }
    uint64_t id;
    enum err rc = outbox_enqueue(outbox, row, books, &id, e);
    if (rc != ERR_OK) {
        free(row);
        return rc;
    }
    *out_id = id;
    return ERR_OK;
}

// An answer of this batch puts the row back: it goes instead.
static struct outbox_effect *find_put_back(struct outbox *outbox, const struct queue_row *row)
{
    for (uint32_t i = 0; i < outbox->effect_count; i++) {
        if (outbox->effects[i].row == row) {
            return outbox->effects[i].kind == EFFECT_PUT_BACK ? &outbox->effects[i] : NULL;
        }
    }
    return NULL;
}

static enum err drop(struct outbox *outbox, const struct queue_row *row, struct books *books,
                     struct error *e)
{
    row->route->extra.withdrawn++;
    books->answered++;
    return outbox_drop_row(outbox, row, books, e);
}

static enum err drop_put_back(struct outbox *outbox, struct outbox_effect *effect,
                              struct books *books, struct error *e)
{
    struct queue_row *row = effect->row;
    effect->kind = EFFECT_REMOVE;
    row->route->extra.withdrawn++;
    books->answered++;
    outbox_count(outbox, row, MOVE_DROP, books);
    enum err rc = outbox_keys_take(outbox->keys, row, e);
    return rc == ERR_OK ? outbox_remove_row(outbox, row->delivery.id, e) : rc;
}

// The row is in the store only, or waits to be in memory after this batch.
static enum err drop_stored(struct outbox *outbox, struct outbox_target *target, uint64_t id,
                            struct books *books, struct error *e)
{
    bool has_row;
    struct queue_row row = {.delivery.id = id, .target = target};
    sql_bind_u64(outbox->size, 1, id);
    enum err rc = sql_next(outbox->store, outbox->size, "look for a delivery", &has_row, e);
    if (rc == ERR_OK && has_row) {
        int64_t route_id = sqlite3_column_int64(outbox->size, 0);
        row.stored_bytes = (uint32_t)sql_u64(outbox->size, 1);
        HASH_FIND(hh, outbox->routes, &route_id, sizeof(route_id), row.route);
    }
    sqlite3_reset(outbox->size);
    if (rc != ERR_OK || !has_row) {
        return rc;
    }
    return row.route != NULL
               ? drop(outbox, &row, books, e)
               : error_set(e, ERR_CORRUPT, "delivery %" PRIu64 " is of a route that is not there",
                           id);
}

enum err outbox_withdraw(struct outbox *outbox, uint64_t id, struct books *books, struct error *e)
{
    struct outbox_target *target = outbox_target_of(outbox, id);
    if (target == NULL) {
        return ERR_OK;
    }
    struct queue_row *row = queue_find(&outbox_lane_of(target, id)->queue, id);
    if (row == NULL) {
        return drop_stored(outbox, target, id, books, e);
    }
    if (row->is_settling) {
        struct outbox_effect *effect = find_put_back(outbox, row);
        return effect == NULL ? ERR_OK : drop_put_back(outbox, effect, books, e);
    }
    return row->state == QUEUE_IN_FLIGHT ? ERR_OK : drop(outbox, row, books, e);
}
