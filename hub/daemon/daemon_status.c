#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon_parts.h"

#define LOOK_MS 1000

// Everything that a view borrows.
struct view_parts {
    struct source_state *source_states;
    struct status_source *sources;
    struct worker_state *worker_states;
    struct status_target *targets;
};

static void parts_deinit(struct view_parts *parts)
{
    free(parts->source_states);
    free(parts->sources);
    free(parts->worker_states);
    free(parts->targets);
}

static bool parts_init(struct view_parts *parts, uint32_t sources, uint32_t targets)
{
    parts->source_states = calloc(sources + 1, sizeof(parts->source_states[0]));
    parts->sources = calloc(sources + 1, sizeof(parts->sources[0]));
    parts->worker_states = calloc(targets + 1, sizeof(parts->worker_states[0]));
    parts->targets = calloc(targets + 1, sizeof(parts->targets[0]));
    return parts->source_states != NULL && parts->sources != NULL && parts->worker_states != NULL &&
           parts->targets != NULL;
}

static void view_sources(const struct daemon *daemon, struct view_parts *parts)
{
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        struct source_state *state = &parts->source_states[i];
        if (daemon->sources[i].source != NULL) {
            source_state(daemon->sources[i].source, state);
        }
        parts->sources[i] = (struct status_source){
            .name = daemon->sources[i].spec->name,
            .is_up = state->is_up,
            .is_away = state->is_away,
            .since_ms = state->since_ms,
            .messages = state->messages,
            .reconnects = state->reconnects,
            .broker_dropped = state->broker_dropped,
            .error = state->last_error,
            .advice = state->broker_advice,
        };
    }
}

static void view_targets(const struct daemon *daemon, struct view_parts *parts)
{
    for (uint32_t i = 0; i < daemon->worker_count; i++) {
        struct worker_state *state = &parts->worker_states[i];
        if (daemon->workers[i].worker != NULL) {
            worker_state(daemon->workers[i].worker, state);
        }
        parts->targets[i] = (struct status_target){
            .name = daemon->workers[i].spec->name,
            .is_up = state->is_up,
            .in_flight = state->in_flight,
            .down_since_ms = state->down_since_ms,
            .error = state->last_error,
        };
    }
}

static void view_fill(const struct daemon *daemon, const struct view_parts *parts,
                      struct status_view *view)
{
    static const char *const states[] = {"ok", "full", "sealed", "stopping"};
    const struct options *hub = daemon->config->hub;
    bool is_failing = daemon->state == DAEMON_FULL || daemon->state == DAEMON_SEALED;
    *view = (struct status_view){
        .hub_id = option_text(hub, "id"),
        .version = daemon->options->version,
        .state = states[daemon->state],
        .store_path = option_text(hub, "store"),
        .full = is_failing ? daemon->reason : NULL,
        .uptime_s = (daemon->now_ms - daemon->started_ms) / 1000,
        .now_ms = clock_wall_ms(),
        .core = daemon->core,
        .books = daemon->last_books,
        .received_per_s = daemon->received_per_s,
        .delivered_per_s = daemon->delivered_per_s,
        .used_bytes = daemon->store == NULL ? 0 : store_used_bytes(daemon->store),
        .limit_bytes = (uint64_t)option_int(hub, "store_limit"),
        .sources = parts->sources,
        .source_count = daemon->source_count,
        .targets = parts->targets,
        .target_count = daemon->worker_count,
    };
    if (daemon->core != NULL) {
        core_books(daemon->core, &view->books);
    }
}

static double per_second(uint64_t now, uint64_t before, int64_t ms)
{
    return now < before || ms <= 0 ? 0 : (double)(now - before) * 1000 / (double)ms;
}

static void rates_take(struct daemon *daemon)
{
    int64_t ms = daemon->now_ms - daemon->rate_at_ms;
    struct books books;
    if (daemon->core == NULL || ms < RATE_MS) {
        return;
    }
    core_books(daemon->core, &books);
    daemon->received_per_s = per_second(books.received, daemon->rate_books.received, ms);
    daemon->delivered_per_s = per_second(books.delivered, daemon->rate_books.delivered, ms);
    daemon->rate_books = books;
    daemon->rate_at_ms = daemon->now_ms;
}

