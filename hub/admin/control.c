#define READ_AWAY_MAX 64 // Times 4 KB.
#define _GNU_SOURCE      // accept4.
#include "admin/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/control_name.h"
#include "admin/control_request.h"

#define REQUEST_BYTES 4096 // Of most requests; longer ones grow.

//            line complete            control_answer              all written
//   READING ───────────────▶ ASKED ─────────────────▶ WRITING ─────────────────▶ FREE
//      │ hung up, silent                                 │ hung up, takes nothing
//      └──────────────▶ FREE                             └──────────────▶ FREE
enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_ASKED, CLIENT_WRITING };

struct client {
    enum client_state state;
    int fd;
    int64_t deadline_ms;
    char *request;
    size_t request_len, request_capacity;
    char *reply; // With its line's end.
    size_t reply_len, reply_at;
};

struct control {
    int fd;
    int64_t now_ms;
    char *path; // Of the store.
    struct client clients[CONTROL_CLIENTS_MAX];
};

static enum err listen_on(struct control *control, struct error *e)
{
    struct sockaddr_un name;
    int folder = -1;
    enum err rc = control_name(control->path, &name, &folder, e);
    if (rc != ERR_OK) {
        return rc;
    }
    unlink(name.sun_path);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177); // Mode 0600 from the first moment.
    bool is_bound =
        control->fd >= 0 && bind(control->fd, (struct sockaddr *)&name, sizeof(name)) == 0;
    umask(before);
    if (!is_bound || listen(control->fd, CONTROL_CLIENTS_MAX) != 0) {
        rc = error_set(e, ERR_UNAVAILABLE, "control socket %s.sock: %s", control->path,
                       strerror(errno));
    }
    if (folder >= 0) {
        close(folder);
    }
    return rc;
}

enum err control_open(struct control **out_control, const char *store_path, struct error *e)
{
    struct control *control = calloc(1, sizeof(*control));
    char *path = strdup(store_path);
    if (control == NULL || path == NULL) {
        free(control);
        free(path);
        return error_set(e, ERR_NO_MEMORY, "control socket: out of memory");
    }
    control->fd = -1;
    control->path = path;
    enum err rc = listen_on(control, e);
    if (rc != ERR_OK) {
        control_close(control);
        return rc;
    }
    *out_control = control;
    return ERR_OK;
}

// A socket that is closed with bytes unread takes the answer from its peer.
static void read_away(int fd)
{
    char scrap[4096];
    for (int i = 0; i < READ_AWAY_MAX && recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0; i++) {
    }
}

static void client_free(struct client *client)
{
    if (client->state == CLIENT_FREE) {
        return;
    }
    read_away(client->fd);
    close(client->fd);
    free(client->request);
    free(client->reply);
    *client = (struct client){.state = CLIENT_FREE};
}

static void client_write(struct client *client, int64_t now_ms)
{
    while (client->reply_at < client->reply_len) {
        ssize_t sent = send(client->fd, client->reply + client->reply_at,
                            client->reply_len - client->reply_at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (sent <= 0) {
            client_free(client);
            return;
        }
        client->reply_at += (size_t)sent;
        client->deadline_ms = now_ms + CONTROL_SILENT_MS;
    }
    client_free(client);
}

void control_close(struct control *control)
{
    if (control == NULL) {
        return;
    }
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        client_free(&control->clients[i]);
    }
    struct sockaddr_un name;
    int folder = -1;
    if (control->fd >= 0 && control_name(control->path, &name, &folder, NULL) == ERR_OK) {
        unlink(name.sun_path);
        close(control->fd);
    }
    if (folder >= 0) {
        close(folder);
    }
    free(control->path);
    free(control);
}

static short client_wants(const struct client *client)
{
    return client->state == CLIENT_READING ? POLLIN : client->state == CLIENT_WRITING ? POLLOUT : 0;
}

void control_poll(struct control *control, struct pollfd *out_pollfds, int64_t now_ms,
                  int *inout_timeout_ms)
{
    bool has_room = false;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        const struct client *client = &control->clients[i];
        bool is_free = client->state == CLIENT_FREE;
        has_room |= is_free;
        out_pollfds[i] =
            (struct pollfd){.fd = is_free ? -1 : client->fd, .events = client_wants(client)};
        int64_t left_ms = client->deadline_ms - now_ms;
        if (!is_free && left_ms < *inout_timeout_ms) {
            *inout_timeout_ms = left_ms < 0 ? 0 : (int)left_ms;
        }
    }
    out_pollfds[CONTROL_CLIENTS_MAX] =
        (struct pollfd){.fd = has_room ? control->fd : -1, .events = POLLIN};
}

