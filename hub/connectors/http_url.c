#include "connectors/http_url.h"

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

enum err http_url_check(const char *url, bool *out_is_tls, struct error *e)
{
    bool is_tls = strncasecmp(url, "https://", 8) == 0;
    if (!is_tls && strncasecmp(url, "http://", 7) != 0) {
        return error_set(e, ERR_CONFIG, // Not shown: it may hold a password.
                         "must begin with http:// or https://, such as "
                         "https://stock.example:8443/api");
    }
    enum err rc = http_library_load(e);
    if (rc != ERR_OK) {
        return rc;
    }
    CURLU *parts = http_library.url();
    if (parts == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a URL");
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
