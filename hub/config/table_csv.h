// table_csv.h - a reference table from CSV [RFC 4180]: the first line names the columns.
//
// Threads:   any.
//
// Ownership: table_csv_parse creates; the data lives until table_csv_destroy.
//
// Failure:   ERR_CONFIG with the line: "14: 3 columns, the first line has 4".
#ifndef PIPIT_CONFIG_TABLE_CSV_H
#define PIPIT_CONFIG_TABLE_CSV_H

#include "core/core.h"

struct table_csv;

struct table_csv_options {
    char delimiter;
    const char *key;  // Column that must be there once in each row; NULL: none.
    const char *text; // Columns that stay text, separated by commas; NULL: none.
    uint32_t rows_max;
};

// A column in which every value is a number, written as programs write numbers (no 007, no +1), is
// one of numbers; an empty field that is not in quotes is NULL.
enum err table_csv_parse(struct table_csv **out_csv, struct bytes file,
                         const struct table_csv_options *options, struct error *e);
void table_csv_destroy(struct table_csv *csv); // NULL is fine.

// Without name and fingerprint.
const struct table_data *table_csv_data(const struct table_csv *csv);

#endif
