// probe.h - finds out how many messages a broker keeps for a client that is away, with a client,
// topic and session of its own that it removes again.
//
// Threads:   probe_start makes one; the others are called by its maker. The thread looks at the
// stop flag at least every 50 ms, but not while it looks up a host name.
//
// Ownership: peer texts are borrowed until probe_finish.
//
// Failure:   a probe that could not be completed within 10 s tells nothing: -1.
#ifndef PIPIT_INTAKE_PROBE_H
#define PIPIT_INTAKE_PROBE_H

#include "intake/link.h"

struct probe;

// peer: of the source; client_id is made from it. NULL: there is no memory or no thread for it.
struct probe *probe_start(const struct link_peer *peer, const char *topic);

bool probe_is_done(struct probe *probe);

// Stops it if it still runs, and gives how many of PROBE_MESSAGES were kept, -1 if that is not
// known; out_reason then says why. NULL is fine.
int probe_finish(struct probe *probe, char *out_reason, size_t size_bytes);

#endif
