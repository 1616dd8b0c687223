// SQL over topic filters: which columns there are, what may be said, what an event's failure costs.
#include "core/rule_statement.h"
#include "rules_support.h"

#define JSON                                                                                       \
    "{\"celsius\":31.5,\"on\":true,\"location\":{\"lat\":1.25,\"tags\":[\"x\",\"y\"]},"            \
    "\"n\":3,\"time\":\"noon\",\"none\":null,\"a.b\":\"dotted\"}"

static void columns_are_found_by_name(void **state)
{
    static const struct {
        const char *why, *sql, *want;
    } cases[] = {
        {"a field", "SELECT celsius FROM \"a/+\"", "{\"celsius\":31.5}"},
        {"a field under an alias of the table", "SELECT e.celsius FROM \"a/+\" AS e",
         "{\"celsius\":31.5}"},
        {"arithmetic", "SELECT celsius * 1.8 + 32 AS f FROM \"a/#\"", "{\"f\":88.7}"},
        {"a boolean stays one", "SELECT \"on\" FROM \"a/+\"", "{\"on\":true}"},
        {"an expression's boolean is a number", "SELECT \"on\" + 0 AS n FROM \"a/+\"", "{\"n\":1}"},
        {"a dotted path", "SELECT \"location.lat\" AS lat FROM \"a/+\"", "{\"lat\":1.25}"},
        {"an item of a list", "SELECT \"location.tags.1\" AS t FROM \"a/+\"", "{\"t\":\"y\"}"},
        {"an object stays JSON", "SELECT location FROM \"a/+\"",
         "{\"location\":{\"lat\":1.25,\"tags\":[\"x\",\"y\"]}}"},
        {"JSON of SQL stays JSON", "SELECT json_object('a', n) AS o FROM \"a/+\"",
         "{\"o\":{\"a\":3}}"},
        {"null is null", "SELECT none, absent FROM \"a/+\"", "{\"none\":null,\"absent\":null}"},
        {"a name with a dot in it", "SELECT \"a.b\" AS d FROM \"a/+\"", "{\"d\":\"dotted\"}"},
        {"standard columns come first", "SELECT time, received FROM \"a/+\"",
         "{\"time\":null,\"received\":1700000000123}"},
        {"a field called like one", "SELECT \"fields.time\" AS t FROM \"a/+\"", "{\"t\":\"noon\"}"},
        {"topic_part", "SELECT topic_part(2) AS p, topic_part(3) AS q FROM \"a/+\"",
         "{\"p\":\"b\",\"q\":null}"},
        {"now_ms", "SELECT now_ms() AS t FROM \"a/+\"", "{\"t\":1700000001000}"},
        {"fields", "SELECT json_extract(fields(), '$.n') AS n FROM \"a/+\"", "{\"n\":3}"},
        {"fields as a column", "SELECT fields ->> '$.n' AS n FROM \"a/+\"", "{\"n\":3}"},
        {"payload", "SELECT length(payload) > 9 AS p, typeof(payload) AS t FROM \"a/+\"",
         "{\"p\":1,\"t\":\"text\"}"},
        {"a field called rowid", "SELECT rowid FROM \"a/+\"", "{\"rowid\":null}"},
        {"an alias in WHERE", "SELECT celsius AS c FROM \"a/+\" WHERE c > 31", "{\"c\":31.5}"},
        {"in a subquery",
         "SELECT n FROM \"a/+\" WHERE EXISTS (SELECT 1 FROM limits WHERE top < celsius)",
         "{\"n\":3}"},
        {"a trailing semicolon and comment", "SELECT n FROM \"a/+\"; -- that is all\n",
         "{\"n\":3}"},
        {"brackets", "SELECT [n] FROM [a/+]", "{\"n\":3}"},
        {"a window of one event", "SELECT row_number() OVER () AS r FROM \"a/+\"", "{\"r\":1}"},
        {"an aggregate", "SELECT count(*) AS c, topic_part(1) AS p FROM \"a/+\"",
         "{\"c\":1,\"p\":\"a\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[300];
        snprintf(want, sizeof(want), "0.0.0.0 a/b|out|%s\n", cases[i].want);
        rules_expect(*state, cases[i].sql, "a/b", JSON, want);
    }
}

static void what_other_payloads_give(void **state)
{
    static const struct {
        const char *why, *payload, *sql, *want;
    } cases[] = {
        {"a bare number", "23.5", "SELECT value FROM \"a/+\"", "{\"value\":23.5}"},
        {"a bare boolean", "true", "SELECT value FROM \"a/+\"", "{\"value\":true}"},
        {"a list", "[{\"t\":1},{\"t\":2}]", "SELECT \"1.t\" AS t FROM \"a/+\"", "{\"t\":2}"},
        {"text", "on", "SELECT payload, value FROM \"a/+\"", "{\"payload\":\"on\",\"value\":null}"},
        {"bytes", "\xff\xfe", "SELECT hex(payload) AS h FROM \"a/+\"", "{\"h\":\"FFFE\"}"},
        {"a large number", "{\"n\":9007199254740993}", "SELECT n FROM \"a/+\"",
         "{\"n\":9007199254740993}"},
        {"digits that are needed", "{\"x\":0.1,\"y\":0.30000000000000004}", "SELECT x FROM \"a/+\"",
         "{\"x\":0.1}"},
        {"json_each", "{\"m\":[1,2]}",
         "SELECT value AS v FROM \"a/+\" JOIN json_each(m) AS j WHERE j.value > 1", "{\"v\":2}"},
    };
    for (size_t i = 0; i + 1 < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[300];
        snprintf(want, sizeof(want), "0.0.0.0 a/b|out|%s\n", cases[i].want);
        rules_expect(*state, cases[i].sql, "a/b", cases[i].payload, want);
    }
    rules_expect(*state, "SELECT j.value AS v FROM \"a/+\" JOIN json_each(m) AS j", "a/b",
                 "{\"m\":[1,{\"k\":2}]}",
                 "0.0.0.0 a/b|out|{\"v\":1}\n0.0.1.0 a/b|out|{\"v\":{\"k\":2}}\n");
}

static void pipit_events_have_columns(void **state)
{
    struct rules_fixture *fixture = *state;
    assert_int_equal(rules_compile(fixture, "SELECT * FROM \"pipit/v1/+/+/event/#\""), ERR_OK);
    Pipit__V1__Field single = field_of("celsius");
    single.value_case = PIPIT__V1__FIELD__VALUE_SINGLE;
    single.single = 27.1F;
    rules_put(fixture, "pipit/v1/g/d/event/t/u",
              pack_event(fixture->buffers[0], "t/u", 42, &single, 1));
    assert_string_equal(
        rules_output(fixture),
        "0.0.0.0 "
        "pipit/v1/g/d/event/t/u|out|{\"id\":\"g/d/7/42\",\"topic\":\"pipit/v1/g/d/event/t/u\","
        "\"device\":\"d\",\"device_group\":\"g\",\"type\":\"t/u\",\"time\":1700000000000,"
        "\"received\":1700000000123,\"boot\":7,\"sequence\":42,\"qos\":1,\"retain\":false,"
        "\"content_type\":null,\"fields\":{\"celsius\":27.1}}\n");
}

static void user_properties_are_read_by_name(void **state)
{
    struct rules_fixture *fixture = *state;
    const struct user_property properties[] = {
        {bytes_from_text("traceparent"), bytes_from_text("00-ab")},
        {bytes_from_text("site"), bytes_from_text("north")},
        {bytes_from_text("site"), bytes_from_text("south")}};
    assert_int_equal(rules_compile(fixture, "SELECT prop('site') AS s, prop('none') AS n FROM "
                                            "\"a/+\" WHERE prop('traceparent') LIKE '00-%'"),
                     ERR_OK);
    rules_put_text(fixture, "a/b", "1");
    rules_put_text(fixture, "a/c", "1");
    fixture->messages[1].properties = properties;
    fixture->messages[1].property_count = 3;
    assert_string_equal(rules_output(fixture), "0.1.0.0 a/c|out|{\"s\":\"north\",\"n\":null}\n");
}

static void bad_sql_is_explained(void **state)
{
    static const struct {
        const char *sql, *want;
        int32_t offset;
    } cases[] = {
        {"SELEC 1", "near \"SELEC\": syntax error", 0},
        {"SELECT a FROM \"a/+\" WHRE x", "near", -2},
        {"SELECT n FROM \"a/+\" WHERE time > now_ms() - 1 h",
         "near \"h\": syntax error; durations in expressions are milliseconds: 3600000 for 1 h",
         46},
        {"", "the statement is empty", 0},
        {"SELECT 1", "reads no topic filter", 0},
        {"SELECT top FROM limits", "reads no topic filter", 0},
        {"SELECT a FROM telemetry", "a topic filter has a /", 14},
        {"SELECT a FROM \"a/#/b\"", "has a # that is not its last level", 15},
        {"SELECT 1 FROM \"a/+\", \"b/+\"", "reads two topic filters, \"a/+\" and \"b/+\"", -2},
        {"SELECT 1 FROM \"a/+\" AS x, \"a/+\" AS y", "more than once", -1},
        {"SELECT 1 FROM \"a/+\" AS x, \"A/+\" AS y", "more than once", -1},
        {"SELECT n FROM \"a/+\"; SELECT 2", "there is a second one", 20},
        {"EXPLAIN SELECT n FROM \"a/+\"", "not an EXPLAIN", 0},
        {"SELECT location.lat FROM \"a/+\"", "written in double quotes", -2},
        {"SELECT nofunction(n) FROM \"a/+\"", "no such function: nofunction", 7},
        {"SELECT random() FROM \"a/+\"", "not authorized to use function: random", -2},
        {"SELECT load_extension('x') FROM \"a/+\"", "not authorized to use function", -2},
        {"SELECT zeroblob(1000000000) FROM \"a/+\"", "not authorized to use function", -2},
        {"SELECT o.payload FROM \"a/+\" JOIN pipit_outbox AS o", "prohibited", -2},
        {"SELECT count(*) FROM \"a/+\" JOIN pipit_outbox", "not authorized", -2},
        {"SELECT sql FROM \"a/+\" JOIN sqlite_master", "prohibited", -2},
        {"SELECT 1 FROM \"a/+\" JOIN pragma_table_info('limits')", "", -2},
        {"DELETE FROM limits", "not authorized", -2},
        {"DROP TABLE limits", "not authorized", -2},
        {"ATTACH 'x' AS y", "not authorized", -2},
        {"PRAGMA journal_mode=OFF", "not authorized", -2},
        {"INSERT INTO limits SELECT topic, 1 FROM \"a/+\"", "not authorized", -2},
        {"SELECT pipit_rule_space(1) FROM \"a/+\"", "not authorized to use function", -2},
        {"SELECT ?1 FROM \"a/+\"", "has no parameters", -1},
    };
    struct rules_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum err rc = rules_compile(fixture, cases[i].sql);
        if (rc != ERR_CONFIG || strstr(fixture->e.text, cases[i].want) == NULL ||
            strncmp(fixture->e.text, "rule \"r\": ", 10) != 0) {
            fail_msg("%s: %d %s", cases[i].sql, rc, fixture->e.text);
        }
        if (cases[i].offset != -2) {
            assert_int_equal(fixture->e.offset, cases[i].offset);
        }
    }
    // And nothing was changed by any of them.
    rules_expect(fixture, "SELECT count(*) AS c FROM \"a/+\" JOIN limits", "a/b", "{}",
                 "0.0.0.0 a/b|out|{\"c\":2}\n");
}

