// reader.h - walks a document by option tables and collects every fault with its position.
//
// Threads:   one.
//
// Ownership: borrows document and arena; texts it gives live in the arena.
//
// Failure:   faults are collected, not returned, so that one run shows them all.
#ifndef PIPIT_CONFIG_READER_H
#define PIPIT_CONFIG_READER_H

#include "base/arena.h"
#include "base/option.h"
#include "config/document.h"

#define READER_PROBLEMS_MAX 512 // Collected, then sorted; the first of them are reported.

struct problem {
    struct position at;
    uint32_t number; // Keeps the sort stable.
    const char *text;
};

struct reader {
    const struct document *document;
    struct arena *arena;
    const char *folder;       // Of the file, with its final slash; "" for the current one.
    struct problem *problems; // READER_PROBLEMS_MAX of them.
    uint32_t problem_count;
};

#define SHAPE_TABLES_MAX 3

// What a mapping may hold.
struct shape {
    const char *what;                          // For texts: "rule overheat".
    struct options *options[SHAPE_TABLES_MAX]; // Filled by their tables; each may be NULL.
    const char *const *others; // Keys that the caller reads; NULL-terminated, or NULL for none.
    bool is_verbatim;          // Texts are SQL: ${...} is not replaced.
    const char *const *beside; // Keys that stand beside the mapping, not in it; NULL for none.
    // The mapping around, whose keys the caller tells of that belong into this one; NULL for none.
    const struct node *around;
};

void reader_problem(struct reader *reader, struct position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Is node (may be NULL: no) a mapping without a key that is there twice? Says so if it is not. An
// empty value counts as an empty mapping where is_empty_fine.
bool reader_mapping(struct reader *reader, const struct node *node, const char *what,
                    bool is_empty_fine);

// Reads a mapping into the shape's options; reports unknown keys and what is required and missing.
void reader_options(struct reader *reader, const struct node *node, const struct shape *shape);

// Does an unknown key of the mapping look like `name`? Then that is the fault, not that it is
// missing.
bool reader_is_misspelt(const struct node *node, const struct shape *shape, const char *name);

// The text of a node with ${env:NAME} and ${file:PATH} replaced ("$${" is a plain "${"); NULL after
// a reported problem.
const char *reader_text(struct reader *reader, const struct node *node, const char *what);

// Letters, digits, '_' and '-', 1 to 64: what may stand in topics, client ids and metrics.
bool name_is_valid(const char *name);
void reader_name(struct reader *reader, const struct node *key, const char *what);

// "; did you mean 'topic'?", or "; known are: a, b" where nothing is near; in the arena.
const char *reader_hint(struct reader *reader, const char *name, const char *const *known);

// A path as the file means it: relative to the file's own folder.
const char *reader_path(struct reader *reader, const char *path);

// In file order.
void reader_sort(struct reader *reader);

#endif
