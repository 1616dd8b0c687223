// rule_identity.h - who sent an event of a device that does not run the SDK: SQL expressions over
// the event give its device, sequence, boot and time.
//
// Threads:   core thread.
//
// Ownership: borrows the specs.
//
// Failure:   an event whose expressions fail goes to sink->failure and is skipped from then on.
#ifndef PIPIT_CORE_RULE_IDENTITY_H
#define PIPIT_CORE_RULE_IDENTITY_H

#include "core/rule_space.h"
#include "core/rules.h"

struct rule_identities;

// ERR_CONFIG: e->offset is into the expression that the text names.
enum err rule_identities_create(struct rule_identities **out_identities, struct rule_space *space,
                                const struct core_spec *spec, struct error *e);
void rule_identities_destroy(struct rule_identities *identities); // NULL is fine.

// Between rule_space_begin and rule_space_end.
enum err rule_identities_run(struct rule_identities *identities, struct event_batch *batch,
                             bool *is_skipped, const struct rule_sink *sink, struct error *e);

#endif
