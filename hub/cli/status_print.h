// status_print.h - a hub's status for a person.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   none; what is missing is left out.
#ifndef PIPIT_CLI_STATUS_PRINT_H
#define PIPIT_CLI_STATUS_PRINT_H

#include <jansson.h>

void status_print(const json_t *status); // On standard output.

#endif
