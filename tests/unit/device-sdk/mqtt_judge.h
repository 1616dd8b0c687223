// mqtt_judge.h - reads what a client sends, as strictly as the specifications put it. Written from
// them alone: it shares nothing with the SDK's own reader and writer.
// Threads:   none.
// Ownership: packets point into the judge's own bytes, for the call of `on_packet`.
// Failure:   `fault` says what was wrong first; nothing is read after that.
#ifndef MQTT_JUDGE_H
#define MQTT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JUDGE_BYTES (1u << 18)

struct judge_text {
    const uint8_t *ptr; // NULL: absent.
    size_t len;
};

struct judge_packet {
    uint8_t type; // 1 CONNECT, 3 PUBLISH, ...
    uint8_t qos;
    bool is_dup, is_retained;
    uint16_t id;
    uint8_t code; // Of acknowledgements and DISCONNECT.
    size_t size;  // All of its bytes.
    struct judge_text topic, payload;
    // CONNECT
    uint8_t flags;
    uint16_t keepalive, receive_max;
    uint32_t expiry, packet_max;
    struct judge_text client_id, will_topic, will, username, password;
};

struct judge {
    bool is_v5;
    bool has_connect, has_disconnect;
    const char *fault;
    unsigned count;
    void (*on_packet)(void *context, const struct judge_packet *packet);
    void *context;
    size_t len;
    uint8_t bytes[JUDGE_BYTES];
};

struct judge_cursor {
    const uint8_t *ptr;
    size_t len;
    const char *fault;
};

static inline void judge_fail(struct judge_cursor *cursor, const char *why)
{
    if (cursor->fault == NULL) {
        cursor->fault = why;
    }
    cursor->len = 0;
}

static inline uint32_t judge_number(struct judge_cursor *cursor, unsigned size)
{
    uint32_t value = 0;
    if (cursor->len < size) {
        judge_fail(cursor, "ends too early");
        return 0;
    }
    for (unsigned i = 0; i < size; i++) {
        value = value << 8 | cursor->ptr[i];
    }
    cursor->ptr += size;
    cursor->len -= size;
    return value;
}

static inline uint32_t judge_varint(struct judge_cursor *cursor)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t byte = judge_number(cursor, 1);
        value |= (byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            if (i > 0 && byte == 0) {
                judge_fail(cursor, "a length of more bytes than it needs");
            }
            return value;
        }
    }
    judge_fail(cursor, "a length of more than four bytes");
    return 0;
}

static inline struct judge_text judge_bytes(struct judge_cursor *cursor, size_t len)
{
    struct judge_text text = {cursor->ptr, len};
    if (len > cursor->len) {
        judge_fail(cursor, "a length beyond the packet");
        text.len = 0;
        return text;
    }
    cursor->ptr += len;
    cursor->len -= len;
    return text;
}

// One character; 0 when it is none. U+0000 is none.
static inline size_t judge_character(const uint8_t *ptr, size_t len)
{
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    uint32_t value = ptr[0];
    size_t size = value < 0x80       ? 1
                  : value >> 5 == 6  ? 2
                  : value >> 4 == 14 ? 3
                  : value >> 3 == 30 ? 4
                                     : 0;
    if (size == 0 || size > len) {
        return 0;
    }
    value = size == 1 ? value : value & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if (ptr[i] >> 6 != 2) {
            return 0;
        }
        value = value << 6 | (ptr[i] & 0x3Fu);
    }
    return value < least[size] || value > 0x10FFFF || value >> 11 == 0x1B ? 0 : size;
}

static inline struct judge_text judge_utf8(struct judge_cursor *cursor)
{
    struct judge_text text = judge_bytes(cursor, judge_number(cursor, 2));
    for (size_t i = 0, size = 0; i < text.len; i += size) {
        size = judge_character(text.ptr + i, text.len - i);
        if (size == 0) {
            judge_fail(cursor, "text is not UTF-8, or holds U+0000");
            break;
        }
    }
    return text;
}

