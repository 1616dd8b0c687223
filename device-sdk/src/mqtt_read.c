#include "mqtt.h"
#include "wire.h"

static void skip(struct pipit_bytes *rest, size_t len)
{
    rest->ptr += len;
    rest->len -= len;
}

// A length of one to four bytes. False when it is longer or when bytes are missing.
static bool take_length(struct pipit_bytes *rest, uint32_t *out_value)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4 && i < rest->len; i++) {
        uint8_t byte = rest->ptr[i];
        value |= (uint32_t)(byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            skip(rest, i + 1);
            *out_value = value;
            return true;
        }
    }
    return false;
}

uint8_t pipit_mqtt_read_header(struct pipit_bytes bytes, struct mqtt_header *out_header)
{
    struct pipit_bytes rest = bytes;
    out_header->len = 0;
    if (bytes.len < 2) {
        return MQTT_OK;
    }
    out_header->first = bytes.ptr[0];
    skip(&rest, 1);
    if (take_length(&rest, &out_header->rest)) {
        out_header->len = (uint8_t)(rest.ptr - bytes.ptr);
        return MQTT_OK;
    }
    return rest.len >= 4 ? MQTT_MALFORMED : MQTT_OK;
}

static bool take_text(struct pipit_bytes *rest, struct pipit_bytes *out_text)
{
    if (rest->len < 2) {
        return false;
    }
    size_t len = mqtt_u16_at(rest->ptr);
    skip(rest, 2);
    if (len > rest->len) {
        return false;
    }
    out_text->ptr = rest->ptr;
    out_text->len = len;
    skip(rest, len);
    return true;
}

// ---- properties [MQTT 2.2.2] --------------------------------------------------------------------

// Bytes of the value of each property; 0: no such property.
enum { SIZE_VARINT = 5, SIZE_TEXT = 6, SIZE_PAIR = 7 };
static const uint8_t property_sizes[] = {
    [0x01] = 1,         [0x02] = 4,           [0x03] = SIZE_TEXT, [0x08] = SIZE_TEXT,
    [0x09] = SIZE_TEXT, [0x0B] = SIZE_VARINT, [0x11] = 4,         [0x12] = SIZE_TEXT,
    [0x13] = 2,         [0x15] = SIZE_TEXT,   [0x16] = SIZE_TEXT, [0x17] = 1,
    [0x18] = 4,         [0x19] = 1,           [0x1A] = SIZE_TEXT, [0x1C] = SIZE_TEXT,
    [0x1F] = SIZE_TEXT, [0x21] = 2,           [0x22] = 2,         [0x23] = 2,
    [0x24] = 1,         [0x25] = 1,           [0x26] = SIZE_PAIR, [0x27] = 4,
    [0x28] = 1,         [0x29] = 1,           [0x2A] = 1,
};

struct property {
    uint32_t value; // Of a number.
    uint8_t id;
};

static bool take_number(struct pipit_bytes *rest, unsigned size, uint32_t *out_value)
{
    uint32_t value = 0;
    if (rest->len < size) {
        return false;
    }
    for (unsigned i = 0; i < size; i++) {
        value = value << 8 | rest->ptr[i];
    }
    skip(rest, size);
    *out_value = value;
    return true;
}

static bool take_property(struct pipit_bytes *rest, struct property *out_property)
{
    struct pipit_bytes text;
    uint8_t id = rest->ptr[0];
    uint8_t size = id < sizeof(property_sizes) ? property_sizes[id] : 0;
    out_property->id = id;
    out_property->value = 0;
    skip(rest, 1);
    switch (size) {
    case 0:
        return false;
    case SIZE_VARINT:
        return take_length(rest, &out_property->value);
    case SIZE_PAIR:
        if (!take_text(rest, &text)) {
            return false;
        }
        return take_text(rest, &text);
    case SIZE_TEXT:
        return take_text(rest, &text);
    default:
        return take_number(rest, size, &out_property->value);
    }
}

// Takes the properties off the front of `rest`.
static bool take_properties(struct pipit_bytes *rest, struct pipit_bytes *out_properties)
{
    uint32_t len;
    if (!take_length(rest, &len) || len > rest->len) {
        return false;
    }
    out_properties->ptr = rest->ptr;
    out_properties->len = (size_t)len;
    skip(rest, (size_t)len);
    return true;
}

// ---- PUBLISH [MQTT 3.3] -------------------------------------------------------------------------

static uint8_t publish_properties(struct pipit_bytes *rest)
{
    struct pipit_bytes properties;
    struct property property;
    if (!take_properties(rest, &properties)) {
        return MQTT_MALFORMED;
    }
    while (properties.len > 0) {
        if (!take_property(&properties, &property)) {
            return MQTT_MALFORMED;
        }
        if (property.id == MQTT_PROP_ALIAS) {
            return MQTT_ALIAS_INVALID; // We allow none. [MQTT-3.3.2-10]
        }
    }
    return MQTT_OK;
}

