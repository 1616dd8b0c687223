#include "pipit/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// The file is a sequence of records. Each starts with this head, little-endian:
//   0 'P' 1 'S' 2 flag 3 kind 4 body length (4) 8 boot (4) 12 sequence (8) 20 mark (8) 28 crc (4)
// The CRC-32 covers the head but for flag and crc, and the body. The flag is 0xFF while the event
// waits; releasing it writes one byte. The first record is a start.
#define HEAD_BYTES    32u
#define FLAG_AT       2u
#define FLAG_WAITING  0xFFu
#define FLAG_RELEASED 0x00u
#define KIND_START    0x01u // A start of the device: the boot number, and the mark so far.
#define KIND_EVENT    0x02u
#define KIND_HAS_MARK 0x80u
#define LIMIT_MIN     1024u
#define LIMIT_MAX     0x40000000u
#define SLACK_BYTES   65536u // Released bytes that are not worth a compaction.

struct head {
    uint8_t flag;
    uint8_t kind;
    bool has_mark;
    uint32_t len;
    uint32_t boot;
    uint64_t sequence;
    uint64_t mark;
    uint32_t crc;
};

static struct pipit_file_spool *file_of(struct pipit_spool *spool)
{
    return (struct pipit_file_spool *)(void *)spool;
}

__attribute__((format(printf, 2, 3))) static void error_set(struct pipit_file_spool *file,
                                                            const char *format, ...)
{
    va_list args;
    int used = snprintf(file->error, sizeof(file->error), "spool %.120s: ", file->options.path);
    va_start(args, format);
    (void)vsnprintf(file->error + used, sizeof(file->error) - (size_t)used, format, args);
    va_end(args);
}

// After this nothing is accepted: what the disk holds is no longer known.
static enum pipit_err seal(struct pipit_file_spool *file, const char *what)
{
    error_set(file, "%s: %s; nothing more is accepted until it is reopened", what, strerror(errno));
    file->is_sealed = true;
    return PIPIT_ERR_IO;
}

// ---- bytes -------------------------------------------------------------------------------------