static inline struct judge_text judge_topic(struct judge_cursor *cursor)
{
    struct judge_text topic = judge_utf8(cursor);
    if (topic.len == 0) {
        judge_fail(cursor, "an empty topic");
    } else if (memchr(topic.ptr, '+', topic.len) != NULL ||
               memchr(topic.ptr, '#', topic.len) != NULL) {
        judge_fail(cursor, "a wildcard in a topic name");
    }
    return topic;
}

// ---- properties ---------------------------------------------------------------------------------

// What each packet of a client may carry; '&' is more than once.
#define JUDGE_CONNECT     "\x11\x15\x16\x17\x19\x21\x22\x26\x27"
#define JUDGE_WILL        "\x01\x02\x03\x08\x09\x18\x26"
#define JUDGE_PUBLISH     "\x01\x02\x03\x08\x09\x23\x26"
#define JUDGE_ANSWER      "\x1F\x26"
#define JUDGE_SUBSCRIBE   "\x0B\x26"
#define JUDGE_UNSUBSCRIBE "\x26"
#define JUDGE_DISCONNECT  "\x11\x1F\x26"

static inline void judge_property(struct judge_cursor *cursor, uint8_t id,
                                  struct judge_packet *packet)
{
    uint32_t value;
    switch (id) {
    case 0x01:
    case 0x17:
    case 0x19:
        if (judge_number(cursor, 1) > 1) {
            judge_fail(cursor, "a flag that is neither 0 nor 1");
        }
        break;
    case 0x02:
    case 0x18:
        (void)judge_number(cursor, 4);
        break;
    case 0x11:
        packet->expiry = judge_number(cursor, 4);
        break;
    case 0x27:
        packet->packet_max = judge_number(cursor, 4);
        if (packet->packet_max == 0) {
            judge_fail(cursor, "a largest packet of 0");
        }
        break;
    case 0x21:
    case 0x22:
    case 0x23:
        value = judge_number(cursor, 2);
        packet->receive_max = id == 0x21 ? (uint16_t)value : packet->receive_max;
        if (value == 0 && id != 0x22) {
            judge_fail(cursor, "a receive maximum or topic alias of 0");
        }
        break;
    case 0x0B:
        if (judge_varint(cursor) == 0) {
            judge_fail(cursor, "a subscription identifier of 0");
        }
        break;
    case 0x09:
    case 0x16:
        (void)judge_bytes(cursor, judge_number(cursor, 2));
        break;
    case 0x26:
        (void)judge_utf8(cursor);
        (void)judge_utf8(cursor);
        break;
    default:
        (void)judge_utf8(cursor);
        break;
    }
}

static inline void judge_properties(struct judge_cursor *cursor, const char *allowed,
                                    struct judge_packet *packet)
{
    uint64_t seen = 0;
    struct judge_text all = judge_bytes(cursor, judge_varint(cursor));
    struct judge_cursor inner = {all.ptr, all.len, cursor->fault};
    while (inner.len > 0) {
        uint8_t id = (uint8_t)judge_number(&inner, 1);
        if (id == 0 || strchr(allowed, id) == NULL) {
            judge_fail(&inner, "a property that does not belong here");
        } else if (id != 0x26 && (seen >> id & 1) != 0) {
            judge_fail(&inner, "a property twice");
        } else {
            seen |= UINT64_C(1) << id;
            judge_property(&inner, id, packet);
        }
    }
    if (inner.fault != NULL) {
        judge_fail(cursor, inner.fault);
    }
}

// ---- packets ------------------------------------------------------------------------------------

static inline void judge_connect_payload(struct judge_cursor *cursor, bool is_v5,
                                         struct judge_packet *packet)
{
    struct judge_packet ignored = {0};
    packet->client_id = judge_utf8(cursor);
    if ((packet->flags & 0x04) != 0) {
        if (is_v5) {
            judge_properties(cursor, JUDGE_WILL, &ignored);
        }
        packet->will_topic = judge_topic(cursor);
        packet->will = judge_bytes(cursor, judge_number(cursor, 2));
    }
    if ((packet->flags & 0x80) != 0) {
        packet->username = judge_utf8(cursor);
    }
    if ((packet->flags & 0x40) != 0) {
        packet->password = judge_bytes(cursor, judge_number(cursor, 2));
    }
}

