// rules_support.h - rules over messages in memory, with everything that comes out kept as lines of
// text.
#ifndef PIPIT_TESTS_RULES_SUPPORT_H
#define PIPIT_TESTS_RULES_SUPPORT_H

#include <stdlib.h>

#include "core/rules.h"
#include "event_support.h"

#define MESSAGES_MAX 64
#define NOW_MS       1700000001000

struct rules_fixture {
    sqlite3 *db;
    struct rules *rules;
    struct route_spec routes[4];
    struct rule_spec rule_specs[4];
    struct identity_spec identities[2];
    struct core_spec spec;
    struct event_batch *batch;
    struct message messages[MESSAGES_MAX];
    uint8_t buffers[MESSAGES_MAX][512];
    uint32_t count;
    bool is_skipped[MESSAGES_MAX];
    char log[65536]; // One line an output, failure or run.
    size_t log_len;
    bool wants_runs;
    struct error e;
};

static inline void rules_log(struct rules_fixture *fixture, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline void rules_log(struct rules_fixture *fixture, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(fixture->log + fixture->log_len, sizeof(fixture->log) - fixture->log_len,
                        format, args);
    va_end(args);
    fixture->log_len += (size_t)len;
    assert_true(fixture->log_len < sizeof(fixture->log));
}

static inline enum err log_output(void *context, const struct rule_output *output, struct error *e)
{
    (void)e;
    rules_log(context, "%u.%u.%u.%u %.*s|%.*s|%.*s\n", output->rule_index, output->event_index,
              output->row_index, output->route_index, (int)output->key.len,
              (const char *)output->key.ptr, (int)output->topic.len,
              (const char *)output->topic.ptr, (int)output->payload.len,
              (const char *)output->payload.ptr);
    return ERR_OK;
}

static inline enum err log_failure(void *context, uint32_t event_index, uint32_t rule_index,
                                   const char *reason, struct error *e)
{
    (void)e;
    rules_log(context, "%d.%u failed: %s\n", (int)rule_index, event_index, reason);
    return ERR_OK;
}

static inline void log_run(void *context, uint32_t event_index, uint32_t rule_index, uint32_t rows)
{
    struct rules_fixture *fixture = context;
    if (fixture->wants_runs) {
        rules_log(fixture, "%u.%u ran: %u\n", rule_index, event_index, rows);
    }
}

static inline int rules_setup(void **state)
{
    struct rules_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(sqlite3_open(":memory:", &fixture->db), SQLITE_OK);
    static const char tables[] = "CREATE TABLE limits(device TEXT PRIMARY KEY, top REAL);"
                                 "INSERT INTO limits VALUES('d1', 30), ('d2', 50);"
                                 "CREATE TABLE pipit_outbox(id INTEGER PRIMARY KEY, payload BLOB);";
    assert_int_equal(sqlite3_exec(fixture->db, tables, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(event_batch_create(&fixture->batch, MESSAGES_MAX, &fixture->e), ERR_OK);
    fixture->routes[0] = (struct route_spec){.topic = "out"};
    for (size_t i = 0; i < 4; i++) {
        fixture->rule_specs[i] = (struct rule_spec){
            .name = "r", .routes = fixture->routes, .route_count = 1, .key = "topic"};
    }
    fixture->spec = (struct core_spec){.hub_id = "h",
                                       .rules = fixture->rule_specs,
                                       .rule_count = 1,
                                       .identities = fixture->identities,
                                       .rule_steps_max = 20000};
    *state = fixture;
    return 0;
}

static inline int rules_teardown(void **state)
{
    struct rules_fixture *fixture = *state;
    rules_close(fixture->rules);
    event_batch_destroy(fixture->batch);
    assert_int_equal(sqlite3_close(fixture->db), SQLITE_OK); // No statement is left.
    free(fixture);
    return 0;
}

// Opens the rules with this as the first one's SQL.
static inline enum err rules_compile(struct rules_fixture *fixture, const char *sql)
{
    fixture->rule_specs[0].sql = sql;
    rules_close(fixture->rules);
    fixture->rules = NULL;
    return rules_open(&fixture->rules, fixture->db, &fixture->spec, &fixture->e);
}

static inline void rules_put(struct rules_fixture *fixture, const char *topic, struct bytes payload)
{
    struct event *event;
    struct message *message = &fixture->messages[fixture->count++];
    *message = message_of(topic, payload);
    if (event_batch_add(fixture->batch, message, &event, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
}

static inline void rules_put_text(struct rules_fixture *fixture, const char *topic,
                                  const char *text)
{
    rules_put(fixture, topic, bytes_from_text(text));
}

static inline const char *rules_output(struct rules_fixture *fixture)
{
    const struct rule_sink sink = {fixture, log_output, log_failure, log_run};
    fixture->log_len = 0;
    fixture->log[0] = '\0';
    if (rules_run(fixture->rules, fixture->batch, fixture->is_skipped, NOW_MS, &sink,
                  &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
    return fixture->log;
}

static inline void rules_clear(struct rules_fixture *fixture)
{
    event_batch_clear(fixture->batch);
    fixture->count = 0;
}

// One rule over one message: what comes out.
static inline void rules_expect(struct rules_fixture *fixture, const char *sql, const char *topic,
                                const char *payload, const char *want)
{
    if (rules_compile(fixture, sql) != ERR_OK) {
        fail_msg("%s: %s", sql, fixture->e.text);
    }
    rules_clear(fixture);
    rules_put_text(fixture, topic, payload);
    const char *have = rules_output(fixture);
    if (strcmp(have, want) != 0) {
        fail_msg("%s\nwant %s\nhave %s", sql, want, have);
    }
}

#endif
