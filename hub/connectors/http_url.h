// http_url.h - whether a text is the URL of an HTTP server, perhaps with a path, or of a proxy.
//
// Threads:   any.
//
// Ownership: *out_password is the caller's, to be freed with free().
//
// Failure:   ERR_CONFIG with what is wrong, without what may be a password.
#ifndef PIPIT_CONNECTORS_HTTP_URL_H
#define PIPIT_CONNECTORS_HTTP_URL_H

#include <stdbool.h>

#include "base/error.h"

#define HTTP_URL_MAX 2000

enum err http_url_check(const char *url, bool *out_is_tls, struct error *e);
// *out_password: the one in it, decoded; NULL: there is none. out_password may be NULL.
enum err http_proxy_check(const char *proxy, char **out_password, struct error *e);

#endif
