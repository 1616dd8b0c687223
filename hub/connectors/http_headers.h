// http_headers.h - the headers of a call: the target's own, the delivery's properties, its
// idempotency key and content type.
//
// Threads:   one at a time.
//
// Ownership: texts are borrowed from the delivery and from the given memory.
//
// Failure:   a problem is a text: this delivery cannot be sent.
#ifndef PIPIT_CONNECTORS_HTTP_HEADERS_H
#define PIPIT_CONNECTORS_HTTP_HEADERS_H

#include "connectors/http_client.h"
#include "core/delivery.h"

#define HTTP_HEADERS_MAX     200
#define HTTP_HEADER_TEXT_MAX (64 * 1024) // What has to be written anew: encoded, or cut into lines.

// The target's option: "Name: value" lines, taken apart once.
struct http_fixed {
    char *text; // Owned.
    struct http_header headers[HTTP_HEADERS_MAX / 2];
    uint32_t count;
};
enum err http_fixed_parse(const char *lines, struct http_fixed *out_fixed, struct error *e);
void http_fixed_deinit(struct http_fixed *fixed);

struct http_headers {
    struct http_header headers[HTTP_HEADERS_MAX];
    uint32_t count;
    char text[HTTP_HEADER_TEXT_MAX];
    size_t used;
};

// Why a delivery's property cannot be a header, by its name; NULL: it can.
const char *http_header_problem(const char *name);

// NULL: they are there. Else what is wrong, to be read after "the delivery ...", in problem.
const char *http_headers_make(struct http_headers *headers, const struct http_fixed *fixed,
                              const struct delivery *delivery, char problem[200]);

#endif
