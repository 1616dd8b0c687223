#include "mqtt.h"

enum {
    CONNECT_CLEAN = 0x02,
    CONNECT_WILL = 0x2C,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USERNAME = 0x80
};
enum { PROP_EXPIRY = 0x11, PROP_PROBLEMS = 0x17, PROP_RECEIVE_MAX = 0x21, PROP_PACKET_MAX = 0x27 };

#define TEXT_MAX 0xFFFFu

static uint8_t *put_u16(uint8_t *at, size_t value)
{
    *at++ = (uint8_t)(value >> 8);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    return put_u16(put_u16(at, (uint16_t)(value >> 16)), (uint16_t)value);
}

static uint8_t *put_raw(uint8_t *at, struct pipit_bytes bytes)
{
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

static uint8_t *put_text(uint8_t *at, struct pipit_bytes text)
{
    return put_raw(put_u16(at, text.len), text);
}

// Writes the header when it and `rest` bytes fit; NULL when they do not.
static uint8_t *begin(uint8_t *out, size_t room, uint8_t first, size_t rest)
{
    uint8_t *at = out;
    size_t left = rest;
    if (rest > MQTT_REST_MAX || room < MQTT_HEADER_MAX || rest > room - MQTT_HEADER_MAX) {
        return NULL;
    }
    *at++ = first;
    do {
        uint8_t digit = left & 0x7F;
        left >>= 7;
        *at++ = left > 0 ? (uint8_t)(digit | 0x80) : digit;
    } while (left > 0);
    return at;
}

static size_t finish(const uint8_t *out, const uint8_t *at)
{
    return (size_t)(at - out);
}

// ---- CONNECT [MQTT 3.1] -------------------------------------------------------------------------

static uint8_t connect_flags(const struct pipit_connect *options, bool is_v5)
{
    uint8_t flags = 0;
    if (options->is_clean_start || (!is_v5 && options->session_expiry_s == 0)) {
        flags |= CONNECT_CLEAN;
    }
    if (options->will_topic != NULL) {
        flags |= CONNECT_WILL; // QoS 1, retained.
    }
    if (options->username != NULL) {
        flags |= CONNECT_USERNAME;
    }
    if (options->password.ptr != NULL) {
        flags |= CONNECT_PASSWORD;
    }
    return flags;
}

static uint8_t *put_properties(uint8_t *at, const struct pipit_connect *options,
                               const struct mqtt_limits *limits)
{
    *at++ = limits->receive_max != 0 ? 15 : 12;
    *at++ = PROP_EXPIRY;
    at = put_u32(at, options->session_expiry_s);
    *at++ = PROP_PACKET_MAX;
    at = put_u32(at, limits->packet_max);
    *at++ = PROP_PROBLEMS; // No reason strings: they would have to fit our memory.
    *at++ = 0;
    if (limits->receive_max != 0) {
        *at++ = PROP_RECEIVE_MAX;
        at = put_u16(at, limits->receive_max);
    }
    return at;
}

// The parts of the payload in their order, absent ones without a pointer. [MQTT-3.1.3-1]
enum { PART_CLIENT, PART_WILL_TOPIC, PART_WILL, PART_USERNAME, PART_PASSWORD, PARTS };

static void connect_parts(const struct pipit_connect *options, struct pipit_bytes *parts)
{
    static const uint8_t nothing;
    parts[PART_CLIENT] = pipit_text(options->client_id);
    parts[PART_WILL_TOPIC] = pipit_text(options->will_topic);
    parts[PART_WILL].ptr = options->will_topic == NULL ? NULL : &nothing;
    parts[PART_WILL].len = options->will.len;
    if (options->will_topic != NULL && options->will.len > 0) {
        parts[PART_WILL].ptr = options->will.ptr;
    }
    parts[PART_USERNAME] = pipit_text(options->username);
    parts[PART_PASSWORD] = options->password;
}

size_t pipit_mqtt_write_connect(uint8_t *out, size_t room, const struct pipit_connect *options,
                                const struct mqtt_limits *limits)
{
    struct pipit_bytes parts[PARTS];
    size_t rest = 10;
    connect_parts(options, parts);
    if (limits->is_v5) {
        rest += 1u + (limits->receive_max != 0 ? 15u : 12u) + (options->will_topic != NULL ? 1 : 0);
    }
    for (unsigned i = 0; i < PARTS; i++) {
        if (parts[i].len > TEXT_MAX) {
            return 0;
        }
        rest += parts[i].ptr != NULL ? parts[i].len + 2 : 0;
    }
    uint8_t *at = begin(out, room, MQTT_CONNECT, rest);
    if (at == NULL) {
        return 0;
    }
    at = put_text(at, pipit_text("MQTT"));
    *at++ = limits->is_v5 ? 5 : 4;
    *at++ = connect_flags(options, limits->is_v5);
    at = put_u16(at, options->keepalive_s);
    if (limits->is_v5) {
        at = put_properties(at, options, limits);
    }
    for (unsigned i = 0; i < PARTS; i++) {
        if (i == PART_WILL_TOPIC && limits->is_v5 && parts[i].ptr != NULL) {
            *at++ = 0; // No properties of the will.
        }
        if (parts[i].ptr != NULL) {
            at = put_text(at, parts[i]);
        }
    }
    return finish(out, at);
}

// ---- the other packets --------------------------------------------------------------------------

size_t pipit_mqtt_write_publish(uint8_t *out, size_t room, const struct pipit_message *message,
                                uint8_t first, uint16_t id, bool is_v5)
{
    struct pipit_bytes topic = pipit_text(message->topic);
    size_t rest = 2 + topic.len + (id != 0 ? 2u : 0u) + (is_v5 ? 1u : 0u);
    if (topic.len > TEXT_MAX || message->payload.len > MQTT_REST_MAX) {
        return 0;
    }
    rest += message->payload.len;
    uint8_t *at = begin(out, room, first, rest);
    if (at == NULL) {
        return 0;
    }
    at = put_text(at, topic);
    if (id != 0) {
        at = put_u16(at, id);
    }
    if (is_v5) {
        *at++ = 0;
    }
    return finish(out, put_raw(at, message->payload));
}

size_t pipit_mqtt_write_subscribe(uint8_t *out, size_t room, uint8_t packet, const char *filter,
                                  uint8_t qos, uint16_t id, bool is_v5)
{
    struct pipit_bytes text = pipit_text(filter);
    bool has_qos = packet == MQTT_SUBSCRIBE;
    size_t rest = 4 + text.len + (has_qos ? 1u : 0u) + (is_v5 ? 1u : 0u);
    uint8_t *at = text.len > TEXT_MAX ? NULL : begin(out, room, packet, rest);
    if (at == NULL) {
        return 0;
    }
    at = put_u16(at, id);
    if (is_v5) {
        *at++ = 0;
    }
    at = put_text(at, text);
    if (has_qos) {
        *at++ = qos;
    }
    return finish(out, at);
}

size_t pipit_mqtt_write_answer(uint8_t *out, size_t room, uint8_t packet, uint16_t id,
                               uint8_t reason)
{
    uint8_t *at = out;
    if (room < MQTT_ANSWER_MAX) {
        return 0;
    }
    *at++ = packet;
    *at++ = reason != 0 ? 3 : 2;
    at = put_u16(at, id);
    if (reason != 0) {
        *at++ = reason;
    }
    return finish(out, at);
}
