#include "intake/probe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "intake/broker_advice.h"

#define PROBE_DEADLINE_MS 10000
#define PROBE_QUIET_MS    500 // Nothing more comes after such a pause.
#define PROBE_STEP_MS     50
#define PROBE_EXPIRY_S    60 // MQTT 5: a broker forgets a probe that was killed.
#define PROBE_ID_MAX      256

struct probe {
    pthread_t thread;
    atomic_bool is_stopped, is_done;
    struct link_peer peer;
    char client_id[PROBE_ID_MAX], publisher_id[PROBE_ID_MAX];
    const char *topic;
    int64_t deadline_ms;
    struct message_batch batch;
    uint32_t received;
    int suback_code; // -1: none yet.
    int refused_code;
    int kept;
    char reason[300];
};

static bool wants(void *context, const struct message *message)
{
    struct probe *probe = context;
    if (bytes_equal(message->topic, bytes_from_text(probe->topic))) {
        probe->received++;
    }
    return false;
}

static void subscribed(void *context, uint32_t index, int code)
{
    (void)index;
    ((struct probe *)context)->suback_code = code;
}

static void refused(void *context, int code)
{
    ((struct probe *)context)->refused_code = code;
}

static bool is_over(struct probe *probe)
{
    if (atomic_load(&probe->is_stopped)) {
        snprintf(probe->reason, sizeof(probe->reason), "the hub stops");
        return true;
    }
    if (clock_monotonic_ms() >= probe->deadline_ms) {
        snprintf(probe->reason, sizeof(probe->reason), "not done within %d s",
                 PROBE_DEADLINE_MS / 1000);
        return true;
    }
    return false;
}

// Sleeps until there is something to do, and does it. False when the link is lost or time is over.
static bool step(struct probe *probe, struct link *link)
{
    if (is_over(probe)) {
        return false;
    }
    struct pollfd pollfd = {.fd = link_fd(link), .events = link_wanted(link, true)};
    poll(&pollfd, 1, PROBE_STEP_MS);
    if (link_state(link) == LINK_CONNECTING) {
        link_drive(link, pollfd.revents, clock_monotonic_ms());
    } else if (pollfd.revents != 0) {
        link_read(link, UINT32_MAX / 4, UINT64_MAX);
    }
    link_flush(link);
    if (link_state(link) == LINK_LOST) {
        snprintf(probe->reason, sizeof(probe->reason), "%.290s", link_error(link)->text);
        return false;
    }
    return true;
}

static struct link *connect_as(struct probe *probe, const char *client_id, bool is_clean)
{
    static const struct link_events callbacks = {
        .wants = wants, .subscribed = subscribed, .refused = refused};
    struct link_events events = callbacks;
    struct link_peer peer = probe->peer;
    struct link *link = NULL;
    struct error e;
    events.context = probe;
    peer.client_id = client_id;
    peer.is_clean = is_clean;
    peer.will_topic = NULL;
    peer.session_expiry_s = is_clean ? 0 : PROBE_EXPIRY_S;
    if (link_open(&link, &peer, &events, &probe->batch, clock_monotonic_ms(), &e) != ERR_OK) {
        snprintf(probe->reason, sizeof(probe->reason), "%.290s", e.text);
        return NULL;
    }
    while (link_state(link) == LINK_CONNECTING && step(probe, link)) {
    }
    if (link_state(link) != LINK_UP) {
        link_close(link, false);
        return NULL;
    }
    return link;
}

// Subscribes with a session that stays, and leaves.
static bool prepare(struct probe *probe)
{
    struct link *link = connect_as(probe, probe->client_id, false);
    bool is_running = link != NULL && link_subscribe(link, 0, probe->topic, 1);
    while (is_running && probe->suback_code < 0) {
        is_running = step(probe, link);
    }
    link_close(link, true);
    if (is_running && probe->suback_code >= 0x80) {
        snprintf(probe->reason, sizeof(probe->reason),
                 "the broker's access rules refuse a subscription to %.200s", probe->topic);
        return false;
    }
    return is_running;
}