static void rules_match_by_filter_in_their_order(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->rule_specs[1].sql = "SELECT max FROM \"a/+\""; // Another's column, not rule 2's.
    fixture->rule_specs[2].sql = "SELECT n AS max FROM \"a/+\" WHERE max > 2";
    fixture->rule_specs[3].sql = "SELECT n FROM \"A/#\""; // Differs by case only.
    fixture->spec.rule_count = 4;
    assert_int_equal(rules_compile(fixture, "SELECT n FROM \"#\""), ERR_OK);
    assert_string_equal(rules_filter(fixture->rules, 3), "A/#");
    rules_put_text(fixture, "a/b", "{\"n\":3,\"max\":9}");
    rules_put_text(fixture, "$SYS/x", "{\"n\":4}");
    rules_put_text(fixture, "A/b", "{\"n\":5}");
    rules_put_text(fixture, "a/c", "{\"n\":1}");
    fixture->wants_runs = true;
    assert_string_equal(rules_output(fixture), "0.0.0.0 a/b|out|{\"n\":3}\n0.0 ran: 1\n"
                                               "0.2.0.0 A/b|out|{\"n\":5}\n0.2 ran: 1\n"
                                               "0.3.0.0 a/c|out|{\"n\":1}\n0.3 ran: 1\n"
                                               "1.0.0.0 a/b|out|{\"max\":9}\n1.0 ran: 1\n"
                                               "1.3.0.0 a/c|out|{\"max\":null}\n1.3 ran: 1\n"
                                               "2.0.0.0 a/b|out|{\"max\":3}\n2.0 ran: 1\n"
                                               "2.3 ran: 0\n"
                                               "3.2.0.0 A/b|out|{\"n\":5}\n3.2 ran: 1\n");
    fixture->is_skipped[0] = fixture->is_skipped[2] = true;
    assert_string_equal(rules_output(fixture),
                        "0.3.0.0 a/c|out|{\"n\":1}\n0.3 ran: 1\n"
                        "1.3.0.0 a/c|out|{\"max\":null}\n1.3 ran: 1\n2.3 ran: 0\n");
}

