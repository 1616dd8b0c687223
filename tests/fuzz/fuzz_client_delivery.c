// Messages both ways through links that break anywhere, between a broker that does everything
// right and a device that hands over again what was not acknowledged: at QoS 2 each message passes
// once, at QoS 1 at least once, and the device's come in their order.
#include "client_world.h"
#include "fuzz.h"

const uint32_t fuzz_count = 10000;

#define MESSAGES 24u
#define IDS      32u

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

// ---- the device: messages 1 to `put`, acknowledged or not ---------------------------------------

static struct {
    uint8_t qos[MESSAGES + 1];
    bool is_done[MESSAGES + 1];
    unsigned put, next;         // `next` is handed over next on this connection.
    unsigned got[MESSAGES + 1]; // Of the broker's messages.
    uint32_t held_token;        // With explicit acknowledgement,
    uint8_t held;               // of this message.
} device;

// ---- the broker: its session lasts --------------------------------------------------------------

enum leg { WAITING = 0, PUBLISHED, RELEASED, ENDED };

static struct {
    bool is_held[IDS]; // QoS 2 messages of the device, between PUBLISH and PUBREL.
    unsigned passed[MESSAGES + 1];
    uint8_t qos[MESSAGES + 1]; // Its own messages; their number is their identifier.
    enum leg leg[MESSAGES + 1];
    unsigned put, under_way;
    bool is_up, is_cut;
} broker;

// What is said after the cut is lost.
static void say(const uint8_t *ptr, size_t len)
{
    if (!broker.is_cut) {
        world_put(&world, ptr, len);
    }
}

static void answer(uint8_t first, uint16_t id)
{
    uint8_t packet[] = {first, 2, (uint8_t)(id >> 8), (uint8_t)id};
    say(packet, sizeof(packet));
}

static void broker_publish(unsigned number, bool is_dup)
{
    uint8_t qos = broker.qos[number];
    uint8_t packet[] = {0x30, 6, 0, 1, 't', 0, (uint8_t)number, (uint8_t)number, (uint8_t)number};
    packet[0] = (uint8_t)(0x30 | qos << 1 | (is_dup ? 8 : 0));
    if (world.is_v5) {
        packet[1] = 7;
        packet[7] = 0;
    }
    say(packet, 2u + packet[1]);
}

// As many as the device's table holds.
static void broker_go_on(void)
{
    unsigned room = world.options.inbound_max;
    for (unsigned i = 1; i <= broker.put && broker.under_way < room; i++) {
        if (broker.leg[i] == WAITING) {
            broker.leg[i] = PUBLISHED;
            broker.under_way++;
            broker_publish(i, false);
        }
    }
}

static void broker_resume(void)
{
    uint8_t connack[] = {0x20, world.is_v5 ? 3 : 2, 1, 0, 0};
    say(connack, 2u + connack[1]);
    broker.is_up = true;
    for (unsigned i = 1; i <= broker.put; i++) {
        if (broker.leg[i] == PUBLISHED) {
            broker_publish(i, true);
        } else if (broker.leg[i] == RELEASED) {
            answer(0x62, (uint16_t)i);
        }
    }
    broker_go_on();
}

static void broker_end(uint16_t id)
{
    WORLD_MUST(id <= broker.put && broker.leg[id] != WAITING);
    broker.under_way -= broker.leg[id] != ENDED;
    broker.leg[id] = ENDED;
    broker_go_on();
}

static void broker_pass(const struct judge_packet *packet)
{
    WORLD_MUST(packet->payload.len == 1);
    unsigned number = packet->payload.ptr[0];
    if (packet->qos < 2 || !broker.is_held[packet->id]) {
        broker.passed[number]++;
    }
    for (unsigned i = 1; i < number; i++) { // In the device's order.
        WORLD_MUST(broker.passed[i] > 0);
    }
    WORLD_MUST(packet->id < IDS && packet->qos == device.qos[number]);
    broker.is_held[packet->id] = packet->qos == 2;
    answer(packet->qos == 2 ? 0x50 : 0x40, packet->id);
}

