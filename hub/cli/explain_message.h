// explain_message.h - the message that `pipit explain` is about: from the command line, from the
// history, from the quarantine.
//
// Threads:   one.
//
// Ownership: everything in it lives in the arena given.
//
// Failure:   ERR_NOT_FOUND, ERR_INVALID, ERR_CONFIG with a sentence; the store's.
#ifndef PIPIT_CLI_EXPLAIN_MESSAGE_H
#define PIPIT_CLI_EXPLAIN_MESSAGE_H

#include "base/arena.h"
#include "base/option.h"
#include "core/core.h"

struct explained_message {
    struct message message;
    const char *was_rejected; // Why it is in the quarantine; NULL: it is not of there.
};

struct json_t;
struct store_view;

// options: topic, payload, payload-file, content-type, properties, retain, id, quarantine; view is
// of the hub's store, and may be NULL with a topic.
enum err explain_message_read(const struct options *options, struct store_view *view,
                              int64_t now_ms, struct arena *arena,
                              struct explained_message *out_message, struct error *e);

// Has the hub seen the event of this identity ("group", "device", "boot" and "sequence", as an
// explanation's "read" has them)? False, too, where there is no store (NULL) or no identity.
bool explain_is_seen(struct store_view *view, const struct json_t *read);

#endif
