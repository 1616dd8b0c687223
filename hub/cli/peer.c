#include "cli/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/broker_url.h"
#include "base/file.h"
#include "core/topic.h"

#define PASSWORD_BYTES_MAX 65535 // [MQTT-3.1.3.6]

static enum err url_read(struct peer *peer, struct error *e)
{
    struct broker_url url;
    if (broker_url_parse(peer->url, &url, e) != ERR_OK) {
        return error_wrap(e, "--url");
    }
    snprintf(peer->host, sizeof(peer->host), "%s", url.host);
    peer->port = url.port;
    peer->is_tls = url.is_tls;
    return ERR_OK;
}

static enum err password_read(struct peer *peer, const char *path, struct error *e)
{
    const char *given = getenv("PIPIT_PASSWORD");
    if (path == NULL) {
        peer->password = given == NULL ? NULL : strdup(given);
        return given != NULL && peer->password == NULL
                   ? error_set(e, ERR_NO_MEMORY, "out of memory")
                   : ERR_OK;
    }
    size_t len = 0;
    if (file_read(path, PASSWORD_BYTES_MAX, &peer->password, &len, e) != ERR_OK) {
        return error_wrap(e, "--password-file");
    }
    peer->password[strcspn(peer->password, "\r\n")] = '\0';
    return ERR_OK;
}

static enum err tls_check(const struct peer *peer, struct error *e)
{
    if (!peer->is_tls && (peer->ca != NULL || peer->cert != NULL || peer->is_insecure)) {
        return error_set(e, ERR_CONFIG,
                         "--ca, --cert and --insecure need an mqtts:// URL, not '%s'", peer->url);
    }
    if ((peer->cert == NULL) != (peer->key == NULL)) {
        return error_set(e, ERR_CONFIG, "--cert and --key go together");
    }
    return ERR_OK;
}

enum err peer_init(struct peer *peer, const struct options *options, struct error *e)
{
    *peer = (struct peer){
        .url = option_text(options, "url"),
        .username = option_text(options, "username"),
        .ca = option_text(options, "ca"),
        .cert = option_text(options, "cert"),
        .key = option_text(options, "key"),
        .is_insecure = option_bool(options, "insecure"),
        .is_311 = option_choice(options, "mqtt") == 1,
    };
    enum err rc = url_read(peer, e);
    if (rc == ERR_OK) {
        rc = tls_check(peer, e);
    }
    if (rc == ERR_OK) {
        rc = password_read(peer, option_text(options, "password-file"), e);
    }
    return rc;
}

void peer_deinit(struct peer *peer)
{
    if (peer->password != NULL) {
        explicit_bzero(peer->password, strlen(peer->password));
    }
    free(peer->password);
    peer->password = NULL;
}

enum err peer_device_split(const char *text, char out_group[PEER_NAME_MAX],
                           char out_device[PEER_NAME_MAX], struct error *e)
{
    const char *slash = strchr(text, '/');
    size_t group_len = slash == NULL ? 0 : (size_t)(slash - text);
    size_t device_len = slash == NULL ? 0 : strlen(slash + 1);
    if (group_len == 0 || group_len >= PEER_NAME_MAX || device_len == 0 ||
        device_len >= PEER_NAME_MAX || strchr(slash + 1, '/') != NULL ||
        !topic_is_valid(bytes_from_text(text))) {
        return error_set(e, ERR_CONFIG,
                         "'%s' must be GROUP/NAME, each 1 to 64 bytes without + # and controls",
                         text);
    }
    memcpy(out_group, text, group_len);
    out_group[group_len] = '\0';
    memcpy(out_device, slash + 1, device_len + 1);
    return ERR_OK;
}
