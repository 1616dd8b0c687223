// control_client.h - asks a running hub something through its control socket.
//
// Threads:   one a call.
//
// Ownership: the caller has a new reference to the reply.
//
// Failure:   ERR_NOT_FOUND: no hub listens there; ERR_REJECTED: it said no, the text says why;
// ERR_FULL: so it did, and another try may help;
// ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_INVALID: it did not answer as agreed.
#ifndef PIPIT_ADMIN_CONTROL_CLIENT_H
#define PIPIT_ADMIN_CONTROL_CLIENT_H

#include "base/error.h"

struct json_t; // Of Jansson.

#define CONTROL_REPLY_MAX  (4 * 1024 * 1024) // Bytes of a line.
#define CONTROL_TIMEOUT_MS 10000

// One request line, one reply line, as control.h has them. store_path is the configuration's; the
// socket lies beside it.
enum err control_ask(const char *store_path, const struct json_t *request,
                     struct json_t **out_reply, struct error *e);

#endif
