// The store file: what is refused, what is kept, what a failing disk does.
#include <sys/stat.h>

#include "../core/store_support.h"

static int setup(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    folder_create(folder);
    *state = folder;
    return 0;
}

static int teardown(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path, size_t *out_len)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    *out_len = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *problem = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK) {
        fail_msg("%s", problem);
    }
    sqlite3_close(db);
}

static enum err try_open(const char *path, struct error *e)
{
    struct store *store = NULL;
    const struct store_options options = {.path = path};
    enum err rc = store_open(&store, &options, e);
    store_close(store);
    return rc;
}

static void keeps_what_was_committed(void **state)
{
    struct folder *folder = *state;
    struct error e = {0};
    struct store *store = open_store(folder->store_path);
    char id[9];
    strcpy(id, store_id(store));
    assert_int_equal(strlen(id), 8);
    assert_ok(store_begin(store, true, &e), e);
    sqlite3_exec(store_db(store), "INSERT INTO pipit_meta VALUES ('kept', 7)", NULL, NULL, NULL);
    assert_ok(store_commit(store, &e), e);
    assert_ok(store_begin(store, true, &e), e);
    sqlite3_exec(store_db(store), "UPDATE pipit_meta SET value = 8 WHERE name = 'kept'", NULL, NULL,
                 NULL);
    store_rollback(store);
    store_close(store);
    store = open_store(folder->store_path);
    assert_string_equal(store_id(store), id);
    assert_int_equal(ask(store, "SELECT value FROM pipit_meta WHERE name = 'kept'"), 7);
    store_close(store);
}

static void gives_sql_the_time_it_is_told(void **state)
{
    (void)state;
    struct store *store = open_store(":memory:");
    store_set_now(store, 1700000000000);
    assert_int_equal(ask(store, "SELECT unixepoch('now')"), 1700000000);
    store_set_now(store, 1600000000000);
    assert_int_equal(ask(store, "SELECT unixepoch('now')"), 1600000000);
    store_close(store);
}

static void refuses_a_second_hub(void **state)
{
    struct folder *folder = *state;
    struct store *store = open_store(folder->store_path);
    struct error e = {0};
    char process[40];
    snprintf(process, sizeof(process), "process %d", getpid());
    assert_int_equal(try_open(folder->store_path, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, process));
    store_close(store);
    assert_ok(try_open(folder->store_path, &e), e);
}

static void reads_beside_a_running_hub(void **state)
{
    struct folder *folder = *state;
    struct store *hub = open_store(folder->store_path), *reader = NULL;
    struct error e = {0};
    const struct store_options options = {.path = folder->store_path, .is_read_only = true};
    assert_ok(store_open(&reader, &options, &e), e);
    assert_string_equal(store_id(reader), store_id(hub));
    assert_ok(store_begin(hub, true, &e), e);
    sqlite3_exec(store_db(hub), "INSERT INTO pipit_meta VALUES ('seen', 1)", NULL, NULL, NULL);
    assert_ok(store_commit(hub, &e), e);
    assert_int_equal(ask(reader, "SELECT value FROM pipit_meta WHERE name = 'seen'"), 1);
    assert_int_not_equal(sqlite3_exec(store_db(reader), "DELETE FROM pipit_meta", NULL, NULL, NULL),
                         SQLITE_OK);
    store_close(reader);
    store_close(hub);
}

static void a_reader_makes_no_store(void **state)
{
    struct folder *folder = *state;
    struct store *store = NULL;
    struct error e = {0};
    const struct store_options options = {.path = folder->store_path, .is_read_only = true};
    assert_int_equal(store_open(&store, &options, &e), ERR_NOT_FOUND);
    assert_int_not_equal(access(folder->store_path, F_OK), 0);
}