static bool is_topic(struct pipit_bytes topic)
{
    bool is_valid = topic.len > 0 && pipit_wire_is_utf8(topic);
    for (size_t i = 0; is_valid && i < topic.len; i++) {
        is_valid = topic.ptr[i] != '+' && topic.ptr[i] != '#';
    }
    return is_valid;
}

uint8_t pipit_mqtt_read_publish(uint8_t first, struct pipit_bytes rest, bool is_v5,
                                struct mqtt_publish *out_publish)
{
    uint8_t reason = MQTT_OK;
    out_publish->qos = first >> 1 & 3;
    out_publish->id = 0;
    if (out_publish->qos == 3 || ((first & 0x08) != 0 && out_publish->qos == 0) ||
        !take_text(&rest, &out_publish->topic)) {
        return MQTT_MALFORMED; // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
    }
    if (out_publish->qos > 0) {
        if (rest.len < 2 || mqtt_u16_at(rest.ptr) == 0) {
            return MQTT_MALFORMED; // [MQTT-2.2.1-3]
        }
        out_publish->id = mqtt_u16_at(rest.ptr);
        skip(&rest, 2);
    }
    if (mqtt_is_v5(is_v5)) {
        reason = publish_properties(&rest);
    }
    if (reason == MQTT_OK && !is_topic(out_publish->topic)) {
        reason = MQTT_TOPIC_INVALID; // [MQTT-3.3.2-2] [MQTT-4.7.3-1] [MQTT-1.5.4-1]
    }
    out_publish->payload = rest;
    return reason;
}

// ---- CONNACK [MQTT 3.2] and acknowledgements ----------------------------------------------------

static bool grant_take(struct mqtt_grant *grant, const struct property *property)
{
    uint32_t value = property->value;
    switch (property->id) {
    case MQTT_PROP_KEEPALIVE:
        grant->keepalive_s = (uint16_t)value;
        return true;
    case MQTT_PROP_RECEIVE_MAX:
        grant->receive_max = (uint16_t)value;
        return value != 0;
    case MQTT_PROP_QOS_MAX:
        grant->qos_max = (uint8_t)value;
        return value <= 1;
    case MQTT_PROP_RETAIN:
        grant->has_retain = value != 0;
        return value <= 1;
    case MQTT_PROP_PACKET_MAX:
        grant->packet_max = value;
        return value != 0;
    default:
        return true;
    }
}

uint8_t pipit_mqtt_read_connack(struct pipit_bytes rest, bool is_v5, struct mqtt_grant *grant)
{
    struct pipit_bytes properties;
    struct property property;
    if (rest.len < 2 || rest.ptr[0] > 1) {
        return MQTT_MALFORMED; // [MQTT-3.2.2-1]
    }
    grant->has_session = rest.ptr[0] != 0;
    grant->code = rest.ptr[1];
    skip(&rest, 2);
    if (!mqtt_is_v5(is_v5) || (rest.len == 0 && grant->code != MQTT_OK)) {
        return rest.len == 0 ? MQTT_OK : MQTT_MALFORMED; // Refused as an older client would be.
    }
    if (!take_properties(&rest, &properties) || rest.len > 0) {
        return MQTT_MALFORMED;
    }
    while (properties.len > 0) {
        if (!take_property(&properties, &property)) {
            return MQTT_MALFORMED;
        }
        if (!grant_take(grant, &property)) {
            return MQTT_PROTOCOL_ERROR;
        }
    }
    return MQTT_OK;
}

uint8_t pipit_mqtt_read_answer(uint8_t first, struct pipit_bytes rest, bool is_v5,
                               struct mqtt_answer *out_answer)
{
    bool is_list = first == MQTT_SUBACK || first == MQTT_UNSUBACK;
    struct pipit_bytes properties;
    if (rest.len < 2 || mqtt_u16_at(rest.ptr) == 0) {
        return MQTT_MALFORMED;
    }
    out_answer->id = mqtt_u16_at(rest.ptr);
    out_answer->code = MQTT_OK;
    skip(&rest, 2);
    if (mqtt_is_v5(is_v5) && is_list && !take_properties(&rest, &properties)) {
        return MQTT_MALFORMED;
    }
    if (rest.len > 0 && (mqtt_is_v5(is_v5) || first == MQTT_SUBACK)) {
        out_answer->code = rest.ptr[0];
        skip(&rest, 1);
    } else if (is_list && (mqtt_is_v5(is_v5) || first == MQTT_SUBACK)) {
        return MQTT_MALFORMED; // One code a filter. [MQTT-3.8.4-5]
    }
    if (mqtt_is_v5(is_v5) && !is_list && rest.len > 0 && !take_properties(&rest, &properties)) {
        return MQTT_MALFORMED;
    }
    return rest.len == 0 ? MQTT_OK : MQTT_MALFORMED;
}