static int times_compiled_anew(sqlite3 *db)
{
    int times = 0;
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s != NULL; s = sqlite3_next_stmt(db, s)) {
        times += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_REPREPARE, 0);
    }
    return times;
}

// Each has columns of its own, and still SQLite forgets none for the other.
static void rules_of_one_filter_are_compiled_once(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->rule_specs[1].sql = "SELECT max, n FROM \"a/+\"";
    fixture->rule_specs[2].sql = "SELECT \"A/+\".other AS o FROM \"A/+\"";
    fixture->spec.rule_count = 3;
    assert_int_equal(rules_compile(fixture, "SELECT n, min FROM \"a/+\""), ERR_OK);
    rules_put_text(fixture, "a/b", "{\"n\":3,\"max\":9,\"min\":1}");
    rules_output(fixture);
    int times = times_compiled_anew(fixture->db);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(rules_output(fixture), "0.0.0.0 a/b|out|{\"n\":3,\"min\":1}\n"
                                                   "1.0.0.0 a/b|out|{\"max\":9,\"n\":3}\n");
    }
    assert_int_equal(times_compiled_anew(fixture->db), times);
}

static void what_has_no_name_is_not_called_after_the_table(void **state)
{
    struct rules_fixture *fixture = *state;
    assert_int_equal(rules_compile(fixture, "SELECT \"a/+\".n * 2 FROM \"a/+\""), ERR_CONFIG);
    assert_non_null(strstr(fixture->e.text, "column 1 has no name: write AS <name>"));
    assert_int_equal(rules_compile(fixture, "SELECT n, nosuch() FROM \"a/+\" WHERE \"a/+\".x"),
                     ERR_CONFIG);
    assert_null(strchr(fixture->e.text, 1));
}

