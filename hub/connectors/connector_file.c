// connector_file.c - appends one line of JSON a delivery to a file. A batch is done when it is
// written and, by default, synced; when anything fails the file is cut back to where the batch
// began.
#define _GNU_SOURCE // memrchr.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/json_line.h"
#include "connectors/types.h"

#define BATCH_MAX       500
#define BUFFER_BYTES    (64 * 1024)
#define ROTATE_KEEP_MAX 1000
#define REPAIR_BYTES    4096 // Read at a time when looking for the last line's beginning.

static const struct option_spec options[] = {
    {"path", OPTION_PATH, true, NULL, 0, 0, NULL,
     "The file to append to; it is made when missing, its folder is not."},
    {"sync", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Sync each batch to the disk before it counts as delivered. Without it a power cut can lose "
     "what was written last."},
    {"rotate_size", OPTION_SIZE, false, "0", 0, INT64_C(1) << 44, NULL,
     "Begin a new file once this one has at least so many bytes; 0: never."},
    {"rotate_keep", OPTION_INT, false, "5", 1, ROTATE_KEEP_MAX, NULL,
     "How many full files stay, as path.1 (the newest) to path.<rotate_keep>."},
    {"mode", OPTION_TEXT, false, "0640", 0, 0, NULL, "Permissions of a new file, in octal."},
    {NULL},
};

static const struct option_spec route_options[] = {{NULL}};

struct file_state {
    const char *path;
    bool is_open, is_synced, is_regular; // Devices are neither cut nor rotated.
    int fd;
    mode_t mode;
    off_t size, rotate_size;
    int rotate_keep;
    size_t used;
    char buffer[BUFFER_BYTES];
};

static enum err fail(const struct file_state *state, const char *what, int error, struct error *e)
{
    return error_set(e, ERR_UNAVAILABLE, "%s %s: %s", what, state->path, strerror(error));
}

static bool parse_mode(const char *text, mode_t *out_mode)
{
    char *end;
    unsigned long value = strtoul(text, &end, 8);
    if (*text < '0' || *text > '7' || *end != '\0' || value > 0777) {
        return false;
    }
    *out_mode = (mode_t)value;
    return true;
}

// Makes names (created, renamed) survive a power cut.
static enum err sync_folder(const struct file_state *state, struct error *e)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(state->path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - state->path) + 1;
    if (!state->is_synced || len >= sizeof(folder)) {
        return ERR_OK;
    }
    memcpy(folder, state->path, len);
    folder[len] = '\0';
    int fd = open(len == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail(state, "open the folder of", errno, e);
    }
    int error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
    close(fd);
    return error == 0 ? ERR_OK : fail(state, "sync the folder of", error, e);
}

// Where the last whole line ends.
static enum err find_line_end(const struct file_state *state, off_t size, off_t *out_end,
                              struct error *e)
{
    char block[REPAIR_BYTES];
    off_t at = size;
    while (at > 0) {
        size_t len = at < (off_t)sizeof(block) ? (size_t)at : sizeof(block);
        at -= (off_t)len;
        ssize_t got = pread(state->fd, block, len, at);
        if (got < 0) {
            return fail(state, "read", errno, e);
        }
        const char *newline = memrchr(block, '\n', (size_t)got);
        if (newline != NULL) {
            *out_end = at + (newline - block) + 1;
            return ERR_OK;
        }
    }
    *out_end = 0;
    return ERR_OK;
}

// A crash may have left half a line: it was never answered as delivered and will come again.
static enum err repair(struct file_state *state, struct error *e)
{
    struct stat status;
    if (fstat(state->fd, &status) != 0) {
        return fail(state, "look at", errno, e);
    }
    if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
        return error_set(e, ERR_CONFIG, "%s is a pipe or socket, not a file", state->path);
    }
    state->is_regular = S_ISREG(status.st_mode);
    if (!state->is_regular) {
        return ERR_OK;
    }
    enum err rc = find_line_end(state, status.st_size, &state->size, e);
    if (rc == ERR_OK && state->size < status.st_size && ftruncate(state->fd, state->size) != 0) {
        return fail(state, "cut half a line off", errno, e);
    }
    return rc;
}

static enum err open_file(struct file_state *state, struct error *e)
{
    // Reading is for the repair. Nothing else than a file may make open wait.
    struct stat status;
    bool is_new = stat(state->path, &status) != 0;
    bool is_file = is_new || S_ISREG(status.st_mode);
    int flags = (is_file ? O_RDWR | O_CREAT : O_WRONLY | O_NONBLOCK) | O_APPEND | O_CLOEXEC;
    state->fd = open(state->path, flags, state->mode);
    if (state->fd < 0) {
        return fail(state, "open", errno, e);
    }
    state->is_open = true;
    enum err rc = repair(state, e);
    return rc == ERR_OK && is_new ? sync_folder(state, e) : rc;
}

static void file_close(void *opaque)
{
    struct file_state *state = opaque;
    if (state->is_open) {
        close(state->fd);
        state->is_open = false;
    }
}

static enum err file_open(void *opaque, const struct connector_peer *peer, struct error *e)
{
    struct file_state *state = opaque;
    const struct options *given = peer->options;
    state->path = option_text(given, "path");
    state->is_synced = option_bool(given, "sync");
    state->rotate_size = option_int(given, "rotate_size");
    state->rotate_keep = (int)option_int(given, "rotate_keep");
    if (!parse_mode(option_text(given, "mode"), &state->mode)) {
        return error_set(e, ERR_CONFIG, "mode: not three octal digits such as 0640");
    }
    return open_file(state, e);
}

