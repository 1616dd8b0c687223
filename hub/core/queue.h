// queue.h - the deliveries of one target that are in memory: who is ready, in flight, backing off,
// or behind an earlier one of its key.
//
//            add                take
//   (new) ───────▶ READY ◀──────────────▶ IN_FLIGHT ──remove──▶ (gone)
//             │      ▲      put_back          │ back_off
//             │      └──── due ── BACKING_OFF ◀┘
//             └──▶ BEHIND ──(the one before it of its key is gone)──▶ READY or BACKING_OFF
//
// A key that waits must not fill the memory and keep the others out: all but its first rows are
// parked, which is to say that they are in the store only, until those before them are gone.
//
// Keys take turns, so that one with many rows is to the others like one with a few: a row is given
// the turn after its key's last one when it gets ready, but none that has passed already
// (start-time fair queueing). Rows without a key are as if of one key, but do not wait for each
// other.
//
// Threads:   core thread; a worker reads the delivery of a row in flight.
// Ownership: the queue owns its rows from queue_add to queue_remove.
// Failure:   false, out of memory; nothing has changed then.
#ifndef PIPIT_CORE_QUEUE_H
#define PIPIT_CORE_QUEUE_H

#include <uthash.h>

#include "core/delivery.h"

enum queue_state { QUEUE_READY, QUEUE_IN_FLIGHT, QUEUE_BACKING_OFF, QUEUE_BEHIND };

struct queue_key;
struct outbox_lane;
struct outbox_route;
struct outbox_target;

struct queue_row {
    struct delivery delivery;
    struct outbox_target *target;
    struct outbox_lane *lane; // The one whose queue it is in or is to be in.
    struct outbox_route *route;
    uint32_t stored_bytes; // As they count against the route's limit.
    uint32_t event_index;  // Of its batch, while it is new,
    uint32_t root_index;   // and of the event of which that one came by rules.
    uint32_t added_at;     // How many were added before it.
    int64_t next_at_ms;    // Not before; 0: at once.
    uint64_t turn;         // Among those that are ready; 0: it has not been so far.
    enum queue_state state;
    bool is_replayed; // While it is new: its sample and rate were kept to when it was made.
    bool is_settling; // The batch under way has an answer for it.
    uint32_t heap_index;
    struct queue_key *key; // NULL: its key is empty, it waits for nobody.
    struct queue_row *prev, *next;
    UT_hash_handle hh;
    uint8_t data[];
};

struct queue_heap {
    struct queue_row **rows;
    uint32_t count;
};

struct queue {
    struct queue_row *by_id;
    struct queue_key *keys;
    struct queue_heap ready;       // By turn, then by id.
    struct queue_heap backing_off; // By next_at_ms.
    uint32_t capacity;             // Of both heaps.
    uint32_t count, in_flight;
    uint64_t turn;               // Of the one that was taken last.
    uint64_t keyless_turn;       // The next one of rows without a key.
    uint64_t bytes;              // Of memory.
    struct queue_key *to_reload; // Parked keys whose rows in memory are all gone.
};

void queue_deinit(struct queue *queue); // Frees all rows.

// False: out of memory, and the row is still the caller's. Rows come in the order of their ids.
bool queue_add(struct queue *queue, struct queue_row *row);
struct queue_row *queue_find(const struct queue *queue, uint64_t id);
void queue_remove(struct queue *queue, struct queue_row *row); // Frees it.

// The next one to go, NULL when none is ready; first wakes those whose time has come.
struct queue_row *queue_head(struct queue *queue, int64_t now_ms);
void queue_take(struct queue *queue, struct queue_row *row); // The head is in flight.
void queue_put_back(struct queue *queue, struct queue_row *row);
void queue_back_off(struct queue *queue, struct queue_row *row, int64_t next_at_ms);

// When the next one's time comes, INT64_MAX: nobody is backing off.
int64_t queue_next_due_ms(const struct queue *queue);
// The clock has stepped back: nobody that has failed waits beyond latest_ms;
void queue_limit_wait(struct queue *queue, int64_t latest_ms);
// and those that keep to a rate wait as much less as it has.
void queue_shift_wait(struct queue *queue, int64_t back_ms);

#define QUEUE_BEHIND_MAX  64 // Rows in memory behind a key's first one.
#define QUEUE_BEHIND_KEPT 8  // The same after queue_park.

// Parks the keys that have more rows waiting than is kept; the rows are freed.
void queue_park(struct queue *queue);
bool queue_is_parked(const struct queue *queue, struct bytes key);
// Is the row with that id to stay in the store, because its key is parked or has as many rows here
// as it may? Then the key is parked.
bool queue_leaves(struct queue *queue, struct bytes key, uint64_t id);
// From where on rows of the key are in the store only; 0: none.
uint64_t queue_parked_from(const struct queue *queue, struct bytes key);
// The oldest row of the key that came by that route and that nobody has to do with now.
const struct queue_row *queue_oldest(const struct queue *queue, struct bytes key,
                                     const struct outbox_route *route);
// A parked key to read on from the store: its rows from *out_from_id on. NULL: none.
struct queue_key *queue_reload(struct queue *queue, struct bytes *out_key, uint64_t *out_from_id);
// Its next rows have been added, up to but not including from_id; 0: all of them.
void queue_reloaded(struct queue *queue, struct queue_key *key, uint64_t from_id);

size_t queue_row_bytes(const struct queue_row *row); // Of memory.

#endif
