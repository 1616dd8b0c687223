// explain_query.c - one statement over one message, run by the hub's own core.
#include <jansson.h>
#include <stdio.h>

#include "trial/explain_parts.h"
#include "trial/trial.h"

struct problem_of {
    char text[500];
};

static void on_rejection(void *context, const struct trial_rejection *rejection)
{
    struct problem_of *problem = context;
    snprintf(problem->text, sizeof(problem->text), "%s", rejection->reason);
}

static enum err read_rows(struct trial *trial, json_t **out_rows, struct error *e)
{
    const struct trial_delivery *deliveries = NULL;
    struct problem_of problem = {""};
    uint32_t count = 0;
    enum err rc = trial_take(trial, &deliveries, &count, e);
    rc = rc == ERR_OK ? trial_rejections(trial, on_rejection, &problem, e) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    if (problem.text[0] != '\0') {
        return error_set(e, ERR_INVALID, "%s", problem.text);
    }
    json_t *rows = json_array();
    for (uint32_t i = 0; i < count; i++) {
        struct bytes payload = deliveries[i].delivery.payload;
        json_array_append_new(rows, json_loadb((const char *)payload.ptr, payload.len, 0, NULL));
    }
    *out_rows = rows;
    return ERR_OK;
}

enum err explain_query(const struct explain_options *options, const char *sql,
                       struct json_t **out_rows, struct error *e)
{
    const struct route_spec route = {.target = 0, .topic = "explain", .format = PAYLOAD_JSON};
    const struct rule_spec rule = {
        .name = "explain", .sql = sql, .routes = &route, .route_count = 1};
    const struct target_spec target = {.name = "explain", .attempts_max = 1};
    const struct config_target config_target = {.name = "explain"};
    struct config config = *options->config; // The public part is all that a trial looks at.
    config.core.rules = &rule;
    config.core.rule_count = 1;
    config.core.targets = &target;
    config.core.target_count = 1;
    config.targets = &config_target;
    config.target_count = 1;
    struct trial *trial = NULL;
    struct error own = {0};
    e = e == NULL ? &own : e;
    const struct trial_options trial_options = {
        .config = &config, .rule = NULL, .now_ms = options->now_ms, .births = options->births};
    enum err rc = trial_create(&trial, &trial_options, e);
    rc = rc == ERR_OK ? trial_step(trial, options->message, 1, options->now_ms, e) : rc;
    rc = rc == ERR_OK ? read_rows(trial, out_rows, e) : rc;
    trial_destroy(trial);
    return rc;
}