static uint32_t crc_add(uint32_t crc, const uint8_t *ptr, size_t len)
{
    // Reflected polynomial 0xEDB88320, four bits a step.
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
                                       0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
                                       0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (size_t i = 0; i < len; i++) {
        crc ^= ptr[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static void put_le(uint8_t *ptr, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        ptr[i] = (uint8_t)(value >> 8 * i);
    }
}

static uint64_t get_le(const uint8_t *ptr, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i-- > 0;) {
        value = value << 8 | ptr[i];
    }
    return value;
}

static uint32_t record_crc(const uint8_t *record, size_t body_len)
{
    uint32_t crc = crc_add(0xFFFFFFFFu, record, FLAG_AT);
    crc = crc_add(crc, record + FLAG_AT + 1, 28 - FLAG_AT - 1);
    return ~crc_add(crc, record + HEAD_BYTES, body_len);
}

// Writes the head in front of a body that is already in place.
static void head_put(uint8_t *record, const struct head *head)
{
    record[0] = 'P';
    record[1] = 'S';
    record[FLAG_AT] = head->flag;
    record[3] = (uint8_t)(head->kind | (head->has_mark ? KIND_HAS_MARK : 0u));
    put_le(record + 4, head->len, 4);
    put_le(record + 8, head->boot, 4);
    put_le(record + 12, head->sequence, 8);
    put_le(record + 20, head->mark, 8);
    put_le(record + 28, record_crc(record, head->len), 4);
}

static bool head_get(const uint8_t *record, struct head *head)
{
    head->flag = record[FLAG_AT];
    head->kind = (uint8_t)(record[3] & ~KIND_HAS_MARK);
    head->has_mark = (record[3] & KIND_HAS_MARK) != 0;
    head->len = (uint32_t)get_le(record + 4, 4);
    head->boot = (uint32_t)get_le(record + 8, 4);
    head->sequence = get_le(record + 12, 8);
    head->mark = get_le(record + 20, 8);
    head->crc = (uint32_t)get_le(record + 28, 4);
    return record[0] == 'P' && record[1] == 'S' &&
           (head->kind == KIND_START || head->kind == KIND_EVENT) && head->len <= LIMIT_MAX;
}

// ---- the file ----------------------------------------------------------------------------------

static bool read_all(int fd, uint8_t *ptr, size_t len, uint32_t at)
{
    while (len > 0) {
        ssize_t got = pread(fd, ptr, len, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        ptr += got;
        len -= (size_t)got;
        at += (uint32_t)got;
    }
    return true;
}

static bool write_all(int fd, const uint8_t *ptr, size_t len, uint32_t at)
{
    while (len > 0) {
        ssize_t written = pwrite(fd, ptr, len, (off_t)at);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? ENOSPC : errno;
            return false;
        }
        ptr += written;
        len -= (size_t)written;
        at += (uint32_t)written;
    }
    return true;
}

static bool directory_sync(const char *path)
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

// The head at `at`; false at the end of the file. Heads in an open spool have been verified.
static bool head_read(const struct pipit_file_spool *file, uint32_t at, struct head *out_head)
{
    uint8_t bytes[HEAD_BYTES];
    return at < file->end && read_all(file->fd, bytes, sizeof(bytes), at) &&
           head_get(bytes, out_head);
}

static bool is_waiting(const struct head *head)
{
    return head->kind == KIND_EVENT && head->flag == FLAG_WAITING;
}

// The first waiting event at or behind `at`. `file->end` when there is none.
static uint32_t waiting_from(const struct pipit_file_spool *file, uint32_t at,
                             struct head *out_head)
{
    while (head_read(file, at, out_head)) {
        if (is_waiting(out_head)) {
            return at;
        }
        at += HEAD_BYTES + out_head->len;
    }
    return file->end;
}

static void tail_update(struct pipit_file_spool *file)
{
    struct head head;
    file->tail = waiting_from(file, file->tail, &head);
    if (file->tail < file->end) {
        file->base.tail_boot = head.boot;
        file->base.tail_sequence = head.sequence;
    } else {
        file->base.tail_boot = file->base.boot;
        file->base.tail_sequence = file->base.next_sequence;
    }
    if (file->read < file->tail) {
        file->read = file->tail;
    }
}

static void synced(struct pipit_file_spool *file)
{
    file->is_dirty = false;
    file->synced = file->end;
    file->base.unread_count += file->unsynced_count;
    file->unsynced_count = 0;
    file->base.tick_ms = 0;
}

static enum pipit_err file_sync(struct pipit_file_spool *file)
{
    if (fdatasync(file->fd) != 0) {
        return seal(file, "sync failed");
    }
    synced(file);
    return PIPIT_OK;
}

// ---- compaction --------------------------------------------------------------------------------

static void start_put(const struct pipit_file_spool *file, uint32_t boot, uint8_t *record)
{
    struct head head = {.flag = FLAG_WAITING, .kind = KIND_START, .boot = boot};
    head.has_mark = file->base.has_mark;
    head.mark = file->base.mark;
    head_put(record, &head);
}

// Copies the waiting records behind a fresh start into `fd`. `*out_read` is the new read position.
static bool compact_copy(const struct pipit_file_spool *file, int fd, uint32_t *out_end,
                         uint32_t *out_read)
{
    uint8_t *memory = file->options.memory;
    uint32_t to = HEAD_BYTES;
    bool has_read = false;
    struct head head;
    start_put(file, file->base.boot, memory);
    if (!write_all(fd, memory, HEAD_BYTES, 0)) {
        return false;
    }
    for (uint32_t at = waiting_from(file, file->tail, &head); at < file->end;
         at = waiting_from(file, at + HEAD_BYTES + head.len, &head)) {
        uint32_t size = HEAD_BYTES + head.len;
        if (at >= file->read && !has_read) {
            *out_read = to;
            has_read = true;
        }
        if (!read_all(file->fd, memory, size, at) || !write_all(fd, memory, size, to)) {
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

// Replaces the file by one without the released records; on failure the old one stays in use.
static enum pipit_err compact(struct pipit_file_spool *file)
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
    synced(file);
    tail_update(file);
    // Until the directory is synced a loss of power may bring back the old file, without what is
    // accepted from now on.
    return directory_sync(file->options.path) ? PIPIT_OK
                                              : seal(file, "sync of the directory failed");
}

static uint32_t released_bytes(const struct pipit_file_spool *file)
{
    return file->end - file->base.used_bytes;
}

static enum pipit_err compact_if_due(struct pipit_file_spool *file)
{
    if (released_bytes(file) <= SLACK_BYTES || released_bytes(file) <= file->base.used_bytes) {
        return PIPIT_OK;
    }
    (void)compact(file);
    return file->is_sealed ? PIPIT_ERR_IO : PIPIT_OK;
}

// ---- the spool's verbs -------------------------------------------------------------------------

static void forget(struct pipit_file_spool *file, uint32_t at, const struct head *head)
{
    file->base.used_bytes -= HEAD_BYTES + head->len;
    file->base.count--;
    if (at < file->read) {
        file->base.read_count--;
    } else if (at < file->synced) {
        file->base.unread_count--;
    } else {
        file->unsynced_count--;
    }
}

// Not synced: if it gets lost the event is sent again, and known by its identity.
static bool flag_release(struct pipit_file_spool *file, uint32_t at)
{
    uint8_t flag = FLAG_RELEASED;
    return write_all(file->fd, &flag, 1, at + FLAG_AT);
}

static enum pipit_err drop_oldest(struct pipit_file_spool *file)
{
    struct head head;
    uint32_t at = waiting_from(file, file->tail, &head);
    if (at >= file->end) {
        return PIPIT_ERR_FULL;
    }
    if (!flag_release(file, at)) {
        return seal(file, "write failed");
    }
    forget(file, at, &head);
    file->base.dropped++;
    tail_update(file);
    return PIPIT_OK;
}

static enum pipit_err room_make(struct pipit_file_spool *file, uint32_t need)
{
    enum pipit_err rc = PIPIT_OK;
    while (rc == PIPIT_OK && need > file->base.limit_bytes - file->base.used_bytes) {
        rc = file->base.policy == PIPIT_REFUSE ? PIPIT_ERR_FULL : drop_oldest(file);
    }
    return rc == PIPIT_OK ? compact_if_due(file) : rc;
}

// A write that fails half-way is taken back, so that the file ends with a whole record.
static enum pipit_err append(struct pipit_file_spool *file, uint32_t size)
{
    if (write_all(file->fd, file->options.memory, size, file->end)) {
        return PIPIT_OK;
    }
    bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    if (!is_full) {
        (void)seal(file, "write failed");
    } else {
        error_set(file, "the disk is full");
    }
    if (ftruncate(file->fd, (off_t)file->end) != 0 && !file->is_sealed) {
        (void)seal(file, "truncate failed");
    }
    return file->is_sealed ? PIPIT_ERR_IO : PIPIT_ERR_FULL;
}

static void record_put(struct pipit_file_spool *file, struct pipit_bytes body, const uint64_t *mark)
{
    struct head head = {.flag = FLAG_WAITING, .kind = KIND_EVENT, .boot = file->base.boot};
    head.len = (uint32_t)body.len;
    head.sequence = file->base.next_sequence;
    head.has_mark = mark != NULL;
    head.mark = mark != NULL ? *mark : 0;
    memcpy(file->options.memory + HEAD_BYTES, body.ptr, body.len);
    head_put(file->options.memory, &head);
}

// Counts the record that was appended; it is ready to be sent once it is synced.
static void accepted(struct pipit_file_spool *file, uint32_t size, const uint64_t *mark)
{
    if (file->base.count == 0) {
        file->tail = file->end;
        file->base.tail_boot = file->base.boot;
        file->base.tail_sequence = file->base.next_sequence;
    }
    file->end += size;
    file->base.used_bytes += size;
    file->base.count++;
    file->base.next_sequence++;
    file->unsynced_count++;
    if (mark != NULL) {
        file->base.mark = *mark;
        file->base.has_mark = true;
    }
    if (!file->is_dirty) {
        file->is_dirty = true;
        file->dirty_at_ms = file->now_ms;
        file->base.tick_ms = file->options.sync_every_ms;
    }
}

static enum pipit_err file_put(struct pipit_spool *spool, struct pipit_bytes body,
                               const uint64_t *mark)
{
    struct pipit_file_spool *file = file_of(spool);
    if (file->is_sealed) {
        return PIPIT_ERR_IO;
    }
    if (body.len > file->options.memory_bytes - HEAD_BYTES ||
        body.len + HEAD_BYTES > spool->limit_bytes) {
        return PIPIT_ERR_SIZE;
    }
    uint32_t size = HEAD_BYTES + (uint32_t)body.len;
    enum pipit_err rc = room_make(file, size);
    if (rc != PIPIT_OK) {
        return rc;
    }
    record_put(file, body, mark);
    rc = append(file, size);
    if (rc == PIPIT_ERR_FULL && spool->count == 0 && compact(file) == PIPIT_OK) {
        record_put(file, body, mark);
        rc = append(file, size);
    }
    if (rc == PIPIT_OK && file->options.sync_every_ms == 0 && fdatasync(file->fd) != 0) {
        rc = seal(file, "sync failed");
    }
    if (rc == PIPIT_OK) {
        accepted(file, size, mark);
        if (file->options.sync_every_ms == 0) {
            synced(file);
        }
    }
    return rc;
}

// Is the next record that is ready of another boot, or is there none?
static bool is_last(const struct pipit_file_spool *file, uint32_t at, uint32_t boot)
{
    struct head head;
    if (file->base.unread_count <= 1) {
        return true;
    }
    uint32_t next = waiting_from(file, at, &head);
    return next >= file->synced || head.boot != boot;
}

static enum pipit_err file_peek(struct pipit_spool *spool, struct pipit_record *out_record)
{
    struct pipit_file_spool *file = file_of(spool);
    struct head head;
    if (spool->unread_count == 0) {
        return PIPIT_ERR_EMPTY;
    }
    uint32_t at = waiting_from(file, file->read, &head);
    if (at >= file->end || !read_all(file->fd, file->options.memory, HEAD_BYTES + head.len, at)) {
        return seal(file, "read failed");
    }
    file->read = at;
    file->peeked = at + HEAD_BYTES + head.len;
    out_record->boot = head.boot;
    out_record->sequence = head.sequence;
    out_record->body.ptr = file->options.memory + HEAD_BYTES;
    out_record->body.len = head.len;
    out_record->is_last = is_last(file, file->peeked, head.boot);
    return PIPIT_OK;
}

static void file_advance(struct pipit_spool *spool)
{
    struct pipit_file_spool *file = file_of(spool);
    struct head head;
    if (spool->unread_count == 0) {
        return;
    }
    uint32_t at = waiting_from(file, file->read, &head);
    if (at < file->end) {
        file->read = at + HEAD_BYTES + head.len;
        spool->unread_count--;
        spool->read_count++;
    }
}

static void file_rewind(struct pipit_spool *spool)
{
    struct pipit_file_spool *file = file_of(spool);
    file->read = file->tail;
    spool->unread_count += spool->read_count;
    spool->read_count = 0;
}

// Records are in order, and boots grow: the search ends behind (boot, last).
static enum pipit_err file_release(struct pipit_spool *spool, uint32_t boot, uint64_t first,
                                   uint64_t last)
{
    struct pipit_file_spool *file = file_of(spool);
    bool has_seen_boot = false;
    struct head head;
    for (uint32_t at = waiting_from(file, file->tail, &head); at < file->end;
         at = waiting_from(file, at + HEAD_BYTES + head.len, &head)) {
        bool is_boot = head.boot == boot;
        if ((is_boot && head.sequence > last) || (has_seen_boot && !is_boot)) {
            break;
        }
        has_seen_boot = has_seen_boot || is_boot;
        if (is_boot && head.sequence >= first) {
            if (!flag_release(file, at)) {
                return seal(file, "write failed");
            }
            forget(file, at, &head);
        }
    }
    tail_update(file);
    return file->is_sealed ? PIPIT_ERR_IO : compact_if_due(file);
}

static enum pipit_err file_tick(struct pipit_spool *spool, uint32_t now_ms)
{
    struct pipit_file_spool *file = file_of(spool);
    file->now_ms = now_ms;
    if (file->is_sealed) {
        return PIPIT_ERR_IO;
    }
    if (file->is_dirty && now_ms - file->dirty_at_ms >= file->options.sync_every_ms) {
        return file_sync(file);
    }
    return PIPIT_OK;
}

static const struct pipit_spool_type file_spool_type = {
    .put = file_put,
    .peek = file_peek,
    .advance = file_advance,
    .rewind = file_rewind,
    .release = file_release,
    .tick = file_tick,
};

// ---- opening: lock, recover, begin a new boot --------------------------------------------------

// The lock is on the file itself; compaction replaces the file, so the name is checked afterwards.
static enum pipit_err open_locked(struct pipit_file_spool *file)
{
    for (int tries = 0; tries < 10; tries++) {
        struct stat opened;
        struct stat named;
        file->fd = open(file->options.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (file->fd < 0) {
            error_set(file, "open: %s", strerror(errno));
            return PIPIT_ERR_IO;
        }
        if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
            error_set(file, "in use by another process: stop it, or use another path");
            return PIPIT_ERR_LOCKED;
        }
        if (fstat(file->fd, &opened) == 0 && stat(file->options.path, &named) == 0 &&
            opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
            return PIPIT_OK;
        }
        (void)close(file->fd);
        file->fd = -1;
    }
    error_set(file, "in use by another process that keeps replacing it");
    return PIPIT_ERR_LOCKED;
}

// CRC of a record whose body may be larger than our memory: read in pieces.
static bool record_is_whole(const struct pipit_file_spool *file, uint32_t at, uint32_t size,
                            struct head *out_head)
{
    uint8_t head_bytes[HEAD_BYTES];
    uint8_t piece[1024];
    if (size - at < HEAD_BYTES || !read_all(file->fd, head_bytes, HEAD_BYTES, at) ||
        !head_get(head_bytes, out_head) || out_head->len > size - at - HEAD_BYTES) {
        return false;
    }
    uint32_t crc = crc_add(0xFFFFFFFFu, head_bytes, FLAG_AT);
    crc = crc_add(crc, head_bytes + FLAG_AT + 1, 28 - FLAG_AT - 1);
    uint32_t from = at + HEAD_BYTES;
    for (uint32_t left = out_head->len; left > 0;) {
        uint32_t count = left < sizeof(piece) ? left : (uint32_t)sizeof(piece);
        if (!read_all(file->fd, piece, count, from)) {
            return false;
        }
        crc = crc_add(crc, piece, count);
        from += count;
        left -= count;
    }
    return ~crc == out_head->crc;
}

static void recover_record(struct pipit_file_spool *file, uint32_t at, const struct head *head)
{
    struct pipit_spool *spool = &file->base;
    if (head->has_mark) {
        spool->mark = head->mark;
        spool->has_mark = true;
    }
    if (head->kind == KIND_START) {
        spool->boot = head->boot;
    } else if (is_waiting(head)) {
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
    struct head head;
    uint8_t magic[2];
    for (at++; at + HEAD_BYTES <= size; at++) {
        if (!read_all(file->fd, magic, sizeof(magic), at)) {
            return false;
        }
        if (magic[0] == 'P' && magic[1] == 'S' && record_is_whole(file, at, size, &head)) {
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
        is_good = read_all(file->fd, piece, count, at) && write_all(fd, piece, count, at);
        at += count;
    }
    is_good = is_good && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!is_good) {
        error_set(file, "damaged, and a copy in <path>.damaged cannot be made: %s",
                  strerror(errno));
        return PIPIT_ERR_IO;
    }
    file->was_damaged = true;
    error_set(file, "was damaged: what could be read is used, the whole is in %.80s.damaged",
              file->options.path);
    return PIPIT_OK;
}

// Only zeros, or shorter than a head: a first start that was cut short.
static bool is_unwritten(const struct pipit_file_spool *file, uint32_t size)
{
    uint8_t bytes[HEAD_BYTES] = {0};
    if (size > HEAD_BYTES * 2 ||
        !read_all(file->fd, bytes, size < HEAD_BYTES ? size : HEAD_BYTES, 0)) {
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
    struct head head;
    if (fstat(file->fd, &status) != 0) {
        error_set(file, "stat: %s", strerror(errno));
        return PIPIT_ERR_IO;
    }
    bool is_ours = S_ISREG(status.st_mode) && status.st_size <= 0x7FFFFFFF;
    if (is_ours && status.st_size > 0) {
        uint32_t size = (uint32_t)status.st_size;
        is_ours = is_unwritten(file, size) ||
                  (record_is_whole(file, 0, size, &head) && head.kind == KIND_START);
    }
    if (!is_ours) {
        error_set(file, "is not a spool of this version: move it away, it was left untouched");
        return PIPIT_ERR_CORRUPT;
    }
    *out_size = (uint32_t)status.st_size;
    return PIPIT_OK;
}

// Reads every record up to the first that is not whole.
static enum pipit_err recover(struct pipit_file_spool *file, uint32_t size)
{
    struct head head;
    uint32_t at = 0;
    while (at < size && record_is_whole(file, at, size, &head)) {
        if (is_waiting(&head) && HEAD_BYTES + head.len > file->options.memory_bytes) {
            error_set(file, "holds an event of %u bytes: give it memory for that", head.len);
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
    start_put(file, spool->boot, record);
    if (ftruncate(file->fd, (off_t)file->end) != 0 ||
        !write_all(file->fd, record, sizeof(record), file->end) || fdatasync(file->fd) != 0 ||
        (is_fresh && !directory_sync(file->options.path))) {
        error_set(file, "cannot write the start: %s", strerror(errno));
        return PIPIT_ERR_IO;
    }
    file->end += HEAD_BYTES;
    file->synced = file->end;
    if (spool->count == 0) {
        file->tail = file->end;
    }
    file->read = file->tail;
    tail_update(file);
    return PIPIT_OK;
}

static enum pipit_err open_step(struct pipit_file_spool *file)
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
    return rc == PIPIT_OK ? compact_if_due(file) : rc;
}

enum pipit_err pipit_file_spool_open(struct pipit_file_spool *spool,
                                     const struct pipit_file_options *options)
{
    memset(spool, 0, sizeof(*spool));
    spool->options = *options;
    spool->fd = -1;
    if (options->path == NULL || options->memory == NULL || options->limit_bytes < LIMIT_MIN ||
        options->limit_bytes > LIMIT_MAX || options->memory_bytes <= HEAD_BYTES) {
        return PIPIT_ERR_ARGUMENT;
    }
    spool->base.type = &file_spool_type;
    spool->base.policy = options->policy;
    spool->base.limit_bytes = options->limit_bytes;
    spool->base.next_sequence = 1;
    enum pipit_err rc = open_step(spool);
    if (rc != PIPIT_OK && spool->fd >= 0) {
        (void)close(spool->fd);
        spool->fd = -1;
    }
    return rc;
}

enum pipit_err pipit_file_spool_close(struct pipit_file_spool *spool)
{
    enum pipit_err rc = PIPIT_OK;
    if (spool == NULL || spool->fd < 0 || spool->base.type == NULL) {
        return PIPIT_OK;
    }
    if (spool->is_dirty && !spool->is_sealed) {
        rc = file_sync(spool);
    }
    (void)close(spool->fd);
    spool->fd = -1;
    return rc;
}

const char *pipit_file_spool_error(const struct pipit_file_spool *spool)
{
    return spool->error;
}
