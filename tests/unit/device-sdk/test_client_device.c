// A device over the SDK's own client: what the spool accepts can be sent, whatever the memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "byte_pipe.h"

#define MEMORY_MAX 256u

static struct byte_pipe pipe_line;
static struct pipit_client client;
static struct pipit_client_options options;
static struct pipit_flight flights[2];
static struct pipit_ram_spool spool;
static struct pipit_device device;
static struct pipit_config config;
static uint8_t received[128], sending[MEMORY_MAX], ring[1024], buffer[MEMORY_MAX];
static size_t published;

static void watch(void *context, const uint8_t *ptr, size_t len)
{
    (void)context;
    published += len > 0 && (ptr[0] & 0xF0) == 0x30 ? 1 : 0;
}

static void start(enum pipit_mqtt version, size_t send_bytes, size_t buffer_bytes)
{
    pipe_init(&pipe_line);
    pipe_line.watch = watch;
    published = 0;
    options = (struct pipit_client_options){.transport = &pipe_line.base,
                                            .version = version,
                                            .receive_memory = received,
                                            .receive_bytes = sizeof(received),
                                            .send_memory = sending,
                                            .send_bytes = send_bytes,
                                            .flights = flights,
                                            .flights_max = 2};
    config = (struct pipit_config){.group = "g",
                                   .device = "d",
                                   .spool = &spool.base,
                                   .link = &client.base,
                                   .buffer = buffer,
                                   .buffer_bytes = buffer_bytes,
                                   .confirm = PIPIT_CONFIRM_PUBACK};
    assert_int_equal(pipit_ram_spool_init(&spool, ring, sizeof(ring), PIPIT_REFUSE, UINT32_MAX),
                     PIPIT_OK);
    assert_int_equal(pipit_client_init(&client, &options), PIPIT_OK);
    assert_int_equal(pipit_init(&device, &config), PIPIT_OK);
}

static void connect_up(enum pipit_mqtt version)
{
    static const uint8_t connack_5[] = {0x20, 3, 0, 0, 0}, connack_311[] = {0x20, 2, 0, 0};
    assert_int_equal(pipit_poll(&device, 1), PIPIT_OK);
    assert_int_equal(pipit_poll(&device, 2), PIPIT_OK);
    if (version == PIPIT_MQTT_5) {
        pipe_put(&pipe_line, connack_5, sizeof(connack_5));
    } else {
        pipe_put(&pipe_line, connack_311, sizeof(connack_311));
    }
    assert_int_equal(pipit_poll(&device, 3), PIPIT_OK);
    assert_true(pipit_is_online(&device));
}

// The largest payload that is accepted: it must go out, one byte more must have been refused.
static void check_largest(enum pipit_mqtt version, size_t send_bytes, size_t buffer_bytes)
{
    static uint8_t payload[MEMORY_MAX];
    size_t len = sizeof(payload);
    start(version, send_bytes, buffer_bytes);
    while (pipit_publish_payload(&device, "t", "x", (struct pipit_bytes){payload, len}, NULL) !=
           PIPIT_OK) {
        assert_true(len > 0);
        len--;
    }
    connect_up(version);
    for (uint32_t now = 4; now < 10; now++) {
        assert_int_equal(pipit_poll(&device, now), PIPIT_OK);
        static const uint8_t puback[] = {0x40, 2, 0, 2}; // Of the status, in the first flight.
        static const uint8_t status[] = {0x40, 2, 0, 1};
        pipe_put(&pipe_line, status, sizeof(status));
        pipe_put(&pipe_line, puback, sizeof(puback));
    }
    assert_int_equal(pipit_waiting(&device), 0);
    assert_true(published >= 2);
}

static void test_what_is_accepted_can_be_sent(void **state)
{
    (void)state;
    for (size_t bytes = 100; bytes <= MEMORY_MAX; bytes++) {
        check_largest(PIPIT_MQTT_5, bytes, MEMORY_MAX); // The client's memory is the limit,
        check_largest(PIPIT_MQTT_311, bytes, MEMORY_MAX);
        check_largest(PIPIT_MQTT_5, MEMORY_MAX, bytes); // and the device's.
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_accepted_can_be_sent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
