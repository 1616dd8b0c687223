#include "core/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rules_parts.h"

#define OUTPUTS_KEPT 4096  // Room kept from batch to batch.
#define OUTPUTS_MAX  65536 // Of one event in one rule.

#define OUTPUT_BYTES_MAX 64000000 // The same in bytes.

// One rule over its events.
struct rule_pass {
    struct rules *rules;
    uint32_t rule_index;
    struct event_batch *batch;
    const struct rule_sink *sink;
    const struct window_result *window; // The statement runs over its rows; NULL: over events.
    bool has_failed;                    // On the window.
};

static void forget_outputs(struct rules *rules)
{
    rules->output_count = 0;
    event_memory_reset(&rules->memory);
    event_memory_set_budget(&rules->memory, OUTPUT_BYTES_MAX);
}

static enum err reserve_outputs(struct rules *rules, uint32_t more, struct error *e)
{
    uint32_t wanted = rules->output_count + more;
    if (wanted > OUTPUTS_MAX) {
        return error_set(e, ERR_INVALID, "more than %d deliveries for one event", OUTPUTS_MAX);
    }
    if (wanted <= rules->output_capacity) {
        return ERR_OK;
    }
    uint32_t capacity = wanted * 2;
    struct rule_output *outputs = reallocarray(rules->outputs, capacity, sizeof(rules->outputs[0]));
    if (outputs == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for a rule's outputs");
    }
    rules->outputs = outputs;
    rules->output_capacity = capacity;
    return ERR_OK;
}

static uint32_t row_of_next(const struct rules *rules, uint32_t route_count)
{
    return route_count == 0 ? 0 : rules->output_count / route_count;
}

static enum err check_derived(const struct route_spec *route, struct bytes topic, struct error *e)
{
    if (route->target != ROUTE_TO_RULES) {
        return ERR_OK;
    }
    const char *problem = rule_graph_topic_problem(route->topic, topic);
    return problem == NULL ? ERR_OK
                           : error_set(e, ERR_INVALID, "the topic \"%.*s\" made of \"%s\" %s",
                                       (int)(topic.len < 100 ? topic.len : 100),
                                       (const char *)topic.ptr, route->topic, problem);
}

static enum err on_row(void *context, uint32_t event_index, sqlite3_stmt *compiled, struct error *e)
{
    struct rule_pass *pass = context;
    struct rules *rules = pass->rules;
    const struct rule *rule = &rules->rules[pass->rule_index];
    uint32_t route_count = rule->spec->route_count;
    struct rendered rendered[ROUTES_MAX];
    bool is_closed = event_index == UINT32_MAX; // A window: another event stands for it.
    struct event *event = is_closed ? event_batch_at(pass->window->batch, 0)
                                    : event_batch_at(pass->batch, event_index);
    struct render_row row = {compiled, event, &rules->memory, row_of_next(rules, route_count)};
    enum err rc = reserve_outputs(rules, route_count, e);
    if (rc == ERR_OK) {
        rc = render_row(rule->render, &row, rendered, e);
    }
    if (rc == ERR_NO_MEMORY && rules->memory.is_over_budget) {
        rc = error_set(e, ERR_INVALID, "more than %d MB of deliveries for one event",
                       OUTPUT_BYTES_MAX / 1000000);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < route_count; i++) {
        rc = check_derived(&rule->spec->routes[i], rendered[i].topic, e);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < route_count; i++) {
        rules->outputs[rules->output_count++] = (struct rule_output){
            .event_index = event_index,
            .root_index = is_closed ? event_index : rule_matches_root(rules->matches, event_index),
            .window = is_closed ? pass->window->id : NULL,
            .source = event,
            .rule_index = pass->rule_index,
            .route_index = i,
            .row_index = row.row_index,
            .key = pass->window != NULL && rule->spec->key == NULL ? pass->window->key
                                                                   : rendered[i].key,
            .topic = rendered[i].topic,
            .payload = rendered[i].payload,
            .properties = rendered[i].properties,
            .content_type = rendered[i].content_type,
        };
    }
    return rc;
}

