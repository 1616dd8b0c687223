// Whole sessions: the device, the clock, the transport and the broker do what a script says, the
// broker also what no broker should. Whatever happens, the link keeps its contract.
#include "client_world.h"
#include "fuzz.h"

const uint32_t fuzz_count = 20000;

#define TOKENS 64u
#define IDS    32u

static struct world world;

static struct {
    const uint8_t *ptr;
    size_t len;
} script;

static uint8_t take(void)
{
    uint8_t byte = 0;
    if (script.len > 0) {
        byte = *script.ptr++;
        script.len--;
    }
    return byte;
}

// ---- what the device knows ----------------------------------------------------------------------

static struct {
    uint8_t accepted[TOKENS], acked[TOKENS];
    bool is_under_way[TOKENS]; // Accepted on this connection and not acknowledged.
    uint32_t next;
    uint32_t messages[8]; // To be acknowledged.
    unsigned message_count;
} device;

// ---- what the broker knows ----------------------------------------------------------------------

enum mood { HONEST, MUTE, TWICE, REFUSING, MOODS };

static struct {
    uint8_t used[IDS]; // By what each identifier is used: 0, QoS 1 and 2, 3 for a subscription.
    unsigned under_way;
    uint16_t receive_max;
    uint32_t packet_max;
    uint8_t qos_max;
    bool has_retain;
    bool is_honest; // On this connection nothing has been sent that is not a broker's.
    bool has_lied;
    enum mood mood;
    uint8_t connack; // What the next CONNACK says.
} broker;

static void give(uint8_t first, uint16_t id, uint8_t code)
{
    uint8_t packet[] = {first, 3, (uint8_t)(id >> 8), (uint8_t)id, code};
    packet[1] = world.is_v5 && code != 0 ? 3 : 2;
    broker.is_honest = broker.is_honest && broker.mood != TWICE;
    for (int i = 0; i < (broker.mood == TWICE ? 2 : broker.mood == MUTE ? 0 : 1); i++) {
        world_put(&world, packet, 2u + packet[1]);
    }
}

static void give_suback(uint8_t first, uint16_t id, uint8_t code)
{
    uint8_t packet[] = {first, 4, (uint8_t)(id >> 8), (uint8_t)id, 0, code};
    if (broker.mood == MUTE) {
        return;
    }
    if (!world.is_v5) {
        packet[1] = first == 0x90 ? 3 : 2;
        packet[4] = code;
    }
    world_put(&world, packet, 2u + packet[1]);
}

static void let_go(uint16_t id, uint8_t use)
{
    if (broker.mood != MUTE && id < IDS && broker.used[id] == use) {
        broker.under_way -= use < 3 ? 1 : 0;
        broker.used[id] = 0;
    }
}

static void give_connack(void)
{
    static const uint8_t plain[] = {0}, some[] = {10, 0x21, 0, 2, 0x24, 1, 0x27, 0, 0, 0};
    static const uint8_t few[] = {7, 0x21, 0, 1, 0x25, 0, 0x24, 0};
    uint8_t head[] = {0x20, 2, broker.connack & 1, 0};
    const uint8_t *tail = plain;
    size_t len = 1;
    uint8_t limit = 40;
    if (broker.mood == MUTE) {
        return;
    }
    if (broker.mood == REFUSING) {
        head[3] = world.is_v5 ? 0x87 : 5;
    }
    broker.receive_max = UINT16_MAX;
    broker.packet_max = UINT32_MAX;
    broker.qos_max = 2;
    broker.has_retain = true;
    if (world.is_v5 && (broker.connack & 2) != 0) {
        tail = few;
        len = sizeof(few);
        broker.receive_max = 1;
        broker.has_retain = false;
        broker.qos_max = 0;
    } else if (world.is_v5 && (broker.connack & 4) != 0) {
        tail = some;
        len = sizeof(some);
        broker.receive_max = 2;
        broker.packet_max = limit;
        broker.qos_max = 1;
    }
    head[1] = (uint8_t)(2 + (world.is_v5 ? len : 0) + (tail == some ? 1 : 0));
    world_put(&world, head, sizeof(head));
    if (world.is_v5) {
        world_put(&world, tail, len);
        if (tail == some) {
            world_put(&world, &limit, 1);
        }
    }
}

