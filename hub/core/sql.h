// sql.h - the core's prepared statements: made once, run often, errors in the store's words.
// Threads:   core thread.
// Ownership: the caller finalizes; bound bytes are borrowed until the statement has been run.
// Failure:   as store_fail says; `what` names the work in the text.
#ifndef PIPIT_CORE_SQL_H
#define PIPIT_CORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "store/store.h"

struct sql_text {
    const char *sql;
    sqlite3_stmt **out;
};

enum err sql_prepare(struct store *store, const struct sql_text *texts, size_t count,
                     struct error *e);
void sql_finalize(const struct sql_text *texts, size_t count);

// Runs a statement that gives no rows, and resets it.
enum err sql_run(struct store *store, sqlite3_stmt *statement, const char *what, struct error *e);
// The next row. Without one, and after an error, the statement has been reset.
enum err sql_next(struct store *store, sqlite3_stmt *statement, const char *what, bool *out_has_row,
                  struct error *e);

void sql_bind_u64(sqlite3_stmt *statement, int index, uint64_t value);
void sql_bind_text(sqlite3_stmt *statement, int index, struct bytes text);
void sql_bind_blob(sqlite3_stmt *statement, int index, struct bytes blob);
uint64_t sql_u64(sqlite3_stmt *statement, int column);
struct bytes sql_bytes(sqlite3_stmt *statement, int column); // Until the next step.

#endif
