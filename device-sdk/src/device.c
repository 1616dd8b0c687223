#include "device.h"

// Field numbers of pipit.v1.Status.
enum { STATUS_ONLINE = 1, STATUS_BOOT, STATUS_SOFTWARE, STATUS_WAITING, STATUS_DROPPED };

#define TOPIC_ROOT      "pipit/v1/"
#define IDENTITY_BYTES  20u // boot 6, sequence 11, wants_receipt 2, the topic's NUL
#define SOFTWARE_MAX    64u
#define STATUS_BYTES    (2u + 6u + 2u + SOFTWARE_MAX + 6u + 6u)
#define JOIN_MAX_MS     30000u
#define LEAVE_MAX_MS    5000u
#define LINK_EVENTS_MAX 256u // Handled by one poll.
#define IDLE_MAX_MS     1000u

const struct pipit_bytes pipit_no_bytes = {NULL, 0};

static const struct pipit_link_type *link_type(const struct pipit_device *device)
{
    return device->config->link->type;
}

static void state_set(struct pipit_device *device, enum pipit_state state)
{
    device->state = state;
    device->state_at_ms = device->now_ms;
}

// ---- topics and messages -----------------------------------------------------------------------

size_t pipit_device_overhead(const struct pipit_device *device, size_t rest_len)
{
    const struct pipit_config *config = device->config;
    return sizeof(TOPIC_ROOT) + strlen(config->group) + strlen(config->device) +
           sizeof("//command/") + rest_len + IDENTITY_BYTES;
}

bool pipit_device_fits(const struct pipit_device *device, size_t message_bytes)
{
    const struct pipit_config *config = device->config;
    size_t link_max = config->link->message_max;
    return message_bytes <= config->buffer_bytes && (link_max == 0 || message_bytes <= link_max);
}

static void sink_text(struct pipit_sink *sink, const char *text)
{
    pipit_sink_raw(sink, pipit_text(text));
}

enum pipit_err pipit_device_topic(const struct pipit_device *device, const char *kind,
                                  struct pipit_bytes rest, struct pipit_sink *sink)
{
    const struct pipit_config *config = device->config;
    const char *parts[] = {TOPIC_ROOT, config->group, "/", config->device, "/", kind, "/"};
    size_t parts_count = sizeof(parts) / sizeof(parts[0]) - (rest.len > 0 ? 0 : 1);
    pipit_sink_init(sink, config->buffer, config->buffer_bytes);
    for (size_t i = 0; i < parts_count; i++) {
        sink_text(sink, parts[i]);
    }
    pipit_sink_raw(sink, rest);
    pipit_sink_byte(sink, 0);
    enum pipit_err rc = sink->rc;
    pipit_sink_init(sink, config->buffer + sink->len, config->buffer_bytes - sink->len);
    return rc;
}

enum pipit_err pipit_device_send(struct pipit_device *device, const struct pipit_sink *sink,
                                 struct pipit_message *message)
{
    if (sink->rc != PIPIT_OK) {
        return sink->rc;
    }
    message->topic = (const char *)device->config->buffer;
    message->payload.ptr = sink->ptr;
    message->payload.len = sink->len;
    return link_type(device)->publish(device->config->link, message);
}

static void status_encode(const struct pipit_device *device, bool is_online,
                          struct pipit_sink *sink)
{
    const struct pipit_config *config = device->config;
    const struct pipit_spool *spool = config->spool;
    if (is_online) {
        pipit_sink_varint(sink, STATUS_ONLINE, 1);
    }
    if (spool->boot != 0) {
        pipit_sink_varint(sink, STATUS_BOOT, spool->boot);
    }
    if (config->software != NULL && config->software[0] != '\0') {
        pipit_sink_bytes(sink, STATUS_SOFTWARE, pipit_text(config->software));
    }
    if (spool->count > 0) {
        pipit_sink_varint(sink, STATUS_WAITING, spool->count);
    }
    if (spool->dropped > 0) {
        pipit_sink_varint(sink, STATUS_DROPPED, spool->dropped);
    }
}

