// A disk that fails: a VFS over the platform's that fails the n-th write or sync from now.
#include "../core/store_support.h"

struct faults {
    int write_after, sync_after; // 0: never.
    int write_code;
    bool is_sticky; // Every later one fails, too.
    unsigned syncs;
};

static struct faults faults;
static sqlite3_vfs *unix_vfs;
// The platform's, which are others for the log, with two of them replaced.
static sqlite3_io_methods methods[2];
static const sqlite3_io_methods *unix_methods[2];

static bool is_due(int *after)
{
    if (*after == 0 || --*after > 0) {
        return false;
    }
    *after = faults.is_sticky ? 1 : 0;
    return true;
}

static const sqlite3_io_methods *unix_of(const sqlite3_file *file)
{
    return unix_methods[file->pMethods - methods];
}

static int failing_write(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset)
{
    return is_due(&faults.write_after) ? faults.write_code
                                       : unix_of(file)->xWrite(file, data, count, offset);
}

static int failing_sync(sqlite3_file *file, int flags)
{
    faults.syncs++;
    return is_due(&faults.sync_after) ? SQLITE_IOERR_FSYNC : unix_of(file)->xSync(file, flags);
}

static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                        int *out_flags)
{
    (void)vfs;
    int rc = unix_vfs->xOpen(unix_vfs, name, file, flags, out_flags);
    if (rc == SQLITE_OK && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0) {
        int which = (flags & SQLITE_OPEN_WAL) != 0;
        unix_methods[which] = file->pMethods;
        methods[which] = *file->pMethods;
        methods[which].xWrite = failing_write;
        methods[which].xSync = failing_sync;
        file->pMethods = &methods[which];
    }
    return rc;
}

struct fixture {
    struct folder folder;
    struct store *store;
    struct error e;
};

static void reopen(struct fixture *fixture)
{
    const struct store_options options = {.path = fixture->folder.store_path,
                                          .vfs = "pipit-failing"};
    store_close(fixture->store);
    fixture->store = NULL;
    assert_ok(store_open(&fixture->store, &options, &fixture->e), fixture->e);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    folder_create(&fixture->folder);
    faults = (struct faults){0};
    reopen(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    faults = (struct faults){0};
    store_close(fixture->store);
    folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

static enum err try_put(struct fixture *fixture, const char *name, bool is_synced)
{
    enum err rc = store_begin(fixture->store, is_synced, &fixture->e);
    if (rc == ERR_OK) {
        char *sql = sqlite3_mprintf("INSERT INTO pipit_meta VALUES (%Q, 1)", name);
        int sqlite_rc = sqlite3_exec(store_db(fixture->store), sql, NULL, NULL, NULL);
        sqlite3_free(sql);
        rc = sqlite_rc == SQLITE_OK ? store_commit(fixture->store, &fixture->e)
                                    : store_fail(fixture->store, sqlite_rc, "put", &fixture->e);
        if (rc != ERR_OK) {
            store_rollback(fixture->store);
        }
    }
    return rc;
}

static int64_t count_of(struct fixture *fixture, const char *name)
{
    char sql[100];
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM pipit_meta WHERE name = '%s'", name);
    return ask(fixture->store, sql);
}

static void a_failed_sync_seals(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(try_put(fixture, "before", true), fixture->e);
    faults.sync_after = 1;
    assert_int_equal(try_put(fixture, "during", true), ERR_IO);
    assert_true(store_is_sealed(fixture->store));
    // The disk would take it now, and still it is not asked: nobody knows what it has.
    assert_int_equal(try_put(fixture, "after", true), ERR_IO);
    reopen(fixture);
    assert_int_equal(count_of(fixture, "before"), 1);
    assert_int_equal(count_of(fixture, "after"), 0);
    assert_ok(try_put(fixture, "again", true), fixture->e);
}

static void a_failed_write_seals(void **state)
{
    struct fixture *fixture = *state;
    faults.write_after = 1;
    faults.write_code = SQLITE_IOERR_WRITE;
    assert_int_equal(try_put(fixture, "during", true), ERR_IO);
    assert_true(store_is_sealed(fixture->store));
    reopen(fixture);
    assert_int_equal(count_of(fixture, "during"), 0);
}

static void a_full_disk_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    faults.write_after = 1;
    faults.write_code = SQLITE_FULL;
    faults.is_sticky = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(try_put(fixture, "during", true), ERR_FULL);
        assert_non_null(strstr(fixture->e.text, "disk is full"));
        assert_false(store_is_sealed(fixture->store));
    }
    faults = (struct faults){0};
    assert_ok(try_put(fixture, "during", true), fixture->e);
    assert_int_equal(count_of(fixture, "during"), 1);
}

// SQLite's own automatic checkpoint would swallow this one.
static void a_sync_that_fails_in_a_checkpoint_seals(void **state)
{
    struct fixture *fixture = *state;
    enum err rc = try_put(fixture, "first", true); // The log's header is synced once.
    int commits = 0;
    for (; rc == ERR_OK && commits < 10000; commits++) {
        char name[20];
        snprintf(name, sizeof(name), "row%d", commits);
        // Commits without a sync: the next sync is that of a checkpoint.
        faults.sync_after = 1;
        rc = try_put(fixture, name, false);
    }
    assert_int_equal(rc, ERR_IO);
    assert_true(commits > 100);
    assert_true(store_is_sealed(fixture->store));
}

static void only_synced_commits_sync(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(try_put(fixture, "first", true), fixture->e); // The log's header is synced once.
    unsigned syncs = faults.syncs;
    assert_ok(try_put(fixture, "loose", false), fixture->e);
    assert_int_equal(faults.syncs, syncs);
    assert_ok(try_put(fixture, "tight", true), fixture->e);
    assert_true(faults.syncs > syncs);
}

// What a process with a failed sync leaves behind is written and synced again before anything else.
static void opening_syncs_what_is_there(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(try_put(fixture, "before", true), fixture->e);
    faults.sync_after = 1;
    assert_int_equal(try_put(fixture, "during", true), ERR_IO);
    store_close(fixture->store);
    fixture->store = NULL;
    faults.sync_after = 1;
    const struct store_options options = {.path = fixture->folder.store_path,
                                          .vfs = "pipit-failing"};
    assert_int_equal(store_open(&fixture->store, &options, &fixture->e), ERR_IO);
    assert_null(fixture->store);
    reopen(fixture);
    assert_int_equal(count_of(fixture, "before"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    unix_vfs = sqlite3_vfs_find(NULL);
    static sqlite3_vfs failing;
    failing = *unix_vfs;
    failing.zName = "pipit-failing";
    failing.xOpen = failing_open;
    sqlite3_vfs_register(&failing, 0);
    const struct CMUnitTest tests[] = {
        TEST(a_failed_sync_seals),       TEST(a_failed_write_seals),
        TEST(a_full_disk_is_waited_for), TEST(a_sync_that_fails_in_a_checkpoint_seals),
        TEST(only_synced_commits_sync),  TEST(opening_syncs_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
