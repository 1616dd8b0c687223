// The worker and a connector that answers one by one: a slow one holds up nobody, replies come
// along, and an end in the middle gives back what is open.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "delivery/worker.h"

#define DEADLINE_MS 20000
#define COUNT_MAX   200
#define BATCH_MAX   6
#define SLOW        3 // Its answer waits for the tests' word, as do those of its multiples below.

static struct {
    int release_fd; // Readable: the slow one is answered.
    _Atomic bool is_breaking;
    _Atomic uint32_t sends;
} script;

struct desked {
    struct connector_peer peer;
};

static enum err desked_open(void *opaque, const struct connector_peer *peer, struct error *e)
{
    (void)e;
    ((struct desked *)opaque)->peer = *peer;
    return ERR_OK;
}

static void desked_close(void *opaque)
{
    (void)opaque;
}

static void answer_one(const struct delivery *delivery, struct answer *answer)
{
    char body[40];
    snprintf(body, sizeof(body), "answer to %u", (unsigned)delivery->id);
    const struct reply reply = {.status = 200 + (int32_t)delivery->id % 100,
                                .body = bytes_from_text(body),
                                .content_type = "text/plain"};
    answer_set(answer, delivery->id % 10 == 0 ? VERDICT_RETRY : VERDICT_DONE, "busy");
    answer->retry_after_ms = 7;
    answer->reply = delivery->is_answered ? reply_create(&reply) : NULL;
}

// Everything at once but for the slow ones, of which the places are kept.
static enum err desked_send(void *opaque, const struct delivery *const *batch, uint32_t count,
                            struct answer *answers, struct error *e)
{
    const struct connector_desk *desk = ((struct desked *)opaque)->peer.desk;
    uint32_t slow[BATCH_MAX], slow_count = 0, next = 0, place;
    bool is_there;
    script.sends++;
    do {
        while ((is_there = next < count || desk->more(desk->context, &place))) {
            place = next < count ? next++ : place;
            if (batch[place]->id % SLOW == 0 && batch[place]->id <= 2 * SLOW) {
                slow[slow_count++] = place;
                continue;
            }
            answer_one(batch[place], &answers[place]);
            desk->answered(desk->context, place);
        }
        struct pollfd fds[] = {{.fd = desk->fd, .events = POLLIN},
                               {.fd = script.release_fd, .events = POLLIN},
                               {.fd = ((struct desked *)opaque)->peer.stop_fd, .events = POLLIN}};
        assert_true(slow_count == 0 || poll(fds, 3, DEADLINE_MS) > 0);
        bool is_stopped = fds[2].revents != 0;
        if (slow_count > 0 && (is_stopped || (fds[1].revents != 0 && script.is_breaking))) {
            for (uint32_t i = 0; i < slow_count; i++) {
                answer_set(&answers[slow[i]], VERDICT_RETRY, "it broke");
            }
            return error_set(e, ERR_UNAVAILABLE, "it broke");
        }
        for (; slow_count > 0 && fds[1].revents != 0; slow_count--) {
            answer_one(batch[slow[slow_count - 1]], &answers[slow[slow_count - 1]]);
            desk->answered(desk->context, slow[slow_count - 1]);
        }
    } while (slow_count > 0);
    return ERR_OK;
}

static const struct option_spec no_options[] = {{NULL}};

static const struct connector_type desked_type = {
    .name = "desked",
    .options = no_options,
    .route_options = no_options,
    .batch_count_max = BATCH_MAX,
    .state_bytes = sizeof(struct desked),
    .open = desked_open,
    .send = desked_send,
    .close = desked_close,
};

struct hub {
    struct worker *worker;
    int bell_fd;
    struct delivery rows[COUNT_MAX];
    const struct delivery *list[COUNT_MAX];
    enum { WAITING, IN_FLIGHT, DONE, FAILED } places[COUNT_MAX];
    uint32_t count, done, failed, given_back;
};

static void hub_init(struct hub *hub, uint32_t count)
{
    memset(hub, 0, sizeof(*hub));
    memset(&script, 0, sizeof(script));
    script.release_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub->count = count;
    for (uint32_t i = 0; i < count; i++) {
        hub->rows[i] = (struct delivery){.id = i + 1, .is_answered = i % 2 == 0};
        hub->list[i] = &hub->rows[i];
    }
    const struct worker_options options = {
        .hub_id = "hub",
        .name = "target",
        .type = &desked_type,
        .backoff_min_ms = 5,
        .backoff_max_ms = 40,
        .bell_fd = hub->bell_fd,
        .seed = 1,
    };
    struct error e = {0};
    assert_int_equal(worker_create(&hub->worker, &options, &e), ERR_OK);
}

static void hub_deinit(struct hub *hub)
{
    worker_destroy(hub->worker);
    close(hub->bell_fd);
    close(script.release_fd);
}

static void release(void)
{
    uint64_t one = 1;
    assert_int_equal(write(script.release_fd, &one, sizeof(one)), sizeof(one));
}

