#include "sim_workflows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/workflow_instance.h"
#include "workflow_laws.h"

#define RETRY                                                                                      \
    "\"within\": 250, \"retry\": {\"attempts\": 1000, \"backoff\": 20, \"backoff_max\": 200,"      \
    " \"errors\": [\"timeout\", \"unavailable\"]}"
#define PLACES 1000000

const struct workflow_spec sim_workflow = {
    "visit",
    "{\"format\": 1, \"name\": \"visit\","
    " \"start\": {\"from\": \"pipit/v1/+/+/event/+\", \"where\": \"value % 9 = 0\","
    " \"key\": \"id\", \"running\": \"ignore\"},"
    " \"variables\": {\"d\": \"device\", \"v\": \"value\", \"place\": \"NULL\"},"
    " \"failure\": \"undo\", \"keep\": 86400000, \"steps\": ["
    "{\"name\": \"reserve\", \"do\": \"call\", \"to\": \"first\", \"topic\": \"reserve/{my.key}\","
    " \"payload\": \"json\", \"take\": {\"place\": \"body.place\"}, " RETRY ", \"undo\": ["
    "{\"name\": \"release\", \"do\": \"call\", \"to\": \"second\","
    " \"topic\": \"release/{my.key}\", \"payload\": \"json\", " RETRY "}]},"
    "{\"name\": \"next\", \"do\": \"await\", \"from\": \"pipit/v1/+/+/event/+\","
    " \"key\": \"device\", \"match\": \"d\", \"within\": 1000, \"on_error\": ["
    "{\"name\": \"late\", \"do\": \"set\", \"set\": {\"v\": \"v\"}}]},"
    "{\"name\": \"nap\", \"do\": \"sleep\", \"for\": 300},"
    "{\"name\": \"rest\", \"do\": \"sleep\", \"for\": 700},"
    "{\"name\": \"check\", \"do\": \"if\", \"when\": \"v % 4 = 0\", \"then\": ["
    "{\"name\": \"no\", \"do\": \"fail\", \"reason\": \"by design\"}]},"
    "{\"name\": \"tell\", \"do\": \"emit\", \"to\": \"second\", \"topic\": \"tell/{my.key}\","
    " \"payload\": \"json\", \"fields\": {\"place\": \"place\"}}]}"};

enum part { PART_RESERVE, PART_RELEASE, PART_TELL, PARTS };
static const char *const part_names[PARTS] = {"reserve", "release", "tell"};

// What the targets know of one step of one instance.
struct effect {
    char ticket[80];
    bool is_settled, is_rejected;
};
static struct effect effects[SIM_EVENTS_MAX][PARTS]; // By the event that started it.

static bool is_started_by(const struct sim_event *event)
{
    return event->device != SIM_PLAIN && event->value % 9 == 0;
}

static bool is_failing(const struct sim_event *event)
{
    return event->value % 4 == 0;
}

bool sim_is_workflow(const char *rule)
{
    return strncmp(rule, "workflow/", 9) == 0;
}

static uint32_t place_of(const char *ticket)
{
    uint32_t hash = 2166136261u;
    for (; *ticket != '\0'; ticket++) {
        hash = (hash ^ (uint8_t)*ticket) * 16777619u;
    }
    return hash % PLACES;
}

void sim_workflow_answer(const char *idempotency_key, char *out_body, size_t size)
{
    snprintf(out_body, size, "{\"place\": %u}", place_of(idempotency_key));
}

// "reserve/sim/d0/1/17"
static struct effect *find_effect(struct sim_history *history, const char *topic,
                                  struct sim_event **out_event, enum part *out_part)
{
    for (int part = 0; part < PARTS; part++) {
        size_t len = strlen(part_names[part]);
        if (strncmp(topic, part_names[part], len) == 0 && topic[len] == '/') {
            *out_part = (enum part)part;
            *out_event = sim_history_of_key(history, topic + len + 1);
            return *out_event == NULL ? NULL : &effects[*out_event - history->events][part];
        }
    }
    return NULL;
}

static void check_tell(struct sim_history *history, const struct sim_event *event,
                       struct bytes payload)
{
    char wanted[60];
    snprintf(wanted, sizeof(wanted), "{\"place\":%u}",
             place_of(effects[event - history->events][PART_RESERVE].ticket));
    if (payload.len != strlen(wanted) || memcmp(payload.ptr, wanted, payload.len) != 0) {
        sim_violation(history, "d%u/%u/%" PRIu64 " was told %.*s instead of %s", event->device,
                      event->boot, event->sequence, (int)payload.len, (const char *)payload.ptr,
                      wanted);
    }
}

