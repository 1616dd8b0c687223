// SQL as a rule: the bytes choose words of a grammar that knows what is dangerous, or, behind a
// '!', are the SQL themselves. Whatever it is, nothing is written, no file appears, nothing of the
// store's own tables comes out, memory and time have their bounds, and a batch gives what its
// events give one by one.
#define _GNU_SOURCE // memmem.
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/rules.h"
#include "fuzz.h"
#include "store/store.h"
#include "store/store_memory.h"

#define MEMORY_MAX (1 << 20)
// The bound and what one instruction may take beyond it, and what the store and the statement hold.
#define PEAK_MAX    (STORE_MEMORY_MULTIPLE * MEMORY_MAX + (4 << 20))
#define STEPS_MAX   20000
#define SECONDS     20 // Of CPU for one input, with sanitizers on a busy machine.
#define EVENTS      3
#define SQL_MAX     4000
#define DEPTH_MAX   5
#define SEEDS_TOTAL 60
#define SECRET      "N0b0dyMayReadThis"

const uint32_t fuzz_count = 4000;

static char folder[] = "/tmp/pipit-fuzz-XXXXXX";
static struct store *store;
static struct event_batch *batch;

// ---- the grammar --------------------------------------------------------------------------------

struct writer {
    const uint8_t *at, *end; // Choices.
    char sql[SQL_MAX];
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
    if (writer->len + len < sizeof(writer->sql)) {
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

static void put_statement(struct writer *writer)
{
    static const char *const withs[] = {
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) ",
        "WITH RECURSIVE c(i) AS (SELECT 'x' UNION ALL SELECT i || i FROM c) ",
        "WITH c(i) AS (SELECT n FROM \"m/+\") ", "WITH c(i) AS (VALUES (1), (2), (NULL)) "};
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

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const char *const texts[] = {
        "!SELECT n, t FROM \"m/+\" WHERE n > 0",
        "!SELECT * FROM \"m/+\" JOIN limits AS l ON l.device = t",
        "!WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c) SELECT n, (SELECT max(i) "
        "FROM c) FROM \"m/+\"",
        "!SELECT replace(printf('%*d', 200000, n), ' ', printf('%*d', 200000, n)) FROM \"m/+\"",
        "!SELECT json_group_array(value) FROM \"m/+\", json_each(j)",
        "!SELECT (SELECT group_concat(payload) FROM pipit_outbox) FROM \"m/+\"",
        "!SELECT n, sum(n) OVER (ORDER BY n) FROM \"m/+\" ORDER BY 1 LIMIT 5",
        "!SELECT CASE WHEN n > 2 THEN \"j.a\" ELSE fields END, typeof(t) AS y FROM \"m/+\" AS e "
        "GROUP BY t HAVING count(*) > 0",
        "!SELECT trim(t || t, 'ab'), t LIKE '%a_' ESCAPE 'x', CAST(n AS TEXT) COLLATE NOCASE FROM "
        "\"m/+\"",
    };
    size_t text_count = sizeof(texts) / sizeof(texts[0]);
    if (index < text_count) {
        size_t len = strlen(texts[index]);
        memcpy(out, texts[index], len);
        return len;
    }
    if (index >= SEEDS_TOTAL) {
        return 0;
    }
    uint32_t state = index * 2654435761u; // Choices by chance, which the mutations change.
    size_t len = size < 200 ? size : 200;
    for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        out[i] = (uint8_t)(state >> 24);
    }
    out[0] = out[0] == '!' ? 0 : out[0];
    return len;
}

// ---- what must hold -----------------------------------------------------------------------------

static struct {
    uint32_t tried, compiled, outputs, failures;
} counts;

static void finish(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    printf("%u statements, %u are rules, they gave %u outputs and %u failures\n", counts.tried,
           counts.compiled, counts.outputs, counts.failures);
    event_batch_destroy(batch);
    store_close(store);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char path[80];
        snprintf(path, sizeof(path), "%s/hub.db%s", folder, ends[i]);
        unlink(path);
    }
    assert(rmdir(folder) == 0); // Nothing else is in it.
}

static void start(void)
{
    static const char *const payloads[EVENTS] = {"{\"n\":1,\"t\":\"aab\",\"j\":{\"a\":[1,2,3]}}",
                                                 "{\"n\":-2.5,\"t\":\"\",\"j\":[0,{\"a\":null}]}",
                                                 "{\"n\":\"x\",\"t\":7}"};
    static struct message messages[EVENTS];
    static char path[64];
    assert(mkdtemp(folder) != NULL && chdir(folder) == 0);
    atexit(finish);
    snprintf(path, sizeof(path), "%s/hub.db", folder);
    struct store_options options = {.path = path, .is_sync_off = true};
    struct error e = {0};
    enum err rc = store_open(&store, &options, &e);
    assert(rc == ERR_OK);
    rc = event_batch_create(&batch, EVENTS, &e);
    assert(rc == ERR_OK);
    int sqlite_rc = sqlite3_exec(store_db(store),
                                 "CREATE TABLE limits(device TEXT PRIMARY KEY, top REAL);"
                                 "INSERT INTO limits VALUES ('aab', 1), ('b', 2), ('c', NULL);"
                                 "INSERT INTO pipit_meta VALUES ('secret', '" SECRET "');"
                                 "INSERT INTO pipit_outbox(id, route, idempotency_key, key, topic, "
                                 "payload, content_type, qos, retain, attempts, next_at, "
                                 "created_at) VALUES (1, 1, '" SECRET "', x'', '" SECRET
                                 "', '" SECRET "', '', 0, 0, 0, 0, 0)",
                                 NULL, NULL, NULL);
    assert(sqlite_rc == SQLITE_OK);
    for (int i = 0; i < EVENTS; i++) {
        struct event *event;
        messages[i] = (struct message){.topic = bytes_from_text("m/x"),
                                       .payload = bytes_from_text(payloads[i]),
                                       .received_ms = 1700000000000};
        rc = event_batch_add(batch, &messages[i], &event, &e);
        assert(rc == ERR_OK);
    }
}

