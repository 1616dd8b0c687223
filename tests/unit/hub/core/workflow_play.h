// workflow_play.h - a core with one or more workflows, played by a script: events, answers, replies
// and time come in, and what has been written down of each instance comes out.
//
// In definitions and scripts ' stands for " and ` for '.
//
// Script: lines that end with ;
//   e TOPIC JSON              an event
//   a TOPIC done|retry|reject [STATUS [JSON]]     what the target says to the delivery there
//   r TOPIC STATUS            a device's reply to the command that was sent there
//   a? and r?                 ..., if anything was sent there; TOPIC may be a visit, /w...
//   o GROUP/DEVICE on|off     its status
//   t MS                      so much time passes
//   w                         time passes until something is due
//   c undo|abandon|retry N    an operator, for instance N; c! ...: is refused; c? ...: or not
//   s MS                      so much time passes while the hub is down
//
// The record of an instance, entry by entry: step> entered, step+ done, step~ERROR backs off,
// step!ERROR failed, step< undone, stepx ended; and those of the instance by their names.
#ifndef PIPIT_TESTS_WORKFLOW_PLAY_H
#define PIPIT_TESTS_WORKFLOW_PLAY_H

#include "store_support.h"

#include <inttypes.h>
#include <jansson.h>
#include <pipit/v1/pipit.pb-c.h>

#include "core/core.h"
#include "workflow_books.h"

#define PLAY_TEXT_MAX       20000
#define PLAY_INPUTS_MAX     64
#define PLAY_DELIVERIES_MAX 400
#define PLAY_START_MS       1700000000000

enum play_mode {
    PLAY_PLAIN,
    PLAY_REOPENED, // The hub is stopped and started between any two lines.
    PLAY_TOGETHER, // What can come in one batch does.
    PLAY_MODES
};

struct play_delivery {
    uint64_t id;
    char topic[200], ticket[100], key[200];
    bool is_open;
};

struct play {
    struct store *store;
    struct core *core;
    struct core_spec spec;
    struct target_spec targets[2];
    struct workflow_spec workflows[4];
    char texts[4][PLAY_TEXT_MAX];
    enum play_mode mode;
    int64_t now_ms;
    struct input inputs[PLAY_INPUTS_MAX];
    struct reply replies[PLAY_INPUTS_MAX];
    char topics[PLAY_INPUTS_MAX][200], bodies[PLAY_INPUTS_MAX][4000];
    uint32_t count;
    struct play_delivery deliveries[PLAY_DELIVERIES_MAX];
    uint32_t delivery_count;
    char sent[PLAY_TEXT_MAX]; // Topics, in order.
    char last;                // Kind of the last line.
    struct error e;
};

static inline void play_quote(char *out, size_t size, const char *text)
{
    assert_true(strlen(text) < size);
    for (; *text != '\0'; text++) {
        *out++ = *text == '\'' ? '"' : *text == '`' ? '\'' : *text;
    }
    *out = '\0';
}

static inline void play_open(struct play *play)
{
    if (core_open(&play->core, play->store, &play->spec, &play->e) != ERR_OK) {
        fail_msg("%s", play->e.text);
    }
}

// definitions: up to NULL.
static inline struct play *play_create(const char *const *definitions, enum play_mode mode)
{
    struct play *play = calloc(1, sizeof(*play));
    uint32_t count = 0;
    play->store = open_store(":memory:");
    play->mode = mode;
    play->now_ms = PLAY_START_MS;
    for (; definitions[count] != NULL; count++) {
        play_quote(play->texts[count], PLAY_TEXT_MAX, definitions[count]);
        json_t *json = json_loads(play->texts[count], 0, NULL);
        if (json == NULL) {
            fail_msg("this is no JSON: %s", play->texts[count]);
        }
        static const char *const names[] = {"w", "child", "third", "fourth"};
        assert_string_equal(json_string_value(json_object_get(json, "name")), names[count]);
        play->workflows[count] = (struct workflow_spec){names[count], play->texts[count]};
        json_decref(json);
    }
    for (int i = 0; i < 2; i++) {
        play->targets[i] = (struct target_spec){.name = i == 0 ? "web" : "bus",
                                                .attempts_max = 3,
                                                .backoff_min_ms = 1000,
                                                .backoff_max_ms = 8000};
    }
    play->spec = (struct core_spec){.hub_id = "h1",
                                    .workflows = play->workflows,
                                    .workflow_count = count,
                                    .targets = play->targets,
                                    .target_count = 2,
                                    .store_limit_bytes = 256 << 20,
                                    .quarantine_limit_bytes = 1 << 20,
                                    .payload_bytes_max = 100000,
                                    .rule_steps_max = 1000000};
    play_open(play);
    return play;
}