static enum err on_finish(void *context, uint32_t event_index, uint32_t rows, struct error *e)
{
    struct rule_pass *pass = context;
    struct rules *rules = pass->rules;
    enum err rc = ERR_OK;
    for (uint32_t i = 0; rc == ERR_OK && i < rules->output_count; i++) {
        rc = pass->sink->output(pass->sink->context, &rules->outputs[i], e);
    }
    if (rows > 0) {
        forget_outputs(rules);
    }
    if (pass->window != NULL) {
        if (rc == ERR_OK && rules->window_sink != NULL) {
            rules->window_sink->closed(rules->window_sink->context, pass->rule_index, rows);
        }
        return rc;
    }
    if (rc == ERR_OK && pass->sink->ran != NULL) {
        pass->sink->ran(pass->sink->context, event_index, pass->rule_index, rows);
    }
    if (rc == ERR_OK && rows == 0) {
        rc = rule_branches_put(rules->branches, pass->rule_index, BRANCH_ELSE, event_index, e);
    }
    return rc;
}

static enum err on_failure(void *context, uint32_t event_index, const char *reason, struct error *e)
{
    struct rule_pass *pass = context;
    const struct rule_statement *statement = pass->rules->rules[pass->rule_index].statement;
    forget_outputs(pass->rules);
    if (statement->memo != NULL) {
        memo_forget_event(statement->memo, statement->memo_rule,
                          rule_space_serial(pass->rules->space, event_index));
    }
    char sentence[sizeof(e->text)];
    snprintf(sentence, sizeof(sentence), "rule \"%.100s\": %s",
             pass->rules->rules[pass->rule_index].spec->name, reason);
    pass->has_failed = true;
    if (event_index == UINT32_MAX) {
        const struct rule_window_sink *windows = pass->rules->window_sink;
        return windows == NULL ? ERR_OK
                               : windows->failure(windows->context, pass->rule_index, pass->window,
                                                  sentence, e);
    }
    return pass->sink->failure(pass->sink->context, event_index, pass->rule_index, sentence, e);
}

static enum err run_statement(void *context, uint32_t rule_index, const uint32_t *events,
                              uint32_t count, struct error *e)
{
    struct rule_pass *pass = context;
    struct rules *rules = pass->rules;
    pass->rule_index = rule_index;
    const struct rule_reader reader = {pass, on_row, on_finish, on_failure};
    forget_outputs(rules);
    return rule_statement_run(rules->rules[rule_index].statement, pass->batch, events, count,
                              rules->is_batched, &reader, e);
}

static enum err run_window(void *context, uint32_t rule_index, const struct window_result *window,
                           bool *out_failed, struct error *e)
{
    struct rule_pass *pass = context;
    struct rules *rules = pass->rules;
    const struct rule_reader reader = {pass, on_row, on_finish, on_failure};
    enum err rc;
    forget_outputs(rules);
    pass->rule_index = rule_index;
    pass->window = window;
    pass->has_failed = false;
    if (window->problem != NULL) {
        rc = on_failure(pass, window->event_index, window->problem, e);
    } else {
        rc = rule_statement_run_rows(rules->rules[rule_index].statement, window->rows,
                                     window->row_count, window->event_index, &reader, e);
    }
    *out_failed = pass->has_failed;
    pass->window = NULL;
    return rc;
}

static void on_entered(void *context, uint32_t rule_index, uint32_t event_index, bool is_kept)
{
    const struct rule_pass *pass = context;
    const struct rule_window_sink *windows = pass->rules->window_sink;
    if (pass->sink->ran != NULL) {
        pass->sink->ran(pass->sink->context, event_index, rule_index, 0);
    }
    if (is_kept && windows != NULL) {
        windows->kept(windows->context, rule_matches_root(pass->rules->matches, event_index));
    }
}

static enum err on_late(void *context, uint32_t rule_index, uint32_t event_index, struct error *e)
{
    const struct rule_pass *pass = context;
    return rule_branches_put(pass->rules->branches, rule_index, BRANCH_LATE, event_index, e);
}

