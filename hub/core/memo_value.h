// memo_value.h - a value that a rule remembers, as SQLite has it: any of its types.
//
// Threads:   any.
//
// Ownership: texts and blobs are borrowed; memo_value_copy says where they lie afterwards.
//
// Failure:   none.
#ifndef PIPIT_CORE_MEMO_VALUE_H
#define PIPIT_CORE_MEMO_VALUE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct memo_value {
    int type; // SQLITE_INTEGER, ...; SQLITE_NULL is a value, 0 is none.
    int64_t integer;
    double real;
    struct bytes bytes; // Of text and blob.
};

size_t memo_value_bytes(const struct memo_value *value); // Of a text or blob; else 0.
// The copy's text or blob is written to *inout_room, which has memo_value_bytes and is moved on.
struct memo_value memo_value_copy(const struct memo_value *value, uint8_t **inout_room);
// Type for type and bit for bit: 0.0 is not -0.0, and a NaN is itself.
bool memo_value_is_same(const struct memo_value *a, const struct memo_value *b);

// A column of the row where the statement stands: borrowed until it is moved on.
void memo_value_read(sqlite3_stmt *statement, int column, struct memo_value *out_value);
void memo_value_bind(sqlite3_stmt *statement, int index, const struct memo_value *value);

#endif
