// rule_space.h - what all rule statements on one SQLite connection share: the events at hand, the
// fence, the names of topic filters.
// Threads:   core thread.
// Ownership: the connection owns the space: it ends when the connection is closed.
// Failure:   ERR_CONFIG where SQL is compiled; of the store's kind else.
#ifndef PIPIT_CORE_RULE_SPACE_H
#define PIPIT_CORE_RULE_SPACE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "core/event.h"
#include "core/rule_denial.h"
#include "store/store_memory.h"

struct rule_statement;

// Rows that are no events at hand: those of a window. Codes are SQLite's.
struct rule_rows {
    void *context;
    int (*rewind)(void *context); // To the first row.
    int (*next)(void *context);
    bool (*is_over)(const void *context);
    void (*column)(void *context, int column, sqlite3_context *sqlite); // Of the row at hand.
};

// What a running statement reads: events[position] of the batch is the event at hand.
struct rule_scan {
    const struct rule_rows *rows; // Not NULL: these instead, and no event is at hand.
    struct event_batch *batch;
    const uint32_t *events; // Indexes into the batch.
    uint32_t position, end;
};

struct rule_space {
    sqlite3 *db;
    uint64_t next_name; // Numbers the names of statements' tables.
    struct rule_scan scan;
    int64_t now_ms;
    const struct rule_statement *compiling; // NULL: the fence is open, the store is at work.
    const struct rule_statement *running;   // For functions that remember.
    uint32_t runs;                          // Calls of rule_space_begin.
    struct rule_feeds *feeds;               // Told what is read, while rules are compiled.
    bool may_remember;                      // What is compiled may call functions that remember.
    bool reads_latest; // An expression that was compiled does; set false by rules_open.
    bool reads_tables; // The same of any table.
    uint32_t steps, steps_max, steps_slice; // SQLite instructions used for the event at hand.
    bool is_counting;                       // They are a rule's.
    uint64_t memory_max;                    // Bytes, for SQLite; 0: no bound.
    struct store_memory_watch memory;       // Of the execution under way.
    struct rule_denials denials;            // Of the batch.
};

// The connection's space; made, with functions, fence and limits, by the first call.
enum err rule_space_get(sqlite3 *db, struct rule_space **out_space, struct error *e);

// From here to rule_space_end SQLite stops a statement that uses more instructions for an event, or
// more memory.
void rule_space_begin(struct rule_space *space, uint32_t steps_max, uint64_t memory_max,
                      int64_t now_ms);
void rule_space_end(struct rule_space *space);

// Names an event of the batch and the run; never 0.
uint64_t rule_space_serial(const struct rule_space *space, uint32_t event_index);
// The event at hand; NULL when there is none.
struct event *rule_space_event(const struct rule_space *space);

// SQLite finds the statement's table under its name, with the columns it has now. Costs a
// comparison when it does already.
enum err rule_table_show(struct rule_statement *statement, struct error *e);
// Takes the table out of SQLite's sight: nothing is kept for a rule that never runs.
void rule_table_hide(struct rule_statement *statement);

// rule_fence.c: what statements may touch.
enum err rule_fence_install(struct rule_space *space, struct error *e);
// functions.c: topic_part, prop, fields, now_ms.
enum err functions_register(struct rule_space *space, struct error *e);
// rule_table.c: the virtual table that a topic filter is.
extern const sqlite3_module rule_table_module;

#endif