static enum err on_event_failure(void *context, uint32_t rule_index, uint32_t event_index,
                                 const char *reason, struct error *e)
{
    struct rule_pass *pass = context;
    pass->rule_index = rule_index;
    return on_failure(pass, event_index, reason, e);
}

static void on_left_out(void *context, uint32_t rule_index, struct bytes key, uint32_t rows_max)
{
    const struct rule_window_sink *windows = ((struct rule_pass *)context)->rules->window_sink;
    if (windows != NULL) {
        windows->left_out(windows->context, rule_index, key, rows_max);
    }
}

static struct window_sink window_sink_of(struct rule_pass *pass)
{
    return (struct window_sink){pass,    run_window,       on_entered,
                                on_late, on_event_failure, on_left_out};
}

static enum err run_events(struct rule_pass *pass, uint32_t rule_index, const uint32_t *events,
                           uint32_t count, struct error *e)
{
    struct rules *rules = pass->rules;
    if (!windows_has(rules->windows, rule_index)) {
        return run_statement(pass, rule_index, events, count, e);
    }
    const struct window_sink sink = window_sink_of(pass);
    return windows_enter(rules->windows, rule_index, pass->batch, events, count, &sink, e);
}

static enum err run_rule(void *context, uint32_t rule_index, const uint32_t *events, uint32_t count,
                         struct error *e)
{
    struct rule_pass *pass = context;
    enum err rc = run_events(pass, rule_index, events, count, e);
    return rc == ERR_OK
               ? rule_branches_each(pass->rules->branches, rule_index, run_statement, pass, e)
               : rc;
}

struct chosen {
    const struct rules *rules;
    const char *name;
};

// The rule that a played message is for, or a branch of it.
static bool is_chosen(const void *context, uint32_t rule_index)
{
    const struct chosen *chosen = context;
    const struct rule_spec *spec = chosen->rules->rules[rule_index].spec;
    if (spec->branch != BRANCH_MAIN) {
        spec = chosen->rules->rules[spec->parent].spec;
    }
    return strcmp(spec->name, chosen->name) == 0;
}

static enum err match_event(struct rules *rules, const struct event *event, uint32_t index,
                            struct error *e)
{
    const struct message *message = event_message(event);
    if (message->playback == NULL || message->playback->rule == NULL) {
        return rule_matches_put(rules->matches, message->topic, index, e);
    }
    const struct chosen chosen = {rules, message->playback->rule};
    return rule_matches_put_wanted(rules->matches, message->topic, index, is_chosen, &chosen, e);
}

bool rules_have_derived(const struct rules *rules)
{
    return rules->position != NULL;
}

enum err rules_feed(struct rules *rules, struct event_batch *batch, uint32_t event_index,
                    uint32_t root_index, struct error *e)
{
    struct bytes topic = event_message(event_batch_at(batch, event_index))->topic;
    return rule_matches_feed(rules->matches, topic, event_index, root_index, e);
}

// The events first..end - 1, as one batch.
static enum err run_range(struct rule_pass *pass, const bool *is_skipped, uint32_t first,
                          uint32_t end, struct error *e)
{
    struct rules *rules = pass->rules;
    enum err rc = ERR_OK;
    for (uint32_t i = first; rc == ERR_OK && i < end; i++) {
        if (is_skipped == NULL || !is_skipped[i]) {
            rc = match_event(rules, event_batch_at(pass->batch, i), i, e);
        }
    }
    if (rc == ERR_OK) {
        rc = rule_matches_each(rules->matches, run_rule, pass, e);
    }
    rule_matches_clear(rules->matches);
    rule_branches_clear(rules->branches);
    return rc;
}

