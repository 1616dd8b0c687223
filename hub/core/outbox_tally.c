#include <stdio.h>
#include <stdlib.h>

#include "core/outbox_parts.h"

static void count(struct tally *tally, enum tally_move move, uint32_t bytes)
{
    bool comes = move == MOVE_ENQUEUE || move == MOVE_REPLAY;
    bool goes = move == MOVE_DELIVER || move == MOVE_DIE || move == MOVE_DROP;
    tally->enqueued += move == MOVE_ENQUEUE || move == MOVE_SHED;
    tally->delivered += move == MOVE_DELIVER;
    tally->dead += move == MOVE_DIE;
    tally->dead -= move == MOVE_REPLAY || move == MOVE_DROP_DEAD;
    tally->dropped += move == MOVE_DROP || move == MOVE_SHED || move == MOVE_DROP_DEAD;
    tally->waiting += comes;
    tally->waiting -= goes;
    tally->waiting_bytes += comes ? bytes : 0;
    tally->waiting_bytes -= goes ? bytes : 0;
}

void outbox_touch(struct outbox *outbox, struct outbox_target *target, struct outbox_route *route)
{
    target->is_dirty = true;
    if (!route->is_dirty) {
        route->is_dirty = true;
        route->next_dirty = outbox->dirty_routes;
        outbox->dirty_routes = route;
    }
}

void outbox_count(struct outbox *outbox, const struct queue_row *row, enum tally_move move,
                  struct books *books)
{
    count(&row->target->now, move, row->stored_bytes);
    count(&row->route->now, move, row->stored_bytes);
    outbox_touch(outbox, row->target, row->route);
    struct tally all = {
        books->enqueued, books->delivered, books->waiting, 0, books->dead, books->dropped, 0};
    count(&all, move, 0);
    books->enqueued = all.enqueued;
    books->delivered = all.delivered;
    books->waiting = all.waiting;
    books->dead = all.dead;
    books->dropped = all.dropped;
    books->dead_dropped += move == MOVE_DROP_DEAD;
}

struct outbox_target *outbox_find_target(const struct outbox *outbox, const char *name)
{
    struct outbox_target *target = NULL;
    HASH_FIND_STR(outbox->targets, name, target);
    return target;
}

struct outbox_route *outbox_find_route(const struct outbox *outbox, const char *rule,
                                       uint32_t number)
{
    struct outbox_route *route, *next;
    HASH_ITER(hh, outbox->routes, route, next)
    {
        if (route->number == number && strcmp(route->rule, rule) == 0) {
            return route;
        }
    }
    return NULL;
}

static void read_tally(sqlite3_stmt *statement, int column, struct tally *out_tally)
{
    out_tally->enqueued = sql_u64(statement, column);
    out_tally->delivered = sql_u64(statement, column + 1);
    out_tally->waiting = sql_u64(statement, column + 2);
    out_tally->waiting_bytes = sql_u64(statement, column + 3);
    out_tally->dead = sql_u64(statement, column + 4);
    out_tally->dropped = sql_u64(statement, column + 5);
    out_tally->retried = sql_u64(statement, column + 6);
}

static void bind_tally(sqlite3_stmt *statement, int index, const struct tally *tally)
{
    sql_bind_u64(statement, index, tally->enqueued);
    sql_bind_u64(statement, index + 1, tally->delivered);
    sql_bind_u64(statement, index + 2, tally->waiting);
    sql_bind_u64(statement, index + 3, tally->waiting_bytes);
    sql_bind_u64(statement, index + 4, tally->dead);
    sql_bind_u64(statement, index + 5, tally->dropped);
    sql_bind_u64(statement, index + 6, tally->retried);
}

#define TALLY "enqueued, delivered, waiting, waiting_bytes, dead, dropped, retried"

static bool read_target(struct outbox *outbox, sqlite3_stmt *statement)
{
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    if (name == NULL || outbox_find_target(outbox, name) != NULL) {
        return name != NULL;
    }
    struct outbox_target *target = calloc(1, sizeof(*target));
    if (target == NULL || (target->name = strdup(name)) == NULL) {
        free(target);
        return false;
    }
    target->id = sqlite3_column_int64(statement, 0);
    read_tally(statement, 5, &target->now);
    target->committed = target->now;
    for (uint32_t i = 0; i < PRIORITY_COUNT; i++) {
        struct outbox_lane *lane = &target->lanes[i];
        lane->first_id = (uint64_t)target->id * OUTBOX_STRIDE + i * OUTBOX_LANE_STRIDE;
        lane->next = lane->next_committed = sql_u64(statement, 2 + (int)i);
        lane->loaded_id = lane->first_id;
        lane->has_more = lane->has_more_next = target->now.waiting > 0;
    }
    HASH_ADD_KEYPTR(hh, outbox->targets, target->name, (unsigned)strlen(target->name), target);
    return true;
}

