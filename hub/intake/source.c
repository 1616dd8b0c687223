#include "intake/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/topic.h"
#include "intake/backoff.h"
#include "intake/broker_advice.h"
#include "intake/link.h"
#include "intake/probe.h"

#define TICK_MS            1000  // How often a silent link is looked after.
#define STABLE_MS          30000 // A link that stood so long begins with short waits again.
#define RECONNECT_MIN_MS   100
#define REFUSED_MIN_MS     2000 // A wrong password does not get better by the second.
#define REFUSED_MAX_MS     60000
#define RESUBSCRIBE_MS     60000
#define COMPLAINT_MS       10000 // At most one such line in this time.
#define ID_MAX             256
#define TOPIC_MAX          256
#define DROPPED_TOPIC      "$SYS/broker/publish/messages/dropped"
#define OWN_PREFIX         "pipit/v1/$hub/"
#define SYS_INDEX          UINT32_MAX // Of the subscription to DROPPED_TOPIC.
#define SESSION_EXPIRY_MAX INT64_C(0x7FFFFFFF)
#define PROBE_AFTER_MS     1000 // Of a standing link: what waits for us comes first.

enum version { VERSION_AUTO, VERSION_5, VERSION_311 }; // As in "auto|5|3.1.1".

struct source {
    const char *name;
    const char *const *topics;
    const struct options *options;
    struct link_peer peer;
    enum version version;
    bool is_version_refused; // 5 was: try 3.1.1.
    char client_id[ID_MAX];
    char own_prefix[TOPIC_MAX]; // What this hub publishes itself is no input.
    char probe_topic[TOPIC_MAX];
    int priority;

    struct link *link;
    struct message_batch batch;
    struct backoff backoff;
    bool is_away;
    bool is_announced;     // INTAKE-UP was logged for this link.
    bool has_subscribed;   // Once in this process.
    uint32_t filters_open; // SUBACKs that are missing.
    int64_t now_ms;        // As the caller last said.
    int64_t up_ms;         // When the link came up.
    int64_t next_attempt_ms;
    int64_t next_tick_ms;
    int64_t resubscribe_ms; // The broker refused a filter: try again then. 0: it did not.

    struct probe *probe;
    bool is_probed;
    int probe_kept;
    uint64_t dropped_value; // Of $SYS, last.
    bool is_dropped_known;
    uint64_t dropped_forgiven; // By our own probe; not in dropped_value yet.
    bool does_fault_acknowledge;
    struct source_state state;
};

static void change(struct source *source, bool is_up)
{
    if (source->state.is_up != is_up) {
        source->state.is_up = is_up;
        source->state.since_ms = clock_wall_ms();
    }
}

// ---- what comes from the broker ----------------------------------------------------------------

static bool starts_with(struct bytes topic, const char *prefix)
{
    size_t len = strlen(prefix);
    return topic.len >= len && memcmp(topic.ptr, prefix, len) == 0;
}

static bool is_probe_topic(struct bytes topic)
{
    static const char end[] = "/probe";
    size_t len = sizeof(end) - 1;
    return starts_with(topic, OWN_PREFIX) && topic.len > len &&
           memcmp(topic.ptr + topic.len - len, end, len) == 0;
}

// The value counts from the broker's start: a smaller one is a new broker.
static void watch_dropped(struct source *source, struct bytes payload)
{
    char text[32] = {0};
    if (payload.len == 0 || payload.len >= sizeof(text)) {
        return;
    }
    memcpy(text, payload.ptr, payload.len);
    uint64_t value = strtoull(text, NULL, 10);
    bool is_more = source->is_dropped_known && value > source->dropped_value;
    uint64_t more = is_more ? value - source->dropped_value : 0;
    source->dropped_value = value;
    source->is_dropped_known = true;
    uint64_t ours = more < source->dropped_forgiven ? more : source->dropped_forgiven;
    source->dropped_forgiven -= ours;
    more -= ours;
    source->state.broker_dropped += more;
    // While our own probe runs, drops are what it looks for.
    if (more > 0 && source->probe == NULL) {
        log_line(LOG_WARN, "intake", "INTAKE-BROKER-DROPPED",
                 "source=%s broker=%s:%u count=%llu err=\"the broker dropped messages for some "
                 "client that was away or slow; set `max_queued_messages 0` and a larger "
                 "`max_queued_bytes` in mosquitto.conf, and see which client is behind\"",
                 source->name, source->peer.url.host, source->peer.url.port,
                 (unsigned long long)more);
    }
}

