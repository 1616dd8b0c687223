// reference.h - the manual of every option in a configuration file, as Markdown.
// Threads: any. It prints to standard output and cannot fail otherwise.
#ifndef PIPIT_CLI_REFERENCE_H
#define PIPIT_CLI_REFERENCE_H

void reference_print(void);
void functions_print(void); // A part of it.

#endif
