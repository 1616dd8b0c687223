// entry_walk.h - list and show of dead letters and quarantine entries: as a table, in full, or as
// JSON.
//
// Threads:   one.
//
// Ownership: the walk's texts are the caller's; the table lives for the call of entry_list.
//
// Failure:   told on standard error; the exit code is returned.
#ifndef PIPIT_CLI_ENTRY_WALK_H
#define PIPIT_CLI_ENTRY_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/terminal.h"

struct entry_walk {
    const char *command; // "dead"
    const char *none;    // "no such dead letter"
    const char *empty;   // "no dead letters"
    const char *const *headings;
    bool is_json, is_full;
    uint64_t limit; // 0: all.
    uint64_t shown, left_out;
    struct table *table;
};

enum entry_form { ENTRY_LEFT_OUT, ENTRY_JSON, ENTRY_FULL, ENTRY_ROW };

// How the next entry is to be printed.
enum entry_form entry_next(struct entry_walk *walk);

// Goes over the entries, prints each in the form that entry_next says.
typedef enum err entry_walk_fn(void *context, struct error *e);

int entry_list(struct entry_walk *walk, entry_walk_fn *each, void *context);
int entry_show(struct entry_walk *walk, entry_walk_fn *each, void *context);

// {"dropped":3}
void entry_count_json(const char *name, uint64_t count);

int entry_fail(const struct entry_walk *walk, const struct error *e);
int entry_none(const struct entry_walk *walk);

#endif
