// outbox_write.c - new deliveries: collected while the rules run, written after them, shed or held
// back where a route is at its bound.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/idempotency.h"
#include "core/outbox_parts.h"

static enum err make_room(struct outbox *outbox, struct error *e)
{
    if (outbox->added_count < outbox->added_capacity) {
        return ERR_OK;
    }
    uint32_t capacity = outbox->added_capacity == 0 ? 256 : 2 * outbox->added_capacity;
    struct queue_row **added = realloc(outbox->added, capacity * sizeof(added[0]));
    if (added == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for %u deliveries", capacity);
    }
    outbox->added = added;
    outbox->added_capacity = capacity;
    return ERR_OK;
}

enum err outbox_add_row(struct outbox *outbox, struct queue_row *take_row, struct error *e)
{
    enum err rc = make_room(outbox, e);
    if (rc == ERR_OK && take_row->stored_bytes > OUTBOX_ROW_BYTES_MAX) {
        rc = error_set(e, ERR_FULL, "a delivery of it is larger than %d bytes",
                       OUTBOX_ROW_BYTES_MAX);
    }
    if (rc != ERR_OK) {
        free(take_row);
        return rc;
    }
    outbox->added[outbox->added_count++] = take_row;
    outbox->added_bytes += queue_row_bytes(take_row);
    return outbox->added_bytes <= OUTBOX_NEW_BYTES
               ? ERR_OK
               : error_set(e, ERR_FULL, "the rules make more than %d MB of deliveries of it",
                           OUTBOX_NEW_BYTES / 1000000);
}

enum err outbox_add(struct outbox *outbox, const struct rule_output *output, const char *event_id,
                    struct error *e)
{
    const struct rule_spec *rule = &outbox->spec->rules[output->rule_index];
    uint32_t index = outbox->rule_routes[output->rule_index] + output->route_index;
    struct outbox_route *route = outbox->route_at[index];
    char idempotency_key[IDEMPOTENCY_KEY_BYTES];
    idempotency_key_make(idempotency_key, event_id, rule->name, output->route_index,
                         output->row_index);
    const struct delivery delivery = {
        .idempotency_key = idempotency_key,
        .key = output->key,
        .topic = output->topic,
        .payload = output->payload,
        .content_type = output->content_type,
        .properties = output->properties,
        .qos = route->spec->qos,
        .is_retained = route->spec->is_retained,
        .created_ms = outbox->now_ms,
    };
    struct queue_row *row =
        queue_row_create(&delivery, outbox->target_at[route->spec->target], route);
    if (row == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a delivery of %zu bytes",
                         output->payload.len);
    }
    row->event_index = output->event_index;
    row->root_index = output->root_index;
    return outbox_add_row(outbox, row, e);
}

void outbox_forget_added(struct outbox *outbox, uint32_t count)
{
    while (outbox->added_count > count) {
        struct queue_row *row = outbox->added[--outbox->added_count];
        outbox->added_bytes -= queue_row_bytes(row);
        free(row);
    }
}

// By event: where those of one begin in the sorted order.
static uint32_t *count_starts(const struct outbox *outbox, uint32_t events)
{
    uint32_t *starts = calloc((size_t)events + 1, sizeof(starts[0]));
    for (uint32_t i = 0; starts != NULL && i < outbox->added_count; i++) {
        starts[outbox->added[i]->event_index + 1]++;
    }
    for (uint32_t event = 0; starts != NULL && event < events; event++) {
        starts[event + 1] += starts[event];
    }
    return starts;
}

static int by_root(const void *a, const void *b)
{
    const struct queue_row *left = *(struct queue_row *const *)a;
    const struct queue_row *right = *(struct queue_row *const *)b;
    int roots = (left->root_index > right->root_index) - (left->root_index < right->root_index);
    if (roots != 0) {
        return roots;
    }
    int events =
        (left->event_index > right->event_index) - (left->event_index < right->event_index);
    return events != 0 ? events
                       : (left->added_at > right->added_at) - (left->added_at < right->added_at);
}

