#include "connection.h"

#define STEPS_MAX 64u // Reads and packets of one poll that bring no event.

static struct pipit_bytes unread(const struct pipit_client *client)
{
    struct pipit_bytes bytes = {client->options->receive_memory + client->begin,
                                client->end - client->begin};
    return bytes;
}

static void drop(struct pipit_client *client, size_t len)
{
    client->begin += len;
}

static void acked(struct pipit_flight *flight, uint8_t code, struct pipit_link_event *out_event)
{
    out_event->kind = PIPIT_LINK_ACKED;
    out_event->token = flight->token;
    out_event->rc = code < MQTT_FAILED ? PIPIT_OK : PIPIT_ERR_REFUSED;
    flight->state = FLIGHT_FREE;
    flight->is_resumed = false;
}

// ---- CONNACK ------------------------------------------------------------------------------------

// A broker that has no time now is not one that refuses us.
static enum pipit_err refusal(const struct pipit_client *client, uint8_t code)
{
    bool is_passing =
        connection_is_v5(client) ? code == 0x88 || code == 0x89 || code == 0x9F : code == 3;
    return is_passing ? PIPIT_ERR_UNREACHABLE : PIPIT_ERR_REFUSED;
}

static void granted(struct pipit_client *client, const struct mqtt_grant *grant,
                    struct pipit_link_event *out_event)
{
    client->keepalive_s = grant->keepalive_s; // [MQTT-3.2.2-21]
    client->quota = grant->receive_max;       // [MQTT-3.3.4-7]
    client->packet_max = grant->packet_max;   // [MQTT-3.2.2-15]
    client->qos_max = grant->qos_max;         // [MQTT-3.2.2-11]
    client->has_retain = grant->has_retain;   // [MQTT-3.2.2-14]
    client->reason = MQTT_OK;
    client->state = CLIENT_UP;
    client->received_at_ms = client->now_ms;
    if (grant->has_session) {
        pipit_session_resume(client);
    } else {
        pipit_session_clear(client); // [MQTT-3.2.2-5]
    }
    out_event->kind = PIPIT_LINK_UP;
}

static void take_connack(struct pipit_client *client, struct pipit_bytes rest,
                         struct pipit_link_event *out_event)
{
    struct mqtt_grant grant = {
        UINT32_MAX, UINT16_MAX, client->keepalive_s, 0, PIPIT_WITH_QOS_2 ? 2 : 1, false, true};
    uint8_t reason = pipit_mqtt_read_connack(rest, connection_is_v5(client), &grant);
    if (reason == MQTT_OK && grant.code != MQTT_OK) {
        client->reason = grant.code;
        pipit_connection_down(client, refusal(client, grant.code));
    } else if (reason != MQTT_OK || (grant.has_session && client->is_clean)) {
        pipit_connection_fail(client, reason != MQTT_OK ? reason : MQTT_PROTOCOL_ERROR);
    } else {
        granted(client, &grant, out_event);
    }
}

// ---- PUBLISH ------------------------------------------------------------------------------------

static bool is_qos_2(const struct pipit_client *client, const struct mqtt_publish *publish)
{
    return PIPIT_WITH_QOS_2 && publish->qos == 2 && client->options->inbound_max > 0;
}

// False when the connection is over, or the message is known already and was answered.
static bool is_new(struct pipit_client *client, const struct mqtt_publish *publish, size_t len)
{
    if (publish->qos == 2 && !is_qos_2(client, publish)) {
        pipit_connection_fail(client, MQTT_QOS_UNSUPPORTED);
        return false;
    }
    if (!is_qos_2(client, publish)) {
        return true;
    }
    if (pipit_inbound_has(client, publish->id)) { // [MQTT-4.3.3-10]
        drop(client, len);
        (void)pipit_connection_answer(client, MQTT_PUBREC, publish->id, MQTT_OK);
        return false;
    }
    if (!client->options->is_ack_explicit && !pipit_inbound_put(client, publish->id)) {
        pipit_connection_fail(client, MQTT_RECEIVE_MAXIMUM); // It comes again. [MQTT-3.3.4-9]
        return false;
    }
    return true;
}

