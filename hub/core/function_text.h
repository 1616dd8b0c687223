// function_text.h - SQLite's functions on texts whose work, in a single instruction, would go with
// the product of two lengths or with a number in a text: the same to the eye, and bounded.
// Threads:   core thread.
// Ownership: SQLite's; results are handed over to it.
// Failure:   registering: of the store's kind. A call: told to SQLite, and the event fails.
#ifndef PIPIT_CORE_FUNCTION_TEXT_H
#define PIPIT_CORE_FUNCTION_TEXT_H

#include "core/rule_space.h"

// replace, instr, trim, ltrim, rtrim, like, glob.
enum err function_text_register(struct rule_space *space, struct error *e);
// function_format.c: format, printf.
enum err function_format_register(struct rule_space *space, struct error *e);

#endif
