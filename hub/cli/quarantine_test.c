#include "cli/quarantine_test.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/delivery_print.h"
#include "core/stored_message.h"
#include "core/workflows.h"
#include "trial/trial.h"

struct testing {
    struct entry_walk *walk;
    const struct config *config;
    struct event_memory memory;
    struct trial *trial;
    json_t *deliveries, *rejections; // Of one entry.
    uint64_t failed;
    struct error *e;
    enum err rc;
};

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    struct testing *testing = context;
    json_array_append_new(testing->rejections, json_string(rejection->reason));
}

// The entry as a message that goes to the rule or workflow that failed.
static bool entry_message(struct testing *testing, const struct view_quarantined *entry,
                          struct message *out_message, struct playback *out_playback)
{
    const struct message from = {
        .topic = entry->topic,
        .payload = entry->payload,
        .content_type = bytes_from_text(entry->content_type),
        .qos = (uint8_t)entry->qos,
        .is_retained = entry->is_retained,
        .received_ms = entry->received_ms,
    };
    char *rule = NULL;
    if (entry->rule != NULL) {
        rule = event_memory_text(&testing->memory, bytes_from_text(entry->rule));
        bool is_workflow =
            rule != NULL && strncmp(rule, WORKFLOW_RULE, sizeof(WORKFLOW_RULE) - 1) == 0;
        char *slash = rule == NULL || is_workflow ? NULL : strchr(rule, '/'); // A branch: its rule.
        if (slash != NULL) {
            *slash = '\0';
        }
    }
    *out_playback = (struct playback){
        .event_id = entry->event[0] == '\0' ? NULL : entry->event, .rule = rule, .is_known = true};
    bool is_fine = stored_message_copy(&from, entry->properties, &testing->memory, out_message) &&
                   (entry->rule == NULL || rule != NULL);
    out_message->playback = out_playback;
    return is_fine;
}

static enum err play(struct testing *testing, const struct view_quarantined *entry)
{
    struct message message;
    struct playback playback;
    const struct trial_delivery *deliveries;
    uint32_t count = 0;
    event_memory_reset(&testing->memory);
    if (!entry_message(testing, entry, &message, &playback)) {
        return error_set(testing->e, ERR_NO_MEMORY, "out of memory for an entry");
    }
    int64_t now_ms = trial_now_ms(testing->trial);
    now_ms = entry->received_ms > now_ms ? entry->received_ms : now_ms;
    enum err rc = trial_step(testing->trial, &message, 1, now_ms, testing->e);
    rc = rc == ERR_OK ? trial_take(testing->trial, &deliveries, &count, testing->e) : rc;
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        const char *target = testing->config->targets[deliveries[i].target].name;
        json_array_append_new(testing->deliveries, delivery_json(&deliveries[i].delivery, target));
        if (!testing->walk->is_json) {
            delivery_print(&deliveries[i].delivery, target, false);
        }
    }
    return rc == ERR_OK ? trial_rejections(testing->trial, on_rejection, testing, testing->e) : rc;
}

static void print_verdict(const struct testing *testing, const struct view_quarantined *entry)
{
    size_t rejected = json_array_size(testing->rejections);
    if (entry->payload_bytes > entry->payload.len) {
        printf("%" PRIu64 ": cut short; it cannot be replayed\n", entry->id);
    } else if (rejected > 0) {
        printf("%" PRIu64 ": rejected: %s\n", entry->id,
               json_string_value(json_array_get(testing->rejections, 0)));
    } else {
        printf("%" PRIu64 ": let in, %zu deliveries\n", entry->id,
               json_array_size(testing->deliveries));
    }
}

static bool on_entry(void *context, const struct view_quarantined *entry)
{
    struct testing *testing = context;
    testing->walk->shown++;
    testing->deliveries = json_array();
    testing->rejections = json_array();
    testing->rc = play(testing, entry);
    bool is_cut = entry->payload_bytes > entry->payload.len;
    testing->failed += is_cut || json_array_size(testing->rejections) > 0;
    if (testing->rc == ERR_OK && testing->walk->is_json) {
        json_t *json =
            json_pack("{s:I, s:b, s:O, s:O}", "id", (json_int_t)entry->id, "cut", is_cut,
                      "deliveries", testing->deliveries, "rejections", testing->rejections);
        json_dumpf(json, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(json);
    } else if (testing->rc == ERR_OK) {
        print_verdict(testing, entry);
    }
    json_decref(testing->deliveries);
    json_decref(testing->rejections);
    return testing->rc == ERR_OK;
}

int quarantine_test(struct entry_walk *walk, struct store_view *view,
                    const struct view_filter *filter, const struct config *config)
{
    struct error e = {0};
    struct testing testing = {.walk = walk, .config = config, .e = &e};
    const struct trial_options options = {.config = config, .births = view, .has_workflows = true};
    event_memory_init(&testing.memory);
    enum err rc = trial_create(&testing.trial, &options, &e);
    rc = rc == ERR_OK ? store_view_quarantine(view, filter, on_entry, &testing, &e) : rc;
    rc = rc == ERR_OK ? testing.rc : rc;
    trial_destroy(testing.trial);
    event_memory_deinit(&testing.memory);
    if (rc != ERR_OK) {
        return entry_fail(walk, &e);
    }
    return walk->shown == 0 ? entry_none(walk) : testing.failed == 0 ? EXIT_OK : EXIT_FAILED;
}
