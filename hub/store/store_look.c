#include "store/store_look.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_BYTES 65536
#define LOOK_FLAGS (SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI)

static enum err foreign(const char *path, const char *what, struct error *e)
{
    return error_set(e, ERR_CORRUPT,
                     "store %s: %s; it was left untouched. Move it away, or give another path for "
                     "the store",
                     path, what);
}

// One number from a statement; the SQLite result code is SQLITE_ROW when there was one.
static int ask(sqlite3 *db, const char *sql, int64_t *out_number)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    if (rc == SQLITE_ROW) {
        *out_number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc;
}

static enum err look_failed(sqlite3 *db, const char *path, int rc, struct error *e)
{
    switch (rc & 0xFF) {
    case SQLITE_NOTADB:
        return foreign(path, "this file is not an SQLite database", e);
    case SQLITE_CORRUPT:
        return foreign(path, "this SQLite database is damaged", e);
    case SQLITE_NOMEM:
        return error_set(e, ERR_NO_MEMORY, "store %s: out of memory", path);
    case SQLITE_BUSY:
        return error_set(e, ERR_BUSY, "store %s: another process has locked the database", path);
    default:
        return error_set(e, ERR_IO, "store %s: cannot be read: %s", path, sqlite3_errmsg(db));
    }
}

static enum err check_pages(sqlite3 *db, const char *path, struct error *e)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
    }
    enum err result = ERR_OK;
    if (rc != SQLITE_ROW) {
        result = look_failed(db, path, rc, e);
    } else if (sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        char what[240];
        snprintf(what, sizeof(what), "this store is damaged (%.160s)",
                 (const char *)sqlite3_column_text(statement, 0));
        result = foreign(path, what, e);
    }
    sqlite3_finalize(statement);
    return result;
}

static enum err judge(sqlite3 *db, const char *path, bool is_deep, bool *out_is_new,
                      struct error *e)
{
    int64_t application = 0, version = 0, objects = 0, bytes = 0;
    const struct {
        const char *sql;
        int64_t *out;
    } questions[] = {
        {"PRAGMA application_id", &application},
        {"PRAGMA user_version", &version},
        {"SELECT count(*) FROM sqlite_schema", &objects},
        {"SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &bytes},
    };
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        int rc = ask(db, questions[i].sql, questions[i].out);
        if (rc != SQLITE_ROW) {
            return look_failed(db, path, rc, e);
        }
    }
    if (application == 0 && version == 0 && objects == 0) {
        *out_is_new = true;
        return ERR_OK;
    }
    if (application != STORE_APPLICATION_ID) {
        return foreign(path, "this SQLite database belongs to another program", e);
    }
    if (version > STORE_SCHEMA_VERSION) {
        return error_set(e, ERR_VERSION,
                         "store %s: written by a newer version of Pipit (format %" PRId64
                         ", this one knows up to %d); it was left untouched. Install the newer "
                         "version, or give another path for the store",
                         path, version, STORE_SCHEMA_VERSION);
    }
    *out_is_new = false;
    return is_deep && bytes <= STORE_CHECKED_BYTES_MAX ? check_pages(db, path, e) : ERR_OK;
}

// Through SQLite a read-only look makes a log and an index beside a file that has none, unless it
// is told that nobody writes to it; and where there is no log, nobody is in the middle of a write.
static char *look_uri(const char *path, bool is_quiet)
{
    char *uri = malloc(strlen(path) * 3 + 32);
    if (uri == NULL) {
        return NULL;
    }
    size_t at = (size_t)sprintf(uri, "file:");
    for (const char *c = path; *c != '\0'; c++) {
        bool is_plain = isalnum((unsigned char)*c) || strchr("/._-", *c) != NULL;
        at += (size_t)sprintf(uri + at, is_plain ? "%c" : "%%%02X", (unsigned char)*c);
    }
    strcpy(uri + at, is_quiet ? "?immutable=1" : "");
    return uri;
}

