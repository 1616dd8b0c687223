#include "mqtt.h"
#include "wire.h"

enum {
    CONNECT_CLEAN = 0x02,
    CONNECT_WILL = 0x2C,
    CONNECT_PASSWORD = 0x40,
    CONNECT_USERNAME = 0x80
};

#define TEXT_MAX  0xFFFFu
#define LENGTH_AT 1u // Of the remaining length in a packet; it is a varint as protobuf's are.

static void put_u16(struct pipit_sink *sink, size_t value)
{
    pipit_sink_byte(sink, (unsigned)(value >> 8));
    pipit_sink_byte(sink, (unsigned)value);
}

static void put_u32(struct pipit_sink *sink, uint32_t value)
{
    put_u16(sink, (size_t)(value >> 16));
    put_u16(sink, (size_t)(value & 0xFFFFu));
}

static void put_text(struct pipit_sink *sink, struct pipit_bytes text)
{
    if (text.len > TEXT_MAX) {
        pipit_sink_fail(sink, PIPIT_ERR_SIZE);
    }
    put_u16(sink, text.len);
    pipit_sink_raw(sink, text);
}

static void begin(struct pipit_sink *sink, uint8_t *out, size_t room, uint8_t first)
{
    pipit_sink_init(sink, out, room < MQTT_REST_MAX ? room : MQTT_REST_MAX);
    pipit_sink_byte(sink, first);
    pipit_sink_byte(sink, 0);
}

static size_t finish(struct pipit_sink *sink)
{
    pipit_sink_length(sink, LENGTH_AT);
    return sink->rc == PIPIT_OK ? sink->len : 0;
}

// ---- CONNECT [MQTT 3.1] -------------------------------------------------------------------------

static uint8_t connect_flags(const struct pipit_connect *options, bool is_v5)
{
    uint8_t flags = 0;
    if (mqtt_is_clean(options, is_v5)) {
        flags |= CONNECT_CLEAN;
    }
    if (PIPIT_WITH_PRESENCE && options->will_topic != NULL) {
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

static void put_properties(struct pipit_sink *sink, const struct pipit_connect *options,
                           const struct mqtt_limits *limits)
{
    pipit_sink_byte(sink, limits->receive_max != 0 ? 15 : 12);
    pipit_sink_byte(sink, MQTT_PROP_EXPIRY);
    put_u32(sink, options->session_expiry_s);
    pipit_sink_byte(sink, MQTT_PROP_PACKET_MAX);
    put_u32(sink, limits->packet_max);
    pipit_sink_byte(sink, MQTT_PROP_PROBLEMS); // No reason strings: they would have to fit.
    pipit_sink_byte(sink, 0);
    if (limits->receive_max != 0) {
        pipit_sink_byte(sink, MQTT_PROP_RECEIVE_MAX);
        put_u16(sink, limits->receive_max);
    }
}

static void put_will(struct pipit_sink *sink, const struct pipit_connect *options, bool is_v5)
{
    if (options->will_topic == NULL) {
        return;
    }
    if (is_v5) {
        pipit_sink_byte(sink, 0); // No properties.
    }
    put_text(sink, pipit_text(options->will_topic));
    put_text(sink, options->will);
}

size_t pipit_mqtt_write_connect(uint8_t *out, size_t room, const struct pipit_connect *options,
                                const struct mqtt_limits *limits)
{
    bool is_v5 = mqtt_is_v5(limits->is_v5);
    struct pipit_sink sink;
    begin(&sink, out, room, MQTT_CONNECT);
    put_text(&sink, pipit_text("MQTT"));
    pipit_sink_byte(&sink, is_v5 ? 5 : 4);
    pipit_sink_byte(&sink, connect_flags(options, is_v5));
    put_u16(&sink, options->keepalive_s);
    if (is_v5) {
        put_properties(&sink, options, limits);
    }
    put_text(&sink, pipit_text(options->client_id)); // The order is fixed. [MQTT-3.1.3-1]
    if (PIPIT_WITH_PRESENCE) {
        put_will(&sink, options, is_v5);
    }
    if (options->username != NULL) {
        put_text(&sink, pipit_text(options->username));
    }
    if (options->password.ptr != NULL) {
        put_text(&sink, options->password);
    }
    return finish(&sink);
}

// ---- the other packets --------------------------------------------------------------------------

size_t pipit_mqtt_write_publish(uint8_t *out, size_t room, const struct pipit_message *message,
                                uint8_t first, uint16_t id, bool is_v5)
{
    struct pipit_sink sink;
    begin(&sink, out, room, first);
    put_text(&sink, pipit_text(message->topic));
    if (id != 0) {
        put_u16(&sink, id);
    }
    if (mqtt_is_v5(is_v5)) {
        pipit_sink_byte(&sink, 0);
    }
    pipit_sink_raw(&sink, message->payload);
    return finish(&sink);
}

size_t pipit_mqtt_write_subscribe(uint8_t *out, size_t room, uint8_t packet, const char *filter,
                                  uint8_t qos, uint16_t id, bool is_v5)
{
    struct pipit_sink sink;
    begin(&sink, out, room, packet);
    put_u16(&sink, id);
    if (mqtt_is_v5(is_v5)) {
        pipit_sink_byte(&sink, 0);
    }
    put_text(&sink, pipit_text(filter));
    if (packet == MQTT_SUBSCRIBE) {
        pipit_sink_byte(&sink, qos);
    }
    return finish(&sink);
}

size_t pipit_mqtt_write_answer(uint8_t *out, size_t room, uint8_t packet, uint16_t id,
                               uint8_t reason)
{
    struct pipit_sink sink;
    begin(&sink, out, room, packet);
    put_u16(&sink, id);
    if (reason != 0) {
        pipit_sink_byte(&sink, reason);
    }
    return finish(&sink);
}