static void broker_take(struct world *unused, const struct judge_packet *packet)
{
    (void)unused;
    switch (packet->type) {
    case 1:
        broker_resume();
        break;
    case 3:
        broker_pass(packet);
        break;
    case 4:
        WORLD_MUST(packet->id <= broker.put && broker.qos[packet->id] == 1);
        broker_end(packet->id);
        break;
    case 5:
        WORLD_MUST(packet->id <= broker.put && broker.qos[packet->id] == 2);
        if (broker.leg[packet->id] == PUBLISHED) {
            broker.leg[packet->id] = RELEASED;
        }
        answer(0x62, packet->id);
        break;
    case 6:
        broker.is_held[packet->id] = false;
        answer(0x70, packet->id);
        break;
    case 7:
        broker_end(packet->id);
        break;
    case 12:
        say((const uint8_t[]){0xD0, 0}, 2);
        break;
    default:
        break;
    }
}

// ---- what happens -------------------------------------------------------------------------------

static void device_got(uint8_t number)
{
    WORLD_MUST(number > 0 && number <= broker.put);
    device.got[number]++;
    WORLD_MUST(device.got[number] == 1 || broker.qos[number] == 1);
}

static void device_acknowledge(void)
{
    if (device.held != 0 &&
        pipit_client_acknowledge(&world.client, device.held_token) == PIPIT_OK) {
        device_got(device.held); // Only now it is the device's.
        device.held = 0;
    }
}

static void device_message(void)
{
    WORLD_MUST(world.event.rc == PIPIT_OK && world.event.payload.len == 1);
    if (!world.options.is_ack_explicit) {
        device_got(world.event.payload.ptr[0]);
        return;
    }
    device.held = world.event.payload.ptr[0];
    device.held_token = world.event.token;
}

static void poll_once(void)
{
    if (device.held != 0) {
        device_acknowledge();
    }
    if (device.held != 0 && world.options.is_ack_explicit && (take() & 1) == 0) {
        world.link->type->disconnect(world.link); // It cannot wait, and gives up.
    }
    switch (world_poll(&world)) {
    case PIPIT_LINK_ACKED:
        WORLD_MUST(world.event.rc == PIPIT_OK && world.event.token <= device.put);
        WORLD_MUST(broker.passed[world.event.token] > 0);
        device.is_done[world.event.token] = true;
        break;
    case PIPIT_LINK_MESSAGE:
        device_message();
        break;
    case PIPIT_LINK_DOWN:
        broker.is_up = broker.is_cut = false;
        device.next = 1;
        device.held = 0;
        break;
    default:
        break;
    }
}

// Hands over what comes next, always in order.
static void hand_over(uint8_t how)
{
    for (unsigned left = 1 + how % 4; left > 0 && device.next <= device.put; left--) {
        uint8_t payload = (uint8_t)device.next;
        struct pipit_message message = {.topic = "t",
                                        .payload = {&payload, 1},
                                        .qos = device.qos[device.next],
                                        .token = device.next};
        if (device.is_done[device.next]) {
            device.next++;
            left++;
            continue;
        }
        enum pipit_err rc = world.link->type->publish(world.link, &message);
        WORLD_MUST(rc == PIPIT_OK || rc == PIPIT_ERR_BUSY);
        if (rc != PIPIT_OK) {
            return;
        }
        device.next++;
    }
}

static void put_ours(uint8_t how)
{
    if (device.put < MESSAGES) {
        device.qos[++device.put] = 1 + how % 2;
    }
}

static void put_theirs(uint8_t how)
{
    if (broker.put < MESSAGES) {
        broker.qos[++broker.put] = 1 + how % 2;
        if (broker.is_up) {
            broker_go_on();
        }
    }
}

