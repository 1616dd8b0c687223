#include "sql_grammar.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 5 // Of what stands within another.

struct writer {
    const uint8_t *at, *end; // Choices.
    char *sql;               // SQL_GRAMMAR_BYTES_MAX.
    size_t len;
    int depth;
    bool has_cte;
};

static uint32_t choose(struct writer *writer, uint32_t count)
{
    return writer->at < writer->end ? *writer->at++ % count : 0;
}

static void put(struct writer *writer, const char *text)
{
    size_t len = strlen(text);
    if (writer->len + len < SQL_GRAMMAR_BYTES_MAX) {
        memcpy(writer->sql + writer->len, text, len + 1);
        writer->len += len;
    }
}

#define PICK(writer, list) list[choose(writer, sizeof(list) / sizeof(list[0]))]

static const char *const columns[] = {"n",       "t",     "j",   "payload", "device",
                                      "\"j.a\"", "topic", "e.n", "fields",  "gone"};
static const char *const odd_columns[] = {
    "*",     "e.*",  "i",   "l.top",           "value",   "key",
    "rowid", "atom", "sql", "idempotency_key", "e.rowid", "main.limits.top"};
static const char *const literals[] = {
    "0",       "1",      "-1",        "9223372036854775807", "1e308", "'a'",     "''",     "NULL",
    "x'00ff'", "'%'",    "'[1,2,3]'", "'{\"a\":1}'",         "'$.a'", "1000000", "200000", "'now'",
    "'%*d'",   "'%.*c'", "2.5"};
static const char *const operators[] = {
    " + ",  " * ",   " || ",   " = ",    " < ",  " AND ", " OR ",           " / ", " % ", " IS ",
    " -> ", " ->> ", " LIKE ", " GLOB ", " << ", " & ",   " IN (1, 2) AND "};
static const struct {
    const char *name;
    uint32_t least, most;
    bool is_window;
} functions[] = {{"printf", 1, 4, false},
                 {"replace", 3, 3, false},
                 {"hex", 1, 1, false},
                 {"group_concat", 1, 2, false},
                 {"json_group_array", 1, 1, false},
                 {"json_array", 0, 4, false},
                 {"json_object", 2, 2, false},
                 {"json_extract", 2, 3, false},
                 {"length", 1, 1, false},
                 {"substr", 2, 3, false},
                 {"upper", 1, 1, false},
                 {"abs", 1, 1, false},
                 {"max", 1, 3, false},
                 {"min", 1, 3, false},
                 {"sum", 1, 1, false},
                 {"count", 0, 1, false},
                 {"avg", 1, 1, false},
                 {"quote", 1, 1, false},
                 {"char", 1, 4, false},
                 {"trim", 1, 2, false},
                 {"instr", 2, 2, false},
                 {"coalesce", 2, 4, false},
                 {"json", 1, 1, false},
                 {"json_set", 3, 3, false},
                 {"json_array_length", 1, 2, false},
                 {"strftime", 2, 3, false},
                 {"round", 1, 2, false},
                 {"topic_part", 1, 1, false},
                 {"prop", 1, 1, false},
                 {"now_ms", 0, 0, false},
                 {"fields", 0, 0, false},
                 {"first", 1, 1, false},
                 {"last", 1, 1, false},
                 {"stddev", 1, 1, false},
                 {"percentile", 2, 2, false},
                 {"delta", 1, 1, false},
                 {"rate", 1, 1, false},
                 {"like", 2, 3, false},
                 {"glob", 2, 2, false},
                 {"unicode", 1, 1, false},
                 {"soundex", 1, 1, false},
                 {"lag", 1, 3, true},
                 {"ntile", 1, 1, true},
                 {"json_group_object", 2, 2, false},
                 {"json_quote", 1, 1, false},
                 {"datetime", 1, 2, false},
                 {"pow", 2, 2, false},
                 {"typeof", 1, 1, false},
                 {"iif", 3, 3, false},
                 {"row_number", 0, 0, true},
                 {"lower", 1, 1, false},
                 {"nullif", 2, 2, false}};