static bool is_user_topic(const struct source *source, struct bytes topic)
{
    for (const char *const *filter = source->topics; *filter != NULL; filter++) {
        if (topic_filter_matches(bytes_from_text(*filter), topic)) {
            return true;
        }
    }
    return false;
}

static bool wants(void *context, const struct message *message)
{
    struct source *source = context;
    struct bytes topic = message->topic;
    if (topic.len > 0 && topic.ptr[0] == '$' &&
        bytes_equal(topic, bytes_from_text(DROPPED_TOPIC))) {
        watch_dropped(source, message->payload);
        return is_user_topic(source, topic);
    }
    if (starts_with(topic, OWN_PREFIX) &&
        (starts_with(topic, source->own_prefix) || is_probe_topic(topic))) {
        return false;
    }
    return true;
}

static void announce(struct source *source)
{
    const struct link_limits *limits = link_limits(source->link);
    source->is_announced = true;
    source->has_subscribed = true;
    change(source, true);
    log_line(LOG_INFO, "intake", "INTAKE-UP",
             "source=%s broker=%s:%u mqtt=%s tls=%s client=%s session=%s", source->name,
             source->peer.url.host, source->peer.url.port, limits->is_v5 ? "5" : "3.1.1",
             source->peer.url.is_tls ? "yes" : "no", source->client_id,
             limits->is_session_present ? "resumed" : "new");
}

static void subscribed(void *context, uint32_t index, int code)
{
    struct source *source = context;
    if (index == SYS_INDEX) {
        if (code >= 0x80) {
            log_line(LOG_INFO, "intake", "INTAKE-NO-SYS",
                     "source=%s topic=" DROPPED_TOPIC " err=\"the broker does not let us see "
                     "what it drops; allow this user to read it\"",
                     source->name);
        }
        return;
    }
    source->filters_open--;
    if (code >= 0x80) {
        source->resubscribe_ms = source->now_ms + RESUBSCRIBE_MS;
        snprintf(
            source->state.last_error, sizeof(source->state.last_error),
            "the broker refuses the subscription to %.120s: allow user %.60s to read it in the "
            "broker's access rules",
            source->topics[index],
            source->peer.username == NULL ? "(none)" : source->peer.username);
        log_line(LOG_ERROR, "intake", "INTAKE-REFUSED", "source=%s topic=%s code=%d err=\"%s\"",
                 source->name, source->topics[index], code, source->state.last_error);
    } else if (code == 0) {
        log_line(LOG_ERROR, "intake", "INTAKE-QOS",
                 "source=%s topic=%s err=\"the broker grants QoS 0 only: events are lost when the "
                 "hub or the connection is down\"",
                 source->name, source->topics[index]);
    }
}

static void refused(void *context, int code)
{
    struct source *source = context;
    log_line_limited(LOG_WARN, "intake", "INTAKE-PUBLISH-REFUSED", COMPLAINT_MS,
                     "source=%s code=%d err=\"the broker refuses what the hub publishes (receipts, "
                     "statistics): allow user %s to write to pipit/v1/# in its access rules\"",
                     source->name, code,
                     source->peer.username == NULL ? "(none)" : source->peer.username);
}

// ---- making and losing the link ----------------------------------------------------------------

static void lose(struct source *source, const struct error *e)
{
    bool is_refusal = e->code == ERR_REJECTED || e->code == ERR_CONFIG;
    bool was_stable = source->state.is_up && source->now_ms - source->up_ms >= STABLE_MS;
    bool was_up = source->state.is_up;
    if (was_stable) {
        backoff_reset(&source->backoff);
    }
    int64_t max_ms = option_int(source->options, "reconnect_max");
    int64_t wait_ms = is_refusal ? backoff_next(&source->backoff, REFUSED_MIN_MS, REFUSED_MAX_MS)
                                 : backoff_next(&source->backoff, RECONNECT_MIN_MS, max_ms);
    source->next_attempt_ms = source->now_ms + wait_ms;
    snprintf(source->state.last_error, sizeof(source->state.last_error), "%.299s", e->text);
    change(source, false);
    if (was_up || is_refusal) {
        log_line(is_refusal ? LOG_ERROR : LOG_WARN, "intake", "INTAKE-DOWN",
                 "source=%s retry_ms=%lld err=\"%s\"", source->name, (long long)wait_ms, e->text);
    } else {
        log_line_limited(LOG_WARN, "intake", "INTAKE-DOWN", COMPLAINT_MS,
                         "source=%s retry_ms=%lld err=\"%s\"", source->name, (long long)wait_ms,
                         e->text);
    }
    link_close(source->link, false);
    source->link = NULL;
    // A name may have addresses of both kinds of which only one works: take turns.
    source->peer.is_ipv4_only = !was_up && !source->peer.is_ipv4_only;
}

