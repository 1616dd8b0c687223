// entry_range.h - which dead letters or quarantine entries an operator means, and where to do
// something to them.
//
// Threads:   one.
//
// Ownership: a list of ranges is freed by entry_ranges_deinit, a configuration by the caller.
//
// Failure:   a sentence for people.
#ifndef PIPIT_CLI_ENTRY_RANGE_H
#define PIPIT_CLI_ENTRY_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/arguments.h"
#include "config/config.h"
#include "core/core.h"

struct store;

struct entry_range {
    uint64_t first, last; // Inclusive.
};

// Reads "verb [range]", the range as "17", "17-40" or "all"; only `list` may go without a range.
// -1: fine; else the exit code, and the reason is on standard error. verbs ends with NULL.
int entry_words(const struct usage *usage, const char *const *verbs,
                const struct arguments *arguments, struct entry_range *out_range);

// Reads the configuration; its faults go to standard error. NULL: the exit code is in *out_code.
struct config *config_for_command(const char *command, const char *path, int *out_code);

// What came of an operation: struct outcome.
struct operated {
    uint64_t count, skipped;
    uint64_t upto; // The last id that was looked at; UINT64_MAX: the range is done.
    char skip[300];
    uint64_t instance; // That a workflow's replay has started.
};

// Lets the running hub do it, through its control socket; with no hub there, opens the store and
// does it here.
enum err operate(const struct config *config, const struct operation *operation,
                 struct operated *out_operated, struct error *e);

// The same for many: a store is opened once. config is set by the caller; needs deinit.
struct operation_site {
    const struct config *config;
    struct store *store;
    struct core *core;
};
enum err operation_site_do(struct operation_site *site, const struct operation *operation,
                           struct operated *out_operated, struct error *e);
void operation_site_deinit(struct operation_site *site);

// Runs of neighbours among the entries that a filter takes: operations know ids only.
struct entry_ranges {
    struct entry_range *ranges;
    size_t count, capacity;
    bool is_open, is_exhausted;
};
// The next entry, in the order of ids. False: out of memory.
bool entry_ranges_add(struct entry_ranges *list, uint64_t id, bool is_taken);
void entry_ranges_deinit(struct entry_ranges *list);

#endif