// After a change of the schema SQLite compiles its statements anew: each finds its own columns
// again.
static void rules_survive_a_change_of_the_schema(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->rule_specs[1].sql = "SELECT max, n FROM \"a/+\"";
    fixture->spec.rule_count = 2;
    assert_int_equal(rules_compile(fixture, "SELECT n, min FROM \"a/+\""), ERR_OK);
    rules_put_text(fixture, "a/b", "{\"n\":3,\"max\":9,\"min\":1}");
    static const char want[] = "0.0.0.0 a/b|out|{\"n\":3,\"min\":1}\n"
                               "1.0.0.0 a/b|out|{\"max\":9,\"n\":3}\n";
    assert_string_equal(rules_output(fixture), want);
    assert_int_equal(sqlite3_exec(fixture->db, "CREATE TABLE more(a)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_string_equal(rules_output(fixture), want);
    // A second set that fails to compile leaves the first at work.
    struct core_spec bad = fixture->spec;
    struct rule_spec specs[2] = {fixture->rule_specs[1], fixture->rule_specs[0]};
    struct rules *rules = NULL;
    specs[1].sql = "SELECT nofunction(n) FROM \"a/+\"";
    bad.rules = specs;
    assert_int_equal(rules_open(&rules, fixture->db, &bad, &fixture->e), ERR_CONFIG);
    assert_string_equal(rules_output(fixture), want);
    assert_int_equal(sqlite3_exec(fixture->db, "DROP TABLE more", NULL, NULL, NULL), SQLITE_OK);
    assert_string_equal(rules_output(fixture), want);
}

static void a_failure_costs_one_event(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *why, *sql, *topic, *want;
    } cases[] = {
        {"SQLite stops", "SELECT abs(n) AS a FROM \"x/+\"", "out", "rule \"r\": integer overflow"},
        {"a blob in JSON", "SELECT CASE WHEN n < 0 THEN x'01' ELSE n END AS a FROM \"x/+\"", "out",
         "rule \"r\": column \"a\" is a blob, which JSON has not"},
        {"infinity", "SELECT CASE WHEN n < 0 THEN 9e999 ELSE n END AS a FROM \"x/+\"", "out",
         "rule \"r\": column \"a\" is an infinite number"},
        {"text that is not UTF-8",
         "SELECT CASE WHEN n < 0 THEN CAST(x'ff' AS TEXT) ELSE n END AS a FROM \"x/+\"", "out",
         "rule \"r\": column \"a\" is not valid UTF-8"},
        {"NULL in a topic", "SELECT CASE WHEN n > 0 THEN n END AS a FROM \"x/+\"", "out/{a}",
         "rule \"r\": topic \"out/{a}\": column \"a\" is NULL and would leave a level"},
        {"a wildcard in a topic", "SELECT CASE WHEN n > 0 THEN n ELSE '+' END AS a FROM \"x/+\"",
         "out/{a}", "rule \"r\": the topic \"out/+\" made of \"out/{a}\" holds the wildcard +"},
        {"too many instructions",
         "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT n AS a FROM "
         "\"x/+\" WHERE n > 0 OR (SELECT count(*) FROM c) > 0",
         "out", "rule \"r\": more than 20000 SQLite instructions for one event"},
        {"too many rows",
         "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c LIMIT 1001) SELECT n AS a "
         "FROM \"x/+\" JOIN c WHERE n < 0 OR i = 1",
         "out", "rule \"r\": more than 1000 rows for one event"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->routes[0].topic = cases[i].topic;
        fixture->spec.rule_steps_max = i + 1 == sizeof(cases) / sizeof(cases[0]) ? 1000000 : 20000;
        if (rules_compile(fixture, cases[i].sql) != ERR_OK) {
            fail_msg("%s: %s", cases[i].why, fixture->e.text);
        }
        rules_clear(fixture);
        rules_put_text(fixture, "x/1", "{\"n\":1}");
        rules_put_text(fixture, "x/2", "{\"n\":-9223372036854775808}");
        rules_put_text(fixture, "x/3", "{\"n\":3}");
        const char *have = rules_output(fixture);
        char first[100], last[100];
        bool is_counted = strchr(cases[i].topic, '{') != NULL;
        snprintf(first, sizeof(first),
                 "0.0.0.0 x/1|out%s|{\"a\":1}\n0.1 failed: ", is_counted ? "/1" : "");
        snprintf(last, sizeof(last), "\n0.2.0.0 x/3|out%s|{\"a\":3}\n", is_counted ? "/3" : "");
        if (strncmp(have, first, strlen(first)) != 0 || strstr(have, cases[i].want) == NULL ||
            strcmp(have + strlen(have) - strlen(last), last) != 0) {
            fail_msg("%s: %s", cases[i].why, have);
        }
    }
}

// A failing later row takes the event's earlier rows with it.
static void an_event_is_all_or_nothing(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->wants_runs = true;
    rules_expect(fixture, "SELECT abs(j.value) AS v FROM \"a/+\" JOIN json_each(m) AS j", "a/b",
                 "{\"m\":[1,2,-9223372036854775808]}",
                 "0.0 failed: rule \"r\": integer overflow\n");
}

// Events of one batch against the same events one by one, over statements of all kinds.
static void a_batch_gives_what_single_events_give(void **state)
{
    struct rules_fixture *fixture = *state;
    static const char *const statements[] = {
        "SELECT n, topic FROM \"p/#\"",
        "SELECT n FROM \"p/#\" WHERE n % 2 = 0 AND topic_part(2) = 'a'",
        "SELECT n FROM \"p/#\" WHERE topic_part(2) = 'a' OR n > 5",
        "SELECT n FROM \"p/#\" LIMIT 1",
        "SELECT n FROM \"p/#\" LIMIT 1 OFFSET 1",
        "SELECT DISTINCT n % 2 AS m FROM \"p/#\"",
        "SELECT sum(n) AS s, count(*) AS c FROM \"p/#\"",
        "SELECT n, count(*) AS c FROM \"p/#\" GROUP BY n",
        "SELECT n FROM \"p/#\" ORDER BY n DESC",
        "SELECT lag(n) OVER (ORDER BY n) AS before, n FROM \"p/#\"",
        "SELECT e.n, l.top FROM \"p/#\" AS e JOIN limits AS l ON l.device = e.d",
        "SELECT e.n, l.top FROM \"p/#\" AS e LEFT JOIN limits AS l ON l.device = e.d",
        "SELECT e.n, l.top FROM limits AS l CROSS JOIN \"p/#\" AS e",
        "SELECT e.n FROM limits AS l LEFT JOIN \"p/#\" AS e ON l.device = e.d",
        "SELECT n FROM \"p/#\" WHERE d IN ('d1', 'd2', 'd3')",
        "SELECT n FROM \"p/#\" WHERE d IN (SELECT device FROM limits WHERE top > n)",
        "SELECT n, (SELECT top FROM limits WHERE device = d) AS top FROM \"p/#\"",
        "SELECT n FROM \"p/#\" WHERE n > (SELECT min(top) FROM limits WHERE device = "
        "coalesce(topic_part(3), 'd1')) - 28",
        "SELECT n FROM \"p/#\" WHERE EXISTS (SELECT 1 FROM limits WHERE device = d AND top > n * "
        "5)",
        "SELECT n, j.value AS v FROM \"p/#\" JOIN json_each(m) AS j WHERE j.value <> n",
        "SELECT j.value AS v FROM \"p/#\" JOIN json_each(fields(), '$.m') AS j",
        "SELECT s.n FROM (SELECT n, d FROM \"p/#\" WHERE n > 2) AS s WHERE s.d = 'd1'",
        "WITH w AS (SELECT max(n) AS n FROM \"p/#\") SELECT n FROM w",
        "SELECT n FROM \"p/#\" UNION ALL SELECT top FROM limits",
        "SELECT n FROM \"p/#\" UNION SELECT top FROM limits",
        "SELECT abs(n) AS a FROM \"p/#\"",
        "SELECT abs(n) AS a, j.value AS v FROM \"p/#\" JOIN json_each(m) AS j",
        "SELECT 10 / (n - 3) AS q, n BETWEEN 2 AND 4 AS b, n IS NULL AS z, d LIKE 'D%' AS l FROM "
        "\"p/#\"",
        "SELECT CASE d WHEN 'd1' THEN n WHEN 'd2' THEN -n END AS c FROM \"p/#\" WHERE n NOT NULL",
        "SELECT n FROM \"p/#\" WHERE abs(-9223372036854775808) > 0",
        "SELECT n FROM \"p/#\" WHERE 0",
        "SELECT datetime('now') = datetime('now') AS same, now_ms() AS t FROM \"p/#\"",
    };
    static char payloads[24][160], topics[24][32];
    for (uint32_t i = 0; i < 24; i++) {
        snprintf(topics[i], sizeof(topics[i]), i % 4 == 3 ? "p/%c/d%u" : "p/%c", "ab"[i % 2],
                 i % 3);
        if (i % 11 == 5) {
            snprintf(payloads[i], sizeof(payloads[i]), "{\"n\":-9223372036854775808,\"m\":[1]}");
        } else {
            snprintf(payloads[i], sizeof(payloads[i]), "{\"n\":%u,\"d\":\"d%u\",\"m\":[%u,%u]}",
                     i % 7, i % 4, i % 3, i);
        }
        rules_put_text(fixture, topics[i], payloads[i]);
    }
    fixture->wants_runs = true;
    for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (rules_compile(fixture, statements[i]) != ERR_OK) {
            fail_msg("%s: %s", statements[i], fixture->e.text);
        }
        char *batched = strdup(rules_output(fixture));
        rules_set_batched(fixture->rules, false);
        const char *single = rules_output(fixture);
        if (strcmp(batched, single) != 0) {
            fail_msg("%s\nbatched:\n%s\nsingle:\n%s", statements[i], batched, single);
        }
        free(batched);
    }
}

// What runs once over a batch, and what must not.
static void plain_scans_are_known(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        const char *sql;
        bool is_plain;
    } cases[] = {
        {"SELECT n FROM \"a/+\"", true},
        {"SELECT device, celsius * 1.8 + 32 AS f, time FROM \"a/+\" WHERE celsius > 30", true},
        {"SELECT \"data.temp\" AS t FROM \"a/+\" WHERE t > 25 AND topic_part(2) LIKE 'b%'", true},
        {"SELECT json_object('a', n) AS o FROM \"a/+\"", true},
        {"SELECT n, top FROM \"a/+\" AS e JOIN limits AS l ON l.device = e.d", true},
        {"SELECT n, top FROM \"a/+\" AS e JOIN limits AS l ON l.device = topic_part(2)", true},
        {"SELECT n FROM \"a/+\" JOIN limits AS l ON l.device = topic_part(2) WHERE n > l.top",
         true},
        {"SELECT value FROM \"a/+\" JOIN json_each(m)", true},
        {"SELECT count(*) FROM \"a/+\"", false},
        {"SELECT n FROM \"a/+\" LIMIT 1", false},
        {"SELECT n FROM \"a/+\" LIMIT -1 OFFSET 1", false},
        {"SELECT DISTINCT n FROM \"a/+\"", false},
        {"SELECT n FROM \"a/+\" ORDER BY n", false},
        {"SELECT n FROM \"a/+\" UNION ALL SELECT top FROM limits", false},
        {"SELECT top FROM limits UNION ALL SELECT n FROM \"a/+\"", false},
        {"SELECT n FROM limits CROSS JOIN \"a/+\"", false},
        {"SELECT n FROM \"a/+\" WHERE n > (SELECT max(top) FROM limits WHERE device = "
         "topic_part(2))",
         false},
        {"SELECT row_number() OVER () FROM \"a/+\"", false},
    };
    struct rule_space *space;
    assert_int_equal(rule_space_get(fixture->db, &space, &fixture->e), ERR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rule_statement *statement;
        assert_int_equal(rule_statement_create(&statement, space, cases[i].sql, &fixture->e),
                         ERR_OK);
        if (statement->is_plain != cases[i].is_plain) {
            fail_msg("%s", cases[i].sql);
        }
        rule_statement_destroy(statement);
    }
}

