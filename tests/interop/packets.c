// client_packets - the packets of the SDK's own client, for comparison with another codec. One JSON
// object a line; bytes are hexadecimal; names are those of npm's mqtt-packet.
//
// client_packets write SEED COUNT   random packets by our writers: {"v", "hex", "packet"}
// client_packets read               for lines {"v", "hex"}: what our readers make of them, and what
//                                   they make of every beginning (nothing must be read behind it)
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "mqtt.h"
#include "simulation/sim_random.h"

#define PACKET_MAX (3u << 20)
#define TEXT_BYTES 400u
#define LARGE_MAX  6u // So many packets of a run need four bytes of length.

struct source {
    struct sim_random random;
    unsigned large_count;
    char texts[4][TEXT_BYTES];
    uint8_t payload[PACKET_MAX];
    uint8_t packet[PACKET_MAX];
};

static uint32_t below(struct source *source, uint32_t bound)
{
    return sim_random_below(&source->random, bound);
}

// ---- JSON and hexadecimal -----------------------------------------------------------------------

static json_t *hex_of(const uint8_t *ptr, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[ptr[i] >> 4];
        text[2 * i + 1] = digits[ptr[i] & 15];
    }
    json_t *hex = json_stringn(text, len * 2);
    free(text);
    return hex;
}

static unsigned nibble(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) & 15u;
}

// Memory of exactly that size, so that a sanitizer sees every byte read behind it.
static uint8_t *unhex(const char *text, size_t len)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    }
    return bytes;
}

static void say(json_t *object)
{
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    (void)fputc('\n', stdout);
    json_decref(object);
}

// ---- chance -------------------------------------------------------------------------------------

// UTF-8 of one to four bytes a character, without wildcards.
static const char *random_text(struct source *source, unsigned slot, uint32_t chars_max)
{
    static const char *const characters[] = {"a", "Z",  "/", "7", " ",    "$",
                                             "é", "߿", "ह", "€", "🌡", "🜚"};
    char *text = source->texts[slot];
    uint32_t chars = below(source, chars_max + 1);
    size_t len = 0;
    for (uint32_t i = 0; i < chars; i++) {
        const char *next = characters[below(source, sizeof(characters) / sizeof(characters[0]))];
        memcpy(text + len, next, strlen(next));
        len += strlen(next);
    }
    text[len] = '\0';
    return text;
}

static const char *random_topic(struct source *source, unsigned slot)
{
    const char *text = random_text(source, slot, 60);
    return text[0] != '\0' ? text : "t";
}

// Around the places where the length of a packet takes another byte, and anywhere.
static uint32_t random_length(struct source *source)
{
    static const uint32_t edges[] = {127, 16383};
    if (source->large_count < LARGE_MAX && sim_random_chance(&source->random, 20)) {
        source->large_count++;
        return 2097151 - 40 + below(source, 80);
    }
    if (sim_random_chance(&source->random, 200)) {
        return edges[below(source, 2)] - 40 + below(source, 80);
    }
    return below(source, 60);
}

static struct pipit_bytes random_bytes(struct source *source, uint32_t len)
{
    struct pipit_bytes bytes = {source->payload, len};
    for (uint32_t i = 0; i < len; i++) {
        source->payload[i] = (uint8_t)sim_random_next(&source->random);
    }
    return bytes;
}

static uint16_t random_id(struct source *source)
{
    return (uint16_t)(1 + below(source, 65535));
}

// ---- writing ------------------------------------------------------------------------------------

static json_t *connect_as_json(const struct pipit_connect *options,
                               const struct mqtt_limits *limits)
{
    json_t *packet =
        json_pack("{ss ss si sb si ss}", "cmd", "connect", "protocolId", "MQTT", "protocolVersion",
                  limits->is_v5 ? 5 : 4, "clean", mqtt_is_clean(options, limits->is_v5),
                  "keepalive", options->keepalive_s, "clientId", options->client_id);
    if (options->will_topic != NULL) {
        json_object_set_new(packet, "will",
                            json_pack("{ss so sb si}", "topic", options->will_topic, "payload",
                                      hex_of(options->will.ptr, options->will.len), "retain", 1,
                                      "qos", 1));
    }
    if (options->username != NULL) {
        json_object_set_new(packet, "username", json_string(options->username));
    }
    if (options->password.ptr != NULL) {
        json_object_set_new(packet, "password",
                            hex_of(options->password.ptr, options->password.len));
    }
    if (limits->is_v5) {
        json_t *properties = json_pack(
            "{sI sI sb}", "sessionExpiryInterval", (json_int_t)options->session_expiry_s,
            "maximumPacketSize", (json_int_t)limits->packet_max, "requestProblemInformation", 0);
        if (limits->receive_max != 0) {
            json_object_set_new(properties, "receiveMaximum", json_integer(limits->receive_max));
        }
        json_object_set_new(packet, "properties", properties);
    }
    return packet;
}

