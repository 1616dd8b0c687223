// broker_advice.h - what a broker says of its limits, turned into what to change in its
// configuration.
//
// Threads:   any.
//
// Ownership: nothing is allocated.
//
// Failure:   none: what does not fit into the text is left out.
#ifndef PIPIT_INTAKE_BROKER_ADVICE_H
#define PIPIT_INTAKE_BROKER_ADVICE_H

#include "intake/link.h"

#define BROKER_ADVICE_MAX      400
#define BROKER_INFLIGHT_ENOUGH 100  // Below it the broker's window slows the hub down.
#define PROBE_MESSAGES         1100 // More than the 1000 that brokers keep by default.

// What the source needs of the broker, and what it was found to do.
struct broker_facts {
    const struct broker_url *url;
    const struct link_limits *limits;
    uint32_t session_expiry_s;
    bool uses_wildcards, uses_shared;
    int probe_kept; // Of PROBE_MESSAGES that it kept for an absent client; -1: not known.
};

// Sentences for people, "" when nothing need be changed.
void broker_advise(const struct broker_facts *facts, char out_text[BROKER_ADVICE_MAX]);

#endif
