// outbox_dead.c - what operators do with dead letters. A replayed one goes to the end of its
// target's queue under a new id, with the same idempotency key and no attempts made: what came
// after it on its key has gone out before it, and cannot be called back.
#include <stdlib.h>

#include "core/outbox_parts.h"

// The dead letter that find_dead stands on.
static struct queue_row *read_dead(struct outbox *outbox)
{
    sqlite3_stmt *found = outbox->find_dead;
    const char *target_name = (const char *)sqlite3_column_text(found, 1);
    const char *rule = (const char *)sqlite3_column_text(found, 2);
    struct outbox_target *target = outbox_find_target(outbox, target_name);
    struct outbox_route *route =
        outbox_find_route(outbox, rule, (uint32_t)sqlite3_column_int64(found, 3));
    if (target == NULL || route == NULL) {
        return NULL;
    }
    const struct delivery delivery = {
        .idempotency_key = (const char *)sqlite3_column_text(found, 4),
        .key = sql_bytes(found, 5),
        .topic = sql_bytes(found, 6),
        .payload = sql_bytes(found, 7),
        .content_type = (const char *)sqlite3_column_text(found, 8),
        .qos = (uint8_t)sqlite3_column_int(found, 9),
        .is_retained = sqlite3_column_int(found, 10) != 0,
        .created_ms = sqlite3_column_int64(found, 11),
        .properties = sql_bytes(found, 12),
    };
    return queue_row_create(&delivery, target, route);
}

static enum err replay(struct outbox *outbox, struct queue_row *row, struct books *books,
                       struct error *e)
{
    row->delivery.id = row->lane->first_id + row->lane->next++;
    enum err rc = outbox_insert(outbox, row, e);
    rc = rc == ERR_OK ? outbox_keys_add(outbox->keys, row, e) : rc;
    if (rc == ERR_OK) {
        row->lane->has_more_next = true; // outbox_take reads it from the store.
        outbox_count(outbox, row, MOVE_REPLAY, books);
    }
    return rc;
}

static enum err operate(struct outbox *outbox, const struct operation *operation,
                        struct books *books, struct error *e)
{
    int64_t id = sqlite3_column_int64(outbox->find_dead, 0);
    struct queue_row *row = read_dead(outbox);
    sqlite3_reset(outbox->find_dead);
    if (row == NULL) {
        return error_set(e, ERR_CORRUPT,
                         "dead letter %lld is of a target or route that is not in "
                         "the store",
                         (long long)id);
    }
    enum err rc = ERR_OK;
    if (operation->kind == OPERATION_DEAD_REPLAY) {
        rc = replay(outbox, row, books, e);
    } else {
        outbox_count(outbox, row, MOVE_DROP_DEAD, books);
    }
    free(row);
    if (rc == ERR_OK) {
        sqlite3_bind_int64(outbox->drop_dead, 1, id);
        rc = sql_run(outbox->store, outbox->drop_dead, "take out a dead letter", e);
    }
    return rc;
}

enum err outbox_operate(struct outbox *outbox, const struct operation *operation,
                        struct books *books, uint64_t *out_count, struct error *e)
{
    uint64_t next = operation->first, count = 0;
    uint64_t last = operation->last < INT64_MAX ? operation->last : INT64_MAX;
    bool has_row = next <= last;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_row) {
        sql_bind_u64(outbox->find_dead, 1, next);
        sql_bind_u64(outbox->find_dead, 2, last);
        rc = sql_next(outbox->store, outbox->find_dead, "look for dead letters", &has_row, e);
        if (rc == ERR_OK && has_row) {
            next = sql_u64(outbox->find_dead, 0) + 1;
            rc = operate(outbox, operation, books, e);
            count++;
        }
    }
    *out_count += count;
    return rc;
}
