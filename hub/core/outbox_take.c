// outbox_take.c - from the store to memory to the workers.
#include <stdlib.h>

#include "core/outbox_parts.h"

#define RELOAD_ROWS   QUEUE_BEHIND_MAX // Of a parked key at a time.
#define REFILL_ROUNDS 100 // Of a take: of OUTBOX_ROWS_MAX rows each, where all are parked.

// The classes in the order in which they go.
static const enum priority ranks[PRIORITY_COUNT] = {PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW};

struct outbox_lane *outbox_lane_of(struct outbox_target *target, uint64_t delivery_id)
{
    uint64_t class = delivery_id % OUTBOX_STRIDE / OUTBOX_LANE_STRIDE;
    return &target->lanes[class < PRIORITY_COUNT ? class : PRIORITY_NORMAL];
}

static struct queue_row *read_row(struct outbox *outbox, struct outbox_target *target,
                                  struct outbox_lane *lane, sqlite3_stmt *load)
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
        .timeout_ms = sqlite3_column_int64(load, 13),
    };
    struct queue_row *row = queue_row_create(&delivery, target, route);
    if (row != NULL) {
        row->lane = lane;
        row->next_at_ms = sqlite3_column_int64(load, 10);
    }
    return row;
}

bool outbox_lane_has_space(const struct outbox_lane *lane, size_t more_bytes)
{
    return lane->queue.count + lane->new_count < OUTBOX_ROWS_MAX &&
           (lane->queue.count + lane->new_count == 0 ||
            lane->queue.bytes + lane->new_bytes + more_bytes <= OUTBOX_BYTES_MAX);
}

// Takes the row that load stands on into memory. False: no room.
static bool take_row(struct outbox *outbox, struct outbox_target *target, struct outbox_lane *lane)
{
    uint64_t id = sql_u64(outbox->load, 0);
    if (!queue_leaves(&lane->queue, sql_bytes(outbox->load, 3), id)) {
        struct queue_row *row = read_row(outbox, target, lane, outbox->load);
        if (row == NULL || !outbox_lane_has_space(lane, queue_row_bytes(row)) ||
            !queue_add(&lane->queue, row)) {
            free(row);
            return false;
        }
    }
    lane->loaded_id = id;
    return true;
}

// Reads the lane's next rows into memory. What fails is said by the next transaction.
static void refill(struct outbox *outbox, struct outbox_target *target, struct outbox_lane *lane)
{
    sql_bind_u64(outbox->load, 1, lane->loaded_id);
    sql_bind_u64(outbox->load, 2, lane->first_id + OUTBOX_LANE_STRIDE);
    sqlite3_bind_int64(outbox->load, 3, OUTBOX_ROWS_MAX);
    bool has_row = false, has_room = true;
    uint32_t seen = 0;
    enum err rc = sql_next(outbox->store, outbox->load, "read the outbox", &has_row, NULL);
    while (rc == ERR_OK && has_row && has_room) {
        has_room = take_row(outbox, target, lane);
        seen++;
        if (has_room) {
            rc = sql_next(outbox->store, outbox->load, "read the outbox", &has_row, NULL);
        }
    }
    sqlite3_reset(outbox->load);
    bool is_at_end = rc == ERR_OK && !has_row && seen < OUTBOX_ROWS_MAX;
    lane->has_more = lane->has_more_next = !is_at_end;
}

// Reads on where a key was parked: at least one row, however full the memory is. False: nothing to
// do, or it failed.
static bool reload(struct outbox *outbox, struct outbox_target *target, struct outbox_lane *lane)
{
    struct bytes bytes;
    uint64_t from_id;
    struct queue_key *key = queue_reload(&lane->queue, &bytes, &from_id);
    if (key == NULL) {
        return false;
    }
    sqlite3_stmt *load = outbox->load_key;
    sql_bind_u64(load, 1, from_id);
    sql_bind_u64(load, 2, lane->loaded_id);
    sqlite3_bind_int64(load, 3, RELOAD_ROWS);
    sql_bind_blob(load, 4, bytes);
    bool has_row = true, is_good = true, has_room = true;
    uint32_t count = 0;
    while (is_good && has_row && has_room) {
        is_good = sql_next(outbox->store, load, "read the outbox", &has_row, NULL) == ERR_OK;
        if (is_good && has_row) {
            struct queue_row *row = read_row(outbox, target, lane, load);
            is_good = row != NULL && queue_add(&lane->queue, row);
            from_id = is_good ? row->delivery.id + 1 : from_id;
            count++;
            has_room = is_good && outbox_lane_has_space(lane, queue_row_bytes(row));
            if (!is_good) {
                free(row);
            }
        }
    }
    sqlite3_reset(load);
    bool is_whole = is_good && !has_row && count < RELOAD_ROWS;
    queue_reloaded(&lane->queue, key, is_whole ? 0 : from_id);
    return is_good;
}