static void polls(uint8_t how)
{
    for (int i = how % 4; i >= 0; i--) {
        poll_once();
    }
}

static void come_up(uint8_t how)
{
    (void)how;
    if (world.state == WORLD_IDLE) {
        world_heal(&world);
        (void)world_connect(&world);
    }
    polls(2);
}

static void pieces(uint8_t how)
{
    world.pipe.read_max = how % 3 == 0 ? PIPE_ANY : 1u + how % 5;
    world.pipe.write_max = how % 4 == 0 ? PIPE_ANY : 1u + how % 7;
}

// So many bytes leave yet, then nothing; the device hears of it some time.
static void stall(uint8_t how)
{
    world.pipe.write_room = how % 32;
}

static void cut(uint8_t how)
{
    if (how % 2 == 0) {
        world.pipe.in_end =
            world.pipe.in_at + (world.pipe.in_end - world.pipe.in_at) * (how / 2) / 128;
    }
    world.pipe.read_error = PIPIT_ERR_UNREACHABLE;
    broker.is_cut = true;
}

static void cut_writing(uint8_t how)
{
    (void)how;
    world.pipe.write_error = PIPIT_ERR_UNREACHABLE;
}

static void wait(uint8_t how)
{
    world.now_ms += how * 200u;
}

static void (*const deeds[16])(uint8_t) = {
    put_ours, put_theirs, hand_over, hand_over, polls, polls,       polls, hand_over,
    come_up,  come_up,    pieces,    stall,     cut,   cut_writing, wait,  polls};

static bool is_all_done(void)
{
    bool is_done = true;
    for (unsigned i = 1; i <= device.put; i++) {
        is_done = is_done && device.is_done[i];
    }
    for (unsigned i = 1; i <= broker.put; i++) {
        is_done = is_done && broker.leg[i] == ENDED;
    }
    return is_done;
}

static void check(void)
{
    for (unsigned i = 1; i <= device.put; i++) {
        WORLD_MUST(device.qos[i] == 2 ? broker.passed[i] == 1 : broker.passed[i] >= 1);
    }
    for (unsigned i = 1; i <= broker.put; i++) {
        WORLD_MUST(broker.qos[i] == 2 ? device.got[i] == 1 : device.got[i] >= 1);
    }
}

void fuzz_one(const uint8_t *ptr, size_t len)
{
    static const struct world_sizes sizes[] = {
        {64, 128, 4, 3}, {32, 32, 1, 1}, {32, 64, 2, 8}, {200, 300, 16, 4}};
    script.ptr = ptr;
    script.len = len;
    memset(&device, 0, sizeof(device));
    memset(&broker, 0, sizeof(broker));
    device.next = 1;
    uint8_t setup = take();
    world_begin(&world, (setup & 1) != 0, sizes[setup >> 1 & 3]);
    world.options.is_ack_explicit = (setup & 8) != 0;
    world.on_packet = broker_take;
    while (script.len > 0) {
        uint8_t what = take();
        deeds[what % 16](what >> 4 | (uint8_t)(take() << 4));
    }
    world_heal(&world);
    world.pipe.read_error = broker.is_cut ? PIPIT_ERR_UNREACHABLE : 0;
    for (int i = 0; i < 5000 && !is_all_done(); i++) {
        come_up(0);
        hand_over(3);
        poll_once();
        world.now_ms += 10;
    }
    WORLD_MUST(is_all_done());
    check();
    world_finish(&world);
    world_end(&world);
}

size_t fuzz_seed(uint32_t index, uint8_t *out, size_t size)
{
    uint32_t random = index * 2654435761u + 7;
    size_t len = 0;
    if (index >= 64 || size < 1000) {
        return 0;
    }
    for (out[len++] = (uint8_t)(index % 16); len < 60 + index * 8; len++) {
        random = random * 1664525u + 1013904223u;
        out[len] = (uint8_t)(random >> 24);
    }
    return len;
}