static inline void play_destroy(struct play *play)
{
    core_close(play->core);
    store_close(play->store);
    free(play);
}

// ---- what has become of it ----------------------------------------------------------------------

// The one value, as text, in memory that lasts until the next call.
static inline const char *play_ask(struct play *play, const char *sql)
{
    static char text[PLAY_TEXT_MAX];
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store_db(play->store), sql, -1, &statement, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(store_db(play->store)));
    }
    const char *value = sqlite3_step(statement) == SQLITE_ROW
                            ? (const char *)sqlite3_column_text(statement, 0)
                            : NULL;
    snprintf(text, sizeof(text), "%s", value == NULL ? "" : value);
    sqlite3_finalize(statement);
    return text;
}

// Of all instances, one behind the other, " | " between them.
static inline const char *play_record(struct play *play)
{
    return play_ask(play,
                    "SELECT group_concat(line, ' | ') FROM (SELECT group_concat(CASE"
                    " WHEN step = '' THEN what"
                    " WHEN what = 'entered' THEN step || '>'"
                    " WHEN what = 'done' THEN step || '+'"
                    " WHEN what = 'retrying' THEN step || '~' || error"
                    " WHEN what = 'error' THEN step || '!' || error"
                    " WHEN what = 'undone' THEN step || '<'"
                    " WHEN what = 'cancelled' THEN step || 'x'"
                    " ELSE step || '.' || what || coalesce('!' || error, '') END, ' ') AS line"
                    " FROM (SELECT * FROM pipit_workflow_entry ORDER BY instance, number)"
                    " GROUP BY instance ORDER BY instance)");
}

// Of instance 1, as they are now.
static inline const char *play_variables(struct play *play)
{
    return play_ask(play, "SELECT coalesce(variables, start) FROM pipit_workflow_instance"
                          " WHERE id = 1");
}

static inline bool play_has_variables(struct play *play, const char *quoted)
{
    char text[PLAY_TEXT_MAX];
    play_quote(text, sizeof(text), quoted);
    json_t *wanted = json_loads(text, JSON_ALLOW_NUL, NULL);
    json_t *given = json_loads(play_variables(play), JSON_ALLOW_NUL, NULL);
    bool is_it = json_equal(wanted, given);
    json_decref(wanted);
    json_decref(given);
    return is_it;
}

// ---- what is sent -------------------------------------------------------------------------------

static inline struct play_delivery *play_find(struct play *play, uint64_t id)
{
    for (uint32_t i = 0; i < play->delivery_count; i++) {
        if (play->deliveries[i].id == id) {
            return &play->deliveries[i];
        }
    }
    return NULL;
}

static inline void play_see(struct play *play, const struct delivery *taken)
{
    struct play_delivery *delivery = play_find(play, taken->id);
    if (delivery == NULL) {
        assert_true(play->delivery_count < PLAY_DELIVERIES_MAX);
        delivery = &play->deliveries[play->delivery_count++];
        delivery->id = taken->id;
        snprintf(delivery->topic, sizeof(delivery->topic), "%.*s", (int)taken->topic.len,
                 (const char *)taken->topic.ptr);
        snprintf(delivery->key, sizeof(delivery->key), "%.*s", (int)taken->key.len,
                 (const char *)taken->key.ptr);
        snprintf(delivery->ticket, sizeof(delivery->ticket), "%s", taken->idempotency_key);
        size_t len = strlen(play->sent);
        snprintf(play->sent + len, sizeof(play->sent) - len, "%s%s", len == 0 ? "" : " ",
                 delivery->topic);
    }
    delivery->is_open = true;
}

static inline void play_take(struct play *play)
{
    for (uint32_t target = 0; target < 2; target++) {
        const struct delivery *taken[100];
        uint32_t count = core_take(play->core, target, 100, UINT32_MAX, play->now_ms, taken);
        for (uint32_t i = 0; i < count; i++) {
            play_see(play, taken[i]);
        }
    }
}

