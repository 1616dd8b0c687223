#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#include "intake/link_parts.h"

void link_lose(struct link *link, enum err code, const char *why)
{
    if (link->state != LINK_LOST) {
        link->state = LINK_LOST;
        error_set(&link->error, code, "broker %s:%u: %s", link->peer.url.host, link->peer.url.port,
                  why);
    }
}

// MQTT 3.1.1 refuses with 1 to 5, MQTT 5 with 0x80 and more.
static const struct {
    int code;
    enum err err;
    const char *text;
} refusals[] = {
    {1, ERR_VERSION, "does not speak this version of MQTT"},
    {2, ERR_REJECTED, "does not take this client id; set client_id"},
    {3, ERR_UNAVAILABLE, "is not available now"},
    {4, ERR_REJECTED, "wrong user name or password; check username and password"},
    {5, ERR_REJECTED,
     "not authorized: wrong user name or password, or this user may not connect; check username, "
     "password and the broker's password file"},
    {MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION, ERR_VERSION, "does not speak this version of MQTT"},
    {MQTT_RC_CLIENTID_NOT_VALID, ERR_REJECTED, "does not take this client id; set client_id"},
    {MQTT_RC_BAD_USERNAME_OR_PASSWORD, ERR_REJECTED,
     "wrong user name or password; check username and password"},
    {MQTT_RC_NOT_AUTHORIZED, ERR_REJECTED,
     "not authorized: wrong user name or password, or this user may not connect; check username, "
     "password and the broker's password file"},
    {MQTT_RC_BANNED, ERR_REJECTED, "this client is banned"},
    {MQTT_RC_BAD_AUTHENTICATION_METHOD, ERR_REJECTED, "wants another way of authentication"},
};

static void lose_refused(struct link *link)
{
    const char *username = link->peer.username;
    enum err code = ERR_UNAVAILABLE;
    const char *text = link->connack_code < REFUSED_CODE
                           ? mosquitto_connack_string(link->connack_code)
                           : mosquitto_reason_string(link->connack_code);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].code == link->connack_code) {
            code = refusals[i].err;
            text = refusals[i].text;
        }
    }
    char why[400];
    snprintf(why, sizeof(why), "refused client %s, user %s: %s", link->peer.client_id,
             username == NULL ? "(none)" : username, text);
    link_lose(link, code, why);
}

static void lose_disconnected(struct link *link)
{
    char why[400];
    if (link->disconnect_code == MQTT_RC_SESSION_TAKEN_OVER) {
        snprintf(why, sizeof(why),
                 "another client took over the client id %s: is a second hub of the same name "
                 "running?",
                 link->peer.client_id);
        link_lose(link, ERR_REJECTED, why);
        return;
    }
    snprintf(why, sizeof(why), "closed the connection: %s",
             mosquitto_reason_string(link->disconnect_code));
    link_lose(link, ERR_UNAVAILABLE, why);
}

void link_lose_by(struct link *link, int rc, int saved_errno)
{
    bool is_connecting = link->state == LINK_CONNECTING;
    char why[300];
    if (link->connack_code != 0) {
        lose_refused(link);
    } else if (link->is_disconnected && link->disconnect_code >= REFUSED_CODE) {
        lose_disconnected(link);
    } else if (link->tls_text[0] != '\0') {
        snprintf(why, sizeof(why), "TLS: %s%s", link->tls_text,
                 strstr(link->tls_text, "verify failed") == NULL
                     ? ""
                     : "; check ca, and that the certificate names this host");
        link_lose(link, ERR_UNAVAILABLE, why);
    } else if (rc == MOSQ_ERR_EAI) {
        snprintf(why, sizeof(why), "host name: %s", gai_strerror(saved_errno));
        link_lose(link, ERR_UNAVAILABLE, why);
    } else if (rc == MOSQ_ERR_ERRNO && saved_errno != 0 && saved_errno != EAGAIN) {
        link_lose(link, ERR_UNAVAILABLE, strerror(saved_errno));
    } else if (rc == MOSQ_ERR_KEEPALIVE) {
        link_lose(link, ERR_UNAVAILABLE, "did not answer a ping within the keepalive");
    } else if (rc == MOSQ_ERR_PROTOCOL || rc == MOSQ_ERR_MALFORMED_PACKET) {
        link_lose(link, ERR_UNAVAILABLE, "sent something that is not MQTT");
    } else if (rc == MOSQ_ERR_TLS) {
        link_lose(link, ERR_UNAVAILABLE, "TLS: the connection could not be secured");
    } else if (rc == MOSQ_ERR_NOMEM || link->is_out_of_memory) {
        link_lose(link, ERR_NO_MEMORY, "left because memory is out");
    } else if (is_connecting) {
        link_lose(link, ERR_UNAVAILABLE, "closed the connection instead of an answer");
    } else {
        link_lose(link, ERR_UNAVAILABLE, "closed the connection");
    }
}