static size_t random_connect(struct source *source, bool is_v5, json_t **out_packet)
{
    struct pipit_connect options = {
        .client_id = random_text(source, 0, 40),
        .username = below(source, 2) == 0 ? random_text(source, 1, 40) : NULL,
        .will_topic = below(source, 2) == 0 ? random_topic(source, 2) : NULL,
        .session_expiry_s = below(source, 3) * below(source, 0x3FFFFFFF),
        .keepalive_s = (uint16_t)below(source, 65536),
        .is_clean_start = below(source, 2) == 0,
    };
    struct mqtt_limits limits = {32 + below(source, 0x7FFFFFFF), (uint16_t)below(source, 4), is_v5};
    struct pipit_bytes bytes = random_bytes(source, 600);
    if (limits.receive_max == 3) {
        limits.receive_max = (uint16_t)(3 + below(source, 65533));
    }
    options.will = (struct pipit_bytes){bytes.ptr, below(source, 2) * below(source, 300)};
    if (options.username != NULL && below(source, 2) == 0) {
        options.password = (struct pipit_bytes){bytes.ptr + 300, below(source, 300)};
    }
    *out_packet = connect_as_json(&options, &limits);
    return pipit_mqtt_write_connect(source->packet, PACKET_MAX, &options, &limits);
}

static size_t random_publish(struct source *source, bool is_v5, json_t **out_packet)
{
    struct pipit_message message = {.topic = random_topic(source, 0)};
    unsigned qos = below(source, 3), dup = qos > 0 ? below(source, 2) : 0;
    unsigned retain = below(source, 2);
    uint16_t id = qos > 0 ? random_id(source) : 0;
    message.payload = random_bytes(source, random_length(source));
    *out_packet = json_pack("{ss ss so si sb sb}", "cmd", "publish", "topic", message.topic,
                            "payload", hex_of(message.payload.ptr, message.payload.len), "qos",
                            (int)qos, "dup", (int)dup, "retain", (int)retain);
    if (id != 0) {
        json_object_set_new(*out_packet, "messageId", json_integer(id));
    }
    return pipit_mqtt_write_publish(source->packet, PACKET_MAX, &message,
                                    (uint8_t)(MQTT_PUBLISH | dup << 3 | qos << 1 | retain), id,
                                    is_v5);
}

static size_t random_subscribe(struct source *source, bool is_v5, json_t **out_packet)
{
    char filter[TEXT_BYTES + 4];
    bool is_subscribe = below(source, 2) == 0;
    uint8_t qos = (uint8_t)below(source, 3);
    uint16_t id = random_id(source);
    (void)snprintf(filter, sizeof(filter), "%s%s", random_topic(source, 0),
                   below(source, 2) == 0 ? "/+/#" : "");
    if (is_subscribe) {
        *out_packet = json_pack("{ss si s[{ss si}]}", "cmd", "subscribe", "messageId", id,
                                "subscriptions", "topic", filter, "qos", qos);
    } else {
        *out_packet = json_pack("{ss si s[s]}", "cmd", "unsubscribe", "messageId", id,
                                "unsubscriptions", filter);
    }
    return pipit_mqtt_write_subscribe(source->packet, PACKET_MAX,
                                      is_subscribe ? MQTT_SUBSCRIBE : MQTT_UNSUBSCRIBE, filter, qos,
                                      id, is_v5);
}

static size_t random_answer(struct source *source, bool is_v5, json_t **out_packet)
{
    static const struct {
        const char *name;
        uint8_t packet;
        uint8_t reasons[4];
    } answers[] = {
        {"puback", MQTT_PUBACK, {0, 0x10, 0x83, 0x97}},
        {"pubrec", MQTT_PUBREC, {0, 0x10, 0x83, 0x97}},
        {"pubrel", MQTT_PUBREL, {0, 0x92, 0, 0x92}},
        {"pubcomp", MQTT_PUBCOMP, {0, 0x92, 0, 0x92}},
    };
    unsigned kind = below(source, 4);
    uint8_t reason = is_v5 ? answers[kind].reasons[below(source, 4)] : 0;
    uint16_t id = random_id(source);
    *out_packet = json_pack("{ss si}", "cmd", answers[kind].name, "messageId", id);
    if (is_v5) {
        json_object_set_new(*out_packet, "reasonCode", json_integer(reason));
    }
    return pipit_mqtt_write_answer(source->packet, PACKET_MAX, answers[kind].packet, id, reason);
}

static int write_packets(uint64_t seed, unsigned count)
{
    static size_t (*const kinds[])(struct source *, bool, json_t **) = {
        random_connect, random_publish, random_subscribe, random_answer};
    static struct source source;
    source.random.state = seed;
    for (unsigned i = 0; i < count; i++) {
        bool is_v5 = below(&source, 2) == 0;
        json_t *packet = NULL;
        size_t len = kinds[below(&source, 4)](&source, is_v5, &packet);
        say(json_pack("{si so so}", "v", is_v5 ? 5 : 4, "hex", hex_of(source.packet, len), "packet",
                      packet));
    }
    return 0;
}

