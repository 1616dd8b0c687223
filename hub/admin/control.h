// control.h - the hub's control socket: one line of JSON asks, one line of JSON answers.
//
// Threads:   struct control on the hub thread only, nothing in it blocks; control_request any.
//
// Ownership: control_read lends requests until they are answered; control_request gives the reply
// away.
//
// Failure:   a client that is slow, silent or wrong is closed; the hub goes on.
//
// Requests, at most CONTROL_REQUEST_MAX bytes:
//   {"op": "status"}
//   {"op": "dead_replay", "first": 1, "last": 9}   both ids included; without them all
//   {"op": "dead_drop",   "first": 1, "last": 9}
//   {"op": "reload"}
// Replies: {"ok": true, ...} or {"ok": false, "error": "ERR_INVALID", "text": "what, and what to
// do"}. dead_* answer once the transaction is committed, with "count"; reload with "text". The
// members of a status are in status.h.
#ifndef PIPIT_ADMIN_CONTROL_H
#define PIPIT_ADMIN_CONTROL_H

#include <jansson.h>
#include <poll.h>
#include <stdint.h>

#include "base/error.h"

#define CONTROL_REQUEST_MAX 4096
#define CONTROL_REPLY_MAX   (4 << 20)
#define CONTROL_CLIENTS_MAX 8
#define CONTROL_POLL_MAX    (CONTROL_CLIENTS_MAX + 1)
#define CONTROL_PATH_MAX    108 // With the final NUL, as in struct sockaddr_un.

enum control_op { CONTROL_STATUS, CONTROL_DEAD_REPLAY, CONTROL_DEAD_DROP, CONTROL_RELOAD };

struct control_ask {
    enum control_op op;
    uint64_t first, last; // For dead_*.
    uint32_t client;      // For control_answer.
};

// "<store>.sock"; ERR_CONFIG when that is too long for a socket.
enum err control_path(const char *store_path, char out_path[CONTROL_PATH_MAX], struct error *e);

struct control;

// Listens with mode 0600; a socket that an earlier process left is replaced. The store's lock
// must be held: it is what tells that no other hub uses this path.
enum err control_open(struct control **out_control, const char *path, struct error *e);
void control_close(struct control *control); // Unlinks the path. NULL is fine.

// What to poll for; gives the number of entries, at most CONTROL_POLL_MAX.
uint32_t control_poll(struct control *control, struct pollfd *out_pollfds, int64_t now_ms,
                      int *inout_timeout_ms);
// After the poll, with the same entries. Gives the requests that are there, at most
// CONTROL_CLIENTS_MAX; wrong ones are answered here.
uint32_t control_read(struct control *control, const struct pollfd *pollfds, uint32_t count,
                      int64_t now_ms, struct control_ask *out_asks);
// Takes reply over. The connection closes when it is written.
void control_answer(struct control *control, uint32_t client, json_t *take_reply);
json_t *control_refusal(const struct error *e); // {"ok": false, ...}

// The client's side; blocks for at most timeout_ms. ERR_NOT_FOUND: no hub listens there.
// ERR_UNAVAILABLE, ERR_TIMEOUT: it does not answer. A refusal gives the code and text of the reply.
enum err control_request(const char *path, json_t *request, int timeout_ms, json_t **out_reply,
                         struct error *e);

#endif
