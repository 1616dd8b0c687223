// full - a device that uses all of the SDK's core: QoS 0, 1 and 2 both ways, typed events and
// opaque payloads, commands with replies, presence with an orderly leave, session resume.
// device-sdk/tools/size links it for the table in SIZE.md; nobody runs it.
#include "pipit/client.h"

#define UART_DATA  (*(volatile uint8_t *)0x40004000u)
#define UART_FLAGS (*(volatile uint8_t *)0x40004004u)
#define TICK_MS    (*(volatile uint32_t *)0x40008000u)

static int32_t uart_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    if (len == 0 || (UART_FLAGS & 1u) != 0) {
        return 0;
    }
    UART_DATA = *ptr;
    return 1;
}

static int32_t uart_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    if (size == 0 || (UART_FLAGS & 2u) == 0) {
        return 0;
    }
    *ptr = UART_DATA;
    return 1;
}

static enum pipit_err uart_open(struct pipit_transport *transport, uint32_t now_ms)
{
    (void)transport;
    (void)now_ms;
    return (UART_FLAGS & 4u) != 0 ? PIPIT_OK : PIPIT_ERR_BUSY;
}

static void uart_close(struct pipit_transport *transport)
{
    (void)transport;
    UART_FLAGS = 8u;
}

static const struct pipit_transport_type uart_type = {
    .write = uart_write, .read = uart_read, .open = uart_open, .close = uart_close};
static struct pipit_transport uart = {&uart_type};

static uint8_t spool_memory[2048], buffer[384], received[512], sending[512];
static uint8_t recent[PIPIT_COMMAND_MEMORY(4, 96)];
static uint16_t inbound[4];
static struct pipit_flight flights[8];
static struct pipit_ram_spool spool;
static struct pipit_client client;
static struct pipit_device device;

static int32_t run(void *context, const struct pipit_command *command, struct pipit_sink *reply)
{
    struct pipit_field field;
    (void)context;
    if (!pipit_command_is(command, "fan") ||
        pipit_command_field(command, "speed", &field) != PIPIT_OK) {
        return PIPIT_ERR_UNKNOWN;
    }
    UART_FLAGS = (uint8_t)field.value.counter;
    (void)pipit_reply_text(reply, "set");
    (void)pipit_reply_add(reply, &PIPIT_UNSIGNED("speed", field.value.counter));
    return 0;
}

static uint64_t clock_ms(void *context)
{
    (void)context;
    return TICK_MS;
}

static const struct pipit_client_options options = {
    .transport = &uart,
    .version = PIPIT_WITH_MQTT_311 ? PIPIT_MQTT_311 : PIPIT_MQTT_5,
    .receive_memory = received,
    .send_memory = sending,
    .receive_bytes = sizeof(received),
    .send_bytes = sizeof(sending),
    .flights = flights,
    .flights_max = sizeof(flights) / sizeof(flights[0]),
    .inbound = inbound,
    .inbound_max = sizeof(inbound) / sizeof(inbound[0]),
};

static struct pipit_config config = {
    .group = "demo",
    .device = "fan-1",
    .software = "fan 1.0",
    .spool = &spool.base,
    .link = &client.base,
    .buffer = buffer,
    .buffer_bytes = sizeof(buffer),
    .seed = 1,
    .clock_ms = clock_ms,
    .username = "fan-1",
    .on_command = run,
    .command_memory = recent,
    .command_slots = 4,
    .command_slot_bytes = PIPIT_COMMAND_SLOT(96),
};

int main(void)
{
    uint32_t next_ms = 0;
    config.qos = (enum pipit_qos)UART_FLAGS; // Known at run time only: none may be left out.
    config.confirm = (enum pipit_confirm)UART_FLAGS;
    (void)pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory), PIPIT_DROP_OLDEST,
                               pipit_boot_random(TICK_MS));
    if (pipit_client_init(&client, &options) != PIPIT_OK ||
        pipit_init(&device, &config) != PIPIT_OK) {
        return 1;
    }
    while (!pipit_is_stopped(&device)) {
        if ((TICK_MS - next_ms) < 0x80000000u) {
            next_ms += 60000;
            (void)pipit_publish(&device, "power", PIPIT_UNSIGNED("watts", UART_FLAGS),
                                PIPIT_FLOAT("celsius", 21.5f), PIPIT_TEXT("mode", "auto"));
            (void)pipit_publish_payload(&device, "log", "text/plain", pipit_text("tick"), NULL);
        }
        if (UART_FLAGS == 0x80u) {
            pipit_stop(&device);
        }
        (void)pipit_poll(&device, TICK_MS);
    }
    return (int)pipit_link_error(&device);
}
