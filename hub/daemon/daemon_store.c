#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon_parts.h"

enum err store_start(struct daemon *daemon, struct error *e)
{
    struct store_options options = {.path = option_text(daemon->config->hub, "store")};
    struct store *store = NULL;
    struct core *core = NULL;
    enum err rc = store_open(&store, &options, e);
    rc = rc == ERR_OK ? core_open(&core, store, &daemon->config->core, e) : rc;
    if (rc != ERR_OK) {
        store_close(store);
        return rc;
    }
    config_forget_rows(daemon->config);
    daemon->store = store;
    daemon->core = core;
    reload_log_notes(daemon);
    return ERR_OK;
}

void store_stop(struct daemon *daemon)
{
    workers_close(daemon); // They read the core's deliveries.
    batch_drop(daemon);
    core_close(daemon->core);
    store_close(daemon->store);
    daemon->core = NULL;
    daemon->store = NULL;
}

static void remember(struct daemon *daemon, const char *text)
{
    snprintf(daemon->reason, sizeof(daemon->reason), "%s", text);
}

void daemon_seal(struct daemon *daemon, enum err rc, const char *text)
{
    if (daemon->core == NULL) {
        return;
    }
    if (daemon->state == DAEMON_STOPPING) {
        daemon->is_ending = true;
        daemon->end_rc = rc;
    } else {
        daemon->state = DAEMON_SEALED;
    }
    remember(daemon, text);
    daemon->reopen_wait_ms = REOPEN_MIN_MS;
    daemon->reopen_at_ms = daemon->now_ms + REOPEN_MIN_MS;
    log_line(LOG_ERROR, "store", "STORE-SEALED",
             "path=\"%s\" code=%s retry_in_ms=%d err=\"%s; nothing is acknowledged until it works "
             "again: look at the disk\"",
             option_text(daemon->config->hub, "store"), err_name(rc), REOPEN_MIN_MS, text);
    core_books(daemon->core, &daemon->last_books);
    sources_leave(daemon, "the store failed");
    store_stop(daemon);
}

static void reopen_later(struct daemon *daemon, enum err rc, const struct error *e)
{
    int64_t wait_ms = daemon->reopen_wait_ms * 2;
    daemon->reopen_wait_ms = wait_ms < REOPEN_MAX_MS ? wait_ms : REOPEN_MAX_MS;
    daemon->reopen_at_ms = daemon->now_ms + daemon->reopen_wait_ms;
    remember(daemon, e->text);
    log_line(LOG_ERROR, "store", "STORE-REOPEN", "code=%s retry_in_ms=%lld err=\"%s\"",
             err_name(rc), (long long)daemon->reopen_wait_ms, e->text);
}

static void reopen(struct daemon *daemon)
{
    struct error e = {0};
    enum err rc = store_start(daemon, &e);
    if (rc == ERR_CORRUPT || rc == ERR_VERSION) { // Trying again does not mend these.
        daemon->is_ending = true;
        daemon->end_rc = rc;
        remember(daemon, e.text);
    } else if (rc != ERR_OK) {
        reopen_later(daemon, rc, &e);
    } else {
        daemon->state = DAEMON_RUNNING;
        log_line(LOG_INFO, "store", "STORE-REOPENED", "path=\"%s\"",
                 option_text(daemon->config->hub, "store"));
        workers_ensure(daemon);
        sources_return(daemon);
    }
}

// Full again soon after there was room, for a single message: it was too little. Of more than one
// the half comes next.
static void room_lacks(struct daemon *daemon)
{
    struct books books;
    core_books(daemon->core, &books);
    bool was_short = daemon->room_at_ms != 0 && daemon->message_count <= BATCH_LIMIT_MIN &&
                     daemon->now_ms - daemon->room_at_ms < ROOM_SHORT_MS;
    uint32_t needed = was_short ? daemon->room_checks_needed * 2 : ROOM_CHECKS_NEEDED;
    daemon->room_checks_needed = needed < ROOM_CHECKS_MAX ? needed : ROOM_CHECKS_MAX;
    daemon->filled_waiting = books.waiting;
}

// So much has been delivered since that targets must not be kept waiting for more.
static bool has_drained(const struct daemon *daemon)
{
    struct books books;
    core_books(daemon->core, &books);
    return books.waiting < daemon->filled_waiting && books.waiting <= daemon->filled_waiting / 2;
}

void daemon_fill(struct daemon *daemon, const char *text)
{
    daemon->room_checks = 0;
    daemon->room_check_ms = daemon->now_ms + ROOM_CHECK_MS;
    remember(daemon, text);
    if (daemon->state == DAEMON_RUNNING) {
        daemon->state = DAEMON_FULL;
        room_lacks(daemon);
        log_line(LOG_ERROR, "store", "STORE-FULL", "err=\"%s\"", text);
    }
    sources_leave(daemon, text);
}

// Room must last for some checks, and for more when it did not last before, so that brokers are not
// left and joined all the time.
static void check_room(struct daemon *daemon)
{
    struct error e = {0};
    enum err rc = core_has_room(daemon->core, &e);
    daemon->room_check_ms = daemon->now_ms + ROOM_CHECK_MS;
    if (rc == ERR_OK) {
        daemon->room_checks++;
    } else if (rc == ERR_FULL || rc == ERR_NO_MEMORY) {
        daemon->room_checks = 0;
        remember(daemon, e.text);
    } else {
        daemon_seal(daemon, rc, e.text);
        return;
    }
    uint32_t needed = has_drained(daemon) ? ROOM_CHECKS_NEEDED : daemon->room_checks_needed;
    if (daemon->room_checks >= needed) {
        daemon->state = DAEMON_RUNNING;
        daemon->room_at_ms = daemon->now_ms;
        log_line(LOG_INFO, "store", "STORE-ROOM", "used_bytes=%llu",
                 (unsigned long long)store_used_bytes(daemon->store));
        sources_return(daemon);
    }
}

void store_tick(struct daemon *daemon)
{
    if (daemon->state == DAEMON_SEALED && daemon->now_ms >= daemon->reopen_at_ms) {
        reopen(daemon);
    } else if (daemon->state == DAEMON_FULL && daemon->now_ms >= daemon->room_check_ms) {
        check_room(daemon);
    }
}