// Each file is refused with its reason, and not a byte of it changes.
static void refuses_what_is_not_its_own(void **state)
{
    static const char garbage[] = "this is a letter to my aunt, not a database, and it is longer "
                                  "than the hundred bytes of a header of SQLite, by far";
    static const struct {
        const char *why, *sql;
        enum err rc;
        const char *says;
    } cases[] = {
        {"a newer version of Pipit has been here", "PRAGMA user_version = 99", ERR_VERSION,
         "newer version"},
        {"another program's database", "PRAGMA application_id = 77", ERR_CORRUPT,
         "another program"},
        {"a database without an application id", "PRAGMA application_id = 0", ERR_CORRUPT,
         "another program"},
        {"its identity is gone", "DELETE FROM pipit_meta", ERR_CORRUPT, "identity"},
        {"not SQLite at all", NULL, ERR_CORRUPT, "not an SQLite database"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct folder folder;
        folder_create(&folder);
        struct error e = {0};
        if (cases[i].sql == NULL) {
            write_file(folder.store_path, garbage, sizeof(garbage));
        } else {
            assert_ok(try_open(folder.store_path, &e), e);
            run_sql(folder.store_path, cases[i].sql);
        }
        size_t before_len, after_len;
        char *before = read_file(folder.store_path, &before_len);
        enum err rc = try_open(folder.store_path, &e);
        char *after = read_file(folder.store_path, &after_len);
        if (rc != cases[i].rc || strstr(e.text, cases[i].says) == NULL) {
            fail_msg("%s: %d, %s", cases[i].why, rc, e.text);
        }
        assert_int_equal(before_len, after_len);
        assert_memory_equal(before, after, before_len);
        free(before);
        free(after);
        folder_remove(&folder);
    }
    (void)state;
}

static void finds_a_damaged_page(void **state)
{
    struct folder *folder = *state;
    struct error e = {0};
    assert_ok(try_open(folder->store_path, &e), e);
    run_sql(folder->store_path,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            "WHERE i < 2000) INSERT INTO pipit_meta SELECT 'row' || i, i FROM n;"
            "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t len;
    char *bytes = read_file(folder->store_path, &len);
    memset(bytes + len - 4096, 0x5a, 4096);
    write_file(folder->store_path, bytes, len);
    assert_int_equal(try_open(folder->store_path, &e), ERR_CORRUPT);
    size_t after_len;
    char *after = read_file(folder->store_path, &after_len);
    assert_int_equal(after_len, len);
    assert_memory_equal(bytes, after, len);
    free(bytes);
    free(after);
}

static void an_empty_file_becomes_a_store(void **state)
{
    struct folder *folder = *state;
    struct error e = {0};
    write_file(folder->store_path, "", 0);
    assert_ok(try_open(folder->store_path, &e), e);
    assert_ok(try_open(folder->store_path, &e), e);
}

static void says_that_the_folder_is_missing(void **state)
{
    (void)state;
    struct error e = {0};
    assert_int_equal(try_open("/tmp/pipit-no-such-folder/hub.db", &e), ERR_IO);
    assert_non_null(strstr(e.text, "folder"));
}

// A log that a dead process left is in the database after opening, and none of it is lost.
static void takes_over_a_log(void **state)
{
    struct folder *folder = *state;
    struct error e = {0};
    struct store *store = open_store(folder->store_path);
    assert_ok(store_begin(store, true, &e), e);
    sqlite3_exec(store_db(store), "INSERT INTO pipit_meta VALUES ('logged', 3)", NULL, NULL, NULL);
    assert_ok(store_commit(store, &e), e);
    // As SIGKILL leaves it: nothing is checkpointed.
    struct folder copy;
    folder_create(&copy);
    char from[128], to[128];
    static const char *const ends[] = {"", "-wal"};
    for (size_t i = 0; i < 2; i++) {
        size_t len;
        snprintf(from, sizeof(from), "%s%s", folder->store_path, ends[i]);
        snprintf(to, sizeof(to), "%s%s", copy.store_path, ends[i]);
        char *bytes = read_file(from, &len);
        assert_true(len > 0);
        write_file(to, bytes, len);
        free(bytes);
    }
    store_close(store);
    store = open_store(copy.store_path);
    assert_int_equal(ask(store, "SELECT value FROM pipit_meta WHERE name = 'logged'"), 3);
    struct stat log;
    snprintf(to, sizeof(to), "%s-wal", copy.store_path);
    assert_true(stat(to, &log) != 0 || log.st_size == 0);
    store_close(store);
    folder_remove(&copy);
}

static void sizes_follow_the_rows(void **state)
{
    struct folder *folder = *state;
    struct error e = {0};
    struct store *store = open_store(folder->store_path);
    uint64_t before = store_used_bytes(store);
    uint64_t space = store_disk_free_bytes(store);
    assert_true(space > 0 && space < UINT64_MAX);
    assert_ok(store_begin(store, true, &e), e);
    sqlite3_exec(store_db(store), "INSERT INTO pipit_meta VALUES ('big', zeroblob(1000000))", NULL,
                 NULL, NULL);
    assert_true(store_used_bytes(store) >= before + 1000000);
    assert_ok(store_commit(store, &e), e);
    assert_ok(store_begin(store, true, &e), e);
    sqlite3_exec(store_db(store), "DELETE FROM pipit_meta WHERE name = 'big'", NULL, NULL, NULL);
    assert_ok(store_commit(store, &e), e);
    assert_true(store_used_bytes(store) < before + 100000);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_what_was_committed, setup, teardown),
        cmocka_unit_test(gives_sql_the_time_it_is_told),
        cmocka_unit_test_setup_teardown(refuses_a_second_hub, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_beside_a_running_hub, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_makes_no_store, setup, teardown),
        cmocka_unit_test(refuses_what_is_not_its_own),
        cmocka_unit_test_setup_teardown(finds_a_damaged_page, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_file_becomes_a_store, setup, teardown),
        cmocka_unit_test(says_that_the_folder_is_missing),
        cmocka_unit_test_setup_teardown(takes_over_a_log, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes_follow_the_rows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
