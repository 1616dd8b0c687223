#define _GNU_SOURCE // pthread_setname_np.
#include "delivery/worker.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/worker_parts.h"

#define TEND_INTERVAL_MS  1000
#define PROVEN_AFTER_MS   30000 // Up for so long: the next failure begins with a short wait again.
#define LOG_INTERVAL_MS   1000  // Between two lines about one target going up or down.
#define STACK_BYTES       (512 * 1024)
#define THREAD_NAME_BYTES 16 // What Linux keeps.

void worker_ring(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof(one));
    (void)written; // EAGAIN: it has been ringing for ever already.
}

void worker_silence(int fd)
{
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got;
}

// What is unfinished is bounded by room, so there always is a place.
void worker_finish_locked(struct worker *worker, uint64_t id, struct answer *answer)
{
    assert(worker->done_count < 2 * worker->batch_max);
    struct finished *finished = &worker->done[worker->done_count++];
    bool has_reason = answer->verdict == VERDICT_RETRY || answer->verdict == VERDICT_REJECT;
    *finished = (struct finished){
        .id = id,
        .verdict = answer->verdict,
        .retry_after_ms = answer->verdict == VERDICT_RETRY ? answer->retry_after_ms : 0,
        .reason = has_reason ? strdup(answer->reason) : NULL,
        .reply = answer->reply,
    };
    worker->reply_bytes += answer->reply == NULL ? 0 : answer->reply->body.len;
    answer->reply = NULL;
}

static void finished_deinit(struct finished *finished)
{
    free(finished->reason);
    free(finished->reply);
}

static void give_back_queue_locked(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->queue_count; i++) {
        struct answer answer = {.verdict = VERDICT_NOT_SENT};
        worker_finish_locked(worker, worker->queue[i]->id, &answer);
    }
    worker->queue_count = 0;
}

// Log lines about one target's connection must not fill the disk when it flaps.
static bool may_log(struct worker *worker)
{
    int64_t now_ms = clock_monotonic_ms();
    bool may = worker->logged_at_ms == 0 || now_ms - worker->logged_at_ms >= LOG_INTERVAL_MS;
    worker->logged_at_ms = may ? now_ms : worker->logged_at_ms;
    return may;
}

static void go_up(struct worker *worker)
{
    worker->up_since_ms = clock_monotonic_ms();
    worker->tend_at_ms = worker->up_since_ms + TEND_INTERVAL_MS;
    pthread_mutex_lock(&worker->mutex);
    int64_t down_ms = clock_wall_ms() - worker->down_since_ms;
    worker->is_up = true;
    worker->down_since_ms = 0;
    pthread_mutex_unlock(&worker->mutex);
    worker_ring(worker->given.bell_fd);
    if (may_log(worker)) {
        log_line(LOG_INFO, "deliver", "DELIVER-UP", "target=%s connector=%s after_ms=%lld",
                 worker->given.name, worker->given.type->name, (long long)down_ms);
    }
}

static void mark_down_locked(struct worker *worker)
{
    if (worker->is_up) {
        worker->is_up = false;
        worker->down_since_ms = clock_wall_ms();
    }
}

// The connection is gone, or could not be made. What was offered meanwhile goes back.
static void go_down(struct worker *worker, const struct error *e)
{
    worker->given.type->close(worker->state);
    int64_t wait_ms = worker_backoff_next_ms(&worker->backoff);
    worker->open_at_ms = clock_monotonic_ms() + wait_ms;
    pthread_mutex_lock(&worker->mutex);
    bool is_stopping = worker->is_stopping;
    mark_down_locked(worker);
    give_back_queue_locked(worker);
    snprintf(worker->last_error, sizeof(worker->last_error), "%.*s",
             (int)sizeof(worker->last_error) - 1, e->text);
    pthread_mutex_unlock(&worker->mutex);
    worker_ring(worker->given.bell_fd);
    if (!is_stopping && may_log(worker)) {
        log_line(LOG_WARN, "deliver", "DELIVER-DOWN",
                 "target=%s connector=%s retry_in_ms=%lld err=\"%s\"", worker->given.name,
                 worker->given.type->name, (long long)wait_ms, e->text);
    }
}

static void try_open(struct worker *worker)
{
    struct error e = {0};
    struct connector_peer peer = {
        .hub_id = worker->given.hub_id,
        .name = worker->given.name,
        .options = worker->given.options,
        .stop_fd = worker->stop_fd,
        .desk = &worker->desk,
    };
    if (worker->given.type->open(worker->state, &peer, &e) == ERR_OK) {
        go_up(worker);
    } else {
        go_down(worker, &e);
    }
}