// path.4 becomes path.5 and so on; path becomes path.1.
static enum err shift_files(const struct file_state *state, struct error *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (int i = state->rotate_keep; i > 0; i--) {
        int len = i == 1 ? snprintf(from, sizeof(from), "%s", state->path)
                         : snprintf(from, sizeof(from), "%s.%d", state->path, i - 1);
        int to_len = snprintf(to, sizeof(to), "%s.%d", state->path, i);
        if (len >= PATH_MAX || to_len >= PATH_MAX) {
            return fail(state, "rotate", ENAMETOOLONG, e);
        }
        if (rename(from, to) != 0 && errno != ENOENT) {
            return fail(state, "rotate", errno, e);
        }
    }
    return sync_folder(state, e);
}

static enum err rotate_if_full(struct file_state *state, struct error *e)
{
    if (!state->is_regular || state->rotate_size == 0 || state->size < state->rotate_size) {
        return ERR_OK;
    }
    enum err rc = shift_files(state, e);
    if (rc == ERR_OK) {
        file_close(state);
        rc = open_file(state, e);
    }
    return rc;
}

// Somebody moved or removed the file (logrotate): what is written to it now would not be found.
static enum err follow_path(struct file_state *state, struct error *e)
{
    struct stat here, there;
    if (!state->is_regular || fstat(state->fd, &here) != 0) {
        return ERR_OK;
    }
    if (stat(state->path, &there) == 0 && here.st_ino == there.st_ino &&
        here.st_dev == there.st_dev) {
        state->size = here.st_size;
        return ERR_OK;
    }
    file_close(state);
    return open_file(state, e);
}

static enum err write_all(struct file_state *state, const char *bytes, size_t len, struct error *e)
{
    while (len > 0) {
        ssize_t written = write(state->fd, bytes, len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return fail(state, "write", written == 0 ? ENOSPC : errno, e);
        }
        state->size += written;
        bytes += written;
        len -= (size_t)written;
    }
    return ERR_OK;
}

static enum err flush(struct file_state *state, struct error *e)
{
    size_t used = state->used;
    state->used = 0;
    return write_all(state, state->buffer, used, e);
}

static enum err put_line(struct file_state *state, const char *line, size_t len, struct error *e)
{
    if (state->used + len > sizeof(state->buffer)) {
        enum err rc = flush(state, e);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    if (len > sizeof(state->buffer)) {
        return write_all(state, line, len, e);
    }
    memcpy(state->buffer + state->used, line, len);
    state->used += len;
    return ERR_OK;
}

static enum err put_batch(struct file_state *state, const struct delivery *const *batch,
                          uint32_t count, struct error *e)
{
    enum err rc = ERR_OK;
    state->used = 0;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        char *line;
        size_t len;
        rc = json_line_make(batch[i], &line, &len, e);
        if (rc == ERR_OK) {
            rc = put_line(state, line, len, e);
            free(line);
        }
    }
    rc = rc == ERR_OK ? flush(state, e) : rc;
    if (rc == ERR_OK && state->is_synced && fdatasync(state->fd) != 0 && errno != EINVAL) {
        rc = fail(state, "sync", errno, e);
    }
    return rc;
}

// After a failure nothing of the batch may count as written: a disk that was full is no attempt. If
// the cutting fails as well, the lines come twice, with the same idempotency keys.
static enum verdict undo(struct file_state *state, off_t start)
{
    if (state->is_regular) {
        return ftruncate(state->fd, start) == 0 ? VERDICT_NOT_SENT : VERDICT_RETRY;
    }
    return VERDICT_RETRY;
}

static enum err file_send(void *opaque, const struct delivery *const *batch, uint32_t count,
                          struct answer *out_answers, struct error *e)
{
    struct file_state *state = opaque;
    enum verdict verdict = VERDICT_NOT_SENT;
    enum err rc = follow_path(state, e);
    rc = rc == ERR_OK ? rotate_if_full(state, e) : rc;
    if (rc == ERR_OK) {
        off_t start = state->size;
        rc = put_batch(state, batch, count, e);
        verdict = rc == ERR_OK ? VERDICT_DONE : undo(state, start);
    }
    for (uint32_t i = 0; i < count; i++) {
        answer_set(&out_answers[i], verdict, verdict == VERDICT_RETRY ? e->text : "");
    }
    return rc;
}

static enum err file_check(const struct options *given, struct error *e)
{
    mode_t mode;
    const char *path = option_text(given, "path");
    if (!parse_mode(option_text(given, "mode"), &mode)) {
        return error_set(e, ERR_CONFIG, "mode: must be three octal digits such as 0640, not '%s'",
                         option_text(given, "mode"));
    }
    struct stat status;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return error_set(e, ERR_CONFIG, "path: %s is a folder", path);
    }
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (strlen(path) >= sizeof(folder) - 8) { // path.1000 must fit, too.
        return error_set(e, ERR_CONFIG, "path: longer than %d bytes", PATH_MAX - 8);
    }
    snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
             slash == NULL ? "." : path);
    const char *there = access(path, F_OK) == 0 ? path : folder;
    if (access(there, W_OK) != 0) {
        return error_set(e, ERR_CONFIG, "path: cannot write %s: %s", there, strerror(errno));
    }
    return ERR_OK;
}

const struct connector_type connector_file = {
    .name = "file",
    .options = options,
    .route_options = route_options,
    .batch_count_max = BATCH_MAX,
    .state_bytes = sizeof(struct file_state),
    .open = file_open,
    .send = file_send,
    .close = file_close,
    .check = file_check,
};
