#include "connection.h"

#define MEMORY_MIN 32u

static struct pipit_client *client_of(struct pipit_link *link)
{
    return (struct pipit_client *)(void *)link;
}

// ---- connecting ---------------------------------------------------------------------------------

static enum pipit_err client_connect(struct pipit_link *link, const struct pipit_connect *options)
{
    struct pipit_client *client = client_of(link);
    const struct pipit_client_options *ours = client->options;
    struct mqtt_limits limits = {(uint32_t)ours->receive_bytes, ours->inbound_max,
                                 connection_is_v5(client)};
    if (client->state != CLIENT_IDLE) {
        return PIPIT_ERR_BUSY;
    }
    if (!connection_is_v5(client) && options->username == NULL && options->password.ptr != NULL) {
        return PIPIT_ERR_ARGUMENT; // [MQTT-3.1.2-22]
    }
    // Written now, while the options are there; sent when the transport is open.
    size_t len = pipit_mqtt_write_connect(ours->send_memory, ours->send_bytes, options, &limits);
    if (len == 0) {
        return PIPIT_ERR_SIZE;
    }
    client->sending = len;
    client->begin = client->end = client->held = 0;
    client->skip = client->skip_then = 0;
    client->keepalive_s = options->keepalive_s;
    client->is_clean = mqtt_is_clean(options, connection_is_v5(client));
    client->is_pinged = false;
    client->state = CLIENT_STARTED;
    if (client->is_clean) {
        pipit_session_clear(client); // [MQTT-3.1.2-4]
    }
    return PIPIT_OK;
}

static bool is_late(const struct pipit_client *client)
{
    uint32_t timeout_s = client->options->timeout_s != 0 ? client->options->timeout_s : 20;
    return client->now_ms - client->received_at_ms > timeout_s * 1000;
}

static void open_step(struct pipit_client *client)
{
    struct pipit_transport *transport = client->options->transport;
    enum pipit_err rc = PIPIT_OK;
    if (transport->type->open != NULL) {
        rc = transport->type->open(transport, client->now_ms);
    }
    if (rc == PIPIT_OK) {
        client->state = CLIENT_CONNECTING;
    } else if (rc != PIPIT_ERR_BUSY) {
        pipit_connection_down(client, rc);
    }
}

// ---- up -----------------------------------------------------------------------------------------

// The broker has finished its half of a QoS 2 message before the connection broke.
static void release_due(struct pipit_client *client)
{
    while (PIPIT_WITH_QOS_2 && client->has_release_due) {
        uint16_t id = pipit_flight_next(client, FLIGHT_RELEASE_DUE);
        if (id == 0) {
            client->has_release_due = false;
        } else if (pipit_connection_answer(client, MQTT_PUBREL, id, MQTT_OK)) {
            pipit_flight_at(client, id)->state = FLIGHT_RELEASED;
        } else {
            return; // No room: with the next poll.
        }
    }
}

static bool take_written(struct pipit_client *client, struct pipit_link_event *out_event)
{
    uint16_t id = client->has_written ? pipit_flight_next(client, FLIGHT_WRITTEN) : 0;
    if (id == 0) {
        client->has_written = false;
        return false;
    }
    out_event->kind = PIPIT_LINK_ACKED;
    out_event->token = pipit_flight_at(client, id)->token;
    pipit_flight_at(client, id)->state = FLIGHT_FREE;
    return true;
}

// Pings when either side has been silent for three quarters of the keepalive, [MQTT-3.1.2-20] and
// gives the connection up when nothing has come for one and a half. [MQTT 3.1.2.10]
static void keep_alive(struct pipit_client *client)
{
    uint32_t keepalive_ms = (uint32_t)client->keepalive_s * 1000; // An int may have 16 bits.
    uint32_t quiet_ms = keepalive_ms - keepalive_ms / 4;
    uint32_t received_ms = client->now_ms - client->received_at_ms;
    uint8_t *at = pipit_connection_end(client);
    if (keepalive_ms == 0) {
        return;
    }
    if (received_ms >= quiet_ms * 2) {
        pipit_connection_down(client, PIPIT_ERR_UNREACHABLE);
    } else if (!client->is_pinged && pipit_connection_room(client) >= 2 &&
               (received_ms >= quiet_ms || client->now_ms - client->sent_at_ms >= quiet_ms)) {
        at[0] = MQTT_PINGREQ;
        at[1] = 0;
        client->sending += 2;
        client->is_pinged = true;
    }
}

