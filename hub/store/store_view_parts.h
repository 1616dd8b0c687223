// store_view_parts.h - how a view reads rows, for the files that show parts of a store.
// Threads:   one.
// Ownership: view_each_row finalizes the statement.
// Failure:   as store_view.h says.
#ifndef PIPIT_STORE_STORE_VIEW_PARTS_H
#define PIPIT_STORE_STORE_VIEW_PARTS_H

#include <sqlite3.h>

#include "store/store.h"
#include "store/store_view.h"

struct store_view {
    struct store *store;
};

// One row of a walk; false ends it.
typedef bool view_row_fn(sqlite3_stmt *statement, void *walk);

enum err view_prepare(struct store_view *view, const char *sql, sqlite3_stmt **out_statement,
                      struct error *e);
enum err view_each_row(struct store_view *view, sqlite3_stmt *statement, view_row_fn *row,
                       void *walk, struct error *e);
const char *view_text(sqlite3_stmt *statement, int column); // NULL is "".

#endif
