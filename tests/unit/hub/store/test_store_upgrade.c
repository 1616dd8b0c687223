// A store that version 1 has written: brought up to date by whoever may write to it, all of it or
// nothing, and refused in words to whoever may only read.
#include "../core/store_support.h"

#include "core/core.h"
#include "simulation/sim_vfs.h"
#include "store/schema.h"

#define DELIVERIES 3
#define CUTS_MAX   400 // Operations of the disk in an upgrade; there are fewer.

static const char rows[] =
    "INSERT INTO pipit_meta VALUES ('store_id', '0badcafe');"
    "UPDATE pipit_books SET received = 9, routed = 4, filtered = 2, duplicate = 1, rejected = 2,"
    " enqueued = 5, delivered = 1, waiting = 3, dead = 1, missing = 6, quarantined = 2,"
    " next_event = 77, quarantine_bytes = 31;"
    "INSERT INTO pipit_device_boot VALUES (1, 'a/d1', 3, 1, 41, x'0500', 6);"
    "INSERT INTO pipit_filter VALUES (1, 'main', 'a/#', 1);"
    "INSERT INTO pipit_rule VALUES (1, 'r', 7, 5, 0);"
    "INSERT INTO pipit_target VALUES (1, 'bus', 6, 5, 1, 3, 60, 1, 0, 2);"
    "INSERT INTO pipit_route VALUES (1, 'r', 1, 5, 1, 3, 60, 1, 0, 2);"
    "INSERT INTO pipit_outbox VALUES"
    " (100000000000003, 1, 'a/d1/3/3:r:1', 'd1', 'out/d1', '{\"n\":3}', 'application/json', 1, 0,"
    " 2, 0, 1700000000003),"
    " (100000000000004, 1, 'a/d1/3/4:r:1', 'd2', 'out/d2', x'00ff', '', 2, 1, 0, 0, 1700000000004),"
    " (100000000000005, 1, 'a/d1/3/5:r:1', '', '', '', 'text/plain', 0, 0, 0, 0, 1700000000005);"
    "INSERT INTO pipit_dead VALUES (1, 'bus', 'r', 1, 'a/d1/3/2:r:1', 'd1', 'out/d1', '{\"n\":2}',"
    " 'application/json', 1, 0, 10, 1700000000002, 'refused', 1700000000012);"
    "INSERT INTO pipit_quarantine VALUES (4, 1700000000001, 'a/d9', 'no JSON', x'7b', 20),"
    " (5, 1700000000002, x'ff', 'no topic', '{}', 2);";

static sqlite3 *open_raw(const char *path, const char *vfs)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs),
                     SQLITE_OK);
    return db;
}

static void must_run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
}

// As version 1 left it.
static void make_old(const char *path, const char *vfs)
{
    char pragmas[80];
    sqlite3 *db = open_raw(path, vfs);
    must_run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN");
    for (const char *const *sql = store_schema_steps[0]; *sql != NULL; sql++) {
        must_run(db, *sql);
    }
    must_run(db, rows);
    snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=1; COMMIT",
             STORE_APPLICATION_ID);
    must_run(db, pragmas);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static char *ask_text(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    }
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    char *copy = strdup(text == NULL ? "" : text);
    sqlite3_finalize(statement);
    return copy;
}

static int64_t ask_raw(sqlite3 *db, const char *sql)
{
    char *text = ask_text(db, sql);
    int64_t number = strtoll(text, NULL, 10);
    free(text);
    return number;
}

// SQL that gives all that a file of version 1 holds as one text; to be freed.
static char *old_content_sql(void)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    for (const char *const *sql = store_schema_steps[0]; *sql != NULL; sql++) {
        must_run(db, *sql);
    }
    char *sql = ask_text(
        db,
        "SELECT 'SELECT ' || group_concat('(SELECT ''' || name || '='' || group_concat(' ||"
        " columns || ', ''/'') FROM ' || name || ')', ' || ') FROM ("
        " SELECT s.name, group_concat('quote(\"' || i.name || '\")', ' || '','' || ') AS columns"
        " FROM sqlite_schema s, pragma_table_info(s.name) i WHERE s.type = 'table'"
        " AND s.name LIKE 'pipit%' GROUP BY s.name)");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return sql;
}

static const char columns_sql[] =
    "SELECT count(*) FROM sqlite_schema s, pragma_table_info(s.name) WHERE s.type = 'table'";

// Columns that a new store of ours has.
static int64_t new_columns(void)
{
    struct store *store = open_store(":memory:");
    int64_t count = ask(store, columns_sql);
    store_close(store);
    return count;
}

