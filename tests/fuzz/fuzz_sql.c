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
#include "sql_grammar.h"
#include "store/store.h"
#include "store/store_memory.h"

#define MEMORY_MAX (1 << 20)
// The bound and what one instruction may take beyond it, and what the store and the statement hold.
#define PEAK_MAX    (STORE_MEMORY_MULTIPLE * MEMORY_MAX + (4 << 20))
#define STEPS_MAX   20000
#define SECONDS     20 // Of CPU for one input, with sanitizers on a busy machine.
#define EVENTS      3
#define SEEDS_TOTAL 60
#define SECRET      "N0b0dyMayReadThis"

const uint32_t fuzz_count = 4000;

static char folder[] = "/tmp/pipit-fuzz-XXXXXX";
static struct store *store;
static struct event_batch *batch;

// ---- seeds --------------------------------------------------------------------------------------

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
    static char sql[SQL_GRAMMAR_BYTES_MAX];
    if (store == NULL) {
        start();
    }
    if (len > 0 && ptr[0] == '!') {
        size_t count = len - 1 < sizeof(sql) - 1 ? len - 1 : sizeof(sql) - 1;
        memcpy(sql, ptr + 1, count);
        sql[count] = '\0';
    } else {
        sql_grammar_write(ptr, len, sql);
    }
    show("", sql);
    struct world before = look();
    clock_t begun = clock();
    sqlite3_memory_highwater(1);
    try_sql(sql);
    if (sqlite3_memory_highwater(0) > PEAK_MAX || clock() - begun > SECONDS * CLOCKS_PER_SEC) {
        fprintf(stderr, "%lld bytes, %ld ms: %s\n", (long long)sqlite3_memory_highwater(0),
                (long)((clock() - begun) * 1000 / CLOCKS_PER_SEC), sql);
        abort();
    }
    check_same(&before);
}