static void identities_are_set_by_expressions(void **state)
{
    struct rules_fixture *fixture = *state;
    fixture->spec.identity_count = 1;
    fixture->identities[0] = (struct identity_spec){.name = "legacy",
                                                    .from = "legacy/+/telemetry",
                                                    .device = "topic_part(2)",
                                                    .sequence = "n",
                                                    .boot = "\"boot.count\"",
                                                    .time = "at -- milliseconds or text"};
    assert_int_equal(rules_compile(fixture, "SELECT id, time FROM \"legacy/#\""), ERR_OK);
    static const char *const payloads[] = {
        "{\"n\":5,\"boot.count\":2,\"at\":1700000000000}",
        "{\"n\":6.0,\"boot.count\":2,\"at\":\"2023-11-14T22:13:20.5Z\"}",
        "{\"n\":7,\"boot.count\":2}",
        "{\"boot.count\":2}",
        "{\"n\":\"8\",\"boot.count\":2}",
        "{\"n\":9,\"boot.count\":-1}",
        "{\"n\":9,\"boot.count\":1,\"at\":\"yesterday\"}",
    };
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        rules_put_text(fixture, "legacy/p1/telemetry", payloads[i]);
    }
    const struct rule_sink sink = {fixture, log_output, log_failure, log_run};
    assert_int_equal(rules_identify(fixture->rules, fixture->batch, fixture->is_skipped, NOW_MS,
                                    &sink, &fixture->e),
                     ERR_OK);
    assert_string_equal(
        fixture->log,
        "-1.3 failed: identity \"legacy\": sequence must be a whole number from 1 on; it is NULL\n"
        "-1.4 failed: identity \"legacy\": sequence must be a whole number from 1 on\n"
        "-1.5 failed: identity \"legacy\": boot must be a whole number from 0 to 4294967295\n"
        "-1.6 failed: identity \"legacy\": time must be milliseconds since 1970, or a text such as "
        "2026-01-31T12:00:00Z\n");
    assert_true(fixture->is_skipped[3]);
    assert_string_equal(event_identity(event_batch_at(fixture->batch, 0))->key, "legacy/p1");
    assert_string_equal(
        rules_output(fixture),
        "0.0.0.0 legacy/p1/telemetry|out|{\"id\":\"legacy/p1/2/5\",\"time\":1700000000000}\n"
        "0.1.0.0 legacy/p1/telemetry|out|{\"id\":\"legacy/p1/2/6\",\"time\":1700000000500}\n"
        "0.2.0.0 legacy/p1/telemetry|out|{\"id\":\"legacy/p1/2/7\",\"time\":null}\n");
}

