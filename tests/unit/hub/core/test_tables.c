// Reference tables: replaced in one go or not at all, fed by events in their order, kept over
// restarts.
#include "core/event_value.h"
#include "core/table_script.h"
#include "core/tables.h"
#include "json_support.h"

#define JOIN "SELECT n, s.site FROM \"a/+\" e LEFT JOIN sensors s ON s.id = topic_part(2)"

static struct event_value text(const char *value)
{
    return (struct event_value){.kind = VALUE_TEXT, .bytes = bytes_from_text(value)};
}

static struct event_value integer(int64_t value)
{
    return (struct event_value){.kind = VALUE_INTEGER, .integer = value};
}

static const char *const columns[] = {"id", "site", "more"};

// Two columns, or three.
static struct table_data data_of(const struct event_value *values, uint32_t count, uint64_t rows,
                                 const char *fingerprint)
{
    return (struct table_data){"sensors", columns, count, rows, values, fingerprint};
}

static void use_tables(struct fixture *fixture, struct table_spec *tables, uint32_t count,
                       const char *sql)
{
    fixture_close(fixture);
    fixture->spec.tables = tables;
    fixture->spec.table_count = count;
    fixture->rules[0].sql = sql;
    fixture->rules[0].key = "topic";
    fixture->routes[0].topic = "out";
    fixture_open(fixture);
}

static void a_file_is_joined_replaced_and_kept(void **state)
{
    struct fixture *fixture = *state;
    const struct event_value first[] = {text("d1"), text("hall"), text("d2"), text("roof")};
    const struct event_value second[] = {text("d1"), text("attic")};
    struct table_data data = data_of(first, 2, 2, "one"), next = data_of(second, 2, 1, "two");
    struct table_spec table = {.name = "sensors", .key = "id", .data = &data};
    use_tables(fixture, &table, 1, JOIN);
    table.data = NULL;
    put(fixture, "d1", "\"n\":1");
    step(fixture);
    assert_outputs(fixture, "{\"n\":1,\"site\":\"hall\"}\n");
    assert_ok(core_load_table(fixture->core, &next, &fixture->e), fixture->e);
    put(fixture, "d1", "\"n\":2");
    put(fixture, "d2", "\"n\":3");
    step(fixture);
    assert_outputs(fixture, "{\"n\":2,\"site\":\"attic\"}\n{\"n\":3,\"site\":null}\n");
    fixture_reopen(fixture); // Nothing is read: the rows are in the store.
    put(fixture, "d1", "\"n\":4");
    step(fixture);
    assert_outputs(fixture, "{\"n\":4,\"site\":\"attic\"}\n");
}

static void a_join_by_key_is_one_look_up(void **state)
{
    struct fixture *fixture = *state;
    const struct event_value rows[] = {text("d1"), text("hall")};
    struct table_data data = data_of(rows, 2, 1, "one");
    struct table_spec table = {.name = "sensors", .key = "id", .data = &data};
    use_tables(fixture, &table, 1, JOIN);
    sqlite3_stmt *plan = NULL;
    assert_int_equal(sqlite3_prepare_v2(store_db(fixture->store),
                                        "EXPLAIN QUERY PLAN SELECT site FROM (SELECT CAST(1 AS "
                                        "TEXT) AS d) LEFT JOIN sensors ON id = d",
                                        -1, &plan, NULL),
                     SQLITE_OK);
    bool is_search = false;
    while (sqlite3_step(plan) == SQLITE_ROW) {
        is_search |= strstr((const char *)sqlite3_column_text(plan, 3),
                            "SEARCH sensors USING PRIMARY KEY (id=?)") != NULL;
    }
    sqlite3_finalize(plan);
    assert_true(is_search);
}

