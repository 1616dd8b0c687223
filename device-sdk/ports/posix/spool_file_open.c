// Opening a spool: lock it, read every record, begin a new boot.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool_file.h"

// The lock is on the file itself; compaction replaces the file, so the name is checked afterwards.
static enum pipit_err open_locked(struct pipit_file_spool *file)
{
    for (int tries = 0; tries < 10; tries++) {
        struct stat opened;
        struct stat named;
        file->fd = open(file->options.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file->fd < 0) {
            pipit_spool_error_set(file, "open: %s", strerror(errno));
            return PIPIT_ERR_IO;
        }
        if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
            pipit_spool_error_set(file, "in use by another process: stop it, or use another path");
            return PIPIT_ERR_LOCKED;
        }
        if (fstat(file->fd, &opened) == 0 && stat(file->options.path, &named) == 0 &&
            opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
            return PIPIT_OK;
        }
        (void)close(file->fd);
        file->fd = -1;
    }
    pipit_spool_error_set(file, "in use by another process that keeps replacing it");
    return PIPIT_ERR_LOCKED;
}

static void recover_record(struct pipit_file_spool *file, uint32_t at,
                           const struct pipit_record_head *head)
{
    struct pipit_spool *spool = &file->base;
    if (head->has_mark) {
        spool->mark = head->mark;
        spool->has_mark = true;
    }
    if (head->kind == KIND_START) {
        spool->boot = head->boot;
    } else if (pipit_record_is_waiting(head)) {
        if (spool->count == 0) {
            file->tail = at;
        }
        spool->count++;
        spool->unread_count++;
        spool->used_bytes += HEAD_BYTES + head->len;
    }
}

static bool has_record_behind(const struct pipit_file_spool *file, uint32_t at, uint32_t size)
{
    struct pipit_record_head head;
    uint8_t magic[2];
    for (at++; at + HEAD_BYTES <= size; at++) {
        if (!pipit_read_all(file->fd, magic, sizeof(magic), at)) {
            return false;
        }
        if (magic[0] == 'P' && magic[1] == 'S' &&
            pipit_record_is_whole(file->fd, at, size, &head)) {
            return true;
        }
    }
    return false;
}

// Keeps a copy of a file whose middle cannot be read, before what is behind it is cut off.
static enum pipit_err damaged_copy(struct pipit_file_spool *file, uint32_t size)
{
    char path[PATH_MAX];
    uint8_t piece[4096];
    int length = snprintf(path, sizeof(path), "%s.damaged", file->options.path);
    int fd = length > 0 && (size_t)length < sizeof(path)
                 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                 : -1;
    bool is_good = fd >= 0;
    for (uint32_t at = 0; is_good && at < size;) {
        uint32_t count = size - at < sizeof(piece) ? size - at : (uint32_t)sizeof(piece);
        is_good =
            pipit_read_all(file->fd, piece, count, at) && pipit_write_all(fd, piece, count, at);
        at += count;
    }
    is_good = is_good && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!is_good) {
        pipit_spool_error_set(file, "damaged, and a copy in <path>.damaged cannot be made: %s",
                              strerror(errno));
        return PIPIT_ERR_IO;
    }
    file->was_damaged = true;
    pipit_spool_error_set(file,
                          "was damaged: what could be read is used, the whole is in %.80s.damaged",
                          file->options.path);
    return PIPIT_OK;
}

// Only zeros, or shorter than a head: a first start that was cut short.
static bool is_unwritten(const struct pipit_file_spool *file, uint32_t size)
{
    uint8_t bytes[HEAD_BYTES] = {0};
    if (size > HEAD_BYTES * 2 ||
        !pipit_read_all(file->fd, bytes, size < HEAD_BYTES ? size : HEAD_BYTES, 0)) {
        return false;
    }
    bool is_zero = true;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        is_zero = is_zero && bytes[i] == 0;
    }
    return is_zero || (size < HEAD_BYTES && bytes[0] == 'P');
}

static enum pipit_err size_check(struct pipit_file_spool *file, uint32_t *out_size)
{
    struct stat status;
    struct pipit_record_head head;
    if (fstat(file->fd, &status) != 0) {
        pipit_spool_error_set(file, "stat: %s", strerror(errno));
        return PIPIT_ERR_IO;
    }
    bool is_ours = S_ISREG(status.st_mode) && status.st_size <= 0x7FFFFFFF;
    if (is_ours && status.st_size > 0) {
        uint32_t size = (uint32_t)status.st_size;
        is_ours = is_unwritten(file, size) ||
                  (pipit_record_is_whole(file->fd, 0, size, &head) && head.kind == KIND_START);
    }
    if (!is_ours) {
        pipit_spool_error_set(
            file, "is not a spool of this version: move it away, it was left untouched");
        return PIPIT_ERR_CORRUPT;
    }
    *out_size = (uint32_t)status.st_size;
    return PIPIT_OK;
}

// Reads every record up to the first that is not whole.
static enum pipit_err recover(struct pipit_file_spool *file, uint32_t size)
{
    struct pipit_record_head head;
    uint32_t at = 0;
    while (at < size && pipit_record_is_whole(file->fd, at, size, &head)) {
        if (pipit_record_is_waiting(&head) && HEAD_BYTES + head.len > file->options.memory_bytes) {
            pipit_spool_error_set(file, "holds an event of %u bytes: give it memory for that",
                                  head.len);
            return PIPIT_ERR_SIZE;
        }
        recover_record(file, at, &head);
        at += HEAD_BYTES + head.len;
    }
    if (at < size && has_record_behind(file, at, size)) {
        enum pipit_err rc = damaged_copy(file, size);
        if (rc != PIPIT_OK) {
            return rc;
        }
    }
    file->torn_bytes = size - at;
    file->end = at;
    return PIPIT_OK;
}

// The number of this start is on the disk before anything is sent under it.
static enum pipit_err boot_begin(struct pipit_file_spool *file, bool is_fresh)
{
    struct pipit_spool *spool = &file->base;
    uint8_t record[HEAD_BYTES];
    spool->boot = is_fresh ? pipit_boot_random(file->options.entropy) : spool->boot + 1;
    pipit_spool_start_put(file, spool->boot, record);
    if (ftruncate(file->fd, (off_t)file->end) != 0 ||
        !pipit_write_all(file->fd, record, sizeof(record), file->end) || fdatasync(file->fd) != 0 ||
        (is_fresh && !pipit_directory_sync(file->options.path))) {
        pipit_spool_error_set(file, "cannot write the start: %s", strerror(errno));
        return PIPIT_ERR_IO;
    }
    file->end += HEAD_BYTES;
    file->synced = file->end;
    if (spool->count == 0) {
        file->tail = file->end;
    }
    file->read = file->tail;
    pipit_spool_tail_update(file);
    return PIPIT_OK;
}

enum pipit_err pipit_spool_recover(struct pipit_file_spool *file)
{
    uint32_t size = 0;
    enum pipit_err rc = open_locked(file);
    if (rc == PIPIT_OK) {
        rc = size_check(file, &size);
    }
    if (rc == PIPIT_OK && size > 0 && !is_unwritten(file, size)) {
        rc = recover(file, size);
    }
    if (rc == PIPIT_OK) {
        rc = boot_begin(file, file->end == 0);
    }
    return rc == PIPIT_OK ? pipit_spool_compact_if_due(file) : rc;
}
