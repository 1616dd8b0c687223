// advice.h - a text that advises commands, such as "to stop that: pipit workflow retry 17": the
// core that wrote it does not know of the configuration file that they need.
//
// Threads:   one.
//
// Ownership: nothing is kept.
//
// Failure:   none.
#ifndef PIPIT_CLI_ADVICE_H
#define PIPIT_CLI_ADVICE_H

#include <stdio.h>

// Writes the text with -c behind each command of `pipit workflow`, so that it can be run as it is;
// nothing in it steers a terminal.
void advice_put(FILE *file, const char *text, const char *config_path);

#endif
