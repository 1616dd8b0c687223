// outbox.h - deliveries that are owed: put in the core's transaction, settled by the targets'
// answers, dead letters when it is hopeless.
//
// Threads:   core thread; workers read the deliveries in flight.
//
// Ownership: the outbox copies what it is given. A delivery stays valid until its settlement has
// been committed.
//
// Failure:   of the store's kind; then outbox_rollback. Memory follows the store: nothing in it
// changes before outbox_commit. ERR_FULL: a route that holds is at its bound.
#ifndef PIPIT_CORE_OUTBOX_H
#define PIPIT_CORE_OUTBOX_H

#include "core/core.h"
#include "core/rules.h"
#include "store/store.h"

#define OUTBOX_ROWS_MAX    4000 // Of a class of a target in memory; others are in the store only.
#define OUTBOX_BYTES_MAX   4000000  // The same in bytes.
#define OUTBOX_NEW_BYTES   64000000 // Of new deliveries that wait to be written.
#define OUTBOX_WAIT_MAX_MS 3600000  // That a peer can ask for before the next attempt.

struct outbox;

enum err outbox_open(struct outbox **out_outbox, struct store *store, const struct core_spec *spec,
                     struct error *e);
void outbox_close(struct outbox *outbox); // NULL is fine.

// What outbox_use needs to be in the store: rows for targets and routes. In a transaction.
enum err outbox_prepare_spec(struct outbox *outbox, const struct core_spec *spec, struct error *e);
// From now on spec's targets and routes; outbox_prepare_spec has been committed.
enum err outbox_use_spec(struct outbox *outbox, const struct core_spec *spec, struct error *e);

// Time of the transaction that begins.
void outbox_set_now(struct outbox *outbox, int64_t now_ms);

// A delivery to be: copied, kept until outbox_write. ERR_FULL: OUTBOX_NEW_BYTES are waiting
// so, or this one is too large for the store.
enum err outbox_add(struct outbox *outbox, const struct rule_output *output, const char *event_id,
                    struct error *e);
void outbox_forget_added(struct outbox *outbox, uint32_t count); // All but the first count.
// Writes what was added, in the order of the events, then of the rules.
enum err outbox_write(struct outbox *outbox, struct books *books, struct error *e);

// Whether the answer makes a dead letter. That must be synced: the next of its key goes on, and if
// a power cut brought the dead one back it would be delivered behind it.
bool outbox_buries(const struct outbox *outbox, const struct settlement *settlement);

// Deliveries that nobody knows (any more) are passed over.
enum err outbox_settle(struct outbox *outbox, const struct settlement *settlement,
                       struct books *books, struct error *e);
// FAULT_SETTLE_OUTSIDE: the row goes now, whatever becomes of the batch.
enum err outbox_settle_outside(struct outbox *outbox, const struct settlement *settlement,
                               struct error *e);
enum err outbox_operate(struct outbox *outbox, const struct operation *operation,
                        struct books *books, uint64_t *out_count, struct error *e);

// outbox_replay.c: as outbox_add, for the route that it was made by. ERR_INVALID: there is none.
enum err outbox_add_replayed(struct outbox *outbox, const struct replayed *replayed,
                             struct error *e);
enum err outbox_edit_dead(struct outbox *outbox, int64_t id, const struct edit *edit,
                          struct error *e);
// Whether what the dead letter has is an address: see core/address.h. False when it is not there.
enum err outbox_dead_is_url(struct outbox *outbox, int64_t id, bool *out_is_url, struct error *e);

// outbox_call.c: what workflows send, written at once. Its route is number 1 (told of no answer: as
// deliveries of rules, with attempts and dead letters) or 2 (answered) of "workflow/<name>".
#define OUTBOX_ROUTE_EMIT 1
#define OUTBOX_ROUTE_CALL 2
struct outbox_call {
    const char *workflow, *target; // Names; a target that is gone keeps it waiting.
    bool is_answered;              // Whatever the verdict but NOT_SENT, the row goes: see below.
    struct delivery delivery;      // What the outbox sets itself is not looked at.
};
// ERR_INVALID: it is too large for the store.
enum err outbox_put_call(struct outbox *outbox, const struct outbox_call *call, struct books *books,
                         uint64_t *out_id, struct error *e);
// An answered delivery that a settlement is about: its idempotency key, until the batch is over;
// NULL: it is about another, or is put back. To be asked before outbox_settle. outbox_settle counts
// it as delivered when DONE, else as dropped: what comes then is for the workflow to say.
const char *outbox_call_key(const struct outbox *outbox, const struct settlement *settlement);
// Takes it back, counted as dropped, unless it is on its way or gone.
enum err outbox_withdraw(struct outbox *outbox, uint64_t id, struct books *books, struct error *e);

// Writes the counters that the batch has changed.
enum err outbox_flush(struct outbox *outbox, const struct books *books, struct error *e);
void outbox_commit(struct outbox *outbox);
void outbox_rollback(struct outbox *outbox);

// See core_take, core_next_due_ms and core_has_room.
uint32_t outbox_take(struct outbox *outbox, uint32_t target, uint32_t count_max, uint64_t bytes_max,
                     int64_t now_ms, const struct delivery **out_deliveries);
int64_t outbox_next_due_ms(const struct outbox *outbox);
enum err outbox_has_room(struct outbox *outbox, struct error *e);

void outbox_counters(const struct outbox *outbox, core_counter_fn *each, void *context);

#endif