// The broker does not speak MQTT 5: the next attempt is at once and with 3.1.1.
static bool fall_back(struct source *source)
{
    if (source->version != VERSION_AUTO || !source->peer.is_v5 ||
        link_error(source->link)->code != ERR_VERSION ||
        option_text(source->options, "shared_group") != NULL) {
        return false;
    }
    log_line(LOG_INFO, "intake", "INTAKE-MQTT-3",
             "source=%s broker=%s:%u err=\"the broker does not speak MQTT 5: going on with 3.1.1\"",
             source->name, source->peer.url.host, source->peer.url.port);
    link_close(source->link, false);
    source->link = NULL;
    source->is_version_refused = true;
    source->next_attempt_ms = source->now_ms;
    return true;
}

static void check_lost(struct source *source)
{
    if (source->link != NULL && link_state(source->link) == LINK_LOST && !fall_back(source)) {
        struct error e = *link_error(source->link);
        if (e.code == ERR_VERSION && option_text(source->options, "shared_group") != NULL) {
            error_set(&e, ERR_REJECTED,
                      "broker %s:%u: does not speak MQTT 5, which shared_group needs",
                      source->peer.url.host, source->peer.url.port);
        }
        lose(source, &e);
    }
}

static void connect_link(struct source *source)
{
    struct link_events events = {
        .context = source, .wants = wants, .subscribed = subscribed, .refused = refused};
    struct error e;
    source->peer.is_v5 = source->version != VERSION_311 && !source->is_version_refused;
    source->is_version_refused = false; // After this link 5 is tried again.
    source->is_announced = false;
    enum err rc =
        link_open(&source->link, &source->peer, &events, &source->batch, source->now_ms, &e);
    if (rc != ERR_OK) {
        source->link = NULL;
        error_wrap(&e, "broker %s:%u", source->peer.url.host, source->peer.url.port);
        lose(source, &e);
    }
}

static bool uses_wildcards(const struct source *source)
{
    for (const char *const *topic = source->topics; *topic != NULL; topic++) {
        if (strpbrk(*topic, "+#") != NULL) {
            return true;
        }
    }
    return false;
}

static void advise(struct source *source)
{
    struct broker_facts facts = {
        .url = &source->peer.url,
        .limits = link_limits(source->link),
        .session_expiry_s = source->peer.session_expiry_s,
        .uses_wildcards = uses_wildcards(source),
        .uses_shared = option_text(source->options, "shared_group") != NULL,
        .probe_kept = source->probe_kept,
    };
    char before[BROKER_ADVICE_MAX];
    memcpy(before, source->state.broker_advice, sizeof(before));
    broker_advise(&facts, source->state.broker_advice);
    if (source->state.broker_advice[0] != '\0' &&
        strcmp(before, source->state.broker_advice) != 0) {
        log_line(LOG_WARN, "intake", "INTAKE-BROKER-LIMITS", "source=%s advice=\"%s\"",
                 source->name, source->state.broker_advice);
    }
}

static bool subscribe_one(struct source *source, uint32_t index)
{
    const char *group = option_text(source->options, "shared_group");
    if (group == NULL) {
        return link_subscribe(source->link, index, source->topics[index], 1);
    }
    size_t size = strlen("$share//") + strlen(group) + strlen(source->topics[index]) + 1;
    char *filter = malloc(size);
    if (filter == NULL) {
        return false;
    }
    snprintf(filter, size, "$share/%s/%s", group, source->topics[index]);
    bool is_queued = link_subscribe(source->link, index, filter, 1);
    free(filter);
    return is_queued;
}