// What is refused leaves the rows, the rules and the register as they were.
static void what_is_refused_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct event_value rows[] = {text("d1"), text("hall")};
    const struct event_value twice[] = {text("d1"), text("x"), text("d1"), text("y")};
    const struct event_value empty[] = {{.kind = VALUE_NULL}, text("x")};
    static const char *const others[] = {"id", "place"}, *const doubled[] = {"id", "ID"};
    struct table_data data = data_of(rows, 2, 1, "one");
    const struct {
        const char *why, *want;
        struct table_data data;
    } cases[] = {
        {"a key twice", "row 2: the key id 'd1' is there twice", data_of(twice, 2, 2, "a")},
        {"no key", "row 1: the key id is empty", data_of(empty, 2, 1, "b")},
        {"a rule's column is gone", "no such column: s.site", {"sensors", others, 2, 1, rows, "c"}},
        {"the key is gone", "there is no column 'id'", {"sensors", columns + 1, 1, 1, rows, "d"}},
        {"a name twice", "two columns are called", {"sensors", doubled, 2, 1, rows, "e"}},
        {"another table", "there is no table \"nosuch\"", {"nosuch", columns, 2, 1, rows, "f"}},
    };
    struct table_spec table = {.name = "sensors", .key = "id", .data = &data};
    use_tables(fixture, &table, 1, JOIN);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(core_load_table(fixture->core, &cases[i].data, &fixture->e), ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
        put(fixture, "d1", "\"n\":1");
        step(fixture);
        assert_outputs(fixture, "{\"n\":1,\"site\":\"hall\"}\n");
    }
}

static void columns_may_come_and_change_their_kind(void **state)
{
    struct fixture *fixture = *state;
    const struct event_value rows[] = {text("d1"), text("hall")};
    const struct event_value wide[] = {text("d1"), integer(7), text("x")};
    struct table_data data = data_of(rows, 2, 1, "one"), next = data_of(wide, 3, 1, "two");
    struct table_spec table = {.name = "sensors", .key = "id", .data = &data};
    use_tables(fixture, &table, 1,
               "SELECT s.* FROM \"a/+\" e JOIN sensors s ON s.id = topic_part(2)");
    put(fixture, "d1", "\"n\":1");
    step(fixture);
    assert_outputs(fixture, "{\"id\":\"d1\",\"site\":\"hall\"}\n");
    assert_ok(core_load_table(fixture->core, &next, &fixture->e), fixture->e);
    put(fixture, "d1", "\"n\":1");
    step(fixture);
    assert_outputs(fixture, "{\"id\":\"d1\",\"site\":7,\"more\":\"x\"}\n");
}

// Another connection sees the old rows or the new ones.
static void a_reader_sees_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    static struct event_value rows[2][2000];
    static char ids[1000][16];
    for (int i = 0; i < 1000; i++) {
        snprintf(ids[i], sizeof(ids[i]), "d%d", i);
        rows[0][2 * i] = rows[1][2 * i] = text(ids[i]);
        rows[0][2 * i + 1] = text("old");
        rows[1][2 * i + 1] = text("new");
    }
    struct table_data old = data_of(rows[0], 2, 1000, "old");
    struct table_data bad = data_of(rows[1], 2, 1000, "bad");
    struct table_spec table = {.name = "sensors", .key = "id", .data = &old};
    use_tables(fixture, &table, 1, JOIN);
    rows[1][1998] = text("d0"); // Refused at its very last row.
    assert_int_equal(core_load_table(fixture->core, &bad, &fixture->e), ERR_CONFIG);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM sensors WHERE site = 'old'"), 1000);
    rows[1][1998] = text(ids[999]);
    assert_ok(core_load_table(fixture->core, &bad, &fixture->e), fixture->e);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM sensors WHERE site = 'new'"), 1000);
}

