// Packets of a broker, mutated and cut anywhere: each is understood or ends the connection, and
// it makes no difference how the bytes were split.
#include "client_world.h"
#include "fuzz.h"
#include "mqtt.h"

const uint32_t fuzz_count = 60000;

// The first byte of an input: what it is given to. The rest comes from the broker.
enum { IS_V5 = 1, IS_CONNECTING = 2, IS_EXPLICIT = 4, SIZES_AT = 3 };

static const struct {
    uint8_t setup;
    uint8_t bytes[80];
    size_t len;
} seeds[] = {
#define SEED(setup, ...)                                                                           \
    {                                                                                              \
        setup, {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                               \
    }
    SEED(0, 0x30, 4, 0, 1, 't', 'x', 0x32, 6, 0, 1, 't', 0, 9, 'x', 0x34, 6, 0, 1, 't', 0, 9, 'y'),
    SEED(0, 0x40, 2, 0, 1, 0x50, 2, 0, 2, 0x70, 2, 0, 2, 0x90, 3, 0, 3, 1, 0xB0, 2, 0, 3),
    SEED(0, 0x3C, 6, 0, 1, 't', 0, 7, 'x', 0x62, 2, 0, 7, 0xD0, 0, 0x62, 2, 1, 7),
    SEED(0, 0x34, 5, 0, 1, 't', 0, 1, 0x34, 5, 0, 1, 't', 0, 2, 0x34, 5, 0, 1, 't', 0, 3, 0xD0, 0),
    SEED(0, 0x3A, 9, 0, 3, 0xE2, 0x82, 0xAC, 0, 7, 'x', 'y', 0x31, 3, 0, 1, '/'),
    SEED(0, 0x32, 0x85, 1, 0, 1, 't', 0, 9, 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x', 'x'),
    SEED(1 << SIZES_AT, 0x32, 0x40, 0, 0x39, 't', 't', 't', 't', 't', 't', 't', 't', 't', 't', 't'),
    SEED(IS_CONNECTING, 0x20, 2, 0, 0, 0x30, 4, 0, 1, 't', 'x', 0xD0, 0),
    SEED(IS_CONNECTING, 0x20, 2, 1, 0, 0x62, 2, 0, 1),
    SEED(IS_CONNECTING, 0x20, 2, 0, 5),
    SEED(IS_EXPLICIT, 0x32, 6, 0, 1, 't', 0, 9, 'x', 0x34, 6, 0, 1, 't', 0, 9, 'y', 0x62, 2, 0, 9),
    SEED(IS_V5, 0x30, 5, 0, 1, 't', 0, 'x', 0x32, 7, 0, 1, 't', 0, 9, 0, 'x', 0x34, 6, 0, 1, 't', 0,
         9, 0),
    SEED(IS_V5, 0x40, 3, 0, 1, 0x10, 0x50, 4, 0, 2, 0, 0, 0x70, 2, 0, 2, 0x90, 4, 0, 3, 0, 1),
    SEED(IS_V5, 0x40, 9, 0, 1, 0x87, 5, 0x1F, 0, 2, 'n', 'o', 0xB0, 4, 0, 3, 0, 0x11),
    SEED(IS_V5, 0x30, 40, 0, 1, 't', 35, 0x01, 1, 0x02, 0, 0, 0, 9, 0x03, 0, 1, 't', 0x08, 0, 1,
         'r', 0x09, 0, 1, 0xFF, 0x0B, 0x80, 1, 0x26, 0, 1, 'k', 0, 1, 'v', 0x0B, 5, 0x01, 0, 'x'),
    SEED(IS_V5, 0xE0, 7, 0x8B, 5, 0x1F, 0, 2, 'n', 'o'),
    SEED(IS_V5, 0x34, 7, 0, 1, 't', 0, 9, 0, 'x', 0x62, 3, 0, 9, 0x92, 0x62, 2, 0, 10, 0x50, 2, 0,
         9),
    SEED(IS_V5 | IS_CONNECTING, 0x20, 3, 0, 0, 0, 0xD0, 0),
    SEED(IS_V5 | IS_CONNECTING, 0x20, 50, 1, 0, 47, 0x11, 0, 0, 0, 9, 0x12, 0, 1, 'i', 0x13, 0, 9,
         0x21, 0, 2, 0x22, 0, 5, 0x24, 1, 0x25, 0, 0x27, 0, 0, 1, 0, 0x28, 1, 0x29, 0, 0x2A, 1,
         0x1F, 0, 1, 's', 0x26, 0, 1, 'k', 0, 0, 0xD0, 0),
    SEED(IS_V5 | IS_CONNECTING, 0x20, 2, 0, 1),
    SEED(IS_V5 | IS_EXPLICIT, 0x32, 7, 0, 1, 't', 0, 9, 0, 'x', 0x34, 7, 0, 1, 't', 0, 9, 0, 'y'),
};

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    if (index >= sizeof(seeds) / sizeof(seeds[0]) || size < 1 + sizeof(seeds[0].bytes)) {
        return 0;
    }
    out[0] = seeds[index].setup;
    memcpy(out + 1, seeds[index].bytes, seeds[index].len);
    return 1 + seeds[index].len;
}

// ---- the readers by themselves ------------------------------------------------------------------

static bool is_within(struct pipit_bytes all, struct pipit_bytes part)
{
    return part.ptr >= all.ptr && part.ptr + part.len <= all.ptr + all.len;
}

static void read_alone(struct pipit_bytes bytes, bool is_v5)
{
    static const uint8_t answers[] = {0x40, 0x50, 0x62, 0x70, 0x90, 0xB0};
    struct mqtt_header header;
    struct mqtt_publish publish;
    struct mqtt_answer answer;
    struct mqtt_grant grant = {.qos_max = 2};
    if (pipit_mqtt_read_header(bytes, &header) == MQTT_OK && header.len > 0) {
        WORLD_MUST(header.len <= bytes.len && header.len <= 5 && header.rest <= 268435455);
    }
    for (uint8_t flags = 0; flags < 16; flags++) {
        if (pipit_mqtt_read_publish(0x30 | flags, bytes, is_v5, &publish) == MQTT_OK) {
            WORLD_MUST(is_within(bytes, publish.topic) && is_within(bytes, publish.payload));
            WORLD_MUST(publish.qos < 3 && (publish.qos == 0) == (publish.id == 0));
        }
    }
    if (pipit_mqtt_read_connack(bytes, is_v5, &grant) == MQTT_OK && is_v5 && grant.code == 0) {
        WORLD_MUST(grant.qos_max <= 2);
    }
    for (size_t i = 0; i < sizeof(answers); i++) {
        if (pipit_mqtt_read_answer(answers[i], bytes, is_v5, &answer) == MQTT_OK) {
            WORLD_MUST(answer.id != 0);
        }
    }
}

// ---- the client ---------------------------------------------------------------------------------

static struct world world;
static bool is_waiting[4]; // Tokens 1 to 3.

static uint32_t mix(uint32_t hash, const uint8_t *ptr, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ ptr[i]) * 16777619u;
    }
    return hash;
}

