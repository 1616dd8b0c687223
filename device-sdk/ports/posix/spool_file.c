#include "spool_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LIMIT_MIN 1024u

static struct pipit_file_spool *file_of(struct pipit_spool *spool)
{
    return (struct pipit_file_spool *)(void *)spool;
}

void pipit_spool_error_set(struct pipit_file_spool *file, const char *format, ...)
{
    va_list args;
    int used = snprintf(file->error, sizeof(file->error), "spool %.120s: ", file->options.path);
    va_start(args, format);
    (void)vsnprintf(file->error + used, sizeof(file->error) - (size_t)used, format, args);
    va_end(args);
}

enum pipit_err pipit_spool_seal(struct pipit_file_spool *file, const char *what)
{
    pipit_spool_error_set(file, "%s: %s; nothing more is accepted until it is reopened", what,
                          strerror(errno));
    file->is_sealed = true;
    return PIPIT_ERR_IO;
}

// The head at `at`; false at the end of the file. Heads in an open spool have been verified.
static bool head_read(const struct pipit_file_spool *file, uint32_t at,
                      struct pipit_record_head *out_head)
{
    uint8_t bytes[HEAD_BYTES];
    return at < file->end && pipit_read_all(file->fd, bytes, sizeof(bytes), at) &&
           pipit_record_get(bytes, out_head);
}

uint32_t pipit_spool_waiting_from(const struct pipit_file_spool *file, uint32_t at,
                                  struct pipit_record_head *out_head)
{
    while (head_read(file, at, out_head)) {
        if (pipit_record_is_waiting(out_head)) {
            return at;
        }
        at += HEAD_BYTES + out_head->len;
    }
    return file->end;
}

void pipit_spool_tail_update(struct pipit_file_spool *file)
{
    struct pipit_record_head head;
    file->tail = pipit_spool_waiting_from(file, file->tail, &head);
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

void pipit_spool_synced(struct pipit_file_spool *file)
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
        return pipit_spool_seal(file, "sync failed");
    }
    pipit_spool_synced(file);
    return PIPIT_OK;
}

static void forget(struct pipit_file_spool *file, uint32_t at, const struct pipit_record_head *head)
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
    return pipit_write_all(file->fd, &flag, 1, at + FLAG_AT);
}

static enum pipit_err drop_oldest(struct pipit_file_spool *file)
{
    struct pipit_record_head head;
    uint32_t at = pipit_spool_waiting_from(file, file->tail, &head);
    if (at >= file->end) {
        return PIPIT_ERR_FULL;
    }
    if (!flag_release(file, at)) {
        return pipit_spool_seal(file, "write failed");
    }
    forget(file, at, &head);
    file->base.dropped++;
    pipit_spool_tail_update(file);
    return PIPIT_OK;
}

static enum pipit_err room_make(struct pipit_file_spool *file, uint32_t need)
{
    enum pipit_err rc = PIPIT_OK;
    while (rc == PIPIT_OK && need > file->base.limit_bytes - file->base.used_bytes) {
        rc = file->base.policy == PIPIT_REFUSE ? PIPIT_ERR_FULL : drop_oldest(file);
    }
    return rc == PIPIT_OK ? pipit_spool_compact_if_due(file) : rc;
}

// A write that fails half-way is taken back, so that the file ends with a whole record.
static enum pipit_err append(struct pipit_file_spool *file, uint32_t size)
{
    if (pipit_write_all(file->fd, file->options.memory, size, file->end)) {
        return PIPIT_OK;
    }
    bool is_full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    if (!is_full) {
        (void)pipit_spool_seal(file, "write failed");
    } else {
        pipit_spool_error_set(file, "the disk is full");
    }
    if (ftruncate(file->fd, (off_t)file->end) != 0 && !file->is_sealed) {
        (void)pipit_spool_seal(file, "truncate failed");
    }
    return file->is_sealed ? PIPIT_ERR_IO : PIPIT_ERR_FULL;
}

static void record_put(struct pipit_file_spool *file, struct pipit_bytes body, const uint64_t *mark)
{
    struct pipit_record_head head = {
        .flag = FLAG_WAITING, .kind = KIND_EVENT, .boot = file->base.boot};
    head.len = (uint32_t)body.len;
    head.sequence = file->base.next_sequence;
    head.has_mark = mark != NULL;
    head.mark = mark != NULL ? *mark : 0;
    memcpy(file->options.memory + HEAD_BYTES, body.ptr, body.len);
    pipit_record_put(file->options.memory, &head);
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
    if (rc == PIPIT_ERR_FULL && spool->count == 0 && pipit_spool_compact(file) == PIPIT_OK) {
        record_put(file, body, mark);
        rc = append(file, size);
    }
    if (rc == PIPIT_OK && file->options.sync_every_ms == 0 && fdatasync(file->fd) != 0) {
        rc = pipit_spool_seal(file, "sync failed");
    }
    if (rc == PIPIT_OK) {
        accepted(file, size, mark);
        if (file->options.sync_every_ms == 0) {
            pipit_spool_synced(file);
        }
    }
    return rc;
}

// Is the next record that is ready of another boot, or is there none?
static bool is_last(const struct pipit_file_spool *file, uint32_t at, uint32_t boot)
{
    struct pipit_record_head head;
    if (file->base.unread_count <= 1) {
        return true;
    }
    uint32_t next = pipit_spool_waiting_from(file, at, &head);
    return next >= file->synced || head.boot != boot;
}

static enum pipit_err file_peek(struct pipit_spool *spool, struct pipit_record *out_record)
{
    struct pipit_file_spool *file = file_of(spool);
    struct pipit_record_head head;
    if (spool->unread_count == 0) {
        return PIPIT_ERR_EMPTY;
    }
    uint32_t at = pipit_spool_waiting_from(file, file->read, &head);
    if (at >= file->end ||
        !pipit_read_all(file->fd, file->options.memory, HEAD_BYTES + head.len, at)) {
        return pipit_spool_seal(file, "read failed");
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
    struct pipit_record_head head;
    if (spool->unread_count == 0) {
        return;
    }
    uint32_t at = pipit_spool_waiting_from(file, file->read, &head);
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
    struct pipit_record_head head;
    for (uint32_t at = pipit_spool_waiting_from(file, file->tail, &head); at < file->end;
         at = pipit_spool_waiting_from(file, at + HEAD_BYTES + head.len, &head)) {
        bool is_boot = head.boot == boot;
        if ((is_boot && head.sequence > last) || (has_seen_boot && !is_boot)) {
            break;
        }
        has_seen_boot = has_seen_boot || is_boot;
        if (is_boot && head.sequence >= first) {
            if (!flag_release(file, at)) {
                return pipit_spool_seal(file, "write failed");
            }
            forget(file, at, &head);
        }
    }
    pipit_spool_tail_update(file);
    return file->is_sealed ? PIPIT_ERR_IO : pipit_spool_compact_if_due(file);
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
    enum pipit_err rc = pipit_spool_recover(spool);
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
