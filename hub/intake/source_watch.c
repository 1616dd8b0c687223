#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/topic.h"
#include "intake/source_parts.h"

#define RESUBSCRIBE_MS 60000
#define COMPLAINT_MS   10000 // At most one such line in this time.
#define DROPPED_TOPIC  "$SYS/broker/publish/messages/dropped"
#define SYS_INDEX      UINT32_MAX       // Of the subscription to DROPPED_TOPIC.
#define HOST_INDEX     (UINT32_MAX - 1) // To our own STATE.
#define PROBE_AFTER_MS 1000             // Of a standing link: what waits for us comes first.

void source_change(struct source *source, bool is_up)
{
    if (source->state.is_up != is_up) {
        source->state.is_up = is_up;
        source->state.since_ms = clock_wall_ms();
    }
}

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

static void tell_dropped(struct source *source, uint64_t count)
{
    if (count == 0) {
        return;
    }
    source->state.broker_dropped += count;
    log_line(LOG_WARN, "intake", "INTAKE-BROKER-DROPPED",
             "source=%s broker=%s:%u count=%llu err=\"the broker dropped messages for some client "
             "that was away or slow; set `max_queued_messages 0` and a larger `max_queued_bytes` "
             "in mosquitto.conf, and see which client is behind\"",
             source->name, source->peer.url.host, source->peer.url.port, (unsigned long long)count);
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
    if (source->probe != NULL) { // Drops are what it looks for; what else there was is told then.
        source->dropped_probing += more;
    } else {
        tell_dropped(source, more);
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
    if (source_host_sees(source, message)) {
        return is_user_topic(source, topic);
    }
    if (starts_with(topic, OWN_PREFIX) &&
        (starts_with(topic, source->own_prefix) || is_probe_topic(topic))) {
        return false;
    }
    return true;
}

void source_announce(struct source *source)
{
    const struct link_limits *limits = link_limits(source->link);
    source->is_announced = true;
    source->has_subscribed = true;
    source_change(source, true);
    log_line(LOG_INFO, "intake", "INTAKE-UP",
             "source=%s broker=%s:%u mqtt=%s tls=%s client=%s session=%s", source->name,
             source->peer.url.host, source->peer.url.port, limits->is_v5 ? "5" : "3.1.1",
             source->peer.url.is_tls ? "yes" : "no", source->client_id,
             limits->is_session_present ? "resumed" : "new");
    source_host_birth(source);
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
    if (index == HOST_INDEX) {
        if (code >= 0x80) {
            log_line(LOG_WARN, "intake", "INTAKE-NO-STATE",
                     "source=%s topic=%s err=\"the broker does not let us see our own STATE; allow "
                     "this user to read it\"",
                     source->name, source->host_topic);
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
                     "statistics): allow user %s to write to pipit/v1/#%s in its access rules\"",
                     source->name, code,
                     source->peer.username == NULL ? "(none)" : source->peer.username,
                     source->host_topic[0] == '\0' ? "" : " and spBv1.0/#");
}

const struct link_events source_events = {
    .wants = wants, .subscribed = subscribed, .refused = refused};

static bool uses_wildcards(const struct source *source)
{
    for (const char *const *topic = source->topics; *topic != NULL; topic++) {
        if (strpbrk(*topic, "+#") != NULL) {
            return true;
        }
    }
    return false;
}

void source_advise(struct source *source)
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
    char *filter = source_filter(source->options, source->topics[index]);
    bool is_queued = filter != NULL && link_subscribe(source->link, index, filter, 1);
    free(filter);
    return is_queued;
}

static void unsubscribe_old(struct source *source)
{
    for (char **filter = source->old_filters; filter != NULL && *filter != NULL; filter++) {
        link_unsubscribe(source->link, *filter);
    }
}

// A filter of the user's own may bring it already; one that is shared may bring it to others.
static void subscribe_host(struct source *source)
{
    struct bytes topic = bytes_from_text(source->host_topic);
    if (topic.len > 0 &&
        (option_text(source->options, "shared_group") != NULL || !is_user_topic(source, topic))) {
        link_subscribe(source->link, HOST_INDEX, source->host_topic, 1);
    }
}

// With 3.1.1 a second SUBSCRIBE brings all retained messages again: once is enough for a session
// that the broker still has. With 5 the subscription says that it does not want them.
void source_subscribe(struct source *source)
{
    const struct link_limits *limits = link_limits(source->link);
    source->filters_open = 0;
    source->state.last_error[0] = '\0';
    if (limits->is_session_present) {
        unsubscribe_old(source);
    }
    if (limits->is_v5 || !limits->is_session_present || !source->has_subscribed ||
        source->resubscribe_ms != 0) {
        for (uint32_t i = 0; source->topics[i] != NULL; i++) {
            source->filters_open += subscribe_one(source, i) ? 1 : 0;
        }
    }
    source->resubscribe_ms = 0;
    subscribe_host(source);
    link_subscribe(source->link, SYS_INDEX, DROPPED_TOPIC, 0);
}

void source_tend_probe(struct source *source)
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
    } else {
        log_line(LOG_INFO, "intake", "INTAKE-PROBE", "source=%s sent=%d kept=%d", source->name,
                 PROBE_MESSAGES, source->probe_kept);
    }
    uint64_t ours = source->probe_kept < 0 ? 0 : (uint64_t)(PROBE_MESSAGES - source->probe_kept);
    uint64_t seen = source->dropped_probing < ours ? source->dropped_probing : ours;
    source->dropped_forgiven = ours - seen; // $SYS tells them later.
    tell_dropped(source, source->dropped_probing - seen);
    if (is_up) {
        source_advise(source);
    }
}
