// Released records leave by compaction: what waits is copied to a new file, which takes the name.
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "spool_file.h"

#define SLACK_BYTES 65536u // Released bytes that are not worth a compaction.

bool pipit_directory_sync(const char *path)
{
    char copy[PATH_MAX];
    if (strlen(path) >= sizeof(copy)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(copy, path, strlen(path) + 1);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool is_synced = fsync(fd) == 0;
    (void)close(fd);
    return is_synced;
}

void pipit_spool_start_put(const struct pipit_file_spool *file, uint32_t boot, uint8_t *record)
{
    struct pipit_record_head head = {.flag = FLAG_WAITING, .kind = KIND_START, .boot = boot};
    head.has_mark = file->base.has_mark;
    head.mark = file->base.mark;
    pipit_record_put(record, &head);
}

// Copies the waiting records behind a fresh start into `fd`. `*out_read` is the new read position.
static bool compact_copy(const struct pipit_file_spool *file, int fd, uint32_t *out_end,
                         uint32_t *out_read)
{
    uint8_t *memory = file->options.memory;
    uint32_t to = HEAD_BYTES;
    bool has_read = false;
    struct pipit_record_head head;
    pipit_spool_start_put(file, file->base.boot, memory);
    if (!pipit_write_all(fd, memory, HEAD_BYTES, 0)) {
        return false;
    }
    for (uint32_t at = pipit_spool_waiting_from(file, file->tail, &head); at < file->end;
         at = pipit_spool_waiting_from(file, at + HEAD_BYTES + head.len, &head)) {
        uint32_t size = HEAD_BYTES + head.len;
        if (at >= file->read && !has_read) {
            *out_read = to;
            has_read = true;
        }
        if (!pipit_read_all(file->fd, memory, size, at) || !pipit_write_all(fd, memory, size, to)) {
            return false;
        }
        to += size;
    }
    if (!has_read) {
        *out_read = to;
    }
    *out_end = to;
    return true;
}

static int temporary_open(const struct pipit_file_spool *file, char *path, size_t path_bytes)
{
    int size = snprintf(path, path_bytes, "%s.new", file->options.path);
    if (size < 0 || (size_t)size >= path_bytes) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

enum pipit_err pipit_spool_compact(struct pipit_file_spool *file)
{
    char path[PATH_MAX];
    uint32_t end = 0;
    uint32_t read = 0;
    int fd = temporary_open(file, path, sizeof(path));
    if (fd < 0) {
        return PIPIT_ERR_IO;
    }
    if (!compact_copy(file, fd, &end, &read) || fsync(fd) != 0 ||
        rename(path, file->options.path) != 0) {
        (void)unlink(path);
        (void)close(fd);
        return PIPIT_ERR_IO;
    }
    (void)close(file->fd);
    file->fd = fd;
    file->end = end;
    file->read = read;
    file->tail = HEAD_BYTES;
    file->peeked = 0;
    pipit_spool_synced(file);
    pipit_spool_tail_update(file);
    // Until the directory is synced a loss of power may bring back the old file, without what is
    // accepted from now on.
    return pipit_directory_sync(file->options.path)
               ? PIPIT_OK
               : pipit_spool_seal(file, "sync of the directory failed");
}

static uint32_t released_bytes(const struct pipit_file_spool *file)
{
    return file->end - file->base.used_bytes;
}

enum pipit_err pipit_spool_compact_if_due(struct pipit_file_spool *file)
{
    if (released_bytes(file) <= SLACK_BYTES || released_bytes(file) <= file->base.used_bytes) {
        return PIPIT_OK;
    }
    (void)pipit_spool_compact(file);
    return file->is_sealed ? PIPIT_ERR_IO : PIPIT_OK;
}
