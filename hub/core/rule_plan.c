// rule_plan.c - reads the program that SQLite made of a statement, as EXPLAIN shows it: which one
// is a plain scan, so that one execution over a batch gives what one execution for each event
// would.
#include <string.h>

#include "core/rule_statement.h"

enum { COLUMN_OPCODE = 1, COLUMN_P1 = 2, COLUMN_P3 = 4, COLUMN_P4 = 5 };

// Instructions that carry nothing from one event to the next. What is not here (aggregates,
// sorters, ephemeral tables, counters of LIMIT, Once, coroutines) is run for each event by itself.
static const char *const stateless[] = {
    "Add",       "AddImm",       "Affinity",   "And",         "BitAnd",       "BitNot",
    "BitOr",     "Blob",         "Cast",       "Close",       "CollSeq",      "Column",
    "Compare",   "Concat",       "Copy",       "CursorHint",  "DeferredSeek", "Divide",
    "ElseEq",    "Eq",           "Explain",    "FinishSeek",  "Found",        "Function",
    "Ge",        "Goto",         "Gt",         "Halt",        "IdxGE",        "IdxGT",
    "IdxLE",     "IdxLT",        "IdxRowid",   "If",          "IfNoHope",     "IfNot",
    "IfNullRow", "Init",         "Int64",      "IntCopy",     "Integer",      "IsNull",
    "IsTrue",    "IsType",       "Jump",       "Last",        "Le",           "Lt",
    "Move",      "Multiply",     "MustBeInt",  "Ne",          "Next",         "NoConflict",
    "Noop",      "Not",          "NotExists",  "NotFound",    "NotNull",      "Null",
    "NullRow",   "OpenRead",     "Or",         "Permutation", "Prev",         "PureFunc",
    "Real",      "RealAffinity", "ReleaseReg", "Remainder",   "ReopenIdx",    "ResultRow",
    "Rewind",    "Rowid",        "SCopy",      "SeekGE",      "SeekGT",       "SeekHit",
    "SeekLE",    "SeekLT",       "SeekRowid",  "SeekScan",    "ShiftLeft",    "ShiftRight",
    "String",    "String8",      "Subtract",   "TableLock",   "Transaction",  "VColumn",
    "VFilter",   "VNext",        "VOpen",      "ZeroOrNull"};

// Instructions that begin a loop or give a row: all of them must stand inside the scan of our
// table.
static const char *const scanning[] = {"Last",   "Rewind",    "SeekGE",  "SeekGT",   "SeekLE",
                                       "SeekLT", "SeekRowid", "VFilter", "ResultRow"};

static bool is_one_of(const char *opcode, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], opcode) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(opcode, list) is_one_of(opcode, list, sizeof(list) / sizeof(list[0]))

struct plan {
    char table[40];          // As EXPLAIN prints our table.
    uint32_t opens;          // How often it is opened.
    int cursor;              // Its cursor.
    bool has_begun, is_over; // The scan of our table, in the order of the program.
    bool is_plain;
};

static void read_instruction(struct plan *plan, sqlite3_stmt *program)
{
    const char *opcode = (const char *)sqlite3_column_text(program, COLUMN_OPCODE);
    const char *p4 = (const char *)sqlite3_column_text(program, COLUMN_P4);
    if (opcode == NULL) { // Out of memory: take the way that is always right.
        plan->is_plain = false;
        return;
    }
    int p1 = sqlite3_column_int(program, COLUMN_P1);
    if (strcmp(opcode, "VOpen") == 0 && p4 != NULL && strcmp(p4, plan->table) == 0) {
        plan->opens++;
        plan->cursor = p1;
    }
    // Without P3 it looks at a flag of a LEFT JOIN, with it it counts rows for OFFSET.
    bool is_flag = strcmp(opcode, "IfPos") == 0 && sqlite3_column_int(program, COLUMN_P3) == 0;
    if (!is_flag && !IS_ONE_OF(opcode, stateless)) {
        plan->is_plain = false;
    }
    bool is_ours = p1 == plan->cursor;
    if (is_ours && strcmp(opcode, "VFilter") == 0) {
        plan->has_begun = true;
    } else if (IS_ONE_OF(opcode, scanning) && (!plan->has_begun || plan->is_over)) {
        plan->is_plain = false;
    }
    if (is_ours && strcmp(opcode, "VNext") == 0) {
        plan->is_over = true;
    }
}

static enum err explain(struct rule_statement *statement, const char *sql, struct plan *plan,
                        struct error *e)
{
    sqlite3 *db = statement->space->db;
    sqlite3_stmt *program = NULL;
    char *text = sqlite3_mprintf("EXPLAIN %s", sql);
    int rc = text == NULL ? SQLITE_NOMEM : sqlite3_prepare_v2(db, text, -1, &program, NULL);
    sqlite3_free(text);
    if (rc == SQLITE_OK) {
        sqlite3_snprintf(sizeof(plan->table), plan->table, "vtab:%p", (void *)statement->table);
        while ((rc = sqlite3_step(program)) == SQLITE_ROW) {
            read_instruction(plan, program);
        }
    }
    sqlite3_finalize(program);
    if (rc == SQLITE_NOMEM) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule");
    }
    return rc == SQLITE_DONE
               ? ERR_OK
               : error_set(e, ERR_INTERNAL, "explain the statement: %s", sqlite3_errmsg(db));
}

enum err rule_plan_check(struct rule_statement *statement, const char *sql, struct error *e)
{
    struct plan plan = {.cursor = -1, .is_plain = true};
    enum err rc = explain(statement, sql, &plan, e);
    if (rc != ERR_OK) {
        return rc;
    }
    if (plan.opens > 1) {
        return error_set(e, ERR_CONFIG,
                         "the statement reads the topic filter \"%s\" more than once; a rule sees "
                         "one event at a time, so name it once",
                         statement->filter);
    }
    if (plan.opens == 0) {
        return error_set(e, ERR_CONFIG,
                         "the result does not depend on the topic filter \"%s\", so that SQLite "
                         "leaves it out; put it first in FROM",
                         statement->filter);
    }
    statement->is_plain = plan.is_plain && plan.is_over;
    return ERR_OK;
}