static const char *const fenced_functions[] = {"load_extension",
                                               "randomblob",
                                               "random",
                                               "readfile",
                                               "writefile",
                                               "zeroblob",
                                               "changes",
                                               "last_insert_rowid",
                                               "sqlite_version",
                                               "fts3_tokenizer",
                                               "edit",
                                               "pipit_rule_space",
                                               "sqlite_compileoption_get",
                                               "total_changes",
                                               "json_patch",
                                               "sqlite_log",
                                               "match"};
static const char *const tables[] = {"limits AS l",          "json_each(e.j)",
                                     "json_tree(e.payload)", "json_each(e.fields)",
                                     "limits AS m",          "json_each('[1,2,3]')"};
static const char *const odd_tables[] = {"c",
                                         "c AS d",
                                         "pipit_outbox",
                                         "pipit_meta",
                                         "sqlite_schema",
                                         "sqlite_master",
                                         "pragma_database_list",
                                         "pragma_table_info('pipit_meta')",
                                         "dbstat",
                                         "\"other/+\"",
                                         "\"m/+\"",
                                         "temp.sqlite_master",
                                         "main.pipit_meta",
                                         "sqlite_temp_schema",
                                         "sqlite_sequence",
                                         "bytecode('SELECT 1')",
                                         "generate_series(1, 1000000000)",
                                         "fsdir('/')"};
static const char *const other_statements[] = {
    "INSERT INTO limits VALUES ('x', 1)",
    "DELETE FROM pipit_outbox",
    "UPDATE limits SET top = 1",
    "DROP TABLE limits",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE TEMP TABLE mine(a)",
    "ATTACH 'mine.db' AS mine",
    "ATTACH ':memory:' AS mine",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA writable_schema = 1",
    "VACUUM INTO 'mine.db'",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "REINDEX",
    "ANALYZE",
    "DETACH main",
    "EXPLAIN SELECT * FROM \"m/+\"",
    "ALTER TABLE limits RENAME TO mine",
    "REPLACE INTO pipit_meta VALUES ('store_id', 'x')",
    "INSERT INTO limits SELECT n, 1 FROM \"m/+\" RETURNING *",
    "SELECT 1 INTO OUTFILE 'x'",
    "CREATE VIEW v AS SELECT * FROM pipit_meta",
    "CREATE TRIGGER t AFTER INSERT ON limits BEGIN SELECT 1; END"};

static void put_select(struct writer *writer);
static void put_expression(struct writer *writer);

static void put_call(struct writer *writer)
{
    static const char *const overs[] = {" OVER ()", " OVER (ORDER BY n)",
                                        " OVER (PARTITION BY t ORDER BY n ROWS 3 PRECEDING)"};
    uint32_t which = choose(writer, sizeof(functions) / sizeof(functions[0]));
    bool is_fenced = choose(writer, 64) == 63;
    put(writer, is_fenced ? PICK(writer, fenced_functions) : functions[which].name);
    put(writer, "(");
    uint32_t least = functions[which].least;
    uint32_t count = least + choose(writer, functions[which].most - least + 1);
    for (uint32_t i = 0; i < count; i++) {
        put(writer, i == 0 ? "" : ", ");
        put_expression(writer);
    }
    put(writer, ")");
    bool is_window = functions[which].is_window;
    if (is_window || choose(writer, 64) == 63) {
        put(writer, PICK(writer, overs));
    }
}

