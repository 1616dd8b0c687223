// connector_mqtt.c - publishes to a broker. QoS 0 is done when written, QoS 1 on PUBACK, QoS 2 on
// PUBCOMP. The session is clean: the outbox is the memory, not the connection.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "connectors/mqtt_link.h"
#include "connectors/types.h"
#include "core/properties.h"
#include "core/topic.h"

// libmosquitto walks the list of open publishes for each answer: beyond 200 the walking costs more
// than the waiting.
#define BATCH_MAX        200
#define OPEN_BYTES_MAX   (1024 * 1024) // Of payloads; libmosquitto keeps two copies of each.
#define CORKED_MAX       32            // Publishes that leave together.
#define CLIENT_ID_MAX    256
#define REASON_TOPIC_MAX 80

static const struct option_spec options[] = {
    {"url", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "The broker: mqtt://host:port, or mqtts://host:port with TLS. Without a port 1883 and 8883."},
    {"ca", OPTION_PATH, false, NULL, 0, 0, NULL,
     "PEM file of the certificate authorities to trust; without it those of the system."},
    {"cert", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of the hub's own certificate."},
    {"key", OPTION_PATH, false, NULL, 0, 0, NULL, "PEM file of the key that belongs to cert."},
    {"username", OPTION_TEXT, false, NULL, 0, 0, NULL, "User to log in as."},
    {"password", OPTION_SECRET, false, NULL, 0, 0, NULL, "The user's password."},
    {"client_id", OPTION_TEXT, false, NULL, 0, 0, NULL,
     "Client id on the broker; without it pipit-<hub>-to-<target>."},
    {"version", OPTION_ENUM, false, "auto", 0, 0, "auto|5|3.1.1",
     "MQTT version; auto is 5, and 3.1.1 when the broker refuses that. On 3.1.1 deliveries carry "
     "neither idempotency key, content type nor properties, and the broker cannot say why it drops "
     "one."},
    {"timeout", OPTION_DURATION, false, "30 s", 100, 600000, NULL,
     "Longest wait for the broker's next answer; then the connection is made anew."},
    {"keepalive", OPTION_DURATION, false, "30 s", 5000, 3600000, NULL,
     "Time without traffic after which the broker is pinged, in whole seconds."},
    {"in_flight", OPTION_INT, false, "200", 1, BATCH_MAX, NULL,
     "Most publishes that wait for the broker's answer at the same time."},
    {NULL},
};

static const struct option_spec route_options[] = {
    {"topic", OPTION_TEXT, true, NULL, 0, 0, NULL,
     "Topic to publish on; {column} is replaced by the column's value."},
    {"qos", OPTION_INT, false, "1", 0, 2, NULL,
     "Quality of service. 0 is done when written and may be lost, 1 when the broker has answered, "
     "2 when it has answered twice."},
    {"retain", OPTION_BOOL, false, "false", 0, 0, NULL,
     "Ask the broker to keep the newest one for later subscribers."},
    {NULL},
};

struct slot {
    int mid;
    bool is_open; // Published and not answered.
};

struct mqtt_state {
    struct mqtt_link link;
    char client_id[CLIENT_ID_MAX + 1];
    // The send that is under way.
    const struct delivery *const *batch;
    struct answer *answers;
    uint32_t count;
    uint32_t next;       // First one that was not published yet.
    uint32_t oldest;     // None before it is open.
    uint32_t open_count; // Open slots.
    uint64_t open_bytes; // Their payloads.
    int64_t progress_at_ms;
    struct slot slots[BATCH_MAX];
    char topic[TOPIC_BYTES_MAX + 1];
};

// What the broker answers a publish with [MQTT-3.4.2.1, 3.5.2.1, 3.7.2.1]; what is not here and at
// least 0x80 is tried again.
static const struct {
    int code;
    enum verdict verdict;
    const char *text;
} verdicts[] = {
    {0x00, VERDICT_DONE, ""},
    {0x10, VERDICT_DONE, ""}, // No matching subscribers.
    {0x80, VERDICT_RETRY, "unspecified error"},
    {0x83, VERDICT_RETRY, "implementation specific error"},
    {0x87, VERDICT_REJECT, "not authorized to publish there"},
    {0x90, VERDICT_REJECT, "topic name invalid"},
    {0x91, VERDICT_RETRY, "packet identifier in use"},
    {0x92, VERDICT_RETRY, "packet identifier not found"},
    {0x95, VERDICT_REJECT, "packet too large"},
    {0x97, VERDICT_RETRY, "quota exceeded"},
    {0x99, VERDICT_REJECT, "payload format invalid"},
};

static enum verdict verdict_of(int code, const char **out_text)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (verdicts[i].code == code) {
            *out_text = verdicts[i].text;
            return verdicts[i].verdict;
        }
    }
    *out_text = "unknown reason";
    return code < 0x80 ? VERDICT_DONE : VERDICT_RETRY;
}

