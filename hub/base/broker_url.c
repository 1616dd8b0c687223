#include "base/broker_url.h"

#include <string.h>

static const struct {
    const char *prefix;
    uint16_t port;
    bool is_tls;
} schemes[] = {
    {"mqtt://", 1883, false},
    {"mqtts://", 8883, true},
};

static enum err bad_url(const char *text, const char *what, struct error *e)
{
    if (strchr(text, '@') != NULL) { // What stands before it may be a password.
        return error_set(e, ERR_CONFIG,
                         "a user does not belong into the URL: use the options "
                         "username and password");
    }
    return error_set(e, ERR_CONFIG,
                     "'%s' %s; must be mqtt://host:port or mqtts://host:port (the port may be left "
                     "out)",
                     text, what);
}

static const char *skip_scheme(const char *text, struct broker_url *url)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (strncmp(text, schemes[i].prefix, len) == 0) {
            url->port = schemes[i].port;
            url->is_tls = schemes[i].is_tls;
            return text + len;
        }
    }
    return NULL;
}

// Copies the host and gives what follows it; NULL when there is none or it is too long.
static const char *take_host(const char *rest, struct broker_url *url)
{
    const char *end;
    bool is_bracketed = *rest == '[';
    if (is_bracketed) {
        rest++;
        end = strchr(rest, ']');
    } else {
        end = rest + strcspn(rest, ":/");
    }
    if (end == NULL || end == rest || (size_t)(end - rest) > BROKER_HOST_MAX) {
        return NULL;
    }
    size_t len = (size_t)(end - rest);
    if (strcspn(rest, " \t\r\n@?#") < len) {
        return NULL;
    }
    memcpy(url->host, rest, len);
    url->host[len] = '\0';
    return is_bracketed ? end + 1 : end;
}

// Reads ":port"; NULL when it is none from 1 to 65535.
static const char *take_port(const char *rest, struct broker_url *url)
{
    uint32_t port = 0;
    size_t digits = strspn(rest + 1, "0123456789");
    if (digits == 0 || digits > 5) {
        return NULL;
    }
    for (size_t i = 1; i <= digits; i++) {
        port = port * 10 + (uint32_t)(rest[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return NULL;
    }
    url->port = (uint16_t)port;
    return rest + 1 + digits;
}

enum err broker_url_parse(const char *text, struct broker_url *out_url, struct error *e)
{
    struct broker_url url = {0};
    const char *rest = skip_scheme(text, &url);
    if (rest == NULL) {
        return bad_url(text, "does not start with mqtt:// or mqtts://", e);
    }
    rest = take_host(rest, &url);
    if (rest == NULL) {
        return bad_url(text, "has no usable host", e);
    }
    if (*rest == ':') {
        rest = take_port(rest, &url);
        if (rest == NULL) {
            return bad_url(text, "has no port from 1 to 65535 after the colon", e);
        }
    }
    if (*rest != '\0' && strcmp(rest, "/") != 0) {
        return bad_url(text, "goes on after the port", e);
    }
    *out_url = url;
    return ERR_OK;
}
