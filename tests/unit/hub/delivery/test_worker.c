// The worker against a connector that plays a script: nothing is lost, nobody is charged for what
// another one broke, and it ends when told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/worker.h"

#define DEADLINE_MS 20000
#define COUNT_MAX   64
#define BATCH_MAX   8

enum script_mode {
    TAKES_ALL,
    REFUSES_TO_OPEN,
    BREAKS_ON_POISON,  // The connection ends when the poison is in a batch; all had been written.
    FULL,              // Fails before anything is written.
    HANGS,             // In send, until it is told to stop.
    HANGS_IN_OPEN,     // Likewise.
    BREAKS_WHILE_IDLE, // tend fails once.
    BUSY,              // Answers RETRY for the poison without a broken connection.
};

// What the connector does; shared with the worker's thread.
static struct {
    pthread_mutex_t mutex;
    enum script_mode mode;
    uint64_t poison;
    uint32_t opens, closes, sends, largest_batch;
    uint64_t delivered[COUNT_MAX];
    uint32_t delivered_count;
    int64_t open_at_ms[COUNT_MAX];
} script = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct scripted {
    int stop_fd;
};

static enum script_mode mode_now(void)
{
    pthread_mutex_lock(&script.mutex);
    enum script_mode mode = script.mode;
    pthread_mutex_unlock(&script.mutex);
    return mode;
}

static void set_mode(enum script_mode mode)
{
    pthread_mutex_lock(&script.mutex);
    script.mode = mode;
    pthread_mutex_unlock(&script.mutex);
}

static enum err hang(const struct scripted *connector, struct error *e)
{
    struct pollfd fd = {.fd = connector->stop_fd, .events = POLLIN};
    poll(&fd, 1, DEADLINE_MS);
    return error_set(e, ERR_UNAVAILABLE, "stopped");
}

static enum err scripted_open(void *opaque, const struct connector_peer *peer, struct error *e)
{
    struct scripted *connector = opaque;
    connector->stop_fd = peer->stop_fd;
    pthread_mutex_lock(&script.mutex);
    if (script.opens < COUNT_MAX) {
        script.open_at_ms[script.opens] = clock_monotonic_ms();
    }
    script.opens++;
    pthread_mutex_unlock(&script.mutex);
    enum script_mode mode = mode_now();
    if (mode == HANGS_IN_OPEN) {
        return hang(connector, e);
    }
    return mode == REFUSES_TO_OPEN ? error_set(e, ERR_UNAVAILABLE, "closed today") : ERR_OK;
}

static enum err answer_all(struct answer *answers, uint32_t count, enum verdict verdict,
                           enum err rc, struct error *e)
{
    for (uint32_t i = 0; i < count; i++) {
        answer_set(&answers[i], verdict, verdict == VERDICT_DONE ? "" : "it broke");
    }
    return rc == ERR_OK ? rc : error_set(e, rc, "it broke");
}

static enum err play(const struct delivery *const *batch, uint32_t count, struct answer *answers,
                     struct error *e)
{
    for (uint32_t i = 0; i < count; i++) {
        bool is_poison = batch[i]->id == script.poison;
        if (is_poison && script.mode == BREAKS_ON_POISON) {
            return answer_all(answers, count, VERDICT_RETRY, ERR_UNAVAILABLE, e);
        }
        if (is_poison && script.mode == BUSY) {
            answer_set(&answers[i], VERDICT_RETRY, "busy");
            continue;
        }
        answer_set(&answers[i], VERDICT_DONE, "");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (answers[i].verdict == VERDICT_DONE) {
            script.delivered[script.delivered_count++] = batch[i]->id;
        }
    }
    return ERR_OK;
}

static enum err scripted_send(void *opaque, const struct delivery *const *batch, uint32_t count,
                              struct answer *answers, struct error *e)
{
    enum script_mode mode = mode_now();
    if (mode == HANGS) {
        hang(opaque, e);
        return answer_all(answers, count, VERDICT_RETRY, ERR_UNAVAILABLE, e);
    }
    if (mode == FULL) {
        return answer_all(answers, count, VERDICT_NOT_SENT, ERR_UNAVAILABLE, e);
    }
    pthread_mutex_lock(&script.mutex);
    script.sends++;
    script.largest_batch = count > script.largest_batch ? count : script.largest_batch;
    enum err rc = play(batch, count, answers, e);
    pthread_mutex_unlock(&script.mutex);
    return rc;
}

static enum err scripted_tend(void *opaque, struct error *e)
{
    (void)opaque;
    if (mode_now() == BREAKS_WHILE_IDLE) {
        set_mode(TAKES_ALL);
        return error_set(e, ERR_UNAVAILABLE, "went away");
    }
    return ERR_OK;
}

static void scripted_close(void *opaque)
{
    (void)opaque;
    pthread_mutex_lock(&script.mutex);
    script.closes++;
    pthread_mutex_unlock(&script.mutex);
}

static const struct option_spec no_options[] = {{NULL}};

