// outbox_parts.h - what an outbox is made of, for the files that work on it: outbox.c (open),
// outbox_take.c (from the store to memory to the workers), outbox_write.c (new deliveries),
// outbox_settle.c (answers), outbox_call.c (workflows), outbox_dead.c (operators), outbox_replay.c
// (replays), outbox_pace.c (sample and rate), outbox_key.c (what waits of a key), outbox_tally.c
// (targets, routes and their counters).
//
// Threads:   core thread.
//
// Ownership: the outbox owns targets, routes, rows and statements; specs are borrowed.
//
// Failure:   as outbox.h.
#ifndef PIPIT_CORE_OUTBOX_PARTS_H
#define PIPIT_CORE_OUTBOX_PARTS_H

#include "core/outbox.h"
#include "core/queue.h"
#include "core/sql.h"

// pipit_outbox.id = target's id times this, plus its class's place, plus a number of its own.
#define OUTBOX_STRIDE 100000000000000
// The same for each class of a target, in the order of enum priority; normal ones come first, as
// they did when there were no others.
#define OUTBOX_LANE_STRIDE (OUTBOX_STRIDE / 4)

#define OUTBOX_ROW_BYTES_MAX 16500000 // Of one row: SQLite is told to take 16 MiB.

struct tally {
    uint64_t enqueued, delivered, waiting, waiting_bytes, dead, dropped, retried;
};

// The deliveries of one class of a target: each has a window of its own in memory, so that a
// backlog of one is nothing to another.
struct outbox_lane {
    struct queue queue;
    uint64_t first_id;             // Its ids are from here on, up to OUTBOX_LANE_STRIDE.
    uint64_t next, next_committed; // Number of the next delivery.
    // What is in the store beyond loaded_id is not in memory. more: what it will be after a commit.
    uint64_t loaded_id;
    bool has_more, has_more_next;
    uint32_t new_count; // Written in this batch, to be in memory after the commit.
    uint64_t new_bytes;
    uint64_t passed_id; // The last one written in this batch that is parked at once; 0: none.
};

struct outbox_target {
    int64_t id;
    char *name;
    struct outbox_lane lanes[PRIORITY_COUNT];
    struct tally now, committed;
    bool is_dirty;
    const struct target_spec *spec; // NULL: not configured; its rows wait.
    UT_hash_handle hh;              // By name.
};

// Of a route's dropped deliveries, those that each cause has dropped; and what its pace needs.
struct route_extra {
    uint64_t unsampled, over_rate, over_key;
    uint64_t answered, withdrawn; // A workflow was told of the failure; took it back.
    uint64_t pace_keys;           // Rows of pipit_route_pace.
    int64_t paced_ms;             // When its rate last looked at the clock.
};

struct outbox_route {
    int64_t id;
    char *rule;
    uint32_t number; // 1: the rule's first.
    struct tally now, committed;
    bool is_dirty;
    struct outbox_route *next_dirty;
    struct route_extra extra, extra_committed;
    bool is_keyed;                 // pipit_route_waiting has what waits of its keys.
    bool is_holding;               // A batch has found no room in it.
    bool is_answered;              // What comes back is a workflow's.
    const struct route_spec *spec; // NULL: not configured.
    uint64_t drop_from;            // OVERFLOW_DROP_OLD: no row of it before this id can go.
    UT_hash_handle hh;             // By id.
    UT_hash_handle by_workflow;    // By the workflow's name, of workflow_routes.
};

// What becomes of a row in memory when the batch is committed.
struct outbox_effect {
    struct queue_row *row;
    enum { EFFECT_REMOVE, EFFECT_PUT_BACK, EFFECT_BACK_OFF } kind;
    int64_t next_at_ms;
};

struct outbox {
    struct store *store;
    int64_t now_ms;
    struct outbox_target *targets;           // All of the store, by name.
    struct outbox_route *routes;             // All of the store, by id.
    struct outbox_route *workflow_routes[2]; // Those of emit and of call.
    const struct core_spec *spec;
    struct outbox_target **target_at;  // By index in spec.
    struct outbox_route **route_at;    // Routes of all rules, one after the other;
    uint32_t *rule_routes;             // where those of a rule begin.
    struct outbox_route *dirty_routes; // There may be thousands, of which a batch touches few.
    struct queue_row **added;          // Not written yet.
    uint32_t added_count, added_capacity;
    uint64_t added_bytes;
    struct queue_row *written, *last_written; // For memory, in order of id for each target.
    struct outbox_effect *effects;
    uint32_t effect_count, effect_capacity;
    int64_t last_take_ms;
    struct outbox_pace *pace;
    struct outbox_keys *keys;
    sqlite3_stmt *insert, *remove, *update, *load, *load_key, *oldest, *size, *die, *find_dead,
        *drop_dead, *edit_dead;
    sqlite3_stmt *add_target, *add_route, *save_target, *save_route;
};

