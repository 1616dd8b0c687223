// rule_statement.h - one SELECT over one topic filter: compiled, and run over events.
// Threads:   core thread.
// Ownership: rule_statement_create creates; everything is copied but the connection's space.
// Failure:   ERR_CONFIG with e->offset into the SQL.
#ifndef PIPIT_CORE_RULE_STATEMENT_H
#define PIPIT_CORE_RULE_STATEMENT_H

#include "core/event_value.h"
#include "core/rule_space.h"
#include "core/rule_table_name.h"

#define RULE_FIELDS_MAX 256 // Payload fields that one statement may name.

struct memo;
struct rule_frame;

struct rule_statement {
    struct rule_space *space;
    const struct rule_frame *frame; // Borrowed; NULL: it is all a user's.
    struct table_name table_name;   // And the SQL with it in it.
    char *filter;                   // As the SQL spells it; NULL until it is known.
    char **fields;                  // Columns beyond EVENT_COLUMN_COUNT, by name.
    uint32_t field_count;
    bool is_shown;          // SQLite knows the table.
    sqlite3_stmt *compiled; // NULL while it rests.
    char *resting;          // Its SQL then, as SQLite sees it.
    sqlite3_vtab *table;    // The one connected last.
    uint64_t columns_used;  // Of the table, as SQLite says it; bit 63 is all from there on.
    bool remembers;         // It calls functions that remember.
    struct memo *memo;      // Where, and under which name; given by the rules.
    int64_t memo_rule;
    // One execution serves a whole batch: nothing in the statement outlives an event.
    bool is_plain;
};

enum err rule_statement_create(struct rule_statement **out_statement, struct rule_space *space,
                               const char *sql, struct error *e);
// Around expressions: see rule_values.h. The frame and its values outlive the statement; the values
// are shown.
enum err rule_statement_create_framed(struct rule_statement **out_statement,
                                      struct rule_space *space, const char *sql,
                                      const struct rule_frame *frame, struct error *e);
void rule_statement_destroy(struct rule_statement *statement); // NULL is fine.
// Forgets what was compiled until it runs: most of the memory of a statement that may never do, and
// SQLite goes through all there are whenever another is compiled.
enum err rule_statement_rest(struct rule_statement *statement, struct error *e);
// SQLite's code. Nothing to do when it does not rest.
int rule_statement_wake(struct rule_statement *statement);

// Does its table have the standard column under its name?
bool rule_statement_has_column(const struct rule_statement *statement, enum event_column column);

// rule_plan.c: reads the compiled program. Sets is_plain; ERR_CONFIG unless it reads its topic
// filter exactly once.
enum err rule_plan_check(struct rule_statement *statement, const char *sql, struct error *e);

// What becomes of the rows. Errors other than ERR_INVALID end the run.
struct rule_reader {
    void *context;
    // A row of the event; ERR_INVALID: the event fails, with e's text.
    enum err (*row)(void *context, uint32_t event_index, sqlite3_stmt *compiled, struct error *e);
    // All its rows have been seen.
    enum err (*finish)(void *context, uint32_t event_index, uint32_t rows, struct error *e);
    // The event failed; its rows so far count for nothing.
    enum err (*failure)(void *context, uint32_t event_index, const char *reason, struct error *e);
};

#define RULE_ROWS_MAX 1000 // Rows that a statement may give for one event.

// Runs over the count events (indexes into the batch). Between rule_space_begin and rule_space_end.
// is_batched false: one execution for each event, whatever the plan.
enum err rule_statement_run(struct rule_statement *statement, struct event_batch *batch,
                            const uint32_t *events, uint32_t count, bool is_batched,
                            const struct rule_reader *reader, struct error *e);

// Runs once over this event (batch NULL: none is at hand). A framed statement's values are read.
enum err rule_statement_run_framed(struct rule_statement *statement, struct event_batch *batch,
                                   uint32_t event_index, const struct rule_reader *reader,
                                   struct error *e);

// Runs once over these rows, about row_count of them: the budget of instructions is for each. The
// reader gets event_index for all of it. Between rule_space_begin and rule_space_end.
enum err rule_statement_run_rows(struct rule_statement *statement, const struct rule_rows *rows,
                                 uint32_t row_count, uint32_t event_index,
                                 const struct rule_reader *reader, struct error *e);

#endif
