#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "store/schema.h"
#include "store/store_look.h"
#include "store/store_vfs.h"

// The log is checkpointed after so many pages (8 MB): twice SQLite's default halves the pages that
// are written twice, and the index of the log stays at one 32 KB region of memory.
#define CHECKPOINT_PAGES 2000
// On a disk with less than this to spare the log is kept short, for its room is needed.
#define TIGHT_BYTES            (4 * CHECKPOINT_PAGES * 4096)
#define CHECKPOINT_PAGES_TIGHT 50
#define BUSY_MS                5000 // A reader of ours, or a person with the sqlite3 shell.

struct store {
    sqlite3 *db;
    struct store_vfs *vfs;
    char *path;
    char id[9];
    int lock_fd;                // -1: none.
    bool is_memory, has_folder; // has_folder: the platform's VFS, so statvfs says the truth.
    bool is_read_only, is_sync_off;
    bool is_synced; // PRAGMA synchronous as it stands.
    bool is_sealed, was_full;
    bool is_tight; // As store_disk_free_bytes last saw.
    int log_pages; // After the last commit.
    sqlite3_stmt *begin, *commit, *rollback, *page_count, *free_count;
    int64_t page_bytes;
};

static const char pragmas[] = "PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL;"
                              "PRAGMA temp_store=MEMORY;"
                              "PRAGMA cache_size=-2048;" // KB.
                              "PRAGMA journal_size_limit=16777216;"
                              "PRAGMA trusted_schema=OFF;";

enum err store_fail(struct store *store, int sqlite_rc, const char *what, struct error *e)
{
    int extended = sqlite3_extended_errcode(store->db);
    const char *why = (extended & 0xFF) == (sqlite_rc & 0xFF) ? sqlite3_errmsg(store->db)
                                                              : sqlite3_errstr(sqlite_rc);
    enum err rc;
    if (sqlite_rc == SQLITE_IOERR_NOMEM || extended == SQLITE_IOERR_NOMEM) {
        sqlite_rc = SQLITE_NOMEM;
    }
    switch (sqlite_rc & 0xFF) {
    case SQLITE_NOMEM:
        return error_set(e, ERR_NO_MEMORY, "store %s: %s: out of memory", store->path, what);
    case SQLITE_FULL:
        store->was_full = true;
        return error_set(e, ERR_FULL, "store %s: %s: the disk is full; make room on it",
                         store->path, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, ERR_FULL,
                         "store %s: %s: another process has held the database locked for %d s; "
                         "end its transaction",
                         store->path, what, BUSY_MS / 1000);
    case SQLITE_TOOBIG:
        return error_set(e, ERR_INVALID, "store %s: %s: larger than a row can be", store->path,
                         what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        rc = ERR_CORRUPT;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
        rc = ERR_IO;
        break;
    default:
        return error_set(e, ERR_INTERNAL, "store %s: %s: %s", store->path, what, why);
    }
    if (!store->is_sealed) {
        store->is_sealed = true;
        log_line(LOG_DEBUG, "store", "STORE-FAILED", "path=%s while=\"%s\" err=\"%s\" code=%d",
                 store->path, what, why, extended);
    }
    return rc == ERR_CORRUPT
               ? error_set(e, rc, "store %s: %s: the database is damaged (%s)", store->path, what,
                           why)
               : error_set(e, rc,
                           "store %s: %s: %s (%d); nothing more is acknowledged until it "
                           "has been opened again",
                           store->path, what, why, extended);
}

static enum err run(struct store *store, const char *sql, const char *what, struct error *e)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_fail(store, rc, what, e);
}

