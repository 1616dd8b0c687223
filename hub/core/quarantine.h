// quarantine.h - what was rejected, whole and with the reason; bounded in bytes, the oldest make
// room. What is larger than payload_max or the quarantine itself is cut short.
// Threads:   core thread.
// Ownership: quarantine_create creates; what is put is borrowed for the call.
// Failure:   of the store's kind.
#ifndef PIPIT_CORE_QUARANTINE_H
#define PIPIT_CORE_QUARANTINE_H

#include "core/books.h"
#include "core/event_memory.h"

#define QUARANTINE_CUT_BYTES 4096 // Kept of a payload that is too large to be kept.

struct quarantine;

struct rejection {
    const struct message *message;
    const char *reason;
    const char *rule;  // The one that failed; NULL: the message could not be read.
    const char *event; // What its idempotency keys begin with, "" when it has none.
    int64_t at_ms;
};

enum err quarantine_create(struct quarantine **out_quarantine, struct store *store,
                           struct error *e);
void quarantine_destroy(struct quarantine *quarantine); // NULL is fine.

// Counts in ledger->books.quarantined and quarantine_bytes. Entries that do not fit even when cut
// are counted and not kept. memory: for the while of the batch.
enum err quarantine_put(struct quarantine *quarantine, const struct rejection *rejection,
                        const struct core_spec *spec, struct event_memory *memory,
                        struct ledger *ledger, struct error *e);

struct quarantine_range {
    int64_t first, last; // Ids, both included.
};

// An operator's wish; adds the number of entries that are gone to *inout_count. books.quarantined
// stays: it counts what was ever put.
enum err quarantine_drop(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct ledger *ledger, uint64_t *inout_count, struct error *e);

// An entry as it can be played again.
struct quarantined {
    int64_t id;
    struct message message;
    struct playback playback;
    uint64_t cut_bytes; // Of the payload that are not here.
};

// The first of the range, in memory; *out_has_one false: there is none.
enum err quarantine_read(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct event_memory *memory, struct quarantined *out_entry,
                         bool *out_has_one, struct error *e);

// Remembers that it was edited. The quarantine may be over its limit by it until the next entry
// comes. ERR_NOT_FOUND, ERR_INVALID: refused.
enum err quarantine_edit(struct quarantine *quarantine, int64_t id, const struct edit *edit,
                         int64_t now_ms, struct ledger *ledger, struct error *e);

#endif
