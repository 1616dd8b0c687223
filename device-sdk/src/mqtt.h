// mqtt.h - MQTT's packets: every byte is checked against the room as it is written and read.
// Threads:   functions of their arguments.
// Ownership: readers point into the caller's bytes.
// Failure:   writers give 0 when the packet does not fit; readers give a reason code of MQTT 5.
#ifndef PIPIT_MQTT_H
#define PIPIT_MQTT_H

#include "pipit/client.h"

// The first byte of each packet, without the flags of PUBLISH. [MQTT 2.1.2, 2.1.3]
enum mqtt_packet {
    MQTT_CONNECT = 0x10,
    MQTT_CONNACK = 0x20,
    MQTT_PUBLISH = 0x30,
    MQTT_PUBACK = 0x40,
    MQTT_PUBREC = 0x50,
    MQTT_PUBREL = 0x62,
    MQTT_PUBCOMP = 0x70,
    MQTT_SUBSCRIBE = 0x82,
    MQTT_SUBACK = 0x90,
    MQTT_UNSUBSCRIBE = 0xA2,
    MQTT_UNSUBACK = 0xB0,
    MQTT_PINGREQ = 0xC0,
    MQTT_PINGRESP = 0xD0,
    MQTT_DISCONNECT = 0xE0,
};

enum mqtt_reason {
    MQTT_OK = 0x00,
    MQTT_FAILED = 0x80, // This and all above it are failures.
    MQTT_MALFORMED = 0x81,
    MQTT_PROTOCOL_ERROR = 0x82,
    MQTT_TOPIC_INVALID = 0x90,
    MQTT_ID_UNKNOWN = 0x92,
    MQTT_RECEIVE_MAXIMUM = 0x93,
    MQTT_ALIAS_INVALID = 0x94,
    MQTT_TOO_LARGE = 0x95,
    MQTT_QOS_UNSUPPORTED = 0x9B,
};

// The properties that we write or look at. [MQTT 2.2.2.2]
enum mqtt_property {
    MQTT_PROP_EXPIRY = 0x11,
    MQTT_PROP_KEEPALIVE = 0x13,
    MQTT_PROP_PROBLEMS = 0x17,
    MQTT_PROP_RECEIVE_MAX = 0x21,
    MQTT_PROP_ALIAS = 0x23,
    MQTT_PROP_QOS_MAX = 0x24,
    MQTT_PROP_RETAIN = 0x25,
    MQTT_PROP_PACKET_MAX = 0x27,
};

#define MQTT_REST_MAX     268435455u // Largest remaining length. [MQTT 2.1.4]
#define MQTT_PUBLISH_HEAD 10u        // Header, length of the topic, identifier, no properties.
#define MQTT_ANSWER_MAX   5u         // An acknowledgement with its reason code.

// The version as the build lets it be: where only one is built in, the compiler knows it.
static inline bool mqtt_is_v5(bool is_v5)
{
    return PIPIT_WITH_MQTT_5 && (!PIPIT_WITH_MQTT_311 || is_v5);
}

// ---- writing: into `room` bytes at `out`; the length, or 0 when it does not fit -----------------

// What a CONNECT says beside the caller's options.
struct mqtt_limits {
    uint32_t packet_max;
    uint16_t receive_max; // 0: any number.
    bool is_v5;
};

// 3.1.1 has one flag for starting without a session and for leaving none behind.
static inline bool mqtt_is_clean(const struct pipit_connect *options, bool is_v5)
{
    return options->is_clean_start || (!is_v5 && options->session_expiry_s == 0);
}

size_t pipit_mqtt_write_connect(uint8_t *out, size_t room, const struct pipit_connect *options,
                                const struct mqtt_limits *limits);
// `first` holds DUP and the QoS that is used, which may be lower than the message's.
size_t pipit_mqtt_write_publish(uint8_t *out, size_t room, const struct pipit_message *message,
                                uint8_t first, uint16_t id, bool is_v5);
// `qos` is written for MQTT_SUBSCRIBE only.
size_t pipit_mqtt_write_subscribe(uint8_t *out, size_t room, uint8_t packet, const char *filter,
                                  uint8_t qos, uint16_t id, bool is_v5);
// An acknowledgement; a `reason` other than 0 is written in MQTT 5 only, as the caller sees to.
size_t pipit_mqtt_write_answer(uint8_t *out, size_t room, uint8_t packet, uint16_t id,
                               uint8_t reason);

// ---- reading ------------------------------------------------------------------------------------

static inline uint16_t mqtt_u16_at(const uint8_t *at)
{
    return (uint16_t)((unsigned)at[0] << 8 | at[1]);
}

struct mqtt_header {
    uint32_t rest; // Bytes behind the header.
    uint8_t first;
    uint8_t len; // Of the header; 0: more bytes are needed.
};

// MQTT_MALFORMED for a length of more than four bytes. [MQTT-1.5.5-1]
uint8_t pipit_mqtt_read_header(struct pipit_bytes bytes, struct mqtt_header *out_header);

struct mqtt_publish {
    struct pipit_bytes topic;
    struct pipit_bytes payload;
    uint16_t id;
    uint8_t qos;
};

uint8_t pipit_mqtt_read_publish(uint8_t first, struct pipit_bytes rest, bool is_v5,
                                struct mqtt_publish *out_publish);

// What a CONNACK grants; fields keep what the caller has set where the broker says nothing.
struct mqtt_grant {
    uint32_t packet_max;
    uint16_t receive_max;
    uint16_t keepalive_s;
    uint8_t code;
    uint8_t qos_max;
    bool has_session;
    bool has_retain;
};

uint8_t pipit_mqtt_read_connack(struct pipit_bytes rest, bool is_v5, struct mqtt_grant *grant);

// An acknowledgement of any kind, SUBACK and UNSUBACK of one filter included.
struct mqtt_answer {
    uint16_t id;
    uint8_t code;
};

uint8_t pipit_mqtt_read_answer(uint8_t first, struct pipit_bytes rest, bool is_v5,
                               struct mqtt_answer *out_answer);

#endif