// With 3.1.1 a second SUBSCRIBE brings all retained messages again: once is enough for a session
// that the broker still has. With 5 the subscription says that it does not want them.
static void subscribe(struct source *source)
{
    const struct link_limits *limits = link_limits(source->link);
    source->filters_open = 0;
    source->state.last_error[0] = '\0';
    if (limits->is_v5 || !limits->is_session_present || !source->has_subscribed ||
        source->resubscribe_ms != 0) {
        for (uint32_t i = 0; source->topics[i] != NULL; i++) {
            source->filters_open += subscribe_one(source, i) ? 1 : 0;
        }
    }
    source->resubscribe_ms = 0;
    link_subscribe(source->link, SYS_INDEX, DROPPED_TOPIC, 0);
}

static void come_up(struct source *source)
{
    source->up_ms = source->now_ms;
    source->next_tick_ms = source->now_ms + TICK_MS;
    source->is_dropped_known = false;
    source->state.reconnects += source->has_subscribed ? 1 : 0;
    subscribe(source);
    advise(source);
}

// ---- the probe ---------------------------------------------------------------------------------

static void tend_probe(struct source *source)
{
    bool is_up = source->link != NULL && source->is_announced;
    if (!source->is_probed && is_up && source->now_ms - source->up_ms >= PROBE_AFTER_MS) {
        source->is_probed = true;
        source->probe = probe_start(&source->peer, source->probe_topic);
    }
    if (source->probe == NULL || !probe_is_done(source->probe)) {
        return;
    }
    char reason[300];
    source->probe_kept = probe_finish(source->probe, reason, sizeof(reason));
    source->probe = NULL;
    if (source->probe_kept < 0) {
        log_line(LOG_INFO, "intake", "INTAKE-PROBE",
                 "source=%s err=\"could not test how much the broker keeps for an absent client: "
                 "%s\"",
                 source->name, reason);
    } else if (source->probe_kept < PROBE_MESSAGES) {
        source->dropped_forgiven = (uint64_t)(PROBE_MESSAGES - source->probe_kept);
    }
    if (is_up) {
        advise(source);
    }
}

// ---- reading and acknowledging -----------------------------------------------------------------

// Nothing that was read waits for its commit, so that writing cannot acknowledge too early.
static bool may_write(const struct source *source)
{
    return source->batch.count == 0;
}

static void flush(struct source *source)
{
    if (source->link != NULL && link_state(source->link) == LINK_UP && may_write(source)) {
        link_flush(source->link);
    }
}

static void drive_link(struct source *source, short revents)
{
    if (source->link == NULL) {
        if (source->is_away || source->now_ms < source->next_attempt_ms) {
            return;
        }
        connect_link(source);
    }
    if (source->link != NULL && link_state(source->link) == LINK_CONNECTING) {
        link_drive(source->link, revents, source->now_ms);
        if (link_state(source->link) == LINK_UP) {
            come_up(source);
        }
    }
    check_lost(source);
}

static void read_link(struct source *source, short revents, uint32_t count_max, uint64_t bytes_max)
{
    bool is_tick = source->now_ms >= source->next_tick_ms;
    if (is_tick) {
        source->next_tick_ms = source->now_ms + TICK_MS;
    }
    if ((revents & POLLOUT) != 0) {
        flush(source); // What is queued belongs to earlier batches.
    }
    // A tick reads, too: OpenSSL may hold bytes that poll does not see.
    if ((revents & ~POLLOUT) != 0 || is_tick) {
        link_read(source->link, count_max, bytes_max);
    }
    if (is_tick) {
        link_tend(source->link);
    }
    if (source->resubscribe_ms != 0 && source->now_ms >= source->resubscribe_ms) {
        subscribe(source); // The broker's access rules may have been mended.
    }
    if (source->does_fault_acknowledge) {
        link_flush(source->link);
    }
}

static uint32_t hand_out(struct source *source, struct input *inputs, uint32_t count_max)
{
    struct message_batch *batch = &source->batch;
    uint32_t count = 0;
    while (count < count_max && batch->given < batch->count) {
        inputs[count].kind = INPUT_MESSAGE;
        inputs[count].message = batch->messages[batch->given++];
        count++;
    }
    source->state.messages += count;
    return count;
}

