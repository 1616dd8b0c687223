// outbox_take.c - from the store to memory to the workers.
#include <stdlib.h>

#include "core/outbox_parts.h"

#define RELOAD_ROWS   256 // Of a parked key at a time.
#define REFILL_ROUNDS 100 // Of a take: of OUTBOX_ROWS_MAX rows each, where all are parked.

static struct queue_row *read_row(struct outbox *outbox, struct outbox_target *target,
                                  sqlite3_stmt *load)
{
    int64_t route_id = sqlite3_column_int64(load, 1);
    struct outbox_route *route = NULL;
    HASH_FIND(hh, outbox->routes, &route_id, sizeof(route_id), route);
    if (route == NULL) {
        return NULL;
    }
    const struct delivery delivery = {
        .id = sql_u64(load, 0),
        .idempotency_key = (const char *)sqlite3_column_text(load, 2),
        .key = sql_bytes(load, 3),
        .topic = sql_bytes(load, 4),
        .payload = sql_bytes(load, 5),
        .content_type = (const char *)sqlite3_column_text(load, 6),
        .qos = (uint8_t)sqlite3_column_int(load, 7),
        .is_retained = sqlite3_column_int(load, 8) != 0,
        .attempts = (uint32_t)sqlite3_column_int64(load, 9),
        .created_ms = sqlite3_column_int64(load, 11),
        .properties = sql_bytes(load, 12),
    };
    struct queue_row *row = queue_row_create(&delivery, target, route);
    if (row != NULL) {
        row->next_at_ms = sqlite3_column_int64(load, 10);
    }
    return row;
}

static bool has_space(const struct outbox_target *target, size_t more)
{
    return target->queue.count + target->new_count < OUTBOX_ROWS_MAX &&
           (target->queue.count == 0 ||
            target->queue.bytes + target->new_bytes + more <= OUTBOX_BYTES_MAX);
}

// Takes the row that load stands on into memory. False: no room.
static bool take_row(struct outbox *outbox, struct outbox_target *target)
{
    uint64_t id = sql_u64(outbox->load, 0);
    if (!queue_is_parked(&target->queue, sql_bytes(outbox->load, 3))) {
        struct queue_row *row = read_row(outbox, target, outbox->load);
        if (row == NULL || !has_space(target, queue_row_bytes(row)) ||
            !queue_add(&target->queue, row)) {
            free(row);
            return false;
        }
    }
    target->loaded_id = id;
    return true;
}

// Reads the target's next rows into memory. What fails is said by the next transaction.
static void refill(struct outbox *outbox, struct outbox_target *target)
{
    sql_bind_u64(outbox->load, 1, target->loaded_id);
    sql_bind_u64(outbox->load, 2, ((uint64_t)target->id + 1) * OUTBOX_STRIDE);
    sqlite3_bind_int64(outbox->load, 3, OUTBOX_ROWS_MAX);
    bool has_row = false, has_room = true;
    uint32_t seen = 0;
    enum err rc = sql_next(outbox->store, outbox->load, "read the outbox", &has_row, NULL);
    while (rc == ERR_OK && has_row && has_room) {
        has_room = take_row(outbox, target);
        seen++;
        if (has_room) {
            rc = sql_next(outbox->store, outbox->load, "read the outbox", &has_row, NULL);
        }
    }
    sqlite3_reset(outbox->load);
    bool is_at_end = rc == ERR_OK && !has_row && seen < OUTBOX_ROWS_MAX;
    target->has_more = target->has_more_next = !is_at_end;
}

// Reads on where a key was parked; false: nothing to do, or it failed.
static bool reload(struct outbox *outbox, struct outbox_target *target)
{
    struct bytes bytes;
    uint64_t from_id;
    struct queue_key *key = queue_reload(&target->queue, &bytes, &from_id);
    if (key == NULL) {
        return false;
    }
    sqlite3_stmt *load = outbox->load_key;
    sql_bind_u64(load, 1, from_id);
    sql_bind_u64(load, 2, target->loaded_id);
    sqlite3_bind_int64(load, 3, RELOAD_ROWS);
    sql_bind_blob(load, 4, bytes);
    bool has_row = true, is_good = true;
    uint32_t count = 0;
    while (is_good && has_row) {
        is_good = sql_next(outbox->store, load, "read the outbox", &has_row, NULL) == ERR_OK;
        if (is_good && has_row) {
            struct queue_row *row = read_row(outbox, target, load);
            is_good = row != NULL && queue_add(&target->queue, row);
            from_id = is_good ? row->delivery.id + 1 : from_id;
            count++;
            if (!is_good) {
                free(row);
            }
        }
    }
    sqlite3_reset(load);
    queue_reloaded(&target->queue, key, is_good && count < RELOAD_ROWS ? 0 : from_id);
    return is_good;
}

static bool is_low(const struct outbox_target *target)
{
    return target->queue.count < OUTBOX_ROWS_MAX / 2 && target->queue.bytes < OUTBOX_BYTES_MAX / 2;
}

// Until there is something to give, or nothing more that could be.
static void fetch(struct outbox *outbox, struct outbox_target *target, int64_t now_ms)
{
    while (reload(outbox, target)) {
    }
    bool is_stuck = queue_head(&target->queue, now_ms) == NULL;
    if (target->has_more && is_stuck && !is_low(target)) {
        queue_park(&target->queue);
    }
    for (int round = 0; round < REFILL_ROUNDS && target->has_more && is_low(target); round++) {
        refill(outbox, target);
        queue_limit_wait(&target->queue, now_ms + target->spec->backoff_max_ms);
        if (queue_head(&target->queue, now_ms) != NULL) {
            break;
        }
        queue_park(&target->queue);
    }
}

static void watch_clock(struct outbox *outbox, int64_t now_ms)
{
    for (uint32_t i = 0; now_ms < outbox->last_take_ms && i < outbox->spec->target_count; i++) {
        struct outbox_target *target = outbox->target_at[i];
        queue_limit_wait(&target->queue, now_ms + target->spec->backoff_max_ms);
    }
    outbox->last_take_ms = now_ms;
}

uint32_t outbox_take(struct outbox *outbox, uint32_t index, uint32_t count_max, uint64_t bytes_max,
                     int64_t now_ms, const struct delivery **out_deliveries)
{
    struct outbox_target *target = outbox->target_at[index];
    watch_clock(outbox, now_ms);
    fetch(outbox, target, now_ms);
    uint32_t count = 0;
    uint64_t bytes = 0;
    while (count < count_max) {
        struct queue_row *row = queue_head(&target->queue, now_ms);
        if (row == NULL || (count > 0 && bytes + row->stored_bytes > bytes_max)) {
            break;
        }
        queue_take(&target->queue, row);
        bytes += row->stored_bytes;
        out_deliveries[count++] = &row->delivery;
    }
    return count;
}

int64_t outbox_next_due_ms(const struct outbox *outbox)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < outbox->spec->target_count; i++) {
        int64_t at = queue_next_due_ms(&outbox->target_at[i]->queue);
        due = at < due ? at : due;
    }
    return due;
}
