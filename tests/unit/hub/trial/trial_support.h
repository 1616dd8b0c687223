// trial_support.h - a trial of a configuration that is given as text.
#ifndef TESTS_UNIT_HUB_TRIAL_SUPPORT_H
#define TESTS_UNIT_HUB_TRIAL_SUPPORT_H

#include "intake/source.h"
#include "trial/trial.h"
#include "unit/hub/config/config_support.h"

#define TRIAL_START_MS 1767261600000 // 2026-01-01T10:00:00Z

#define TRIAL_HEAD                                                                                 \
    "hub: {id: test, store: hub.db}\n"                                                             \
    "sources: {plant: {mqtt: {url: 'mqtt://127.0.0.1'}, topics: ['#']}}\n"                         \
    "targets: {bus: {mqtt: {url: 'mqtt://127.0.0.1'}}, log: {file: {path: log.ndjson}}}\n"

struct bed {
    struct folder folder;
    struct config *config;
    struct trial *trial;
};

static inline void bed_open(struct bed *bed, const char *text, const char *rule)
{
    struct error e = {0};
    folder_create(&bed->folder);
    folder_write(&bed->folder, "hub.yaml", text);
    enum err rc = config_load(&bed->config, bed->folder.config, source_options, NULL, NULL, &e);
    const struct trial_options options = {
        .config = bed->config, .rule = rule, .now_ms = TRIAL_START_MS};
    rc = rc == ERR_OK ? trial_create(&bed->trial, &options, &e) : rc;
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
    }
    assert(rc == ERR_OK);
}

static inline void bed_close(struct bed *bed)
{
    trial_destroy(bed->trial);
    config_destroy(bed->config);
    folder_destroy(&bed->folder);
}

static inline void bed_send(struct bed *bed, const char *topic, const char *payload, int64_t at_ms)
{
    struct error e = {0};
    const struct message message = {.topic = bytes_from_text(topic),
                                    .payload = bytes_from_text(payload),
                                    .qos = 1,
                                    .received_ms = at_ms};
    enum err rc = trial_step(bed->trial, &message, 1, at_ms, &e);
    if (rc != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
    }
    assert(rc == ERR_OK);
}

// "bus a/b {...}\n" for each that has gone out.
static inline const char *bed_taken(struct bed *bed)
{
    static char text[65536];
    const struct trial_delivery *deliveries = NULL;
    uint32_t count = 0;
    size_t len = 0;
    assert(trial_take(bed->trial, &deliveries, &count, NULL) == ERR_OK);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        const struct delivery *delivery = &deliveries[i].delivery;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %.*s %.*s\n",
                                bed->config->targets[deliveries[i].target].name,
                                (int)delivery->topic.len, (const char *)delivery->topic.ptr,
                                (int)delivery->payload.len, (const char *)delivery->payload.ptr);
        assert(len < sizeof(text));
    }
    return text;
}

#endif
