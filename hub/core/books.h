// books.h - the one row in which every event and every delivery is counted.
// Threads:   core thread.
// Ownership: ledger_open creates; the ledger itself is the caller's.
// Failure:   of the store's kind. That the equations hold is asserted, in release builds too.
#ifndef PIPIT_CORE_BOOKS_H
#define PIPIT_CORE_BOOKS_H

#include "core/core.h"
#include "store/store.h"

struct ledger {
    struct books books;
    uint64_t next_event;                  // Number of the next event without identity.
    uint64_t quarantine_bytes;            // In the quarantine now.
    uint64_t history_rows, history_bytes; // In the history now.
};

struct ledger_file;

enum err ledger_open(struct ledger_file **out_file, struct store *store, struct ledger *out_ledger,
                     struct error *e);
void ledger_close(struct ledger_file *file); // NULL is fine.

// Checks the equations and writes the row.
enum err ledger_write(struct ledger_file *file, const struct ledger *ledger, struct error *e);

#endif
