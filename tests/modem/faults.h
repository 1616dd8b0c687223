// faults.h - sets the faults of the line by name, for the options and for the control socket.
// Threads: one.  Ownership: everything is borrowed.  Failure: false and a text that says why.
#ifndef MODEM_FAULTS_H
#define MODEM_FAULTS_H

#include "line.h"

#define FAULTS_ERROR_MAX 160

// name: delay, split, drop, garble or kill-after; direction: up, down or both, NULL: both.
bool faults_set(struct faults *up, struct faults *down, const char *name, const char *value,
                const char *direction, char error[FAULTS_ERROR_MAX]);
bool faults_is_name(const char *name);

#endif