static void tend(struct worker *worker)
{
    struct error e = {0};
    int64_t now_ms = clock_monotonic_ms();
    worker->tend_at_ms = now_ms + TEND_INTERVAL_MS;
    if (worker->given.type->tend != NULL && worker->given.type->tend(worker->state, &e) != ERR_OK) {
        go_down(worker, &e);
    } else if (now_ms - worker->up_since_ms >= PROVEN_AFTER_MS) {
        worker_backoff_reset(&worker->backoff);
    }
}

// Among the answers that are in nobody's hands yet.
static uint32_t count_verdicts(const struct worker *worker, enum verdict verdict)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < worker->place_count; i++) {
        found += worker->batch[i] != NULL && worker->answers[i].verdict == verdict;
    }
    return found;
}

// A connection broke: who of several broke it is not known, so nobody is charged, and from here on
// they go one at a time.
static void judge_break_locked(struct worker *worker)
{
    uint32_t suspects = count_verdicts(worker, VERDICT_RETRY);
    if (suspects > 1 || worker->is_stopping) {
        for (uint32_t i = 0; i < worker->place_count; i++) {
            if (worker->answers[i].verdict == VERDICT_RETRY) {
                worker->answers[i].verdict = VERDICT_NOT_SENT;
            }
        }
    }
    if (suspects > 1 && suspects > worker->isolate) {
        worker->isolate = suspects;
    }
}

void worker_log_retry(const struct worker *worker, uint32_t place, uint32_t count)
{
    log_line_limited(LOG_WARN, "deliver", "DELIVER-RETRY", LOG_INTERVAL_MS,
                     "target=%s connector=%s count=%u delivery=%llu err=\"%s\"", worker->given.name,
                     worker->given.type->name, count, (unsigned long long)worker->batch[place]->id,
                     worker->answers[place].reason);
}

static void log_retries(const struct worker *worker)
{
    uint32_t retries = count_verdicts(worker, VERDICT_RETRY);
    for (uint32_t i = 0; retries > 0 && i < worker->place_count; i++) {
        if (worker->batch[i] != NULL && worker->answers[i].verdict == VERDICT_RETRY) {
            worker_log_retry(worker, i, retries);
            return;
        }
    }
}

// Hands the answers over; the bell rings only for the first ones since the last collect.
static void settle(struct worker *worker, bool is_broken)
{
    log_retries(worker);
    pthread_mutex_lock(&worker->mutex);
    if (is_broken) {
        judge_break_locked(worker);
        mark_down_locked(worker); // No room from here on, although the rest follows in go_down.
    }
    bool must_ring = worker->done_count == 0;
    uint32_t passed = 0;
    for (uint32_t i = 0; i < worker->place_count; i++) {
        if (worker->batch[i] != NULL) {
            passed += worker->answers[i].verdict != VERDICT_NOT_SENT;
            worker_finish_locked(worker, worker->batch[i]->id, &worker->answers[i]);
        }
    }
    worker->isolate -= passed < worker->isolate ? passed : worker->isolate;
    worker->sending = 0;
    pthread_mutex_unlock(&worker->mutex);
    worker->place_count = 0;
    if (must_ring) {
        worker_ring(worker->given.bell_fd);
    }
}

static void send_batch(struct worker *worker, uint32_t count)
{
    struct error e = {0};
    worker->place_count = count;
    memset(worker->answers, 0, count * sizeof(worker->answers[0]));
    enum err rc =
        worker->given.type->send(worker->state, worker->batch, count, worker->answers, &e);
    if (count_verdicts(worker, VERDICT_DONE) > 0) {
        worker_backoff_reset(&worker->backoff);
    }
    worker->tend_at_ms = clock_monotonic_ms() + TEND_INTERVAL_MS;
    settle(worker, rc != ERR_OK);
    if (rc != ERR_OK) {
        go_down(worker, &e);
    }
}

// Takes all that is queued; with nothing there the worker is about to sleep, and offer will ring.
static uint32_t take_queue(struct worker *worker, bool *out_is_stopping)
{
    pthread_mutex_lock(&worker->mutex);
    uint32_t count = worker->queue_count;
    memcpy(worker->batch, worker->queue, count * sizeof(worker->queue[0]));
    worker->queue_count = 0;
    worker->sending = count;
    worker->is_asleep = count == 0;
    *out_is_stopping = worker->is_stopping;
    pthread_mutex_unlock(&worker->mutex);
    return count;
}

