// peer.h - the broker that a command talks to: where it is and who we are there.
// Threads:   one.
// Ownership: struct peer owns the password; the texts are those of the options.
// Failure:   ERR_CONFIG with a sentence.
#ifndef PIPIT_CLI_PEER_H
#define PIPIT_CLI_PEER_H

#include "base/option.h"

// Rows for a command's option table.
#define PEER_OPTIONS                                                                               \
    {"url", OPTION_TEXT, false, "mqtt://127.0.0.1:1883",                                           \
     0,     0,           NULL,  "The broker: mqtt://HOST[:PORT] or mqtts://HOST[:PORT]."},         \
        {"username", OPTION_TEXT,                                                                  \
         false,      NULL,                                                                         \
         0,          0,                                                                            \
         NULL,       "User at the broker; {device}: the device's own name (publish, fleet)."},     \
        {"password-file",                                                                          \
         OPTION_PATH,                                                                              \
         false,                                                                                    \
         NULL,                                                                                     \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "File whose first line is the password; else PIPIT_PASSWORD is taken."},                  \
        {"ca",  OPTION_PATH,                                                                       \
         false, NULL,                                                                              \
         0,     0,                                                                                 \
         NULL,  "PEM file of the authority that signed the broker's certificate (mqtts)."},        \
        {"cert", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of our certificate (mqtts)."},    \
        {"key", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of its key (mqtts)."},             \
        {"insecure", OPTION_BOOL, false, "false",                                                  \
         0,          0,           NULL,  "Take any server certificate. For experiments only."},    \
    {                                                                                              \
        "mqtt", OPTION_ENUM, false, "5", 0, 0, "5|3.1.1", "Version of the protocol."               \
    }

#define PEER_HOST_MAX 256
#define PEER_NAME_MAX 65 // Group or device, with the final NUL.

struct peer {
    const char *url, *username, *ca, *cert, *key;
    char *password; // NULL: none.
    char host[PEER_HOST_MAX];
    int port;
    bool is_tls, is_insecure, is_311;
};

enum err peer_init(struct peer *peer, const struct options *options, struct error *e);
void peer_deinit(struct peer *peer); // Wipes the password.

// Takes "group/name" apart.
enum err peer_device_split(const char *text, char out_group[PEER_NAME_MAX],
                           char out_device[PEER_NAME_MAX], struct error *e);

#endif
