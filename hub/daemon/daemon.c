#include "daemon/daemon.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon_parts.h"

#define TIMER_SLACK_NS    1000UL
#define MALLOC_ARENAS     2            // Of glibc; one a thread would cost idle megabytes.
#define MALLOC_TRIM_BYTES (256 * 1024) // Free memory at the top that may stay ours.

static void print_fault(void *context, const struct error *fault)
{
    uint32_t *count = context;
    ++*count;
    fprintf(stderr, "%s\n", fault->text);
}

static enum err load(struct daemon *daemon, struct error *e)
{
    uint32_t faults = 0;
    const char *path = daemon->options->config_path;
    enum err rc = tables_load_start(path, print_fault, &faults, &daemon->config, e);
    if (rc != ERR_OK && faults > 0) {
        return error_set(e, ERR_CONFIG, "%s has %u fault%s; nothing was started", path, faults,
                         faults == 1 ? "" : "s");
    }
    if (rc == ERR_OK) {
        log_set_level((enum log_level)option_choice(daemon->config->hub, "log_level"));
    }
    return rc;
}

// The hub runs without: it only cannot be asked.
static void open_control(struct daemon *daemon)
{
    struct error e = {0};
    if (control_open(&daemon->control, option_text(daemon->config->hub, "store"), &e) != ERR_OK) {
        daemon->control = NULL;
        log_line(LOG_WARN, "admin", "CONTROL-FAILED",
                 "err=\"%s; pipit status shows less, and dead letters can only be replayed while "
                 "the hub is stopped\"",
                 e.text);
    }
}

static enum err start(struct daemon *daemon, struct error *e)
{
    daemon->started_ms = daemon->now_ms = daemon->rate_at_ms = clock_monotonic_ms();
    enum err rc = load(daemon, e);
    rc = rc == ERR_OK ? signals_open(&daemon->signal_fd, e) : rc;
    if (rc == ERR_OK) {
        daemon->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        rc = daemon->bell_fd < 0 ? error_set(e, ERR_NO_MEMORY, "eventfd: none left") : ERR_OK;
    }
    rc = rc == ERR_OK ? store_start(daemon, e) : rc;
    rc = rc == ERR_OK ? batch_reserve(daemon, daemon->config, e) : rc;
    if (rc == ERR_OK) {
        batch_use(daemon);
        tables_watch(daemon);
    }
    rc = rc == ERR_OK ? workers_create(daemon, e) : rc;
    rc = rc == ERR_OK ? sources_create(daemon, e) : rc;
    if (rc == ERR_OK) {
        core_books(daemon->core, &daemon->rate_books);
        daemon->stats =
            stats_create(option_text(daemon->config->hub, "id"), status_publish, daemon);
        open_control(daemon);
    }
    return rc;
}

static void banner(const struct daemon *daemon)
{
    const struct config *config = daemon->config;
    const char *id = option_text(config->hub, "id");
    fprintf(stderr, "pipit %s, hub %s\n", daemon->options->version, id);
    for (uint32_t i = 0; i < config->source_count; i++) {
        fprintf(stderr, "  takes from   %s (%s)\n", config->sources[i].name,
                option_text(config->sources[i].options, "url"));
    }
    for (uint32_t i = 0; i < config->target_count; i++) {
        fprintf(stderr, "  delivers to  %s (%s)\n", config->targets[i].name,
                config->targets[i].type->name);
    }
    fprintf(stderr, "  by %u rule%s, keeping everything in %s\n", config->core.rule_count,
            config->core.rule_count == 1 ? "" : "s", option_text(config->hub, "store"));
    fprintf(stderr, "Look at it with  pipit status -c %s\nStop it with Ctrl-C.\n\n", config->path);
}

static void ready(const struct daemon *daemon)
{
    struct books books;
    core_books(daemon->core, &books);
    log_line(LOG_INFO, "daemon", "HUB-READY",
             "hub=%s version=%s sources=%u targets=%u rules=%u waiting=%llu dead=%llu pid=%ld",
             option_text(daemon->config->hub, "id"), daemon->options->version, daemon->source_count,
             daemon->worker_count, daemon->config->core.rule_count,
             (unsigned long long)books.waiting, (unsigned long long)books.dead, (long)getpid());
}

// No more messages; what waits is delivered while that gets on.
static void begin_stop(struct daemon *daemon)
{
    int64_t drain_ms = option_int(daemon->config->hub, "drain");
    struct books books = daemon->last_books;
    if (daemon->core != NULL) {
        core_books(daemon->core, &books);
    }
    daemon->state = DAEMON_STOPPING;
    daemon->drain_end_ms = daemon->now_ms + drain_ms;
    log_line(LOG_INFO, "daemon", "HUB-STOPPING", "waiting=%llu drain_ms=%lld",
             (unsigned long long)books.waiting, (long long)drain_ms);
    batch_flush(daemon);
    status_offline(daemon);
    sources_destroy(daemon); // Writes what is queued, says goodbye, leaves the sessions.
}

