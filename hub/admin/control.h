// control.h - the hub's end of the control socket: one line of JSON asks, one line of JSON answers.
// control_client.h is the other end.
//
// Threads:   hub thread; nothing in here blocks.
//
// Ownership: control_answer takes the reply over.
//
// Failure:   a client that is slow, silent or wrong is told so or closed; the hub goes on.
//
// Requests, at most CONTROL_REQUEST_MAX bytes (bytes that are no UTF-8 as base64 under
// "<name>_base64"):
//   {"op": "status"}
//   {"op": "dead_replay", "first": 1, "last": 9}     both ids included; left out: from the first,
//   {"op": "dead_drop", "first": 1, "last": 9}       to the last
//   {"op": "quarantine_drop", "first": 1, "last": 9}
//   {"op": "quarantine_replay", "first": 1, "last": 9}
//   {"op": "dead_edit", "first": 1, "topic": "t", "payload": "p"}     what is left out stays
//   {"op": "quarantine_edit", "first": 1, "topic": "t", "payload": "p"}
//   {"op": "replay_begin", "rule": "r", "what": "the selection", "token": "unique"}
//   {"op": "replay_chunk", "replay": 1, "number": 1, "is_last": false, "deliveries": [{"target":
//    "t", "rule": "r", "route": 1, "idempotency_key": "k", "key": "k", "topic": "t", "payload":
//    "p", "content_type": "c", "properties_base64": "..."}]}
//   {"op": "workflow_cancel", "instance": 1, "abandon": false, "reason": "why"}
//   {"op": "workflow_retry", "instance": 1}
//   {"op": "workflow_replay", "instance": 1}
//   {"op": "reload", "dry_run": false}
// Replies: {"error": "what, and what to do", "code": "full"} (the code only where another try may
// help), or what was asked for: a status (status.h); {"operated": <entries>} once the transaction
// is committed, of quarantine_replay with "skipped", "skip" (why) and, when the range is not done,
// "upto", of workflow_replay with "instance" (the new one); {"replay": 1, "chunks": <that are
// there>}; {"reloaded": "<what changed>", "changes":
// [...], "notes": [...]} (daemon_reload.c).
#ifndef PIPIT_ADMIN_CONTROL_H
#define PIPIT_ADMIN_CONTROL_H

#include <jansson.h>
#include <poll.h>
#include <stdint.h>

#include "core/core.h"

#define CONTROL_REQUEST_MAX (4 * 1024 * 1024)
#define CONTROL_LARGE_MAX   (8 * 1024 * 1024) // Of all requests that are longer than 4 KB.
#define CONTROL_CLIENTS_MAX 8
#define CONTROL_SILENT_MS   5000 // A client that says or takes nothing for so long is closed.
#define CONTROL_POLL_MAX    (CONTROL_CLIENTS_MAX + 1)

enum control_op { CONTROL_STATUS, CONTROL_OPERATE, CONTROL_RELOAD };

struct control_request;

struct control_ask {
    enum control_op op;
    struct operation operation;      // For CONTROL_OPERATE.
    bool is_dry;                     // For CONTROL_RELOAD.
    uint32_t client;                 // For control_answer.
    struct control_request *request; // What operation borrows from; control_request_destroy.
};

struct control;

// Listens on <store>.sock with mode 0600; a socket that an earlier process left is replaced. The
// store must be locked by us: that is what tells that no other hub has this path.
enum err control_open(struct control **out_control, const char *store_path, struct error *e);
void control_close(struct control *control); // Removes the socket. NULL is fine.

// What to poll for, CONTROL_POLL_MAX entries (fd -1: nothing), and how long at most.
void control_poll(struct control *control, struct pollfd *out_pollfds, int64_t now_ms,
                  int *inout_timeout_ms);
// After the poll, with the same entries. Gives the requests that have come, at most
// CONTROL_CLIENTS_MAX.
uint32_t control_read(struct control *control, const struct pollfd *pollfds, int64_t now_ms,
                      struct control_ask *out_asks);
// NULL reply: out of memory, said so. The connection ends when the reply has been taken.
void control_answer(struct control *control, uint32_t client, json_t *take_reply);
// code may be NULL.
void control_refuse(struct control *control, uint32_t client, const char *text, const char *code);

#endif
