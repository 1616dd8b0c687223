// store_memory.h - what SQLite takes of memory while a statement of a user runs: measured, and
// stopped at a bound.
//
// Two bounds. Beyond the first the statement is interrupted and can make no long texts any more; it
// ends soon, and the transaction goes on. What a single instruction of it takes at once may
// still be a multiple: beyond the second SQLite gets no memory, and then it rolls back the
// transaction by itself.
//
// Threads:   a watch sees its own thread.
//
// Ownership: the watch is the caller's and stands still between begin and end.
//
// Failure:   none; the watch says which bound was passed.
#ifndef PIPIT_STORE_STORE_MEMORY_H
#define PIPIT_STORE_STORE_MEMORY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#define STORE_MEMORY_MULTIPLE 4 // The second bound, in times of the first.

struct store_memory_watch {
    sqlite3 *db;
    int64_t used_bytes, peak_bytes, limit_bytes; // Since begin.
    bool is_over, is_refused;                    // Beyond the first bound; beyond the second.
};

// One at a time; limit_bytes 0: it measures only. No text or blob of the statement is longer than a
// quarter of the limit, and never than the connection allows anyway.
void store_memory_begin(struct store_memory_watch *watch, sqlite3 *db, int64_t limit_bytes);
void store_memory_end(struct store_memory_watch *watch);

#endif