uint32_t source_read(struct source *source, short revents, int64_t now_ms, struct input *inputs,
                     uint32_t count_max, uint64_t bytes_max)
{
    source->now_ms = now_ms;
    if (source->batch.given < source->batch.count || count_max == 0) {
        return hand_out(source, inputs, count_max); // What an earlier batch had no room for.
    }
    uint32_t given = source->batch.given;
    drive_link(source, revents);
    if (source->link != NULL && link_state(source->link) == LINK_UP) {
        uint64_t bytes_total = bytes_max > UINT64_MAX - source->batch.bytes
                                   ? UINT64_MAX
                                   : source->batch.bytes + bytes_max;
        read_link(source, revents, given + count_max, bytes_total);
        if (!source->is_announced && source->filters_open == 0) {
            announce(source);
        }
        flush(source);
        check_lost(source);
    }
    tend_probe(source);
    return hand_out(source, inputs, count_max);
}

void source_acknowledge(struct source *source)
{
    struct message_batch *batch = &source->batch;
    if (batch->given < batch->count) {
        return; // libmosquitto writes all or nothing: wait for the commit of the rest.
    }
    message_batch_reset(batch);
    flush(source);
    check_lost(source);
}

void source_leave(struct source *source, const char *reason)
{
    flush(source); // Only if all that was read is committed.
    link_close(source->link, false);
    source->link = NULL;
    message_batch_reset(&source->batch);
    change(source, false);
    if (!source->is_away) {
        source->is_away = true;
        source->state.is_away = true;
        source->state.since_ms = clock_wall_ms();
        log_line(LOG_WARN, "intake", "INTAKE-LEAVE", "source=%s err=\"%s\"", source->name, reason);
    }
}

void source_return(struct source *source)
{
    if (!source->is_away) {
        return;
    }
    source->is_away = false;
    source->state.is_away = false;
    source->state.since_ms = clock_wall_ms();
    source->next_attempt_ms = source->now_ms;
    log_line(LOG_INFO, "intake", "INTAKE-RETURN", "source=%s", source->name);
}

static int until(int64_t at_ms, int64_t now_ms)
{
    int64_t wait_ms = at_ms - now_ms;
    return wait_ms < 0 ? 0 : wait_ms > TICK_MS ? TICK_MS : (int)wait_ms;
}

void source_poll(struct source *source, struct pollfd *out_pollfd, int64_t now_ms,
                 int *out_timeout_ms)
{
    *out_pollfd = (struct pollfd){.fd = -1};
    *out_timeout_ms = TICK_MS;
    source->now_ms = now_ms;
    if (source->batch.given < source->batch.count) {
        *out_timeout_ms = 0;
    } else if (source->link == NULL) {
        *out_timeout_ms = source->is_away ? TICK_MS : until(source->next_attempt_ms, now_ms);
    } else {
        out_pollfd->fd = link_fd(source->link);
        out_pollfd->events = link_wanted(source->link, may_write(source));
        *out_timeout_ms = link_state(source->link) == LINK_CONNECTING
                              ? until(link_deadline_ms(source->link), now_ms)
                              : until(source->next_tick_ms, now_ms);
    }
}

// ---- the rest ----------------------------------------------------------------------------------

bool source_publish(struct source *source, const char *topic, struct bytes payload, uint8_t qos,
                    bool is_retained, const char *content_type)
{
    struct link_publish publish = {
        .topic = topic,
        .payload = payload,
        .qos = qos,
        .is_retained = is_retained,
        .content_type = content_type,
    };
    // Written when poll finds the socket writable, a batch's worth at a time.
    return source->link != NULL && link_publish(source->link, &publish);
}

int source_priority(const struct source *source)
{
    return source->priority;
}

void source_state(const struct source *source, struct source_state *out_state)
{
    *out_state = source->state;
}

void source_check_broker(struct source *source, bool is_on)
{
    source->is_probed = source->is_probed || !is_on;
}

static enum err check_file(const struct options *options, const char *name, struct error *e)
{
    const char *path = option_text(options, name);
    if (path != NULL && access(path, R_OK) != 0) {
        return error_set(e, ERR_CONFIG, "%s: %s cannot be read: %m", name, path);
    }
    return ERR_OK;
}

