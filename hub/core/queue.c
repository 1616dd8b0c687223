#include "core/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <utlist.h>

struct queue_key {
    struct queue_row *owner;  // Ready, in flight or backing off; NULL: to be reloaded.
    struct queue_row *behind; // In order of id.
    uint32_t behind_count;
    uint64_t turn;                 // The next one of its rows.
    uint64_t parked_from;          // Its rows from this id on are in the store only; 0: none.
    struct queue_key *prev, *next; // In to_reload.
    UT_hash_handle hh;
    uint8_t bytes[];
};

size_t queue_row_bytes(const struct queue_row *row)
{
    return sizeof(*row) + row->stored_bytes + 64; // The allocator's, and a share of a key.
}

static bool is_before(const struct queue_row *a, const struct queue_row *b)
{
    if (a->state == QUEUE_BACKING_OFF && a->next_at_ms != b->next_at_ms) {
        return a->next_at_ms < b->next_at_ms;
    }
    if (a->state != QUEUE_BACKING_OFF && a->turn != b->turn) {
        return a->turn < b->turn;
    }
    return a->delivery.id < b->delivery.id;
}

static void heap_place(struct queue_heap *heap, uint32_t index, struct queue_row *row)
{
    heap->rows[index] = row;
    row->heap_index = index;
}

