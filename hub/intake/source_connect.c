#include <stdio.h>

#include "base/log.h"
#include "intake/source_parts.h"

#define STABLE_MS        30000 // A link that stood so long begins with short waits again.
#define RECONNECT_MIN_MS 100
#define REFUSED_MIN_MS   2000 // A wrong password does not get better by the second.
#define REFUSED_MAX_MS   60000
#define SHORT_LINK_MS    5000
#define SHORT_LINKS_MAX  3     // In a row; then it is no accident.
#define COMPLAINT_MS     10000 // At most one such line in this time.

// A link that ends as soon as it stands, again and again: mosquitto 2.0 says neither that a second
// client took the client id nor that a publish was against its access rules, it hangs up.
static bool note_short_link(struct source *source, struct error *e)
{
    bool was_short = source->state.is_up && source->now_ms - source->up_ms < SHORT_LINK_MS;
    source->short_links = was_short ? source->short_links + 1 : 0;
    if (source->short_links < SHORT_LINKS_MAX) {
        return false;
    }
    size_t len = strlen(e->text);
    snprintf(e->text + len, sizeof(e->text) - len,
             " again and again, right after connecting: is a second hub of the same name running "
             "(client id %.80s), or may this user not publish on pipit/v1/#?",
             source->client_id);
    return true;
}

static void lose(struct source *source, struct error *e)
{
    bool is_refusal =
        note_short_link(source, e) || e->code == ERR_REJECTED || e->code == ERR_CONFIG;
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
    source_change(source, false);
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

void source_check_lost(struct source *source)
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
    struct link_events events = source_events;
    events.context = source;
    struct error e;
    source->peer.is_v5 = source->version != VERSION_311 && !source->is_version_refused;
    source->is_version_refused = false; // After this link 5 is tried again.
    source->is_announced = false;
    source_host_will(source);
    enum err rc =
        link_open(&source->link, &source->peer, &events, &source->batch, source->now_ms, &e);
    if (rc != ERR_OK) {
        source->link = NULL;
        error_wrap(&e, "broker %s:%u", source->peer.url.host, source->peer.url.port);
        lose(source, &e);
    }
}

static void come_up(struct source *source)
{
    source->up_ms = source->now_ms;
    source->next_tick_ms = source->now_ms + TICK_MS;
    source->is_dropped_known = false;
    source->state.reconnects += source->has_subscribed ? 1 : 0;
    source_subscribe(source);
    source_advise(source);
}

void source_drive(struct source *source, short revents)
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
    source_check_lost(source);
}
