// outbox_replay.c - deliveries that a replay has made come in, and dead letters are edited.
#include <inttypes.h>
#include <string.h>

#include "core/outbox_parts.h"

// The route that the running configuration has for it; else what is wrong.
static enum err find_route(const struct outbox *outbox, const struct replayed *replayed,
                           struct outbox_route **out_route, struct error *e)
{
    const char *rule = replayed->delivery.rule;
    struct outbox_route *route = outbox_find_route(outbox, rule, replayed->route);
    if (route == NULL || route->spec == NULL) {
        return error_set(e, ERR_INVALID,
                         "the running configuration has no route %u of rule %s: pipit apply the "
                         "one that the replay was made with",
                         replayed->route, rule);
    }
    const char *target = route->spec->target == ROUTE_TO_RULES
                             ? "other rules"
                             : outbox->spec->targets[route->spec->target].name;
    if (strcmp(target, replayed->target) != 0) {
        return error_set(e, ERR_INVALID,
                         "in the running configuration route %u of rule %s goes to %s, not to %s: "
                         "pipit apply the one that the replay was made with",
                         replayed->route, rule, target, replayed->target);
    }
    *out_route = route;
    return ERR_OK;
}

enum err outbox_add_replayed(struct outbox *outbox, const struct replayed *replayed,
                             struct error *e)
{
    struct outbox_route *route = NULL;
    enum err rc = find_route(outbox, replayed, &route, e);
    if (rc != ERR_OK) {
        return rc;
    }
    struct delivery delivery = replayed->delivery;
    delivery.qos = route->spec->qos;
    delivery.is_retained = route->spec->is_retained;
    delivery.attempts = 0;
    delivery.created_ms = outbox->now_ms;
    struct queue_row *row =
        queue_row_create(&delivery, outbox->target_at[route->spec->target], route);
    if (row == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a replayed delivery");
    }
    row->is_replayed = true;
    return outbox_add_row(outbox, row, e);
}

enum err outbox_edit_dead(struct outbox *outbox, int64_t id, const struct edit *edit,
                          struct error *e)
{
    sqlite3_stmt *change = outbox->edit_dead;
    sqlite3_bind_int64(change, 1, id);
    sqlite3_bind_int64(change, 2, outbox->now_ms);
    sqlite3_bind_null(change, 3);
    sqlite3_bind_null(change, 4);
    if (edit->topic.ptr != NULL) {
        sql_bind_text(change, 3, edit->topic);
    }
    if (edit->payload.ptr != NULL) {
        sql_bind_blob(change, 4, edit->payload);
    }
    enum err rc = sql_run(outbox->store, change, "edit a dead letter", e);
    if (rc == ERR_OK && sqlite3_changes(store_db(outbox->store)) == 0) {
        return error_set(e, ERR_NOT_FOUND, "there is no dead letter %" PRId64, id);
    }
    return rc;
}

enum err outbox_dead_is_url(struct outbox *outbox, int64_t id, bool *out_is_url, struct error *e)
{
    sqlite3_stmt *find = outbox->find_dead;
    bool has_row;
    sqlite3_bind_int64(find, 1, id);
    sqlite3_bind_int64(find, 2, id);
    enum err rc = sql_next(outbox->store, find, "look for a dead letter", &has_row, e);
    *out_is_url = false;
    if (rc == ERR_OK && has_row) {
        const struct outbox_target *target =
            outbox_find_target(outbox, (const char *)sqlite3_column_text(find, 1));
        *out_is_url = target != NULL && target->spec != NULL && target->spec->is_url;
    }
    sqlite3_reset(find);
    return rc;
}