void sim_workflow_sent(struct sim_history *history, const struct delivery *delivery,
                       enum verdict verdict)
{
    char topic[120];
    struct sim_event *event = NULL;
    enum part part = PARTS;
    snprintf(topic, sizeof(topic), "%.*s", (int)delivery->topic.len,
             (const char *)delivery->topic.ptr);
    struct effect *effect = find_effect(history, topic, &event, &part);
    sim_note(history, "workflow sent %s as %s", topic, delivery->idempotency_key);
    if (effect == NULL || !is_started_by(event)) {
        sim_violation(history, "workflow sent %s, which none should", topic);
        return;
    }
    bool was_refused = effects[event - history->events][PART_RESERVE].is_rejected;
    if (part == PART_RELEASE && !is_failing(event) && !was_refused) {
        sim_violation(history, "workflow sent %s though nothing failed", topic);
    }
    if (part == PART_TELL) {
        check_tell(history, event, delivery->payload);
    }
    // Whether the hub lives to hear of it or not.
    effect->is_rejected |= verdict == VERDICT_REJECT;
    if (effect->ticket[0] == '\0') {
        snprintf(effect->ticket, sizeof(effect->ticket), "%s", delivery->idempotency_key);
    } else if (strcmp(effect->ticket, delivery->idempotency_key) != 0) {
        sim_violation(history, "%s came as %s and as %s", topic, effect->ticket,
                      delivery->idempotency_key);
    }
    if (effect->is_settled && part != PART_TELL) { // That answer need not be synced.
        sim_violation(history, "%s came again after its answer was stored", topic);
    }
}

void sim_workflow_done(const char *idempotency_key)
{
    for (uint32_t i = 0; i < SIM_EVENTS_MAX; i++) {
        for (int part = 0; part < PARTS; part++) {
            if (strcmp(effects[i][part].ticket, idempotency_key) == 0) {
                effects[i][part].is_settled = true;
                return;
            }
        }
    }
}

// ---- what was written down
// ---------------------------------------------------------------------------------

// Each row that one of these gives is wrong.
static const struct {
    const char *what, *sql;
    bool is_at_end; // It holds when all is quiet.
} laws[] = {
    {"a step is done twice",
     "SELECT instance || ' ' || step FROM pipit_workflow_entry"
     " WHERE what = 'done' GROUP BY instance, step HAVING count(*) > 1",
     false},
    {"an instance ends twice",
     "SELECT instance FROM pipit_workflow_entry WHERE step = ''"
     " AND what IN ('completed', 'failed') GROUP BY instance HAVING count(*) > 1",
     false},
    {"two instances of a key",
     "SELECT key FROM pipit_workflow_instance GROUP BY key HAVING count(*) > 1", false},
    {"a timer is early",
     "SELECT d.instance || ' ' || d.step FROM pipit_workflow_entry d JOIN pipit_workflow_entry b"
     " ON b.instance = d.instance AND b.execution = d.execution AND b.what = 'entered'"
     " WHERE d.what = 'done' AND d.step IN ('nap', 'rest')"
     " AND d.at - b.at < CASE d.step WHEN 'nap' THEN 300 ELSE 700 END",
     false},
    {"a deadline is early",
     "SELECT d.instance || ' ' || d.step FROM pipit_workflow_entry d JOIN pipit_workflow_entry b"
     " ON b.instance = d.instance AND b.execution = d.execution AND b.what = 'entered'"
     " WHERE d.what = 'error' AND d.step = 'next' AND d.at - b.at < 1000",
     false},
    {"a step is left out",
     "SELECT i.id FROM pipit_workflow_instance i WHERE i.state = 4 AND 5 <> (SELECT"
     " count(DISTINCT step) FROM pipit_workflow_entry WHERE instance = i.id AND"
     " ((what = 'done' AND step IN ('reserve', 'nap', 'rest', 'tell')) OR"
     " (step = 'next' AND what IN ('done', 'error'))))",
     true},
    {"something waits for one that is over",
     "SELECT w.instance FROM pipit_workflow_wait w LEFT JOIN pipit_workflow_instance i"
     " ON i.id = w.instance WHERE i.id IS NULL OR i.ended IS NOT NULL",
     false},
    {"its books do not add up",
     "SELECT name FROM pipit_workflow w WHERE (started, completed, failed) <> (SELECT count(*),"
     " sum(state = 4), sum(state = 5) FROM pipit_workflow_instance WHERE workflow = w.id)",
     true},
    {"arrived is not departed",
     "SELECT name FROM pipit_workflow_step WHERE arrived - departed <> 0 AND NOT EXISTS"
     " (SELECT 1 FROM pipit_workflow_instance WHERE state = 3)",
     true},
    {"Little's law does not hold", // A parked one has left what it failed at.
     "WITH token AS (SELECT i.definition, t.value ->> 3 AS step, t.value ->> 7 AS arrived"
     " FROM pipit_workflow_instance i, json_each(i.tokens) t"
     " WHERE i.tokens IS NOT NULL AND NOT (i.state = 3 AND t.value ->> 6 = 0))"
     " SELECT name FROM pipit_workflow_step s WHERE (arrived - departed, area - residence) <>"
     " (SELECT count(*), coalesce(sum(s.last - arrived), 0) FROM token"
     " WHERE definition = s.definition AND step = s.step)",
     false},
};

