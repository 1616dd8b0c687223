#include "trial/case_instances.h"

#include <inttypes.h>
#include <jansson.h>

#include "core/sql.h"
#include "core/workflow_instance.h"
#include "trial/case_json.h"
#include "trial/case_match.h"

#define SHOWN_MAX 10 // Instances that a fault names.

// Steps that have ended, in order; then those in which tokens are that wait for no branches.
#define STEPS                                                                                      \
    "(SELECT json_group_array(CASE what WHEN 'done' THEN json_quote(step)"                         \
    " ELSE json_object(step, error) END) FROM (SELECT * FROM pipit_workflow_entry e"               \
    " WHERE e.instance = i.id AND e.step <> '' AND e.what IN ('done', 'error')"                    \
    " ORDER BY e.number))"
#define WAITING                                                                                    \
    "(SELECT json_group_array(step) FROM (SELECT DISTINCT t.key, e.step FROM"                      \
    " json_each(i.tokens) t JOIN pipit_workflow_entry e ON e.instance = i.id"                      \
    " AND e.execution = json_extract(t.value, '$[4]') AND e.step <> ''"                            \
    " WHERE NOT EXISTS (SELECT 1 FROM json_each(i.tokens) b"                                       \
    " WHERE json_extract(b.value, '$[1]') = json_extract(t.value, '$[0]')) ORDER BY t.key))"

static const char instances_sql[] =
    "SELECT i.id, i.state, i.error, i.reason, i.ended, coalesce(i.variables, i.start),"
    " i.result, " STEPS ", " WAITING " FROM pipit_workflow_instance i JOIN pipit_workflow w"
    " ON w.id = i.workflow WHERE w.name = ?1 AND i.key = ?2 ORDER BY i.id";

enum column { ID, STATE, ERROR, REASON, ENDED, VARIABLES, RESULT, STEPS_ENDED, STEPS_WAITING };

struct look {
    const struct instance_judge *judge;
    const struct case_instance *expected;
    sqlite3_stmt *row;
};

static const char *column_text(const struct look *look, int column)
{
    const char *text = (const char *)sqlite3_column_text(look->row, column);
    return text == NULL ? "" : text;
}

static const char *say(const struct look *look, const char *what, const char *expected,
                       const char *got)
{
    return arena_print(look->judge->arena, "%s: expected %s, got %s", what, expected,
                       got[0] == '\0' ? "nothing" : got);
}

