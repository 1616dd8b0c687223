// workflow_select.h - which instances an operator means: by number, by workflow and key, or by a
// filter; and where to look for them.
//
// Threads:   one.
//
// Ownership: a run owns its configuration and view; the filter borrows the options' texts.
//
// Failure:   told on standard error; the exit code is returned, -1: go on.
#ifndef PIPIT_CLI_WORKFLOW_SELECT_H
#define PIPIT_CLI_WORKFLOW_SELECT_H

#include "cli/arguments.h"
#include "cli/entry_range.h"
#include "cli/workflow_look.h"
#include "core/workflow_instance.h"

#define WORKFLOW_CONFIG_OPTION                                                                     \
    {                                                                                              \
        "config", OPTION_PATH, true, NULL, 0, 0, NULL,                                             \
            "The hub's configuration file; -c is short."                                           \
    }

// Rows of a command's option table. open: not ended.
#define WORKFLOW_SELECT_OPTIONS(default_state)                                                     \
    {"name", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only instances of this workflow."},            \
        {"key", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only instances with this key."},            \
        {"state",                                                                                  \
         OPTION_ENUM,                                                                              \
         false,                                                                                    \
         default_state,                                                                            \
         0,                                                                                        \
         0,                                                                                        \
         "queued|running|undoing|parked|completed|failed|cancelled|open|ended|all",                \
         "Only instances in this state; open: those that have not ended."},                        \
        {"older", OPTION_DURATION,                                                                 \
         false,   NULL,                                                                            \
         0,       0,                                                                               \
         NULL,    "Only those that were started longer ago than this."},                           \
    {                                                                                              \
        "newer", OPTION_DURATION, false, NULL, 0, 0, NULL,                                         \
            "Only those that were started since so long ago."                                      \
    }

#define WORKFLOW_OPEN_STATES                                                                       \
    (1u << INSTANCE_QUEUED | 1u << INSTANCE_RUNNING | 1u << INSTANCE_UNDOING |                     \
     1u << INSTANCE_PARKED)
#define WORKFLOW_ENDED_STATES                                                                      \
    (1u << INSTANCE_COMPLETED | 1u << INSTANCE_FAILED | 1u << INSTANCE_CANCELLED)

struct workflow_run {
    const struct usage *usage;
    struct arguments arguments;
    struct config *config;
    struct store_view *view;
    struct workflow_look *look;
    bool is_json;
};

int workflow_run_open(struct workflow_run *run, const struct usage *usage, int argc, char **argv);
void workflow_run_close(struct workflow_run *run); // Also one that is half open.
// "pipit workflow list: <text>", with commands that it advises as they can be run.
void workflow_run_tell(const struct workflow_run *run, const char *text);
// The same of an error; the exit code.
int workflow_run_fail(const struct workflow_run *run, const struct error *e);

void workflow_select(const struct options *options, struct view_instance_filter *out_filter);

// -1: there is such a workflow, in the store or in the configuration.
int workflow_run_knows(const struct workflow_run *run, const char *name);

// "17", or "order/1007": the newest of that key, one that is open first. -1: *out_id.
int workflow_find(struct workflow_run *run, const char *word, int64_t *out_id);

#endif
