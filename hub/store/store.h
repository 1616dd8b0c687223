// store.h - the one SQLite file: opened, locked, versioned, bounded, synced, and sealed when a sync
// fails.
//
// Threads:   one thread.
//
// Ownership: store_open creates, store_close destroys.
//
// Failure:   ERR_BUSY (another hub has it), ERR_VERSION (newer; untouched), ERR_CORRUPT
// (untouched), ERR_FULL (rolled back, may be tried again), ERR_IO (sealed: close and open again).
#ifndef PIPIT_STORE_STORE_H
#define PIPIT_STORE_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct store;

#define STORE_SCHEMA_VERSION 3
#define STORE_APPLICATION_ID 0x50697074 // "Pipt" in the SQLite header.

struct store_options {
    const char *path;
    const char *vfs;   // Base VFS, NULL for the platform's; the simulator gives its own.
    bool is_read_only; // For `pipit status` beside a running hub: no lock, no schema change.
    bool is_sync_off;  // Test-only: the negative control of the power-cut tests.
};

// Opens or creates, takes the lock (PATH.lock, flock), checks application id, version and integrity
// of the header, brings a store of an earlier version up to date in one transaction (read-only:
// ERR_VERSION), and makes what an earlier process wrote durable (checkpoint, synced) before
// returning.
enum err store_open(struct store **out_store, const struct store_options *options, struct error *e);
void store_close(struct store *store); // NULL is fine.

sqlite3 *store_db(struct store *store);
const char *store_id(const struct store *store); // 8 hex digits, made when the store was created.

// The time that SQL's 'now' gives on this store; set by core_step.
void store_set_now(struct store *store, int64_t now_ms);

// is_synced false: the commit may be lost by a power cut but is ordered before later ones.
enum err store_begin(struct store *store, bool is_synced, struct error *e);
enum err store_commit(struct store *store, struct error *e); // After an error: store_rollback.
void store_rollback(struct store *store);
bool store_is_sealed(const struct store *store);

uint64_t store_used_bytes(struct store *store); // Pages in use, without free ones.

// Free space of the file system, less what the file will still grow by when the write-ahead log is
// checkpointed. UINT64_MAX when the VFS has no file system.
uint64_t store_disk_free_bytes(struct store *store);

// Maps an SQLite result code of this store's connection to our codes and seals it where due.
enum err store_fail(struct store *store, int sqlite_rc, const char *what, struct error *e);

#endif
