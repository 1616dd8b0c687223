// cbor_tape.h - a CBOR value [RFC 8949] as a row of nodes: checked and read in one pass into a
// batch's memory, reached by dotted paths. Nothing is believed of lengths that the bytes do not
// hold.
//
// Threads:   core thread.
//
// Ownership: nodes are in the memory given; they borrow from the bytes.
//
// Failure:   ERR_INVALID with the byte's position; ERR_NO_MEMORY.
#ifndef PIPIT_CORE_CBOR_TAPE_H
#define PIPIT_CORE_CBOR_TAPE_H

#include "base/error.h"
#include "core/event_memory.h"
#include "core/event_value.h"

#define CBOR_DEPTH_MAX 32
#define CBOR_NODES_MAX 65536 // Bytes of more items would grow to many times their size.

enum cbor_kind {
    CBOR_KIND_NULL, // Also undefined and simple values without a meaning.
    CBOR_KIND_BOOLEAN,
    CBOR_KIND_INTEGER, // Fits 63 bits and the sign; larger ones are reals.
    CBOR_KIND_REAL,
    CBOR_KIND_TEXT,
    CBOR_KIND_BLOB,
    CBOR_KIND_ARRAY, // Its items follow.
    CBOR_KIND_MAP,   // Its members follow: key, value, key, value; keys are texts and integers.
};

struct cbor_node {
    enum cbor_kind kind;
    uint32_t span; // Nodes of it, this one and all within: what follows it is so far behind.
    union {
        int64_t integer;
        double real;
        struct bytes bytes;
    };
};

struct cbor_tape {
    const struct cbor_node *nodes; // Node 0 is the whole.
    uint32_t count;
};

enum err cbor_tape_read(struct cbor_tape *out_tape, struct bytes bytes, struct event_memory *memory,
                        struct error *e);

// Into maps by text keys and by whole numbers, into arrays by index; a key may have dots in it. A
// whole that is neither map nor array is called "value". NULL: there is none. Of two members with
// one key the first is found.
const struct cbor_node *cbor_tape_find(const struct cbor_tape *tape, const char *path);
// A tree is new and the caller's.
void cbor_node_value(const struct cbor_node *node, struct event_value *out_value);
// New; NULL without memory. Blobs are hexadecimal text, NaN and infinities null.
struct json_t *cbor_node_to_json(const struct cbor_node *node);

#endif
