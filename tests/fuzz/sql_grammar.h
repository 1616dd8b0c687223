// sql_grammar.h - statements made of choices: mostly what a rule may be, over the topic filter
// "m/+" and the table `limits`, now and then what must be refused.
//
// Threads:   any.
//
// Ownership: the caller's.
//
// Failure:   none: choices that run out are 0, what does not fit is left out.
#ifndef PIPIT_TESTS_SQL_GRAMMAR_H
#define PIPIT_TESTS_SQL_GRAMMAR_H

#include <stddef.h>
#include <stdint.h>

#define SQL_GRAMMAR_BYTES_MAX 4000 // Of a statement, with its end.

// A byte is one choice.
void sql_grammar_write(const uint8_t *choices, size_t len, char out_sql[SQL_GRAMMAR_BYTES_MAX]);

#endif
