#define _GNU_SOURCE // ppoll.

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/daemon_parts.h"

#define POLL_MAX_MS 60000
#define OVERDUE_MS  250

enum { POLL_SIGNAL, POLL_BELL, POLL_CONTROL, POLL_SOURCES = POLL_CONTROL + CONTROL_POLL_MAX };

static enum err pollfds_reserve(struct daemon *daemon, uint32_t count, struct error *e)
{
    if (count <= daemon->pollfd_capacity) {
        return ERR_OK;
    }
    struct pollfd *pollfds = realloc(daemon->pollfds, count * sizeof(pollfds[0]));
    if (pollfds == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory for %u descriptors", count);
    }
    daemon->pollfds = pollfds;
    daemon->pollfd_capacity = count;
    return ERR_OK;
}

static void until(int64_t at_ms, int64_t now_ms, int *inout_timeout_ms)
{
    int64_t left_ms = at_ms - now_ms;
    if (left_ms < *inout_timeout_ms) {
        *inout_timeout_ms = left_ms < 0 ? 0 : (int)left_ms;
    }
}

static void sources_into(struct daemon *daemon, int64_t now_ms, int *inout_timeout_ms)
{
    if (daemon->did_poll_sources && daemon->message_count > 0) {
        *inout_timeout_ms = 0; // With nothing more there, the batch is complete.
    }
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        struct source_slot *slot = &daemon->sources[i];
        slot->pollfd = (struct pollfd){.fd = -1};
        if (slot->source != NULL && daemon->did_poll_sources) {
            int timeout_ms = POLL_MAX_MS;
            source_poll(slot->source, &slot->pollfd, now_ms, &timeout_ms);
            slot->due_ms = now_ms + timeout_ms;
            until(slot->due_ms, now_ms, inout_timeout_ms);
        }
        daemon->pollfds[POLL_SOURCES + i] = slot->pollfd;
    }
}

// Backed-off deliveries are due by the wall clock, everything else by the monotonic one. One that
// was due when the workers were last fed waits for its target; others behind it are looked after
// now and then.
static void deliveries_into(const struct daemon *daemon, int64_t now_ms, int *inout_timeout_ms)
{
    if (daemon->core == NULL) {
        until(daemon->reopen_at_ms, now_ms, inout_timeout_ms);
        return;
    }
    if (daemon->settlement_count > 0) {
        int64_t at_ms = daemon->must_settle ? now_ms : daemon->settle_at_ms;
        until(at_ms > daemon->retry_at_ms ? at_ms : daemon->retry_at_ms, now_ms, inout_timeout_ms);
    }
    if (daemon->must_collect && daemon->settlement_count < SETTLE_COUNT_MAX &&
        !daemon->has_reasons) {
        *inout_timeout_ms = 0;
    }
    int64_t due_ms = core_next_due_ms(daemon->core);
    if (due_ms <= daemon->fed_wall_ms) {
        until(now_ms + OVERDUE_MS, now_ms, inout_timeout_ms);
    } else if (due_ms != INT64_MAX) {
        int64_t left_ms = due_ms - clock_wall_ms();
        until(now_ms + (left_ms < POLL_MAX_MS ? left_ms : POLL_MAX_MS), now_ms, inout_timeout_ms);
    }
}

static int timeout_of(const struct daemon *daemon, int64_t now_ms)
{
    int timeout_ms = POLL_MAX_MS;
    deliveries_into(daemon, now_ms, &timeout_ms);
    until(status_due_ms(daemon), now_ms, &timeout_ms);
    until(batch_timer_due_ms(daemon), now_ms, &timeout_ms);
    if (daemon->core != NULL) {
        until(daemon->tables_at_ms, now_ms, &timeout_ms);
    }
    if (daemon->state == DAEMON_FULL) {
        until(daemon->room_check_ms, now_ms, &timeout_ms);
    }
    if (daemon->state == DAEMON_STOPPING) {
        until(daemon->drain_end_ms, now_ms, &timeout_ms);
    }
    if (daemon->ensure_at_ms != 0) {
        until(daemon->ensure_at_ms, now_ms, &timeout_ms);
    }
    return timeout_ms;
}

static void bell_silence(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got;
}

static void take_events(struct daemon *daemon, struct signals_seen *out_signals)
{
    const struct pollfd *pollfds = daemon->pollfds;
    *out_signals = (struct signals_seen){false, false, false};
    if (pollfds[POLL_SIGNAL].revents != 0) {
        *out_signals = signals_read(daemon->signal_fd);
    }
    if (pollfds[POLL_BELL].revents != 0) {
        bell_silence(daemon->bell_fd);
    }
    daemon->ask_count =
        daemon->control == NULL
            ? 0
            : control_read(daemon->control, pollfds + POLL_CONTROL, daemon->now_ms, daemon->asks);
    for (uint32_t i = 0; i < daemon->source_count; i++) {
        daemon->sources[i].pollfd.revents = pollfds[POLL_SOURCES + i].revents;
    }
}

// rest_us: 0, or at most so long.
static int wait_for(struct pollfd *pollfds, nfds_t count, int timeout_ms, int64_t rest_us)
{
    int64_t us = (int64_t)timeout_ms * 1000;
    us = rest_us > 0 && rest_us < us ? rest_us : us;
    struct timespec timeout = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    return ppoll(pollfds, count, &timeout, NULL);
}

enum err daemon_poll(struct daemon *daemon, struct signals_seen *out_signals, struct error *e)
{
    enum err rc = pollfds_reserve(daemon, POLL_SOURCES + daemon->source_count, e);
    if (rc != ERR_OK) {
        return rc;
    }
    int64_t now_ms = clock_monotonic_ms();
    int timeout_ms = timeout_of(daemon, now_ms);
    struct pollfd *pollfds = daemon->pollfds;
    pollfds[POLL_SIGNAL] = (struct pollfd){.fd = daemon->signal_fd, .events = POLLIN};
    pollfds[POLL_BELL] = (struct pollfd){.fd = daemon->bell_fd, .events = POLLIN};
    for (uint32_t i = 0; i < CONTROL_POLL_MAX; i++) {
        pollfds[POLL_CONTROL + i] = (struct pollfd){.fd = -1};
    }
    if (daemon->control != NULL) {
        control_poll(daemon->control, pollfds + POLL_CONTROL, now_ms, &timeout_ms);
    }
    int64_t rest_us = read_rest_us(daemon);
    daemon->did_poll_sources = rest_us == 0;
    sources_into(daemon, now_ms, &timeout_ms);
    int got = wait_for(pollfds, POLL_SOURCES + daemon->source_count, timeout_ms, rest_us);
    if (got < 0 && errno != EINTR) {
        return error_set(e, ERR_INTERNAL, "poll: %s", strerror(errno));
    }
    if (got < 0) {
        for (uint32_t i = 0; i < POLL_SOURCES + daemon->source_count; i++) {
            pollfds[i].revents = 0;
        }
    }
    daemon->now_ms = clock_monotonic_ms();
    take_events(daemon, out_signals);
    return ERR_OK;
}