// Those of one rule come in the order of the events, rule after rule: a merge that keeps the order
// of rules for one event, and puts what came of an event behind it. With one rule there is nothing
// to do.
static enum err sort_by_event(struct outbox *outbox, struct error *e)
{
    uint32_t count = outbox->added_count, events = 0;
    bool is_sorted = true, has_derived = false;
    for (uint32_t i = 0; i < count; i++) {
        struct queue_row *row = outbox->added[i];
        row->added_at = i;
        events = row->event_index + 1 > events ? row->event_index + 1 : events;
        is_sorted = is_sorted && (i == 0 || outbox->added[i - 1]->event_index <= row->event_index);
        has_derived = has_derived || row->root_index != row->event_index;
    }
    if (has_derived) {
        qsort(outbox->added, count, sizeof(outbox->added[0]), by_root);
    }
    if (is_sorted || has_derived) {
        return ERR_OK;
    }
    uint32_t *starts = count_starts(outbox, events);
    struct queue_row **sorted = malloc(outbox->added_capacity * sizeof(sorted[0]));
    if (starts == NULL || sorted == NULL) {
        free(starts);
        free(sorted);
        return error_set(e, ERR_NO_MEMORY, "out of memory for %u deliveries", count);
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[starts[outbox->added[i]->event_index]++] = outbox->added[i];
    }
    free(starts);
    free(outbox->added);
    outbox->added = sorted;
    return ERR_OK;
}

enum err outbox_insert(struct outbox *outbox, const struct queue_row *row, struct error *e)
{
    sqlite3_stmt *insert = outbox->insert;
    const struct delivery *delivery = &row->delivery;
    sql_bind_u64(insert, 1, delivery->id);
    sqlite3_bind_int64(insert, 2, row->route->id);
    sql_bind_text(insert, 3, bytes_from_text(delivery->idempotency_key));
    sql_bind_blob(insert, 4, delivery->key);
    sql_bind_text(insert, 5, delivery->topic);
    sql_bind_blob(insert, 6, delivery->payload);
    sql_bind_text(insert, 7, bytes_from_text(delivery->content_type));
    sqlite3_bind_int(insert, 8, delivery->qos);
    sqlite3_bind_int(insert, 9, delivery->is_retained);
    sqlite3_bind_int64(insert, 10, delivery->attempts);
    sqlite3_bind_int64(insert, 11, row->next_at_ms);
    sqlite3_bind_int64(insert, 12, delivery->created_ms);
    sql_bind_blob(insert, 13, delivery->properties);
    sqlite3_bind_int64(insert, 14, delivery->timeout_ms);
    return sql_run(outbox->store, insert, "put into the outbox", e);
}