static const char *json_member(const struct look *look, const char *what, const json_t *expected,
                               int column, bool is_subset)
{
    const struct json_compare how = {look->expected->tolerance, is_subset, look->judge->arena};
    if (expected == NULL) {
        return NULL;
    }
    json_t *got = json_loads(column_text(look, column), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const char *difference = json_difference(&how, expected, got);
    json_decref(got);
    return difference == NULL ? NULL : arena_print(look->judge->arena, "%s: %s", what, difference);
}

// What it ended with is told with another state than the one that was expected.
static const char *state_difference(const struct look *look)
{
    const char *expected = look->expected->state, *reason = column_text(look, REASON);
    int number = sqlite3_column_int(look->row, STATE);
    const char *state = workflow_state_names[number], *got = state;
    if (expected == NULL || strcmp(expected, state) == 0) {
        return NULL;
    }
    if (reason[0] != '\0' && number != INSTANCE_RUNNING) {
        got =
            arena_print(look->judge->arena, "%s (%s: %s)", state, column_text(look, ERROR), reason);
    }
    return say(look, "state", expected, got == NULL ? state : got);
}

static const char *plain_difference(const struct look *look)
{
    const struct case_instance *expected = look->expected;
    const char *difference = state_difference(look);
    if (difference != NULL) {
        return difference;
    }
    if (expected->error != NULL && strcmp(expected->error, column_text(look, ERROR)) != 0) {
        return say(look, "error", expected->error, column_text(look, ERROR));
    }
    if (expected->reason != NULL && strstr(column_text(look, REASON), expected->reason) == NULL) {
        return say(look, "reason", expected->reason, column_text(look, REASON));
    }
    if (expected->ended_ms != INT64_MIN &&
        (sqlite3_column_type(look->row, ENDED) == SQLITE_NULL ||
         sqlite3_column_int64(look->row, ENDED) != expected->ended_ms)) {
        bool is_over = sqlite3_column_type(look->row, ENDED) != SQLITE_NULL;
        return say(
            look, "ended", case_instant_text(look->judge->arena, expected->ended_ms),
            is_over ? case_instant_text(look->judge->arena, sqlite3_column_int64(look->row, ENDED))
                    : "");
    }
    return NULL;
}

static const char *difference_of(const struct look *look)
{
    const struct case_instance *expected = look->expected;
    const char *found = plain_difference(look);
    found = found != NULL ? found
                          : json_member(look, "variables", expected->variables, VARIABLES, true);
    found = found != NULL ? found : json_member(look, "result", expected->result, RESULT, true);
    found = found != NULL ? found : json_member(look, "steps", expected->steps, STEPS_ENDED, false);
    return found != NULL ? found
                         : json_member(look, "waiting", expected->waiting, STEPS_WAITING, false);
}

// Where it is and what it has done, for who looks for the reason.
static const char *describe(const struct look *look)
{
    const char *waiting = column_text(look, STEPS_WAITING);
    bool is_waiting = waiting[0] != '\0' && strcmp(waiting, "[]") != 0;
    return arena_print(look->judge->arena, "%s  steps %s%s%s  %s",
                       workflow_state_names[sqlite3_column_int(look->row, STATE)],
                       column_text(look, STEPS_ENDED), is_waiting ? "  waiting " : "",
                       is_waiting ? waiting : "", column_text(look, VARIABLES));
}

static const char *show_all(const struct look *look)
{
    const struct case_instance *expected = look->expected;
    json_t *json = json_object();
    const struct {
        const char *name;
        json_t *value;
    } members[] = {{"variables", expected->variables},
                   {"result", expected->result},
                   {"steps", expected->steps},
                   {"waiting", expected->waiting}};
    if (expected->state != NULL) {
        json_object_set_new(json, "state", json_string(expected->state));
    }
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (members[i].value != NULL) {
            json_object_set(json, members[i].name, members[i].value);
        }
    }
    const char *text = json_show(look->judge->arena, json);
    json_decref(json);
    return text;
}

static void judge_row(const struct look *look)
{
    const char *difference = difference_of(look);
    if (difference != NULL) {
        const struct case_instance *expected = look->expected;
        look->judge->fault(
            look->judge->context,
            (struct case_fault){expected->at,
                                arena_print(look->judge->arena, "%s/%s: %s", expected->workflow,
                                            expected->key, difference),
                                show_all(look), describe(look)});
    }
}

// Those of the workflow that there are, for who has the key wrong.
static const char *list_keys(const struct instance_judge *judge, const char *workflow)
{
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {
        "SELECT group_concat(key, ', ') FROM (SELECT DISTINCT i.key FROM pipit_workflow_instance i"
        " JOIN pipit_workflow w ON w.id = i.workflow WHERE w.name = ?1 ORDER BY i.id LIMIT 5)",
        &read};
    const char *keys = NULL;
    bool has_row = false;
    if (sql_prepare(judge->store, &text, 1, NULL) != ERR_OK) {
        return "";
    }
    sql_bind_text(read, 1, bytes_from_text(workflow));
    if (sql_next(judge->store, read, "read keys", &has_row, NULL) == ERR_OK && has_row) {
        const char *found = (const char *)sqlite3_column_text(read, 0);
        keys = found == NULL ? "; none has begun"
                             : arena_print(judge->arena, "; begun have: %.300s", found);
    }
    sql_finalize(&text, 1);
    return keys == NULL ? "" : keys;
}

