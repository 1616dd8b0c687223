// scripted_link.h - a link in memory: notes what the device sends, says what a test wants.
// Threads:   none.
// Ownership: everything is static memory of the test program.
// Failure:   as the test says; what is sent or said beyond SCRIPT_MAX overwrites the oldest.
#ifndef SCRIPTED_LINK_H
#define SCRIPTED_LINK_H

#include <string.h>

#include "pipit/pipit.h"

#ifndef SCRIPT_MAX
#define SCRIPT_MAX 4096
#endif

struct script_sent {
    char topic[160];
    uint8_t payload[256];
    size_t len;
    uint32_t token;
    uint8_t qos;
    bool is_retained;
};

struct script_event {
    struct pipit_link_event event;
    char topic[160];
    uint8_t payload[256];
};

struct scripted_link {
    struct pipit_link base;
    struct script_sent sent[SCRIPT_MAX];
    size_t sent_count;
    struct script_event events[SCRIPT_MAX];
    size_t events_put, events_taken;
    size_t connect_count, disconnect_count;
    size_t room;        // Publishes that are taken before the link is busy.
    size_t payload_max; // What the broker takes; 0: no limit.
    bool accepts;       // A connect comes up at once, subscribes and status are acknowledged.
    bool is_up;
    struct script_sent will;
    char client_id[160];
    bool is_clean_start;
};

static struct script_event *script_push(struct scripted_link *script, enum pipit_link_kind kind)
{
    struct script_event *event = &script->events[script->events_put++ % SCRIPT_MAX];
    memset(event, 0, sizeof(*event));
    event->event.kind = kind;
    return event;
}

static void script_ack(struct scripted_link *script, uint32_t token, enum pipit_err rc)
{
    struct script_event *event = script_push(script, PIPIT_LINK_ACKED);
    event->event.token = token;
    event->event.rc = rc;
}

static inline void script_down(struct scripted_link *script, enum pipit_err rc)
{
    script_push(script, PIPIT_LINK_DOWN)->event.rc = rc;
    script->is_up = false;
}

static inline void script_message(struct scripted_link *script, const char *topic,
                                  const uint8_t *payload, size_t len)
{
    struct script_event *event = script_push(script, PIPIT_LINK_MESSAGE);
    (void)strncpy(event->topic, topic, sizeof(event->topic) - 1);
    memcpy(event->payload, payload, len);
    event->event.topic = pipit_text(event->topic);
    event->event.payload = (struct pipit_bytes){event->payload, len};
}

static enum pipit_err script_connect(struct pipit_link *link, const struct pipit_connect *options)
{
    struct scripted_link *script = (struct scripted_link *)(void *)link;
    script->connect_count++;
    script->is_clean_start = options->is_clean_start;
    (void)strncpy(script->client_id, options->client_id, sizeof(script->client_id) - 1);
    (void)strncpy(script->will.topic, options->will_topic, sizeof(script->will.topic) - 1);
    memcpy(script->will.payload, options->will.ptr, options->will.len);
    script->will.len = options->will.len;
    if (script->accepts) {
        script->is_up = true;
        script_push(script, PIPIT_LINK_UP);
    } else {
        script_down(script, PIPIT_ERR_UNREACHABLE);
    }
    return PIPIT_OK;
}

static enum pipit_err script_publish(struct pipit_link *link, const struct pipit_message *message)
{
    struct scripted_link *script = (struct scripted_link *)(void *)link;
    if (script->room == 0 || !script->is_up) {
        return PIPIT_ERR_BUSY;
    }
    if (script->payload_max != 0 && message->payload.len > script->payload_max) {
        return PIPIT_ERR_SIZE;
    }
    script->room--;
    struct script_sent *sent = &script->sent[script->sent_count++ % SCRIPT_MAX];
    memset(sent, 0, sizeof(*sent));
    (void)strncpy(sent->topic, message->topic, sizeof(sent->topic) - 1);
    memcpy(sent->payload, message->payload.ptr, message->payload.len);
    sent->len = message->payload.len;
    sent->token = message->token;
    sent->qos = message->qos;
    sent->is_retained = message->is_retained;
    if (message->is_retained && script->accepts) {
        script_ack(script, message->token, PIPIT_OK);
    }
    return PIPIT_OK;
}

static enum pipit_err script_subscribe(struct pipit_link *link, const char *filter, uint8_t qos,
                                       uint32_t token)
{
    struct scripted_link *script = (struct scripted_link *)(void *)link;
    (void)filter;
    (void)qos;
    script_ack(script, token, script->accepts ? PIPIT_OK : PIPIT_ERR_REFUSED);
    return PIPIT_OK;
}

static void script_poll(struct pipit_link *link, uint32_t now_ms, struct pipit_link_event *out)
{
    struct scripted_link *script = (struct scripted_link *)(void *)link;
    (void)now_ms;
    if (script->events_taken < script->events_put) {
        *out = script->events[script->events_taken++ % SCRIPT_MAX].event;
    }
}

static void script_disconnect(struct pipit_link *link)
{
    struct scripted_link *script = (struct scripted_link *)(void *)link;
    script->disconnect_count++;
    script_down(script, PIPIT_OK);
}

static const struct pipit_link_type script_type = {
    .connect = script_connect,
    .publish = script_publish,
    .subscribe = script_subscribe,
    .poll = script_poll,
    .disconnect = script_disconnect,
};

static void script_init(struct scripted_link *script)
{
    memset(script, 0, sizeof(*script));
    script->base.type = &script_type;
    script->room = SCRIPT_MAX;
    script->accepts = true;
}

#endif