static enum err take_lock(struct store *store, struct error *e)
{
    char *path = sqlite3_mprintf("%s.lock", store->path);
    if (path == NULL) {
        return error_set(e, ERR_NO_MEMORY, "store %s: out of memory", store->path);
    }
    enum err rc = ERR_OK;
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (store->lock_fd < 0) {
        rc = error_set(e, ERR_IO,
                       "store %s: cannot make %s: %s; the folder must exist and be writable",
                       store->path, path, strerror(errno));
    } else if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        char owner[16] = "";
        ssize_t len = pread(store->lock_fd, owner, sizeof(owner) - 1, 0);
        owner[len > 0 ? len : 0] = '\0';
        owner[strcspn(owner, "\n")] = '\0';
        rc = error_set(e, ERR_BUSY,
                       "store %s: in use by another hub (process %s holds %s); stop it, or give "
                       "this hub a store of its own",
                       store->path, owner, path);
    } else if (ftruncate(store->lock_fd, 0) != 0 || dprintf(store->lock_fd, "%d\n", getpid()) < 0) {
        // On a full disk the lock stands without a name in it.
        log_line(LOG_DEBUG, "store", "STORE-LOCK", "path=%s err=\"%s\"", path, strerror(errno));
    }
    sqlite3_free(path);
    return rc;
}

static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct store *)context)->log_pages = pages;
    return SQLITE_OK;
}

static enum err read_version(struct store *store, int64_t *out_version, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        *out_version = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? ERR_OK : store_fail(store, rc, "read", e);
}

// Who only reads cannot bring it up to date.
static enum err check_version(struct store *store, struct error *e)
{
    int64_t version = 0;
    enum err rc = read_version(store, &version, e);
    if (rc != ERR_OK || version == STORE_SCHEMA_VERSION) {
        return rc;
    }
    return error_set(
        e, ERR_VERSION,
        "store %s: written by an older version of Pipit (format %d, this one reads %d); "
        "a hub of this version brings it up to date when it opens it",
        store->path, (int)version, STORE_SCHEMA_VERSION);
}

static enum err add_id(struct store *store, struct error *e)
{
    sqlite3_vfs *base = store_vfs_base(store->vfs);
    uint8_t chance[4];
    base->xRandomness(base, sizeof(chance), (char *)chance);
    char sql[120];
    snprintf(sql, sizeof(sql), "INSERT INTO pipit_meta VALUES ('store_id', '%02x%02x%02x%02x')",
             chance[0], chance[1], chance[2], chance[3]);
    return run(store, sql, "create", e);
}

static enum err run_steps(struct store *store, int64_t version, struct error *e)
{
    enum err rc = ERR_OK;
    for (int64_t v = version; rc == ERR_OK && v < STORE_SCHEMA_VERSION; v++) {
        for (const char *const *sql = store_schema_steps[v]; rc == ERR_OK && *sql != NULL; sql++) {
            rc = run(store, *sql, version == 0 ? "create" : "upgrade", e);
        }
    }
    char pragmas_sql[96];
    snprintf(pragmas_sql, sizeof(pragmas_sql), "PRAGMA application_id=%d; PRAGMA user_version=%d",
             STORE_APPLICATION_ID, STORE_SCHEMA_VERSION);
    return rc == ERR_OK ? run(store, pragmas_sql, "upgrade", e) : rc;
}

// From whatever version the file is, an empty one included, to ours: all of it or nothing.
static enum err upgrade(struct store *store, struct error *e)
{
    int64_t version = 0;
    enum err rc = read_version(store, &version, e);
    if (rc != ERR_OK || version == STORE_SCHEMA_VERSION) {
        return rc;
    }
    rc = run(store, "BEGIN IMMEDIATE", "upgrade", e);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = run_steps(store, version, e);
    if (rc == ERR_OK && version == 0) {
        rc = add_id(store, e);
    }
    rc = rc == ERR_OK ? run(store, "COMMIT", "upgrade", e) : rc;
    if (rc != ERR_OK) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    } else if (version > 0) {
        log_line(LOG_INFO, "store", "STORE-UPGRADED", "path=%s from=%d to=%d", store->path,
                 (int)version, STORE_SCHEMA_VERSION);
    }
    return rc;
}

