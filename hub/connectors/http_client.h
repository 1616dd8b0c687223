// http_client.h - calls to one HTTP server, several at the same time, over connections that are
// kept [RFC 9110, 9112, 9113], by libcurl.
//
// Threads:   one at a time.
//
// Ownership: what http_client_options names is borrowed until destroy, a request until its result
// has been taken; a result until the next call.
//
// Failure:   ERR_CONFIG for options; ERR_UNAVAILABLE, ERR_TIMEOUT for a peer that cannot be
// reached; ERR_UNAVAILABLE, too, when stop_fd is readable. What becomes of one call is in its
// result.
#ifndef PIPIT_CONNECTORS_HTTP_CLIENT_H
#define PIPIT_CONNECTORS_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

#define HTTP_CALLS_MAX        100         // At the same time.
#define HTTP_HEADER_BYTES_MAX (64 * 1024) // Of an answer.
#define HTTP_TEXT_BYTES       512         // Of a body that is not wanted whole: for the reason.
#define HTTP_ERROR_BYTES      300

enum http_version { HTTP_VERSION_AUTO, HTTP_VERSION_1_1 };

struct http_client_options {
    const char *url;                         // Without the path of a call.
    const char *ca, *cert, *key;             // PEM files; NULL: those of the system, none.
    const char *username, *password, *token; // NULL: none.
    const char *proxy;                       // NULL: none, whatever the environment says.
    const char *agent;                       // User-Agent.
    bool is_verified;                        // The server's certificate and name.
    enum http_version version;
    int64_t timeout_ms, connect_timeout_ms;
    uint32_t calls_max;
    uint64_t body_max; // Of an answer; of a longer one the rest is not read.
    int stop_fd;       // Readable: give up what waits. -1: never.
};

struct http_client;

enum err http_client_create(struct http_client **out_client,
                            const struct http_client_options *options, struct error *e);
void http_client_destroy(struct http_client *client); // NULL is fine; gives up what is under way.

// Whether a connection to it can be made, TLS and all; it is closed again.
enum err http_client_probe(struct http_client *client, struct error *e);

// A header, "Name: value".
struct http_header {
    const char *name, *value;
};

struct http_request {
    struct bytes method, path, body; // path: see core/address.h.
    bool has_body;                   // Else none is sent, not even an empty one.
    const struct http_header *headers;
    uint32_t header_count;
    int64_t timeout_ms; // If shorter than the client's; 0: as that.
    bool is_wanted;     // The answer's body, whole; else its first HTTP_TEXT_BYTES.
    uint32_t place;     // For the caller.
};

enum http_outcome {
    HTTP_ANSWERED,    // There is a status.
    HTTP_BROKEN,      // It was sent, or may have been, and no whole answer came.
    HTTP_UNREACHABLE, // It was not sent: there is no connection.
    HTTP_IMPOSSIBLE,  // It was not sent and never can be.
};

struct http_result {
    uint32_t place;
    enum http_outcome outcome;
    int32_t status;
    const char *content_type; // "" when none.
    struct bytes body;
    bool is_cut;                  // The body was longer than body_max and is not here.
    int64_t retry_after_ms;       // 0: it says nothing.
    char error[HTTP_ERROR_BYTES]; // Unless it was answered.
};

uint32_t http_client_open_count(const struct http_client *client);
// There must be fewer than calls_max open. ERR_NO_MEMORY, ERR_INVALID: nothing was begun.
enum err http_client_start(struct http_client *client, const struct http_request *request,
                           struct error *e);
// Until a call is complete, or fd (-1: none) is readable.
enum err http_client_wait(struct http_client *client, int fd, struct error *e);
bool http_client_next(struct http_client *client, struct http_result *out_result);
// Ends a call that is open, complete or not; false: there is none.
bool http_client_give_up(struct http_client *client, uint32_t *out_place);

#endif