static uint32_t mix_event(uint32_t hash, const struct pipit_link_event *event)
{
    uint8_t head[] = {(uint8_t)event->kind, (uint8_t)event->rc};
    hash = mix(hash, head, sizeof(head));
    if (event->kind == PIPIT_LINK_MESSAGE) {
        hash = mix(hash, event->topic.ptr, event->topic.len);
        hash = mix(hash ^ 0xFF, event->payload.ptr, event->payload.len);
    }
    return event->kind == PIPIT_LINK_ACKED ? hash * 31 + event->token : hash;
}

// Polls until nothing is left; what came of it.
static uint32_t drain(uint32_t hash, size_t polls_max)
{
    while (world_poll(&world) != PIPIT_LINK_NOTHING) {
        WORLD_MUST(polls_max-- > 0);
        hash = mix_event(hash, &world.event);
        if (world.event.kind == PIPIT_LINK_ACKED) {
            WORLD_MUST(world.event.token < 4 && is_waiting[world.event.token]);
            is_waiting[world.event.token] = false;
        } else if (world.event.kind == PIPIT_LINK_MESSAGE && world.options.is_ack_explicit) {
            (void)pipit_client_acknowledge(&world.client, world.event.token);
        }
    }
    return hash;
}

static void begin(uint8_t setup)
{
    static const struct world_sizes sizes[] = {
        {128, 256, 4, 2}, {32, 64, 4, 2}, {512, 64, 3, 0}, {64, 256, 8, 1}};
    struct pipit_message message = {.topic = "t", .payload = pipit_text("x")};
    static const uint8_t connack[] = {0x20, 3, 0, 0, 0}, connack_311[] = {0x20, 2, 0, 0};
    bool is_v5 = (setup & IS_V5) != 0;
    world_begin(&world, is_v5, sizes[setup >> SIZES_AT & 3]);
    world.options.is_ack_explicit = (setup & IS_EXPLICIT) != 0;
    memset(is_waiting, 0, sizeof(is_waiting));
    WORLD_MUST(world_connect(&world) == PIPIT_OK);
    (void)world_poll(&world);
    (void)world_poll(&world);
    if ((setup & IS_CONNECTING) != 0) {
        return;
    }
    world_put(&world, is_v5 ? connack : connack_311, is_v5 ? 5 : 4);
    WORLD_MUST(world_poll(&world) == PIPIT_LINK_UP);
    for (uint32_t token = 1; token < 4; token++) {
        message.qos = (uint8_t)token;
        message.token = token;
        is_waiting[token] =
            (token < 3 ? world.link->type->publish(world.link, &message)
                       : world.link->type->subscribe(world.link, "a/#", 1, token)) == PIPIT_OK;
    }
}

static uint32_t run(uint8_t setup, const uint8_t *ptr, size_t len, size_t piece)
{
    uint32_t hash = 2166136261u;
    begin(setup);
    for (size_t at = 0; at < len; at += piece) {
        piece = pipe_least(piece, len - at);
        world_put(&world, ptr + at, piece);
        hash = drain(hash, 2 * len + 8);
        // Steps are bounded by poll: what is left is taken by the next ones.
        for (size_t i = 0; i < len && world.pipe.in_at < world.pipe.in_end; i++) {
            hash = drain(hash, 2 * len + 8);
        }
        hash = drain(hash, 2 * len + 8);
    }
    world_finish(&world);
    world_end(&world);
    return hash;
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static const size_t pieces[] = {1, 2, 3, 5, 31, 64, 65, 100};
    static uint32_t turn;
    if (len < 1) {
        return;
    }
    uint8_t setup = ptr[0];
    struct pipit_bytes rest = {ptr + 1, len - 1};
    read_alone(rest, (setup & IS_V5) != 0);
    uint32_t whole = run(setup, rest.ptr, rest.len, SIZE_MAX);
    uint32_t split = run(setup, rest.ptr, rest.len, pieces[turn++ % 8]);
    WORLD_MUST(whole == split);
}