static void set_refusal(struct answer *answer, const struct delivery *delivery, int code,
                        const char *broker_text)
{
    const char *text;
    answer->verdict = verdict_of(code, &text);
    if (answer->verdict == VERDICT_DONE) {
        answer->reason[0] = '\0';
        return;
    }
    int len =
        (int)(delivery->topic.len < REASON_TOPIC_MAX ? delivery->topic.len : REASON_TOPIC_MAX);
    snprintf(answer->reason, sizeof(answer->reason),
             "the broker refused topic %.*s: %s (0x%02x)%s%s", len,
             (const char *)delivery->topic.ptr, text, (unsigned)code,
             broker_text == NULL ? "" : ": ", broker_text == NULL ? "" : broker_text);
}

// Answers come in the order of the publishes, so the first open one is nearly always it.
static void on_answered(void *context, int mid, int code, const char *text)
{
    struct mqtt_state *state = context;
    for (uint32_t i = state->oldest; i <= state->next && i < state->count; i++) {
        struct slot *slot = &state->slots[i];
        if (slot->is_open && slot->mid == mid) {
            slot->is_open = false;
            state->open_count--;
            state->open_bytes -= state->batch[i]->payload.len;
            state->progress_at_ms = clock_monotonic_ms();
            set_refusal(&state->answers[i], state->batch[i], code, text);
            break;
        }
    }
    while (state->oldest < state->next && !state->slots[state->oldest].is_open) {
        state->oldest++;
    }
}

static const char *topic_of(struct mqtt_state *state, const struct delivery *delivery,
                            struct answer *answer)
{
    const char *problem = topic_problem(delivery->topic);
    if (problem != NULL) {
        answer->verdict = VERDICT_REJECT;
        snprintf(answer->reason, sizeof(answer->reason), "the topic %s", problem);
        return NULL;
    }
    memcpy(state->topic, delivery->topic.ptr, delivery->topic.len);
    state->topic[delivery->topic.len] = '\0';
    return state->topic;
}

// What the broker said at connecting that it will not take: refused here, since it would answer
// with a disconnect that hits all others, too.
static bool is_beyond_limits(const struct mqtt_link *link, const struct mqtt_publish *publish,
                             struct answer *answer)
{
    uint64_t size = mqtt_publish_bytes(link, publish);
    answer->verdict = VERDICT_REJECT;
    if (size > link->packet_max) {
        snprintf(answer->reason, sizeof(answer->reason),
                 "a packet of %llu bytes is larger than the broker's maximum of %lu",
                 (unsigned long long)size, (unsigned long)link->packet_max);
        return true;
    }
    if (publish->qos > link->qos_max) {
        snprintf(answer->reason, sizeof(answer->reason), "the broker takes QoS %d at most",
                 link->qos_max);
        return true;
    }
    if (publish->is_retained && !link->is_retain_possible) {
        answer_set(answer, VERDICT_REJECT, "the broker keeps no retained messages");
        return true;
    }
    return false;
}

// A CloudEvent in binary mode has its key as its id. Its receivers may take each user property for
// an attribute, and refuse one whose name has a hyphen in it.
static bool is_binary_cloudevent(struct bytes properties)
{
    struct bytes name, value;
    while (properties_next(&properties, &name, &value)) {
        if (bytes_equal(name, bytes_from_text("specversion"))) {
            return true;
        }
    }
    return false;
}