static enum err look_at(const char *path, const struct store_vfs *vfs, bool is_quiet, bool is_deep,
                        bool *out_is_new, struct error *e)
{
    char *uri = look_uri(path, is_quiet);
    sqlite3 *db = NULL;
    int rc =
        uri == NULL ? SQLITE_NOMEM : sqlite3_open_v2(uri, &db, LOOK_FLAGS, store_vfs_name(vfs));
    free(uri);
    if (db == NULL) {
        return error_set(e, ERR_NO_MEMORY, "store %s: out of memory", path);
    }
    enum err result;
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(db, 5000);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = judge(db, path, is_deep, out_is_new, e);
    } else {
        result = look_failed(db, path, rc, e);
    }
    sqlite3_close(db);
    return result;
}

enum err store_look(const char *path, const struct store_vfs *vfs, bool is_deep, bool *out_is_new,
                    struct error *e)
{
    sqlite3_vfs *base = store_vfs_base(vfs);
    int exists = 0, has_log = 0;
    char *log = sqlite3_mprintf("%s-wal", path);
    int rc = log == NULL ? SQLITE_NOMEM : base->xAccess(base, path, SQLITE_ACCESS_EXISTS, &exists);
    if (rc == SQLITE_OK) {
        rc = base->xAccess(base, log, SQLITE_ACCESS_EXISTS, &has_log);
    }
    sqlite3_free(log);
    if (rc != SQLITE_OK) {
        return error_set(e, rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_IO, "store %s: %s", path,
                         sqlite3_errstr(rc));
    }
    *out_is_new = !exists;
    return exists ? look_at(path, vfs, !has_log, is_deep, out_is_new, e) : ERR_OK;
}

static int rewrite(sqlite3_file *file, uint8_t *buffer)
{
    sqlite3_int64 size = 0;
    int rc = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; rc == SQLITE_OK && at < size; at += COPY_BYTES) {
        int count = size - at < COPY_BYTES ? (int)(size - at) : COPY_BYTES;
        rc = file->pMethods->xRead(file, buffer, count, at);
        if (rc == SQLITE_OK) {
            rc = file->pMethods->xWrite(file, buffer, count, at);
        }
    }
    return rc == SQLITE_OK && size > 0 ? file->pMethods->xSync(file, SQLITE_SYNC_FULL) : rc;
}

// name is in the form that SQLite gives to a VFS.
static int rewrite_named(sqlite3_vfs *base, const char *name)
{
    int exists = 0;
    int rc = base->xAccess(base, name, SQLITE_ACCESS_EXISTS, &exists);
    if (rc != SQLITE_OK || !exists) {
        return rc;
    }
    sqlite3_file *file = calloc(1, (size_t)base->szOsFile);
    uint8_t *buffer = malloc(COPY_BYTES);
    rc = file == NULL || buffer == NULL
             ? SQLITE_NOMEM
             : base->xOpen(base, name, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
    if (rc == SQLITE_OK) {
        rc = rewrite(file, buffer);
    }
    if (file != NULL && file->pMethods != NULL) {
        file->pMethods->xClose(file);
    }
    free(buffer);
    free(file);
    return rc;
}

enum err store_rewrite_log(const char *path, const struct store_vfs *vfs, struct error *e)
{
    sqlite3_vfs *base = store_vfs_base(vfs);
    char *full = calloc(1, (size_t)base->mxPathname + 8);
    if (full == NULL) {
        return error_set(e, ERR_NO_MEMORY, "store %s: out of memory", path);
    }
    int rc = base->xFullPathname(base, path, base->mxPathname + 1, full);
    rc = (rc & 0xFF) == SQLITE_OK ? SQLITE_OK : rc; // A symbolic link is fine.
    strcat(full, "-wal");
    const char *name = rc == SQLITE_OK ? sqlite3_create_filename(full, "", full, 0, NULL) : NULL;
    if (rc == SQLITE_OK) {
        rc = name == NULL ? SQLITE_NOMEM : rewrite_named(base, sqlite3_filename_wal(name));
    }
    sqlite3_free_filename((char *)(uintptr_t)name);
    free(full);
    return rc == SQLITE_OK ? ERR_OK
                           : error_set(e, ERR_IO,
                                       "store %s: its write-ahead log cannot be written and synced "
                                       "(%s); is the disk failing?",
                                       path, sqlite3_errstr(rc));
}
