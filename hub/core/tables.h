// tables.h - the reference tables of a configuration, kept in the store under their own names;
// pipit_table says which ones are ours.
// Threads:   core thread.
// Ownership: nothing is kept but rows.
// Failure:   ERR_CONFIG: the name is taken, a key is NULL or there twice; then the transaction has
// to be rolled back. The rest as store_fail says.
#ifndef PIPIT_CORE_TABLES_H
#define PIPIT_CORE_TABLES_H

#include "core/core.h"
#include "store/store.h"

#define TABLES_MAX        256
#define TABLE_COLUMNS_MAX 200

// What is wrong with the name of a table, NULL: nothing. `latest` is built in.
const char *table_name_problem(const char *name);

// In a transaction. Drops tables of ours that the spec does not name, makes those that come from
// files and have data, and leaves those without data as they are. Those fed by events are made by
// rules_open.
enum err tables_apply(struct store *store, const struct core_spec *spec, struct error *e);

// In a transaction. Replaces the rows; with other columns than before the table is made anew.
enum err tables_load(struct store *store, const struct table_spec *spec,
                     const struct table_data *data, struct error *e);

// How the data relates to what is in the store.
enum table_change { TABLE_SAME, TABLE_ROWS, TABLE_COLUMNS };
enum err tables_compare(struct store *store, const struct table_spec *spec,
                        const struct table_data *data, enum table_change *out_change,
                        struct error *e);

// `latest` would be stale when it is read again.
enum err tables_drop_latest(struct store *store, struct error *e);

// Rows of tables that come from files.
void tables_tell(struct store *store, core_counter_fn *each, void *context);

#endif