static bool is_drained(const struct daemon *daemon)
{
    struct books books;
    uint32_t in_flight = workers_in_flight(daemon);
    if (daemon->core == NULL || daemon->now_ms >= daemon->drain_end_ms) {
        return true;
    }
    core_books(daemon->core, &books);
    return in_flight == 0 && (books.waiting == 0 || !workers_any_up(daemon));
}

static void obey(struct daemon *daemon, struct signals_seen signals)
{
    json_t *reply = NULL;
    struct error e = {0};
    if (signals.stop && (signals.stop_now || daemon->state == DAEMON_STOPPING)) {
        daemon->is_ending = true;
    }
    if (signals.stop && daemon->state != DAEMON_STOPPING) {
        begin_stop(daemon);
    }
    if (signals.reload) {
        daemon_reload(daemon, false, &reply, &e); // It logs what came of it.
        json_decref(reply);
    }
}

static void ensure(struct daemon *daemon)
{
    if (daemon->ensure_at_ms != 0 && daemon->now_ms >= daemon->ensure_at_ms) {
        daemon->ensure_at_ms = 0;
        workers_ensure(daemon);
        sources_ensure(daemon);
    }
}

// What a burst took from the heap goes back to the machine once nothing has happened for a while.
static void memory_tick(struct daemon *daemon)
{
    struct books books;
    if (daemon->core == NULL || daemon->now_ms < daemon->memory_at_ms) {
        return;
    }
    daemon->memory_at_ms = daemon->now_ms + MEMORY_LOOK_MS;
    core_books(daemon->core, &books);
    uint64_t done = books.received + books.delivered;
    if (done == daemon->memory_seen && done != daemon->memory_trimmed) {
        malloc_trim(0);
        daemon->memory_trimmed = done;
    }
    daemon->memory_seen = done;
}

static enum err loop(struct daemon *daemon, struct error *e)
{
    while (!daemon->is_ending) {
        struct signals_seen signals;
        workers_feed(daemon);
        enum err rc = daemon_poll(daemon, &signals, e);
        if (rc != ERR_OK) {
            return rc;
        }
        batch_run(daemon);
        control_serve(daemon);
        obey(daemon, signals);
        store_tick(daemon);
        tables_tick(daemon);
        ensure(daemon);
        status_tick(daemon);
        memory_tick(daemon);
        daemon->is_ending |= daemon->state == DAEMON_STOPPING && is_drained(daemon);
    }
    return daemon->end_rc == ERR_OK ? ERR_OK : error_set(e, daemon->end_rc, "%s", daemon->reason);
}

static void finish(struct daemon *daemon)
{
    struct books books = daemon->last_books;
    if (daemon->core != NULL) {
        workers_finish(daemon);
    }
    if (daemon->core != NULL) {
        core_books(daemon->core, &books);
    }
    log_line(LOG_INFO, "daemon", "HUB-STOPPED", "received=%llu delivered=%llu waiting=%llu",
             (unsigned long long)books.received, (unsigned long long)books.delivered,
             (unsigned long long)books.waiting);
}

static void destroy(struct daemon *daemon)
{
    control_close(daemon->control); // While the store's lock is still ours.
    sources_destroy(daemon);
    store_stop(daemon);
    workers_destroy(daemon);
    stats_destroy(daemon->stats);
    tables_unwatch(daemon);
    retired_destroy(daemon);
    config_destroy(daemon->config);
    free(daemon->inputs);
    free(daemon->owners);
    free(daemon->pollfds);
    if (daemon->bell_fd >= 0) {
        close(daemon->bell_fd);
    }
    if (daemon->signal_fd >= 0) {
        close(daemon->signal_fd);
    }
}

enum err daemon_run(const struct daemon_options *options, struct error *e)
{
    struct daemon daemon = {.options = options, .bell_fd = -1, .signal_fd = -1};
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    enum err rc = start(&daemon, e);
    if (rc == ERR_OK) {
        if (options->is_banner_on) {
            banner(&daemon);
        }
        ready(&daemon);
        // A batch rests shorter than the 50 us that the kernel may add to it.
        prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
        malloc_trim(0); // Reading and checking the configuration takes more than running it.
        rc = loop(&daemon, e);
        finish(&daemon);
    }
    destroy(&daemon);
    return rc;
}