static int sleep_ms(const struct worker *worker)
{
    int64_t until_ms = worker->is_up ? worker->tend_at_ms : worker->open_at_ms;
    int64_t left_ms = until_ms - clock_monotonic_ms();
    return left_ms <= 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

// The one place where the thread sleeps, but for the connector's waits for its peer. True: the
// connector's peer has said something.
static bool sleep_until_news(struct worker *worker)
{
    const struct connector_type *type = worker->given.type;
    bool has_fd = worker->is_up && type->poll_fd != NULL;
    struct pollfd fds[] = {
        {.fd = worker->wake_fd, .events = POLLIN},
        {.fd = worker->stop_fd, .events = POLLIN},
        {.fd = has_fd ? type->poll_fd(worker->state) : -1, .events = POLLIN},
    };
    if (poll(fds, 3, sleep_ms(worker)) < 0 && errno != EINTR) {
        log_line_limited(LOG_ERROR, "deliver", "DELIVER-POLL", 60000, "target=%s err=\"%s\"",
                         worker->given.name, strerror(errno));
    }
    if (fds[0].revents != 0) {
        worker_silence(worker->wake_fd);
    }
    return fds[2].revents != 0;
}

// is_up is written by this thread only, so that reading it here needs no lock.
static void *worker_run(void *context)
{
    struct worker *worker = context;
    bool is_stopping = false;
    for (;;) {
        uint32_t count = take_queue(worker, &is_stopping);
        if (is_stopping) {
            memcpy(worker->queue, worker->batch, count * sizeof(worker->queue[0]));
            worker->queue_count = count; // worker_stop gives them back.
            worker->sending = 0;
            break;
        }
        if (count > 0) {
            send_batch(worker, count);
            continue;
        }
        bool has_news = sleep_until_news(worker);
        int64_t now_ms = clock_monotonic_ms();
        if (worker->is_up && (has_news || now_ms >= worker->tend_at_ms)) {
            tend(worker);
        } else if (!worker->is_up && now_ms >= worker->open_at_ms) {
            try_open(worker);
        }
    }
    worker->given.type->close(worker->state);
    return NULL;
}

// Signals are the hub thread's; a broken pipe is an error code, not a death.
static enum err start_thread(struct worker *worker, struct error *e)
{
    char name[THREAD_NAME_BYTES];
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&worker->thread, &attributes, worker_run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (rc != 0) {
        return error_set(e, ERR_NO_MEMORY, "target %s: start a thread: %s", worker->given.name,
                         strerror(rc));
    }
    worker->has_thread = true;
    snprintf(name, sizeof(name), "to-%.12s", worker->given.name);
    pthread_setname_np(worker->thread, name);
    return ERR_OK;
}

static bool allocate(struct worker *worker)
{
    uint32_t max = worker->batch_max;
    worker->queue = calloc(max, sizeof(worker->queue[0]));
    worker->batch = calloc(max, sizeof(worker->batch[0]));
    worker->answers = calloc(max, sizeof(worker->answers[0]));
    worker->done = calloc(2 * (size_t)max, sizeof(worker->done[0]));
    worker->collected = calloc(2 * (size_t)max, sizeof(worker->collected[0]));
    worker->state = calloc(1, worker->given.type->state_bytes);
    worker->wake_fd = worker->desk.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return worker->queue != NULL && worker->batch != NULL && worker->answers != NULL &&
           worker->done != NULL && worker->collected != NULL && worker->state != NULL &&
           worker->wake_fd >= 0 && worker->stop_fd >= 0;
}

enum err worker_create(struct worker **out_worker, const struct worker_options *options,
                       struct error *e)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return error_set(e, ERR_NO_MEMORY, "target %s: out of memory", options->name);
    }
    worker->given = *options;
    worker->batch_max = options->type->batch_count_max;
    worker->down_since_ms = clock_wall_ms();
    worker->wake_fd = worker->stop_fd = -1;
    pthread_mutex_init(&worker->mutex, NULL);
    worker_backoff_init(&worker->backoff, options->backoff_min_ms, options->backoff_max_ms,
                        options->seed);
    worker_desk_init(worker);
    enum err rc = allocate(worker)
                      ? start_thread(worker, e)
                      : error_set(e, ERR_NO_MEMORY, "target %s: out of memory or file descriptors",
                                  options->name);
    if (rc != ERR_OK) {
        worker_destroy(worker);
        return rc;
    }
    *out_worker = worker;
    return ERR_OK;
}