static void status_send(struct pipit_device *device)
{
    struct pipit_message message;
    struct pipit_sink sink;
    if (!PIPIT_WITH_PRESENCE || !device->is_status_due ||
        pipit_device_topic(device, "status", pipit_no_bytes, &sink) != PIPIT_OK) {
        return;
    }
    status_encode(device, device->state == PIPIT_ONLINE, &sink);
    memset(&message, 0, sizeof(message));
    message.qos = 1;
    message.is_retained = true;
    message.token = TOKEN_STATUS;
    if (pipit_device_send(device, &sink, &message) == PIPIT_OK) {
        device->is_status_due = false;
    }
}

static enum pipit_err events_send(struct pipit_device *device)
{
    enum pipit_err rc = pipit_send_events(device);
    if (rc != PIPIT_OK) {
        device->is_blocked = true; // Trying again at once would change nothing.
    }
    return rc;
}

static void replies_send(struct pipit_device *device)
{
    if (PIPIT_WITH_COMMANDS) {
        pipit_command_send_replies(device);
    }
}

// ---- connecting --------------------------------------------------------------------------------

// After a failure: wait, longer each time unless the link had proved itself.
static void retry_later(struct pipit_device *device)
{
    uint32_t sleep = pipit_backoff_next(device);
    state_set(device, PIPIT_OFFLINE);
    device->state_at_ms = device->now_ms + sleep;
}

static void down(struct pipit_device *device, enum pipit_err rc)
{
    const struct pipit_config *config = device->config;
    bool was_up = device->state >= PIPIT_JOINING;
    uint32_t reset_ms = or_default(config->retry_reset_ms, 30000);
    if (was_up && device->now_ms - device->up_at_ms >= reset_ms) {
        device->retry_ms = 0;
    }
    if (rc != PIPIT_OK) {
        device->link_err = rc;
    }
    if (device->is_stopping) {
        state_set(device, PIPIT_STOPPED);
    } else {
        retry_later(device);
    }
}

static void leave(struct pipit_device *device)
{
    link_type(device)->disconnect(device->config->link);
    state_set(device, PIPIT_CLOSING);
}

// The will and the client id share the buffer with the will's topic.
PIPIT_APART static enum pipit_err connect_start(struct pipit_device *device)
{
    const struct pipit_config *config = device->config;
    struct pipit_connect options;
    struct pipit_sink sink;
    memset(&options, 0, sizeof(options));
    pipit_sink_init(&sink, config->buffer, config->buffer_bytes);
    if (PIPIT_WITH_PRESENCE) {
        (void)pipit_device_topic(device, "status", pipit_no_bytes, &sink); // pipit_init saw to it.
        options.will_topic = (const char *)config->buffer;
        status_encode(device, false, &sink);
        options.will.ptr = sink.ptr;
        options.will.len = sink.len;
    }
    options.client_id = config->client_id;
    if (config->client_id == NULL) {
        options.client_id = (const char *)sink.ptr + sink.len;
        sink_text(&sink, config->group);
        sink_text(&sink, "/");
        sink_text(&sink, config->device);
        pipit_sink_byte(&sink, 0);
    }
    options.username = config->username;
    options.password = config->password;
    options.session_expiry_s = or_default(config->session_expiry_s, 86400);
    options.keepalive_s = config->keepalive_s != 0 ? config->keepalive_s : 30;
    // At QoS 2 a resumed session would pair old packet ids with new events.
    options.is_clean_start =
        !PIPIT_WITH_INBOUND || config->is_clean_start ||
        (config->qos == PIPIT_QOS_2 && config->confirm == PIPIT_CONFIRM_PUBACK);
    return sink.rc == PIPIT_OK ? link_type(device)->connect(config->link, &options) : sink.rc;
}

static void online(struct pipit_device *device)
{
    state_set(device, PIPIT_ONLINE);
    device->link_err = PIPIT_OK;
    device->is_status_due = true;
    pipit_send_restart(device);
    if (PIPIT_WITH_COMMANDS) {
        pipit_command_restart(device);
    }
}

// Subscriptions that a connection begins with, as bits of joins_due.
enum { JOIN_RECEIPT = 1, JOIN_COMMAND = 2 };

static enum pipit_err join(struct pipit_device *device, uint8_t which)
{
    struct pipit_sink sink;
    bool is_receipt = which == JOIN_RECEIPT;
    enum pipit_err rc = pipit_device_topic(device, is_receipt ? "receipt" : "command",
                                           pipit_text(is_receipt ? "" : "#"), &sink);
    if (rc == PIPIT_OK) {
        const char *filter = (const char *)device->config->buffer;
        rc = link_type(device)->subscribe(device->config->link, filter, 1, TOKEN_JOIN);
    }
    if (rc == PIPIT_OK) {
        device->joins_due &= (uint8_t)~which;
        device->joins_waiting++;
    }
    return rc;
}

