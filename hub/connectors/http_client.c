#include "connectors/http_client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connectors/http_library.h"

#define POLL_MS            1000 // libcurl wakes up earlier where it has a reason.
#define REFUSAL_MS         500
#define CONTENT_TYPE_BYTES 256
#define URL_BYTES_MAX      10000

struct call {
    struct http_client *client;
    CURL *easy; // Kept from call to call.
    struct curl_slist *headers;
    bool is_open, is_done;
    CURLcode code;
    uint32_t place;
    bool is_wanted, is_cut;
    bool is_bodyless, is_ended; // By its status; by us, as there would have been a body.
    uint64_t received;
    int64_t timeout_ms;
    size_t header_bytes;
    char *body; // Grows up to body_max.
    size_t len, capacity;
    char error[CURL_ERROR_SIZE];
};

struct http_client {
    struct http_client_options given;
    CURLM *multi;
    uint32_t open_count;
    char content_type[CONTENT_TYPE_BYTES];
    char url[URL_BYTES_MAX];
    struct call calls[HTTP_CALLS_MAX];
};

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NO_MEMORY, "out of memory for HTTP");
}

enum err http_client_create(struct http_client **out_client,
                            const struct http_client_options *options, struct error *e)
{
    enum err rc = http_library_load(e);
    if (rc != ERR_OK) {
        return rc;
    }
    struct http_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return no_memory(e);
    }
    client->given = *options;
    client->multi = http_library.multi_init();
    if (client->multi == NULL) {
        free(client);
        return no_memory(e);
    }
    http_library.multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)options->calls_max);
    http_library.multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                              (long)options->calls_max);
    *out_client = client;
    return ERR_OK;
}

static void forget(struct call *call)
{
    if (call->is_open) {
        http_library.multi_remove_handle(call->client->multi, call->easy);
        call->client->open_count--;
    }
    http_library.slist_free_all(call->headers);
    call->headers = NULL;
    call->is_open = call->is_done = false;
}

void http_client_destroy(struct http_client *client)
{
    if (client == NULL) {
        return;
    }
    for (uint32_t i = 0; i < HTTP_CALLS_MAX; i++) {
        struct call *call = &client->calls[i];
        forget(call);
        http_library.easy_cleanup(call->easy);
        free(call->body);
    }
    http_library.multi_cleanup(client->multi);
    free(client);
}

// ---- what is set of a handle --------------------------------------------------------------------

static void set_tls(CURL *easy, const struct http_client_options *given)
{
    if (given->ca != NULL) {
        http_library.easy_setopt(easy, CURLOPT_CAINFO, given->ca);
    }
    if (given->cert != NULL) {
        http_library.easy_setopt(easy, CURLOPT_SSLCERT, given->cert);
        http_library.easy_setopt(easy, CURLOPT_SSLKEY, given->key);
    }
    http_library.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, given->is_verified ? 1L : 0L);
    http_library.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, given->is_verified ? 2L : 0L);
    http_library.easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_login(CURL *easy, const struct http_client_options *given)
{
    if (given->token != NULL) {
        http_library.easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        http_library.easy_setopt(easy, CURLOPT_XOAUTH2_BEARER, given->token);
    } else if (given->username != NULL) {
        http_library.easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        http_library.easy_setopt(easy, CURLOPT_USERNAME, given->username);
        http_library.easy_setopt(easy, CURLOPT_PASSWORD,
                                 given->password == NULL ? "" : given->password);
    }
}

static bool is_https(const struct http_client_options *given)
{
    return strncasecmp(given->url, "https:", 6) == 0;
}

