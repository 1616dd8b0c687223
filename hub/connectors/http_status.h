// http_status.h - which statuses of an answer mean what: "200-299, 404" or "2xx".
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   ERR_CONFIG with what was written and what is allowed.
#ifndef PIPIT_CONNECTORS_HTTP_STATUS_H
#define PIPIT_CONNECTORS_HTTP_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define HTTP_STATUS_MIN 200
#define HTTP_STATUS_MAX 599

struct http_status_set {
    uint8_t has[HTTP_STATUS_MAX + 1];
};

enum err http_status_parse(const char *text, struct http_status_set *out_set, struct error *e);
bool http_status_has(const struct http_status_set *set, int64_t status);

#endif