// ---- what comes in ------------------------------------------------------------------------------

static inline enum err play_try(struct play *play)
{
    struct outcome outcome;
    enum err rc =
        core_step(play->core, play->inputs, play->count, play->now_ms, &outcome, &play->e);
    play->count = 0;
    workflow_books_check(play->store);
    return rc;
}

static inline void play_flush(struct play *play)
{
    // Events for the hub itself come in with the next batch.
    for (int i = 0; i < 100 && (play->count > 0 || core_next_timer_ms(play->core) <= play->now_ms);
         i++) {
        if (play->count == 0) {
            play->inputs[play->count++] = (struct input){.kind = INPUT_TICK};
        }
        if (play_try(play) != ERR_OK) {
            fail_msg("%s", play->e.text);
        }
    }
    play_take(play);
}

static inline void play_reopen(struct play *play)
{
    play_flush(play);
    core_close(play->core);
    for (uint32_t i = 0; i < play->delivery_count; i++) {
        play->deliveries[i].is_open = false;
    }
    play_open(play);
    play_take(play);
}

static inline void play_message(struct play *play, const char *topic, struct bytes payload)
{
    uint32_t i = play->count++;
    assert_true(i < PLAY_INPUTS_MAX && payload.len < sizeof(play->bodies[i]));
    snprintf(play->topics[i], sizeof(play->topics[i]), "%s", topic);
    memcpy(play->bodies[i], payload.ptr, payload.len);
    play->inputs[i] = (struct input){
        .kind = INPUT_MESSAGE,
        .message = {.topic = bytes_from_text(play->topics[i]),
                    .payload = bytes_of((const uint8_t *)play->bodies[i], payload.len),
                    .qos = 1,
                    .received_ms = play->now_ms},
    };
}

// Its idempotency key without the store's id, which is chance.
static inline const char *play_visit(const struct play_delivery *delivery)
{
    const char *slash = strchr(delivery->ticket, '/');
    return slash == NULL ? "" : slash;
}

static inline struct play_delivery *play_sent_to(struct play *play, const char *topic, bool is_open)
{
    for (uint32_t i = 0; i < play->delivery_count; i++) {
        struct play_delivery *delivery = &play->deliveries[i];
        bool is_it =
            strcmp(delivery->topic, topic) == 0 || strcmp(play_visit(delivery), topic) == 0;
        if (is_it && (!is_open || delivery->is_open)) {
            return delivery;
        }
    }
    return NULL;
}

static inline void play_answer(struct play *play, const char *rest, bool is_sure)
{
    char topic[200] = "", verdict[20] = "", body[3000] = "";
    int status = 0;
    sscanf(rest, "%199s %19s %d %2999[^;]", topic, verdict, &status, body);
    struct play_delivery *delivery = play_sent_to(play, topic, true);
    if (delivery == NULL) {
        play_flush(play);
        delivery = play_sent_to(play, topic, true);
    }
    if (delivery == NULL && !is_sure) {
        return;
    }
    if (delivery == NULL) {
        fail_msg("nothing was sent to %s, but to \"%s\": %s", topic, play->sent, play_record(play));
    }
    bool is_done = strcmp(verdict, "done") == 0;
    uint32_t i = play->count++;
    snprintf(play->bodies[i], sizeof(play->bodies[i]), "%s", body);
    play->replies[i] = (struct reply){.status = status,
                                      .body = bytes_from_text(play->bodies[i]),
                                      .content_type = "application/json"};
    play->inputs[i] = (struct input){
        .kind = INPUT_SETTLEMENT,
        .settlement = {.delivery_id = delivery->id,
                       .verdict = is_done                         ? VERDICT_DONE
                                  : strcmp(verdict, "retry") == 0 ? VERDICT_RETRY
                                                                  : VERDICT_REJECT,
                       .reason = is_done ? NULL : "the target said no",
                       .reply = &play->replies[i]},
    };
    delivery->is_open = false;
}