static void take_publish(struct pipit_client *client, uint8_t first, struct pipit_bytes rest,
                         size_t len, struct pipit_link_event *out_event)
{
    static const uint8_t answers[] = {0, MQTT_PUBACK, MQTT_PUBREC};
    struct mqtt_publish publish;
    uint8_t reason = pipit_mqtt_read_publish(first, rest, connection_is_v5(client), &publish);
    if (reason != MQTT_OK) {
        pipit_connection_fail(client, reason);
    } else if (is_new(client, &publish, len)) {
        client->held = len;
        client->held_answer = answers[publish.qos];
        client->held_id = publish.id;
        out_event->kind = PIPIT_LINK_MESSAGE;
        out_event->token = (uint32_t)client->held_answer << 16 | publish.id;
        out_event->topic = publish.topic;
        out_event->payload = publish.payload;
    }
}

bool pipit_receive_settle(struct pipit_client *client)
{
    if (!PIPIT_WITH_INBOUND || client->held == 0) {
        return true;
    }
    if (client->held_answer != 0 && !client->options->is_ack_explicit &&
        !pipit_connection_answer(client, client->held_answer, client->held_id, MQTT_OK)) {
        return false;
    }
    drop(client, client->held);
    client->held = 0;
    return true;
}

// ---- acknowledgements ---------------------------------------------------------------------------

// [MQTT-4.3.3-4]: also for what we do not know, so that the broker can finish.
static void take_pubrec(struct pipit_client *client, const struct mqtt_answer *answer,
                        struct pipit_link_event *out_event)
{
    struct pipit_flight *flight = pipit_flight_find(client, answer->id, FLIGHT_PUBLISHED_2);
    bool is_known = flight != NULL ||
                    pipit_flight_find(client, answer->id, FLIGHT_RELEASED) != NULL ||
                    pipit_flight_find(client, answer->id, FLIGHT_RELEASE_DUE) != NULL;
    if (answer->code >= MQTT_FAILED) {
        if (flight != NULL) {
            acked(flight, answer->code, out_event);
        }
        return;
    }
    if (flight != NULL) {
        flight->state = FLIGHT_RELEASED;
    }
    (void)pipit_connection_answer(client, MQTT_PUBREL, answer->id,
                                  is_known ? MQTT_OK : MQTT_ID_UNKNOWN);
}

static void take_pubrel(struct pipit_client *client, const struct mqtt_answer *answer)
{
    bool is_known = pipit_inbound_remove(client, answer->id); // [MQTT-4.3.3-11]
    (void)pipit_connection_answer(client, MQTT_PUBCOMP, answer->id,
                                  is_known ? MQTT_OK : MQTT_ID_UNKNOWN);
}

static void take_final(struct pipit_client *client, const struct mqtt_answer *answer,
                       enum flight_state state, struct pipit_link_event *out_event)
{
    struct pipit_flight *flight = pipit_flight_find(client, answer->id, state);
    if (flight != NULL) {
        acked(flight, answer->code, out_event);
    }
}

static void take_answer(struct pipit_client *client, uint8_t first, struct pipit_bytes rest,
                        struct pipit_link_event *out_event)
{
    struct mqtt_answer answer;
    uint8_t reason = pipit_mqtt_read_answer(first, rest, connection_is_v5(client), &answer);
    if (reason != MQTT_OK) {
        pipit_connection_fail(client, reason);
        return;
    }
    switch (first) {
    case MQTT_PUBACK:
        take_final(client, &answer, FLIGHT_PUBLISHED_1, out_event);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        if (PIPIT_WITH_INBOUND) {
            take_final(client, &answer, FLIGHT_SUBSCRIBED, out_event);
        }
        break;
    case MQTT_PUBREC:
        if (PIPIT_WITH_QOS_2) {
            take_pubrec(client, &answer, out_event);
        }
        break;
    case MQTT_PUBREL:
        if (PIPIT_WITH_QOS_2) {
            take_pubrel(client, &answer);
        }
        break;
    default:
        if (PIPIT_WITH_QOS_2) {
            answer.code = MQTT_OK; // The broker has it since PUBREC. [MQTT 3.7.2.1]
            take_final(client, &answer, FLIGHT_RELEASED, out_event);
        }
        break;
    }
}