static void use(uint16_t id, uint8_t by)
{
    WORLD_MUST(id < IDS);
    WORLD_MUST(broker.used[id] == 0);
    broker.used[id] = by;
    broker.under_way += by < 3 ? 1 : 0;
    // A broker that takes QoS 0 only, and knows a session with more, contradicts itself.
    WORLD_MUST(broker.under_way <= broker.receive_max || by == 3 || broker.qos_max == 0);
}

static void broker_publish(const struct judge_packet *packet)
{
    bool is_refused = broker.mood == REFUSING;
    if (broker.is_honest) {
        WORLD_MUST(packet->size <= broker.packet_max);
        WORLD_MUST(packet->qos <= broker.qos_max || packet->is_dup);
        WORLD_MUST(!packet->is_retained || broker.has_retain);
        if (packet->qos > 0) {
            use(packet->id, packet->qos);
        }
    }
    if (packet->qos == 1) {
        give(0x40, packet->id, is_refused ? 0x97 : 0);
        let_go(packet->id, 1);
    } else if (packet->qos == 2) {
        give(0x50, packet->id, is_refused ? 0x97 : 0);
        if (is_refused && world.is_v5) {
            let_go(packet->id, 2);
        }
    }
}

static void broker_take(struct world *unused, const struct judge_packet *packet)
{
    (void)unused;
    switch (packet->type) {
    case 1:
        memset(broker.used, 0, sizeof(broker.used));
        broker.under_way = 0;
        broker.is_honest = !broker.has_lied;
        give_connack();
        break;
    case 3:
        broker_publish(packet);
        break;
    case 5:
        give(0x62, packet->id, 0);
        break;
    case 6:
        give(0x70, packet->id, packet->code);
        let_go(packet->id, 2);
        break;
    case 8:
    case 10:
        if (broker.is_honest) {
            use(packet->id, 3);
        }
        give_suback(packet->type == 8 ? 0x90 : 0xB0, packet->id,
                    broker.mood == REFUSING && packet->type == 8 ? 0x80 : 0);
        let_go(packet->id, 3);
        break;
    case 12:
        if (broker.mood != MUTE) {
            world_put(&world, (const uint8_t[]){0xD0, 0}, 2);
        }
        break;
    default:
        break;
    }
}

static void broker_sends(uint8_t how)
{
    static const uint8_t zeros[300];
    uint8_t qos = how % 3, id = (uint8_t)(1 + take() % 5);
    size_t len = (how & 0x80) != 0 ? 300 : how >> 4;
    size_t rest = 3u + (qos > 0 ? 2u : 0u) + (world.is_v5 ? 1u : 0u) + len;
    uint8_t head[16] = {(uint8_t)(0x30 | qos << 1 | (qos > 0 && (how & 8) != 0 ? 8 : 0))};
    size_t at = 1;
    for (size_t left = rest; left > 0; left >>= 7) {
        head[at++] = (uint8_t)((left & 0x7F) | (left > 0x7F ? 0x80 : 0));
    }
    head[at++] = 0;
    head[at++] = 1;
    head[at++] = 't';
    if (qos > 0) {
        head[at++] = 0;
        head[at++] = id;
    }
    if (world.is_v5) {
        head[at++] = 0;
    }
    world_put(&world, head, at);
    world_put(&world, zeros, len);
}

static void broker_lies(uint8_t how)
{
    static const uint8_t firsts[] = {0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0x20, 0xD0};
    uint8_t bytes[16];
    size_t len = 1 + how % sizeof(bytes);
    broker.is_honest = false;
    broker.has_lied = true;
    if ((how & 0x80) != 0) {
        uint8_t code = take();
        bytes[0] = firsts[how % 8];
        bytes[1] = world.is_v5 ? 3 : 2;
        bytes[2] = 0;
        bytes[3] = take() % 16;
        bytes[4] = code;
        len = 2u + bytes[1];
    } else {
        for (size_t i = 0; i < len; i++) {
            bytes[i] = take();
        }
    }
    world_put(&world, bytes, len);
}

