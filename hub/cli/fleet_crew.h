// fleet_crew.h - the devices of a fleet: made when their first event comes, polled together.
// Threads:   one.
// Ownership: the crew owns its actors.
// Failure:   a sentence that names the device.
#ifndef PIPIT_CLI_FLEET_CREW_H
#define PIPIT_CLI_FLEET_CREW_H

#include "cli/actor.h"
#include "cli/fleet_rows.h"

enum crew_verdict {
    CREW_ACCEPTED,
    CREW_SKIPPED, // An earlier run had accepted it.
    CREW_FULL,    // Poll, and give it again.
};

struct crew_totals {
    uint32_t devices, online;
    uint64_t waiting, confirmed, resent;
};

struct crew_member {
    const char *name; // Without the group.
    uint64_t accepted, skipped, waiting;
};

struct crew;

enum err crew_create(struct crew **out_crew, const char *group, const struct actor_options *options,
                     struct error *e);
void crew_destroy(struct crew *crew); // NULL is fine.

enum err crew_accept(struct crew *crew, const struct row *row, const char *type,
                     enum crew_verdict *out_verdict, struct error *e);
enum err crew_poll(struct crew *crew, struct error *e);
uint32_t crew_next_ms(const struct crew *crew);
void crew_stop(struct crew *crew);
bool crew_is_stopped(const struct crew *crew);

// As of the last poll.
struct crew_totals crew_totals(const struct crew *crew);
// Why a device is not online, "" when all are.
const char *crew_trouble(struct crew *crew);
// In the order in which they came.
void crew_each(struct crew *crew, void (*each)(void *context, const struct crew_member *member),
               void *context);

#endif