static bool read_route(struct outbox *outbox, sqlite3_stmt *statement)
{
    struct outbox_route *route = NULL;
    int64_t id = sqlite3_column_int64(statement, 0);
    const char *rule = (const char *)sqlite3_column_text(statement, 1);
    HASH_FIND(hh, outbox->routes, &id, sizeof(id), route);
    if (rule == NULL || route != NULL) {
        return rule != NULL;
    }
    route = calloc(1, sizeof(*route));
    if (route == NULL || (route->rule = strdup(rule)) == NULL) {
        free(route);
        return false;
    }
    route->id = id;
    route->number = (uint32_t)sqlite3_column_int64(statement, 2);
    read_tally(statement, 3, &route->now);
    route->committed = route->now;
    route->extra = (struct route_extra){
        .unsampled = sql_u64(statement, 10),
        .over_rate = sql_u64(statement, 11),
        .over_key = sql_u64(statement, 12),
        .pace_keys = sql_u64(statement, 13),
        .paced_ms = sqlite3_column_int64(statement, 14),
        .answered = sql_u64(statement, 16),
        .withdrawn = sql_u64(statement, 17),
    };
    route->extra_committed = route->extra;
    route->is_keyed = sqlite3_column_int(statement, 15) != 0;
    HASH_ADD(hh, outbox->routes, id, sizeof(route->id), route);
    outbox_note_workflow(outbox, route);
    return true;
}

static enum err read_all(struct outbox *outbox, const char *sql,
                         bool (*read)(struct outbox *, sqlite3_stmt *), struct error *e)
{
    sqlite3_stmt *statement = NULL;
    const struct sql_text text = {sql, &statement};
    bool has_row = false;
    enum err rc = sql_prepare(outbox->store, &text, 1, e);
    if (rc == ERR_OK) {
        rc = sql_next(outbox->store, statement, "read the counters", &has_row, e);
    }
    while (rc == ERR_OK && has_row) {
        rc = read(outbox, statement)
                 ? sql_next(outbox->store, statement, "read the counters", &has_row, e)
                 : error_set(e, ERR_NO_MEMORY, "out of memory for counters");
    }
    sqlite3_finalize(statement);
    return rc;
}

// Adds those that are not in memory yet.
enum err outbox_load_tallies(struct outbox *outbox, struct error *e)
{
    enum err rc =
        read_all(outbox, "SELECT id, name, next, next_high, next_low, " TALLY " FROM pipit_target",
                 read_target, e);
    return rc != ERR_OK ? rc
                        : read_all(outbox,
                                   "SELECT id, rule, number, " TALLY
                                   ", unsampled, over_rate, over_key, pace_keys, paced, keyed,"
                                   " answered, withdrawn FROM pipit_route",
                                   read_route, e);
}

void outbox_free_tallies(struct outbox *outbox)
{
    struct outbox_target *target, *next_target;
    HASH_ITER(hh, outbox->targets, target, next_target)
    {
        HASH_DEL(outbox->targets, target);
        for (uint32_t i = 0; i < PRIORITY_COUNT; i++) {
            queue_deinit(&target->lanes[i].queue);
        }
        free(target->name);
        free(target);
    }
    HASH_CLEAR(by_workflow, outbox->workflow_routes[0]);
    HASH_CLEAR(by_workflow, outbox->workflow_routes[1]);
    struct outbox_route *route, *next_route;
    HASH_ITER(hh, outbox->routes, route, next_route)
    {
        HASH_DEL(outbox->routes, route);
        free(route->rule);
        free(route);
    }
}

static enum err save_targets(struct outbox *outbox, uint64_t *out_waiting, struct error *e)
{
    enum err rc = ERR_OK;
    struct outbox_target *target, *next;
    *out_waiting = 0;
    HASH_ITER(hh, outbox->targets, target, next)
    {
        *out_waiting += target->now.waiting;
        if (rc == ERR_OK && target->is_dirty) {
            sqlite3_bind_int64(outbox->save_target, 1, target->id);
            for (uint32_t i = 0; i < PRIORITY_COUNT; i++) {
                sql_bind_u64(outbox->save_target, 2 + (int)i, target->lanes[i].next);
            }
            bind_tally(outbox->save_target, 5, &target->now);
            rc = sql_run(outbox->store, outbox->save_target, "write a target's counters", e);
        }
    }
    return rc;
}