// ---- what the device does -----------------------------------------------------------------------

static void poll_once(void)
{
    uint32_t token;
    switch (world_poll(&world)) {
    case PIPIT_LINK_ACKED:
        token = world.event.token;
        if (token != 0) { // 0 is what nobody waits for.
            WORLD_MUST(token < TOKENS);
            WORLD_MUST(device.acked[token] < device.accepted[token]);
            device.acked[token]++;
            device.is_under_way[token] = false;
        }
        break;
    case PIPIT_LINK_MESSAGE:
        if (world.options.is_ack_explicit && device.message_count < 8) {
            device.messages[device.message_count++] = world.event.token;
        }
        break;
    case PIPIT_LINK_DOWN:
        device.message_count = 0;
        memset(device.is_under_way, 0, sizeof(device.is_under_way));
        break;
    default:
        break;
    }
}

static void poll_some(uint8_t how)
{
    for (int i = how % 8; i >= 0; i--) {
        poll_once();
    }
}

// A token that is free, or one of a former connection, to be handed over again.
static uint32_t pick(uint8_t how)
{
    uint32_t token = (how & 0x40) != 0 ? how % TOKENS : device.next++ % TOKENS;
    return token == 0 || device.is_under_way[token] || device.accepted[token] == UINT8_MAX ? 0
                                                                                           : token;
}

static void accepted(enum pipit_err rc, uint32_t token)
{
    WORLD_MUST(rc == PIPIT_OK || rc == PIPIT_ERR_BUSY || rc == PIPIT_ERR_SIZE);
    if (rc == PIPIT_OK && token != 0) {
        device.accepted[token]++;
        device.is_under_way[token] = true;
    }
}

static void publish(uint8_t how)
{
    static const uint8_t payload[200];
    uint32_t token = pick(take());
    struct pipit_message message = {
        .topic = "t",
        .payload = {payload, how >> 6 == 3 ? sizeof(payload) : how >> 4},
        .qos = how % 3,
        .is_retained = (how & 8) != 0,
        .token = token};
    enum pipit_err rc = world.link->type->publish(world.link, &message);
    WORLD_MUST(rc == PIPIT_ERR_BUSY || world.state == WORLD_UP);
    accepted(rc, token);
}

static void ask(uint8_t how)
{
    uint32_t token = pick(take());
    enum pipit_err rc = (how & 1) != 0
                            ? world.link->type->subscribe(world.link, "a/#", how >> 1 & 1, token)
                            : pipit_client_unsubscribe(&world.client, "a/#", token);
    WORLD_MUST(rc == PIPIT_ERR_BUSY || world.state == WORLD_UP);
    accepted(rc, token);
}

static void acknowledge(uint8_t how)
{
    if (device.message_count > 0) {
        unsigned at = how % device.message_count;
        if (pipit_client_acknowledge(&world.client, device.messages[at]) == PIPIT_OK) {
            device.messages[at] = device.messages[--device.message_count];
        }
    }
}

static void connect(uint8_t how)
{
    broker.connack = how;
    world.connect.is_clean_start = (how & 0x18) == 0x18;
    world.connect.session_expiry_s = (how & 0x60) == 0x60 ? 0 : 60;
    world.connect.keepalive_s = (how & 0x80) != 0 ? 0 : 30;
    if (world_connect(&world) == PIPIT_OK) { // What a wire still holds may be a lie.
        broker.has_lied = world.pipe.in_at < world.pipe.in_end;
    }
    poll_some(3);
}

static void leave(uint8_t how)
{
    if (how % 4 == 0) {
        world.link->type->disconnect(world.link);
    }
}

static void heal(uint8_t how)
{
    (void)how;
    world_heal(&world);
}

static void broker_mood(uint8_t how)
{
    broker.mood = how % 8 < MOODS ? how % 8 : HONEST;
}

