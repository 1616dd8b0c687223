// workflow_stats.c - `pipit workflow stats`: visits of each step, and whether they add up.
//
// Of a step, over the time T from its first visit until now: A visits came, of which some are still
// in it; `area` is the sum over time of how many were. Then its arrival rate is A / T, the mean
// number in it area / T and the mean time in it area / A: Little's law, number = rate x time. That
// it holds is more than arithmetic: area, kept by the clock, has to be what the visits that have
// ended took, plus the ages of those that the instances themselves say are there.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "cli/terminal.h"
#include "cli/workflow_print.h"
#include "cli/workflow_select.h"

int workflow_stats_command(int argc, char **argv);

static const struct option_spec stats_options[] = {
    WORKFLOW_CONFIG_OPTION,
    {"name", OPTION_TEXT, false, NULL, 0, 0, NULL, "Only this workflow."},
    {"json", OPTION_BOOL, false, "false", 0, 0, NULL,
     "One JSON object a step of a version: counts, rates a second, times in milliseconds."},
    {NULL},
};

static const struct usage usage = {
    .name = "workflow stats",
    .synopsis = "-c hub.yaml [--name WORKFLOW] [--json]",
    .about =
        "Shows how each step of each workflow does, by version, since its first visit: arrivals\n"
        "and departures a second, how many branches are in it now, the mean number, the mean time\n"
        "in it (those that are still there included) and how long the oldest has been. Little's\n"
        "law, mean number = arrival rate x mean time, is checked against the instances "
        "themselves.\n",
    .options = stats_options,
    .more =
        "Exit codes: 0 shown, 1 the counters do not add up, 2 usage, 3 configuration, 4 store.\n",
};

static const char *const headings[] = {
    "WORKFLOW", "STEP",     ">IN",     ">ARRIVED/S", ">DEPARTED/S", ">MEAN IN", ">MEAN TIME",
    ">OLDEST",  ">ARRIVED", ">FAILED", ">RETRIED",   "NOTE",        NULL};

struct visit_id {
    int64_t definition, step;
};

// Those who are at a step, by what the instances say.
struct visits {
    struct visit_id id;
    uint64_t count;
    int64_t arrived_sum_ms, oldest_ms;
    UT_hash_handle hh;
};

struct stats {
    struct workflow_run *run;
    struct visits *visits;
    struct table *table;
    int64_t now_ms;
    bool is_exhausted, is_wrong, has_unreadable;
    uint64_t shown;
};

static void on_token(void *context, int64_t definition, uint32_t step, int64_t since_ms)
{
    struct stats *stats = context;
    const struct visit_id id = {definition, step};
    struct visits *visits;
    HASH_FIND(hh, stats->visits, &id, sizeof(id), visits);
    if (visits == NULL) {
        visits = calloc(1, sizeof(*visits));
        if (visits == NULL) {
            stats->is_exhausted = true;
            return;
        }
        visits->id = id;
        visits->oldest_ms = since_ms;
        HASH_ADD(hh, stats->visits, id, sizeof(visits->id), visits);
    }
    visits->count++;
    visits->arrived_sum_ms += since_ms;
    visits->oldest_ms = since_ms < visits->oldest_ms ? since_ms : visits->oldest_ms;
}

static bool on_instance(void *context, const struct view_instance *instance)
{
    struct stats *stats = context;
    stats->has_unreadable |= !workflow_look_tokens(instance, on_token, stats);
    return !stats->is_exhausted;
}

struct figures {
    uint64_t in;
    double lambda, mu, mean_in; // A second; without a time to speak of 0.
    int64_t mean_ms, oldest_ms; // oldest_ms 0: nobody is in it.
    bool is_balanced;
};

static void figure(const struct stats *stats, const struct view_step *step, struct figures *out)
{
    static const struct visits nobody;
    const struct visit_id id = {step->definition, step->step};
    const struct visits *visits;
    HASH_FIND(hh, stats->visits, &id, sizeof(id), visits);
    visits = visits == NULL ? &nobody : visits;
    uint64_t in = step->arrived - step->departed;
    int64_t ages_ms = (int64_t)visits->count * step->last_ms - visits->arrived_sum_ms;
    int64_t area_ms = step->area_ms + (int64_t)in * (stats->now_ms - step->last_ms);
    double seconds = (double)(stats->now_ms - step->first_ms) / 1000;
    bool has_time = seconds > 0;
    *out = (struct figures){
        .in = in,
        .lambda = has_time ? (double)step->arrived / seconds : 0,
        .mu = has_time ? (double)step->departed / seconds : 0,
        .mean_in = has_time ? (double)area_ms / 1000 / seconds : 0,
        .mean_ms = step->arrived == 0 ? 0 : area_ms / (int64_t)step->arrived,
        .oldest_ms = visits->count == 0 ? 0 : stats->now_ms - visits->oldest_ms,
        .is_balanced = visits->count == in && step->area_ms == step->residence_ms + ages_ms,
    };
}