static bool publish_all(struct probe *probe)
{
    struct link *link = connect_as(probe, probe->publisher_id, true);
    struct link_publish publish = {.topic = probe->topic, .payload = bytes_of("p", 1), .qos = 1};
    bool is_running = link != NULL;
    uint32_t published = 0;
    while (is_running && published < PROBE_MESSAGES) {
        while (published < PROBE_MESSAGES && link_publish(link, &publish)) {
            published++;
        }
        link_flush(link);
        is_running = step(probe, link);
    }
    while (is_running && link_unanswered(link) > 0) {
        is_running = step(probe, link);
    }
    link_close(link, true);
    if (is_running && probe->refused_code != 0) {
        snprintf(probe->reason, sizeof(probe->reason),
                 "the broker's access rules refuse a publish on %.200s", probe->topic);
        return false;
    }
    return is_running;
}

static bool count_kept(struct probe *probe)
{
    struct link *link = connect_as(probe, probe->client_id, false);
    bool is_running = link != NULL;
    uint32_t before = probe->received;
    int64_t quiet_since_ms = clock_monotonic_ms();
    while (is_running && probe->received < PROBE_MESSAGES &&
           clock_monotonic_ms() - quiet_since_ms < PROBE_QUIET_MS) {
        is_running = step(probe, link);
        if (probe->received != before) {
            before = probe->received;
            quiet_since_ms = clock_monotonic_ms();
        }
    }
    link_close(link, true);
    return is_running;
}

// A clean session takes the old one's place and ends with its connection.
static void clean_up(struct probe *probe)
{
    if (atomic_load(&probe->is_stopped)) {
        return; // The next probe takes the session over; MQTT 5 brokers forget it before.
    }
    char reason[sizeof(probe->reason)];
    memcpy(reason, probe->reason, sizeof(reason));
    probe->deadline_ms = clock_monotonic_ms() + PROBE_DEADLINE_MS / 5;
    link_close(connect_as(probe, probe->client_id, true), true);
    memcpy(probe->reason, reason, sizeof(reason));
}

static void *probe_main(void *context)
{
    struct probe *probe = context;
    if (prepare(probe) && publish_all(probe) && count_kept(probe)) {
        probe->kept = probe->received < PROBE_MESSAGES ? (int)probe->received : PROBE_MESSAGES;
    }
    clean_up(probe);
    atomic_store(&probe->is_done, true);
    return NULL;
}

struct probe *probe_start(const struct link_peer *peer, const char *topic)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (probe == NULL) {
        return NULL;
    }
    probe->peer = *peer;
    probe->topic = topic;
    probe->suback_code = -1;
    probe->kept = -1;
    probe->deadline_ms = clock_monotonic_ms() + PROBE_DEADLINE_MS;
    message_batch_init(&probe->batch);
    snprintf(probe->client_id, sizeof(probe->client_id), "%.200s-probe", peer->client_id);
    snprintf(probe->publisher_id, sizeof(probe->publisher_id), "%.200s-probe-out", peer->client_id);
    if (pthread_create(&probe->thread, NULL, probe_main, probe) != 0) {
        free(probe);
        return NULL;
    }
    return probe;
}

bool probe_is_done(struct probe *probe)
{
    return atomic_load(&probe->is_done);
}

int probe_finish(struct probe *probe, char *out_reason, size_t size_bytes)
{
    if (probe == NULL) {
        return -1;
    }
    atomic_store(&probe->is_stopped, true);
    pthread_join(probe->thread, NULL);
    int kept = probe->kept;
    if (out_reason != NULL) {
        snprintf(out_reason, size_bytes, "%s", probe->reason);
    }
    message_batch_deinit(&probe->batch);
    free(probe);
    return kept;
}