// ---- reading ------------------------------------------------------------------------------------

static json_t *failure(uint8_t reason)
{
    return json_pack("{si}", "error", reason);
}

static json_t *read_publish(uint8_t first, struct pipit_bytes rest, bool is_v5)
{
    struct mqtt_publish publish;
    uint8_t reason = pipit_mqtt_read_publish(first, rest, is_v5, &publish);
    if (reason != MQTT_OK) {
        return failure(reason);
    }
    json_t *packet =
        json_pack("{ss ss% so si}", "cmd", "publish", "topic", (const char *)publish.topic.ptr,
                  publish.topic.len, "payload", hex_of(publish.payload.ptr, publish.payload.len),
                  "qos", publish.qos);
    if (publish.qos > 0) {
        json_object_set_new(packet, "messageId", json_integer(publish.id));
    }
    return packet;
}

// Where the broker says nothing, what has been set stays; these values stand for that.
static json_t *read_connack(struct pipit_bytes rest, bool is_v5)
{
    struct mqtt_grant grant = {.packet_max = UINT32_MAX,
                               .receive_max = UINT16_MAX,
                               .keepalive_s = 60,
                               .qos_max = 2,
                               .has_retain = true};
    uint8_t reason = pipit_mqtt_read_connack(rest, is_v5, &grant);
    if (reason != MQTT_OK) {
        return failure(reason);
    }
    return json_pack("{ss sb si sI si si si sb}", "cmd", "connack", "sessionPresent",
                     grant.has_session, "code", grant.code, "maximumPacketSize",
                     (json_int_t)grant.packet_max, "receiveMaximum", grant.receive_max,
                     "serverKeepAlive", grant.keepalive_s, "maximumQoS", grant.qos_max,
                     "retainAvailable", grant.has_retain);
}

static json_t *read_answer(uint8_t first, struct pipit_bytes rest, bool is_v5)
{
    struct mqtt_answer answer;
    uint8_t reason = pipit_mqtt_read_answer(first, rest, is_v5, &answer);
    return reason != MQTT_OK ? failure(reason)
                             : json_pack("{si si si}", "first", first, "messageId", answer.id,
                                         "code", answer.code);
}

// NULL when the packet is not whole.
static json_t *read_packet(struct pipit_bytes bytes, bool is_v5)
{
    struct mqtt_header header;
    uint8_t reason = pipit_mqtt_read_header(bytes, &header);
    if (reason != MQTT_OK) {
        return failure(reason);
    }
    if (header.len == 0 || bytes.len - header.len < header.rest) {
        return NULL;
    }
    struct pipit_bytes rest = {bytes.ptr + header.len, header.rest};
    if ((header.first & 0xF0) == MQTT_PUBLISH) {
        return read_publish(header.first, rest, is_v5);
    }
    return header.first == MQTT_CONNACK ? read_connack(rest, is_v5)
                                        : read_answer(header.first, rest, is_v5);
}

// A beginning is never taken for a packet; with a length to fit it may be one, but nothing behind
// it is read.
static void read_beginnings(const uint8_t *packet, size_t len, bool is_v5)
{
    for (size_t part = 0; part < len && part < 64; part++) {
        uint8_t *copy = malloc(part + 1);
        memcpy(copy, packet, part);
        json_t *whole = read_packet((struct pipit_bytes){copy, part}, is_v5);
        if (whole != NULL && json_object_get(whole, "error") == NULL) {
            (void)fprintf(stderr, "%zu of %zu bytes were taken for a packet\n", part, len);
            exit(1);
        }
        json_decref(whole);
        if (part >= 2 && len < 128) {
            copy[1] = (uint8_t)(part - 2);
            json_decref(read_packet((struct pipit_bytes){copy, part}, is_v5));
        }
        free(copy);
    }
}

static int read_packets(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        json_t *given = json_loads(line, 0, NULL);
        const char *hex = json_string_value(json_object_get(given, "hex"));
        bool is_v5 = json_integer_value(json_object_get(given, "v")) == 5;
        size_t len = json_string_length(json_object_get(given, "hex")) / 2;
        uint8_t *packet = unhex(hex, len);
        json_t *result = read_packet((struct pipit_bytes){packet, len}, is_v5);
        say(result != NULL ? result : json_pack("{ss}", "error", "not whole"));
        read_beginnings(packet, len, is_v5);
        free(packet);
        json_decref(given);
    }
    free(line);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write") == 0) {
        return write_packets(strtoull(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10));
    }
    if (argc == 2 && strcmp(argv[1], "read") == 0) {
        return read_packets();
    }
    (void)fprintf(stderr, "usage: client_packets write SEED COUNT | client_packets read\n");
    return 2;
}