static inline void judge_connect(struct judge_cursor *cursor, bool is_v5,
                                 struct judge_packet *packet)
{
    struct judge_text name = judge_utf8(cursor);
    if (name.len != 4 || memcmp(name.ptr, "MQTT", 4) != 0 ||
        judge_number(cursor, 1) != (is_v5 ? 5u : 4u)) {
        judge_fail(cursor, "another protocol");
    }
    packet->flags = (uint8_t)judge_number(cursor, 1);
    packet->keepalive = (uint16_t)judge_number(cursor, 2);
    if ((packet->flags & 0x01) != 0) {
        judge_fail(cursor, "the reserved flag of CONNECT");
    }
    if ((packet->flags & 0x04) == 0 ? (packet->flags & 0x38) != 0
                                    : (packet->flags & 0x18) == 0x18) {
        judge_fail(cursor, "flags of the will");
    }
    if (!is_v5 && (packet->flags & 0xC0) == 0x40) {
        judge_fail(cursor, "a password without a user name");
    }
    packet->receive_max = UINT16_MAX;
    if (is_v5) {
        judge_properties(cursor, JUDGE_CONNECT, packet);
    }
    judge_connect_payload(cursor, is_v5, packet);
    if (!is_v5 && packet->client_id.len == 0 && (packet->flags & 0x02) == 0) {
        judge_fail(cursor, "no name for a session that is to be kept");
    }
}

static inline void judge_id(struct judge_cursor *cursor, struct judge_packet *packet)
{
    packet->id = (uint16_t)judge_number(cursor, 2);
    if (packet->id == 0) {
        judge_fail(cursor, "packet identifier 0");
    }
}

static inline void judge_publish(struct judge_cursor *cursor, bool is_v5, uint8_t flags,
                                 struct judge_packet *packet)
{
    packet->qos = flags >> 1 & 3;
    packet->is_dup = (flags & 8) != 0;
    packet->is_retained = (flags & 1) != 0;
    if (packet->qos == 3 || (packet->qos == 0 && packet->is_dup)) {
        judge_fail(cursor, "QoS 3, or DUP with QoS 0");
    }
    packet->topic = judge_topic(cursor);
    if (packet->qos > 0) {
        judge_id(cursor, packet);
    }
    if (is_v5) {
        judge_properties(cursor, JUDGE_PUBLISH, packet);
    }
    packet->payload = judge_bytes(cursor, cursor->len);
}

static inline void judge_answer(struct judge_cursor *cursor, bool is_v5,
                                struct judge_packet *packet)
{
    static const uint8_t received[] = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    bool is_half = packet->type == 6 || packet->type == 7;
    judge_id(cursor, packet);
    if (!is_v5 || cursor->len == 0) {
        return;
    }
    packet->code = (uint8_t)judge_number(cursor, 1);
    if (is_half ? packet->code != 0 && packet->code != 0x92
                : memchr(received, packet->code, sizeof(received)) == NULL) {
        judge_fail(cursor, "a reason code that does not belong here");
    }
    if (cursor->len > 0) {
        judge_properties(cursor, JUDGE_ANSWER, packet);
    }
}

static inline void judge_filters(struct judge_cursor *cursor, bool is_v5,
                                 struct judge_packet *packet)
{
    bool is_subscribe = packet->type == 8;
    judge_id(cursor, packet);
    if (is_v5) {
        judge_properties(cursor, is_subscribe ? JUDGE_SUBSCRIBE : JUDGE_UNSUBSCRIBE, packet);
    }
    do {
        packet->topic = judge_utf8(cursor);
        if (packet->topic.len == 0) {
            judge_fail(cursor, "an empty filter");
        }
        if (is_subscribe) {
            uint32_t options = judge_number(cursor, 1);
            packet->qos = options & 3;
            if (packet->qos == 3 || options >> 4 == 3 || options >> (is_v5 ? 6 : 2) != 0) {
                judge_fail(cursor, "options of a subscription");
            }
        }
    } while (cursor->len > 0);
}

