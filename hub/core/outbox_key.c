// outbox_key.c - how much of each key waits on a route, and its bound, so that a noisy device fills
// its own share and no more.
#include <stdlib.h>

#include "core/outbox_parts.h"

enum { GET, ADD, TAKE, CLEAR, FILL, EMPTY, MARK, OLDEST, STATEMENTS };

#define ROW_BYTES                                                                                  \
    "length(CAST(idempotency_key AS BLOB)) + length(key) + length(CAST(topic AS BLOB)) +"          \
    " length(payload) + length(CAST(content_type AS BLOB)) + length(properties)"

static const char *const texts[STATEMENTS] = {
    [GET] = "SELECT bytes FROM pipit_route_waiting WHERE route = ?1 AND key = ?2",
    [ADD] = "INSERT INTO pipit_route_waiting(route, key, bytes) VALUES (?1, ?2, ?3)"
            " ON CONFLICT DO UPDATE SET bytes = bytes + ?3",
    [TAKE] = "UPDATE pipit_route_waiting SET bytes = bytes - ?3 WHERE route = ?1"
             " AND key = (SELECT key FROM pipit_outbox WHERE id = ?2)",
    [CLEAR] = "DELETE FROM pipit_route_waiting WHERE route = ?1 AND bytes <= 0"
              " AND key = (SELECT key FROM pipit_outbox WHERE id = ?2)",
    [FILL] = "INSERT INTO pipit_route_waiting(route, key, bytes) SELECT route, key,"
             " sum(" ROW_BYTES ") FROM pipit_outbox WHERE route = ?1 GROUP BY key",
    [EMPTY] = "DELETE FROM pipit_route_waiting WHERE route = ?1",
    [MARK] = "UPDATE pipit_route SET keyed = ?3 WHERE rule = ?1 AND number = ?2",
    [OLDEST] = "SELECT id, " ROW_BYTES " FROM pipit_outbox WHERE id >= ?1 AND id < ?2"
               " AND route = ?3 AND key = ?4 ORDER BY id",
};

struct outbox_keys {
    struct store *store;
    sqlite3_stmt *statements[STATEMENTS];
};

enum err outbox_keys_create(struct outbox_keys **out_keys, struct store *store, struct error *e)
{
    struct outbox_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the keys of routes");
    }
    keys->store = store;
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < STATEMENTS; i++) {
        const struct sql_text text = {texts[i], &keys->statements[i]};
        rc = sql_prepare(store, &text, 1, e);
    }
    if (rc != ERR_OK) {
        outbox_keys_destroy(keys);
        return rc;
    }
    *out_keys = keys;
    return ERR_OK;
}

void outbox_keys_destroy(struct outbox_keys *keys)
{
    for (int i = 0; keys != NULL && i < STATEMENTS; i++) {
        sqlite3_finalize(keys->statements[i]);
    }
    free(keys);
}

static enum err run(struct outbox_keys *keys, int which, struct error *e)
{
    return sql_run(keys->store, keys->statements[which], "count what waits of a key", e);
}

static enum err mark(struct outbox_keys *keys, const struct route_place *place, bool is_keyed,
                     struct error *e)
{
    sqlite3_stmt *statement = keys->statements[MARK];
    sql_bind_text(statement, 1, bytes_from_text(place->rule));
    sqlite3_bind_int64(statement, 2, place->number);
    sqlite3_bind_int(statement, 3, is_keyed);
    return run(keys, MARK, e);
}

enum err outbox_keys_prepare(struct outbox_keys *keys, const struct outbox_route *route,
                             const struct route_place *place, bool is_keyed, struct error *e)
{
    bool was_keyed = route != NULL && route->is_keyed;
    if (was_keyed == is_keyed) {
        return ERR_OK;
    }
    enum err rc = mark(keys, place, is_keyed, e);
    for (int which = FILL; rc == ERR_OK && route != NULL && which <= EMPTY; which++) {
        if ((which == FILL) == is_keyed) {
            sqlite3_bind_int64(keys->statements[which], 1, route->id);
            rc = run(keys, which, e);
        }
    }
    return rc;
}

enum err outbox_keys_add(struct outbox_keys *keys, const struct queue_row *row, struct error *e)
{
    if (!row->route->is_keyed) {
        return ERR_OK;
    }
    sqlite3_stmt *add = keys->statements[ADD];
    sqlite3_bind_int64(add, 1, row->route->id);
    sql_bind_blob(add, 2, row->delivery.key);
    sqlite3_bind_int64(add, 3, row->stored_bytes);
    return run(keys, ADD, e);
}

enum err outbox_keys_take(struct outbox_keys *keys, const struct queue_row *row, struct error *e)
{
    if (!row->route->is_keyed) {
        return ERR_OK;
    }
    for (int which = TAKE; which <= CLEAR; which++) {
        sqlite3_bind_int64(keys->statements[which], 1, row->route->id);
        sql_bind_u64(keys->statements[which], 2, row->delivery.id);
    }
    sqlite3_bind_int64(keys->statements[TAKE], 3, row->stored_bytes);
    enum err rc = run(keys, TAKE, e);
    return rc == ERR_OK ? run(keys, CLEAR, e) : rc;
}

enum err outbox_keys_waiting(struct outbox_keys *keys, const struct queue_row *row,
                             uint64_t *out_bytes, struct error *e)
{
    sqlite3_stmt *get = keys->statements[GET];
    bool has_row;
    sqlite3_bind_int64(get, 1, row->route->id);
    sql_bind_blob(get, 2, row->delivery.key);
    enum err rc = sql_next(keys->store, get, "read what waits of a key", &has_row, e);
    *out_bytes = rc == ERR_OK && has_row ? sql_u64(get, 0) : 0;
    sqlite3_reset(get);
    return rc;
}

// Beyond what memory has of the key.
static enum err find_stored(struct outbox_keys *keys, const struct queue_row *row,
                            struct queue_row *out_old, struct error *e)
{
    sqlite3_stmt *oldest = keys->statements[OLDEST];
    struct queue *queue = &row->lane->queue;
    uint64_t parked_from = queue_parked_from(queue, row->delivery.key);
    bool has_row;
    sql_bind_u64(oldest, 1, parked_from != 0 ? parked_from : row->lane->loaded_id + 1);
    sql_bind_u64(oldest, 2, row->lane->first_id + OUTBOX_LANE_STRIDE);
    sqlite3_bind_int64(oldest, 3, row->route->id);
    sql_bind_blob(oldest, 4, row->delivery.key);
    enum err rc = sql_next(keys->store, oldest, "look for the oldest of a key", &has_row, e);
    if (rc == ERR_OK && has_row) {
        out_old->delivery.id = sql_u64(oldest, 0);
        out_old->stored_bytes = (uint32_t)sql_u64(oldest, 1);
    }
    sqlite3_reset(oldest);
    return rc;
}

enum err outbox_keys_oldest(struct outbox_keys *keys, const struct queue_row *row,
                            struct queue_row *out_old, struct error *e)
{
    out_old->delivery.id = 0;
    const struct queue_row *loaded = queue_oldest(&row->lane->queue, row->delivery.key, row->route);
    if (loaded != NULL) {
        out_old->delivery.id = loaded->delivery.id;
        out_old->stored_bytes = loaded->stored_bytes;
        return ERR_OK;
    }
    return find_stored(keys, row, out_old, e);
}
