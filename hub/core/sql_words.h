// sql_words.h - the words of an SQL text and its clauses, as far as explaining and pointing at
// places needs them. What SQL means is SQLite's affair.
// Threads:   any.
// Ownership: everything points into the text given.
// Failure:   what is no single plain SELECT is not taken apart.
#ifndef PIPIT_CORE_SQL_WORDS_H
#define PIPIT_CORE_SQL_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

enum sql_word_kind {
    SQL_END,
    SQL_WORD,   // A keyword or a plain name.
    SQL_QUOTED, // A name in "double quotes", `backticks` or [brackets].
    SQL_TEXT,   // 'A text'.
    SQL_NUMBER,
    SQL_PUNCTUATION // One character.
};

struct sql_word {
    enum sql_word_kind kind;
    struct bytes text; // With its quotes.
};

// Takes the next word off *rest; blanks and comments are passed over.
struct sql_word sql_word_next(struct bytes *rest);

bool sql_word_is(const struct sql_word *word, const char *keyword); // Case does not matter.
// The name without its quotes; cut short where out_name is too small. False: it is no name.
bool sql_word_name(const struct sql_word *word, char *out_name, size_t size);
bool sql_word_is_keyword(const struct sql_word *word);

// The clauses of a SELECT; what is not there is empty.
struct sql_clauses {
    struct bytes select, from, where; // Without the keywords.
};

// False: it begins with WITH or VALUES, or puts two SELECTs together.
bool sql_clauses_find(struct bytes sql, struct sql_clauses *out_clauses);

// Takes the next term off *rest: what stands between the ANDs of a condition, all of it where an OR
// holds it together.
bool sql_term_next(struct bytes *rest, struct bytes *out_term);

// Where a column of that name stands in the SQL, for people: its byte offset; -1: nowhere.
ptrdiff_t sql_find_name(struct bytes sql, const char *name);

#endif