// Whoever reads our tables must find them as we made them.
static enum err read_id(struct store *store, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "SELECT value FROM pipit_meta WHERE name = 'store_id'",
                                -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    enum err result = ERR_OK;
    if (rc == SQLITE_ROW) {
        snprintf(store->id, sizeof(store->id), "%s",
                 (const char *)sqlite3_column_text(statement, 0));
    } else if (rc == SQLITE_DONE || rc == SQLITE_ERROR) {
        result = error_set(e, ERR_CORRUPT, "store %s: its identity is missing", store->path);
    } else {
        result = store_fail(store, rc, "read", e);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err prepare(struct store *store, struct error *e)
{
    const struct {
        const char *sql;
        sqlite3_stmt **out;
    } statements[] = {
        {"BEGIN IMMEDIATE", &store->begin},
        {"COMMIT", &store->commit},
        {"ROLLBACK", &store->rollback},
        {"PRAGMA page_count", &store->page_count},
        {"PRAGMA freelist_count", &store->free_count},
    };
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        int rc = sqlite3_prepare_v3(store->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    statements[i].out, NULL);
        if (rc != SQLITE_OK) {
            return store_fail(store, rc, "prepare", e);
        }
    }
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store->db, "PRAGMA page_size", -1, &statement, NULL);
    if (rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        store->page_bytes = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_OK ? ERR_OK : store_fail(store, rc, "prepare", e);
}

// Everything of an earlier process is on the disk, in the database itself, before this one may
// acknowledge anything that builds on it.
static enum err make_durable(struct store *store, struct error *e)
{
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    // A reader may keep the log from being emptied; it was synced all the same. On a full disk the
    // database cannot grow; it is safe in the log.
    bool is_fine = rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_FULL;
    return is_fine ? ERR_OK : store_fail(store, rc, "checkpoint", e);
}

static enum err open_to_write(struct store *store, bool is_new, struct error *e)
{
    enum err rc = ERR_OK;
    if (!store->is_memory && !is_new) {
        rc = store_rewrite_log(store->path, store->vfs, e);
    }
    if (rc == ERR_OK) {
        rc = run(store, pragmas, "open", e);
        store->is_synced = true;
    }
    if (rc == ERR_OK && store->is_sync_off) {
        rc = run(store, "PRAGMA synchronous=OFF", "open", e);
    }
    if (rc == ERR_OK) {
        sqlite3_wal_hook(store->db, on_commit, store);
        rc = upgrade(store, e);
    }
    return rc == ERR_OK && !store->is_memory ? make_durable(store, e) : rc;
}

static enum err open_db(struct store *store, struct error *e)
{
    bool is_new = store->is_memory;
    if (!store->is_memory) {
        enum err rc = store_look(store->path, store->vfs, !store->is_read_only, &is_new, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    if (store->is_read_only && is_new) {
        return error_set(e, ERR_NOT_FOUND, "store %s: there is no store yet; has the hub run?",
                         store->path);
    }
    int mode =
        store->is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int rc = sqlite3_open_v2(store->path, &store->db, mode | SQLITE_OPEN_NOMUTEX,
                             store_vfs_name(store->vfs));
    if (rc != SQLITE_OK) {
        return store_fail(store, rc, "open", e);
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, BUSY_MS);
    enum err result =
        store->is_read_only ? check_version(store, e) : open_to_write(store, is_new, e);
    if (result == ERR_OK) {
        result = read_id(store, e);
    }
    return result == ERR_OK ? prepare(store, e) : result;
}

enum err store_open(struct store **out_store, const struct store_options *options, struct error *e)
{
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL || (store->path = strdup(options->path)) == NULL) {
        free(store);
        return error_set(e, ERR_NO_MEMORY, "store %s: out of memory", options->path);
    }
    store->lock_fd = -1;
    store->is_memory = strcmp(options->path, ":memory:") == 0;
    store->has_folder = !store->is_memory && options->vfs == NULL;
    store->is_read_only = options->is_read_only;
    store->is_sync_off = options->is_sync_off;
    enum err rc = store_vfs_create(&store->vfs, options->vfs, e);
    if (rc == ERR_OK && store->has_folder && !store->is_read_only) {
        rc = take_lock(store, e);
    }
    if (rc == ERR_OK) {
        rc = open_db(store, e);
    }
    if (rc != ERR_OK) {
        store_close(store);
        return rc;
    }
    *out_store = store;
    return ERR_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    sqlite3_finalize(store->begin);
    sqlite3_finalize(store->commit);
    sqlite3_finalize(store->rollback);
    sqlite3_finalize(store->page_count);
    sqlite3_finalize(store->free_count);
    if (store->db != NULL) {
        // What a failed sync has left behind is for store_open to sort out, not for this process.
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                          store->is_sealed || store->is_read_only, NULL);
        int rc = sqlite3_close(store->db);
        assert(rc == SQLITE_OK); // Else somebody has not finalized a statement.
    }
    store_vfs_destroy(store->vfs);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    free(store->path);
    free(store);
}

sqlite3 *store_db(struct store *store)
{
    return store->db;
}

const char *store_id(const struct store *store)
{
    return store->id;
}

void store_set_now(struct store *store, int64_t now_ms)
{
    store_vfs_set_now(store->vfs, now_ms);
}

// The setting cannot change inside a transaction, and need not for most batches.
static enum err set_synced(struct store *store, bool is_synced, struct error *e)
{
    if (store->is_synced == is_synced || store->is_sync_off || store->is_memory) {
        return ERR_OK;
    }
    enum err rc =
        run(store, is_synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", "begin", e);
    if (rc == ERR_OK) {
        store->is_synced = is_synced;
    }
    return rc;
}

static enum err step(struct store *store, sqlite3_stmt *statement, const char *what,
                     struct error *e)
{
    int rc = sqlite3_step(statement);
    enum err result = rc == SQLITE_DONE ? ERR_OK : store_fail(store, rc, what, e);
    sqlite3_reset(statement);
    return result;
}

enum err store_begin(struct store *store, bool is_synced, struct error *e)
{
    if (store->is_sealed) {
        return error_set(e, ERR_IO, "store %s: sealed by an earlier failure", store->path);
    }
    enum err rc = set_synced(store, is_synced, e);
    return rc == ERR_OK ? step(store, store->begin, "begin", e) : rc;
}

// A checkpoint syncs the log first: when that fails, commits that came after the last good sync are
// not safe, and SQLite's own automatic checkpoint would not tell.
static enum err checkpoint(struct store *store, int mode, struct error *e)
{
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
    switch (rc & 0xFF) {
    case SQLITE_OK:
    case SQLITE_BUSY: // A reader; the next one will do.
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
        return ERR_OK;
    case SQLITE_FULL: // The database cannot grow. What is committed is safe in the log.
        log_line_limited(LOG_WARN, "store", "STORE-CHECKPOINT", 60000,
                         "path=%s err=\"the disk is full\"", store->path);
        return ERR_OK;
    default:
        return store_fail(store, rc, "checkpoint", e);
    }
}

enum err store_commit(struct store *store, struct error *e)
{
    enum err rc = step(store, store->commit, "commit", e);
    if (rc == ERR_OK &&
        store->log_pages >= (store->is_tight ? CHECKPOINT_PAGES_TIGHT : CHECKPOINT_PAGES)) {
        store->log_pages = 0;
        rc = checkpoint(store, SQLITE_CHECKPOINT_PASSIVE, e);
    }
    return rc;
}

void store_rollback(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db)) {
        sqlite3_step(store->rollback); // What fails here was said by what made us roll back.
        sqlite3_reset(store->rollback);
    }
    if ((store->was_full || store->is_tight) && !store->is_sealed) {
        store->was_full = false;
        checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE, NULL); // Gives the log's room back.
    }
}

bool store_is_sealed(const struct store *store)
{
    return store->is_sealed;
}

static int64_t count_of(sqlite3_stmt *statement)
{
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return count;
}

uint64_t store_used_bytes(struct store *store)
{
    int64_t pages = count_of(store->page_count) - count_of(store->free_count);
    return pages > 0 ? (uint64_t)(pages * store->page_bytes) : 0;
}

uint64_t store_disk_free_bytes(struct store *store)
{
    struct statvfs space;
    char *folder = store->has_folder ? strdup(store->path) : NULL;
    if (folder == NULL) {
        return UINT64_MAX;
    }
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int rc = statvfs(folder, &space);
    free(folder);
    if (rc != 0) {
        return UINT64_MAX;
    }
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    int64_t pages = count_of(store->page_count);
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
        file != NULL && file->pMethods != NULL) {
        file->pMethods->xFileSize(file, &size);
    }
    uint64_t grows =
        pages * store->page_bytes > size ? (uint64_t)(pages * store->page_bytes - size) : 0;
    uint64_t available = (uint64_t)space.f_bavail * space.f_frsize;
    available = available > grows ? available - grows : 0;
    store->is_tight = available < TIGHT_BYTES;
    return available;
}