static void bad_identities_are_explained(void **state)
{
    struct rules_fixture *fixture = *state;
    static const struct {
        struct identity_spec spec;
        const char *want;
        int32_t offset;
    } cases[] = {
        {{"legacy", "legacy/#/x", "topic_part(2)", NULL, NULL, NULL},
         "identity \"legacy\": from: topic filter",
         -1},
        {{"legacy", "legacy/+", "topic_part(2)", "n +* 1", NULL, NULL},
         "identity \"legacy\": sequence: near \"*\": syntax error",
         3},
        {{"legacy", "legacy/+", "nofunction(2)", NULL, NULL, NULL},
         "identity \"legacy\": device: no such function",
         0},
        {{"a/b", "legacy/+", "topic_part(2)", NULL, NULL, NULL}, "without / + #", -1},
    };
    fixture->spec.identity_count = 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture->identities[0] = cases[i].spec;
        assert_int_equal(rules_compile(fixture, "SELECT n FROM \"a/+\""), ERR_CONFIG);
        if (strstr(fixture->e.text, cases[i].want) == NULL ||
            fixture->e.offset != cases[i].offset) {
            fail_msg("%s (%d)", fixture->e.text, fixture->e.offset);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rules_setup, rules_teardown)
    const struct CMUnitTest tests[] = {
        TEST(columns_are_found_by_name),
        TEST(what_other_payloads_give),
        TEST(pipit_events_have_columns),
        TEST(user_properties_are_read_by_name),
        TEST(bad_sql_is_explained),
        TEST(rules_match_by_filter_in_their_order),
        TEST(rules_survive_a_change_of_the_schema),
        TEST(rules_of_one_filter_are_compiled_once),
        TEST(what_has_no_name_is_not_called_after_the_table),
        TEST(a_failure_costs_one_event),
        TEST(an_event_is_all_or_nothing),
        TEST(a_batch_gives_what_single_events_give),
        TEST(plain_scans_are_known),
        TEST(identities_are_set_by_expressions),
        TEST(bad_identities_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