json_t *daemon_status(struct daemon *daemon)
{
    struct view_parts parts = {0};
    struct status_view view;
    json_t *json = NULL;
    if (parts_init(&parts, daemon->source_count, daemon->worker_count)) {
        view_sources(daemon, &parts);
        view_targets(daemon, &parts);
        view_fill(daemon, &parts, &view);
        json = status_json(&view);
    }
    parts_deinit(&parts);
    return json;
}

static void publish_all(struct daemon *daemon)
{
    struct view_parts parts = {0};
    struct status_view view;
    if (parts_init(&parts, daemon->source_count, daemon->worker_count)) {
        view_sources(daemon, &parts);
        view_targets(daemon, &parts);
        view_fill(daemon, &parts, &view);
        stats_publish(daemon->stats, &view);
    }
    parts_deinit(&parts);
}

bool status_publish(void *context, const char *topic, struct bytes payload)
{
    struct source_slot *slot = sources_for_stats(context);
    return slot != NULL && source_publish(slot->source, topic, payload, 0, true, "text/plain");
}

int64_t status_due_ms(const struct daemon *daemon)
{
    return daemon->stats_at_ms;
}

// A broker that was away may have forgotten what it had retained.
static bool is_new_connection(struct daemon *daemon)
{
    struct source_slot *slot = sources_for_stats(daemon);
    struct source_state state = {0};
    if (slot != NULL) {
        source_state(slot->source, &state);
    }
    if (!state.is_up || state.since_ms == daemon->stats_since_ms) {
        return false;
    }
    daemon->stats_since_ms = state.since_ms;
    return true;
}

void status_tick(struct daemon *daemon)
{
    int64_t every_ms = option_int(daemon->config->hub, "stats_every");
    rates_take(daemon);
    if (every_ms == 0 || daemon->stats == NULL) {
        daemon->stats_at_ms = INT64_MAX;
        return;
    }
    bool is_due = daemon->now_ms >= daemon->stats_at_ms;
    if (daemon->now_ms >= daemon->look_at_ms) {
        daemon->look_at_ms = daemon->now_ms + LOOK_MS;
        if (is_new_connection(daemon)) {
            stats_forget(daemon->stats);
            is_due = true;
        }
    }
    if (is_due) {
        daemon->stats_at_ms = daemon->now_ms + every_ms;
        publish_all(daemon);
    }
}

void status_offline(struct daemon *daemon)
{
    if (daemon->stats != NULL && option_int(daemon->config->hub, "stats_every") != 0) {
        stats_status(daemon->stats, "offline");
    }
}

// JSON for people who watch: how many of them were not taken.
static uint32_t publish_lines(struct daemon *daemon, const char *const *topics,
                              const char *const *lines, uint32_t count)
{
    struct source_slot *slot = count == 0 ? NULL : sources_for_stats(daemon);
    uint32_t lost = slot == NULL ? count : 0;
    for (uint32_t i = 0; slot != NULL && i < count; i++) {
        bool is_out = source_publish(slot->source, topics[i], bytes_from_text(lines[i]), 0, false,
                                     "application/json");
        lost += !is_out;
    }
    return lost;
}

void status_mirror(struct daemon *daemon, const struct outcome *outcome)
{
    uint32_t lost =
        publish_lines(daemon, outcome->mirror_topics, outcome->mirror, outcome->mirror_count);
    if (lost > 0) {
        log_line_limited(LOG_WARN, "admin", "MIRROR-DROPPED", 10000,
                         "count=%u err=\"the broker did not take the mirror's messages in time; "
                         "the events themselves are stored\"",
                         lost);
    }
}

void status_transitions(struct daemon *daemon, const struct outcome *outcome)
{
    uint32_t lost = publish_lines(daemon, outcome->transition_topics, outcome->transitions,
                                  outcome->transition_count) +
                    outcome->transitions_untold;
    if (lost > 0) {
        log_line_limited(LOG_WARN, "admin", "TRANSITIONS-DROPPED", 10000,
                         "count=%u err=\"what happened in workflows could not be published in "
                         "time; it is in the store: pipit workflow show\"",
                         lost);
    }
}