static void only_tables_of_ours_are_dropped(void **state)
{
    struct fixture *fixture = *state;
    const struct event_value rows[] = {text("d1"), text("hall")};
    struct table_data data = data_of(rows, 2, 1, "one");
    struct table_spec table = {.name = "sensors", .key = "id", .data = &data};
    assert_int_equal(
        sqlite3_exec(store_db(fixture->store), "CREATE TABLE mine(x)", NULL, NULL, NULL),
        SQLITE_OK);
    use_tables(fixture, &table, 1, JOIN);
    use_tables(fixture, NULL, 0, "SELECT n FROM \"a/+\"");
    assert_int_equal(
        ask(fixture->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'sensors'"), 0);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'mine'"),
                     1);
    fixture_close(fixture);
    struct table_spec taken = {.name = "Mine", .key = "id", .data = &data};
    struct core_spec spec = fixture->spec;
    spec.tables = &taken;
    spec.table_count = 1;
    fixture->store = open_store(fixture->folder.store_path);
    assert_int_equal(core_open(&fixture->core, fixture->store, &spec, &fixture->e), ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "that the hub did not make"));
}

// ---- fed by events ------------------------------------------------------------------------------

#define POSITION                                                                                   \
    {                                                                                              \
        .name = "position", .key = "d", .rows_max = 3,                                             \
        .sql = "SELECT topic_part(2) AS d, x FROM \"a/+\" WHERE x IS NOT NULL"                     \
    }

// Each device's own position, as it is after the event at hand.
static void a_rule_sees_the_table_after_its_event(void **state)
{
    static const char want[] = "{\"n\":1,\"x\":null}\n{\"n\":2,\"x\":5}\n{\"n\":3,\"x\":5}\n"
                               "{\"n\":4,\"x\":6}\n{\"n\":5,\"x\":6}\n";
    struct fixture *fixture = *state;
    for (uint32_t batch = 1; batch <= 6; batch++) {
        struct table_spec table = POSITION;
        fixture_teardown((void **)&fixture);
        fixture_setup((void **)&fixture);
        *state = fixture;
        use_tables(fixture, &table, 1,
                   "SELECT n, p.x FROM \"a/+\" e LEFT JOIN position p ON p.d = topic_part(2)");
        static const char *const fields[] = {"\"n\":1", "\"n\":2,\"x\":5", "\"n\":3",
                                             "\"n\":4,\"x\":6", "\"n\":5"};
        for (uint32_t i = 0; i < 5; i++) {
            put(fixture, "d1", fields[i]);
            if ((i + 1) % batch == 0) {
                step(fixture);
            }
        }
        step(fixture);
        assert_outputs(fixture, want);
        fixture_reopen(fixture);
        put(fixture, "d1", "\"n\":6");
        step(fixture);
        assert_outputs(fixture, "{\"n\":6,\"x\":6}\n");
    }
}

static void rows_are_bounded_by_number_and_age(void **state)
{
    struct fixture *fixture = *state;
    struct table_spec table = POSITION;
    table.keep_ms = 60000;
    use_tables(fixture, &table, 1,
               "SELECT count(*) AS c, group_concat(d) AS l FROM \"a/+\" e, "
               "(SELECT d FROM position ORDER BY renewed, rowid)");
    static const char *const devices[] = {"d1", "d2", "d3", "d1", "d4"};
    for (size_t i = 0; i < 5; i++) {
        put(fixture, devices[i], "\"x\":1");
        fixture->now_ms += 10000;
        step(fixture);
        outputs(fixture);
    }
    put(fixture, "d9", "\"n\":1");
    step(fixture);
    assert_outputs(fixture, "{\"c\":3,\"l\":\"d3,d1,d4\"}\n"); // d2 was renewed longest ago.
    fixture_reopen(fixture);
    fixture->now_ms += 45000; // d3 is 65 s old, d1 55 s.
    put(fixture, "d9", "\"n\":1");
    step(fixture);
    assert_outputs(fixture, "{\"c\":2,\"l\":\"d1,d4\"}\n");
}

