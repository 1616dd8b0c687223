// http_library.h - libcurl, loaded when the first HTTP target is opened or checked: with what it
// depends on it is half as large as the hub, and a gateway without HTTP shall not carry it.
//
// Threads:   any.
//
// Ownership: loaded once, until the process ends.
//
// Failure:   ERR_CONFIG, with what to install.
#ifndef PIPIT_CONNECTORS_HTTP_LIBRARY_H
#define PIPIT_CONNECTORS_HTTP_LIBRARY_H

#include <curl/curl.h>

#include "base/error.h"

#define HTTP_LIBRARY(X)                                                                            \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_recv)                                                                                   \
    X(easy_reset)                                                                                  \
    X(easy_setopt)                                                                                 \
    X(easy_strerror)                                                                               \
    X(free)                                                                                        \
    X(global_init)                                                                                 \
    X(multi_add_handle)                                                                            \
    X(multi_cleanup)                                                                               \
    X(multi_info_read)                                                                             \
    X(multi_init)                                                                                  \
    X(multi_perform)                                                                               \
    X(multi_poll)                                                                                  \
    X(multi_remove_handle)                                                                         \
    X(multi_setopt)                                                                                \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(url)                                                                                         \
    X(url_cleanup)                                                                                 \
    X(url_get)                                                                                     \
    X(url_set)                                                                                     \
    X(url_strerror)

// Each as libcurl's function of that name behind "curl_".
#define HTTP_LIBRARY_MEMBER(name) __typeof__(curl_##name) *name;
struct http_library {
    HTTP_LIBRARY(HTTP_LIBRARY_MEMBER)
};
#undef HTTP_LIBRARY_MEMBER

// All NULL until http_library_load has given ERR_OK.
extern struct http_library http_library;
enum err http_library_load(struct error *e);

#endif