enum err outbox_flush(struct outbox *outbox, const struct books *books, struct error *e)
{
    uint64_t waiting;
    enum err rc = save_targets(outbox, &waiting, e);
    struct outbox_route *route = outbox->dirty_routes;
    for (; rc == ERR_OK && route != NULL; route = route->next_dirty) {
        sqlite3_bind_int64(outbox->save_route, 1, route->id);
        bind_tally(outbox->save_route, 2, &route->now);
        sql_bind_u64(outbox->save_route, 9, route->extra.unsampled);
        sql_bind_u64(outbox->save_route, 10, route->extra.over_rate);
        sql_bind_u64(outbox->save_route, 11, route->extra.over_key);
        sql_bind_u64(outbox->save_route, 12, route->extra.pace_keys);
        sqlite3_bind_int64(outbox->save_route, 13, route->extra.paced_ms);
        sql_bind_u64(outbox->save_route, 14, route->extra.answered);
        sql_bind_u64(outbox->save_route, 15, route->extra.withdrawn);
        rc = sql_run(outbox->store, outbox->save_route, "write a route's counters", e);
    }
    if (rc == ERR_OK && waiting != books->waiting) {
        return error_set(e, ERR_INTERNAL,
                         "the books say that %llu deliveries wait, the targets say %llu",
                         (unsigned long long)books->waiting, (unsigned long long)waiting);
    }
    return rc;
}

static void tell(core_counter_fn *each, void *context, const char *prefix, const char *what,
                 uint64_t value)
{
    char name[400];
    snprintf(name, sizeof(name), "%s/%s", prefix, what);
    each(context, name, value);
}

static void tell_tally(core_counter_fn *each, void *context, const char *prefix,
                       const struct tally *tally)
{
    tell(each, context, prefix, "enqueued", tally->enqueued);
    tell(each, context, prefix, "delivered", tally->delivered);
    tell(each, context, prefix, "waiting", tally->waiting);
    tell(each, context, prefix, "waiting_bytes", tally->waiting_bytes);
    tell(each, context, prefix, "dead", tally->dead);
    tell(each, context, prefix, "dropped", tally->dropped);
    tell(each, context, prefix, "retried", tally->retried);
}

static int64_t oldest_created_ms(const struct outbox_lane *lane)
{
    const struct queue_row *oldest = NULL, *row, *next;
    HASH_ITER(hh, lane->queue.by_id, row, next)
    {
        oldest = oldest == NULL || row->delivery.id < oldest->delivery.id ? row : oldest;
    }
    return oldest == NULL ? 0 : oldest->delivery.created_ms;
}

static void tell_lanes(const struct outbox_target *target, const char *prefix,
                       core_counter_fn *each, void *context)
{
    uint64_t in_flight = 0;
    int64_t oldest_ms = 0;
    for (uint32_t i = 0; i < PRIORITY_COUNT; i++) {
        int64_t lane_ms = oldest_created_ms(&target->lanes[i]);
        in_flight += target->lanes[i].queue.in_flight;
        oldest_ms = oldest_ms == 0 || (lane_ms != 0 && lane_ms < oldest_ms) ? lane_ms : oldest_ms;
    }
    tell(each, context, prefix, "in_flight", in_flight);
    tell(each, context, prefix, "oldest_created_ms", (uint64_t)oldest_ms);
}

void outbox_counters(const struct outbox *outbox, core_counter_fn *each, void *context)
{
    char prefix[360];
    const struct outbox_target *target, *next_target;
    HASH_ITER(hh, outbox->targets, target, next_target)
    {
        snprintf(prefix, sizeof(prefix), "target/%s", target->name);
        tell_tally(each, context, prefix, &target->committed);
        tell_lanes(target, prefix, each, context);
    }
    const struct outbox_route *route, *next_route;
    HASH_ITER(hh, outbox->routes, route, next_route)
    {
        snprintf(prefix, sizeof(prefix), "route/%s/%u", route->rule, route->number);
        tell_tally(each, context, prefix, &route->committed);
        tell(each, context, prefix, "dropped_by_sample", route->extra_committed.unsampled);
        tell(each, context, prefix, "dropped_by_rate", route->extra_committed.over_rate);
        tell(each, context, prefix, "dropped_by_key_limit", route->extra_committed.over_key);
        tell(each, context, prefix, "dropped_by_answer", route->extra_committed.answered);
        tell(each, context, prefix, "dropped_by_withdrawal", route->extra_committed.withdrawn);
    }
}