static void put_expression(struct writer *writer)
{
    uint32_t choice = writer->depth >= DEPTH_MAX ? choose(writer, 2) : choose(writer, 9);
    writer->depth++;
    switch (choice) {
    case 0:
        if (choose(writer, 32) == 31) {
            put(writer, PICK(writer, odd_columns));
        } else {
            put(writer, PICK(writer, columns));
        }
        break;
    case 1:
        put(writer, PICK(writer, literals));
        break;
    case 2:
    case 3:
        put(writer, "(");
        put_expression(writer);
        put(writer, PICK(writer, operators));
        put_expression(writer);
        put(writer, ")");
        break;
    case 4:
    case 5:
    case 6:
        put_call(writer);
        break;
    case 7:
        put(writer, choose(writer, 2) == 0 ? "(" : "EXISTS (");
        put_select(writer);
        put(writer, ")");
        break;
    default:
        put(writer, "CASE WHEN ");
        put_expression(writer);
        put(writer, " THEN ");
        put_expression(writer);
        put(writer, " END");
        break;
    }
    writer->depth--;
}

static void put_table(struct writer *writer, const char *name)
{
    if (name != NULL) {
        put(writer, name);
    } else if (writer->has_cte && choose(writer, 2) == 1) {
        put(writer, "c");
    } else if (choose(writer, 24) == 23) {
        put(writer, PICK(writer, odd_tables));
    } else {
        put(writer, PICK(writer, tables));
    }
}

static void put_tables(struct writer *writer, const char *first)
{
    put(writer, " FROM ");
    put_table(writer, first);
    for (uint32_t left = choose(writer, 8) / 5; left > 0; left--) {
        static const char *const joins[] = {", ", " JOIN ", " LEFT JOIN ", " NATURAL JOIN "};
        put(writer, PICK(writer, joins));
        if (choose(writer, 5) == 4) {
            put(writer, "(");
            put_select(writer);
            put(writer, ")");
        } else {
            put_table(writer, NULL);
        }
    }
}

static void put_clauses(struct writer *writer)
{
    static const char *const clauses[] = {" WHERE ", " GROUP BY ", " ORDER BY "};
    for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        if (choose(writer, 3) == 2) {
            put(writer, clauses[i]);
            put_expression(writer);
        }
    }
    put(writer, choose(writer, 8) == 7 ? " LIMIT 3" : "");
}

static void put_select(struct writer *writer)
{
    if (writer->depth >= DEPTH_MAX) {
        put(writer, "SELECT 1");
        return;
    }
    writer->depth++;
    put(writer, choose(writer, 4) == 3 ? "SELECT DISTINCT " : "SELECT ");
    uint32_t count = writer->depth == 1 ? 1 + choose(writer, 3) : 1;
    for (uint32_t i = 0; i < count; i++) {
        put(writer, i == 0 ? "" : ", ");
        put_expression(writer);
        if (writer->depth == 1) {
            char alias[16];
            snprintf(alias, sizeof(alias), " AS r%u", i);
            put(writer, alias);
        }
    }
    bool is_outermost = writer->depth == 1 && choose(writer, 32) != 31;
    put_tables(writer, is_outermost ? "\"m/+\" AS e" : NULL);
    put_clauses(writer);
    if (choose(writer, 24) == 23) {
        static const char *const compounds[] = {" UNION ", " UNION ALL ", " EXCEPT ",
                                                " INTERSECT "};
        put(writer, PICK(writer, compounds));
        put_select(writer);
    }
    writer->depth--;
}

void sql_grammar_write(const uint8_t *choices, size_t len, char out_sql[SQL_GRAMMAR_BYTES_MAX])
{
    static const char *const withs[] = {
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) ",
        "WITH RECURSIVE c(i) AS (SELECT 'x' UNION ALL SELECT i || i FROM c) ",
        "WITH c(i) AS (SELECT n FROM \"m/+\") ", "WITH c(i) AS (VALUES (1), (2), (NULL)) "};
    struct writer own = {.at = choices, .end = choices + len, .sql = out_sql};
    struct writer *writer = &own;
    out_sql[0] = '\0';
    if (choose(writer, 16) == 15) {
        put(writer, PICK(writer, other_statements));
    } else {
        writer->has_cte = choose(writer, 3) == 2;
        put(writer, writer->has_cte ? PICK(writer, withs) : "");
        put_select(writer);
    }
    if (choose(writer, 32) == 31) {
        put(writer, "; ");
        put(writer, PICK(writer, other_statements));
    }
}