void worker_stop(struct worker *worker)
{
    if (!worker->has_thread) {
        return;
    }
    pthread_mutex_lock(&worker->mutex);
    worker->is_stopping = true;
    pthread_mutex_unlock(&worker->mutex);
    worker_ring(worker->stop_fd);
    pthread_join(worker->thread, NULL);
    worker->has_thread = false;
    worker->is_up = false;
    give_back_queue_locked(worker); // There is nobody left to lock out.
}

static void drop_collected(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->collected_count; i++) {
        finished_deinit(&worker->collected[i]);
    }
    worker->collected_count = 0;
}

void worker_destroy(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    worker_stop(worker);
    drop_collected(worker);
    for (uint32_t i = 0; i < worker->done_count; i++) {
        finished_deinit(&worker->done[i]);
    }
    if (worker->wake_fd >= 0) {
        close(worker->wake_fd);
    }
    if (worker->stop_fd >= 0) {
        close(worker->stop_fd);
    }
    pthread_mutex_destroy(&worker->mutex);
    free(worker->queue);
    free(worker->batch);
    free(worker->answers);
    free(worker->done);
    free(worker->collected);
    free(worker->state);
    free(worker);
}

static pthread_mutex_t *lock(const struct worker *worker)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&worker->mutex;
    pthread_mutex_lock(mutex);
    return mutex;
}

static uint32_t open_count_locked(const struct worker *worker)
{
    return worker->queue_count + worker->sending + worker->done_count;
}

// Besides the batch that is being sent a second one may wait, so that the target never idles.
uint32_t worker_room(const struct worker *worker)
{
    pthread_mutex_t *mutex = lock(worker);
    uint32_t open_count = open_count_locked(worker);
    uint32_t queue_room = worker->batch_max - worker->queue_count;
    uint32_t total_room = 2 * worker->batch_max - open_count;
    uint32_t room = queue_room < total_room ? queue_room : total_room;
    if (!worker->is_up || worker->reply_bytes >= REPLY_BYTES_MAX) {
        room = 0;
    } else if (worker->isolate > 0) {
        room = open_count == 0 ? 1 : 0;
    }
    pthread_mutex_unlock(mutex);
    return room;
}

void worker_offer(struct worker *worker, const struct delivery *const *batch, uint32_t count)
{
    pthread_mutex_lock(&worker->mutex);
    assert(worker->queue_count + count <= worker->batch_max &&
           open_count_locked(worker) + count <= 2 * worker->batch_max);
    memcpy(worker->queue + worker->queue_count, batch, count * sizeof(batch[0]));
    worker->queue_count += count;
    bool is_lost = !worker->is_up; // It went down between room and offer.
    if (is_lost) {
        give_back_queue_locked(worker);
    }
    bool must_wake = worker->is_asleep && !is_lost;
    worker->is_asleep = worker->is_asleep && !must_wake;
    pthread_mutex_unlock(&worker->mutex);
    if (must_wake) {
        worker_ring(worker->wake_fd);
    }
    if (is_lost) {
        worker_ring(worker->given.bell_fd);
    }
}

uint32_t worker_collect(struct worker *worker, struct settlement *out_settlements, uint32_t max)
{
    static const char no_memory[] = "failed; there was no memory for the reason";
    drop_collected(worker);
    pthread_mutex_lock(&worker->mutex);
    uint32_t count = worker->done_count < max ? worker->done_count : max;
    for (uint32_t i = 0; i < count; i++) {
        const struct finished *finished = &worker->done[i];
        bool is_failed = finished->verdict == VERDICT_RETRY || finished->verdict == VERDICT_REJECT;
        out_settlements[i].delivery_id = finished->id;
        out_settlements[i].verdict = finished->verdict;
        out_settlements[i].reason = finished->reason != NULL ? finished->reason
                                    : is_failed              ? no_memory
                                                             : NULL;
        out_settlements[i].reply = finished->reply;
        out_settlements[i].retry_after_ms = finished->retry_after_ms;
        worker->collected[i] = *finished;
        worker->reply_bytes -= finished->reply == NULL ? 0 : finished->reply->body.len;
    }
    worker->collected_count = count;
    worker->done_count -= count;
    memmove(worker->done, worker->done + count, worker->done_count * sizeof(worker->done[0]));
    pthread_mutex_unlock(&worker->mutex);
    return count;
}

void worker_state(const struct worker *worker, struct worker_state *out_state)
{
    pthread_mutex_t *mutex = lock(worker);
    out_state->is_up = worker->is_up;
    out_state->in_flight = open_count_locked(worker);
    out_state->down_since_ms = worker->down_since_ms;
    memcpy(out_state->last_error, worker->last_error, sizeof(out_state->last_error));
    pthread_mutex_unlock(mutex);
}
