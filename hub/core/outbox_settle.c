// outbox_settle.c - the targets' answers, and what commit and rollback make of a batch.
#include <stdlib.h>

#include "core/fault.h"
#include "core/outbox_parts.h"

enum err outbox_add_effect(struct outbox *outbox, const struct outbox_effect *effect,
                           struct error *e)
{
    if (outbox->effect_count == outbox->effect_capacity) {
        uint32_t capacity = outbox->effect_capacity == 0 ? 256 : 2 * outbox->effect_capacity;
        struct outbox_effect *effects = realloc(outbox->effects, capacity * sizeof(effects[0]));
        if (effects == NULL) {
            return error_set(e, ERR_NO_MEMORY, "out of memory for settlements");
        }
        outbox->effects = effects;
        outbox->effect_capacity = capacity;
    }
    outbox->effects[outbox->effect_count++] = *effect;
    effect->row->is_settling = true;
    return ERR_OK;
}

enum err outbox_remove_row(struct outbox *outbox, uint64_t id, struct error *e)
{
    sql_bind_u64(outbox->remove, 1, id);
    return sql_run(outbox->store, outbox->remove, "take out of the outbox", e);
}

struct outbox_target *outbox_target_of(const struct outbox *outbox, uint64_t delivery_id)
{
    struct outbox_target *target, *next;
    HASH_ITER(hh, outbox->targets, target, next)
    {
        if ((uint64_t)target->id == delivery_id / OUTBOX_STRIDE) {
            return target;
        }
    }
    return NULL;
}