// Where tables are fed: an event that changes one ends the batch of those before it that read one.
static enum err run_fed(struct rule_pass *pass, const bool *is_skipped, uint32_t count,
                        struct error *e)
{
    struct rule_feeds *feeds = pass->rules->feeds;
    uint32_t first = 0;
    bool is_read = false;
    enum err rc = rule_feeds_begin(feeds, e);
    if (rc != ERR_OK) {
        return rc;
    }
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        struct bytes topic = event_message(event_batch_at(pass->batch, i))->topic;
        if (is_skipped != NULL && is_skipped[i]) {
            continue;
        }
        if (is_read && rule_feeds_writes(feeds, topic)) {
            rc = run_range(pass, is_skipped, first, i, e);
            first = i;
            is_read = false;
        }
        rc = rc == ERR_OK ? rule_feeds_apply(feeds, pass->batch, i, pass->sink, e) : rc;
        is_read = is_read || rule_feeds_reads(feeds, topic);
    }
    rc = rc == ERR_OK ? run_range(pass, is_skipped, first, count, e) : rc;
    return rule_feeds_end(feeds, rc, e);
}

enum err rules_run(struct rules *rules, struct event_batch *batch, const bool *is_skipped,
                   int64_t now_ms, const struct rule_sink *sink, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    struct rule_pass pass = {.rules = rules, .batch = batch, .sink = sink};
    uint32_t count = event_batch_count(batch);
    rule_space_begin(rules->space, rules->steps_max, rules->memory_max, now_ms);
    enum err rc = rule_feeds_is_idle(rules->feeds) ? run_range(&pass, is_skipped, 0, count, e)
                                                   : run_fed(&pass, is_skipped, count, e);
    rule_space_end(rules->space);
    forget_outputs(rules);
    if (rules->output_capacity > OUTPUTS_KEPT) {
        free(rules->outputs);
        rules->outputs = NULL;
        rules->output_capacity = 0;
    }
    return rc;
}

bool rules_reads_latest(const struct rules *rules)
{
    return rule_feeds_reads_latest(rules->feeds);
}

enum err rules_keep_latest(struct rules *rules, struct error *e)
{
    rules->is_cut_by_feeds = rules->space->reads_tables;
    return rules->space->reads_latest ? rule_feeds_keep_latest(rules->feeds, e) : ERR_OK;
}

bool rules_cut_before(struct rules *rules, const struct event *event)
{
    return rules->is_cut_by_feeds && rule_feeds_writes(rules->feeds, event_message(event)->topic);
}

void rules_rollback(struct rules *rules)
{
    rule_feeds_rollback(rules->feeds);
}

enum err rules_fire(struct rules *rules, uint32_t keys_max, struct event_batch *batch,
                    int64_t now_ms, const struct rule_sink *sink, bool *out_more, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    struct rule_pass pass = {.rules = rules, .batch = batch, .sink = sink};
    const struct window_sink windows = window_sink_of(&pass);
    rule_space_begin(rules->space, rules->steps_max, rules->memory_max, now_ms);
    enum err rc = windows_fire(rules->windows, keys_max, &windows, out_more, e);
    if (rc == ERR_OK) {
        rc = rule_matches_each(rules->matches, run_rule, &pass, e);
    }
    rule_matches_clear(rules->matches);
    rule_branches_clear(rules->branches);
    rule_space_end(rules->space);
    forget_outputs(rules);
    return rc;
}

void rules_set_window_sink(struct rules *rules, const struct rule_window_sink *sink)
{
    rules->window_sink = sink;
}

struct windows *rules_windows(struct rules *rules)
{
    return rules->windows;
}

enum err rules_identify(struct rules *rules, struct event_batch *batch, bool *is_skipped,
                        int64_t now_ms, const struct rule_sink *sink, struct error *e)
{
    struct error own;
    e = e == NULL ? &own : e;
    rule_space_begin(rules->space, rules->steps_max, rules->memory_max, now_ms);
    enum err rc = rule_identities_run(rules->identities, batch, is_skipped, sink, e);
    rule_space_end(rules->space);
    return rc;
}

void rules_begin_batch(struct rules *rules)
{
    rules->space->denials.count = 0;
    rules->space->denials.has_new = false;
    rules->space->denials.windows = 0;
}

bool rules_may_retry(struct rules *rules)
{
    struct rule_denials *denials = &rules->space->denials;
    bool has_new = denials->has_new;
    denials->has_new = false;
    denials->windows = 0;
    return has_new;
}
