// quarantine.h - what was rejected, with the reason and the start of its payload; bounded in bytes,
// the oldest make room.
// Threads:   core thread.
// Failure:   of the store's kind.
#ifndef PIPIT_CORE_QUARANTINE_H
#define PIPIT_CORE_QUARANTINE_H

#include "core/books.h"

#define QUARANTINE_PAYLOAD_MAX 4096 // Bytes kept of a payload.
#define QUARANTINE_TOPIC_MAX   1024 // Bytes kept of a topic.

struct quarantine;

struct rejection {
    struct bytes topic, payload;
    const char *reason;
    int64_t at_ms;
};

enum err quarantine_create(struct quarantine **out_quarantine, struct store *store,
                           struct error *e);
void quarantine_destroy(struct quarantine *quarantine); // NULL is fine.

// Counts in ledger->books.quarantined and quarantine_bytes. Entries larger than limit_bytes are
// counted and not kept.
enum err quarantine_put(struct quarantine *quarantine, const struct rejection *rejection,
                        uint64_t limit_bytes, struct ledger *ledger, struct error *e);

struct quarantine_range {
    int64_t first, last; // Ids, both included.
};

// An operator's wish; adds the number of entries that are gone to *inout_count. books.quarantined
// stays: it counts what was ever put.
enum err quarantine_drop(struct quarantine *quarantine, const struct quarantine_range *range,
                         struct ledger *ledger, uint64_t *inout_count, struct error *e);

#endif
