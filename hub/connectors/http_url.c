#include "connectors/http_url.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "connectors/http_library.h"

static const char *url_problem(CURLU *parts, const char *url)
{
    char *text = NULL;
    CURLUcode code = http_library.url_set(parts, CURLUPART_URL, url, 0);
    if (code != CURLUE_OK) {
        return http_library.url_strerror(code);
    }
    static const struct {
        CURLUPart part;
        const char *problem;
    } unwanted[] = {
        {CURLUPART_USER, "a user belongs into the option username"},
        {CURLUPART_PASSWORD, "a password belongs into the option password"},
        {CURLUPART_QUERY, "a query belongs into the path of a route"},
        {CURLUPART_FRAGMENT, "a fragment (#) is not sent to servers"},
    };
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        if (http_library.url_get(parts, unwanted[i].part, &text, 0) == CURLUE_OK) {
            http_library.free(text);
            return unwanted[i].problem;
        }
    }
    return NULL;
}

// Loads the library with the first one.
static enum err parts_create(CURLU **out_parts, struct error *e)
{
    enum err rc = http_library_load(e);
    *out_parts = rc == ERR_OK ? http_library.url() : NULL;
    return rc == ERR_OK && *out_parts == NULL
               ? error_set(e, ERR_NO_MEMORY, "out of memory for a URL")
               : rc;
}

enum err http_url_check(const char *url, bool *out_is_tls, struct error *e)
{
    bool is_tls = strncasecmp(url, "https://", 8) == 0;
    if (!is_tls && strncasecmp(url, "http://", 7) != 0) {
        return error_set(e, ERR_CONFIG, // Not shown: it may hold a password.
                         "must begin with http:// or https://, such as "
                         "https://stock.example:8443/api");
    }
    CURLU *parts;
    enum err rc = parts_create(&parts, e);
    if (rc != ERR_OK) {
        return rc;
    }
    const char *problem =
        strlen(url) > HTTP_URL_MAX ? "is longer than 2000 bytes" : url_problem(parts, url);
    http_library.url_cleanup(parts);
    if (problem != NULL) {
        return error_set(e, ERR_CONFIG, "%s", problem);
    }
    *out_is_tls = is_tls;
    return ERR_OK;
}

// ---- proxies ------------------------------------------------------------------------------------

static bool is_proxy_scheme(const char *scheme)
{
    static const char *const schemes[] = {"http",    "https",  "socks4",
                                          "socks4a", "socks5", "socks5h"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strcasecmp(scheme, schemes[i]) == 0) {
            return true;
        }
    }
    return false;
}

// As libcurl reads it when it is used.
static bool is_proxy(CURLU *parts, const char *proxy)
{
    char *scheme = NULL;
    bool is_good =
        strlen(proxy) <= HTTP_URL_MAX &&
        http_library.url_set(parts, CURLUPART_URL, proxy,
                             CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK &&
        http_library.url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        is_proxy_scheme(scheme);
    if (scheme != NULL) {
        http_library.free(scheme);
    }
    return is_good;
}

static enum err copy_password(CURLU *parts, char **out_password, struct error *e)
{
    char *password = NULL;
    *out_password = NULL;
    if (http_library.url_get(parts, CURLUPART_PASSWORD, &password, CURLU_URLDECODE) != CURLUE_OK) {
        return ERR_OK; // There is none.
    }
    *out_password = strdup(password);
    http_library.free(password);
    return *out_password != NULL ? ERR_OK
                                 : error_set(e, ERR_NO_MEMORY, "out of memory for a password");
}

enum err http_proxy_check(const char *proxy, char **out_password, struct error *e)
{
    CURLU *parts;
    enum err rc = parts_create(&parts, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!is_proxy(parts, proxy)) {
        rc =
            error_set(e, ERR_CONFIG, // Not shown: it may hold a password.
                      "must be the URL of a proxy, http, https or socks4, 4a, 5, 5h, such as "
                      "http://proxy:3128 or http://user:password@proxy:3128, with %%40 for an @ in "
                      "a password");
    } else if (out_password != NULL) {
        rc = copy_password(parts, out_password, e);
    }
    http_library.url_cleanup(parts);
    return rc;
}
