// sparkplug_alias.h - the metrics that a birth announced: names and datatypes by alias.
//
// Threads:   core thread.
//
// Ownership: sparkplug_aliases_build makes copies; the caller deinits.
//
// Failure:   ERR_NO_MEMORY.
#ifndef PIPIT_CORE_SPARKPLUG_ALIAS_H
#define PIPIT_CORE_SPARKPLUG_ALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sparkplug_alias {
    const char *name;
    uint64_t alias;
    bool has_alias;
    uint32_t datatype;
};

struct sparkplug_aliases {
    struct sparkplug_alias *items; // By alias, those without one last.
    const struct sparkplug_alias **by_name;
    char *texts;
    uint32_t count, alias_count;
};

enum err sparkplug_aliases_build(struct sparkplug_aliases *out_aliases,
                                 const struct sparkplug_alias *items, uint32_t count,
                                 struct error *e);
void sparkplug_aliases_deinit(struct sparkplug_aliases *aliases); // Zeroed is fine.

// NULL: there is none.
const struct sparkplug_alias *sparkplug_alias_find(const struct sparkplug_aliases *aliases,
                                                   uint64_t alias);
const struct sparkplug_alias *sparkplug_alias_by_name(const struct sparkplug_aliases *aliases,
                                                      const char *name);

#endif
