// replay_send.h - deliveries of a replay go to the running hub in chunks, each exactly once: a
// chunk that was not answered is sent again under its number.
//
// Threads:   one.
//
// Ownership: the sender copies what it is given until it is sent.
//
// Failure:   ERR_NOT_FOUND: no hub runs, and did not come in time; ERR_REJECTED: it refused;
// ERR_FULL: it stayed full.
#ifndef PIPIT_CLI_REPLAY_SEND_H
#define PIPIT_CLI_REPLAY_SEND_H

#include <stdint.h>

#include "base/error.h"
#include "core/delivery.h"

struct replay_sender;

struct replay_begin {
    const char *store_path, *rule, *what;
    int64_t wait_ms;         // How long a hub that is away, or full, is waited for.
    uint64_t replay, chunks; // Go on with this one; 0: a new one.
};

enum err replay_sender_create(struct replay_sender **out_sender, const struct replay_begin *begin,
                              struct error *e);
void replay_sender_destroy(struct replay_sender *sender); // NULL is fine.
uint64_t replay_sender_number(const struct replay_sender *sender);

enum err replay_sender_put(struct replay_sender *sender, const struct delivery *delivery,
                           const char *target, struct error *e);
// The last chunk: it completes the replay.
enum err replay_sender_end(struct replay_sender *sender, struct error *e);

#endif
