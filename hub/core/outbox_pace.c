// outbox_pace.c - a route's sample and rate: which of its new deliveries go out, and when.
//
// A sample counts the rows of each key. A rate is a bucket of `count` that fills evenly: a row
// takes one out of it or is dropped, or waits until there is one (generic cell rate algorithm:
// `due` is when the bucket would be full again; it may be a period ahead). Both are rows of the
// store, changed in the batch's transaction. A clock that steps back takes what is due back with
// it.
#include <stdlib.h>

#include "core/outbox_parts.h"

#define NS_PER_MS     1000000
#define KEYS_MAX      100000 // Of a route; those that were used longest ago make room,
#define KEYS_GO       10000  // so many at a time.
#define CLOCK_SLIP_MS 1000   // Steps back that are not worth a look at what waits.

enum { GET_STATE, PUT_STATE, SHIFT_STATES, SHIFT_ROWS, DROP_STATES, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [GET_STATE] = "SELECT seen, due FROM pipit_route_pace WHERE route = ?1 AND key = ?2",
    [PUT_STATE] = "INSERT OR REPLACE INTO pipit_route_pace(route, key, seen, due, used)"
                  " VALUES (?1, ?2, ?3, ?4, ?5)",
    [SHIFT_STATES] = "UPDATE pipit_route_pace SET due = max(due - ?2, 0),"
                     " used = max(used - ?2 / 1000000, 0)"
                     " WHERE route = ?1",
    [SHIFT_ROWS] = "UPDATE pipit_outbox SET next_at = max(next_at - ?2, 1)"
                   " WHERE route = ?1 AND attempts = 0 AND next_at > 0",
    [DROP_STATES] = "DELETE FROM pipit_route_pace WHERE route = ?1 AND key IN (SELECT key"
                    " FROM pipit_route_pace WHERE route = ?1 ORDER BY used LIMIT ?2)",
};

struct outbox_pace {
    struct store *store;
    sqlite3_stmt *statements[STATEMENTS];
};

struct state {
    uint64_t seen;
    int64_t due_ns;
    bool is_new;
};

enum err outbox_pace_create(struct outbox_pace **out_pace, struct store *store, struct error *e)
{
    struct outbox_pace *pace = calloc(1, sizeof(*pace));
    if (pace == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the rates of routes");
    }
    pace->store = store;
    enum err rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && i < STATEMENTS; i++) {
        const struct sql_text text = {texts[i], &pace->statements[i]};
        rc = sql_prepare(store, &text, 1, e);
    }
    if (rc != ERR_OK) {
        outbox_pace_destroy(pace);
        return rc;
    }
    *out_pace = pace;
    return ERR_OK;
}

void outbox_pace_destroy(struct outbox_pace *pace)
{
    for (int i = 0; pace != NULL && i < STATEMENTS; i++) {
        sqlite3_finalize(pace->statements[i]);
    }
    free(pace);
}

// key NULL: the route as a whole.
static void bind_key(sqlite3_stmt *statement, const struct outbox_route *route,
                     const struct bytes *key)
{
    sqlite3_bind_int64(statement, 1, route->id);
    if (key == NULL) {
        sql_bind_text(statement, 2, bytes_from_text(""));
    } else {
        sql_bind_blob(statement, 2, *key);
    }
}

static enum err get_state(struct outbox_pace *pace, const struct outbox_route *route,
                          const struct bytes *key, struct state *out_state, struct error *e)
{
    sqlite3_stmt *get = pace->statements[GET_STATE];
    bool has_row;
    bind_key(get, route, key);
    enum err rc = sql_next(pace->store, get, "read a route's rate", &has_row, e);
    *out_state = (struct state){.is_new = true};
    if (rc == ERR_OK && has_row) {
        *out_state = (struct state){sql_u64(get, 0), sqlite3_column_int64(get, 1), false};
    }
    sqlite3_reset(get);
    return rc;
}

static enum err drop_states(struct outbox_pace *pace, struct outbox_route *route, struct error *e)
{
    sqlite3_stmt *drop = pace->statements[DROP_STATES];
    sqlite3_bind_int64(drop, 1, route->id);
    sqlite3_bind_int64(drop, 2, KEYS_GO);
    enum err rc = sql_run(pace->store, drop, "forget keys of a route's rate", e);
    if (rc == ERR_OK) {
        route->extra.pace_keys -= (uint64_t)sqlite3_changes(store_db(pace->store));
    }
    return rc;
}

