// command.h - one command of `pipit`: its name, one line about it, and what runs it.
//
// Threads:   one; the table is constant.
//
// Ownership: nothing is allocated.
//
// Failure:   run tells it on standard error and gives the exit code.
#ifndef PIPIT_CLI_COMMAND_H
#define PIPIT_CLI_COMMAND_H

#include "base/error.h"

// The exit codes of every command; `pipit --help` lists them.
#define EXIT_OK            0 // Done.
#define EXIT_FAILED        1 // Tried and not done; the reason is on standard error.
#define EXIT_USAGE         2 // The command line is wrong.
#define EXIT_CONFIGURATION 3 // The configuration file is wrong.
#define EXIT_STORE         4 // The store is in use, damaged or of a newer version.
#define EXIT_UNAVAILABLE   5 // Broker, hub or device did not answer.

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); // argv[0] is the command's name.
};

// In the order of `pipit --help`; a NULL name ends it. A new command is its file and a line in
// commands.c.
extern const struct command commands[];

// The exit code that tells what rc means.
int exit_code_of(enum err rc);

#endif
