#include "core/outbox.h"

#include <assert.h>
#include <stdlib.h>

#include "core/outbox_parts.h"

#define STATEMENTS 15

#define COLUMNS                                                                                    \
    "id, route, idempotency_key, key, topic, payload, content_type, qos, retain, attempts, "       \
    "next_at, created_at, properties, timeout"

#define TALLY_IS "(enqueued, delivered, waiting, waiting_bytes, dead, dropped, retried) = "

static void list_statements(struct outbox *outbox, struct sql_text out_texts[STATEMENTS])
{
    const struct sql_text texts[STATEMENTS] = {
        {"INSERT INTO pipit_outbox(" COLUMNS ")"
         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
         &outbox->insert},
        {"DELETE FROM pipit_outbox WHERE id = ?1", &outbox->remove},
        {"UPDATE pipit_outbox SET attempts = ?2, next_at = ?3 WHERE id = ?1", &outbox->update},
        {"SELECT " COLUMNS " FROM pipit_outbox WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
         &outbox->load},
        {"SELECT " COLUMNS " FROM pipit_outbox WHERE id >= ?1 AND id <= ?2 AND key = ?4"
         " ORDER BY id LIMIT ?3",
         &outbox->load_key},
        {"SELECT id, length(CAST(idempotency_key AS BLOB)) + length(key) +"
         " length(CAST(topic AS BLOB)) + length(payload) + length(CAST(content_type AS BLOB))"
         " + length(properties) FROM pipit_outbox WHERE id >= ?1 AND id < ?2 AND route = ?3 ORDER "
         "BY id",
         &outbox->oldest},
        {"SELECT route, length(CAST(idempotency_key AS BLOB)) + length(key) +"
         " length(CAST(topic AS BLOB)) + length(payload) + length(CAST(content_type AS BLOB))"
         " + length(properties) FROM pipit_outbox WHERE id = ?1",
         &outbox->size},
        {"INSERT INTO pipit_dead(target, rule, route, idempotency_key, key, topic, payload,"
         " content_type, qos, retain, attempts, created_at, properties, reason, died_at)"
         " SELECT ?2, ?3, ?4, idempotency_key, key, topic, payload, content_type, qos, retain, ?5,"
         " created_at, properties, ?6, ?7 FROM pipit_outbox WHERE id = ?1",
         &outbox->die},
        {"SELECT id, target, rule, route, idempotency_key, key, topic, payload, content_type, qos,"
         " retain, created_at, properties FROM pipit_dead WHERE id >= ?1 AND id <= ?2 ORDER BY id "
         "LIMIT 1",
         &outbox->find_dead},
        {"DELETE FROM pipit_dead WHERE id = ?1", &outbox->drop_dead},
        {"UPDATE pipit_dead SET edited = ?2, topic = coalesce(?3, topic),"
         " payload = coalesce(?4, payload) WHERE id = ?1",
         &outbox->edit_dead},
        {"INSERT INTO pipit_target(name) VALUES (?1)", &outbox->add_target},
        {"INSERT INTO pipit_route(rule, number) VALUES (?1, ?2)", &outbox->add_route},
        {"UPDATE pipit_target SET (next, next_high, next_low) = (?2, ?3, ?4), " TALLY_IS
         "(?5, ?6, ?7, ?8, ?9, ?10, ?11) WHERE id = ?1",
         &outbox->save_target},
        {"UPDATE pipit_route SET (unsampled, over_rate, over_key, pace_keys, paced) ="
         " (?9, ?10, ?11, ?12, ?13), (answered, withdrawn) = (?14, ?15), " TALLY_IS
         "(?2, ?3, ?4, ?5, ?6, ?7, ?8) WHERE id = ?1",
         &outbox->save_route},
    };
    memcpy(out_texts, texts, sizeof(texts));
}