// ---- packets ------------------------------------------------------------------------------------

// Only MQTT 5 lets the broker say goodbye. [MQTT 3.14]
static void take_disconnect(struct pipit_client *client, struct pipit_bytes rest)
{
    if (!connection_is_v5(client)) {
        pipit_connection_fail(client, MQTT_PROTOCOL_ERROR);
        return;
    }
    uint8_t code = rest.len > 0 ? rest.ptr[0] : MQTT_OK;
    bool is_refusal = code == 0x87 || code == 0x8E; // Not authorized; another took our name.
    client->reason = code;
    pipit_connection_down(client, is_refusal ? PIPIT_ERR_REFUSED : PIPIT_ERR_UNREACHABLE);
}

// The packets that a broker may send, each with its flags. [MQTT-2.1.3-1]
static bool is_answer(uint8_t first)
{
    return first == MQTT_PUBACK || first == MQTT_PUBREC || first == MQTT_PUBREL ||
           first == MQTT_PUBCOMP || first == MQTT_SUBACK || first == MQTT_UNSUBACK;
}

static void take_packet(struct pipit_client *client, const struct mqtt_header *header,
                        struct pipit_link_event *out_event)
{
    struct pipit_bytes rest = unread(client);
    size_t len = header->len + (size_t)header->rest;
    rest.ptr += header->len;
    rest.len = (size_t)header->rest;
    if ((header->first == MQTT_CONNACK) != (client->state == CLIENT_CONNECTING)) {
        pipit_connection_fail(client, MQTT_PROTOCOL_ERROR); // [MQTT-3.2.0-1] [MQTT-3.2.0-2]
        return;
    }
    if (PIPIT_WITH_INBOUND && (header->first & 0xF0) == MQTT_PUBLISH) {
        take_publish(client, header->first, rest, len, out_event);
        return; // It stays where it is until the device has seen it.
    }
    drop(client, len);
    if (header->first == MQTT_CONNACK) {
        take_connack(client, rest, out_event);
    } else if (is_answer(header->first)) {
        take_answer(client, header->first, rest, out_event);
    } else if (header->first == MQTT_DISCONNECT) {
        take_disconnect(client, rest);
    } else if (header->first != MQTT_PINGRESP || rest.len > 0) {
        pipit_connection_fail(client, MQTT_MALFORMED);
    }
}

// ---- packets that are larger than the memory ----------------------------------------------------

// MQTT 5 brokers know our limit. With 3.1.1 the message is read over, acknowledged, so that it does
// not come again, and reported.
static bool skip_begin(struct pipit_client *client, const struct mqtt_header *header)
{
    const uint8_t *at = unread(client).ptr + header->len;
    uint32_t topic_len = mqtt_u16_at(at);
    uint8_t qos = header->first >> 1 & 3;
    if (connection_is_v5(client) || client->state != CLIENT_UP ||
        (header->first & 0xF0) != MQTT_PUBLISH || qos == 3 ||
        topic_len + (qos > 0 ? 4 : 2) > header->rest) {
        pipit_connection_fail(client, MQTT_TOO_LARGE);
        return false;
    }
    client->skip = header->len + (qos > 0 ? 2 + topic_len : header->rest);
    client->skip_then = qos > 0 ? header->rest - topic_len - 2 : 0;
    client->held_answer = qos == 2 ? MQTT_PUBREC : MQTT_PUBACK;
    return true;
}

