// rule_fence.c - what the SQL of rules may touch: it reads events and reference tables, and calls
// functions that give the same for the same; everything else is refused when it is compiled.
#include <string.h>
#include <strings.h>

#include "core/function_list.h"
#include "core/rule_feed.h"
#include "core/rule_statement.h"
#include "core/rule_values.h"

#define LENGTH_BYTES_MAX 16777216 // A text, blob or row on this connection.

// Tables that are nobody's data.
static const char *const denied_tables[] = {"dbstat", "fts3tokenize", "bytecode", "tables_used",
                                            "completion"};
static const char *const denied_prefixes[] = {"pipit_", "sqlite_", "pragma_"};

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(list[i], name) == 0) {
            return true;
        }
    }
    return false;
}

#define LISTED(name, list) is_listed(name, list, sizeof(list) / sizeof(list[0]))

static bool is_own(const struct rule_statement *compiling, const char *table)
{
    const struct rule_frame *frame = compiling->frame;
    for (uint32_t i = 0; frame != NULL && i < frame->value_count; i++) {
        if (strcasecmp(frame->values[i].table, table) == 0) {
            return true;
        }
    }
    const char *own = compiling->table_name.name;
    return own != NULL && strcasecmp(own, table) == 0;
}

static bool may_read(const struct rule_statement *compiling, const char *table, const char *schema)
{
    if (table_name_is_in(table)) { // Tables of rules: its own, and no other's.
        return is_own(compiling, table);
    }
    for (size_t i = 0; i < sizeof(denied_prefixes) / sizeof(denied_prefixes[0]); i++) {
        if (strncasecmp(table, denied_prefixes[i], strlen(denied_prefixes[i])) == 0) {
            return false;
        }
    }
    bool is_main = schema == NULL || strcasecmp(schema, "main") == 0;
    rule_feeds_mark(compiling->space->feeds, table);
    if (compiling->frame != NULL) {
        compiling->space->reads_latest |= strcasecmp(table, LATEST_TABLE) == 0;
        compiling->space->reads_tables |= strncasecmp(table, "json_", 5) != 0;
    }
    return is_main && !LISTED(table, denied_tables);
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *schema, const char *view)
{
    (void)view;
    const struct rule_space *space = context;
    if (space->compiling == NULL) {
        return SQLITE_OK;
    }
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: // Bounded by the instruction budget.
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return function_is_known(second) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_READ:
        return may_read(space->compiling, first, schema) ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static const struct {
    int limit, value;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, LENGTH_BYTES_MAX},
    {SQLITE_LIMIT_EXPR_DEPTH, 200},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_VDBE_OP, 100000},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256}, // Matching costs pattern times text.
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

// SQLite declares these when they are first used; behind the fence that would be refused.
static const char declare_json[] = "SELECT 1 FROM json_each('[]'), json_tree('[]')";

enum err rule_fence_install(struct rule_space *space, struct error *e)
{
    // "a.b" in double quotes is a column, never a text.
    int rc = sqlite3_db_config(space->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(space->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_exec(space->db, declare_json, NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_set_authorizer(space->db, authorize, space);
    }
    if (rc != SQLITE_OK) {
        return error_set(e, ERR_INTERNAL, "fence the rules: %s", sqlite3_errmsg(space->db));
    }
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        sqlite3_limit(space->db, limits[i].limit, limits[i].value);
    }
    return ERR_OK;
}
