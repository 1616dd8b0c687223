// avr_widths - what an int of 16 bits and a double of 32 must not cut short, on an ATmega328P. Ends
// with the number of the first check that failed, 0 when all held.
#include "pipit/client.h"

#define GPIOR0    (*(volatile uint8_t *)0x3E) // As of simavr_host.
#define EXIT_FLAG 0x80u

static uint8_t received[64], sending[64];
static struct pipit_flight flights[1];
static struct pipit_client client;
static size_t written;
static bool is_answered;

static int32_t wire_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    (void)ptr;
    written += len;
    return (int32_t)len;
}

static int32_t wire_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    static const uint8_t connack[] = {0x20, 2, 0, 0};
    (void)transport;
    if (is_answered || size < sizeof(connack)) {
        return 0;
    }
    is_answered = true;
    memcpy(ptr, connack, sizeof(connack));
    return sizeof(connack);
}

static enum pipit_link_kind poll_at(uint32_t now_ms)
{
    struct pipit_link_event event;
    client.base.type->poll(&client.base, now_ms, &event);
    return event.kind;
}

// 66 s are 66,000 ms, which 16 bits do not hold.
static bool is_keepalive_long(void)
{
    static const struct pipit_transport_type type = {.write = wire_write, .read = wire_read};
    static struct pipit_transport transport = {&type};
    static const struct pipit_client_options options = {.transport = &transport,
                                                        .version = PIPIT_MQTT_311,
                                                        .receive_memory = received,
                                                        .receive_bytes = sizeof(received),
                                                        .send_memory = sending,
                                                        .send_bytes = sizeof(sending),
                                                        .flights = flights,
                                                        .flights_max = 1};
    static const struct pipit_connect connect = {.client_id = "uno", .keepalive_s = 66};
    if (pipit_client_init(&client, &options) != PIPIT_OK ||
        client.base.type->connect(&client.base, &connect) != PIPIT_OK) {
        return false;
    }
    (void)poll_at(0);
    bool is_up = poll_at(0) == PIPIT_LINK_UP;
    written = 0;
    bool is_quiet = poll_at(49400) == PIPIT_LINK_NOTHING && written == 0;
    return is_up && is_quiet && poll_at(49500) == PIPIT_LINK_NOTHING && written == 2; // PINGREQ.
}

// A double is sent as the float that it is here.
static bool is_double_sent(void)
{
    static const uint8_t want[] = {0x22, 8, 0x0A, 1, 'v', 0x2D, 0, 0, 0xC0, 0x3F};
    struct pipit_field field = PIPIT_DOUBLE("v", 1.5);
    struct pipit_sink sink = {.ptr = sending, .size = sizeof(sending)};
    return pipit_reply_add(&sink, &field) == PIPIT_OK && sink.len == sizeof(want) &&
           memcmp(sending, want, sizeof(want)) == 0;
}

static bool is_double_read(void)
{
    static const struct {
        const char *why;
        uint64_t bits;
        uint32_t want;
    } cases[] = {
        {"1.5 is both", 0x3FF8000000000000u, 0x3FC00000u},
        {"-0.1 loses digits", 0xBFB999999999999Au, 0xBDCCCCCCu},
        {"2^127 is within a float's range", 0x47E0000000000000u, 0x7F000000u},
        {"2^128 is not", 0x47F0000000000000u, 0x7F800000u},
        {"-2^-127 is too small for it", 0xB800000000000000u, 0x80000000u},
        {"infinity stays", 0xFFF0000000000000u, 0xFF800000u},
        {"not a number stays, too", 0x7FF0000000000001u, 0x7FC00000u},
    };
    for (uint8_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t encoded[14] = {0x22, 12, 0x0A, 1, 'v', 0x31};
        struct pipit_command command = {.encoded = pipit_data(encoded, sizeof(encoded))};
        struct pipit_field field;
        memcpy(encoded + 6, &cases[i].bits, sizeof(cases[i].bits));
        if (pipit_command_field(&command, "v", &field) != PIPIT_OK ||
            memcmp(&field.value.real, &cases[i].want, sizeof(cases[i].want)) != 0) {
            return false;
        }
    }
    return true;
}

int main(void)
{
    uint8_t failed = !is_keepalive_long() ? 1 : !is_double_sent() ? 2 : !is_double_read() ? 3 : 0;
    GPIOR0 = (uint8_t)(EXIT_FLAG | failed);
    for (;;) {
    }
}