static bool is_low(const struct outbox_lane *lane)
{
    return lane->queue.count < OUTBOX_ROWS_MAX / 2 && lane->queue.bytes < OUTBOX_BYTES_MAX / 2;
}

// Longer nobody waits, unless the clock has stepped back.
static int64_t wait_max_ms(const struct outbox_target *target)
{
    int64_t backoff_ms = target->spec->backoff_max_ms;
    return backoff_ms > OUTBOX_WAIT_MAX_MS ? backoff_ms : OUTBOX_WAIT_MAX_MS;
}

// Until there is something to give, or nothing more that could be.
static void fetch(struct outbox *outbox, struct outbox_target *target, struct outbox_lane *lane,
                  int64_t now_ms)
{
    while (reload(outbox, target, lane)) {
    }
    bool is_stuck = queue_head(&lane->queue, now_ms) == NULL;
    if (lane->has_more && is_stuck && !is_low(lane)) {
        queue_park(&lane->queue);
    }
    for (int round = 0; round < REFILL_ROUNDS && lane->has_more && is_low(lane); round++) {
        refill(outbox, target, lane);
        queue_limit_wait(&lane->queue, now_ms + wait_max_ms(target));
        if (queue_head(&lane->queue, now_ms) != NULL) {
            break;
        }
        queue_park(&lane->queue);
    }
}

static void set_lanes_back(struct outbox *outbox, struct outbox_target *target, int64_t now_ms)
{
    for (uint32_t class = 0; class < PRIORITY_COUNT; class ++) {
        struct queue *queue = &target->lanes[class].queue;
        queue_limit_wait(queue, now_ms + target->spec->backoff_max_ms);
        queue_shift_wait(queue, outbox->last_take_ms - now_ms);
    }
}

static void watch_clock(struct outbox *outbox, int64_t now_ms)
{
    for (uint32_t i = 0; now_ms < outbox->last_take_ms && i < outbox->spec->target_count; i++) {
        set_lanes_back(outbox, outbox->target_at[i], now_ms);
    }
    outbox->last_take_ms = now_ms;
}

// How much a take may still give.
struct allowance {
    uint32_t count, count_max;
    uint64_t bytes, bytes_max;
};

static void take_from(struct outbox_lane *lane, int64_t now_ms, struct allowance *allowance,
                      const struct delivery **out_deliveries)
{
    while (allowance->count < allowance->count_max) {
        struct queue_row *row = queue_head(&lane->queue, now_ms);
        if (row == NULL) {
            return;
        }
        if (allowance->count > 0 && allowance->bytes + row->stored_bytes > allowance->bytes_max) {
            allowance->count_max = allowance->count; // Nothing of a lower class goes before it.
            return;
        }
        queue_take(&lane->queue, row);
        allowance->bytes += row->stored_bytes;
        out_deliveries[allowance->count++] = &row->delivery;
    }
}

uint32_t outbox_take(struct outbox *outbox, uint32_t index, uint32_t count_max, uint64_t bytes_max,
                     int64_t now_ms, const struct delivery **out_deliveries)
{
    struct outbox_target *target = outbox->target_at[index];
    struct allowance allowance = {.count_max = count_max, .bytes_max = bytes_max};
    watch_clock(outbox, now_ms);
    for (uint32_t i = 0; i < PRIORITY_COUNT && allowance.count < allowance.count_max; i++) {
        struct outbox_lane *lane = &target->lanes[ranks[i]];
        fetch(outbox, target, lane, now_ms);
        take_from(lane, now_ms, &allowance, out_deliveries);
    }
    return allowance.count;
}

int64_t outbox_next_due_ms(const struct outbox *outbox)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < outbox->spec->target_count; i++) {
        for (uint32_t class = 0; class < PRIORITY_COUNT; class ++) {
            int64_t at = queue_next_due_ms(&outbox->target_at[i]->lanes[class].queue);
            due = at < due ? at : due;
        }
    }
    return due;
}