enum err outbox_open(struct outbox **out_outbox, struct store *store, const struct core_spec *spec,
                     struct error *e)
{
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the outbox");
    }
    outbox->store = store;
    struct sql_text texts[STATEMENTS];
    list_statements(outbox, texts);
    enum err rc = sql_prepare(store, texts, STATEMENTS, e);
    if (rc == ERR_OK) {
        rc = outbox_load_tallies(outbox, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_pace_create(&outbox->pace, store, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_keys_create(&outbox->keys, store, e);
    }
    if (rc == ERR_OK) {
        rc = store_begin(store, true, e);
    }
    if (rc == ERR_OK) {
        rc = outbox_prepare_spec(outbox, spec, e);
        rc = rc == ERR_OK ? store_commit(store, e) : rc;
        rc = rc == ERR_OK ? outbox_use_spec(outbox, spec, e) : rc;
        if (rc != ERR_OK) {
            store_rollback(store);
        }
    }
    if (rc != ERR_OK) {
        outbox_close(outbox);
        return rc;
    }
    *out_outbox = outbox;
    return ERR_OK;
}

void outbox_close(struct outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    outbox_rollback(outbox);
    outbox_free_tallies(outbox);
    struct sql_text texts[STATEMENTS];
    list_statements(outbox, texts);
    sql_finalize(texts, STATEMENTS);
    outbox_pace_destroy(outbox->pace);
    outbox_keys_destroy(outbox->keys);
    free(outbox->target_at);
    free(outbox->route_at);
    free(outbox->rule_routes);
    free(outbox->added);
    free(outbox->effects);
    free(outbox);
}

static enum err prepare_route(struct outbox *outbox, const struct rule_spec *rule, uint32_t number,
                              struct error *e)
{
    const struct outbox_route *route = outbox_find_route(outbox, rule->name, number);
    enum err rc = ERR_OK;
    if (route == NULL) {
        sql_bind_text(outbox->add_route, 1, bytes_from_text(rule->name));
        sqlite3_bind_int64(outbox->add_route, 2, number);
        rc = sql_run(outbox->store, outbox->add_route, "add a route", e);
    }
    const struct route_place place = {rule->name, number};
    bool is_keyed = rule->routes[number - 1].key_limit_bytes > 0;
    return rc == ERR_OK ? outbox_keys_prepare(outbox->keys, route, &place, is_keyed, e) : rc;
}

enum err outbox_prepare_spec(struct outbox *outbox, const struct core_spec *spec, struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < spec->target_count; i++) {
        const char *name = spec->targets[i].name;
        if (outbox_find_target(outbox, name) == NULL) {
            sql_bind_text(outbox->add_target, 1, bytes_from_text(name));
            rc = sql_run(outbox->store, outbox->add_target, "add a target", e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < spec->rule_count; i++) {
        for (uint32_t n = 1; rc == ERR_OK && n <= spec->rules[i].route_count; n++) {
            rc = prepare_route(outbox, &spec->rules[i], n, e);
        }
    }
    for (uint32_t i = 0; rc == ERR_OK && i < spec->workflow_count; i++) {
        rc = outbox_prepare_workflow(outbox, spec->workflows[i].name, e);
    }
    return rc;
}

static void forget_spec(struct outbox *outbox)
{
    struct outbox_target *target, *next_target;
    HASH_ITER(hh, outbox->targets, target, next_target)
    {
        target->spec = NULL;
    }
    struct outbox_route *route, *next_route;
    HASH_ITER(hh, outbox->routes, route, next_route)
    {
        route->spec = NULL;
        route->is_holding = false;
    }
}

static void link_spec(struct outbox *outbox, const struct core_spec *spec)
{
    forget_spec(outbox);
    for (uint32_t i = 0; i < spec->target_count; i++) {
        outbox->target_at[i] = outbox_find_target(outbox, spec->targets[i].name);
        assert(outbox->target_at[i] != NULL);
        outbox->target_at[i]->spec = &spec->targets[i];
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        outbox->rule_routes[i] = at;
        for (uint32_t n = 0; n < spec->rules[i].route_count; n++) {
            struct outbox_route *route = outbox_find_route(outbox, spec->rules[i].name, n + 1);
            assert(route != NULL);
            route->spec = &spec->rules[i].routes[n];
            route->is_keyed = route->spec->key_limit_bytes > 0;
            route->drop_from = 0;
            outbox->route_at[at++] = route;
        }
    }
    outbox->spec = spec;
}

enum err outbox_use_spec(struct outbox *outbox, const struct core_spec *spec, struct error *e)
{
    enum err rc = outbox_load_tallies(outbox, e);
    if (rc != ERR_OK) {
        return rc;
    }
    size_t routes = 0;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        routes += spec->rules[i].route_count;
    }
    struct outbox_target **targets = calloc(spec->target_count + 1, sizeof(targets[0]));
    struct outbox_route **route_at = calloc(routes + 1, sizeof(route_at[0]));
    uint32_t *rule_routes = calloc(spec->rule_count + 1, sizeof(rule_routes[0]));
    if (targets == NULL || route_at == NULL || rule_routes == NULL) {
        free(targets);
        free(route_at);
        free(rule_routes);
        return error_set(e, ERR_NO_MEMORY, "out of memory for the outbox");
    }
    free(outbox->target_at);
    free(outbox->route_at);
    free(outbox->rule_routes);
    outbox->target_at = targets;
    outbox->route_at = route_at;
    outbox->rule_routes = rule_routes;
    link_spec(outbox, spec);
    return ERR_OK;
}

void outbox_set_now(struct outbox *outbox, int64_t now_ms)
{
    outbox->now_ms = now_ms;
}

static void copy_bytes(uint8_t **at, struct bytes from, struct bytes *out)
{
    if (from.len > 0) {
        memcpy(*at, from.ptr, from.len);
    }
    *out = bytes_of(*at, from.len);
    *at += from.len;
}

static const char *copy_text(uint8_t **at, struct bytes from)
{
    struct bytes copy;
    copy_bytes(at, from, &copy);
    *(*at)++ = '\0';
    return (const char *)copy.ptr;
}

struct queue_row *queue_row_create(const struct delivery *from, struct outbox_target *target,
                                   struct outbox_route *route)
{
    struct bytes idempotency = bytes_from_text(from->idempotency_key);
    struct bytes content_type = bytes_from_text(from->content_type);
    size_t bytes = idempotency.len + from->key.len + from->topic.len + from->payload.len +
                   content_type.len + from->properties.len;
    struct queue_row *row = malloc(sizeof(*row) + bytes + 2);
    if (row == NULL || bytes > UINT32_MAX) {
        free(row);
        return NULL;
    }
    memset(row, 0, sizeof(*row));
    row->delivery = *from;
    row->target = target;
    row->lane = &target->lanes[route->spec == NULL ? PRIORITY_NORMAL : route->spec->priority];
    row->route = route;
    row->stored_bytes = (uint32_t)bytes;
    uint8_t *at = row->data;
    copy_bytes(&at, from->key, &row->delivery.key);
    copy_bytes(&at, from->topic, &row->delivery.topic);
    copy_bytes(&at, from->payload, &row->delivery.payload);
    copy_bytes(&at, from->properties, &row->delivery.properties);
    row->delivery.idempotency_key = copy_text(&at, idempotency);
    row->delivery.content_type = copy_text(&at, content_type);
    row->delivery.rule = route->rule;
    row->delivery.route = route->number;
    row->delivery.is_answered = route->is_answered;
    return row;
}

enum err outbox_has_room(struct outbox *outbox, struct error *e)
{
    struct outbox_route *route, *next;
    HASH_ITER(hh, outbox->routes, route, next)
    {
        if (route->is_holding && route->committed.waiting_bytes <= route->spec->limit_bytes / 2) {
            route->is_holding = false;
        }
        if (route->is_holding) {
            return error_set(e, ERR_FULL,
                             "route %u of rule %s: %llu bytes wait and its limit is %llu; it takes "
                             "messages again at half of it",
                             route->number, route->rule,
                             (unsigned long long)route->committed.waiting_bytes,
                             (unsigned long long)route->spec->limit_bytes);
        }
    }
    return ERR_OK;
}
