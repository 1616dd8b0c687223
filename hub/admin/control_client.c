#include "admin/control_client.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/control_name.h"
#include "base/clock.h"
#include "base/utf8.h"

#define READ_BYTES 65536

struct reader {
    int fd;
    int64_t deadline_ms;
    char *line;
    size_t len, capacity;
};

static enum err connect_to(const char *store_path, int *out_fd, struct error *e)
{
    struct sockaddr_un name = {0};
    int folder = -1, fd = -1;
    enum err rc = control_name(store_path, &name, &folder, e);
    if (rc != ERR_OK) {
        goto cleanup;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) != 0) {
        bool is_absent = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR;
        rc = error_set(e, is_absent ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "control socket %s.sock: %s",
                       store_path, is_absent ? "no hub runs on this store" : strerror(errno));
        goto cleanup;
    }
    *out_fd = fd;
    fd = -1;

cleanup:
    if (folder >= 0) {
        close(folder);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static enum err send_line(int fd, const json_t *request, struct error *e)
{
    char *text = json_dumps(request, JSON_COMPACT);
    char *line = text == NULL ? NULL : realloc(text, strlen(text) + 2);
    if (line == NULL) {
        free(text);
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    strcat(line, "\n");
    size_t len = strlen(line), at = 0;
    while (at < len) {
        ssize_t sent = send(fd, line + at, len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            break;
        }
        at += sent > 0 ? (size_t)sent : 0;
    }
    free(line);
    return at == len ? ERR_OK
                     : error_set(e, ERR_UNAVAILABLE, "the hub hung up: %s", strerror(errno));
}

static enum err grow(struct reader *reader, struct error *e)
{
    if (reader->capacity - reader->len > 1) {
        return ERR_OK;
    }
    if (reader->capacity >= CONTROL_REPLY_MAX) {
        return error_set(e, ERR_INVALID, "the hub's answer is longer than %d bytes",
                         CONTROL_REPLY_MAX);
    }
    char *line = realloc(reader->line, reader->capacity + READ_BYTES);
    if (line == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    reader->line = line;
    reader->capacity += READ_BYTES;
    return ERR_OK;
}

static enum err read_line(struct reader *reader, struct error *e)
{
    for (;;) {
        struct pollfd fd = {.fd = reader->fd, .events = POLLIN};
        int64_t left_ms = reader->deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || poll(&fd, 1, (int)left_ms) == 0) {
            return error_set(e, ERR_TIMEOUT, "the hub did not answer in %d s",
                             CONTROL_TIMEOUT_MS / 1000);
        }
        enum err rc = grow(reader, e);
        if (rc != ERR_OK) {
            return rc;
        }
        ssize_t got =
            recv(reader->fd, reader->line + reader->len, reader->capacity - reader->len - 1, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return error_set(e, ERR_UNAVAILABLE, "the hub hung up before it answered");
        }
        reader->len += (size_t)got;
        reader->line[reader->len] = '\0';
        if (reader->line[reader->len - 1] == '\n') {
            return ERR_OK;
        }
    }
}

static enum err parse_reply(const char *line, json_t **out_reply, struct error *e)
{
    json_t *reply = json_loads(line, 0, NULL);
    const char *problem = json_string_value(json_object_get(reply, "error"));
    if (!json_is_object(reply)) {
        json_decref(reply);
        return error_set(e, ERR_INVALID, "the hub's answer is not a JSON object");
    }
    if (problem != NULL) {
        const char *code = json_string_value(json_object_get(reply, "code"));
        bool is_full = code != NULL && strcmp(code, "full") == 0;
        enum err rc = error_set(e, is_full ? ERR_FULL : ERR_REJECTED, "the hub says: %s", problem);
        utf8_disarm(e->text); // Keys that it names are anybody's.
        json_decref(reply);
        return rc;
    }
    *out_reply = reply;
    return ERR_OK;
}

enum err control_ask(const char *store_path, const struct json_t *request,
                     struct json_t **out_reply, struct error *e)
{
    struct reader reader = {.fd = -1, .deadline_ms = clock_monotonic_ms() + CONTROL_TIMEOUT_MS};
    enum err rc = connect_to(store_path, &reader.fd, e);
    rc = rc == ERR_OK ? send_line(reader.fd, request, e) : rc;
    rc = rc == ERR_OK ? read_line(&reader, e) : rc;
    rc = rc == ERR_OK ? parse_reply(reader.line, out_reply, e) : rc;
    free(reader.line);
    if (reader.fd >= 0) {
        close(reader.fd);
    }
    return rc;
}