// Calls wait for the first connection to see whether it takes them all; without TLS it never does,
// and they would wait for its answer.
static void set_version(CURL *easy, const struct http_client_options *given)
{
    bool may_be_2 = given->version == HTTP_VERSION_AUTO && is_https(given);
    http_library.easy_setopt(easy, CURLOPT_HTTP_VERSION,
                             may_be_2 ? (long)CURL_HTTP_VERSION_2TLS : (long)CURL_HTTP_VERSION_1_1);
    http_library.easy_setopt(easy, CURLOPT_PIPEWAIT, may_be_2 ? 1L : 0L);
}

static void set_peer(CURL *easy, const struct http_client_options *given, char *error)
{
    http_library.easy_reset(easy);
    error[0] = '\0';
    http_library.easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    http_library.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    http_library.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    http_library.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    http_library.easy_setopt(easy, CURLOPT_PROXY, given->proxy == NULL ? "" : given->proxy);
    http_library.easy_setopt(easy, CURLOPT_NOPROXY, "");
    set_version(easy, given);
    http_library.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)given->connect_timeout_ms);
    http_library.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)given->timeout_ms);
    http_library.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    set_tls(easy, given);
    set_login(easy, given);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t len = size * count;
    uint64_t max = call->client->given.body_max;
    call->received += len;
    if (call->received > max) {
        call->is_cut = true;
        return 0; // Ends the connection: nobody reads the rest.
    }
    size_t keep_max = call->is_wanted || max < HTTP_TEXT_BYTES ? (size_t)max : HTTP_TEXT_BYTES;
    size_t keep = len < keep_max - call->len ? len : keep_max - call->len;
    if (call->len + keep > call->capacity) {
        size_t capacity = 2 * (call->len + keep) + HTTP_TEXT_BYTES;
        char *grown = realloc(call->body, capacity);
        if (grown == NULL) {
            return 0;
        }
        call->body = grown;
        call->capacity = capacity;
    }
    if (keep > 0) {
        memcpy(call->body + call->len, data, keep);
        call->len += keep;
    }
    return len;
}

static bool begins(const char *line, size_t len, const char *with)
{
    return len >= strlen(with) && strncasecmp(line, with, strlen(with)) == 0;
}

static bool announces_body(const char *line, size_t len)
{
    static const char length[] = "Content-Length:";
    bool is_some = begins(line, len, "Transfer-Encoding:");
    for (size_t i = sizeof(length) - 1; begins(line, len, length) && i < len; i++) {
        is_some |= line[i] >= '1' && line[i] <= '9';
    }
    return is_some;
}

// A 204 has no body. What a server sends nevertheless would be taken for the answer to the next
// call on its connection, so the connection ends here [RFC 9110 15.3.5, RFC 9112 6.3].
static void note_header(struct call *call, const char *line, size_t len)
{
    if (begins(line, len, "HTTP/")) {
        call->is_bodyless = begins(line, len, "HTTP/1.1 204") || begins(line, len, "HTTP/1.0 204");
    }
    call->is_ended |= call->is_bodyless && announces_body(line, len);
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t len = size * count;
    call->header_bytes += len;
    note_header(call, data, len);
    return call->header_bytes <= HTTP_HEADER_BYTES_MAX && !call->is_ended ? len : 0;
}

static bool add_header(struct call *call, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = malloc(size);
    if (line == NULL) {
        return false;
    }
    // "Name;" is libcurl's way to write a header without a value.
    snprintf(line, size, value[0] == '\0' ? "%s;%s" : "%s: %s", name, value);
    struct curl_slist *headers = http_library.slist_append(call->headers, line);
    free(line);
    call->headers = headers == NULL ? call->headers : headers;
    return headers != NULL;
}

static bool set_headers(struct call *call, const struct http_request *request)
{
    bool has_type = false, is_good = add_header(call, "User-Agent", call->client->given.agent);
    for (uint32_t i = 0; is_good && i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        has_type |= strcasecmp(header->name, "Content-Type") == 0;
        is_good = add_header(call, header->name, header->value);
    }
    // Without an interim answer, and of no type that nobody has named.
    struct curl_slist *headers =
        is_good ? http_library.slist_append(call->headers, "Expect:") : NULL;
    if (headers != NULL && !has_type) {
        call->headers = headers;
        headers = http_library.slist_append(headers, "Content-Type:");
    }
    call->headers = headers == NULL ? call->headers : headers;
    return headers != NULL;
}