static enum err put_state(struct outbox_pace *pace, struct outbox_route *route,
                          const struct bytes *key, const struct state *state, int64_t now_ms,
                          struct error *e)
{
    sqlite3_stmt *put = pace->statements[PUT_STATE];
    bind_key(put, route, key);
    sql_bind_u64(put, 3, state->seen);
    sqlite3_bind_int64(put, 4, state->due_ns);
    sqlite3_bind_int64(put, 5, now_ms);
    enum err rc = sql_run(pace->store, put, "write a route's rate", e);
    route->extra.pace_keys += rc == ERR_OK && state->is_new;
    return rc == ERR_OK && route->extra.pace_keys > KEYS_MAX ? drop_states(pace, route, e) : rc;
}

static enum err shift(struct outbox_pace *pace, const struct outbox_route *route, int which,
                      int64_t by, struct error *e)
{
    sqlite3_stmt *statement = pace->statements[which];
    sqlite3_bind_int64(statement, 1, route->id);
    sqlite3_bind_int64(statement, 2, by);
    return sql_run(pace->store, statement, "set a route's clock back", e);
}

// outbox_take has done the same with what is in memory.
static enum err watch_clock(struct outbox_pace *pace, struct outbox_route *route, int64_t now_ms,
                            struct error *e)
{
    int64_t back_ms = route->extra.paced_ms - now_ms;
    enum err rc = ERR_OK;
    if (route->extra.paced_ms != 0 && back_ms > CLOCK_SLIP_MS) {
        rc = shift(pace, route, SHIFT_STATES, back_ms * NS_PER_MS, e);
        rc = rc == ERR_OK ? shift(pace, route, SHIFT_ROWS, back_ms, e) : rc;
    }
    if (rc == ERR_OK && (back_ms < 0 || back_ms > CLOCK_SLIP_MS)) {
        route->extra.paced_ms = now_ms;
    }
    return rc;
}

// Takes one out of the bucket. *out_at_ms: when it may go, 0: at once. False: it is too much.
static bool take_one(const struct rate_spec *rate, struct state *state, int64_t now_ms,
                     int64_t *out_at_ms)
{
    int64_t now_ns = now_ms * NS_PER_MS, count = rate->count;
    int64_t each_ns = (rate->per_ms * NS_PER_MS + count - 1) / count;
    int64_t start_ns = state->due_ns > now_ns ? state->due_ns : now_ns;
    int64_t allowed_ns = start_ns - each_ns * (count - 1);
    *out_at_ms = 0;
    if (allowed_ns > now_ns) {
        if (!rate->is_waiting) {
            return false;
        }
        *out_at_ms = (allowed_ns + NS_PER_MS - 1) / NS_PER_MS;
    }
    state->due_ns = start_ns + each_ns;
    return true;
}

static enum err sample(struct outbox_pace *pace, struct queue_row *row, bool *out_is_shed,
                       struct state *state, struct error *e)
{
    const struct route_spec *spec = row->route->spec;
    enum err rc = get_state(pace, row->route, &row->delivery.key, state, e);
    *out_is_shed = rc == ERR_OK && spec->sample > 1 && state->seen++ % spec->sample != 0;
    row->route->extra.unsampled += *out_is_shed;
    return rc;
}

static enum err apply_rate(struct outbox_pace *pace, struct queue_row *row, int64_t now_ms,
                           bool *out_is_shed, struct state *key_state, struct error *e)
{
    struct outbox_route *route = row->route;
    const struct rate_spec *rate = &route->spec->rate;
    struct state of_route, *state = rate->is_per_key ? key_state : &of_route;
    enum err rc = rate->is_per_key ? ERR_OK : get_state(pace, route, NULL, state, e);
    if (rc != ERR_OK) {
        return rc;
    }
    *out_is_shed = !take_one(rate, state, now_ms, &row->next_at_ms);
    route->extra.over_rate += *out_is_shed;
    bool is_to_put = !*out_is_shed && !rate->is_per_key;
    return is_to_put ? put_state(pace, route, NULL, state, now_ms, e) : ERR_OK;
}

enum err outbox_pace_apply(struct outbox_pace *pace, struct queue_row *row, int64_t now_ms,
                           bool *out_is_shed, struct error *e)
{
    const struct route_spec *spec = row->route->spec;
    bool has_rate = spec->rate.count > 0, has_key = spec->sample > 1 || spec->rate.is_per_key;
    struct state state = {0};
    *out_is_shed = false;
    enum err rc = watch_clock(pace, row->route, now_ms, e);
    if (rc == ERR_OK && has_key) {
        rc = sample(pace, row, out_is_shed, &state, e);
    }
    if (rc == ERR_OK && has_rate && !*out_is_shed) {
        rc = apply_rate(pace, row, now_ms, out_is_shed, &state, e);
    }
    if (rc == ERR_OK && has_key) {
        rc = put_state(pace, row->route, &row->delivery.key, &state, now_ms, e);
    }
    return rc;
}
