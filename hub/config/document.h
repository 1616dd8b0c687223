// document.h - a YAML file as a tree of nodes that know where they stand in it.
//
// Threads:   immutable after document_load.
//
// Ownership: the document owns its nodes.
//
// Failure:   ERR_CONFIG (syntax, with file:line:column), ERR_NOT_FOUND, ERR_IO.
#ifndef PIPIT_CONFIG_DOCUMENT_H
#define PIPIT_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DOCUMENT_DEPTH_MAX 48 // Steps of workflows stand in each other.

struct position {
    uint32_t line, column; // From 1; columns are characters.
};

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAPPING };
enum node_style {
    STYLE_PLAIN,
    STYLE_SINGLE_QUOTED,
    STYLE_DOUBLE_QUOTED,
    STYLE_LITERAL,
    STYLE_FOLDED
};

struct node {
    enum node_kind kind;
    enum node_style style; // Of a text.
    struct position at;
    size_t index;           // Characters before it in the file.
    const char *text;       // Of a text; NUL-terminated and without NUL inside.
    const struct node *key; // Of a member of a mapping; a text.
    struct node *first, *last, *next;
    uint32_t count; // Members of a list or mapping.
};

struct document;

// Tags, anchors and aliases are refused; so is a second document in the file.
enum err document_load(struct document **out_document, const char *path, size_t max_bytes,
                       struct error *e);
void document_destroy(struct document *document); // NULL is fine.

const struct node *document_root(const struct document *document);

// The member of that name, NULL when there is none or node is no mapping.
const struct node *node_get(const struct node *node, const char *name);
bool node_is_empty(const struct node *node);         // Nothing was written: `key:`, or null.
const char *node_kind_name(const struct node *node); // "a list", for people.

// Where byte `offset` of a text stands in the file, whatever its quoting and folding.
struct position document_locate(const struct document *document, const struct node *node,
                                size_t offset);

// Sets ERR_CONFIG "path:line:column: ...".
enum err document_error(const struct document *document, struct position at, struct error *e,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
