#include "intake/broker_advice.h"

#include <stdarg.h>
#include <stdio.h>

// Adds a sentence if it fits whole.
__attribute__((format(printf, 2, 3))) static void say(char text[BROKER_ADVICE_MAX],
                                                      const char *format, ...)
{
    size_t used = strlen(text);
    const char *gap = used == 0 ? "" : "; ";
    size_t gap_len = strlen(gap);
    char sentence[BROKER_ADVICE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (len < 0 || used + gap_len + (size_t)len >= BROKER_ADVICE_MAX) {
        return;
    }
    memcpy(text + used, gap, gap_len);
    memcpy(text + used + gap_len, sentence, (size_t)len + 1);
}

void broker_advise(const struct broker_facts *facts, char out_text[BROKER_ADVICE_MAX])
{
    const struct link_limits *limits = facts->limits;
    out_text[0] = '\0';
    if (facts->probe_kept >= 0 && facts->probe_kept < PROBE_MESSAGES) {
        say(out_text,
            "broker %s:%u keeps only %d messages for a client that is away: set "
            "`max_queued_messages 0` in mosquitto.conf",
            facts->url->host, facts->url->port, facts->probe_kept);
    }
    if (limits->qos_max == 0) {
        say(out_text, "it takes QoS 0 only, which loses events: set `max_qos 2` for the listener");
    }
    if (!limits->has_wildcards && facts->uses_wildcards) {
        say(out_text, "it has no wildcard subscriptions, which the topics of this source need");
    }
    if (!limits->has_shared && facts->uses_shared) {
        say(out_text, "it has no shared subscriptions, which shared_group needs");
    }
    if (limits->has_expiry && limits->expiry_s < facts->session_expiry_s) {
        say(out_text,
            "it forgets the hub's session after %u s instead of %u s: raise "
            "`persistent_client_expiration` or lower session_expiry",
            (unsigned)limits->expiry_s, (unsigned)facts->session_expiry_s);
    }
    if (limits->receive_maximum < BROKER_INFLIGHT_ENOUGH) {
        say(out_text,
            "only %u messages of a client may be in flight, which slows everything down: set "
            "`max_inflight_messages 0`",
            (unsigned)limits->receive_maximum);
    }
    if (!limits->has_retain) {
        say(out_text, "it keeps no retained messages: statistics are seen only as they are "
                      "published; set `retain_available true`");
    }
}
