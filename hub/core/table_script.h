// table_script.h - a reference table made by a script of SQL, in a database of its own that is
// thrown away: CREATE TABLE and INSERT, and nothing that reaches outside.
// Threads:   any, one at a time.
// Ownership: table_script_run creates; the data lives until table_script_destroy.
// Failure:   ERR_CONFIG with e->offset into the script, or the bound that was passed.
#ifndef PIPIT_CORE_TABLE_SCRIPT_H
#define PIPIT_CORE_TABLE_SCRIPT_H

#include "core/core.h"

#define TABLE_SCRIPT_STEPS_MAX 50000000 // SQLite instructions of one script.

struct table_script;

struct table_script_options {
    const char *name;    // The table to take from it.
    const char *sql;     // The script.
    uint64_t size_bytes; // Most memory for what it makes.
    uint32_t rows_max;
};

enum err table_script_run(struct table_script **out_script,
                          const struct table_script_options *options, struct error *e);
void table_script_destroy(struct table_script *script); // NULL is fine.

// Without a fingerprint.
const struct table_data *table_script_data(const struct table_script *script);

#endif