static void check_law(struct sim_history *history, sqlite3 *db, size_t law)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, laws[law].sql, -1, &statement, NULL);
    assert(rc == SQLITE_OK);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        sim_violation(history, "workflow: %s: %s", laws[law].what,
                      (const char *)sqlite3_column_text(statement, 0));
    }
    assert(rc == SQLITE_DONE);
    sqlite3_finalize(statement);
}

static void check_instance(struct sim_history *history, const struct sim_event *event,
                           enum workflow_state state)
{
    const struct effect *effect = effects[event - history->events];
    bool is_refused = effect[PART_RESERVE].is_rejected,
         is_parked = effect[PART_RELEASE].is_rejected;
    enum workflow_state wanted = is_failing(event) ? INSTANCE_FAILED : INSTANCE_COMPLETED;
    bool may_be = state == wanted || (is_refused && state == INSTANCE_FAILED) ||
                  (is_parked && state == INSTANCE_PARKED);
    if (!may_be) {
        sim_violation(history, "the workflow of d%u/%u/%" PRIu64 " is %s", event->device,
                      event->boot, event->sequence, workflow_state_names[state]);
    }
    // The hub may not have lived to hear of the commit that took the answer.
    if (state == INSTANCE_FAILED && !is_refused && effect[PART_RELEASE].ticket[0] == '\0') {
        sim_violation(history, "the workflow of d%u/%u/%" PRIu64 " has undone nothing",
                      event->device, event->boot, event->sequence);
    }
}

static void check_book(struct sim_history *history, sqlite3 *db, size_t law)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, workflow_books[law].sql, -1, &statement, NULL);
    assert(rc == SQLITE_OK);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW && sqlite3_column_int64(statement, 0) != 0) {
        sim_violation(history, "workflow books: %s: %lld do not add up", workflow_books[law].what,
                      (long long)sqlite3_column_int64(statement, 0));
    }
    sqlite3_finalize(statement);
}

void sim_workflows_check(struct sim_history *history, sqlite3 *db)
{
    for (size_t i = 0; i < sizeof(workflow_books) / sizeof(workflow_books[0]); i++) {
        check_book(history, db, i);
    }
    for (size_t i = 0; i < sizeof(laws) / sizeof(laws[0]); i++) {
        if (!laws[i].is_at_end) {
            check_law(history, db, i);
        }
    }
}

void sim_workflows_check_end(struct sim_history *history, sqlite3 *db)
{
    sqlite3_stmt *find = NULL;
    static const char sql[] = "SELECT state FROM pipit_workflow_instance WHERE key = ?1";
    int rc = sqlite3_prepare_v2(db, sql, -1, &find, NULL);
    assert(rc == SQLITE_OK);
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_event *event = &history->events[i];
        char key[SIM_KEY_MAX];
        if (event->is_lost_by_broker || !is_started_by(event)) {
            continue;
        }
        snprintf(key, sizeof(key), "sim/d%u/%u/%" PRIu64, event->device, event->boot,
                 event->sequence);
        sqlite3_bind_text(find, 1, key, -1, SQLITE_STATIC);
        rc = sqlite3_step(find);
        if (rc == SQLITE_ROW) {
            check_instance(history, event, (enum workflow_state)sqlite3_column_int(find, 0));
        } else {
            sim_violation(history, "%s started no workflow", key);
        }
        sqlite3_reset(find);
    }
    sqlite3_finalize(find);
    sim_workflows_check(history, db);
    for (size_t i = 0; i < sizeof(laws) / sizeof(laws[0]); i++) {
        if (laws[i].is_at_end) {
            check_law(history, db, i);
        }
    }
}
