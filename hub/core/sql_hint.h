// sql_hint.h - what SQLite's sentence does not tell somebody who writes a first expression.
// Threads:   any.
// Ownership: nothing is kept.
// Failure:   what is not sure is not said.
#ifndef PIPIT_CORE_SQL_HINT_H
#define PIPIT_CORE_SQL_HINT_H

#include <stdbool.h>

#include "base/error.h"

// SQLite's syntax error in the text, at e->offset of it: puts behind it what a duration (1 h, 1h)
// is in SQL. False: it is about something else.
bool sql_hint_duration(const char *text, struct error *e);

// Is the text of an expression rather a word, or a path such as plant/press-1? One that may well be
// a subtraction or a division by a number is not.
bool sql_looks_like_text(const char *text);

#endif