static void join_failed(struct pipit_device *device, enum pipit_err rc)
{
    device->link_err = rc; // Without receipts nothing would ever leave the spool.
    leave(device);
}

// Asks for what is due as far as the link takes it; online when all is answered.
static void join_step(struct pipit_device *device)
{
    enum pipit_err rc = PIPIT_OK;
    for (uint8_t which = JOIN_RECEIPT; which <= JOIN_COMMAND && rc == PIPIT_OK; which++) {
        if ((device->joins_due & which) != 0) {
            rc = join(device, which);
        }
    }
    if (rc != PIPIT_OK && rc != PIPIT_ERR_BUSY) {
        join_failed(device, rc);
    } else if (device->now_ms - device->state_at_ms > JOIN_MAX_MS) {
        join_failed(device, PIPIT_ERR_UNREACHABLE);
    } else if (device->joins_due == 0 && device->joins_waiting == 0) {
        online(device);
    }
}

static void up(struct pipit_device *device)
{
    COUNT(device, connects, 1);
    device->up_at_ms = device->now_ms;
    device->joins_waiting = 0;
    device->joins_due = uses_receipts(device) ? JOIN_RECEIPT : 0;
    if (PIPIT_WITH_COMMANDS && device->config->on_command != NULL) {
        device->joins_due |= JOIN_COMMAND;
    }
    state_set(device, PIPIT_JOINING);
    if (!PIPIT_WITH_INBOUND || device->joins_due == 0) {
        online(device);
    } else {
        join_step(device);
    }
}

static void joined(struct pipit_device *device, enum pipit_err rc)
{
    if (device->state != PIPIT_JOINING) {
        return;
    }
    device->joins_waiting--;
    if (rc != PIPIT_OK) {
        join_failed(device, rc);
    } else {
        join_step(device);
    }
}

// ---- what the link brings ----------------------------------------------------------------------

// Takes `text` and a slash off the front.
static bool take_level(struct pipit_bytes *topic, const char *text)
{
    size_t len = strlen(text);
    if (topic->len <= len || memcmp(topic->ptr, text, len) != 0 || topic->ptr[len] != '/') {
        return false;
    }
    topic->ptr += len + 1;
    topic->len -= len + 1;
    return true;
}

static enum pipit_err take_message(struct pipit_device *device,
                                   const struct pipit_link_event *event)
{
    const struct pipit_config *config = device->config;
    struct pipit_bytes topic = event->topic;
    if (take_level(&topic, "pipit") && take_level(&topic, "v1") &&
        take_level(&topic, config->group) && take_level(&topic, config->device)) {
        if (PIPIT_WITH_RECEIPTS && pipit_wire_is_equal(topic, pipit_text("receipt"))) {
            return pipit_send_take_receipt(device, event->payload);
        }
        if (PIPIT_WITH_COMMANDS && take_level(&topic, "command")) {
            pipit_command_take(device, topic, event->payload);
            return PIPIT_OK;
        }
    }
    COUNT(device, refused_messages, 1);
    return PIPIT_OK;
}

static enum pipit_err take_ack(struct pipit_device *device, uint32_t token, enum pipit_err rc)
{
    if ((token & TOKEN_EVENT) != 0) {
        return pipit_send_take_ack(device, token, rc);
    }
    if (PIPIT_WITH_COMMANDS && (token & TOKEN_REPLY) != 0) {
        pipit_command_reply_acked(device, token, rc);
    } else if (PIPIT_WITH_INBOUND && token == TOKEN_JOIN) {
        joined(device, rc);
    } else if (PIPIT_WITH_PRESENCE && token == TOKEN_STATUS && device->state == PIPIT_LEAVING &&
               !device->is_status_due) {
        leave(device);
    }
    return PIPIT_OK;
}