// Judges the instance of that number, from 1; 0: none, all are counted.
static enum err walk(const struct look *look, uint32_t wanted, uint32_t *out_count, struct error *e)
{
    const struct case_instance *expected = look->expected;
    enum err rc = ERR_OK;
    bool has_row = true;
    uint32_t count = 0;
    sql_bind_text(look->row, 1, bytes_from_text(expected->workflow));
    sql_bind_text(look->row, 2, bytes_from_text(expected->key));
    while (rc == ERR_OK && has_row && (wanted == 0 || count < wanted)) {
        rc = sql_next(look->judge->store, look->row, "read instances", &has_row, e);
        count += rc == ERR_OK && has_row;
        if (rc == ERR_OK && has_row && count == wanted) {
            judge_row(look);
        }
    }
    sqlite3_reset(look->row);
    *out_count = count;
    return rc;
}

static enum err judge_one(const struct instance_judge *judge, const struct case_instance *expected,
                          struct error *e)
{
    struct look look = {.judge = judge, .expected = expected};
    const struct sql_text text = {instances_sql, &look.row};
    enum err rc = sql_prepare(judge->store, &text, 1, e);
    uint32_t count = 0, wanted = expected->number;
    if (rc == ERR_OK && wanted == 0) { // The newest.
        rc = walk(&look, 0, &wanted, e);
    }
    rc = rc == ERR_OK ? walk(&look, wanted, &count, e) : rc;
    if (rc == ERR_OK && (wanted == 0 || count < wanted)) {
        judge->fault(judge->context,
                     (struct case_fault){expected->at,
                                         arena_print(judge->arena, "there is no instance %s/%s%s%s",
                                                     expected->workflow, expected->key,
                                                     expected->number > 1 ? " of that number" : "",
                                                     list_keys(judge, expected->workflow)),
                                         NULL, NULL});
    }
    sql_finalize(&text, 1);
    return rc;
}

static enum err judge_none(const struct instance_judge *judge, const struct case_spec *spec,
                           struct error *e)
{
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {
        "SELECT w.name || '/' || i.key FROM pipit_workflow_instance i JOIN pipit_workflow w"
        " ON w.id = i.workflow ORDER BY i.id",
        &read};
    enum err rc = sql_prepare(judge->store, &text, 1, e);
    bool has_row = true;
    for (uint32_t i = 0; rc == ERR_OK && has_row && i < SHOWN_MAX; i++) {
        rc = sql_next(judge->store, read, "read instances", &has_row, e);
        if (rc == ERR_OK && has_row) {
            const char *sentence =
                arena_print(judge->arena, "an instance has begun, which is not expected: %s",
                            (const char *)sqlite3_column_text(read, 0));
            judge->fault(judge->context, (struct case_fault){spec->at, sentence, NULL, NULL});
        }
    }
    sql_finalize(&text, 1);
    return rc;
}

enum err instances_judge(const struct instance_judge *judge, const struct case_spec *spec,
                         struct error *e)
{
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < spec->instance_count; i++) {
        rc = judge_one(judge, &spec->instances[i], e);
    }
    if (rc == ERR_OK && spec->has_instances && spec->instance_count == 0) {
        rc = judge_none(judge, spec, e);
    }
    return rc;
}

enum err instances_find(struct store *store, const char *workflow, const char *key, int64_t *out_id,
                        struct error *e)
{
    sqlite3_stmt *read = NULL;
    const struct sql_text text = {
        "SELECT max(i.id) FROM pipit_workflow_instance i JOIN pipit_workflow w"
        " ON w.id = i.workflow WHERE w.name = ?1 AND i.key = ?2 AND i.ended IS NULL",
        &read};
    enum err rc = sql_prepare(store, &text, 1, e);
    if (rc == ERR_OK) {
        bool has_row = false;
        sql_bind_text(read, 1, bytes_from_text(workflow));
        sql_bind_text(read, 2, bytes_from_text(key));
        rc = sql_next(store, read, "look for an instance", &has_row, e);
        *out_id = rc == ERR_OK && has_row ? sqlite3_column_int64(read, 0) : 0;
        sql_finalize(&text, 1);
    }
    return rc;
}
