// connector_http.c - calls an HTTP server: a delivery is a request, the status of the answer is its
// verdict. Several are under way at the same time, each is answered on its own.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "connectors/http_client.h"
#include "connectors/http_headers.h"
#include "connectors/http_status.h"
#include "connectors/http_url.h"
#include "connectors/types.h"
#include "core/address.h"

#define BATCH_MAX       HTTP_CALLS_MAX
#define REASON_PATH_MAX 60
#define SECRET_MIN      8 // Bytes that are known again; headers that are shorter stand in many a text.

static const struct option_spec options[] = {
    {"url", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "The server: http://host:port or https://host:port, perhaps with a path that all calls begin "
     "with."},
    {"ca", OPTION_PATH, false, NULL, 0, 0, NULL,
     "PEM file of the certificate authorities to trust; without it those of the system."},
    {"cert", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of the hub's own certificate."},
    {"key", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of the key that belongs to cert."},
    {"verify", OPTION_BOOL, false, "true", 0, 0, NULL,
     "Check the server's certificate and its name. false is for trying things out: anybody can be "
     "the server then."},
    {"username", OPTION_TEXT, false, NULL, 0, 0, NULL, "User to log in as (HTTP Basic)."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL, "The user's password."},
    {"token", OPTION_SECRET, false, NULL, 0, 0, NULL, "Bearer token to log in with."},
    {"headers", OPTION_SECRET, false, NULL, 0, 0, NULL,
     "Headers of every call, a line `Name: value` each. A property of a route replaces the one of "
     "its name. As they may hold keys they are never printed."},
    {"version", OPTION_ENUM, false, "auto", 0, 0, "auto|1.1",
     "HTTP version; auto is HTTP/2 where the server speaks it over TLS, else 1.1."},
    {"timeout", OPTION_DURATION, false, "30 s", 10, 3600000, NULL,
     "Longest wait for a whole answer; what comes of the call is not known then, and it is tried "
     "again with the same Idempotency-Key."},
    {"connect_timeout", OPTION_DURATION, false, "10 s", 10, 600000, NULL,
     "Longest wait for a connection; then the target is down."},
    {"in_flight", OPTION_INT, false, "16", 1, BATCH_MAX, NULL,
     "Most calls at the same time; with HTTP/1.1 each has a connection of its own, which is kept "
     "for the next."},
    {"body_max", OPTION_SIZE, false, "256 KB", 1024, 4 * 1024 * 1024, NULL,
     "Largest body of an answer. The rest of a longer one is not read, and a workflow's step fails "
     "with `answer`."},
    {"done", OPTION_TEXT, false, "2xx", 0, 0, NULL,
     "Statuses that mean that the server has it: numbers, ranges and classes, such as 200-204, 2xx "
     "409."},
    {"retry", OPTION_TEXT, false, "408 425 429 5xx", 0, 0, NULL,
     "Statuses that mean that it may work later; Retry-After is kept to, for up to an hour. All "
     "that are in neither list mean that it never will. Redirects are not followed."},
    {"proxy", OPTION_SECRET, false, NULL, 0, 0, NULL,
     "Proxy to go through, such as http://proxy:3128 or http://user:password@proxy:3128; without "
     "it none, whatever the environment says. As it may hold a password it is never printed."},
    {NULL},
};

static const struct option_spec route_options[] = {
    {"method", OPTION_ENUM, false, "POST", 0, 0, "POST|PUT|PATCH|DELETE|GET|HEAD",
     "Method of the call. GET, HEAD and DELETE carry no payload."},
    {"path", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "What follows the target's url, with a / in front, perhaps with a query; `{column}` is "
     "replaced by the column's value, percent-encoded."},
    {NULL},
};

struct http_state {
    struct http_client *client;
    struct http_fixed fixed;
    struct http_status_set done, retry;
    const char *url;
    const char *secrets[3]; // Never in a reason, as the headers of every call.
    char *proxy_password;   // The last of them; NULL.
    uint32_t in_flight;
    const struct connector_desk *desk;
    // The send that is under way.
    const struct delivery *const *batch;
    struct answer *answers;
    uint32_t count, next; // Of those that it began with.
    bool is_down;
    char down_reason[CONNECTOR_REASON_MAX];
    struct http_headers headers;
};

static void reason_set(struct http_state *state, uint32_t place, const char *text)
{
    const struct delivery *delivery = state->batch[place];
    struct answer *answer = &state->answers[place];
    struct address address = address_parse(delivery->topic);
    size_t path_len = 0; // Without the query.
    while (path_len < address.path.len && path_len < REASON_PATH_MAX &&
           address.path.ptr[path_len] != '?') {
        path_len++;
    }
    snprintf(
        answer->reason, sizeof(answer->reason), "%.*s %.80s%.*s: %s",
        (int)(address.method.len < ADDRESS_METHOD_MAX ? address.method.len : ADDRESS_METHOD_MAX),
        (const char *)address.method.ptr, state->url, (int)path_len, (const char *)address.path.ptr,
        text);
}

// The place's answer stands.
static void answered(struct http_state *state, uint32_t place)
{
    if (state->desk != NULL) {
        state->desk->answered(state->desk->context, place);
    }
}

static void reject(struct http_state *state, uint32_t place, const char *what, const char *problem)
{
    snprintf(state->answers[place].reason, CONNECTOR_REASON_MAX, "%s %s", what, problem);
    state->answers[place].verdict = VERDICT_REJECT;
    answered(state, place);
}

// The line holds it, or ends within it.
static bool shows(const char *line, const char *secret)
{
    size_t len = strlen(secret), enough = len < SECRET_MIN ? len : SECRET_MIN;
    for (size_t left = strlen(line); left >= enough && left > 0; left--, line++) {
        if (strncmp(line, secret, left < len ? left : len) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_secret(const struct http_state *state, const char *line)
{
    for (size_t i = 0; i < sizeof(state->secrets) / sizeof(state->secrets[0]); i++) {
        const char *secret = state->secrets[i];
        if (secret != NULL && secret[0] != '\0' && shows(line, secret)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < state->fixed.count; i++) {
        const char *value = state->fixed.headers[i].value;
        if (strlen(value) >= SECRET_MIN && shows(line, value)) {
            return true;
        }
    }
    return false;
}

// The first line of a body, as far as it is a text.
static void first_line(const struct http_state *state, struct bytes body, char *out, size_t size)
{
    size_t len = 0;
    while (len < body.len && (body.ptr[len] == ' ' || body.ptr[len] == '\n')) {
        len++;
    }
    struct bytes rest = bytes_of(body.ptr + len, body.len - len);
    len = 0;
    while (rest.len > 0) {
        uint32_t code_point;
        size_t bytes = utf8_decode(rest, &code_point);
        if (bytes == 0 || code_point < ' ' || code_point == 0x7f || len + bytes >= size) {
            break;
        }
        memcpy(out + len, rest.ptr, bytes);
        len += bytes;
        rest = bytes_of(rest.ptr + bytes, rest.len - bytes);
    }
    out[len] = '\0';
    if (has_secret(state, out)) {
        out[0] = '\0';
    }
}

static enum verdict verdict_of(const struct http_state *state, int32_t status)
{
    return http_status_has(&state->done, status)    ? VERDICT_DONE
           : http_status_has(&state->retry, status) ? VERDICT_RETRY
                                                    : VERDICT_REJECT;
}

static void tell_status(struct http_state *state, const struct http_result *result)
{
    char line[120], text[160];
    first_line(state, result->body, line, sizeof(line));
    snprintf(text, sizeof(text), "%d%s%s", result->status, line[0] == '\0' ? "" : ": ", line);
    reason_set(state, result->place, text);
}

static void tell_answer(struct http_state *state, const struct http_result *result)
{
    struct answer *answer = &state->answers[result->place];
    answer->verdict = verdict_of(state, result->status);
    answer->reason[0] = '\0';
    answer->retry_after_ms = result->retry_after_ms;
    if (answer->verdict != VERDICT_DONE) {
        tell_status(state, result);
    }
    if (!state->batch[result->place]->is_answered) {
        return;
    }
    const struct reply reply = {
        .status = result->status,
        .body = result->body,
        .content_type = result->content_type,
        .is_cut = result->is_cut,
    };
    answer->reply = reply_create(&reply);
    if (answer->reply == NULL) {
        answer->verdict = VERDICT_RETRY;
        reason_set(state, result->place, "out of memory for the answer");
    }
}

static void tell(struct http_state *state, const struct http_result *result)
{
    struct answer *answer = &state->answers[result->place];
    switch (result->outcome) {
    case HTTP_ANSWERED:
        tell_answer(state, result);
        break;
    case HTTP_BROKEN:
        answer->verdict = VERDICT_RETRY;
        reason_set(state, result->place, result->error);
        break;
    case HTTP_IMPOSSIBLE:
        answer->verdict = VERDICT_REJECT;
        reason_set(state, result->place, result->error);
        break;
    case HTTP_UNREACHABLE: // It stays VERDICT_NOT_SENT, as all that have not begun.
        state->is_down = true;
        snprintf(state->down_reason, sizeof(state->down_reason), "%.80s: %.110s", state->url,
                 result->error);
        return;
    }
    answered(state, result->place);
}

static void start(struct http_state *state, uint32_t place)
{
    const struct delivery *delivery = state->batch[place];
    char text[200];
    struct error e = {0};
    const char *problem = address_problem(delivery->topic);
    if (problem != NULL) {
        reject(state, place, "the address", problem);
        return;
    }
    problem = http_headers_make(&state->headers, &state->fixed, delivery, text);
    if (problem != NULL) {
        reject(state, place, "it cannot be sent:", problem);
        return;
    }
    struct address address = address_parse(delivery->topic);
    const struct http_request request = {
        .method = address.method,
        .path = address.path,
        .body = delivery->payload,
        .has_body = address_has_body(&address),
        .headers = state->headers.headers,
        .header_count = state->headers.count,
        .timeout_ms = delivery->timeout_ms,
        .is_wanted = delivery->is_answered,
        .place = place,
    };
    if (http_client_start(state->client, &request, &e) != ERR_OK) {
        answer_set(&state->answers[place], VERDICT_RETRY, e.text);
        answered(state, place);
    }
}

static bool take_next(struct http_state *state, uint32_t *out_place)
{
    if (state->next < state->count) {
        *out_place = state->next++;
        return true;
    }
    return state->desk != NULL && state->desk->more(state->desk->context, out_place);
}

static void start_some(struct http_state *state)
{
    uint32_t place;
    while (!state->is_down && http_client_open_count(state->client) < state->in_flight &&
           take_next(state, &place)) {
        start(state, place);
    }
}

// While there is a place for another call the desk may have one.
static enum err wait(struct http_state *state, struct error *e)
{
    bool is_open = state->desk != NULL && !state->is_down &&
                   http_client_open_count(state->client) < state->in_flight;
    return http_client_wait(state->client, is_open ? state->desk->fd : -1, e);
}

static enum err http_send(void *opaque, const struct delivery *const *batch, uint32_t count,
                          struct answer *out_answers, struct error *e)
{
    struct http_state *state = opaque;
    struct http_result result;
    enum err rc = ERR_OK;
    state->batch = batch;
    state->answers = out_answers;
    state->count = count;
    state->next = 0;
    state->is_down = false;
    for (uint32_t i = 0; i < count; i++) {
        answer_set(&out_answers[i], VERDICT_NOT_SENT, "");
        out_answers[i].reply = NULL;
        out_answers[i].retry_after_ms = 0;
    }
    start_some(state);
    while (rc == ERR_OK && http_client_open_count(state->client) > 0) {
        rc = wait(state, e);
        while (http_client_next(state->client, &result)) { // Even when nothing more is waited for.
            tell(state, &result);
        }
        if (rc == ERR_OK) {
            start_some(state);
        }
    }
    for (uint32_t place; http_client_give_up(state->client, &place);) { // They may have arrived.
        out_answers[place].verdict = VERDICT_RETRY;
        reason_set(state, place, e->text);
    }
    return rc == ERR_OK && state->is_down ? error_set(e, ERR_UNAVAILABLE, "%s", state->down_reason)
                                          : rc;
}

static void http_close(void *opaque)
{
    struct http_state *state = opaque;
    http_client_destroy(state->client);
    http_fixed_deinit(&state->fixed);
    if (state->proxy_password != NULL) {
        explicit_bzero(state->proxy_password, strlen(state->proxy_password));
    }
    free(state->proxy_password);
    state->client = NULL;
    state->secrets[2] = state->proxy_password = NULL;
}

static enum err read_proxy(struct http_state *state, const char *proxy, struct error *e)
{
    enum err rc = proxy == NULL ? ERR_OK : http_proxy_check(proxy, &state->proxy_password, e);
    state->secrets[2] = state->proxy_password;
    return rc == ERR_OK ? rc : error_wrap(e, "proxy");
}

static enum err http_open(void *opaque, const struct connector_peer *peer, struct error *e)
{
    struct http_state *state = opaque;
    const struct options *given = peer->options;
    state->url = option_text(given, "url");
    state->desk = peer->desk;
    state->in_flight = (uint32_t)option_int(given, "in_flight");
    state->secrets[0] = option_text(given, "password");
    state->secrets[1] = option_text(given, "token");
    const struct http_client_options client_options = {
        .url = state->url,
        .ca = option_text(given, "ca"),
        .cert = option_text(given, "cert"),
        .key = option_text(given, "key"),
        .username = option_text(given, "username"),
        .password = option_text(given, "password"),
        .token = option_text(given, "token"),
        .proxy = option_text(given, "proxy"),
        .agent = "pipit/" PIPIT_VERSION,
        .is_verified = option_bool(given, "verify"),
        .version = (enum http_version)option_choice(given, "version"),
        .timeout_ms = option_int(given, "timeout"),
        .connect_timeout_ms = option_int(given, "connect_timeout"),
        .calls_max = state->in_flight,
        .body_max = (uint64_t)option_int(given, "body_max"),
        .stop_fd = peer->stop_fd,
    };
    enum err rc = http_status_parse(option_text(given, "done"), &state->done, e);
    rc = rc == ERR_OK ? http_status_parse(option_text(given, "retry"), &state->retry, e) : rc;
    rc = rc == ERR_OK ? http_fixed_parse(option_text(given, "headers"), &state->fixed, e) : rc;
    rc = rc == ERR_OK ? read_proxy(state, client_options.proxy, e) : rc;
    rc = rc == ERR_OK ? http_client_create(&state->client, &client_options, e) : rc;
    rc = rc == ERR_OK ? http_client_probe(state->client, e) : rc;
    if (rc != ERR_OK) {
        http_close(state);
    }
    return rc;
}

static enum err check_statuses(const struct options *given, struct error *e)
{
    struct http_status_set done = {{0}}, retry = {{0}};
    enum err rc = http_status_parse(option_text(given, "done"), &done, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "done");
    }
    rc = http_status_parse(option_text(given, "retry"), &retry, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "retry");
    }
    for (int status = HTTP_STATUS_MIN; status <= HTTP_STATUS_MAX; status++) {
        if (http_status_has(&done, status) && http_status_has(&retry, status)) {
            return error_set(e, ERR_CONFIG, "status %d is in done and in retry", status);
        }
    }
    return ERR_OK;
}

static enum err check_together(const struct options *given, bool is_tls, struct error *e)
{
    bool has_cert = option_text(given, "cert") != NULL;
    bool has_key = option_text(given, "key") != NULL;
    bool has_user = option_text(given, "username") != NULL;
    if (!is_tls && (option_text(given, "ca") != NULL || has_cert || has_key)) {
        return error_set(e, ERR_CONFIG, "ca, cert and key are for TLS: the url must be https://");
    }
    if (has_cert != has_key) {
        return error_set(e, ERR_CONFIG, "cert and key go together: %s is missing",
                         has_cert ? "key" : "cert");
    }
    if (option_text(given, "password") != NULL && !has_user) {
        return error_set(e, ERR_CONFIG, "password needs a username beside it");
    }
    if (option_text(given, "token") != NULL && has_user) {
        return error_set(e, ERR_CONFIG, "token and username are two ways to log in; one is enough");
    }
    return ERR_OK;
}

static enum err check_files(const struct options *given, struct error *e)
{
    static const char *const files[] = {"ca", "cert", "key"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *path = option_text(given, files[i]);
        if (path != NULL && access(path, R_OK) != 0) {
            return error_set(e, ERR_CONFIG, "%s: cannot read %s: %s", files[i], path,
                             strerror(errno));
        }
    }
    return ERR_OK;
}

static enum err http_check(const struct options *given, struct error *e)
{
    bool is_tls = false;
    struct http_fixed fixed;
    enum err rc = http_url_check(option_text(given, "url"), &is_tls, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "url");
    }
    rc = http_fixed_parse(option_text(given, "headers"), &fixed, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "headers");
    }
    http_fixed_deinit(&fixed);
    const char *proxy = option_text(given, "proxy");
    rc = proxy == NULL ? ERR_OK : http_proxy_check(proxy, NULL, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "proxy");
    }
    rc = check_statuses(given, e);
    rc = rc == ERR_OK ? check_together(given, is_tls, e) : rc;
    return rc == ERR_OK ? check_files(given, e) : rc;
}

const struct connector_type connector_http = {
    .name = "http",
    .options = options,
    .route_options = route_options,
    .is_url = true,
    .property_problem = http_header_problem,
    .batch_count_max = BATCH_MAX,
    .state_bytes = sizeof(struct http_state),
    .open = http_open,
    .send = http_send,
    .close = http_close,
    .check = http_check,
};
