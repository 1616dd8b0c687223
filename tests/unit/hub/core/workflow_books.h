// workflow_books.h - what holds of workflows in a store at every commit: each instance is counted
// once, by its state, and Little's law holds between a step's counters and the tokens at it.
#ifndef PIPIT_TESTS_WORKFLOW_BOOKS_H
#define PIPIT_TESTS_WORKFLOW_BOOKS_H

#include "store_support.h"
#include "workflow_laws.h"

static inline void workflow_books_check(struct store *store)
{
    sqlite3 *db = store_db(store);
    for (size_t i = 0; i < sizeof(workflow_books) / sizeof(workflow_books[0]); i++) {
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(db, workflow_books[i].sql, -1, &statement, NULL),
                         SQLITE_OK);
        int64_t wrong =
            sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_finalize(statement);
        if (wrong != 0) {
            fail_msg("%s: %lld do not add up", workflow_books[i].what, (long long)wrong);
        }
    }
}

#endif