static inline void play_reply(struct play *play, const char *rest, bool is_sure)
{
    char topic[200] = "", answer[200];
    int status = 0;
    uint8_t packed[300];
    sscanf(rest, "%199s %d", topic, &status);
    if (play_sent_to(play, topic, false) == NULL) {
        play_flush(play);
    }
    struct play_delivery *delivery = play_sent_to(play, topic, false);
    if (delivery == NULL && !is_sure) {
        return;
    }
    if (delivery == NULL) {
        fail_msg("nothing was sent to %s, but to \"%s\": %s", topic, play->sent, play_record(play));
    }
    Pipit__V1__Reply reply = PIPIT__V1__REPLY__INIT;
    reply.id = delivery->ticket;
    reply.status = status;
    reply.message = status == 0 ? "done" : "the device said no";
    const char *command = strstr(delivery->topic, "/command/");
    assert_non_null(command);
    snprintf(answer, sizeof(answer), "%.*s/reply/%s", (int)(command - delivery->topic),
             delivery->topic, command + strlen("/command/"));
    play_message(play, answer, bytes_of(packed, pipit__v1__reply__pack(&reply, packed)));
}

static inline void play_status(struct play *play, const char *rest)
{
    char device[100] = "", state[10] = "", topic[200];
    uint8_t packed[100];
    sscanf(rest, "%99s %9s", device, state);
    Pipit__V1__Status status = PIPIT__V1__STATUS__INIT;
    status.online = strcmp(state, "on") == 0;
    status.boot = 1;
    snprintf(topic, sizeof(topic), "pipit/v1/%s/status", device);
    play_message(play, topic, bytes_of(packed, pipit__v1__status__pack(&status, packed)));
}

static inline void play_operate(struct play *play, const char *rest, char refused)
{
    char what[20] = "";
    uint64_t instance = 0;
    sscanf(rest, "%19s %" SCNu64, what, &instance);
    play_flush(play);
    bool is_retry = strcmp(what, "retry") == 0;
    play->inputs[play->count++] = (struct input){
        .kind = INPUT_OPERATION,
        .operation = {.kind = is_retry ? OPERATION_WORKFLOW_RETRY : OPERATION_WORKFLOW_CANCEL,
                      .first = instance,
                      .last = instance,
                      .cancel = strcmp(what, "abandon") == 0 ? CANCEL_ABANDON : CANCEL_UNDO},
    };
    enum err rc = play_try(play);
    if (refused != '?' && (rc != ERR_OK) != (refused == '!')) {
        fail_msg("%s: %s", rest, rc == ERR_OK ? "was not refused" : play->e.text);
    }
}

static inline void play_time(struct play *play, int64_t ms, bool is_down)
{
    play_flush(play);
    play->now_ms += ms;
    if (is_down) {
        play_reopen(play);
    }
    play->inputs[play->count++] = (struct input){.kind = INPUT_TICK};
    play_flush(play);
}

static inline void play_line(struct play *play, const char *line)
{
    char topic[200] = "", payload[3000] = "{}";
    const char *rest = line + 2;
    if ((line[0] == 'a') != (play->last == 'a')) {
        play_flush(play); // What comes in one batch has no order but among its like.
    }
    play->last = line[0];
    switch (line[0]) {
    case 'e':
        sscanf(rest, "%199s %2999[^;]", topic, payload);
        play_message(play, topic, bytes_from_text(payload));
        break;
    case 'a':
        play_answer(play, rest + (line[1] == '?'), line[1] != '?');
        break;
    case 'r':
        play_reply(play, rest + (line[1] == '?'), line[1] != '?');
        break;
    case 'o':
        play_status(play, rest);
        break;
    case 't':
        play_time(play, atoll(rest), false);
        break;
    case 's':
        play_time(play, atoll(rest), true);
        break;
    case 'w':
        play_flush(play);
        play_time(play, core_next_timer_ms(play->core) - play->now_ms, false);
        break;
    case 'c':
        play_operate(play, rest + (line[1] != ' '), line[1]);
        break;
    default:
        fail_msg("no such line: %s", line);
    }
    if (play->mode != PLAY_TOGETHER) {
        play_flush(play);
    }
    if (play->mode == PLAY_REOPENED) {
        play_reopen(play);
    }
}

static inline void play_script(struct play *play, const char *script)
{
    char text[PLAY_TEXT_MAX];
    play_quote(text, sizeof(text), script);
    char *save = NULL;
    for (char *line = strtok_r(text, ";", &save); line != NULL; line = strtok_r(NULL, ";", &save)) {
        line += strspn(line, " \n");
        if (*line != '\0') {
            play_line(play, line);
        }
    }
    play_flush(play);
}

#endif
