#include "core/books.h"

#include <assert.h>
#include <stdlib.h>

#include "core/sql.h"

#define COLUMNS(X)                                                                                 \
    X(books.received)                                                                              \
    X(books.routed)                                                                                \
    X(books.filtered)                                                                              \
    X(books.duplicate)                                                                             \
    X(books.rejected)                                                                              \
    X(books.enqueued)                                                                              \
    X(books.delivered)                                                                             \
    X(books.waiting)                                                                               \
    X(books.dead)                                                                                  \
    X(books.dropped)                                                                               \
    X(books.missing)                                                                               \
    X(books.rule_failures)                                                                         \
    X(books.quarantined)                                                                           \
    X(books.dead_dropped)                                                                          \
    X(books.derived)                                                                               \
    X(books.late)                                                                                  \
    X(books.replayed)                                                                              \
    X(books.answered)                                                                              \
    X(next_event)                                                                                  \
    X(quarantine_bytes)                                                                            \
    X(history_rows)                                                                                \
    X(history_bytes)

#define NAMES                                                                                      \
    "received, routed, filtered, duplicate, rejected, enqueued, delivered, waiting, dead, "        \
    "dropped, missing, rule_failures, quarantined, dead_dropped, derived, late, replayed, "        \
    "answered, next_event, quarantine_bytes, history_rows, history_bytes"

struct ledger_file {
    struct store *store;
    sqlite3_stmt *read, *write;
};

static void check(const struct books *books)
{
    assert(books->received == books->routed + books->filtered + books->duplicate + books->rejected);
    assert(books->enqueued == books->delivered + books->waiting + books->dead + books->dropped);
}

static enum err read_row(struct ledger_file *file, struct ledger *out_ledger, struct error *e)
{
    bool has_row;
    enum err rc = sql_next(file->store, file->read, "read the books", &has_row, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!has_row) {
        return error_set(e, ERR_CORRUPT, "the store has no books: its row in pipit_books is gone");
    }
    int column = 0;
#define READ(member) out_ledger->member = sql_u64(file->read, column++);
    COLUMNS(READ)
#undef READ
    sqlite3_reset(file->read);
    check(&out_ledger->books);
    return ERR_OK;
}

enum err ledger_open(struct ledger_file **out_file, struct store *store, struct ledger *out_ledger,
                     struct error *e)
{
    struct ledger_file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the books");
    }
    file->store = store;
    const struct sql_text texts[] = {
        {"SELECT " NAMES " FROM pipit_books WHERE id = 1", &file->read},
        {"UPDATE pipit_books SET (" NAMES ") = (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
         "?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22) WHERE id = 1",
         &file->write},
    };
    enum err rc = sql_prepare(store, texts, 2, e);
    if (rc == ERR_OK) {
        rc = read_row(file, out_ledger, e);
    }
    if (rc != ERR_OK) {
        ledger_close(file);
        return rc;
    }
    *out_file = file;
    return ERR_OK;
}

void ledger_close(struct ledger_file *file)
{
    if (file != NULL) {
        sqlite3_finalize(file->read);
        sqlite3_finalize(file->write);
        free(file);
    }
}

enum err ledger_write(struct ledger_file *file, const struct ledger *ledger, struct error *e)
{
    check(&ledger->books);
    int index = 0;
#define WRITE(member) sql_bind_u64(file->write, ++index, ledger->member);
    COLUMNS(WRITE)
#undef WRITE
    return sql_run(file->store, file->write, "write the books", e);
}
