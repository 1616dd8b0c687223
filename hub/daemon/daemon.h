// daemon.h - the hub's process: one thread that reads sources, steps the core, acknowledges, and
// feeds the workers.
//
// Threads:   the calling one becomes the hub thread; a worker thread a target.
//
// Ownership: the daemon owns everything it opens and gives it back before it returns.
//
// Failure:   ERR_CONFIG, ERR_BUSY, ERR_CORRUPT, ERR_VERSION, ERR_IO at start; the text says what to
// do.
#ifndef PIPIT_DAEMON_DAEMON_H
#define PIPIT_DAEMON_DAEMON_H

#include <stdbool.h>

#include "base/error.h"

struct daemon_options {
    const char *config_path, *version;
    bool is_banner_on; // A person watches: say in words what runs.
};

// Runs until SIGTERM or SIGINT. Faults of the configuration go to standard error, one a line.
enum err daemon_run(const struct daemon_options *options, struct error *e);

// Runs daemon_run in a child process and starts it again, with backoff, whenever it dies by a
// signal. SIGTERM, SIGINT and SIGHUP are passed on. Gives the child's last exit code.
int daemon_supervise(const struct daemon_options *options,
                     int (*run)(const struct daemon_options *options));

#endif