static enum err check_options(const struct source *source, struct error *e)
{
    const struct options *options = source->options;
    static const char *const files[] = {"ca", "cert", "key"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (check_file(options, files[i], e) != ERR_OK) {
            return e->code;
        }
        if (option_text(options, files[i]) != NULL && !source->peer.url.is_tls) {
            return error_set(e, ERR_CONFIG, "%s: needs an mqtts:// url", files[i]);
        }
    }
    if ((source->peer.cert == NULL) != (source->peer.key == NULL)) {
        return error_set(e, ERR_CONFIG, "cert and key go together: %s is missing",
                         source->peer.cert == NULL ? "cert" : "key");
    }
    if (source->peer.password != NULL && source->peer.username == NULL) {
        return error_set(e, ERR_CONFIG, "password: needs a username");
    }
    const char *group = option_text(options, "shared_group");
    if (group != NULL && (group[0] == '\0' || strpbrk(group, "/+#") != NULL)) {
        return error_set(e, ERR_CONFIG, "shared_group: '%s' must be a name without / + #", group);
    }
    if (group != NULL && source->version == VERSION_311) {
        return error_set(e, ERR_CONFIG, "shared_group: needs MQTT 5, and version says 3.1.1");
    }
    const char *faults = getenv("PIPIT_TEST_FAULTS");
    if (source->does_fault_acknowledge && (faults == NULL || strcmp(faults, "1") != 0)) {
        return error_set(e, ERR_CONFIG,
                         "ack_before_commit: loses events on purpose and is for "
                         "tests only: refused without PIPIT_TEST_FAULTS=1");
    }
    return ERR_OK;
}

static void fill_peer(struct source *source)
{
    const struct options *options = source->options;
    struct link_peer *peer = &source->peer;
    int64_t expiry_s = option_int(options, "session_expiry") / 1000;
    peer->client_id = source->client_id;
    peer->ca = option_text(options, "ca");
    peer->cert = option_text(options, "cert");
    peer->key = option_text(options, "key");
    peer->username = option_text(options, "username");
    peer->password = option_text(options, "password");
    peer->keepalive_s = (int)(option_int(options, "keepalive") / 1000);
    peer->receive_maximum = (uint16_t)option_int(options, "receive_maximum");
    peer->session_expiry_s =
        (uint32_t)(expiry_s > SESSION_EXPIRY_MAX ? SESSION_EXPIRY_MAX : expiry_s);
    peer->packet_max = (uint32_t)option_int(options, "max_message_size");
    peer->connect_timeout_ms = option_int(options, "connect_timeout");
}

static enum err fill(struct source *source, const char *hub_id, struct error *e)
{
    const struct options *options = source->options;
    const char *client_id = option_text(options, "client_id");
    enum err rc = broker_url_parse(option_text(options, "url"), &source->peer.url, e);
    if (rc != ERR_OK) {
        return error_wrap(e, "url");
    }
    int len = client_id != NULL
                  ? snprintf(source->client_id, ID_MAX, "%s", client_id)
                  : snprintf(source->client_id, ID_MAX, "pipit-%s-%s", hub_id, source->name);
    if (len <= 0 || len >= ID_MAX) {
        return error_set(e, ERR_CONFIG, "client_id: must have 1 to %d bytes", ID_MAX - 1);
    }
    snprintf(source->own_prefix, TOPIC_MAX, OWN_PREFIX "%s/", hub_id);
    snprintf(source->probe_topic, TOPIC_MAX, OWN_PREFIX "%s/probe", hub_id);
    source->version = (enum version)option_choice(options, "version");
    source->priority = (int)option_int(options, "priority");
    source->is_probed = !option_bool(options, "probe");
    source->does_fault_acknowledge = option_bool(options, "ack_before_commit");
    source->probe_kept = -1;
    source->state.since_ms = clock_wall_ms();
    fill_peer(source);
    return check_options(source, e);
}

enum err source_create(struct source **out_source, const char *hub_id, const char *name,
                       const struct options *options, const char *const *topics, struct error *e)
{
    struct source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return error_set(e, ERR_NO_MEMORY, "out of memory");
    }
    source->name = name;
    source->options = options;
    source->topics = topics;
    message_batch_init(&source->batch);
    enum err rc = fill(source, hub_id, e);
    if (rc != ERR_OK) {
        free(source);
        return error_wrap(e, "source %s", name);
    }
    *out_source = source;
    return ERR_OK;
}

void source_destroy(struct source *source)
{
    if (source == NULL) {
        return;
    }
    link_close(source->link, may_write(source));
    probe_finish(source->probe, NULL, 0);
    message_batch_deinit(&source->batch);
    free(source);
}
