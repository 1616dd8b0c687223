// minimal - the smallest useful device: one typed event at QoS 1 from a RAM spool over a UART.
// device-sdk/tools/size links it for the table in SIZE.md; nobody runs it.
#include "pipit/client.h"

// A UART as on many small chips: data, and two flags.
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

static const struct pipit_transport_type uart_type = {.write = uart_write, .read = uart_read};
static struct pipit_transport uart = {&uart_type};

static uint8_t spool_memory[512], buffer[192], received[128], sending[192];
static struct pipit_flight flights[4];
static struct pipit_ram_spool spool;
static struct pipit_client client;
static struct pipit_device device;

static const struct pipit_client_options options = {
    .transport = &uart,
    .version = PIPIT_WITH_MQTT_311 ? PIPIT_MQTT_311 : PIPIT_MQTT_5,
    .receive_memory = received,
    .send_memory = sending,
    .receive_bytes = sizeof(received),
    .send_bytes = sizeof(sending),
    .flights = flights,
    .flights_max = sizeof(flights) / sizeof(flights[0]),
};

static const struct pipit_config config = {
    .group = "demo",
    .device = "meter-1",
    .spool = &spool.base,
    .link = &client.base,
    .buffer = buffer,
    .buffer_bytes = sizeof(buffer),
    .seed = 1,
    .confirm = PIPIT_WITH_RECEIPTS ? PIPIT_CONFIRM_RECEIPT : PIPIT_CONFIRM_PUBACK,
};

int main(void)
{
    uint32_t next_ms = 0;
    (void)pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory), PIPIT_REFUSE, TICK_MS);
    if (pipit_client_init(&client, &options) != PIPIT_OK ||
        pipit_init(&device, &config) != PIPIT_OK) {
        return 1;
    }
    for (;;) {
        if ((TICK_MS - next_ms) < 0x80000000u) {
            next_ms += 60000;
            (void)pipit_publish(&device, "power", PIPIT_UNSIGNED("watts", UART_FLAGS));
        }
        (void)pipit_poll(&device, TICK_MS);
    }
}