static void up_step(struct pipit_client *client, struct pipit_link_event *out_event)
{
    bool is_settled = pipit_receive_settle(client);
    pipit_connection_flush(client);
    if (client->state == CLIENT_DOWN || take_written(client, out_event)) {
        return;
    }
    if (is_settled || pipit_receive_settle(client)) {
        pipit_receive(client, out_event);
    } else {
        client->has_more = false; // Not before there is room for its answer.
    }
    if (client->state == CLIENT_UP) {
        release_due(client);
        keep_alive(client);
        pipit_connection_flush(client);
    }
}

// What is under way in this state ends in bounded time.
static void ending_step(struct pipit_client *client)
{
    bool is_bounded = client->state == CLIENT_OPENING || client->state == CLIENT_CONNECTING ||
                      client->state == CLIENT_CLOSING;
    if (client->state == CLIENT_CLOSING && client->sending == 0) {
        pipit_connection_down(client, PIPIT_OK); // [MQTT-3.14.4-1]
    } else if (is_bounded && is_late(client)) {
        pipit_connection_down(client, PIPIT_ERR_UNREACHABLE);
    }
}

static void client_poll(struct pipit_link *link, uint32_t now_ms,
                        struct pipit_link_event *out_event)
{
    struct pipit_client *client = client_of(link);
    client->now_ms = now_ms;
    out_event->kind = PIPIT_LINK_NOTHING;
    out_event->rc = PIPIT_OK;
    switch (client->state) {
    case CLIENT_STARTED:
        client->received_at_ms = client->sent_at_ms = now_ms;
        client->state = CLIENT_OPENING;
        open_step(client);
        break;
    case CLIENT_OPENING:
        open_step(client);
        break;
    case CLIENT_CONNECTING:
    case CLIENT_UP:
        up_step(client, out_event);
        break;
    case CLIENT_CLOSING:
        pipit_connection_flush(client);
        break;
    default:
        break;
    }
    ending_step(client);
    if (client->state == CLIENT_DOWN && out_event->kind == PIPIT_LINK_NOTHING) {
        client->state = CLIENT_IDLE;
        out_event->kind = PIPIT_LINK_DOWN;
        out_event->rc = (enum pipit_err)client->down_rc;
    }
}

// ---- what the device asks for -------------------------------------------------------------------

// Writes a PUBLISH as the flight of `id`, or without one.
static enum pipit_err publish_write(struct pipit_client *client,
                                    const struct pipit_message *message, uint8_t first, uint16_t id)
{
    uint8_t retain = message->is_retained && client->has_retain ? 1 : 0;
    size_t len =
        pipit_mqtt_write_publish(pipit_connection_end(client), pipit_connection_room(client),
                                 message, (uint8_t)(first | retain), id, connection_is_v5(client));
    return len > client->packet_max ? PIPIT_ERR_SIZE : pipit_connection_send(client, len);
}

static enum pipit_err publish_flight(struct pipit_client *client,
                                     const struct pipit_message *message, uint8_t qos)
{
    static const uint8_t states[] = {FLIGHT_WRITING, FLIGHT_PUBLISHED_1, FLIGHT_PUBLISHED_2};
    uint8_t dup = 0;
    uint16_t id = pipit_flight_take(client, message->token, qos > 0 ? client->quota : UINT16_MAX);
    if (id == 0) {
        return PIPIT_ERR_BUSY;
    }
    struct pipit_flight *flight = pipit_flight_at(client, id);
    if (flight->is_resumed && message->token != 0 && flight->token == message->token) {
        if (flight->state >= FLIGHT_RELEASE_DUE) {
            flight->is_resumed = false; // The broker has it; its answer is still to come.
            return PIPIT_OK;
        }
        qos = flight->state == FLIGHT_PUBLISHED_2 ? 2 : 1;
        dup = 0x08; // [MQTT-3.3.1-1] [MQTT-4.4.0-1]
    }
    enum pipit_err rc =
        publish_write(client, message, (uint8_t)(MQTT_PUBLISH | dup | qos << 1), qos > 0 ? id : 0);
    if (rc == PIPIT_OK) {
        flight->token = message->token;
        flight->state = states[qos];
        flight->is_resumed = false;
        client->has_writing = client->has_writing || qos == 0;
    }
    return rc;
}

static enum pipit_err client_publish(struct pipit_link *link, const struct pipit_message *message)
{
    struct pipit_client *client = client_of(link);
    uint8_t qos = message->qos < client->qos_max ? message->qos : client->qos_max;
    enum pipit_err rc;
    if (client->state != CLIENT_UP) {
        return PIPIT_ERR_BUSY;
    }
    if (qos == 0 && message->token == 0) {
        rc = publish_write(client, message, MQTT_PUBLISH, 0);
    } else {
        rc = publish_flight(client, message, qos);
    }
    pipit_connection_flush(client);
    return rc;
}