static enum err publish_one(struct mqtt_state *state, uint32_t index, struct error *e)
{
    const struct delivery *delivery = state->batch[index];
    struct answer *answer = &state->answers[index];
    struct mqtt_publish publish = {
        .topic = topic_of(state, delivery, answer),
        .payload = delivery->payload,
        .qos = delivery->qos,
        .is_retained = delivery->is_retained,
        .content_type = delivery->content_type,
        .idempotency_key =
            is_binary_cloudevent(delivery->properties) ? NULL : delivery->idempotency_key,
        .properties = delivery->properties,
    };
    if (publish.topic == NULL || is_beyond_limits(&state->link, &publish, answer)) {
        return ERR_OK;
    }
    if (mqtt_publish_is_expired(&publish)) {
        answer_set(answer, VERDICT_REJECT, "it expired before it could be sent");
        return ERR_OK;
    }
    struct slot *slot = &state->slots[index];
    slot->is_open = true; // Before the call: QoS 0 may be answered within it.
    state->open_count++;
    state->open_bytes += delivery->payload.len;
    enum err rc = mqtt_link_publish(&state->link, &publish, &slot->mid, e);
    if (rc == ERR_INVALID || rc == ERR_NO_MEMORY) {
        slot->is_open = false;
        state->open_count--;
        state->open_bytes -= delivery->payload.len;
        answer_set(answer, rc == ERR_INVALID ? VERDICT_REJECT : VERDICT_RETRY, e->text);
        return ERR_OK;
    }
    return rc;
}

static bool has_window(const struct mqtt_state *state)
{
    return state->next < state->count && state->open_count < state->link.window &&
           (state->open_count == 0 || state->open_bytes < OPEN_BYTES_MAX);
}

// In groups: fewer segments cost us and the broker less, and the broker begins with one group while
// we write the next. At QoS 1 measured 98,000 a second so, 84,000 with Nagle's algorithm instead,
// 70,000 when the whole window is held back.
static enum err publish_burst(struct mqtt_state *state, struct error *e)
{
    bool is_burst = state->count - state->next > 1;
    enum err rc = ERR_OK;
    while (rc == ERR_OK && has_window(state)) {
        if (is_burst) {
            mqtt_link_cork(&state->link, true);
        }
        for (int i = 0; i < CORKED_MAX && rc == ERR_OK && has_window(state); i++) {
            rc = publish_one(state, state->next, e);
            state->next++;
        }
        if (is_burst) {
            mqtt_link_cork(&state->link, false);
        }
    }
    return rc;
}

static enum err wait_answers(struct mqtt_state *state, struct error *e)
{
    int64_t timeout_ms = state->link.peer.timeout_ms;
    int64_t left_ms = state->progress_at_ms + timeout_ms - clock_monotonic_ms();
    if (left_ms <= 0) {
        const struct broker_url *url = &state->link.peer.url;
        return error_set(e, ERR_TIMEOUT, "broker %s:%u: %u publishes without an answer for %lld ms",
                         url->host, url->port, state->open_count, (long long)timeout_ms);
    }
    return mqtt_link_wait(&state->link, (int)left_ms, e);
}

// The connection is gone. When exactly one was open, and the broker said why, that is its verdict.
static void answer_the_rest(struct mqtt_state *state, const char *reason)
{
    const struct mqtt_link *link = &state->link;
    for (uint32_t i = 0; i < state->count; i++) {
        if (i >= state->next) {
            answer_set(&state->answers[i], VERDICT_NOT_SENT, "");
        } else if (state->slots[i].is_open) {
            const char *text;
            bool is_culprit = state->open_count == 1 && link->lost_code >= 0x80 &&
                              verdict_of(link->lost_code, &text) == VERDICT_REJECT;
            answer_set(&state->answers[i], is_culprit ? VERDICT_REJECT : VERDICT_RETRY, reason);
        }
    }
}

static enum err mqtt_send(void *opaque, const struct delivery *const *batch, uint32_t count,
                          struct answer *out_answers, struct error *e)
{
    struct mqtt_state *state = opaque;
    state->batch = batch;
    state->answers = out_answers;
    state->count = count;
    state->next = state->oldest = state->open_count = 0;
    state->open_bytes = 0;
    memset(state->slots, 0, count * sizeof(state->slots[0]));
    // A connection that ended while idle is noticed here, before anything is written to it.
    enum err rc = mqtt_link_wait(&state->link, 0, e);
    state->progress_at_ms = clock_monotonic_ms();
    while (rc == ERR_OK && (state->next < count || state->open_count > 0)) {
        rc = publish_burst(state, e);
        if (rc == ERR_OK && state->open_count > 0) {
            rc = wait_answers(state, e);
        }
    }
    if (rc != ERR_OK) {
        answer_the_rest(state, e->text);
    }
    state->batch = NULL;
    state->count = 0;
    return rc;
}