static void check_reply(const struct hub *hub, const struct settlement *settlement)
{
    char want[40];
    bool is_wanted = hub->rows[settlement->delivery_id - 1].is_answered;
    bool is_told = settlement->verdict != VERDICT_NOT_SENT;
    assert_true((settlement->reply != NULL) == (is_wanted && is_told && !script.is_breaking));
    if (settlement->reply == NULL) {
        return;
    }
    snprintf(want, sizeof(want), "answer to %u", (unsigned)settlement->delivery_id);
    assert_int_equal(settlement->reply->status, 200 + settlement->delivery_id % 100);
    assert_int_equal(settlement->reply->body.len, strlen(want));
    assert_memory_equal(settlement->reply->body.ptr, want, strlen(want));
    assert_string_equal(settlement->reply->content_type, "text/plain");
}

static void settle(struct hub *hub, const struct settlement *settlement)
{
    uint32_t index = (uint32_t)settlement->delivery_id - 1;
    assert_int_equal(hub->places[index], IN_FLIGHT); // Exactly one verdict an offer.
    switch (settlement->verdict) {
    case VERDICT_DONE:
        hub->places[index] = DONE;
        hub->done++;
        assert_int_equal(settlement->retry_after_ms, 0);
        break;
    case VERDICT_NOT_SENT:
        hub->places[index] = WAITING;
        hub->given_back++;
        break;
    default:
        hub->places[index] = FAILED;
        hub->failed++;
        assert_string_equal(settlement->reason, script.is_breaking ? "it broke" : "busy");
        assert_int_equal(settlement->retry_after_ms, script.is_breaking ? 0 : 7);
    }
}

static void collect(struct hub *hub)
{
    struct settlement settlements[16];
    uint32_t count;
    do {
        count = worker_collect(hub->worker, settlements, 16);
        for (uint32_t i = 0; i < count; i++) {
            check_reply(hub, &settlements[i]);
            settle(hub, &settlements[i]);
        }
    } while (count == 16);
}

static void offer(struct hub *hub)
{
    uint32_t room = worker_room(hub->worker);
    const struct delivery *batch[BATCH_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < hub->count && count < room; i++) {
        if (hub->places[i] == WAITING) {
            hub->places[i] = IN_FLIGHT;
            batch[count++] = hub->list[i];
        }
    }
    if (count > 0) {
        worker_offer(hub->worker, batch, count);
    }
}

// What the hub thread does until so many are over. It sleeps on the bell alone.
static void run(struct hub *hub, uint32_t over)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        collect(hub);
        if (hub->done + hub->failed >= over) {
            return;
        }
        offer(hub);
        struct pollfd bell = {.fd = hub->bell_fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0 || poll(&bell, 1, (int)left_ms) == 0) {
            fail_msg("nothing happened any more: %u done, %u failed", hub->done, hub->failed);
        }
        uint64_t rings;
        assert_int_equal(read(hub->bell_fd, &rings, sizeof(rings)), sizeof(rings));
    }
}

static void test_a_slow_one_holds_up_nobody(void **state)
{
    (void)state;
    struct hub *hub = malloc(sizeof(*hub));
    hub_init(hub, COUNT_MAX);
    run(hub, COUNT_MAX - 2);
    assert_int_equal(hub->places[SLOW - 1], IN_FLIGHT);
    assert_int_equal(hub->places[2 * SLOW - 1], IN_FLIGHT);
    assert_int_equal(hub->failed, COUNT_MAX / 10);
    assert_true(script.sends <= 3); // Before the slow ones had come.
    release();
    run(hub, COUNT_MAX);
    assert_int_equal(hub->done, COUNT_MAX - COUNT_MAX / 10);
    assert_int_equal(hub->given_back, 0);
    hub_deinit(hub);
    free(hub);
}

static void test_an_end_in_the_middle_gives_back_what_is_open(void **state)
{
    (void)state;
    struct hub *hub = malloc(sizeof(*hub));
    hub_init(hub, 40);
    run(hub, 38);
    script.is_breaking = true; // Only the slow ones are left, and the worker is in poll.
    release();
    struct pollfd bell = {.fd = hub->bell_fd, .events = POLLIN};
    while (hub->given_back < 2) {
        assert_int_equal(poll(&bell, 1, DEADLINE_MS), 1);
        collect(hub);
    }
    assert_int_equal(hub->failed, 4); // Who broke it is not known: nobody is charged.
    hub_deinit(hub);
    free(hub);
}

static void test_stop_gives_back_what_is_open(void **state)
{
    (void)state;
    struct hub *hub = malloc(sizeof(*hub));
    hub_init(hub, 40);
    run(hub, 38);
    worker_stop(hub->worker);
    collect(hub);
    assert_int_equal(hub->given_back, 2);
    assert_int_equal(hub->done + hub->failed, 38);
    hub_deinit(hub);
    free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_slow_one_holds_up_nobody),
        cmocka_unit_test(test_an_end_in_the_middle_gives_back_what_is_open),
        cmocka_unit_test(test_stop_gives_back_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