static void assert_upgraded(struct store *store, const char *content_sql, const char *content)
{
    assert_int_equal(ask(store, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
    assert_int_equal(ask(store, columns_sql), new_columns());
    assert_string_equal(store_id(store), "0badcafe");
    char *now = ask_text(store_db(store), content_sql);
    assert_string_equal(now, content);
    free(now);
    assert_int_equal(ask(store, "SELECT count(*) FROM pipit_outbox WHERE properties = x''"),
                     DELIVERIES);
    assert_int_equal(ask(store, "SELECT count(*) FROM pipit_dead WHERE properties = x''"), 1);
    assert_int_equal(ask(store, "SELECT count(*) FROM pipit_quarantine WHERE rule IS NULL"
                                " AND properties = x'' AND content_type = ''"),
                     2);
}

struct fixture {
    struct folder folder;
    char *content_sql, *content;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    folder_create(&fixture->folder);
    make_old(fixture->folder.store_path, NULL);
    fixture->content_sql = old_content_sql();
    sqlite3 *db = open_raw(fixture->folder.store_path, NULL);
    fixture->content = ask_text(db, fixture->content_sql);
    assert_non_null(strstr(fixture->content, "'a/d1/3/4:r:1'"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    folder_remove(&fixture->folder);
    free(fixture->content_sql);
    free(fixture->content);
    free(fixture);
    return 0;
}

static void everything_is_there(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2; i++) { // The second time there is nothing to do.
        struct store *store = open_store(fixture->folder.store_path);
        assert_upgraded(store, fixture->content_sql, fixture->content);
        store_close(store);
    }
}

static void what_waited_is_delivered(void **state)
{
    struct fixture *fixture = *state;
    static const struct route_spec route = {.topic = "out", .qos = 1};
    static const struct rule_spec rule = {
        .name = "r", .sql = "SELECT 1 AS n FROM \"a/#\"", .routes = &route, .route_count = 1};
    static const struct target_spec target = {
        .name = "bus", .attempts_max = 10, .backoff_min_ms = 1, .backoff_max_ms = 2};
    static const struct core_spec spec = {.hub_id = "h",
                                          .rules = &rule,
                                          .rule_count = 1,
                                          .targets = &target,
                                          .target_count = 1,
                                          .payload_bytes_max = 1000,
                                          .rule_steps_max = 1000};
    struct error e = {0};
    struct core *core = NULL;
    struct books books;
    struct store *store = open_store(fixture->folder.store_path);
    assert_ok(core_open(&core, store, &spec, &e), e);
    core_books(core, &books);
    assert_int_equal(books.received, 9);
    assert_int_equal(books.waiting, DELIVERIES);
    const struct delivery *taken[8];
    assert_int_equal(core_take(core, 0, 8, 1 << 20, 1700000001000, taken), DELIVERIES);
    assert_string_equal(taken[0]->idempotency_key, "a/d1/3/3:r:1");
    assert_int_equal(taken[0]->attempts, 2);
    assert_int_equal(taken[1]->payload.len, 2);
    assert_memory_equal(taken[1]->payload.ptr, "\x00\xff", 2);
    assert_int_equal(taken[0]->properties.len, 0);
    struct input inputs[DELIVERIES];
    for (int i = 0; i < DELIVERIES; i++) {
        inputs[i] =
            (struct input){.kind = INPUT_SETTLEMENT,
                           .settlement = {.delivery_id = taken[i]->id, .verdict = VERDICT_DONE}};
    }
    struct outcome outcome;
    assert_ok(core_step(core, inputs, DELIVERIES, 1700000001001, &outcome, &e), e);
    core_books(core, &books);
    assert_int_equal(books.waiting, 0);
    assert_int_equal(books.delivered, 1 + DELIVERIES);
    core_close(core);
    store_close(store);
}

static void who_only_reads_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = NULL;
    struct error e = {0};
    const struct store_options options = {.path = fixture->folder.store_path, .is_read_only = true};
    assert_int_equal(store_open(&store, &options, &e), ERR_VERSION);
    assert_non_null(strstr(e.text, "written by an older version of Pipit (format 1, this one "
                                   "reads 3); a hub of this version brings it up to date"));
    sqlite3 *db = open_raw(fixture->folder.store_path, NULL);
    assert_int_equal(ask_raw(db, "PRAGMA user_version"), 1);
    sqlite3_close(db);
}

// The power goes at the n-th write, truncate, sync or delete of the upgrade. True: it did.
static bool cut_at(uint64_t operation, const struct fixture *fixture)
{
    static const char path[] = "/sim/old.db";
    static int64_t columns[STORE_SCHEMA_VERSION + 1];
    struct sim_random chance = {operation};
    struct error e = {0};
    struct store *store = NULL;
    const struct store_options options = {.path = path, .vfs = SIM_VFS_NAME};
    sim_vfs_create(&chance);
    sqlite3_vfs *disk = sqlite3_vfs_find(SIM_VFS_NAME);
    disk->xDelete(disk, path, 0);
    disk->xDelete(disk, "/sim/old.db-wal", 0);
    make_old(path, SIM_VFS_NAME);
    sqlite3 *db = open_raw(path, SIM_VFS_NAME);
    columns[1] = ask_raw(db, columns_sql);
    columns[STORE_SCHEMA_VERSION] = new_columns(); // All steps are one transaction.
    sqlite3_close(db);

    sim_vfs_cut_after(operation);
    enum err rc = store_open(&store, &options, &e);
    bool is_cut = sim_vfs_is_cut();
    assert_true(is_cut || rc == ERR_OK);
    store_close(store);
    sim_vfs_cut_after(0);
    sim_vfs_power_cycle();

    db = open_raw(path, SIM_VFS_NAME);
    int64_t version = ask_raw(db, "PRAGMA user_version");
    assert_in_range(version, 1, STORE_SCHEMA_VERSION);
    assert_int_equal(ask_raw(db, columns_sql), columns[version]);
    sqlite3_close(db);

    store = NULL;
    assert_ok(store_open(&store, &options, &e), e);
    assert_upgraded(store, fixture->content_sql, fixture->content);
    store_close(store);
    return is_cut;
}

static void a_power_cut_leaves_the_old_or_the_new(void **state)
{
    uint64_t operation = 1;
    while (operation < CUTS_MAX && cut_at(operation, *state)) {
        operation++;
    }
    print_message("%d operations\n", (int)operation - 1);
    assert_in_range(operation, 10, CUTS_MAX - 1); // It was in the middle, and it came to its end.
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(everything_is_there),
        TEST(what_waited_is_delivered),
        TEST(who_only_reads_is_told),
        TEST(a_power_cut_leaves_the_old_or_the_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
