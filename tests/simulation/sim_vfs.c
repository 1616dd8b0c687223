#include "sim_vfs.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX      8
#define SHM_REGION_MAX 64

// A write or a truncate that no sync has covered yet.
struct pending {
    struct pending *next;
    sqlite3_int64 offset;
    size_t len; // 0: truncate to offset.
    uint8_t data[];
};

struct content {
    uint8_t *data;
    size_t len, room;
};

struct disk_file {
    char name[128];
    int exists;
    struct content now;    // What a reader sees: the page cache.
    struct content synced; // What a power cut leaves for sure.
    struct pending *first, **last;
    void *shm[SHM_REGION_MAX]; // The WAL index: plain memory, lost with the process.
};

struct open_file {
    sqlite3_file base;
    struct disk_file *file;
};

static struct {
    struct disk_file files[FILES_MAX];
    struct sim_random *random;
    uint64_t cut_after;       // Operations left before the disk dies; 0: never.
    uint64_t sync_fail_after; // Syncs left before one fails; 0: never.
    int is_cut;
    struct disk_file *torn; // Whose newest pending write was under way when the disk died.
} disk;

static void content_write(struct content *content, size_t at, const void *data, size_t count)
{
    if (at + count > content->room) {
        content->room = (at + count) * 2;
        content->data = realloc(content->data, content->room);
        assert(content->data != NULL);
    }
    if (at > content->len) {
        memset(content->data + content->len, 0, at - content->len);
    }
    memcpy(content->data + at, data, count);
    content->len = at + count > content->len ? at + count : content->len;
}

// Applies the first `count` bytes of a write, or a truncate.
static void content_apply(struct content *content, const struct pending *pending, size_t count)
{
    if (pending->len > 0) {
        content_write(content, (size_t)pending->offset, pending->data, count);
    } else if ((size_t)pending->offset < content->len) {
        content->len = (size_t)pending->offset;
    }
}

static void file_forget_pending(struct disk_file *file)
{
    while (file->first != NULL) {
        struct pending *pending = file->first;
        file->first = pending->next;
        free(pending);
    }
    file->last = &file->first;
}

static void file_note_pending(struct disk_file *file, sqlite3_int64 offset, const void *data,
                              size_t len)
{
    struct pending *pending = malloc(sizeof(*pending) + len);
    assert(pending != NULL);
    *pending = (struct pending){.offset = offset, .len = len};
    if (len > 0) {
        memcpy(pending->data, data, len);
    }
    *file->last = pending;
    file->last = &pending->next;
}

static struct disk_file *disk_find(const char *name, int create)
{
    struct disk_file *unused = NULL;
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].exists && strcmp(disk.files[i].name, name) == 0) {
            return &disk.files[i];
        }
        if (!disk.files[i].exists && unused == NULL) {
            unused = &disk.files[i];
        }
    }
    if (!create) {
        return NULL;
    }
    assert(unused != NULL && strlen(name) < sizeof(unused->name));
    strcpy(unused->name, name);
    unused->exists = 1;
    unused->last = &unused->first;
    return unused;
}

// Counts a change of the disk; returns nonzero when the disk is (now) dead.
static int disk_is_dead(void)
{
    if (!disk.is_cut && disk.cut_after > 0 && --disk.cut_after == 0) {
        disk.is_cut = 1;
    }
    return disk.is_cut;
}

static int file_close(sqlite3_file *base)
{
    (void)base;
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *out, int count, sqlite3_int64 offset)
{
    struct disk_file *file = ((struct open_file *)base)->file;
    if (disk.is_cut) {
        return SQLITE_IOERR_READ;
    }
    size_t at = (size_t)offset;
    size_t have = at >= file->now.len ? 0 : file->now.len - at;
    size_t take = have < (size_t)count ? have : (size_t)count;
    if (take > 0) {
        memcpy(out, file->now.data + at, take);
    }
    memset((uint8_t *)out + take, 0, (size_t)count - take);
    return take == (size_t)count ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *base, const void *data, int count, sqlite3_int64 offset)
{
    struct disk_file *file = ((struct open_file *)base)->file;
    if (disk.is_cut) {
        return SQLITE_IOERR_WRITE;
    }
    // The write at which the disk dies may still have reached it in part: it is pending like
    // others.
    int is_dead = disk_is_dead();
    file_note_pending(file, offset, data, (size_t)count);
    if (is_dead) {
        disk.torn = file;
        return SQLITE_IOERR_WRITE;
    }
    content_write(&file->now, (size_t)offset, data, (size_t)count);
    return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct disk_file *file = ((struct open_file *)base)->file;
    if (disk.is_cut || disk_is_dead()) {
        return SQLITE_IOERR_TRUNCATE;
    }
    file_note_pending(file, size, NULL, 0);
    file->now.len = (size_t)size < file->now.len ? (size_t)size : file->now.len;
    return SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct disk_file *file = ((struct open_file *)base)->file;
    if (disk.is_cut || disk_is_dead()) {
        return SQLITE_IOERR_FSYNC;
    }
    if (disk.sync_fail_after > 0 && --disk.sync_fail_after == 0) {
        // What Linux does: the pages count as clean now, though they never reached the disk.
        file_forget_pending(file);
        return SQLITE_IOERR_FSYNC;
    }
    for (struct pending *pending = file->first; pending != NULL; pending = pending->next) {
        content_apply(&file->synced, pending, pending->len);
    }
    file_forget_pending(file);
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    *out_size = (sqlite3_int64)((struct open_file *)base)->file->now.len;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
    (void)base;
    (void)level;
    return SQLITE_OK;
}

