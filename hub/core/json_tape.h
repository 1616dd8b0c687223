// json_tape.h - a JSON text as a row of nodes: checked and read in one pass into a batch's memory,
// reached by dotted paths. Trees are for those who need all of it.
//
// Threads:   core thread.
//
// Ownership: nodes are in the memory given; they borrow from the text.
//
// Failure:   ERR_INVALID with line and column; ERR_NO_MEMORY.
#ifndef PIPIT_CORE_JSON_TAPE_H
#define PIPIT_CORE_JSON_TAPE_H

#include "base/error.h"
#include "core/event_memory.h"
#include "core/event_value.h"

#define JSON_DEPTH_MAX 32
#define JSON_NODES_MAX 65536 // A text of more would grow to many times its size.

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_FALSE,
    JSON_KIND_TRUE,
    JSON_KIND_NUMBER, // text: as it stands.
    JSON_KIND_TEXT,   // text: without quotes and escapes.
    JSON_KIND_OBJECT, // text: with its braces.
    JSON_KIND_ARRAY,  // text: with its brackets.
};

struct json_node {
    const char *key, *text; // key: of a member of an object, else NULL.
    uint32_t key_len, text_len;
    uint32_t next; // The index behind everything that is in this node.
    enum json_kind kind;
};

struct json_tape {
    const struct json_node *nodes; // Node 0 is the whole.
    uint32_t count;
};

// RFC 8259, and: no member twice, at most JSON_DEPTH_MAX levels, no number beyond a double.
enum err json_tape_read(struct json_tape *out_tape, struct bytes text, struct event_memory *memory,
                        struct error *e);

// The node at a path of members and item numbers: "location.lat", "items.0"; a member whose name
// has dots in it is found by its whole name first. NULL: there is none.
const struct json_node *json_tape_find(const struct json_tape *tape, const char *path);

// Everything but objects and arrays, which give VALUE_JSON with their text.
void json_node_value(const struct json_node *node, struct event_value *out_value);

#endif