static enum pipit_err take_link_event(struct pipit_device *device,
                                      const struct pipit_link_event *event)
{
    switch (event->kind) {
    case PIPIT_LINK_UP:
        if (device->state == PIPIT_CONNECTING) {
            up(device);
        }
        break;
    case PIPIT_LINK_DOWN:
        down(device, event->rc);
        break;
    case PIPIT_LINK_ACKED:
        return take_ack(device, event->token, event->rc);
    case PIPIT_LINK_MESSAGE:
        return PIPIT_WITH_INBOUND ? take_message(device, event) : PIPIT_OK;
    case PIPIT_LINK_NOTHING:
        break;
    }
    return PIPIT_OK;
}

PIPIT_APART static enum pipit_err take_link_events(struct pipit_device *device)
{
    struct pipit_link *link = device->config->link;
    struct pipit_link_event event;
    enum pipit_err first = PIPIT_OK;
    for (unsigned i = 0; i < LINK_EVENTS_MAX; i++) {
        event.kind = PIPIT_LINK_NOTHING;
        event.rc = PIPIT_OK;
        link->type->poll(link, device->now_ms, &event);
        if (event.kind == PIPIT_LINK_NOTHING) {
            break;
        }
        enum pipit_err rc = take_link_event(device, &event);
        if (first == PIPIT_OK) {
            first = rc;
        }
    }
    return first;
}

// ---- what is due -------------------------------------------------------------------------------

static void stop_step(struct pipit_device *device)
{
    switch (device->state) {
    case PIPIT_OFFLINE:
        state_set(device, PIPIT_STOPPED);
        break;
    case PIPIT_CONNECTING:
        leave(device);
        break;
    case PIPIT_JOINING:
    case PIPIT_ONLINE:
        state_set(device, PIPIT_LEAVING);
        device->is_status_due = true;
        break;
    default:
        break;
    }
}

static enum pipit_err state_step(struct pipit_device *device)
{
    uint32_t in_state_ms = device->now_ms - device->state_at_ms;
    switch (device->state) {
    case PIPIT_OFFLINE:
        if (is_due(device->now_ms, device->state_at_ms)) {
            state_set(device, PIPIT_CONNECTING);
            enum pipit_err rc = connect_start(device);
            if (rc != PIPIT_OK) {
                down(device, rc);
            }
        }
        break;
    case PIPIT_JOINING:
        if (PIPIT_WITH_INBOUND) {
            join_step(device);
        }
        break;
    case PIPIT_ONLINE:
        status_send(device);
        replies_send(device);
        return events_send(device);
    case PIPIT_LEAVING:
        replies_send(device);
        status_send(device);
        if (!PIPIT_WITH_PRESENCE || in_state_ms > LEAVE_MAX_MS) {
            leave(device);
        }
        break;
    case PIPIT_CLOSING:
        if (device->is_stopping && in_state_ms > LEAVE_MAX_MS) {
            state_set(device, PIPIT_STOPPED);
        }
        break;
    case PIPIT_CONNECTING:
    case PIPIT_STOPPED:
        break;
    }
    return PIPIT_OK;
}

enum pipit_err pipit_poll(struct pipit_device *device, uint32_t now_ms)
{
    const struct pipit_spool *spool = device->config->spool;
    if (device->is_polling) {
        return PIPIT_ERR_STATE;
    }
    device->is_polling = true;
    if (!device->has_polled) {
        device->has_polled = true;
        device->state_at_ms = now_ms; // The first connect is due at once.
    }
    device->now_ms = now_ms;
    enum pipit_err first = take_link_events(device);
    enum pipit_err rc = PIPIT_OK;
    if (spool->type->tick != NULL) {
        rc = spool->type->tick(device->config->spool, now_ms);
        first = first == PIPIT_OK ? rc : first;
    }
    if (device->is_stopping) {
        stop_step(device);
    }
    rc = state_step(device);
    device->is_polling = false;
    return first == PIPIT_OK ? rc : first;
}

static uint32_t ms_until(const struct pipit_device *device, uint32_t at_ms)
{
    return is_due(device->now_ms, at_ms) ? 0 : at_ms - device->now_ms;
}

static uint32_t link_next_ms(const struct pipit_device *device, uint32_t at_most)
{
    const struct pipit_link *link = device->config->link;
    uint32_t next = link->type->next_ms != NULL ? link->type->next_ms(link) : at_most;
    return next < at_most ? next : at_most;
}

