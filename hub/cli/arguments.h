// arguments.h - a command's options and words, read and explained from one option table.
// Threads:   one.
// Ownership: struct arguments owns its options; words are those of argv.
// Failure:   told on standard error; the result is the exit code.
#ifndef PIPIT_CLI_ARGUMENTS_H
#define PIPIT_CLI_ARGUMENTS_H

#include "base/option.h"
#include "cli/command.h"

struct usage {
    const char *name;                  // "publish"
    const char *synopsis;              // What follows the name.
    const char *about;                 // What it does, in whole lines.
    const struct option_spec *options; // Flags (BOOL) take no value.
    const char *more;                  // Examples, exit codes; may be NULL.
};

struct arguments {
    struct options *options;
    char **words; // What is no option, in order.
    int word_count;
};

// Options and words may be mixed; -- ends the options; -c is short for --config. -1: go on; else
// end with that code (0 after --help). Needs deinit only after -1.
int arguments_init(struct arguments *arguments, const struct usage *usage, int argc, char **argv);
void arguments_deinit(struct arguments *arguments);

// "pipit publish: <sentence>" on standard error and where help is; returns EXIT_USAGE.
int usage_fail(const struct usage *usage, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