static struct queue_row *find_in_flight(const struct outbox *outbox, uint64_t id)
{
    struct outbox_target *target = outbox_target_of(outbox, id);
    struct queue_row *row =
        target == NULL ? NULL : queue_find(&outbox_lane_of(target, id)->queue, id);
    bool is_expected = row != NULL && row->state == QUEUE_IN_FLIGHT && !row->is_settling;
    return is_expected ? row : NULL;
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

// Doubles with each attempt; a half of it is chance, so that what failed together does not come
// back together. The chance is a hash, the same in every run.
static int64_t backoff_ms(const struct outbox *outbox, const struct queue_row *row,
                          uint32_t attempts)
{
    const struct target_spec *spec = row->target->spec;
    int64_t min = spec->backoff_min_ms > 0 ? spec->backoff_min_ms : 1;
    int64_t wait = spec->backoff_max_ms > min ? spec->backoff_max_ms : min;
    uint32_t doublings = attempts > 0 ? attempts - 1 : 0;
    if (doublings < 32 && min <= wait >> doublings) {
        wait = min << doublings;
    }
    uint64_t seed = strtoull(store_id(outbox->store), NULL, 16);
    uint64_t chance = mix(mix(row->delivery.id ^ seed << 32) + attempts);
    return wait - (int64_t)(chance % (uint64_t)(wait / 2 + 1));
}

// after_ms: what the peer asks for.
static enum err retry(struct outbox *outbox, struct queue_row *row, int64_t after_ms,
                      struct error *e)
{
    uint32_t attempts = row->delivery.attempts + 1;
    int64_t wait_ms = backoff_ms(outbox, row, attempts);
    after_ms = after_ms < OUTBOX_WAIT_MAX_MS ? after_ms : OUTBOX_WAIT_MAX_MS;
    struct outbox_effect effect = {row, EFFECT_BACK_OFF, 0};
    effect.next_at_ms = outbox->now_ms + (wait_ms > after_ms ? wait_ms : after_ms);
    sql_bind_u64(outbox->update, 1, row->delivery.id);
    sqlite3_bind_int64(outbox->update, 2, attempts);
    sqlite3_bind_int64(outbox->update, 3, effect.next_at_ms);
    row->target->now.retried++;
    row->route->now.retried++;
    outbox_touch(outbox, row->target, row->route);
    enum err rc = sql_run(outbox->store, outbox->update, "note an attempt", e);
    return rc == ERR_OK ? outbox_add_effect(outbox, &effect, e) : rc;
}

static enum err bury(struct outbox *outbox, struct queue_row *row, uint32_t attempts,
                     const char *reason, struct error *e)
{
    sqlite3_stmt *die = outbox->die;
    sql_bind_u64(die, 1, row->delivery.id);
    sql_bind_text(die, 2, bytes_from_text(row->target->name));
    sql_bind_text(die, 3, bytes_from_text(row->route->rule));
    sqlite3_bind_int64(die, 4, row->route->number);
    sqlite3_bind_int64(die, 5, attempts);
    sql_bind_text(die, 6, bytes_from_text(reason == NULL ? "no reason was given" : reason));
    sqlite3_bind_int64(die, 7, outbox->now_ms);
    return sql_run(outbox->store, die, "make a dead letter", e);
}

static enum err leave(struct outbox *outbox, struct queue_row *row, enum tally_move move,
                      struct books *books, struct error *e)
{
    const struct outbox_effect effect = {row, EFFECT_REMOVE, 0};
    outbox_count(outbox, row, move, books);
    enum err rc = outbox_keys_take(outbox->keys, row, e);
    rc = rc == ERR_OK ? outbox_remove_row(outbox, row->delivery.id, e) : rc;
    return rc == ERR_OK ? outbox_add_effect(outbox, &effect, e) : rc;
}

bool outbox_buries(const struct outbox *outbox, const struct settlement *settlement)
{
    if (settlement->verdict != VERDICT_REJECT && settlement->verdict != VERDICT_RETRY) {
        return false;
    }
    const struct queue_row *row = find_in_flight(outbox, settlement->delivery_id);
    return row != NULL && !row->route->is_answered &&
           (settlement->verdict == VERDICT_REJECT ||
            (row->target->spec != NULL &&
             row->delivery.attempts + 1 >= row->target->spec->attempts_max));
}

const char *outbox_call_key(const struct outbox *outbox, const struct settlement *settlement)
{
    const struct queue_row *row = find_in_flight(outbox, settlement->delivery_id);
    bool is_answer =
        row != NULL && row->route->is_answered && settlement->verdict != VERDICT_NOT_SENT;
    return is_answer ? row->delivery.idempotency_key : NULL;
}

// What a failure leads to is the workflow's business: no attempts are counted here.
static enum err settle_call(struct outbox *outbox, struct queue_row *row, enum verdict verdict,
                            struct books *books, struct error *e)
{
    const struct outbox_effect put_back = {row, EFFECT_PUT_BACK, 0};
    if (verdict == VERDICT_NOT_SENT) {
        return outbox_add_effect(outbox, &put_back, e);
    }
    if (verdict == VERDICT_DONE) {
        return leave(outbox, row, MOVE_DELIVER, books, e);
    }
    row->route->extra.answered++;
    books->answered++;
    return leave(outbox, row, MOVE_DROP, books, e);
}

enum err outbox_settle(struct outbox *outbox, const struct settlement *settlement,
                       struct books *books, struct error *e)
{
    struct queue_row *row = find_in_flight(outbox, settlement->delivery_id);
    if (row == NULL) {
        return ERR_OK;
    }
    if (row->route->is_answered) {
        return settle_call(outbox, row, settlement->verdict, books, e);
    }
    uint32_t attempts = row->delivery.attempts + 1;
    const struct target_spec *spec = row->target->spec; // NULL: it was taken before a reload.
    enum verdict verdict = settlement->verdict;
    if (verdict == VERDICT_RETRY && spec == NULL) {
        verdict = VERDICT_NOT_SENT;
    }
    const struct outbox_effect put_back = {row, EFFECT_PUT_BACK, 0};
    switch (verdict) {
    case VERDICT_DONE:
        return leave(outbox, row, MOVE_DELIVER, books, e);
    case VERDICT_NOT_SENT:
        return outbox_add_effect(outbox, &put_back, e);
    case VERDICT_RETRY:
        if (attempts < spec->attempts_max) {
            return retry(outbox, row, settlement->retry_after_ms, e);
        }
        break;
    case VERDICT_REJECT:
        break;
    }
    enum err rc = bury(outbox, row, attempts, settlement->reason, e);
    return rc == ERR_OK ? leave(outbox, row, MOVE_DIE, books, e) : rc;
}

enum err outbox_settle_outside(struct outbox *outbox, const struct settlement *settlement,
                               struct error *e)
{
    bool is_gone = settlement->verdict == VERDICT_DONE;
    return is_gone ? outbox_remove_row(outbox, settlement->delivery_id, e) : ERR_OK;
}

static void apply(const struct outbox_effect *effect)
{
    struct queue_row *row = effect->row;
    row->is_settling = false;
    switch (effect->kind) {
    case EFFECT_REMOVE:
        queue_remove(&row->lane->queue, row);
        break;
    case EFFECT_PUT_BACK:
        queue_put_back(&row->lane->queue, row);
        break;
    case EFFECT_BACK_OFF:
        row->delivery.attempts++;
        queue_back_off(&row->lane->queue, row, effect->next_at_ms);
        break;
    }
}

static void to_memory(struct queue_row *row)
{
    struct outbox_lane *lane = row->lane;
    uint64_t id = row->delivery.id;
    bool is_dropped = row->is_settling; // In the batch that made it.
    row->next = NULL;
    if (lane->has_more) { // Memory had none for one before it.
        free(row);
        return;
    }
    lane->loaded_id = id;
    if (is_dropped || queue_leaves(&lane->queue, row->delivery.key, id)) {
        free(row);
    } else if (!queue_add(&lane->queue, row)) {
        lane->loaded_id = id - 1;
        lane->has_more = lane->has_more_next = true;
        free(row);
    }
}

static void finish_written(struct outbox *outbox, bool is_kept)
{
    struct queue_row *next;
    for (struct queue_row *row = outbox->written; row != NULL; row = next) {
        next = row->next;
        if (is_kept) {
            to_memory(row);
        } else {
            free(row);
        }
    }
    outbox->written = outbox->last_written = NULL;
}

static void finish_lane(struct outbox_lane *lane, bool is_kept)
{
    if (is_kept) {
        lane->next_committed = lane->next;
        if (!lane->has_more && lane->passed_id > lane->loaded_id) {
            lane->loaded_id = lane->passed_id;
        }
        lane->has_more = lane->has_more_next;
    } else {
        lane->next = lane->next_committed;
        lane->has_more_next = lane->has_more;
    }
    lane->new_count = 0;
    lane->new_bytes = 0;
    lane->passed_id = 0;
}

static void finish_targets(struct outbox *outbox, bool is_kept)
{
    struct outbox_target *target, *next;
    HASH_ITER(hh, outbox->targets, target, next)
    {
        if (is_kept) {
            target->committed = target->now;
        } else {
            target->now = target->committed;
        }
        target->is_dirty = false;
        for (uint32_t i = 0; i < PRIORITY_COUNT; i++) {
            finish_lane(&target->lanes[i], is_kept);
        }
    }
    for (struct outbox_route *route = outbox->dirty_routes; route != NULL;
         route = route->next_dirty) {
        if (is_kept) {
            route->committed = route->now;
            route->extra_committed = route->extra;
        } else {
            route->now = route->committed;
            route->extra = route->extra_committed;
            route->drop_from = 0;
        }
        route->is_dirty = false;
    }
    outbox->dirty_routes = NULL;
}

void outbox_commit(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->effect_count; i++) {
        apply(&outbox->effects[i]);
    }
    outbox->effect_count = 0;
    finish_written(outbox, true);
    finish_targets(outbox, true);
}

void outbox_rollback(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->effect_count; i++) {
        outbox->effects[i].row->is_settling = false;
    }
    outbox->effect_count = 0;
    outbox_forget_added(outbox, 0);
    finish_written(outbox, false);
    finish_targets(outbox, false);
}