enum err outbox_drop_row(struct outbox *outbox, const struct queue_row *row, struct books *books,
                         struct error *e)
{
    uint64_t id = row->delivery.id;
    struct queue_row *loaded = queue_find(&outbox_lane_of(row->target, id)->queue, id);
    if (loaded != NULL) {
        const struct outbox_effect effect = {loaded, EFFECT_REMOVE, 0};
        enum err rc = outbox_add_effect(outbox, &effect, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    struct queue_row *new = loaded == NULL ? outbox->written : NULL;
    for (; new != NULL; new = new->next) {
        if (new->delivery.id == id) {
            new->is_settling = true; // outbox_commit frees it.
            break;
        }
    }
    outbox_count(outbox, row, MOVE_DROP, books);
    enum err rc = outbox_keys_take(outbox->keys, row, e);
    return rc == ERR_OK ? outbox_remove_row(outbox, id, e) : rc;
}

static bool may_drop(struct outbox_target *target, uint64_t id)
{
    const struct queue_row *row = queue_find(&outbox_lane_of(target, id)->queue, id);
    return row == NULL || row->state != QUEUE_IN_FLIGHT;
}

// The oldest row of new's route that can go; *out_id 0: there is none.
static enum err find_oldest(struct outbox *outbox, const struct queue_row *new, uint64_t *out_id,
                            uint32_t *out_bytes, struct error *e)
{
    sqlite3_stmt *oldest = outbox->oldest;
    uint64_t first = (uint64_t) new->target->id *OUTBOX_STRIDE;
    sql_bind_u64(oldest, 1, new->route->drop_from > first ? new->route->drop_from : first);
    sql_bind_u64(oldest, 2, first + OUTBOX_STRIDE);
    sqlite3_bind_int64(oldest, 3, new->route->id);
    bool has_row = true;
    enum err rc = ERR_OK;
    *out_id = 0;
    while (rc == ERR_OK && has_row && *out_id == 0) {
        rc = sql_next(outbox->store, oldest, "look for the oldest", &has_row, e);
        if (rc == ERR_OK && has_row && may_drop(new->target, sql_u64(oldest, 0))) {
            *out_id = sql_u64(oldest, 0);
            *out_bytes = (uint32_t)sql_u64(oldest, 1);
        }
    }
    sqlite3_reset(oldest);
    // With none, those in flight may come back: look at all again the next time.
    new->route->drop_from = *out_id == 0 ? 0 : *out_id + 1;
    return rc;
}

// Drops from the route's oldest on until the new one fits or nothing more can go.
static enum err drop_oldest(struct outbox *outbox, const struct queue_row *new, struct books *books,
                            struct error *e)
{
    struct queue_row old = {.target = new->target, .route = new->route};
    const struct outbox_route *route = new->route;
    enum err rc = ERR_OK;
    do {
        rc = find_oldest(outbox, new, &old.delivery.id, &old.stored_bytes, e);
        if (rc == ERR_OK && old.delivery.id != 0) {
            rc = outbox_drop_row(outbox, &old, books, e);
        }
    } while (rc == ERR_OK && old.delivery.id != 0 &&
             route->now.waiting_bytes + new->stored_bytes > route->spec->limit_bytes);
    return rc;
}

// The route's bound. *out_is_shed: the new one is not taken.
static enum err apply_limit(struct outbox *outbox, const struct queue_row *row, bool *out_is_shed,
                            struct books *books, struct error *e)
{
    struct outbox_route *route = row->route;
    uint64_t limit = route->spec->limit_bytes;
    *out_is_shed = false;
    if (limit == 0 || route->now.waiting_bytes + row->stored_bytes <= limit) {
        return ERR_OK;
    }
    if (route->spec->overflow == OVERFLOW_HOLD) {
        // An empty queue takes a batch whatever its size: it would wait for ever.
        if (route->committed.waiting_bytes == 0) {
            return ERR_OK;
        }
        route->is_holding = true;
        return error_set(e, ERR_FULL,
                         "route %u of rule %s: %" PRIu64 " bytes wait and its limit is %" PRIu64
                         "; it waits for its target to take them",
                         route->number, route->rule, route->committed.waiting_bytes, limit);
    }
    enum err rc = ERR_OK;
    if (route->spec->overflow == OVERFLOW_DROP_OLD) {
        rc = drop_oldest(outbox, row, books, e);
    }
    *out_is_shed = route->now.waiting_bytes + row->stored_bytes > limit;
    return rc;
}

// Keeps the row for memory if memory will have all before it and room; else the store has it.
static void keep(struct outbox *outbox, struct queue_row *row)
{
    struct outbox_lane *lane = row->lane;
    size_t bytes = queue_row_bytes(row);
    bool is_parked = queue_is_parked(&lane->queue, row->delivery.key);
    if (lane->has_more_next || (!is_parked && !outbox_lane_has_space(lane, bytes))) {
        lane->has_more_next = true;
        free(row);
        return;
    }
    if (is_parked) {
        lane->passed_id = row->delivery.id;
        free(row);
        return;
    }
    lane->new_count++;
    lane->new_bytes += bytes;
    row->next = NULL;
    if (outbox->last_written == NULL) {
        outbox->written = row;
    } else {
        outbox->last_written->next = row;
    }
    outbox->last_written = row;
}

// The bound of one key on its route.
static enum err apply_key_limit(struct outbox *outbox, const struct queue_row *row,
                                bool *out_is_shed, struct books *books, struct error *e)
{
    struct queue_row old = {.target = row->target, .lane = row->lane, .route = row->route};
    struct outbox_route *route = row->route;
    uint64_t limit = route->spec->key_limit_bytes, waiting;
    enum err rc = outbox_keys_waiting(outbox->keys, row, &waiting, e);
    bool may_drop_old = route->spec->overflow == OVERFLOW_DROP_OLD;
    while (rc == ERR_OK && may_drop_old && waiting + row->stored_bytes > limit) {
        rc = outbox_keys_oldest(outbox->keys, row, &old, e);
        if (rc != ERR_OK || old.delivery.id == 0) {
            break;
        }
        rc = outbox_drop_row(outbox, &old, books, e);
        route->extra.over_key++;
        waiting -= old.stored_bytes;
    }
    *out_is_shed = rc == ERR_OK && waiting + row->stored_bytes > limit;
    route->extra.over_key += *out_is_shed;
    return rc;
}

// What the route's options say of a new delivery.
static enum err admit(struct outbox *outbox, struct queue_row *row, bool *out_is_shed,
                      struct books *books, struct error *e)
{
    const struct route_spec *spec = row->route->spec;
    enum err rc = ERR_OK;
    *out_is_shed = false;
    if (!row->is_replayed && (spec->sample > 1 || spec->rate.count > 0)) {
        rc = outbox_pace_apply(outbox->pace, row, outbox->now_ms, out_is_shed, e);
    }
    if (rc == ERR_OK && !*out_is_shed && spec->key_limit_bytes > 0) {
        rc = apply_key_limit(outbox, row, out_is_shed, books, e);
    }
    return rc == ERR_OK && !*out_is_shed ? apply_limit(outbox, row, out_is_shed, books, e) : rc;
}

enum err outbox_enqueue(struct outbox *outbox, struct queue_row *take_row, struct books *books,
                        uint64_t *out_id, struct error *e)
{
    uint64_t id = take_row->delivery.id = take_row->lane->first_id + take_row->lane->next++;
    enum err rc = outbox_insert(outbox, take_row, e);
    if (rc == ERR_OK) {
        rc = outbox_keys_add(outbox->keys, take_row, e);
    }
    if (rc == ERR_OK) {
        outbox_count(outbox, take_row, MOVE_ENQUEUE, books);
        keep(outbox, take_row);
        *out_id = id;
    }
    return rc;
}

// Takes the row on success.
static enum err write_row(struct outbox *outbox, struct queue_row *row, struct books *books,
                          struct error *e)
{
    bool is_shed;
    uint64_t id;
    enum err rc = admit(outbox, row, &is_shed, books, e);
    if (rc == ERR_OK && is_shed) {
        outbox_count(outbox, row, MOVE_SHED, books);
        free(row);
        return ERR_OK;
    }
    return rc == ERR_OK ? outbox_enqueue(outbox, row, books, &id, e) : rc;
}

enum err outbox_write(struct outbox *outbox, struct books *books, struct error *e)
{
    enum err rc = sort_by_event(outbox, e);
    uint32_t done = 0;
    while (rc == ERR_OK && done < outbox->added_count) {
        rc = write_row(outbox, outbox->added[done], books, e);
        done += rc == ERR_OK;
    }
    for (uint32_t i = done; i < outbox->added_count; i++) {
        free(outbox->added[i]);
    }
    outbox->added_count = 0;
    outbox->added_bytes = 0;
    return rc;
}