// The url may end in a slash and the path begins with one.
static bool set_url(struct call *call, const struct http_request *request)
{
    struct http_client *client = call->client;
    size_t base = strlen(client->given.url);
    while (base > 0 && client->given.url[base - 1] == '/' && request->path.len > 0) {
        base--;
    }
    int len = snprintf(client->url, sizeof(client->url), "%.*s%.*s", (int)base, client->given.url,
                       (int)request->path.len, (const char *)request->path.ptr);
    return len > 0 && (size_t)len < sizeof(client->url) &&
           http_library.easy_setopt(call->easy, CURLOPT_URL, client->url) == CURLE_OK;
}

static void set_request(struct call *call, const struct http_request *request)
{
    char method[32];
    snprintf(method, sizeof(method), "%.*s", (int)request->method.len,
             (const char *)request->method.ptr);
    if (strcmp(method, "HEAD") == 0) {
        http_library.easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
    } else if (request->has_body) {
        http_library.easy_setopt(call->easy, CURLOPT_POST, 1L);
        http_library.easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)request->body.len);
        http_library.easy_setopt(call->easy, CURLOPT_POSTFIELDS,
                                 request->body.len == 0 ? "" : (const char *)request->body.ptr);
    }
    http_library.easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
    http_library.easy_setopt(call->easy, CURLOPT_PATH_AS_IS, 1L);
    http_library.easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    http_library.easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    http_library.easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    http_library.easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    http_library.easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    http_library.easy_setopt(call->easy, CURLOPT_PRIVATE, call);
}

static struct call *free_call(struct http_client *client)
{
    for (uint32_t i = 0; i < client->given.calls_max; i++) {
        struct call *call = &client->calls[i];
        if (!call->is_open && !call->is_done) {
            call->client = client;
            call->easy = call->easy == NULL ? http_library.easy_init() : call->easy;
            return call->easy == NULL ? NULL : call;
        }
    }
    return NULL;
}

static int64_t shorter(int64_t all_ms, int64_t this_ms)
{
    return this_ms > 0 && this_ms < all_ms ? this_ms : all_ms;
}

uint32_t http_client_open_count(const struct http_client *client)
{
    return client->open_count;
}

enum err http_client_start(struct http_client *client, const struct http_request *request,
                           struct error *e)
{
    struct call *call = free_call(client);
    if (call == NULL) {
        return no_memory(e);
    }
    call->place = request->place;
    call->is_wanted = request->is_wanted;
    call->is_cut = call->is_bodyless = call->is_ended = false;
    call->received = 0;
    call->header_bytes = call->len = 0;
    set_peer(call->easy, &client->given, call->error);
    call->timeout_ms = shorter(client->given.timeout_ms, request->timeout_ms);
    http_library.easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    if (!set_headers(call, request) || !set_url(call, request)) {
        forget(call);
        return no_memory(e);
    }
    set_request(call, request);
    if (http_library.multi_add_handle(client->multi, call->easy) != CURLM_OK) {
        forget(call);
        return no_memory(e);
    }
    call->is_open = true;
    client->open_count++;
    return ERR_OK;
}

// ---- what becomes of it -------------------------------------------------------------------------

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

static void take_messages(struct http_client *client, bool *out_is_done)
{
    int left;
    for (CURLMsg *message;
         (message = http_library.multi_info_read(client->multi, &left)) != NULL;) {
        struct call *call = NULL;
        http_library.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call->code = message->data.result;
        call->is_done = true;
        *out_is_done = true;
    }
}

