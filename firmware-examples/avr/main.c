// avr - typed events from an ATmega328P with 2 KB of RAM: QoS 1, 3.1.1, over a modem at the UART.
#include "chip.h"

#define EVENTS    10u
#define PERIOD_MS 100u

static uint8_t spool_memory[192], buffer[112], received[64], sending[112];
static struct pipit_flight flights[3];
static struct pipit_ram_spool spool;
static struct pipit_client client;
static struct pipit_device device;

static const struct pipit_client_options options = {.transport = &chip_modem,
                                                    .version = PIPIT_MQTT_311,
                                                    .receive_memory = received,
                                                    .receive_bytes = sizeof(received),
                                                    .send_memory = sending,
                                                    .send_bytes = sizeof(sending),
                                                    .flights = flights,
                                                    .flights_max = 3};

static const struct pipit_config config = {.group = "demo",
                                           .device = "uno",
                                           .spool = &spool.base,
                                           .link = &client.base,
                                           .buffer = buffer,
                                           .buffer_bytes = sizeof(buffer),
                                           .seed = 328,
                                           .retry_base_ms = 200};

static enum pipit_err start(void)
{
    uint32_t boot = chip_boot_count();
    enum pipit_err rc =
        pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory), PIPIT_REFUSE, boot);
    if (rc == PIPIT_OK) {
        rc = pipit_client_init(&client, &options);
    }
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

int main(void)
{
    uint32_t due_ms = 0;
    uint8_t made = 0;
    chip_init();
    enum pipit_err rc = start();
    while (rc == PIPIT_OK && (made < EVENTS || pipit_waiting(&device) > 0)) {
        uint32_t now_ms = chip_now_ms();
        if (made < EVENTS && (int32_t)(now_ms - due_ms) >= 0) {
            due_ms += PERIOD_MS;
            rc = pipit_publish(&device, "supply", PIPIT_UNSIGNED("millivolts", chip_millivolts()),
                               PIPIT_UNSIGNED("reading", made));
            if (rc == PIPIT_OK) {
                made++;
            } else if (rc == PIPIT_ERR_FULL) {
                rc = PIPIT_OK; // The reading is taken when there is room again.
            }
        }
        if (rc == PIPIT_OK) {
            rc = pipit_poll(&device, now_ms);
        }
        chip_sleep();
    }
    if (rc != PIPIT_OK) {
        chip_print("failed\n");
        chip_exit((uint8_t)-rc);
    }
    chip_print("stored by a hub\n");
    pipit_stop(&device); // Says goodbye, so that the will is not sent.
    while (!pipit_is_stopped(&device)) {
        (void)pipit_poll(&device, chip_now_ms());
    }
    chip_exit(0);
}