// outbox_tally.c
enum err outbox_load_tallies(struct outbox *outbox, struct error *e);
void outbox_free_tallies(struct outbox *outbox);
struct outbox_target *outbox_find_target(const struct outbox *outbox, const char *name);
struct outbox_route *outbox_find_route(const struct outbox *outbox, const char *rule,
                                       uint32_t number);
// The counters of row's target and route change by the batch.
enum tally_move {
    MOVE_ENQUEUE,   // +enqueued +waiting
    MOVE_DELIVER,   // waiting -> delivered
    MOVE_DIE,       // waiting -> dead
    MOVE_DROP,      // waiting -> dropped
    MOVE_SHED,      // +enqueued +dropped: it never waited.
    MOVE_REPLAY,    // dead -> waiting
    MOVE_DROP_DEAD, // dead -> dropped
};
void outbox_count(struct outbox *outbox, const struct queue_row *row, enum tally_move move,
                  struct books *books);
void outbox_touch(struct outbox *outbox, struct outbox_target *target, struct outbox_route *route);

// outbox_call.c
enum err outbox_prepare_workflow(struct outbox *outbox, const char *workflow, struct error *e);
// A route that has just been read, if it is a workflow's.
void outbox_note_workflow(struct outbox *outbox, struct outbox_route *route);

// outbox_take.c
struct outbox_lane *outbox_lane_of(struct outbox_target *target, uint64_t delivery_id);
// Is there room in memory for a row of that size?
bool outbox_lane_has_space(const struct outbox_lane *lane, size_t more_bytes);

// outbox_settle.c
enum err outbox_add_effect(struct outbox *outbox, const struct outbox_effect *effect,
                           struct error *e);
enum err outbox_remove_row(struct outbox *outbox, uint64_t id, struct error *e);
struct outbox_target *outbox_target_of(const struct outbox *outbox, uint64_t delivery_id);

// outbox_pace.c: the sample and the rate of row's route, which has one of them. Sets when it may
// go.
struct outbox_pace;
enum err outbox_pace_create(struct outbox_pace **out_pace, struct store *store, struct error *e);
void outbox_pace_destroy(struct outbox_pace *pace); // NULL is fine.
enum err outbox_pace_apply(struct outbox_pace *pace, struct queue_row *row, int64_t now_ms,
                           bool *out_is_shed, struct error *e);

// outbox_key.c
struct outbox_keys;
struct route_place {
    const char *rule;
    uint32_t number;
};
enum err outbox_keys_create(struct outbox_keys **out_keys, struct store *store, struct error *e);
void outbox_keys_destroy(struct outbox_keys *keys); // NULL is fine.
// Begins or ends to count the keys of a route that may be new (NULL).
enum err outbox_keys_prepare(struct outbox_keys *keys, const struct outbox_route *route,
                             const struct route_place *place, bool is_keyed, struct error *e);
// The row is in the outbox now; it leaves it next. Nothing to do where keys are not counted.
enum err outbox_keys_add(struct outbox_keys *keys, const struct queue_row *row, struct error *e);
enum err outbox_keys_take(struct outbox_keys *keys, const struct queue_row *row, struct error *e);
// Of row's key on its route.
enum err outbox_keys_waiting(struct outbox_keys *keys, const struct queue_row *row,
                             uint64_t *out_bytes, struct error *e);
// The oldest of row's key on its route that can go: id and size of it; id 0: there is none.
enum err outbox_keys_oldest(struct outbox_keys *keys, const struct queue_row *row,
                            struct queue_row *out_old, struct error *e);

// outbox_write.c
// To be written by outbox_write; ERR_FULL as outbox_add.
enum err outbox_add_row(struct outbox *outbox, struct queue_row *take_row, struct error *e);
enum err outbox_insert(struct outbox *outbox, const struct queue_row *row, struct error *e);
// Gives the row its number and writes it; takes it on success.
enum err outbox_enqueue(struct outbox *outbox, struct queue_row *take_row, struct books *books,
                        uint64_t *out_id, struct error *e);
// A row of the store goes without having been sent. It may be in memory, or be written by this very
// batch and wait for memory. `row` stands for it in the counters.
enum err outbox_drop_row(struct outbox *outbox, const struct queue_row *row, struct books *books,
                         struct error *e);

// A row of memory with copies of everything in from; the target's and route's names are borrowed.
struct queue_row *queue_row_create(const struct delivery *from, struct outbox_target *target,
                                   struct outbox_route *route);

#endif