static const struct connector_type scripted_type = {
    .name = "scripted",
    .options = no_options,
    .route_options = no_options,
    .batch_count_max = BATCH_MAX,
    .state_bytes = sizeof(struct scripted),
    .open = scripted_open,
    .send = scripted_send,
    .tend = scripted_tend,
    .close = scripted_close,
};

// The hub thread's part: deliveries that wait in order, and what became of each.
struct desk {
    struct worker *worker;
    int bell_fd;
    struct delivery rows[COUNT_MAX];
    enum { WAITING, IN_FLIGHT, DONE, CHARGED } places[COUNT_MAX];
    uint32_t attempts[COUNT_MAX];
    uint32_t count;
    char reason[CONNECTOR_REASON_MAX];
};

static void desk_init(struct desk *desk, enum script_mode mode, uint32_t count)
{
    memset(desk, 0, sizeof(*desk));
    pthread_mutex_lock(&script.mutex);
    script.mode = mode;
    script.poison = 0;
    script.opens = script.closes = script.sends = script.largest_batch = 0;
    script.delivered_count = 0;
    pthread_mutex_unlock(&script.mutex);
    desk->count = count;
    for (uint32_t i = 0; i < count; i++) {
        desk->rows[i].id = i + 1;
    }
    desk->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct worker_options options = {
        .hub_id = "hub",
        .name = "target",
        .type = &scripted_type,
        .backoff_min_ms = 5,
        .backoff_max_ms = 40,
        .bell_fd = desk->bell_fd,
        .seed = 1,
    };
    struct error e = {0};
    if (worker_create(&desk->worker, &options, &e) != ERR_OK) {
        fail_msg("%s", e.text);
    }
}

static void desk_deinit(struct desk *desk)
{
    worker_destroy(desk->worker);
    close(desk->bell_fd);
}

static void desk_settle(struct desk *desk, const struct settlement *settlement)
{
    uint32_t index = (uint32_t)settlement->delivery_id - 1;
    assert_true(index < desk->count);
    assert_int_equal(desk->places[index], IN_FLIGHT); // Exactly one verdict an offer.
    switch (settlement->verdict) {
    case VERDICT_DONE:
        desk->places[index] = DONE;
        assert_null(settlement->reason);
        break;
    case VERDICT_NOT_SENT:
        desk->places[index] = WAITING;
        assert_null(settlement->reason);
        break;
    default:
        desk->attempts[index]++;
        desk->places[index] = WAITING;
        assert_non_null(settlement->reason);
        snprintf(desk->reason, sizeof(desk->reason), "%s", settlement->reason);
    }
}

static uint32_t desk_collect(struct desk *desk)
{
    struct settlement settlements[3]; // Small, so that several calls are needed.
    uint32_t total = 0, count;
    do {
        count = worker_collect(desk->worker, settlements, 3);
        for (uint32_t i = 0; i < count; i++) {
            desk_settle(desk, &settlements[i]);
        }
        total += count;
    } while (count == 3);
    return total;
}

static uint32_t desk_offer(struct desk *desk)
{
    const struct delivery *batch[2 * BATCH_MAX];
    uint32_t room = worker_room(desk->worker), count = 0;
    assert_true(room <= BATCH_MAX);
    for (uint32_t i = 0; i < desk->count && count < room; i++) {
        if (desk->places[i] == WAITING) {
            desk->places[i] = IN_FLIGHT;
            batch[count++] = &desk->rows[i];
        }
    }
    if (count > 0) {
        worker_offer(desk->worker, batch, count);
    }
    return count;
}

static bool all_done(const struct desk *desk)
{
    for (uint32_t i = 0; i < desk->count; i++) {
        if (desk->places[i] != DONE) {
            return false;
        }
    }
    return true;
}

// What the hub thread does, until the fact holds. It sleeps on the bell alone: a worker that
// forgets to ring is found by the deadline.
static void desk_run(struct desk *desk, bool (*fact)(const struct desk *desk))
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        desk_collect(desk);
        desk_offer(desk);
        if (fact(desk)) {
            return;
        }
        struct pollfd bell = {.fd = desk->bell_fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || poll(&bell, 1, (int)left_ms) == 0) {
            fail_msg("nothing happened any more");
        }
        uint64_t rings;
        assert_int_equal(read(desk->bell_fd, &rings, sizeof(rings)), sizeof(rings));
    }
}

static void test_all_are_delivered_in_order(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, TAKES_ALL, COUNT_MAX);
    desk_run(&desk, all_done);
    assert_int_equal(script.delivered_count, COUNT_MAX);
    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        assert_int_equal(script.delivered[i], i + 1);
        assert_int_equal(desk.attempts[i], 0);
    }
    desk_deinit(&desk);
}

static bool has_failed_to_open_often(const struct desk *desk)
{
    (void)desk;
    pthread_mutex_lock(&script.mutex);
    uint32_t opens = script.opens;
    pthread_mutex_unlock(&script.mutex);
    return opens >= 8;
}

