// link.h - the gateway's way to the broker: link_paho.c (paho.mqtt.c: TLS, WebSockets) or
// link_own.c (the SDK's own client: no library at all). One of them is linked. Threads:   one.
// Ownership: a link belongs to its creator; the URL is borrowed for its life.
// Failure:   a text on stderr; NULL.
#ifndef GATEWAY_LINK_H
#define GATEWAY_LINK_H

#include <pipit/pipit.h>

struct link;

// `url` as mqtt://host[:port].
struct link *link_create(const char *url);
void link_destroy(struct link *link);

struct pipit_link *link_base(struct link *link);
// Why there is no connection, for people.
void link_error(struct link *link, char *text, size_t text_bytes);

// Sleeps until any link has news, a signal came, or the time is over.
void link_wait(uint32_t timeout_ms);

#endif
