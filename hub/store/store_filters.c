#include "store/store_filters.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

static const char retire_sql[] = "UPDATE pipit_filter SET is_current = 0 WHERE source = ?1";
static const char add_sql[] =
    "REPLACE INTO pipit_filter(source, filter, is_current) VALUES (?1, ?2, 1)";
static const char bound_sql[] =
    "DELETE FROM pipit_filter WHERE source = ?1 AND is_current = 0 AND id NOT IN (SELECT id FROM"
    " pipit_filter WHERE source = ?1 AND is_current = 0 ORDER BY id DESC LIMIT " TEXT(
        STORE_FILTERS_MAX) ")";
static const char old_sql[] =
    "SELECT filter FROM pipit_filter WHERE source = ?1 AND is_current = 0";

// Runs the statement to its end with its texts; filter may be NULL.
static int run(struct store *store, const char *sql, const char *source, const char *filter)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(store), sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, source, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK && filter != NULL) {
        rc = sqlite3_bind_text(statement, 2, filter, -1, SQLITE_STATIC);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(store_db(store));
    }
    sqlite3_finalize(statement);
    return rc;
}

struct list {
    size_t count, bytes;
    char **items; // NULL: only measured.
    char *end;
};

static void list_add(struct list *list, const char *text)
{
    size_t size = strlen(text) + 1;
    if (list->items != NULL) {
        list->items[list->count] = memcpy(list->end, text, size);
        list->end += size;
    }
    list->count++;
    list->bytes += size;
}

static int walk(struct store *store, const char *source, struct list *list)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(store), old_sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_bind_text(statement, 1, source, -1, SQLITE_STATIC);
    }
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        rc = text == NULL ? SQLITE_NOMEM : SQLITE_OK;
        if (text != NULL) {
            list_add(list, text);
        }
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

// Twice over the same rows in one transaction: first measured, then copied.
static int read_old(struct store *store, const char *source, char ***out_old)
{
    struct list measured = {0}, list = {0};
    int rc = walk(store, source, &measured);
    if (rc != SQLITE_OK) {
        return rc;
    }
    size_t table = (measured.count + 1) * sizeof(char *);
    list.items = calloc(1, table + measured.bytes);
    if (list.items == NULL) {
        return SQLITE_NOMEM;
    }
    list.end = (char *)list.items + table;
    rc = walk(store, source, &list);
    if (rc != SQLITE_OK) {
        free(list.items);
        return rc;
    }
    *out_old = list.items;
    return SQLITE_OK;
}

static int swap(struct store *store, const char *source, const char *const *filters,
                char ***out_old)
{
    int rc = run(store, retire_sql, source, NULL);
    for (; rc == SQLITE_OK && *filters != NULL; filters++) {
        rc = run(store, add_sql, source, *filters);
    }
    if (rc == SQLITE_OK) {
        rc = run(store, bound_sql, source, NULL);
    }
    return rc == SQLITE_OK ? read_old(store, source, out_old) : rc;
}

enum err store_filters_swap(struct store *store, const char *source, const char *const *filters,
                            char ***out_old, struct error *e)
{
    char **old = NULL;
    enum err rc = store_begin(store, true, e);
    if (rc != ERR_OK) {
        return rc;
    }
    int sqlite_rc = swap(store, source, filters, &old);
    rc = sqlite_rc == SQLITE_OK ? store_commit(store, e)
                                : store_fail(store, sqlite_rc, "note the topic filters", e);
    if (rc != ERR_OK) {
        store_rollback(store);
        free(old);
        return rc;
    }
    *out_old = old;
    return ERR_OK;
}
