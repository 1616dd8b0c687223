// store_support.h - a store in a folder of its own, for tests of the core and the store.
#ifndef PIPIT_TEST_STORE_SUPPORT_H
#define PIPIT_TEST_STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

struct folder {
    char path[64];
    char store_path[96];
};

static inline void folder_create(struct folder *folder)
{
    strcpy(folder->path, "/tmp/pipit-test-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->store_path, sizeof(folder->store_path), "%s/hub.db", folder->path);
}

static inline void folder_remove(const struct folder *folder)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", "-journal"};
    char path[128];
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", folder->store_path, ends[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(folder->path), 0);
}

static inline struct store *open_store(const char *path)
{
    struct store *store = NULL;
    struct error e = {0};
    const struct store_options options = {.path = path};
    if (store_open(&store, &options, &e) != ERR_OK) {
        fail_msg("%s", e.text);
    }
    return store;
}

// One number from the store, by SQL.
static inline int64_t ask(struct store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(store), sql, -1, &statement, NULL);
    if (rc != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(store_db(store)));
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

#define assert_ok(rc, e)                                                                           \
    do {                                                                                           \
        if ((rc) != ERR_OK) {                                                                      \
            fail_msg("%s", (e).text);                                                              \
        }                                                                                          \
    } while (0)

#endif