static enum err mqtt_open(void *opaque, const struct connector_peer *peer, struct error *e)
{
    struct mqtt_state *state = opaque;
    const struct options *given = peer->options;
    struct mqtt_peer link_peer = {
        .client_id = option_text(given, "client_id"),
        .ca = option_text(given, "ca"),
        .cert = option_text(given, "cert"),
        .key = option_text(given, "key"),
        .username = option_text(given, "username"),
        .password = option_text(given, "password"),
        .version = (enum mqtt_version)option_choice(given, "version"),
        .keepalive_s = (int)(option_int(given, "keepalive") / 1000),
        .in_flight_max = (uint32_t)option_int(given, "in_flight"),
        .timeout_ms = option_int(given, "timeout"),
        .stop_fd = peer->stop_fd,
        .answered = on_answered,
        .context = state,
    };
    if (link_peer.client_id == NULL) {
        snprintf(state->client_id, sizeof(state->client_id), "pipit-%s-to-%s", peer->hub_id,
                 peer->name);
        link_peer.client_id = state->client_id;
    }
    enum err rc = broker_url_parse(option_text(given, "url"), &link_peer.url, e);
    return rc == ERR_OK ? mqtt_link_open(&state->link, &link_peer, e) : rc;
}

static enum err mqtt_tend(void *opaque, struct error *e)
{
    struct mqtt_state *state = opaque;
    return mqtt_link_wait(&state->link, 0, e);
}

static int mqtt_poll_fd(const void *opaque)
{
    const struct mqtt_state *state = opaque;
    return mqtt_link_fd(&state->link);
}

static void mqtt_close(void *opaque)
{
    struct mqtt_state *state = opaque;
    mqtt_link_close(&state->link);
}

static enum err check_file(const struct options *given, const char *name, struct error *e)
{
    const char *path = option_text(given, name);
    if (path == NULL || access(path, R_OK) == 0) {
        return ERR_OK;
    }
    return error_set(e, ERR_CONFIG, "%s: cannot read %s: %s", name, path, strerror(errno));
}

static enum err check_together(const struct options *given, bool is_tls, struct error *e)
{
    bool has_ca = option_text(given, "ca") != NULL;
    bool has_cert = option_text(given, "cert") != NULL;
    bool has_key = option_text(given, "key") != NULL;
    if (!is_tls && (has_ca || has_cert || has_key)) {
        return error_set(e, ERR_CONFIG, "ca, cert and key are for TLS: the url must be mqtts://");
    }
    if (has_cert != has_key) {
        return error_set(e, ERR_CONFIG, "cert and key go together: %s is missing",
                         has_cert ? "key" : "cert");
    }
    if (has_cert && !has_ca) {
        return error_set(e, ERR_CONFIG,
                         "cert needs a ca beside it; the system's certificates are often in "
                         "/etc/ssl/certs/ca-certificates.crt");
    }
    if (option_text(given, "password") != NULL && option_text(given, "username") == NULL) {
        return error_set(e, ERR_CONFIG, "password needs a username beside it");
    }
    return ERR_OK;
}

static enum err mqtt_check(const struct options *given, struct error *e)
{
    struct broker_url url;
    enum err rc = broker_url_parse(option_text(given, "url"), &url, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "url");
    }
    const char *client_id = option_text(given, "client_id");
    if (client_id != NULL && strlen(client_id) > CLIENT_ID_MAX) {
        return error_set(e, ERR_CONFIG, "client_id: longer than %d bytes", CLIENT_ID_MAX);
    }
    rc = check_together(given, url.is_tls, e);
    static const char *const files[] = {"ca", "cert", "key"};
    for (size_t i = 0; rc == ERR_OK && i < sizeof(files) / sizeof(files[0]); i++) {
        rc = check_file(given, files[i], e);
    }
    return rc;
}

const struct connector_type connector_mqtt = {
    .name = "mqtt",
    .options = options,
    .route_options = route_options,
    .batch_count_max = BATCH_MAX,
    .state_bytes = sizeof(struct mqtt_state),
    .open = mqtt_open,
    .send = mqtt_send,
    .tend = mqtt_tend,
    .poll_fd = mqtt_poll_fd,
    .close = mqtt_close,
    .check = mqtt_check,
};
