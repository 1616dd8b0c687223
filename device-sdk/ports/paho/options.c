#include "paho_port.h"

#include <stdio.h>
#include <unistd.h>

bool pipit_paho_is_tls(const struct pipit_paho *paho)
{
    return strncmp(paho->url, "ssl:", 4) == 0 || strncmp(paho->url, "wss:", 4) == 0;
}

static const struct {
    const char *scheme;
    const char *paho_scheme; // As paho 1.3.12 knows it in all builds.
    const char *port;
} schemes[] = {
    {"mqtt://", "tcp://", "1883"},
    {"mqtts://", "ssl://", "8883"},
    {"ws://", "ws://", "80"},
    {"wss://", "wss://", "443"},
};

// Is there a port between the host and a path? An IPv6 address stands in brackets.
static bool has_port(const char *host)
{
    const char *bracket = strchr(host, ']');
    const char *start = bracket != NULL ? bracket : host;
    size_t len = strcspn(start, "/");
    return memchr(start, ':', len) != NULL;
}

static enum pipit_err url_set(struct pipit_paho *paho, const char *url)
{
    for (size_t i = 0; url != NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].scheme);
        if (strncmp(url, schemes[i].scheme, len) != 0) {
            continue;
        }
        const char *host = url + len;
        int host_len = (int)strcspn(host, "/");
        int size = snprintf(paho->url, sizeof(paho->url), "%s%.*s%s%s%s", schemes[i].paho_scheme,
                            host_len, host, has_port(host) ? "" : ":",
                            has_port(host) ? "" : schemes[i].port, host + host_len);
        if (host_len > 0 && size > 0 && (size_t)size < sizeof(paho->url)) {
            return PIPIT_OK;
        }
    }
    pipit_paho_error_set(paho, "url \"%.100s\": write mqtt://host[:port] or mqtts://host[:port]",
                         url != NULL ? url : "");
    return PIPIT_ERR_ARGUMENT;
}

static enum pipit_err file_check(struct pipit_paho *paho, const char *what, const char *path)
{
    if (path == NULL) {
        return PIPIT_OK;
    }
    if (!pipit_paho_is_tls(paho)) {
        pipit_paho_error_set(paho, "%s is given, but the url is not mqtts:// or wss://", what);
        return PIPIT_ERR_ARGUMENT;
    }
    if (access(path, R_OK) != 0) {
        pipit_paho_error_set(paho, "%s %.120s: cannot be read", what, path);
        return PIPIT_ERR_TLS;
    }
    return PIPIT_OK;
}

enum pipit_err pipit_paho_options_check(struct pipit_paho *paho)
{
    const struct pipit_paho_options *options = &paho->options;
    enum pipit_err rc = url_set(paho, options->url);
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "ca", options->ca);
    }
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "cert", options->cert);
    }
    if (rc == PIPIT_OK) {
        rc = file_check(paho, "key", options->key);
    }
    if (rc == PIPIT_OK && options->is_insecure && options->ca != NULL) {
        pipit_paho_error_set(paho, "insecure and ca contradict each other: give one of them");
        rc = PIPIT_ERR_ARGUMENT;
    }
    return rc;
}