enum err http_client_wait(struct http_client *client, int fd, struct error *e)
{
    struct curl_waitfd extra[] = {{.fd = client->given.stop_fd, .events = CURL_WAIT_POLLIN},
                                  {.fd = fd, .events = CURL_WAIT_POLLIN}};
    bool has_stop = client->given.stop_fd >= 0;
    struct curl_waitfd *first = has_stop ? extra : extra + 1;
    unsigned count = (has_stop ? 1U : 0U) + (fd >= 0 ? 1U : 0U);
    bool is_done = false;
    int running;
    for (;;) {
        if (http_library.multi_perform(client->multi, &running) != CURLM_OK) {
            return no_memory(e);
        }
        take_messages(client, &is_done);
        if (is_readable(client->given.stop_fd)) {
            return error_set(e, ERR_UNAVAILABLE, "stopped");
        }
        if (is_done || client->open_count == 0 || is_readable(fd)) {
            return ERR_OK;
        }
        if (http_library.multi_poll(client->multi, count == 0 ? NULL : first, count, POLL_MS,
                                    NULL) != CURLM_OK) {
            return no_memory(e);
        }
    }
}

// One that was in a hurry of its own says nothing of the server.
static bool has_not_connected(const struct call *call)
{
    curl_off_t ready_us = 0;
    http_library.easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    return ready_us == 0 && call->timeout_ms >= call->client->given.connect_timeout_ms;
}

// Not even the connection was there.
static bool is_unsent(const struct call *call)
{
    switch ((int)call->code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_PROXY:
        return true;
    case CURLE_OPERATION_TIMEDOUT:
        return has_not_connected(call);
    }
    return false;
}

// What libcurl says of a proxy that it cannot use may be all of it, with the password.
static const char *error_text(const struct http_client *client, CURLcode code, const char *error)
{
    const char *proxy = client->given.proxy;
    bool is_fit = error[0] != '\0' && (proxy == NULL || strstr(error, proxy) == NULL);
    return is_fit ? error : http_library.easy_strerror(code);
}

static void tell_failure(const struct call *call, struct http_result *out)
{
    bool is_timeout = call->code == CURLE_OPERATION_TIMEDOUT;
    out->outcome = is_unsent(call)                     ? HTTP_UNREACHABLE
                   : call->code == CURLE_URL_MALFORMAT ? HTTP_IMPOSSIBLE
                                                       : HTTP_BROKEN;
    if (call->header_bytes > HTTP_HEADER_BYTES_MAX) {
        snprintf(out->error, sizeof(out->error), "the answer's headers are longer than %d KB",
                 HTTP_HEADER_BYTES_MAX / 1024);
    } else if (is_timeout && out->outcome == HTTP_BROKEN) {
        snprintf(out->error, sizeof(out->error), "no whole answer within %lld ms",
                 (long long)call->timeout_ms);
    } else {
        snprintf(out->error, sizeof(out->error), "%s",
                 error_text(call->client, call->code, call->error));
    }
}

static void tell_answer(struct call *call, struct http_result *out)
{
    const char *type = NULL;
    curl_off_t retry_after_s = 0;
    http_library.easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    http_library.easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    char *copy = call->client->content_type;
    snprintf(copy, CONTENT_TYPE_BYTES, "%s", type == NULL ? "" : type);
    out->outcome = HTTP_ANSWERED;
    out->content_type = copy;
    out->is_cut = call->is_cut;
    out->body = call->is_cut ? bytes_of("", 0) : bytes_of(call->body, call->len);
    out->retry_after_ms =
        retry_after_s > INT32_MAX ? INT64_C(1000) * INT32_MAX : 1000 * (int64_t)retry_after_s;
}

