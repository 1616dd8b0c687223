// wired.h - which topics reach which filters inside a configuration: what sources subscribe to,
// what rules and workflows give the hub itself.
//
// Threads:   one.
//
// Ownership: everything lives in the arena handed in, or is the configuration's; the definitions
// are wired's own until wired_deinit.
//
// Failure:   without memory something is left out (arena_is_exhausted tells).
#ifndef PIPIT_CONFIG_WIRED_H
#define PIPIT_CONFIG_WIRED_H

#include <jansson.h>

#include "base/arena.h"
#include "config/config.h"

struct wired {
    const struct config *config;
    json_t **definitions;       // Of each workflow, read once for all who look at them.
    const char **filters;       // Of each rule, as core_filters tells them; NULL: not known.
    const char *const *emitted; // Topics (templates) of what workflows emit to rules; ends by NULL.
};

// filters are still to be filled in. False without memory.
bool wired_init(struct wired *wired, struct arena *arena, const struct config *config);
void wired_deinit(struct wired *wired); // Also of one that wired_init has failed for, or zeroed.

bool wired_is_heard(const struct config *config, const char *filter); // By a source.
bool wired_is_fed(const struct wired *wired, const char *filter);     // By a rule or a workflow.
bool wired_reaches(const struct wired *wired, const char *filter);    // Either.

// The filters that an event of this topic (a template) is for, by itself or by what rules make of
// it: is_direct false then.
typedef void wired_topic_fn(void *context, const char *topic, bool is_direct);
void wired_follow(const struct wired *wired, struct arena *arena, const char *topic,
                  wired_topic_fn *each, void *context);

#endif