static void an_event_that_a_table_cannot_take_is_rejected(void **state)
{
    struct fixture *fixture = *state;
    struct table_spec tables[] = {
        {.name = "all_n",
         .key = "d",
         .rows_max = 9,
         .sql = "SELECT topic_part(2) AS d, n FROM \"a/+\""},
        {.name = "by_k", .key = "k", .rows_max = 9, .sql = "SELECT k, n FROM \"a/+\""},
    };
    use_tables(fixture, tables, 2, "SELECT n, (SELECT count(*) FROM all_n) AS c FROM \"a/+\"");
    put(fixture, "d1", "\"n\":1,\"k\":\"x\"");
    put(fixture, "d2", "\"n\":2");
    put(fixture, "d3", "\"n\":3,\"k\":7");
    step(fixture);
    assert_outputs(fixture, "{\"n\":1,\"c\":1}\n{\"n\":3,\"c\":2}\n");
    assert_int_equal(books_of(fixture).rejected, 1);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM pipit_quarantine WHERE reason LIKE "
                                         "'table \"by_k\": the key is NULL%'"),
                     1);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM all_n WHERE d = 'd2'"), 0);
}

static void latest_has_the_last_event_of_each_device_and_type(void **state)
{
    struct fixture *fixture = *state;
    use_tables(fixture, NULL, 0,
               "SELECT e.n, l.topic AS t, l.device, l.fields ->> '$.n' AS last, 'all' AS topic "
               "FROM \"a/+\" e "
               "JOIN latest l ON l.topic LIKE 'a/%' OR l.device = 'd7' ORDER BY l.topic");
    add_reading(fixture, &(struct reading){"d7", 1, 1, 20, false, 0});
    add_reading(fixture, &(struct reading){"d7", 1, 2, 30, false, 0});
    put(fixture, "d1", "\"n\":1");
    put(fixture, "d2", "\"n\":2");
    put(fixture, "d1", "\"n\":3");
    step(fixture);
    assert_outputs(fixture,
                   "{\"n\":1,\"t\":\"a/d1\",\"device\":null,\"last\":1,\"topic\":\"all\"}\n"
                   "{\"n\":1,\"t\":\"pipit/v1/g/d7/event/"
                   "temperature\",\"device\":\"d7\",\"last\":null,\"topic\":\"all\"}\n"
                   "{\"n\":2,\"t\":\"a/d1\",\"device\":null,\"last\":1,\"topic\":\"all\"}\n"
                   "{\"n\":2,\"t\":\"a/d2\",\"device\":null,\"last\":2,\"topic\":\"all\"}\n"
                   "{\"n\":2,\"t\":\"pipit/v1/g/d7/event/"
                   "temperature\",\"device\":\"d7\",\"last\":null,\"topic\":\"all\"}\n"
                   "{\"n\":3,\"t\":\"a/d1\",\"device\":null,\"last\":3,\"topic\":\"all\"}\n"
                   "{\"n\":3,\"t\":\"a/d2\",\"device\":null,\"last\":2,\"topic\":\"all\"}\n"
                   "{\"n\":3,\"t\":\"pipit/v1/g/d7/event/"
                   "temperature\",\"device\":\"d7\",\"last\":null,\"topic\":\"all\"}\n");
    assert_int_equal(ask(fixture->store, "SELECT fields ->> '$.celsius' FROM latest WHERE "
                                         "device = 'd7' AND sequence = 2 AND type = 'temperature'"),
                     30);
    use_tables(fixture, NULL, 0, "SELECT n FROM \"a/+\""); // Nobody reads it: it would be stale.
    assert_int_equal(
        ask(fixture->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'latest'"), 0);
}

// The batch makes more deliveries than memory should hold, and goes in halves: fed once all the
// same.
static void a_round_that_is_undone_feeds_once(void **state)
{
    struct fixture *fixture = *state;
    struct table_spec table = {.name = "seen",
                               .key = "k",
                               .rows_max = 100000,
                               .sql = "SELECT topic_part(2) || '/' || n AS k FROM \"a/+\""};
    use_tables(fixture, &table, 1,
               "SELECT n, (SELECT count(*) FROM seen) AS c, printf('%.*c', 300000, 'x') AS pad, "
               "previous(n) AS before FROM \"a/+\"");
    for (int i = 0; i < 300; i++) {
        char fields[40];
        snprintf(fields, sizeof(fields), "\"n\":%d", i);
        put(fixture, "d1", fields);
    }
    fixture->spec.store_limit_bytes = 1 << 30;
    step(fixture);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM seen"), 300);
    assert_int_equal(ask(fixture->store,
                         "SELECT count(*) FROM pipit_outbox WHERE payload ->> '$.c' = "
                         "(payload ->> '$.n') + 1 AND ifnull(payload ->> '$.before', -1) = "
                         "(payload ->> '$.n') - 1"),
                     300);
}

// What feeds a table is the hub's own SQL: it is not stopped when a rule has used up its budget.
static void a_rule_that_runs_for_ever_stops_no_table(void **state)
{
    struct fixture *fixture = *state;
    struct table_spec table = POSITION;
    table.rows_max = 20;
    use_tables(fixture, &table, 1,
               "SELECT n, (WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE x) "
               "SELECT count(*) FROM c) AS s FROM \"a/+\" e JOIN position p ON p.d = topic_part(2) "
               "JOIN latest l ON l.topic = e.topic");
    fixture->spec.rule_steps_max = 1000;
    fixture_reopen(fixture);
    for (int i = 0; i < 400; i++) {
        char device[16], fields[40];
        snprintf(device, sizeof(device), "d%d", i % 30);
        snprintf(fields, sizeof(fields), "\"n\":%d,\"x\":%d", i, i % 4 > 0);
        put(fixture, device, fields);
    }
    step(fixture);
    assert_int_equal(books_of(fixture).rejected, 300);
    assert_int_equal(books_of(fixture).routed, 100);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM position"), 20);
    assert_int_equal(ask(fixture->store, "SELECT count(*) FROM latest"), 30);
}

static void bad_tables_are_explained(void **state)
{
    static const struct {
        const char *why, *want;
        struct table_spec table;
    } cases[] = {
        {"no such column",
         "key: the SELECT gives no column 'k'",
         {.name = "t", .key = "k", .rows_max = 1, .sql = "SELECT n FROM \"a/+\""}},
        {"no filter",
         "reads no topic filter",
         {.name = "t", .key = "n", .rows_max = 1, .sql = "SELECT 1 AS n"}},
        {"a table of tables",
         "cannot be fed from another one",
         {.name = "t",
          .key = "n",
          .rows_max = 1,
          .sql = "SELECT e.n FROM \"a/+\" e JOIN latest l ON l.device = e.device"}},
        {"our column",
         "renewed is there already",
         {.name = "t", .key = "n", .rows_max = 1, .sql = "SELECT n, n AS renewed FROM \"a/+\""}},
        {"it remembers",
         "remembers from event to event",
         {.name = "t",
          .key = "n",
          .rows_max = 1,
          .sql = "SELECT n, previous(n) AS p FROM \"a/+\""}},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct core_spec spec = fixture->spec;
        spec.tables = &cases[i].table;
        spec.table_count = 1;
        assert_int_equal(core_check(&spec, &fixture->e), ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL ||
            strstr(fixture->e.text, "table \"t\"") == NULL) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
    }
    static const struct {
        const char *name;
        bool is_fine;
    } names[] = {{"sensors", true}, {"s_2", true},       {"2s", false},
                 {"", false},       {"a-b", false},      {"pipit_x", false},
                 {"Latest", false}, {"SQLITE_x", false}, {"json_each", false}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(table_name_problem(names[i].name) == NULL, names[i].is_fine);
    }
}

// ---- scripts ------------------------------------------------------------------------------------

#define TABLE "CREATE TABLE t(a TEXT PRIMARY KEY, b);\n"

static void scripts_make_a_table_and_nothing_else(void **state)
{
    static const struct {
        const char *why, *sql, *want; // NULL: it works.
        int32_t offset;
    } cases[] = {
        {"a table", TABLE "INSERT INTO t VALUES('x', 1), ('y', 2.5);", NULL, 0},
        {"as a dump has it", "BEGIN;" TABLE "INSERT INTO t VALUES('x', x'00');COMMIT;", NULL, 0},
        {"computed", TABLE "INSERT INTO t SELECT value, upper(value) FROM json_each('[\"a\"]')",
         NULL, 0},
        {"from another",
         "CREATE TABLE u(x); INSERT INTO u VALUES(1); CREATE TABLE t AS SELECT x FROM u;", NULL, 0},
        {"only a comment after it", TABLE "-- that is all", NULL, 0},
        {"no table", "CREATE TABLE u(x);", "makes no table \"t\"", -1},
        {"nothing", "", "makes no table \"t\"", -1},
        {"not SQL", TABLE "INSERT t", "syntax error", 46},
        {"dropping", TABLE "DROP TABLE t;", "not authorized", 39},
        {"attaching", TABLE "ATTACH '/tmp/x' AS x;", "not authorized", 39},
        {"a pragma", TABLE "PRAGMA journal_mode=WAL;", "not authorized", 39},
        {"a virtual table", "CREATE VIRTUAL TABLE t USING fts5(x);", "not authorized", 0},
        {"a trigger", TABLE "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END;",
         "not authorized", 39},
        {"a view", "CREATE VIEW t AS SELECT 1;", "not authorized", 0},
        {"into a file", TABLE "VACUUM INTO '/tmp/x';", "a script may CREATE TABLE", 39},
        {"loading", "CREATE TABLE t AS SELECT load_extension('x') AS x;", "not authorized", 25},
        {"chance", "CREATE TABLE t AS SELECT random() AS x;", "not authorized", 25},
        {"the clock", "CREATE TABLE t AS SELECT datetime() AS x;", "not authorized", 25},
        {"the schema", TABLE "INSERT INTO sqlite_schema VALUES(1,2,3,4,5);", "may not be modified",
         39},
        {"for ever",
         TABLE "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT 1 FROM c) "
               "SELECT 1, count(*) FROM c;",
         "more than 50000000 SQLite instructions", 39},
        {"too much",
         TABLE "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) "
               "SELECT i, hex(i) || printf('%.1000c', 'x') FROM c;",
         "more than the table's size", 39},
        {"too many rows",
         TABLE "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
               "LIMIT 1001) SELECT i, 1 FROM c;",
         "more than 1000 rows", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct table_script *script = NULL;
        struct error e = {.offset = -1};
        const struct table_script_options options = {"t", cases[i].sql, 1 << 20, 1000};
        enum err rc = table_script_run(&script, &options, &e);
        if (cases[i].want == NULL) {
            assert_ok(rc, e);
            assert_true(table_script_data(script)->row_count > 0 || i == 4);
        } else if (rc != ERR_CONFIG || strstr(e.text, cases[i].want) == NULL ||
                   e.offset != cases[i].offset) {
            fail_msg("%s: %s (%d)", cases[i].why, e.text, e.offset);
        }
        table_script_destroy(script);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_joined_replaced_and_kept),
        TEST(a_join_by_key_is_one_look_up),
        TEST(what_is_refused_changes_nothing),
        TEST(columns_may_come_and_change_their_kind),
        TEST(a_reader_sees_all_or_nothing),
        TEST(only_tables_of_ours_are_dropped),
        TEST(a_rule_sees_the_table_after_its_event),
        TEST(rows_are_bounded_by_number_and_age),
        TEST(an_event_that_a_table_cannot_take_is_rejected),
        TEST(latest_has_the_last_event_of_each_device_and_type),
        TEST(a_round_that_is_undone_feeds_once),
        TEST(a_rule_that_runs_for_ever_stops_no_table),
        TEST(bad_tables_are_explained),
        cmocka_unit_test(scripts_make_a_table_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