static void heap_rise(struct queue_heap *heap, struct queue_row *row)
{
    uint32_t index = row->heap_index;
    while (index > 0 && is_before(row, heap->rows[(index - 1) / 2])) {
        heap_place(heap, index, heap->rows[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_place(heap, index, row);
}

static void heap_sink(struct queue_heap *heap, struct queue_row *row)
{
    uint32_t index = row->heap_index;
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child + 1 < heap->count && is_before(heap->rows[child + 1], heap->rows[child])) {
            child++;
        }
        if (child >= heap->count || !is_before(heap->rows[child], row)) {
            break;
        }
        heap_place(heap, index, heap->rows[child]);
        index = child;
    }
    heap_place(heap, index, row);
}

static void heap_push(struct queue_heap *heap, struct queue_row *row)
{
    row->heap_index = heap->count++;
    heap_rise(heap, row);
}

static void heap_remove(struct queue_heap *heap, struct queue_row *row)
{
    struct queue_row *last = heap->rows[--heap->count];
    if (last != row) {
        heap_place(heap, row->heap_index, last);
        heap_rise(heap, last);
        heap_sink(heap, last);
    }
}

static void give_turn(struct queue *queue, struct queue_row *row)
{
    uint64_t *next = row->key == NULL ? &queue->keyless_turn : &row->key->turn;
    row->turn = *next > queue->turn ? *next : queue->turn;
    row->turn += row->turn == 0;
    *next = row->turn + 1;
}

static void enter(struct queue *queue, struct queue_row *row)
{
    if (row->turn == 0) {
        give_turn(queue, row);
    }
    row->state = row->next_at_ms > 0 ? QUEUE_BACKING_OFF : QUEUE_READY;
    heap_push(row->state == QUEUE_READY ? &queue->ready : &queue->backing_off, row);
}

static bool reserve(struct queue *queue)
{
    if (queue->count < queue->capacity) {
        return true;
    }
    uint32_t capacity = queue->capacity == 0 ? 64 : 2 * queue->capacity;
    struct queue_row **ready = realloc(queue->ready.rows, capacity * sizeof(struct queue_row *));
    if (ready == NULL) {
        return false;
    }
    queue->ready.rows = ready;
    struct queue_row **rows =
        realloc(queue->backing_off.rows, capacity * sizeof(struct queue_row *));
    if (rows == NULL) {
        return false;
    }
    queue->backing_off.rows = rows;
    queue->capacity = capacity;
    return true;
}

static struct queue_key *find_key(const struct queue *queue, struct bytes bytes)
{
    struct queue_key *key = NULL;
    HASH_FIND(hh, queue->keys, bytes.ptr, (unsigned)bytes.len, key);
    return key;
}

static struct queue_key *make_key(struct queue *queue, struct bytes bytes)
{
    struct queue_key *key = find_key(queue, bytes);
    if (key == NULL && (key = calloc(1, sizeof(*key) + bytes.len)) != NULL) {
        memcpy(key->bytes, bytes.ptr, bytes.len);
        HASH_ADD_KEYPTR(hh, queue->keys, key->bytes, (unsigned)bytes.len, key);
    }
    return key;
}

bool queue_add(struct queue *queue, struct queue_row *row)
{
    if (!reserve(queue)) {
        return false;
    }
    row->key = NULL;
    if (row->delivery.key.len > 0 && (row->key = make_key(queue, row->delivery.key)) == NULL) {
        return false;
    }
    uint64_t *id = &row->delivery.id;
    HASH_ADD_KEYPTR(hh, queue->by_id, id, sizeof(*id), row);
    queue->count++;
    queue->bytes += queue_row_bytes(row);
    if (row->key != NULL && row->key->owner != NULL) {
        row->state = QUEUE_BEHIND;
        DL_APPEND(row->key->behind, row);
        row->key->behind_count++;
        return true;
    }
    if (row->key != NULL) {
        row->key->owner = row;
    }
    enter(queue, row);
    return true;
}

struct queue_row *queue_find(const struct queue *queue, uint64_t id)
{
    struct queue_row *row = NULL;
    HASH_FIND(hh, queue->by_id, &id, sizeof(id), row);
    return row;
}

static void leave_behind(struct queue_key *key, struct queue_row *row)
{
    DL_DELETE(key->behind, row);
    key->behind_count--;
}

static void drop_key(struct queue *queue, struct queue_key *key)
{
    HASH_DEL(queue->keys, key);
    free(key);
}

static void pass_key_on(struct queue *queue, struct queue_key *key)
{
    key->owner = key->behind;
    if (key->owner != NULL) {
        leave_behind(key, key->owner);
        enter(queue, key->owner);
    } else if (key->parked_from != 0) {
        DL_APPEND(queue->to_reload, key);
    } else {
        drop_key(queue, key);
    }
}

// Out of the table, and freed.
static void forget(struct queue *queue, struct queue_row *row)
{
    HASH_DEL(queue->by_id, row);
    queue->count--;
    queue->bytes -= queue_row_bytes(row);
    free(row);
}

void queue_remove(struct queue *queue, struct queue_row *row)
{
    switch (row->state) {
    case QUEUE_READY:
        heap_remove(&queue->ready, row);
        break;
    case QUEUE_BACKING_OFF:
        heap_remove(&queue->backing_off, row);
        break;
    case QUEUE_IN_FLIGHT:
        queue->in_flight--;
        break;
    case QUEUE_BEHIND:
        leave_behind(row->key, row);
        break;
    }
    if (row->key != NULL && row->key->owner == row) {
        pass_key_on(queue, row->key);
    }
    forget(queue, row);
}

static void park(struct queue *queue, struct queue_key *key)
{
    while (key->behind_count > QUEUE_BEHIND_KEPT) {
        struct queue_row *last = key->behind->prev; // The head's prev is the tail.
        key->parked_from = last->delivery.id;
        leave_behind(key, last);
        forget(queue, last);
    }
}

void queue_park(struct queue *queue)
{
    struct queue_key *key, *next;
    HASH_ITER(hh, queue->keys, key, next)
    {
        park(queue, key);
    }
}

uint64_t queue_parked_from(const struct queue *queue, struct bytes bytes)
{
    const struct queue_key *key = bytes.len == 0 ? NULL : find_key(queue, bytes);
    return key == NULL ? 0 : key->parked_from;
}

bool queue_is_parked(const struct queue *queue, struct bytes bytes)
{
    return queue_parked_from(queue, bytes) != 0;
}

const struct queue_row *queue_oldest(const struct queue *queue, struct bytes bytes,
                                     const struct outbox_route *route)
{
    const struct queue_key *key = bytes.len == 0 ? NULL : find_key(queue, bytes);
    const struct queue_row *row = key == NULL ? NULL : key->owner;
    if (row != NULL && row->route == route && row->state != QUEUE_IN_FLIGHT && !row->is_settling) {
        return row;
    }
    for (row = key == NULL ? NULL : key->behind; row != NULL; row = row->next) {
        if (row->route == route && !row->is_settling) {
            return row;
        }
    }
    return NULL;
}

bool queue_leaves(struct queue *queue, struct bytes bytes, uint64_t id)
{
    struct queue_key *key = bytes.len == 0 ? NULL : find_key(queue, bytes);
    if (key == NULL || (key->parked_from == 0 && key->behind_count < QUEUE_BEHIND_MAX)) {
        return false;
    }
    key->parked_from = key->parked_from == 0 ? id : key->parked_from;
    return true;
}

struct queue_key *queue_reload(struct queue *queue, struct bytes *out_key, uint64_t *out_from_id)
{
    struct queue_key *key = queue->to_reload;
    if (key != NULL) {
        *out_key = bytes_of(key->bytes, key->hh.keylen);
        *out_from_id = key->parked_from;
    }
    return key;
}

void queue_reloaded(struct queue *queue, struct queue_key *key, uint64_t from_id)
{
    DL_DELETE(queue->to_reload, key);
    key->parked_from = from_id;
    if (key->owner == NULL) {
        pass_key_on(queue, key); // None was left, or it is to be tried again.
    }
}

void queue_deinit(struct queue *queue)
{
    struct queue_row *row, *next_row;
    struct queue_key *key, *next_key;
    HASH_ITER(hh, queue->keys, key, next_key)
    {
        HASH_DEL(queue->keys, key);
        free(key);
    }
    HASH_ITER(hh, queue->by_id, row, next_row)
    {
        HASH_DEL(queue->by_id, row);
        free(row);
    }
    free(queue->ready.rows);
    free(queue->backing_off.rows);
    *queue = (struct queue){0};
}

struct queue_row *queue_head(struct queue *queue, int64_t now_ms)
{
    while (queue->backing_off.count > 0 && queue->backing_off.rows[0]->next_at_ms <= now_ms) {
        struct queue_row *row = queue->backing_off.rows[0];
        heap_remove(&queue->backing_off, row);
        row->next_at_ms = 0;
        enter(queue, row);
    }
    return queue->ready.count > 0 ? queue->ready.rows[0] : NULL;
}

void queue_take(struct queue *queue, struct queue_row *row)
{
    assert(row->state == QUEUE_READY);
    heap_remove(&queue->ready, row);
    queue->turn = row->turn > queue->turn ? row->turn : queue->turn;
    row->state = QUEUE_IN_FLIGHT;
    queue->in_flight++;
}

void queue_put_back(struct queue *queue, struct queue_row *row)
{
    queue_back_off(queue, row, 0);
}

void queue_back_off(struct queue *queue, struct queue_row *row, int64_t next_at_ms)
{
    assert(row->state == QUEUE_IN_FLIGHT);
    queue->in_flight--;
    row->next_at_ms = next_at_ms;
    enter(queue, row);
}

int64_t queue_next_due_ms(const struct queue *queue)
{
    return queue->backing_off.count > 0 ? queue->backing_off.rows[0]->next_at_ms : INT64_MAX;
}

void queue_limit_wait(struct queue *queue, int64_t latest_ms)
{
    for (uint32_t i = 0; i < queue->backing_off.count; i++) {
        struct queue_row *row = queue->backing_off.rows[i];
        if (row->next_at_ms > latest_ms &&
            row->delivery.attempts > 0) { // Only smaller: it can only rise.
            row->next_at_ms = latest_ms;
            heap_rise(&queue->backing_off, row);
        }
    }
}

void queue_shift_wait(struct queue *queue, int64_t back_ms)
{
    struct queue_row *row, *next;
    HASH_ITER(hh, queue->by_id, row, next)
    {
        if (row->delivery.attempts == 0 && row->next_at_ms > 0) {
            row->next_at_ms = row->next_at_ms > back_ms ? row->next_at_ms - back_ms : 1;
            if (row->state == QUEUE_BACKING_OFF) {
                heap_rise(&queue->backing_off, row);
            }
        }
    }
}
