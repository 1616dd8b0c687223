#include "sim_windows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 16000
#define COUNTED     5 // Events of a window of "counted".

static const char *const rules[SIM_WINDOW_RULES] = {"tumbled", "counted"};

struct result {
    char key[SIM_KEY_MAX];
    char *payload;
    uint32_t rule;
};

// One run a process.
static struct result results[RESULTS_MAX];
static uint32_t result_count;
static uint32_t seen[SIM_WINDOW_RULES][SIM_EVENTS_MAX]; // How many results each event is in.

uint32_t sim_window_rule_of(const char *rule)
{
    uint32_t i = 0;
    while (i < SIM_WINDOW_RULES && strcmp(rule, rules[i]) != 0) {
        i++;
    }
    return i;
}

static const struct result *find(const char *key)
{
    for (uint32_t i = 0; i < result_count; i++) {
        if (strcmp(results[i].key, key) == 0) {
            return &results[i];
        }
    }
    return NULL;
}

// "...:d0/1/17,d0/1/18;..." Each of its events.
static uint32_t count_events(struct sim_history *history, uint32_t rule, const char *payload)
{
    uint32_t device, boot, events = 0;
    uint64_t sequence;
    int used;
    while (sscanf(payload, "d%u/%u/%" SCNu64 "%n", &device, &boot, &sequence, &used) == 3) {
        struct sim_event *event = sim_history_find(history, device, boot, sequence);
        if (event == NULL) {
            sim_violation(history, "a window holds the unknown event %.*s", used, payload);
            return events;
        }
        if (++seen[rule][event - history->events] > 1) {
            sim_violation(history, "%.*s is in two results of %s", used, payload, rules[rule]);
        }
        events++;
        payload += used;
        payload += *payload == ',';
    }
    if (*payload != '\0') {
        sim_violation(history, "a window's result cannot be read: %s", payload);
    }
    return events;
}

void sim_windows_received(struct sim_history *history, uint32_t rule, const char *key,
                          struct bytes payload)
{
    char *text = strndup((const char *)payload.ptr, payload.len);
    const struct result *known = find(key);
    if (known != NULL) {
        if (strcmp(known->payload, text) != 0) {
            sim_violation(history, "%s came as %s and as %s", key, known->payload, text);
        }
        free(text);
        return;
    }
    assert(result_count < RESULTS_MAX);
    struct result *result = &results[result_count++];
    snprintf(result->key, sizeof(result->key), "%s", key);
    result->payload = text;
    result->rule = rule;
    uint32_t events = count_events(history, rule, text);
    if (strcmp(rules[rule], "counted") == 0 && events != COUNTED) {
        sim_violation(history, "%s counts %u events: %s", key, events, text);
    }
}

static void read_dead(struct sim_history *history, sqlite3 *db)
{
    static const char sql[] = "SELECT rule, idempotency_key, payload FROM pipit_dead";
    sqlite3_stmt *dead = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &dead, NULL);
    assert(rc == SQLITE_OK);
    while ((rc = sqlite3_step(dead)) == SQLITE_ROW) {
        uint32_t rule = sim_window_rule_of((const char *)sqlite3_column_text(dead, 0));
        if (rule < SIM_WINDOW_RULES) {
            const void *payload = sqlite3_column_blob(dead, 2);
            sim_windows_received(history, rule, (const char *)sqlite3_column_text(dead, 1),
                                 bytes_of(payload, (size_t)sqlite3_column_bytes(dead, 2)));
        }
    }
    sqlite3_finalize(dead);
}

uint64_t sim_windows_check_end(struct sim_history *history, sqlite3 *db)
{
    uint32_t open[SIM_DEVICES] = {0};
    read_dead(history, db);
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_event *event = &history->events[i];
        if (event->is_lost_by_broker || event->device == SIM_PLAIN) {
            continue;
        }
        if (seen[0][i] == 0) {
            sim_violation(history, "d%u/%u/%" PRIu64 " is in no window", event->device, event->boot,
                          event->sequence);
        }
        open[event->device] += seen[1][i] == 0;
    }
    for (uint32_t device = 0; device < SIM_DEVICES; device++) {
        if (open[device] >= COUNTED) {
            sim_violation(history, "%u events of d%u were never counted", open[device], device);
        }
    }
    return result_count;
}
