// broker_url.h - where a broker listens: mqtt://host:port or mqtts://host:port.
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   ERR_CONFIG with what was written and what is allowed; out_url is left alone.
#ifndef PIPIT_BASE_BROKER_URL_H
#define PIPIT_BASE_BROKER_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define BROKER_HOST_MAX 255 // Bytes of a host name [RFC 1035].

struct broker_url {
    char host[BROKER_HOST_MAX + 1]; // Name or address; an IPv6 address without its brackets.
    uint16_t port;                  // 1883 or 8883 where the URL has none.
    bool is_tls;
};

enum err broker_url_parse(const char *text, struct broker_url *out_url, struct error *e);

#endif