static int file_is_reserved(sqlite3_file *base, int *out_reserved)
{
    (void)base;
    *out_reserved = 0;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return 512;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int file_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
    struct disk_file *file = ((struct open_file *)base)->file;
    assert(region < SHM_REGION_MAX);
    if (file->shm[region] == NULL && extend) {
        file->shm[region] = calloc(1, (size_t)size);
        assert(file->shm[region] != NULL);
    }
    *out = file->shm[region];
    return SQLITE_OK;
}

static int file_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    (void)base;
    (void)offset;
    (void)count;
    (void)flags;
    return SQLITE_OK; // One connection: nobody to wait for.
}

static void file_shm_barrier(sqlite3_file *base)
{
    (void)base;
}

static void file_forget_shm(struct disk_file *file)
{
    for (size_t i = 0; i < SHM_REGION_MAX; i++) {
        free(file->shm[i]);
        file->shm[i] = NULL;
    }
}

static int file_shm_unmap(sqlite3_file *base, int is_deleted)
{
    (void)is_deleted;
    file_forget_shm(((struct open_file *)base)->file);
    return SQLITE_OK;
}

static const sqlite3_io_methods io_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_lock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                    int *out_flags)
{
    (void)vfs;
    struct open_file *open = (struct open_file *)base;
    base->pMethods = NULL;
    if (disk.is_cut) {
        return SQLITE_CANTOPEN;
    }
    open->file = disk_find(name == NULL ? "temporary" : name, flags & SQLITE_OPEN_CREATE);
    if (open->file == NULL) {
        return SQLITE_CANTOPEN;
    }
    base->pMethods = &io_methods;
    if (out_flags != NULL) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

static void file_erase(struct disk_file *file)
{
    file_forget_pending(file);
    file_forget_shm(file);
    free(file->now.data);
    free(file->synced.data);
    memset(file, 0, sizeof(*file));
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    (void)vfs;
    (void)sync_dir;
    struct disk_file *file = disk_find(name, 0);
    if (disk.is_cut || disk_is_dead()) {
        return SQLITE_IOERR_DELETE;
    }
    if (file == NULL) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    file_erase(file);
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_result)
{
    (void)vfs;
    struct disk_file *file = disk_find(name, 0);
    *out_result = file != NULL && (flags != SQLITE_ACCESS_EXISTS || file->now.len > 0);
    return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    sqlite3_snprintf(size, out, "%s", name);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int count, char *out)
{
    (void)vfs;
    memset(out, 0x5a, (size_t)count);
    return count;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    (void)vfs;
    return microseconds;
}

static int vfs_current_time(sqlite3_vfs *vfs, double *out)
{
    (void)vfs;
    *out = 2440587.5;
    return SQLITE_OK;
}

static int vfs_current_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = 210866760000000;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

static sqlite3_vfs sim_vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(struct open_file),
    .mxPathname = 127,
    .zName = SIM_VFS_NAME,
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_pathname,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_current_time,
    .xGetLastError = vfs_last_error,
    .xCurrentTimeInt64 = vfs_current_time64,
};

void sim_vfs_create(struct sim_random *random)
{
    disk.random = random;
    int rc = sqlite3_vfs_register(&sim_vfs, 0);
    assert(rc == SQLITE_OK);
    (void)rc;
}

void sim_vfs_cut_after(uint64_t operations)
{
    disk.cut_after = operations;
}

void sim_vfs_fail_sync_after(uint64_t syncs)
{
    disk.sync_fail_after = syncs;
}

int sim_vfs_is_cut(void)
{
    return disk.is_cut;
}

static void file_power_cycle(struct disk_file *file)
{
    // 0: nothing of the rest was written back, 1000: all of it, else any subset, torn at any byte.
    static const uint32_t kept_per_thousand[] = {0, 500, 900, 1000};
    uint32_t kept = kept_per_thousand[sim_random_below(disk.random, 4)];
    for (struct pending *pending = file->first; pending != NULL; pending = pending->next) {
        if (sim_random_chance(disk.random, kept)) {
            bool is_torn = pending->len > 0 && sim_random_chance(disk.random, 200);
            size_t len =
                is_torn ? 1 + sim_random_below(disk.random, (uint32_t)pending->len) : pending->len;
            content_apply(&file->synced, pending, len);
        }
    }
    file_forget_pending(file);
    file->now.len = 0;
    if (file->synced.len > 0) {
        content_write(&file->now, 0, file->synced.data, file->synced.len);
    }
}

void sim_vfs_power_cycle(void)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (disk.files[i].exists) {
            file_power_cycle(&disk.files[i]);
            file_forget_shm(&disk.files[i]);
        }
    }
    disk.is_cut = 0;
    disk.torn = NULL;
    disk.cut_after = 0;
    disk.sync_fail_after = 0;
}

// A write that the process did not live to make: only a power cut can have left a part of it.
static void forget_torn(void)
{
    if (disk.torn == NULL) {
        return;
    }
    struct pending **link = &disk.torn->first;
    while ((*link)->next != NULL) {
        link = &(*link)->next;
    }
    free(*link);
    *link = NULL;
    disk.torn->last = link;
}

void sim_vfs_process_restart(void)
{
    forget_torn();
    for (size_t i = 0; i < FILES_MAX; i++) {
        file_forget_shm(&disk.files[i]);
    }
    disk.is_cut = 0;
    disk.torn = NULL;
    disk.cut_after = 0;
    disk.sync_fail_after = 0;
}