bool http_client_next(struct http_client *client, struct http_result *out_result)
{
    for (uint32_t i = 0; i < client->given.calls_max; i++) {
        struct call *call = &client->calls[i];
        if (!call->is_done) {
            continue;
        }
        long status = 0;
        *out_result = (struct http_result){.place = call->place, .content_type = ""};
        http_library.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        out_result->status = (int32_t)status;
        if (status >= 200 && (call->code == CURLE_OK || call->is_cut || call->is_ended)) {
            tell_answer(call, out_result);
        } else {
            tell_failure(call, out_result);
        }
        forget(call);
        return true;
    }
    return false;
}

bool http_client_give_up(struct http_client *client, uint32_t *out_place)
{
    for (uint32_t i = 0; i < client->given.calls_max; i++) {
        if (client->calls[i].is_open) {
            *out_place = client->calls[i].place;
            forget(&client->calls[i]);
            return true;
        }
    }
    return false;
}

// ---- before there is a call ---------------------------------------------------------------------

static enum err run_probe(struct http_client *client, CURLM *multi, CURLcode *out_code,
                          struct error *e)
{
    struct curl_waitfd stop = {.fd = client->given.stop_fd, .events = CURL_WAIT_POLLIN};
    unsigned count = stop.fd >= 0 ? 1 : 0;
    int running = 1, left;
    while (running > 0) {
        if (http_library.multi_perform(multi, &running) != CURLM_OK) {
            return no_memory(e);
        }
        if (is_readable(stop.fd)) {
            return error_set(e, ERR_UNAVAILABLE, "stopped");
        }
        if (running > 0 && http_library.multi_poll(multi, count == 0 ? NULL : &stop, count, POLL_MS,
                                                   NULL) != CURLM_OK) {
            return no_memory(e);
        }
    }
    const CURLMsg *message = http_library.multi_info_read(multi, &left);
    *out_code = message == NULL ? CURLE_FAILED_INIT : message->data.result;
    return ERR_OK;
}

// With TLS 1.3 the server says what it thinks of our certificate when the connection is made for us
// already. When it has let us in it sends tickets for the next time, which are not shown here.
static CURLcode wait_for_refusal(const struct http_client *client, CURL *easy, char *error)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    char byte;
    size_t len = 0;
    http_library.easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd);
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = client->given.stop_fd, .events = POLLIN}};
    if (fd == CURL_SOCKET_BAD || poll(fds, 2, REFUSAL_MS) <= 0 || fds[0].revents == 0) {
        return CURLE_OK;
    }
    CURLcode code = http_library.easy_recv(easy, &byte, 1, &len);
    if (code == CURLE_OK && len == 0) {
        snprintf(error, CURL_ERROR_SIZE,
                 "the server ended the connection after the TLS handshake: "
                 "it may not take the hub's certificate, or want one");
        return CURLE_SSL_CONNECT_ERROR;
    }
    return code == CURLE_AGAIN ? CURLE_OK : code;
}

enum err http_client_probe(struct http_client *client, struct error *e)
{
    char error[CURL_ERROR_SIZE];
    CURLcode code = CURLE_OK;
    CURL *easy = http_library.easy_init();
    CURLM *multi = http_library.multi_init();
    enum err rc = ERR_OK;
    if (easy == NULL || multi == NULL) {
        rc = no_memory(e);
        goto cleanup;
    }
    set_peer(easy, &client->given, error);
    http_library.easy_setopt(easy, CURLOPT_URL, client->given.url);
    http_library.easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (http_library.multi_add_handle(multi, easy) != CURLM_OK) {
        rc = no_memory(e);
        goto cleanup;
    }
    rc = run_probe(client, multi, &code, e);
    if (rc == ERR_OK && code == CURLE_OK && is_https(&client->given)) {
        code = wait_for_refusal(client, easy, error);
    }
    if (rc == ERR_OK && code != CURLE_OK) {
        rc = error_set(e, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE,
                       "%s: %s", client->given.url, error_text(client, code, error));
    }
    http_library.multi_remove_handle(multi, easy);
cleanup:
    http_library.easy_cleanup(easy);
    http_library.multi_cleanup(multi);
    return rc;
}