struct seen {
    uint64_t hash;
    uint32_t outputs, failures;
};

static uint64_t mix(uint64_t hash, const void *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ ((const uint8_t *)ptr)[i]) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static enum err on_output(void *context, const struct rule_output *output, struct error *e)
{
    (void)e;
    struct seen *seen = context;
    seen->outputs++;
    seen->hash = mix(seen->hash, output->payload.ptr, output->payload.len);
    assert(output->payload.len < sizeof(SECRET) - 1 ||
           memmem(output->payload.ptr, output->payload.len, SECRET, sizeof(SECRET) - 1) == NULL);
    return ERR_OK;
}

static enum err on_failure(void *context, uint32_t event_index, uint32_t rule_index,
                           const char *reason, struct error *e)
{
    (void)event_index;
    (void)rule_index;
    (void)e;
    assert(reason[0] != '\0');
    ((struct seen *)context)->failures++;
    return ERR_OK;
}

static struct seen run_rules(struct rules *rules, bool is_batched)
{
    const struct rule_sink sink = {NULL, on_output, on_failure, NULL};
    struct seen seen;
    struct error e = {0};
    enum err rc;
    rules_set_batched(rules, is_batched);
    rules_begin_batch(rules);
    uint32_t tries = 0;
    do {
        struct rule_sink own = sink;
        own.context = &seen;
        seen = (struct seen){.hash = UINT64_C(0xCBF29CE484222325)};
        rc = store_begin(store, false, &e);
        assert(rc == ERR_OK);
        rc = rules_run(rules, batch, NULL, 1700000001000, &own, &e);
        store_rollback(store);
        assert(++tries <= EVENTS + 1);
    } while (rc == ERR_NO_MEMORY && rules_may_retry(rules));
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
    }
    assert(rc == ERR_OK);
    return seen;
}

static int count_files(void)
{
    int count = 0;
    DIR *directory = opendir(folder);
    assert(directory != NULL);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static int64_t ask(const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(store_db(store), sql, -1, &statement, NULL);
    assert(rc == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

// What a statement that writes would have changed.
struct world {
    int files;
    int64_t changes, schema, temporary, databases;
};

static struct world look(void)
{
    return (struct world){count_files(), sqlite3_total_changes64(store_db(store)),
                          ask("PRAGMA schema_version"),
                          ask("SELECT count(*) FROM temp.sqlite_schema"),
                          ask("SELECT count(*) FROM pragma_database_list")};
}

static void check_same(const struct world *before)
{
    struct world now = look();
    assert(now.files == before->files);
    assert(now.changes == before->changes);
    assert(now.schema == before->schema);
    assert(now.temporary == before->temporary);
    assert(now.databases == before->databases);
    assert(sqlite3_get_autocommit(store_db(store)) != 0);
}

// FUZZ_SQL=1 in the environment prints each statement and why it is no rule.
static void show(const char *what, const char *text)
{
    static int is_shown = -1;
    is_shown = is_shown < 0 ? getenv("FUZZ_SQL") != NULL : is_shown;
    if (is_shown) {
        fprintf(stderr, "%s%s\n", what, text);
    }
}

static void try_sql(const char *sql)
{
    const struct route_spec route = {.topic = "out"};
    const struct rule_spec rule = {
        .name = "r", .sql = sql, .key = "topic", .routes = &route, .route_count = 1};
    const struct core_spec spec = {.hub_id = "h",
                                   .rules = &rule,
                                   .rule_count = 1,
                                   .rule_steps_max = STEPS_MAX,
                                   .rule_memory_max = MEMORY_MAX};
    struct rules *rules = NULL;
    struct error e = {0};
    enum err rc = rules_open(&rules, store_db(store), &spec, &e);
    if (rc != ERR_OK && rc != ERR_CONFIG) {
        fprintf(stderr, "%s: %s\n", sql, e.text);
        abort();
    }
    counts.tried++;
    if (rc == ERR_OK) {
        struct seen batched = run_rules(rules, true), single = run_rules(rules, false);
        counts.compiled++;
        counts.outputs += batched.outputs;
        counts.failures += batched.failures;
        assert(batched.hash == single.hash && batched.outputs == single.outputs &&
               batched.failures == single.failures);
    }
    show("  ", rc == ERR_OK ? "is a rule" : e.text);
    rules_close(rules);
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static struct writer writer;
    if (store == NULL) {
        start();
    }
    writer = (struct writer){.at = ptr, .end = ptr + len};
    if (len > 0 && ptr[0] == '!') {
        size_t count = len - 1 < sizeof(writer.sql) - 1 ? len - 1 : sizeof(writer.sql) - 1;
        memcpy(writer.sql, ptr + 1, count);
        writer.sql[count] = '\0';
    } else {
        put_statement(&writer);
    }
    show("", writer.sql);
    struct world before = look();
    clock_t begun = clock();
    sqlite3_memory_highwater(1);
    try_sql(writer.sql);
    if (sqlite3_memory_highwater(0) > PEAK_MAX || clock() - begun > SECONDS * CLOCKS_PER_SEC) {
        fprintf(stderr, "%lld bytes, %ld ms: %s\n", (long long)sqlite3_memory_highwater(0),
                (long)((clock() - begun) * 1000 / CLOCKS_PER_SEC), writer.sql);
        abort();
    }
    check_same(&before);
}
