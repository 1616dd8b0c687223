// actor.h - one device played by a command: an SDK device with its link, spool and memory.
// Threads:   one for all actors of a process.
// Ownership: the actor owns everything but the options, which outlive it.
// Failure:   a sentence for people; events in a file spool stay there.
#ifndef PIPIT_CLI_ACTOR_H
#define PIPIT_CLI_ACTOR_H

#include "base/error.h"
#include "cli/peer.h"
#include "pipit/paho.h"
#include "pipit/pipit.h"
#include "pipit/posix.h"

struct actor_options {
    const struct peer *peer;
    const char *software;   // Shown in the device's status.
    const char *spool;      // Folder of file spools; NULL: events wait in memory.
    uint32_t spool_bytes;   // Limit of one device's spool.
    uint32_t event_bytes;   // Largest event.
    uint32_t sync_every_ms; // Of file spools; 0: each event.
    enum pipit_confirm confirm;
    enum pipit_qos qos;
    struct pipit_bell *bell;      // Rung at news of any actor.
    pipit_command_fn *on_command; // NULL: takes no commands.
    void *command_context;
};

struct actor;

enum err actor_create(struct actor **out_actor, const char *group, const char *name,
                      const struct actor_options *options, struct error *e);
// Without a goodbye, unless the device has stopped. NULL is fine.
void actor_destroy(struct actor *actor);

struct pipit_device *actor_device(struct actor *actor);
const char *actor_name(const struct actor *actor); // "group/name"
uint32_t actor_boot(const struct actor *actor);
// Of the event accepted last in this boot; 0: none.
uint64_t actor_sequence(const struct actor *actor);
// Why the device is not online, for people; valid until the next call.
const char *actor_trouble(struct actor *actor);

// What the SDK said, as ours: the text names what was refused and what to do.
enum err actor_error(struct actor *actor, enum pipit_err rc, struct error *e);

#endif
