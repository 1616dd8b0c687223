#include "store/store_vfs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define JULIAN_EPOCH_MS 210866760000000 // 1970-01-01 in SQLite's milliseconds.

struct store_vfs {
    sqlite3_vfs vfs; // First: SQLite hands it back to us.
    sqlite3_vfs *base;
    char name[40];
    uint64_t random_state;
    int64_t now_ms;
    bool has_now;
};

static struct store_vfs *shim_of(sqlite3_vfs *vfs)
{
    return (struct store_vfs *)vfs;
}

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xOpen(base, name, file, flags, out_flags); // The file is all the base's.
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xDelete(base, name, sync_folder);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_result)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xAccess(base, name, flags, out_result);
}

static int shim_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xFullPathname(base, name, size, out);
}

// What rules can reach is the same in every run: splitmix64 from a fixed start.
static int shim_randomness(sqlite3_vfs *vfs, int count, char *out)
{
    struct store_vfs *shim = shim_of(vfs);
    for (int i = 0; i < count; i++) {
        shim->random_state += 0x9E3779B97F4A7C15u;
        uint64_t mixed = (shim->random_state ^ (shim->random_state >> 30)) * 0xBF58476D1CE4E5B9u;
        out[i] = (char)(mixed >> 56);
    }
    return count;
}

static int shim_sleep(sqlite3_vfs *vfs, int microseconds)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xSleep(base, microseconds);
}

static int shim_current_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    struct store_vfs *shim = shim_of(vfs);
    if (shim->has_now) {
        *out = JULIAN_EPOCH_MS + shim->now_ms;
        return SQLITE_OK;
    }
    return shim->base->xCurrentTimeInt64(shim->base, out);
}

static int shim_current_time(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 milliseconds = 0;
    int rc = shim_current_time64(vfs, &milliseconds);
    *out = (double)milliseconds / 86400000.0;
    return rc;
}

static int shim_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    sqlite3_vfs *base = shim_of(vfs)->base;
    return base->xGetLastError(base, size, out);
}

enum err store_vfs_create(struct store_vfs **out_vfs, const char *base_name, struct error *e)
{
    sqlite3_vfs *base = sqlite3_vfs_find(base_name);
    if (base == NULL || base->iVersion < 2) {
        return error_set(e, ERR_NOT_FOUND, "SQLite has no file system layer called \"%s\"",
                         base_name == NULL ? "default" : base_name);
    }
    struct store_vfs *shim = calloc(1, sizeof(*shim));
    if (shim == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the store");
    }
    snprintf(shim->name, sizeof(shim->name), "pipit-store-%p", (void *)shim);
    shim->base = base;
    shim->vfs = (sqlite3_vfs){
        .iVersion = 2, // No dlopen: extensions are never loaded.
        .szOsFile = base->szOsFile,
        .mxPathname = base->mxPathname,
        .zName = shim->name,
        .xOpen = shim_open,
        .xDelete = shim_delete,
        .xAccess = shim_access,
        .xFullPathname = shim_full_pathname,
        .xRandomness = shim_randomness,
        .xSleep = shim_sleep,
        .xCurrentTime = shim_current_time,
        .xGetLastError = shim_last_error,
        .xCurrentTimeInt64 = shim_current_time64,
    };
    if (sqlite3_vfs_register(&shim->vfs, 0) != SQLITE_OK) {
        free(shim);
        return error_set(e, ERR_NO_MEMORY, "out of memory for the store");
    }
    *out_vfs = shim;
    return ERR_OK;
}

void store_vfs_destroy(struct store_vfs *vfs)
{
    if (vfs != NULL) {
        sqlite3_vfs_unregister(&vfs->vfs);
        free(vfs);
    }
}

const char *store_vfs_name(const struct store_vfs *vfs)
{
    return vfs->name;
}

sqlite3_vfs *store_vfs_base(const struct store_vfs *vfs)
{
    return vfs->base;
}

void store_vfs_set_now(struct store_vfs *vfs, int64_t now_ms)
{
    vfs->now_ms = now_ms;
    vfs->has_now = true;
}
