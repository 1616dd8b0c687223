// bench_publish - instructions and stack of a QoS 1 publish and its PUBACK: by the client alone, as
// other MQTT libraries are measured, and by the whole SDK from the typed event to its release.
// The broker is played between the measured calls.
#include "bench.h"
#include "pipit/client.h"

#define PAYLOAD_BYTES 55u

enum { CONNECT = 0x10, PUBLISH = 0x30, SUBSCRIBE = 0x80 };

// ---- transport: takes everything at once -------------------------------------------------------

struct pipe {
    struct pipit_transport base;
    const uint8_t *written; // Where the client has it; valid until the client's next call.
    size_t written_len;
    uint8_t answers[32];
    size_t answers_len;
};

static int32_t pipe_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    struct pipe *pipe = (struct pipe *)(void *)transport;
    pipe->written = ptr;
    pipe->written_len = len;
    return (int32_t)len;
}

static int32_t pipe_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    struct pipe *pipe = (struct pipe *)(void *)transport;
    size_t len = pipe->answers_len < size ? pipe->answers_len : size;
    if (len > 0) {
        memcpy(ptr, pipe->answers, len);
        pipe->answers_len -= len;
    }
    return (int32_t)len;
}

static const struct pipit_transport_type pipe_type = {.write = pipe_write, .read = pipe_read};
static struct pipe pipe = {.base = {&pipe_type}};

// ---- broker ------------------------------------------------------------------------------------

static void answer(uint8_t packet, uint8_t high, uint8_t low, bool has_code)
{
    uint8_t *at = pipe.answers + pipe.answers_len;
    *at++ = packet;
    *at++ = has_code ? 3 : 2;
    *at++ = high;
    *at++ = low;
    if (has_code) {
        *at++ = 1;
    }
    pipe.answers_len = (size_t)(at - pipe.answers);
}

// Answers the packets that were written last; all are shorter than 128 bytes.
static void broker_step(void)
{
    const uint8_t *at = pipe.written;
    const uint8_t *end = at + pipe.written_len;
    for (; at < end; at += 2u + at[1]) {
        const uint8_t *body = at + 2;
        size_t topic_len = (size_t)body[0] << 8 | body[1];
        if (at[0] == CONNECT) {
            answer(0x20, 0, 0, false);
        } else if ((at[0] & 0xF0) == SUBSCRIBE) {
            answer(0x90, body[0], body[1], true);
        } else if ((at[0] & 0xF6) == (PUBLISH | 2)) {
            answer(0x40, body[2 + topic_len], body[3 + topic_len], false);
        }
    }
    pipe.written_len = 0;
}

// ---- the client alone --------------------------------------------------------------------------

static uint8_t received[128], sending[192];
static struct pipit_flight flights[4];
static struct pipit_client client;
static const struct pipit_client_options options = {
    .transport = &pipe.base,
    .version = PIPIT_MQTT_311,
    .receive_memory = received,
    .send_memory = sending,
    .receive_bytes = sizeof(received),
    .send_bytes = sizeof(sending),
    .flights = flights,
    .flights_max = 4,
};

static const struct pipit_link_type *link;
static enum pipit_err publish_rc;
static struct pipit_link_event link_event;

static void client_publish(void *context)
{
    struct pipit_link_event event;
    publish_rc = link->publish(&client.base, context);
    link->poll(&client.base, 1, &event);
}

static void client_take(void *context)
{
    (void)context;
    link->poll(&client.base, 1, &link_event);
}

static bool client_connect(void)
{
    static const struct pipit_connect connect = {
        .client_id = "demo/meter-1", .keepalive_s = 30, .is_clean_start = true};
    (void)pipit_client_init(&client, &options);
    link = client.base.type;
    (void)link->connect(&client.base, &connect);
    for (unsigned i = 0; i < 8 && link_event.kind != PIPIT_LINK_UP; i++) {
        link->poll(&client.base, 1, &link_event);
        broker_step();
    }
    return link_event.kind == PIPIT_LINK_UP;
}

static bool bench_client(void)
{
    static uint8_t payload[PAYLOAD_BYTES];
    struct pipit_message message = {.topic = "pipit/v1/demo/meter-1/event/climate",
                                    .payload = {payload, sizeof(payload)},
                                    .qos = 1,
                                    .token = 7};
    if (!client_connect()) {
        return false;
    }
    struct bench publish = bench_run(client_publish, &message);
    broker_step();
    struct bench take = bench_run(client_take, NULL);
    bench_print("m4_publish_instructions", publish.instructions + take.instructions);
    bench_print("m4_publish_stack", publish.stack_bytes);
    return publish_rc == PIPIT_OK && link_event.kind == PIPIT_LINK_ACKED && link_event.token == 7;
}

// ---- the whole SDK -----------------------------------------------------------------------------

static uint8_t spool_memory[512], buffer[192];
static struct pipit_ram_spool spool;
static struct pipit_device device;
static const struct pipit_config config = {
    .group = "demo",
    .device = "meter-1",
    .spool = &spool.base,
    .link = &client.base,
    .buffer = buffer,
    .buffer_bytes = sizeof(buffer),
    .seed = 1,
    .confirm = PIPIT_CONFIRM_PUBACK,
};

static void device_publish(void *context)
{
    (void)context;
    publish_rc = pipit_publish(&device, "climate", PIPIT_FLOAT("celsius", 21.5f),
                               PIPIT_FLOAT("hum", 58.2f), PIPIT_UNSIGNED("tick", 1842));
}

static void device_poll(void *context)
{
    (void)context;
    (void)pipit_poll(&device, 1);
}

static bool device_connect(void)
{
    (void)pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory), PIPIT_REFUSE, 1);
    if (pipit_client_init(&client, &options) != PIPIT_OK ||
        pipit_init(&device, &config) != PIPIT_OK) {
        return false;
    }
    pipe.answers_len = 0;
    for (unsigned i = 0; i < 8; i++) { // The status message is settled, too.
        (void)pipit_poll(&device, 1);
        broker_step();
    }
    return pipit_is_online(&device);
}

static bool bench_device(void)
{
    static bench_fn *const steps[] = {device_publish, device_poll, device_poll};
    uint32_t instructions = 0, stack_bytes = 0;
    if (!device_connect()) {
        return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        struct bench step = bench_run(steps[i], NULL);
        instructions += step.instructions;
        stack_bytes = step.stack_bytes > stack_bytes ? step.stack_bytes : stack_bytes;
        broker_step();
    }
    bench_print("m4_device_instructions", instructions);
    bench_print("m4_device_stack", stack_bytes);
    return publish_rc == PIPIT_OK && pipit_waiting(&device) == 0;
}

int main(void)
{
    if (!bench_client()) {
        return 1;
    }
    return bench_device() ? 0 : 2;
}
