#include "trial/rule_cost.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/option.h"
#include "core/rules.h"
#include "trial/trial.h"

#define BATCH      1000
#define ROUNDS_MAX 101
#define STEP_MS    1000 // The clock moves on by so much with each batch: a thousand events a second.

// The parts are told apart by leaving something out.
enum extent { WITHOUT_RULE, WITHOUT_ROUTES, WHOLE, EXTENT_COUNT };

struct measure {
    const struct rule_cost_options *options;
    struct config config; // With the rules below.
    struct rule_spec *rules;
    uint32_t rule_index;
    struct message *batch; // BATCH of them.
    struct playback playback;
    struct rule_cost *cost;
};

static bool is_of_rule(const struct measure *measure, const struct rule_spec *spec)
{
    return spec == &measure->rules[measure->rule_index] ||
           (spec->branch != BRANCH_MAIN && spec->parent == measure->rule_index);
}

static enum err no_such_rule(const struct rule_cost_options *options, struct error *e)
{
    const struct core_spec *core = &options->config->core;
    const char **names = calloc(core->rule_count + 1, sizeof(names[0]));
    for (uint32_t i = 0; names != NULL && i < core->rule_count; i++) {
        names[i] = core->rules[i].name;
    }
    const char *near = names == NULL ? NULL : nearest_name(options->rule, names);
    error_set(e, ERR_NOT_FOUND, "there is no rule '%s'%s%s%s", options->rule,
              near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
              near == NULL ? "" : "'?");
    free(names);
    return ERR_NOT_FOUND;
}

static enum err measure_init(struct measure *measure, const struct rule_cost_options *options,
                             struct error *e)
{
    const struct core_spec *core = &options->config->core;
    measure->options = options;
    measure->config = *options->config;
    measure->rules = calloc(core->rule_count + 1, sizeof(measure->rules[0]));
    measure->batch = calloc(BATCH, sizeof(measure->batch[0]));
    measure->rule_index = core->rule_count;
    for (uint32_t i = 0; i < core->rule_count; i++) {
        if (core->rules[i].branch == BRANCH_MAIN &&
            strcmp(core->rules[i].name, options->rule) == 0) {
            measure->rule_index = i;
        }
    }
    if (measure->rules == NULL || measure->batch == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for the measurement");
    }
    return measure->rule_index == core->rule_count ? no_such_rule(options, e) : ERR_OK;
}

// The configuration for one extent: nobody sees the messages, or the rule has no routes, or all.
static void set_extent(struct measure *measure, enum extent extent)
{
    const struct core_spec *core = &measure->options->config->core;
    for (uint32_t i = 0; i < core->rule_count; i++) {
        measure->rules[i] = core->rules[i];
        if (extent == WITHOUT_ROUTES && is_of_rule(measure, &measure->rules[i])) {
            measure->rules[i].route_count = 0;
        }
    }
    measure->config.core.rules = measure->rules;
    measure->playback = (struct playback){
        .rule = extent == WITHOUT_RULE ? "" : measure->options->rule, .is_known = true};
}

static uint32_t fill_batch(struct measure *measure, uint64_t done, int64_t now_ms)
{
    const struct rule_cost_options *options = measure->options;
    uint64_t left = options->events - done;
    uint32_t count = left < BATCH ? (uint32_t)left : BATCH;
    for (uint32_t i = 0; i < count; i++) {
        measure->batch[i] = options->messages[(done + i) % options->message_count];
        measure->batch[i].received_ms = now_ms;
        measure->batch[i].playback = &measure->playback;
    }
    return count;
}

static void note_counts(struct measure *measure, struct trial *trial)
{
    struct books books;
    struct rule_cost *cost = measure->cost;
    core_books(trial_core(trial), &books);
    cost->deliveries = books.delivered;
    cost->rejected = books.rejected;
    cost->late = books.late;
    cost->instructions =
        (double)rules_instructions(core_rules(trial_core(trial)), measure->rule_index) /
        (double)measure->options->events;
}

// One round; gives its nanoseconds an event.
static enum err run_round(struct measure *measure, enum extent extent, double *out_ns,
                          struct error *e)
{
    struct trial *trial = NULL;
    const struct trial_options options = {
        .config = &measure->config, .now_ms = clock_wall_ms(), .is_forgetful = true};
    enum err rc = trial_create(&trial, &options, e);
    int64_t now_ms = options.now_ms, used_ns = 0;
    bool has_window = measure->rules[measure->rule_index].window.kind != WINDOW_NONE;
    for (uint64_t done = 0; rc == ERR_OK && done < measure->options->events;) {
        int64_t start_ns = clock_cpu_ns();
        now_ms += STEP_MS;
        uint32_t count = fill_batch(measure, done, now_ms);
        rc = trial_advance(trial, now_ms, e);
        // What targets take is not counted, but windows that close are: then both are, and the
        // deliveries are few.
        start_ns = has_window ? start_ns : clock_cpu_ns();
        rc = rc == ERR_OK ? trial_step(trial, measure->batch, count, now_ms, e) : rc;
        used_ns += clock_cpu_ns() - start_ns;
        done += count;
    }
    rc = rc == ERR_OK ? trial_advance(trial, now_ms + STEP_MS, e) : rc;
    *out_ns = (double)used_ns / (double)measure->options->events;
    if (rc == ERR_OK && extent == WHOLE) {
        note_counts(measure, trial);
    }
    trial_destroy(trial);
    return rc;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof(values[0]), compare);
    return values[count / 2];
}

static double above(double more, double less)
{
    return more > less ? more - less : 0;
}

enum err rule_cost_measure(const struct rule_cost_options *options, struct rule_cost *out_cost,
                           struct error *e)
{
    struct measure measure = {.cost = out_cost};
    double rounds[EXTENT_COUNT][ROUNDS_MAX];
    uint32_t count = options->rounds < ROUNDS_MAX ? options->rounds : ROUNDS_MAX;
    *out_cost = (struct rule_cost){.events = options->events, .sample = options->message_count};
    enum err rc = measure_init(&measure, options, e);
    for (uint32_t i = 0; rc == ERR_OK && i < count * EXTENT_COUNT; i++) {
        enum extent extent = (enum extent)(i % EXTENT_COUNT); // In turns: a machine has its moods.
        set_extent(&measure, extent);
        rc = run_round(&measure, extent, &rounds[extent][i / EXTENT_COUNT], e);
    }
    if (rc == ERR_OK) {
        double read_ns = median(rounds[WITHOUT_RULE], count);
        double rule_ns = median(rounds[WITHOUT_ROUTES], count);
        out_cost->total_ns = median(rounds[WHOLE], count);
        out_cost->read_ns = read_ns;
        out_cost->rule_ns = above(rule_ns, read_ns);
        out_cost->outbox_ns = above(out_cost->total_ns, rule_ns);
    }
    free(measure.rules);
    free(measure.batch);
    return rc;
}
