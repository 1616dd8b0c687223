// workflow_support.h - a space for expressions of workflows, and one event in it.
#ifndef PIPIT_TESTS_WORKFLOW_SUPPORT_H
#define PIPIT_TESTS_WORKFLOW_SUPPORT_H

#include <stdlib.h>

#include "core/workflow_definition.h"
#include "event_support.h"

#define NOW_MS 1700000001000

struct workflow_fixture {
    sqlite3 *db;
    struct rule_space *space;
    struct event_batch *batch;
    struct message message;
    struct event_memory memory;
    struct error e;
};

static inline int workflow_setup(void **state)
{
    static const char tables[] = "CREATE TABLE limits(device TEXT PRIMARY KEY, top REAL);"
                                 "INSERT INTO limits VALUES('d1', 30), ('d2', 50);"
                                 "CREATE TABLE pipit_outbox(id INTEGER PRIMARY KEY, payload BLOB);";
    struct workflow_fixture *fixture = calloc(1, sizeof(*fixture));
    assert_int_equal(sqlite3_open(":memory:", &fixture->db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(fixture->db, tables, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(rule_space_get(fixture->db, &fixture->space, &fixture->e), ERR_OK);
    assert_int_equal(event_batch_create(&fixture->batch, 4, &fixture->e), ERR_OK);
    event_memory_init(&fixture->memory);
    *state = fixture;
    return 0;
}

static inline int workflow_teardown(void **state)
{
    struct workflow_fixture *fixture = *state;
    event_memory_deinit(&fixture->memory);
    event_batch_destroy(fixture->batch);
    assert_int_equal(sqlite3_close(fixture->db), SQLITE_OK); // No statement is left.
    free(fixture);
    return 0;
}

// The one event that there is, from now on.
static inline void workflow_put(struct workflow_fixture *fixture, const char *topic,
                                const char *payload)
{
    struct event *event;
    event_batch_clear(fixture->batch);
    fixture->message = message_of(topic, bytes_from_text(payload));
    if (event_batch_add(fixture->batch, &fixture->message, &event, &fixture->e) != ERR_OK ||
        event_validate(event, &fixture->e) != ERR_OK) {
        fail_msg("%s", fixture->e.text);
    }
}

// As a test reads it: JSON, or what JSON has not.
static inline void workflow_print(const struct event_value *value, char *out_text, size_t size)
{
    json_t *json = NULL;
    struct error e;
    if (query_value_to_json(value, &json, &e) != ERR_OK) {
        snprintf(out_text, size, "%s", e.text);
        return;
    }
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    snprintf(out_text, size, "%s", text);
    free(text);
    json_decref(json);
}

#endif
