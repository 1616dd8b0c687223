// entry_edit.h - what `pipit dead edit` and `pipit quarantine edit` have in common.
//
// Threads:   one.
//
// Ownership: text is the caller's, to be freed after the edit.
//
// Failure:   told on standard error; the exit code is returned.
#ifndef PIPIT_CLI_ENTRY_EDIT_H
#define PIPIT_CLI_ENTRY_EDIT_H

#include "cli/entry_range.h"
#include "cli/entry_walk.h"

// Rows of an option table: --topic, --payload, --payload-file.
#define ENTRY_EDIT_OPTIONS                                                                         \
    {"topic", OPTION_TEXT, false, NULL, 0, 0, NULL, "edit: the new topic."},                       \
        {"payload", OPTION_TEXT, false, NULL, 0, 0, NULL, "edit: the new payload, as text."},      \
    {                                                                                              \
        "payload-file", OPTION_PATH, false, NULL, 0, 0, NULL, "edit: a file with the new payload." \
    }

// Changes the one entry of the range as the options say.
int entry_edit(const struct usage *usage, const struct entry_walk *walk,
               const struct options *options, const struct config *config,
               const struct operation *operation);

#endif