static inline void judge_disconnect(struct judge_cursor *cursor, bool is_v5,
                                    struct judge_packet *packet)
{
    if (is_v5 && cursor->len > 0) {
        packet->code = (uint8_t)judge_number(cursor, 1);
        if (cursor->len > 0) {
            judge_properties(cursor, JUDGE_DISCONNECT, packet);
        }
    }
}

// The lower half of the first byte, by type; 0xFF: not sent by a client, 0xFE: any.
static inline const char *judge_flags(uint8_t first)
{
    static const uint8_t want[16] = {0xFF, 0,    0xFF, 0xFE, 0, 0,    2, 0,
                                     2,    0xFF, 2,    0xFF, 0, 0xFF, 0, 0xFF};
    uint8_t flags = want[first >> 4];
    return flags == 0xFF                              ? "a packet that is not a client's"
           : flags != 0xFE && flags != (first & 0x0F) ? "reserved flags"
                                                      : NULL;
}

static inline void judge_body(struct judge *judge, struct judge_cursor *cursor, uint8_t first,
                              struct judge_packet *packet)
{
    switch (packet->type) {
    case 1:
        judge_connect(cursor, judge->is_v5, packet);
        break;
    case 3:
        judge_publish(cursor, judge->is_v5, first, packet);
        break;
    case 8:
    case 10:
        judge_filters(cursor, judge->is_v5, packet);
        break;
    case 12:
        break;
    case 14:
        judge_disconnect(cursor, judge->is_v5, packet);
        break;
    default:
        judge_answer(cursor, judge->is_v5, packet);
        break;
    }
}

static inline void judge_order(struct judge *judge, struct judge_cursor *cursor, uint8_t type)
{
    if (judge->has_disconnect) {
        judge_fail(cursor, "a packet behind DISCONNECT");
    }
    if ((type == 1) == judge->has_connect) {
        judge_fail(cursor, "CONNECT is not the first packet, or comes twice");
    }
    judge->has_connect = true;
    judge->has_disconnect = type == 14;
}

// The first byte and the whole length are there.
static inline bool judge_has_header(const struct judge *judge)
{
    for (size_t i = 1; i < judge->len; i++) {
        if (judge->bytes[i] < 0x80 || i == 4) {
            return true;
        }
    }
    return false;
}

// One packet off the front. False when it is not whole yet.
static inline bool judge_packet(struct judge *judge)
{
    struct judge_packet packet = {0};
    struct judge_cursor cursor = {judge->bytes, judge->len, NULL};
    if (!judge_has_header(judge)) {
        return false;
    }
    uint8_t first = (uint8_t)judge_number(&cursor, 1);
    uint32_t rest = judge_varint(&cursor);
    if (cursor.fault == NULL && cursor.len < rest) {
        return false;
    }
    const uint8_t *end = cursor.ptr + rest;
    if (cursor.fault == NULL) {
        cursor.len = rest;
        packet.type = first >> 4;
        packet.size = (size_t)(end - judge->bytes);
        if (judge_flags(first) != NULL) {
            judge_fail(&cursor, judge_flags(first));
        }
        judge_order(judge, &cursor, packet.type);
        if (cursor.fault == NULL) {
            judge_body(judge, &cursor, first, &packet);
        }
        if (cursor.len > 0) {
            judge_fail(&cursor, "bytes behind the packet's last field");
        }
    }
    judge->fault = cursor.fault;
    if (judge->fault != NULL) {
        return false;
    }
    judge->count++;
    if (judge->on_packet != NULL) {
        judge->on_packet(judge->context, &packet);
    }
    judge->len -= packet.size;
    memmove(judge->bytes, end, judge->len);
    return true;
}

// A new connection.
static inline void judge_begin(struct judge *judge, bool is_v5)
{
    judge->is_v5 = is_v5;
    judge->has_connect = judge->has_disconnect = false;
    judge->len = 0;
}

static inline void judge_put(struct judge *judge, const uint8_t *ptr, size_t len)
{
    if (judge->fault != NULL) {
        return;
    }
    if (len > sizeof(judge->bytes) - judge->len) {
        judge->fault = "too large for the judge";
        return;
    }
    memcpy(judge->bytes + judge->len, ptr, len);
    judge->len += len;
    while (judge->fault == NULL && judge_packet(judge)) {
    }
}

#endif
