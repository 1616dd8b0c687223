// reference.h - the manual of every option in a configuration file, as Markdown.
//
// Threads:   any.
//
// Ownership: nothing is kept.
//
// Failure:   shows on standard output (ferror).
#ifndef PIPIT_CLI_REFERENCE_H
#define PIPIT_CLI_REFERENCE_H

void reference_print(void);
void functions_print(void); // A part of it.

#endif
