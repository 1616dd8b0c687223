// expand.h - secrets and surroundings in a text: ${env:NAME} and ${file:PATH}.
//
// Threads:   one; reads the environment.
//
// Ownership: the text lives in the reader's arena.
//
// Failure:   NULL, and the reader has a problem more.
#ifndef PIPIT_CONFIG_EXPAND_H
#define PIPIT_CONFIG_EXPAND_H

#include "config/reader.h"

// The node's text with each replaced; a file's final newline is stripped. "$${" gives "${". NULL
// after a reported problem (unset variable, unreadable file), which stands at its "${".
const char *text_expand(struct reader *reader, const struct node *node, const char *what);

#endif