static void test_a_target_that_is_down(void **state)
{
    (void)state;
    struct desk desk;
    struct worker_state seen;
    desk_init(&desk, REFUSES_TO_OPEN, 10);
    desk_run(&desk, has_failed_to_open_often);
    assert_int_equal(worker_room(desk.worker), 0);
    worker_state(desk.worker, &seen);
    assert_false(seen.is_up);
    assert_string_equal(seen.last_error, "closed today");
    assert_true(seen.down_since_ms > 0);
    assert_true(script.open_at_ms[7] - script.open_at_ms[0] >= 7 * 5); // It waits in between.
    set_mode(TAKES_ALL);
    desk_run(&desk, all_done);
    worker_state(desk.worker, &seen);
    assert_true(seen.is_up);
    assert_int_equal(seen.down_since_ms, 0);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(desk.attempts[i], 0); // A target that is down is no attempt.
    }
    desk_deinit(&desk);
}

static bool poison_has_three_attempts(const struct desk *desk)
{
    return desk->attempts[script.poison - 1] >= 3;
}

// Of many in flight one breaks the connection: it alone is charged, and the others pass.
static void test_only_the_culprit_is_charged(void **state)
{
    (void)state;
    static const uint64_t poisons[] = {1, 4, 8, 20};
    for (size_t n = 0; n < sizeof(poisons) / sizeof(poisons[0]); n++) {
        struct desk desk;
        desk_init(&desk, BREAKS_ON_POISON, 30);
        script.poison = poisons[n];
        desk_run(&desk, poison_has_three_attempts);
        desk.places[script.poison - 1] = DONE; // A dead letter, as the core would have it.
        desk_run(&desk, all_done);
        for (uint32_t i = 0; i < 30; i++) {
            assert_int_equal(desk.attempts[i], i == script.poison - 1 ? 3 : 0);
        }
        assert_string_equal(desk.reason, "it broke");
        assert_true(script.largest_batch > 1);
        desk_deinit(&desk);
    }
}

static bool has_failed_thrice(const struct desk *desk)
{
    (void)desk;
    pthread_mutex_lock(&script.mutex);
    uint32_t opens = script.opens;
    pthread_mutex_unlock(&script.mutex);
    return opens >= 4;
}

static void test_a_full_target_is_no_attempt(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, FULL, 10);
    desk_run(&desk, has_failed_thrice);
    set_mode(TAKES_ALL);
    desk_run(&desk, all_done);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(desk.attempts[i], 0);
    }
    assert_true(script.largest_batch > 1); // And no reason to go one at a time.
    desk_deinit(&desk);
}

// The peer says "later" to one: that is its attempt, and the connection stays.
static void test_a_single_retry(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, BUSY, 8);
    script.poison = 3;
    desk_run(&desk, poison_has_three_attempts);
    set_mode(TAKES_ALL);
    desk_run(&desk, all_done);
    assert_int_equal(script.opens, 1);
    assert_string_equal(desk.reason, "busy");
    desk_deinit(&desk);
}

static bool has_opened_twice(const struct desk *desk)
{
    (void)desk;
    pthread_mutex_lock(&script.mutex);
    uint32_t opens = script.opens;
    pthread_mutex_unlock(&script.mutex);
    return opens >= 2;
}

static void test_a_loss_while_idle_is_noticed(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, BREAKS_WHILE_IDLE, 3);
    desk.count = 0;
    desk_run(&desk, has_opened_twice); // By tending; nothing was offered.
    desk.count = 3;
    desk_run(&desk, all_done);
    desk_deinit(&desk);
}

static bool is_in_flight(const struct desk *desk)
{
    return desk->places[0] == IN_FLIGHT;
}

static void test_stop_gives_everything_back(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, HANGS, 5);
    desk_run(&desk, is_in_flight);
    int64_t start_ms = clock_monotonic_ms();
    worker_stop(desk.worker);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 5000);
    assert_int_equal(desk_collect(&desk), 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(desk.places[i], WAITING);
        assert_int_equal(desk.attempts[i], 0); // Stopping is nobody's fault.
    }
    assert_int_equal(worker_room(desk.worker), 0);
    desk_deinit(&desk);
}

static void test_stop_while_opening(void **state)
{
    (void)state;
    struct desk desk;
    desk_init(&desk, HANGS_IN_OPEN, 1);
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (!has_failed_to_open_often(&desk) && clock_monotonic_ms() < deadline_ms) {
        pthread_mutex_lock(&script.mutex);
        bool is_opening = script.opens > 0;
        pthread_mutex_unlock(&script.mutex);
        if (is_opening) {
            break;
        }
        usleep(500);
    }
    int64_t start_ms = clock_monotonic_ms();
    desk_deinit(&desk);
    assert_in_range(clock_monotonic_ms() - start_ms, 0, 5000);
    assert_true(script.closes >= 1);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_delivered_in_order),
        cmocka_unit_test(test_a_target_that_is_down),
        cmocka_unit_test(test_only_the_culprit_is_charged),
        cmocka_unit_test(test_a_full_target_is_no_attempt),
        cmocka_unit_test(test_a_single_retry),
        cmocka_unit_test(test_a_loss_while_idle_is_noticed),
        cmocka_unit_test(test_stop_gives_everything_back),
        cmocka_unit_test(test_stop_while_opening),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
