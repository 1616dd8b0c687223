// http_url.h - whether a text is the URL of an HTTP server, perhaps with a path.
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   ERR_CONFIG with what is wrong, without what may be a password.
#ifndef PIPIT_CONNECTORS_HTTP_URL_H
#define PIPIT_CONNECTORS_HTTP_URL_H

#include <stdbool.h>

#include "base/error.h"

#define HTTP_URL_MAX 2000

enum err http_url_check(const char *url, bool *out_is_tls, struct error *e);

#endif
