// source_host.c - the hub as a Sparkplug host application: spBv1.0/STATE/<host> says whether it is
// there, by a birth of ours, a will at the broker, and a death when it goes in order
// [Sparkplug 3.0, 5.3]. Birth and will of a connection have the same timestamp.
#define _GNU_SOURCE // memmem.

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "intake/source_parts.h"

#define AGAIN_MS 1000 // A birth is repeated at most so often.

static bool is_host(const struct source *source)
{
    return source->host_topic[0] != '\0';
}

static size_t write_state(char out_text[HOST_STATE_BYTES], bool is_online, int64_t at_ms)
{
    return (size_t)snprintf(out_text, HOST_STATE_BYTES, "{\"online\":%s,\"timestamp\":%lld}",
                            is_online ? "true" : "false", (long long)at_ms);
}

void source_host_name(struct source *source)
{
    const char *host = option_text(source->options, "sparkplug_host");
    if (host != NULL) {
        snprintf(source->host_topic, sizeof(source->host_topic), HOST_TOPIC "%s", host);
    }
}

// Before each attempt to connect.
void source_host_will(struct source *source)
{
    if (is_host(source)) {
        source->host_since_ms = clock_wall_ms();
        source->host_is_stale = false;
        write_state(source->host_will, false, source->host_since_ms);
        source->peer.will_topic = source->host_topic;
        source->peer.will = source->host_will;
    }
}

static bool publish_state(struct source *source, bool is_online, int64_t at_ms)
{
    char text[HOST_STATE_BYTES];
    size_t len = write_state(text, is_online, at_ms);
    return source_publish(source, source->host_topic, bytes_of(text, len), 1, true, NULL);
}

void source_host_birth(struct source *source)
{
    if (is_host(source)) {
        source->host_is_stale = !publish_state(source, true, source->host_since_ms);
        source->host_again_ms = source->now_ms + AGAIN_MS;
    }
}

// Somebody said that we are gone: the will of our last connection, or another who takes our name.
void source_host_tend(struct source *source)
{
    if (source->host_is_stale && source->is_announced && source->now_ms >= source->host_again_ms) {
        source_host_birth(source);
    }
}

bool source_host_death(struct source *source)
{
    int64_t now_ms = clock_wall_ms();
    return !is_host(source) || source->link == NULL || !source->is_announced ||
           publish_state(source, false,
                         now_ms > source->host_since_ms ? now_ms : source->host_since_ms);
}

static bool says_offline(struct bytes payload)
{
    static const char name[] = "\"online\"";
    const uint8_t *end = payload.ptr + payload.len;
    const uint8_t *at =
        payload.len == 0 ? NULL : memmem(payload.ptr, payload.len, name, sizeof(name) - 1);
    if (at == NULL) {
        return true; // Emptied, or written in the words of an older version.
    }
    for (at += sizeof(name) - 1; at < end && memchr(" \t\r\n:", *at, 5) != NULL; at++) {
    }
    return at == end || *at != 't';
}

bool source_host_sees(struct source *source, const struct message *message)
{
    if (!is_host(source) || !bytes_equal(message->topic, bytes_from_text(source->host_topic))) {
        return false;
    }
    source->host_is_stale |= says_offline(message->payload);
    return true;
}