static void transport(uint8_t how)
{
    struct byte_pipe *pipe = &world.pipe;
    bool has_open = pipe->type.open != NULL;
    switch (how % 8) {
    case 0:
        world_heal(&world);
        break;
    case 1:
        pipe->read_error = has_open ? PIPIT_ERR_UNREACHABLE : 0;
        break;
    case 2:
        pipe->write_error = PIPIT_ERR_TLS;
        break;
    case 3:
        pipe->write_room = how >> 3;
        break;
    case 4:
        pipe->read_max = 1 + (how >> 3) % 7;
        break;
    case 5:
        pipe->write_max = 1 + (how >> 3) % 7;
        break;
    case 6:
        pipe->open_busy = how >> 3;
        break;
    default:
        pipe->open_rc = PIPIT_ERR_UNREACHABLE;
        break;
    }
}

static void jump(uint8_t how)
{
    static const uint32_t jumps[] = {1, 100, 1000, 5000, 22500, 30001, 3600000, 0x40000000};
    world.now_ms += jumps[how % 16 < 8 ? how % 4 : how % 8];
}

// What a script's byte means; most are what devices and brokers do all day.
static void (*const deeds[32])(uint8_t) = {
    publish,      publish,      publish,      publish,   publish, publish, ask,         ask,
    poll_some,    poll_some,    poll_some,    poll_some, jump,    jump,    acknowledge, acknowledge,
    broker_sends, broker_sends, broker_sends, poll_some, publish, publish, connect,     connect,
    transport,    broker_lies,  broker_mood,  leave,     heal,    heal,    heal,        poll_some,
};

static bool reach(enum world_state state)
{
    for (int i = 0; i < 2000 && world.state != state; i++) {
        poll_once();
    }
    return world.state == state;
}

// Whatever there was before: a good transport and a good broker are enough to go on.
static void recover(void)
{
    static const struct pipit_message message = {.topic = "t", .qos = 1, .token = 1};
    memset(&device, 0, sizeof(device));
    world_heal(&world);
    world_finish(&world);
    world.pipe.in_at = world.pipe.in_end; // A modem that was reset.
    broker.mood = HONEST;
    connect(0);
    WORLD_MUST(reach(WORLD_UP));
    accepted(world.link->type->publish(world.link, &message), 1);
    WORLD_MUST(device.accepted[1] == 1);
    for (int i = 0; i < 2000 && device.acked[1] == 0; i++) {
        poll_once();
    }
    WORLD_MUST(device.acked[1] == 1);
    world_finish(&world);
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static const struct world_sizes sizes[] = {
        {128, 256, 8, 3}, {32, 48, 1, 1}, {400, 64, 3, 0}, {64, 128, 16, 8}};
    script.ptr = ptr;
    script.len = len;
    memset(&device, 0, sizeof(device));
    memset(&broker, 0, sizeof(broker));
    device.next = 1;
    uint8_t setup = take();
    world_begin(&world, (setup & 1) != 0, sizes[setup >> 1 & 3]);
    world.on_packet = broker_take;
    world.options.is_ack_explicit = (setup & 8) != 0;
    if ((setup & 16) != 0) { // A wire.
        world.pipe.type.open = NULL;
        world.pipe.type.close = NULL;
        world.pipe.is_open = true;
    }
    while (script.len > 0) {
        deeds[take() % 32](take());
    }
    recover();
    world_end(&world);
}

// ---- seeds: scripts of chance -------------------------------------------------------------------

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    static const uint8_t begin[] = {22, 0}; // Connect and come up.
    uint32_t random = index * 2654435761u + 1;
    size_t len = 0;
    if (index >= 64 || size < 1000) {
        return 0;
    }
    out[len++] = (uint8_t)(index % 32);
    memcpy(out + len, begin, sizeof(begin));
    for (len += sizeof(begin); len < 40 + index * 12; len++) {
        random = random * 1664525u + 1013904223u;
        out[len] = (uint8_t)(random >> 24);
    }
    return len;
}