static enum pipit_err ask(struct pipit_client *client, uint8_t packet, const char *filter,
                          uint8_t qos, uint32_t token)
{
    uint16_t id = client->state == CLIENT_UP ? pipit_flight_take(client, 0, UINT16_MAX) : 0;
    if (id == 0) {
        return PIPIT_ERR_BUSY;
    }
    size_t len =
        pipit_mqtt_write_subscribe(pipit_connection_end(client), pipit_connection_room(client),
                                   packet, filter, qos, id, connection_is_v5(client));
    enum pipit_err rc =
        len > client->packet_max ? PIPIT_ERR_SIZE : pipit_connection_send(client, len);
    if (rc == PIPIT_OK) {
        struct pipit_flight *flight = pipit_flight_at(client, id);
        flight->token = token;
        flight->state = FLIGHT_SUBSCRIBED;
        flight->is_resumed = false;
    }
    pipit_connection_flush(client);
    return rc;
}

static enum pipit_err client_subscribe(struct pipit_link *link, const char *filter, uint8_t qos,
                                       uint32_t token)
{
    return PIPIT_WITH_INBOUND ? ask(client_of(link), MQTT_SUBSCRIBE, filter, qos, token)
                              : PIPIT_ERR_ARGUMENT;
}

enum pipit_err pipit_client_unsubscribe(struct pipit_client *client, const char *filter,
                                        uint32_t token)
{
    return ask(client, MQTT_UNSUBSCRIBE, filter, 0, token);
}

enum pipit_err pipit_client_acknowledge(struct pipit_client *client, uint32_t token)
{
    uint8_t packet = (uint8_t)(token >> 16);
    uint16_t id = (uint16_t)token;
    if (client->state != CLIENT_UP) {
        return PIPIT_ERR_STATE;
    }
    if (packet == 0) {
        return PIPIT_OK;
    }
    if (pipit_connection_room(client) < MQTT_ANSWER_MAX ||
        (PIPIT_WITH_QOS_2 && packet == MQTT_PUBREC && !pipit_inbound_has(client, id) &&
         !pipit_inbound_put(client, id))) { // Only now: until then it may be sent again.
        return PIPIT_ERR_BUSY;
    }
    (void)pipit_connection_answer(client, packet, id, MQTT_OK);
    return PIPIT_OK;
}

static void client_disconnect(struct pipit_link *link)
{
    struct pipit_client *client = client_of(link);
    uint8_t *at = pipit_connection_end(client);
    if (client->state == CLIENT_UP && pipit_connection_room(client) >= 2) {
        at[0] = MQTT_DISCONNECT;
        at[1] = 0;
        client->sending += 2;
        client->received_at_ms = client->now_ms;
        client->state = CLIENT_CLOSING;
        client->has_written = false; // Nobody is told any more.
        client->has_more = false;
        pipit_connection_flush(client);
    } else if (client->state != CLIENT_IDLE && client->state != CLIENT_CLOSING &&
               client->state != CLIENT_DOWN) { // Which has its reason already.
        pipit_connection_down(client, PIPIT_OK);
    }
}

static uint32_t client_next_ms(const struct pipit_link *link)
{
    const struct pipit_client *client = (const struct pipit_client *)(const void *)link;
    bool is_due = client->state == CLIENT_STARTED || client->state == CLIENT_DOWN;
    return is_due || client->has_written || client->has_more ? 0 : UINT32_MAX;
}

static const struct pipit_link_type client_link_type = {
    .connect = client_connect,
    .publish = client_publish,
    .subscribe = client_subscribe,
    .poll = client_poll,
    .disconnect = client_disconnect,
    .next_ms = client_next_ms,
};

uint8_t pipit_client_reason(const struct pipit_client *client)
{
    return client->reason;
}

static bool is_built_in(enum pipit_mqtt version)
{
    return version == PIPIT_MQTT_311 ? PIPIT_WITH_MQTT_311 != 0
                                     : PIPIT_WITH_MQTT_5 != 0 || version == PIPIT_MQTT_5;
}

enum pipit_err pipit_client_init(struct pipit_client *client,
                                 const struct pipit_client_options *options)
{
    memset(client, 0, sizeof(*client));
    if (options->transport == NULL || options->receive_memory == NULL ||
        options->send_memory == NULL || options->flights == NULL || options->flights_max == 0 ||
        options->receive_bytes < MEMORY_MIN || options->send_bytes < MEMORY_MIN ||
        (options->inbound_max > 0 && options->inbound == NULL) || !is_built_in(options->version)) {
        return PIPIT_ERR_ARGUMENT;
    }
    client->base.type = &client_link_type;
    client->base.message_max = options->send_bytes - MQTT_PUBLISH_HEAD;
    client->options = options;
    pipit_session_clear(client);
    return PIPIT_OK;
}
