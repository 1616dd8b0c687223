// dedupe.h - what was seen of which device: a window a boot in the store, the recent ones in
// memory.
//
// Threads:   core thread.
//
// Ownership: dedupe_create creates; an entry lives until the next dedupe_commit or dedupe_rollback.
//
// Failure:   of the store's kind; then dedupe_rollback, which forgets everything that is ahead of
// the store.
#ifndef PIPIT_CORE_DEDUPE_H
#define PIPIT_CORE_DEDUPE_H

#include <stdbool.h>

#include "core/event.h"
#include "core/sequence_window.h"
#include "store/store.h"

#define DEDUPE_BOOTS_MAX 64    // Kept of a device.
#define DEDUPE_CACHE_MAX 16384 // Boots in memory between batches: about 3 MB.

struct dedupe;

// One boot of one device.
struct dedupe_entry {
    struct sequence_window window;
    bool wants_receipt;
    struct dedupe_entry *next_touched; // In this batch, in order of their first event.
    uint32_t boot;
    const char *device; // "<group>/<device>"
};

enum err dedupe_create(struct dedupe **out_dedupe, struct store *store, uint32_t faults,
                       struct error *e);
void dedupe_destroy(struct dedupe *dedupe); // NULL is fine.

// Takes note of the event's sequence, which is above 0. is_counted_from_one: the device starts each
// boot at 1, so what is before its first event is missing. *out_is_new: it was not seen before.
enum err dedupe_see(struct dedupe *dedupe, const struct event_identity *identity,
                    bool is_counted_from_one, bool *out_is_new, struct dedupe_entry **out_entry,
                    struct error *e);

// Writes what the batch has changed; *missing is moved by what it has changed there.
enum err dedupe_flush(struct dedupe *dedupe, uint64_t *missing, struct error *e);
const struct dedupe_entry *dedupe_touched(const struct dedupe *dedupe);
void dedupe_commit(struct dedupe *dedupe);
void dedupe_rollback(struct dedupe *dedupe);

#endif