static void skipped(struct pipit_link_event *out_event)
{
    memset(out_event, 0, sizeof(*out_event));
    out_event->kind = PIPIT_LINK_MESSAGE;
    out_event->rc = PIPIT_ERR_SIZE;
}

// Drops what there is of it. True when more bytes are needed.
static bool skip_step(struct pipit_client *client, struct pipit_link_event *out_event)
{
    struct pipit_bytes bytes = unread(client);
    size_t len = client->skip < bytes.len ? (size_t)client->skip : bytes.len;
    drop(client, len);
    client->skip -= (uint32_t)len;
    bytes = unread(client);
    if (client->skip > 0 || (client->skip_then > 0 && bytes.len < 2)) {
        return true;
    }
    if (client->skip_then > 0) {
        uint16_t id = mqtt_u16_at(bytes.ptr);
        if (id == 0) {
            pipit_connection_fail(client, MQTT_MALFORMED); // [MQTT-2.3.1-1]
            return false;
        }
        (void)pipit_connection_answer(client, client->held_answer, id, MQTT_OK);
        client->skip = client->skip_then;
        client->skip_then = 0;
        return false;
    }
    skipped(out_event);
    return false;
}

// ---- bytes --------------------------------------------------------------------------------------

// Makes room and reads. False when nothing came.
static bool read_more(struct pipit_client *client)
{
    const struct pipit_client_options *options = client->options;
    struct pipit_bytes bytes = unread(client);
    if (client->begin > 0) {
        memmove(options->receive_memory, bytes.ptr, bytes.len);
        client->begin = 0;
        client->end = bytes.len;
    }
    size_t room = options->receive_bytes - client->end;
    int32_t len = options->transport->type->read(options->transport,
                                                 options->receive_memory + client->end, room);
    if (len < 0 || (size_t)len > room) {
        pipit_connection_down(client, len < 0 ? (enum pipit_err)len : PIPIT_ERR_UNREACHABLE);
    } else if (len > 0) {
        client->end += (size_t)len;
        client->is_pinged = false;
        if (client->state == CLIENT_UP) { // Connecting has its time as a whole.
            client->received_at_ms = client->now_ms;
        }
    }
    return len > 0;
}

// One packet, or a part of one that is too large. False when more bytes are needed.
static bool step(struct pipit_client *client, struct pipit_link_event *out_event)
{
    struct mqtt_header header;
    struct pipit_bytes bytes = unread(client);
    if (PIPIT_WITH_INBOUND && (client->skip > 0 || client->skip_then > 0)) {
        return !skip_step(client, out_event);
    }
    if (pipit_mqtt_read_header(bytes, &header) != MQTT_OK) {
        pipit_connection_fail(client, MQTT_MALFORMED);
        return true;
    }
    if (header.len == 0) {
        return false;
    }
    if (header.rest > client->options->receive_bytes - header.len) {
        if (!PIPIT_WITH_INBOUND) {
            pipit_connection_fail(client, MQTT_TOO_LARGE);
            return true;
        }
        return bytes.len >= header.len + 2u && skip_begin(client, &header);
    }
    if (bytes.len < header.len + header.rest) {
        return false;
    }
    take_packet(client, &header, out_event);
    return true;
}

void pipit_receive(struct pipit_client *client, struct pipit_link_event *out_event)
{
    client->has_more = false;
    for (unsigned i = 0; i < STEPS_MAX && out_event->kind == PIPIT_LINK_NOTHING; i++) {
        if (pipit_connection_room(client) < MQTT_ANSWER_MAX) {
            return; // Every packet may need an answer.
        }
        bool is_stuck = !step(client, out_event);
        if (client->state == CLIENT_DOWN || (is_stuck && !read_more(client))) {
            return;
        }
    }
    client->has_more = true;
}