static void accept_client(struct control *control)
{
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (uint32_t i = 0; fd >= 0 && i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        char *request = client->state == CLIENT_FREE ? malloc(REQUEST_BYTES) : NULL;
        if (request != NULL) {
            *client = (struct client){.state = CLIENT_READING,
                                      .fd = fd,
                                      .deadline_ms = control->now_ms + CONTROL_SILENT_MS,
                                      .request = request,
                                      .request_capacity = REQUEST_BYTES};
            return;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

void control_answer(struct control *control, uint32_t index, json_t *take_reply)
{
    struct client *client = &control->clients[index];
    char *text = take_reply == NULL ? NULL : json_dumps(take_reply, JSON_COMPACT);
    json_decref(take_reply);
    if (text == NULL) {
        text = strdup("{\"error\": \"the hub has no memory left for an answer\"}");
    }
    size_t len = text == NULL ? 0 : strlen(text);
    char *line = text == NULL ? NULL : realloc(text, len + 1);
    if (line == NULL || client->state == CLIENT_FREE) {
        free(line == NULL ? text : line);
        client_free(client);
        return;
    }
    line[len] = '\n'; // In place of the NUL.
    client->reply = line;
    client->reply_len = len + 1;
    client->state = CLIENT_WRITING;
    client->deadline_ms = control->now_ms + CONTROL_SILENT_MS;
    client_write(client, control->now_ms);
}

void control_refuse(struct control *control, uint32_t client, const char *text, const char *code)
{
    control_answer(control, client, json_pack("{s:s, s:s*}", "error", text, "code", code));
}

// The line has come: true when there is something to do for the hub.
static bool line_take(struct control *control, uint32_t index, struct control_ask *out_ask)
{
    struct client *client = &control->clients[index];
    client->state = CLIENT_ASKED;
    *out_ask = (struct control_ask){.client = index};
    const char *refusal = control_request_read(client->request, client->request_len, out_ask);
    if (refusal != NULL) {
        control_request_destroy(out_ask->request);
        control_refuse(control, index, refusal, NULL);
    }
    return refusal == NULL;
}

static size_t large_bytes(const struct control *control)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        size_t capacity = control->clients[i].request_capacity;
        bytes += capacity > REQUEST_BYTES ? capacity : 0;
    }
    return bytes;
}

// Room for more of the request; NULL, or why there is none.
static const char *client_grow(struct control *control, struct client *client)
{
    if (client->request_len < client->request_capacity) {
        return NULL;
    }
    size_t capacity = 2 * client->request_capacity;
    if (capacity > CONTROL_REQUEST_MAX) {
        return "the request is longer than 4 MB";
    }
    if (large_bytes(control) + capacity > CONTROL_LARGE_MAX) {
        return "the hub has as many large requests at hand as it takes; try again";
    }
    char *request = realloc(client->request, capacity);
    if (request == NULL) {
        return "the hub has no memory left for the request";
    }
    client->request = request;
    client->request_capacity = capacity;
    return NULL;
}

static bool client_read(struct control *control, uint32_t index, struct control_ask *out_ask)
{
    struct client *client = &control->clients[index];
    const char *problem = NULL;
    while (problem == NULL) {
        ssize_t got = recv(client->fd, client->request + client->request_len,
                           client->request_capacity - client->request_len, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
            return false;
        }
        if (got <= 0) {
            client_free(client);
            return false;
        }
        client->request_len += (size_t)got;
        client->deadline_ms = control->now_ms + CONTROL_SILENT_MS;
        if (client->request[client->request_len - 1] == '\n') {
            return line_take(control, index, out_ask);
        }
        problem = client_grow(control, client);
    }
    client->state = CLIENT_ASKED;
    control_refuse(control, index, problem, NULL);
    return false;
}

uint32_t control_read(struct control *control, const struct pollfd *pollfds, int64_t now_ms,
                      struct control_ask *out_asks)
{
    uint32_t count = 0;
    control->now_ms = now_ms;
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct client *client = &control->clients[i];
        if (pollfds[i].fd < 0 || client->state == CLIENT_FREE) {
            continue;
        }
        bool is_ready = pollfds[i].revents != 0;
        if (is_ready && client->state == CLIENT_READING) {
            count += client_read(control, i, &out_asks[count]) ? 1 : 0;
        } else if (is_ready && client->state == CLIENT_WRITING) {
            client_write(client, now_ms);
        } else if (client->state != CLIENT_ASKED && now_ms >= client->deadline_ms) {
            client_free(client);
        }
    }
    if (pollfds[CONTROL_CLIENTS_MAX].revents != 0) {
        accept_client(control);
    }
    return count;
}
