// feed_table.h - one table that is fed by events: rows are replaced by key, the oldest make room.
// Threads:   core thread.
// Ownership: feed_table_open creates, feed_table_close destroys; rows stay in the store.
// Failure:   ERR_INVALID: the row's own fault. Else the store's codes; the transaction has to be
// rolled back.
#ifndef PIPIT_CORE_FEED_TABLE_H
#define PIPIT_CORE_FEED_TABLE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/event.h"
#include "core/spec.h"

struct feed_table;
struct event_value;

// Columns are those of the compiled SELECT and `renewed`, the hub's time of the row.
enum err feed_table_open(struct feed_table **out_table, sqlite3 *db, const struct table_spec *spec,
                         sqlite3_stmt *compiled, struct error *e);
void feed_table_close(struct feed_table *table); // NULL is fine.

// Has each of the rows a key?
enum err feed_table_check(const struct feed_table *table, const struct event_value *values,
                          uint32_t rows, struct error *e);
enum err feed_table_put(struct feed_table *table, const struct event_value *values, int64_t now_ms,
                        struct error *e);
enum err feed_table_expire(struct feed_table *table, int64_t now_ms, struct error *e);
// The store may have gone back: rows are counted anew.
void feed_table_forget_count(struct feed_table *table); // NULL is fine.

enum err feed_table_make_latest(sqlite3 *db, struct error *e);
enum err feed_table_open_latest(struct feed_table **out_table, sqlite3 *db, struct error *e);
enum err feed_table_put_latest(struct feed_table *table, struct event *event, struct error *e);

enum err feed_table_error(sqlite3 *db, int sqlite_rc, struct error *e);

#endif
