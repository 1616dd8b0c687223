#include "core/sql.h"

enum err sql_prepare(struct store *store, const struct sql_text *texts, size_t count,
                     struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        int rc = sqlite3_prepare_v3(store_db(store), texts[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                    texts[i].out, NULL);
        if (rc != SQLITE_OK) {
            return store_fail(store, rc, texts[i].sql, e);
        }
    }
    return ERR_OK;
}

void sql_finalize(const struct sql_text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_finalize(*texts[i].out);
        *texts[i].out = NULL;
    }
}

enum err sql_run(struct store *store, sqlite3_stmt *statement, const char *what, struct error *e)
{
    int rc = sqlite3_step(statement);
    enum err result = rc == SQLITE_DONE ? ERR_OK : store_fail(store, rc, what, e);
    sqlite3_reset(statement);
    return result;
}

enum err sql_next(struct store *store, sqlite3_stmt *statement, const char *what, bool *out_has_row,
                  struct error *e)
{
    int rc = sqlite3_step(statement);
    *out_has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return ERR_OK;
    }
    enum err result = rc == SQLITE_DONE ? ERR_OK : store_fail(store, rc, what, e);
    sqlite3_reset(statement);
    return result;
}

void sql_bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

void sql_bind_text(sqlite3_stmt *statement, int index, struct bytes text)
{
    sqlite3_bind_text64(statement, index, text.len == 0 ? "" : (const char *)text.ptr, text.len,
                        SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_blob(sqlite3_stmt *statement, int index, struct bytes blob)
{
    sqlite3_bind_blob64(statement, index, blob.len == 0 ? "" : (const void *)blob.ptr, blob.len,
                        SQLITE_STATIC);
}

uint64_t sql_u64(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

struct bytes sql_bytes(sqlite3_stmt *statement, int column)
{
    const void *ptr = sqlite3_column_blob(statement, column);
    return bytes_of(ptr, (size_t)sqlite3_column_bytes(statement, column));
}