static void print_json(const struct view_step *step, const struct figures *figures)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:b}",
        "workflow", step->workflow, "version", step->version, "current", step->is_current, "step",
        step->name, "in", (json_int_t)figures->in, "arrived", (json_int_t)step->arrived, "departed",
        (json_int_t)step->departed, "failed", (json_int_t)step->failed, "retried",
        (json_int_t)step->retried, "arrived_per_s", figures->lambda, "departed_per_s", figures->mu,
        "mean_in", figures->mean_in, "mean_ms", (json_int_t)figures->mean_ms, "oldest_ms",
        (json_int_t)figures->oldest_ms, "residence_ms", (json_int_t)step->residence_ms, "area_ms",
        (json_int_t)step->area_ms, "first", (json_int_t)step->first_ms, "last",
        (json_int_t)step->last_ms, "balanced", figures->is_balanced);
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(json);
}

static void print_row(struct table *table, const struct view_step *step,
                      const struct figures *figures)
{
    char amount[AMOUNT_TEXT_MAX];
    table_cell(table, COLOUR_NONE, "%s", step->workflow);
    table_cell(table, COLOUR_BOLD, "%s", step->name);
    table_cell(table, COLOUR_NONE, "%" PRIu64, figures->in);
    table_cell(table, COLOUR_NONE, "%.3f", figures->lambda);
    table_cell(table, COLOUR_NONE, "%.3f", figures->mu);
    table_cell(table, COLOUR_NONE, "%.2f", figures->mean_in);
    table_cell(table, COLOUR_NONE, "%s",
               amount_duration(figures->mean_ms < 0 ? 0 : figures->mean_ms, amount));
    table_cell(table, COLOUR_NONE, "%s",
               figures->oldest_ms <= 0 ? "" : amount_duration(figures->oldest_ms, amount));
    table_cell(table, COLOUR_NONE, "%" PRIu64, step->arrived);
    table_cell(table, step->failed > 0 ? COLOUR_RED : COLOUR_NONE, "%" PRIu64, step->failed);
    table_cell(table, step->retried > 0 ? COLOUR_YELLOW : COLOUR_NONE, "%" PRIu64, step->retried);
    table_cell(table, figures->is_balanced ? COLOUR_DIM : COLOUR_RED, "%s",
               !figures->is_balanced ? "does not add up"
               : step->is_current    ? ""
               : step->is_configured ? "older version"
                                     : "not configured any more");
}

static bool on_step(void *context, const struct view_step *step)
{
    struct stats *stats = context;
    struct figures figures;
    figure(stats, step, &figures);
    stats->is_wrong |= !figures.is_balanced;
    stats->shown++;
    if (stats->run->is_json) {
        print_json(step, &figures);
    } else {
        print_row(stats->table, step, &figures);
    }
    return true;
}

// Instances and steps of one moment.
static enum err read_all(struct stats *stats, const char *name, struct error *e)
{
    struct store_view *view = stats->run->view;
    const struct view_instance_filter filter = {.workflow = name, .states = WORKFLOW_OPEN_STATES};
    enum err rc = store_view_freeze(view, e);
    stats->now_ms = clock_wall_ms();
    rc = rc == ERR_OK ? store_view_instances(view, &filter, on_instance, stats, e) : rc;
    if (rc == ERR_OK && stats->is_exhausted) {
        rc = error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    rc = rc == ERR_OK ? store_view_steps(view, name, on_step, stats, e) : rc;
    store_view_thaw(view);
    return rc;
}

static int tell(const struct stats *stats)
{
    if (!stats->run->is_json && stats->shown == 0) {
        printf("no step has been visited yet\n");
    }
    if (stats->is_wrong || stats->has_unreadable) {
        fprintf(stderr, "pipit workflow stats: %s: please report this with the store\n",
                stats->has_unreadable
                    ? "there are instances whose branches cannot be read"
                    : "the counters of a step and the instances that are at it do not add up");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int stats_show(struct workflow_run *run)
{
    struct error e = {0};
    struct stats stats = {.run = run, .table = table_create(headings)};
    enum err rc = read_all(&stats, option_text(run->arguments.options, "name"), &e);
    if (rc == ERR_OK && !run->is_json && stats.shown > 0) {
        table_print(stats.table, stdout);
    }
    table_destroy(stats.table);
    struct visits *visits, *next;
    HASH_ITER(hh, stats.visits, visits, next)
    {
        HASH_DEL(stats.visits, visits);
        free(visits);
    }
    return rc == ERR_OK ? tell(&stats) : workflow_run_fail(run, &e);
}

int workflow_stats_command(int argc, char **argv)
{
    struct workflow_run run;
    int code = workflow_run_open(&run, &usage, argc, argv);
    if (code == -1 && run.arguments.word_count > 0) {
        code = usage_fail(&usage, "'%s' is not expected here; --name selects a workflow",
                          run.arguments.words[0]);
    }
    code = code == -1 ? stats_show(&run) : code;
    workflow_run_close(&run);
    return code;
}