uint32_t pipit_next_ms(const struct pipit_device *device)
{
    const struct pipit_spool *spool = device->config->spool;
    uint32_t next = IDLE_MAX_MS;
    uint32_t due = next;
    if (spool->tick_ms != 0 && spool->tick_ms < next) {
        next = spool->tick_ms;
    }
    if (!device->has_polled) {
        return 0;
    }
    next = link_next_ms(device, next);
    if (device->state == PIPIT_OFFLINE) {
        due = device->is_stopping ? 0 : ms_until(device, device->state_at_ms);
    } else if (device->state == PIPIT_ONLINE && spool->unread_count > 0 && !device->is_blocked) {
        due = 0;
    } else if (device->state == PIPIT_ONLINE && device->is_timing) {
        due = ms_until(device, device->resend_at_ms);
    }
    return due < next ? due : next;
}

// ---- the rest of the public face ---------------------------------------------------------------

static enum pipit_err config_check(const struct pipit_config *config)
{
    if (config->group == NULL || config->device == NULL || config->spool == NULL ||
        config->link == NULL || config->buffer == NULL) {
        return PIPIT_ERR_ARGUMENT;
    }
    if (!pipit_wire_is_name(pipit_text(config->group), PIPIT_NAME_MAX, false) ||
        !pipit_wire_is_name(pipit_text(config->device), PIPIT_NAME_MAX, false) ||
        (PIPIT_WITH_PRESENCE && !pipit_wire_is_utf8(pipit_text(config->software)))) {
        return PIPIT_ERR_TEXT;
    }
    if (PIPIT_WITH_PRESENCE && pipit_text(config->software).len > SOFTWARE_MAX) {
        return PIPIT_ERR_SIZE;
    }
    if ((!PIPIT_WITH_QOS_2 && config->qos == PIPIT_QOS_2) ||
        (!PIPIT_WITH_RECEIPTS && config->confirm == PIPIT_CONFIRM_RECEIPT) ||
        (!PIPIT_WITH_COMMANDS && config->on_command != NULL)) {
        return PIPIT_ERR_ARGUMENT; // Not built in.
    }
    return PIPIT_WITH_COMMANDS ? pipit_command_check(config) : PIPIT_OK;
}

// What a connect needs of the buffer.
static size_t connect_bytes(const struct pipit_device *device)
{
    const struct pipit_config *config = device->config;
    size_t client_id = strlen(config->group) + strlen(config->device) + 2;
    return pipit_device_overhead(device, 0) + STATUS_BYTES - SOFTWARE_MAX +
           pipit_text(config->software).len + (config->client_id == NULL ? client_id : 0);
}

enum pipit_err pipit_init(struct pipit_device *device, const struct pipit_config *config)
{
    memset(device, 0, sizeof(*device));
    enum pipit_err rc = config_check(config);
    if (rc != PIPIT_OK) {
        return rc;
    }
    device->config = config;
    device->random = config->seed != 0 ? config->seed : 0x9E3779B9u;
    if (connect_bytes(device) > config->buffer_bytes) {
        return PIPIT_ERR_SIZE;
    }
    if (PIPIT_WITH_COMMANDS) {
        pipit_command_init(device);
    }
    pipit_send_restart(device);
    return PIPIT_OK;
}

void pipit_stop(struct pipit_device *device)
{
    device->is_stopping = true;
}

bool pipit_is_online(const struct pipit_device *device)
{
    return device->state == PIPIT_ONLINE;
}

bool pipit_is_stopped(const struct pipit_device *device)
{
    return device->state == PIPIT_STOPPED;
}

uint32_t pipit_waiting(const struct pipit_device *device)
{
    return device->config->spool->count;
}

uint32_t pipit_dropped(const struct pipit_device *device)
{
    return device->config->spool->dropped;
}

enum pipit_err pipit_link_error(const struct pipit_device *device)
{
    return device->link_err;
}

const struct pipit_counters *pipit_counters(const struct pipit_device *device)
{
#if PIPIT_WITH_COUNTERS
    return &device->counters;
#else
    static const struct pipit_counters nothing;
    (void)device;
    return &nothing;
#endif
}

enum pipit_err pipit_mark(const struct pipit_device *device, uint64_t *out_mark)
{
    const struct pipit_spool *spool = device->config->spool;
    if (!spool->has_mark) {
        return PIPIT_ERR_EMPTY;
    }
    *out_mark = spool->mark;
    return PIPIT_OK;
}
