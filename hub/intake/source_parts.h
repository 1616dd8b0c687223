// source_parts.h - what the files of the source share.
//
// Threads:   as source.h.
//
// Ownership: as source.h.
//
// Failure:   none of its own.
#ifndef PIPIT_INTAKE_SOURCE_PARTS_H
#define PIPIT_INTAKE_SOURCE_PARTS_H

#include "intake/backoff.h"
#include "intake/broker_advice.h"
#include "intake/link.h"
#include "intake/probe.h"
#include "intake/source.h"

#define TICK_MS          1000 // How often a silent link is looked after.
#define ID_MAX           256
#define TOPIC_MAX        256
#define OWN_PREFIX       "pipit/v1/$hub/"
#define HOST_TOPIC       "spBv1.0/STATE/"
#define HOST_ID_MAX      128
#define HOST_STATE_BYTES 64

enum version { VERSION_AUTO, VERSION_5, VERSION_311 }; // As in "auto|5|3.1.1".

struct source {
    const char *name;
    const char *const *topics;
    char **old_filters; // NULL: none.
    const struct options *options;
    struct link_peer peer;
    enum version version;
    bool is_version_refused; // 5 was: try 3.1.1.
    char client_id[ID_MAX];
    char own_prefix[TOPIC_MAX]; // What this hub publishes itself is no input.
    char probe_topic[TOPIC_MAX];
    int priority;

    struct link *link;
    struct message_batch batch;
    struct backoff backoff;
    bool is_away;
    bool is_announced;     // INTAKE-UP was logged for this link.
    bool has_subscribed;   // Once in this process.
    uint32_t filters_open; // SUBACKs that are missing.
    int64_t now_ms;        // As the caller last said.
    int64_t up_ms;         // When the link came up.
    uint32_t short_links;  // In a row.
    int64_t next_attempt_ms;
    int64_t next_tick_ms;
    int64_t resubscribe_ms; // The broker refused a filter: try again then. 0: it did not.

    struct probe *probe;
    bool is_probed;
    int probe_kept;
    uint64_t dropped_value; // Of $SYS, last.
    bool is_dropped_known;
    uint64_t dropped_probing;  // While our own probe ran.
    uint64_t dropped_forgiven; // By our own probe; not in dropped_value yet.
    bool does_fault_acknowledge;
    char host_topic[sizeof(HOST_TOPIC) + HOST_ID_MAX]; // Empty: we are no Sparkplug host.
    char host_will[HOST_STATE_BYTES];
    int64_t host_since_ms; // Wall clock: of the will and the birth of this link.
    int64_t host_again_ms; // A birth is not repeated before.
    bool host_is_stale;    // What the broker keeps is not that we are online.
    struct source_state state;
};

// source_watch.c: what the broker tells besides messages.
extern const struct link_events source_events; // Without its context.
void source_change(struct source *source, bool is_up);
void source_announce(struct source *source);
void source_subscribe(struct source *source);
void source_advise(struct source *source);
void source_tend_probe(struct source *source);

// source_host.c: the hub as a Sparkplug host application; nothing happens where it is none.
void source_host_name(struct source *source); // From the options.
void source_host_will(struct source *source); // Before link_open.
void source_host_birth(struct source *source);
void source_host_tend(struct source *source);
bool source_host_death(struct source *source); // False: leave it to the will.
bool source_host_sees(struct source *source, const struct message *message); // Is it our STATE?

// source_connect.c: makes the link when it is time, drives it until it is up.
void source_drive(struct source *source, short revents);
void source_check_lost(struct source *source); // Whatever the reason: the next attempt is planned.

#endif
