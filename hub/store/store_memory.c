#include "store/store_memory.h"

#include <stddef.h>

#define LENGTH_WHEN_OVER 1000 // Bytes of a text that a statement beyond its bound can still make.

static sqlite3_mem_methods base;
static _Thread_local struct store_memory_watch *watching;
static _Thread_local int length_before; // SQLITE_LIMIT_LENGTH as it was before.

// SQLite looks at the flag at each jump backwards and at the end.
static void stop(struct store_memory_watch *watch)
{
    watch->is_over = true;
    sqlite3_interrupt(watch->db);
    sqlite3_limit(watch->db, SQLITE_LIMIT_LENGTH, LENGTH_WHEN_OVER);
}

static bool may_take(int64_t more)
{
    struct store_memory_watch *watch = watching;
    if (watch == NULL || watch->limit_bytes == 0 || more <= 0) {
        return true;
    }
    watch->is_refused =
        watch->is_refused || watch->used_bytes + more > STORE_MEMORY_MULTIPLE * watch->limit_bytes;
    return !watch->is_refused;
}

static void count(int64_t more)
{
    struct store_memory_watch *watch = watching;
    if (watch == NULL) {
        return;
    }
    watch->used_bytes += more;
    watch->peak_bytes =
        watch->used_bytes > watch->peak_bytes ? watch->used_bytes : watch->peak_bytes;
    if (watch->limit_bytes > 0 && watch->used_bytes > watch->limit_bytes && !watch->is_over) {
        stop(watch);
    }
}

static void *watched_malloc(int size)
{
    void *piece = may_take(size) ? base.xMalloc(size) : NULL;
    if (piece != NULL && watching != NULL) {
        count(base.xSize(piece));
    }
    return piece;
}

static void watched_free(void *piece)
{
    if (piece != NULL && watching != NULL) {
        count(-(int64_t)base.xSize(piece));
    }
    base.xFree(piece);
}

static void *watched_realloc(void *piece, int size)
{
    int64_t before = watching == NULL ? 0 : base.xSize(piece);
    void *grown = may_take(size - before) ? base.xRealloc(piece, size) : NULL;
    if (grown != NULL && watching != NULL) {
        count(base.xSize(grown) - before);
    }
    return grown;
}

// SQLite takes its allocator once, before its first use, by whomever that is.
__attribute__((constructor)) static void install(void)
{
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &base) != SQLITE_OK) {
        return;
    }
    sqlite3_mem_methods watched = base;
    watched.xMalloc = watched_malloc;
    watched.xFree = watched_free;
    watched.xRealloc = watched_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &watched);
}

void store_memory_begin(struct store_memory_watch *watch, sqlite3 *db, int64_t limit_bytes)
{
    *watch = (struct store_memory_watch){.db = db, .limit_bytes = limit_bytes};
    watching = watch;
    length_before = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1);
    int64_t length = limit_bytes / 4;
    if (limit_bytes > 0 && length < length_before) {
        sqlite3_limit(db, SQLITE_LIMIT_LENGTH, (int)length);
    }
}

void store_memory_end(struct store_memory_watch *watch)
{
    watching = NULL;
    sqlite3_limit(watch->db, SQLITE_LIMIT_LENGTH, length_before);
}
