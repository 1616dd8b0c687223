// table_file.h - the rows of a reference table, read from its CSV or SQL file.
//
// Threads:   any, one at a time.
//
// Ownership: table_rows_read creates; the data lives until table_rows_destroy.
//
// Failure:   ERR_CONFIG or ERR_NOT_FOUND with file:line: what is wrong.
#ifndef PIPIT_CONFIG_TABLE_FILE_H
#define PIPIT_CONFIG_TABLE_FILE_H

#include "config/config.h"

struct table_data;
struct table_rows;

enum err table_rows_read(struct table_rows **out_rows, const struct config_table *table,
                         struct error *e);
void table_rows_destroy(struct table_rows *rows); // NULL is fine.
const struct table_data *table_rows_data(const struct table_rows *rows);

#endif
