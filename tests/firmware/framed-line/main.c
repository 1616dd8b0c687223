// framed-line - typed events over checked frames, while the line between board and modem garbles.
// Argument: the device's name.
#include <pipit/client.h>
#include <pipit/framed.h>

#include "board.h"

#define READINGS    40u
#define INTERVAL_MS 100u
#define PATIENCE_MS 90000u

int main(void);

static uint8_t spool_memory[2048], buffer[192], send_memory[192], receive_memory[192];
static uint8_t frame_sent[2 * 64 + 11], frame_received[64 + 4];
static struct pipit_flight flights[4];
static struct pipit_ram_spool spool;
static struct pipit_framed line;
static struct pipit_client client;
static struct pipit_device device;

static int32_t wire_write(struct pipit_transport *transport, const uint8_t *ptr, size_t len)
{
    (void)transport;
    return (int32_t)board_uart_write(NULL, ptr, len);
}

static int32_t wire_read(struct pipit_transport *transport, uint8_t *ptr, size_t size)
{
    (void)transport;
    return (int32_t)board_uart_read(NULL, ptr, size);
}

static const struct pipit_transport_type wire_type = {.write = wire_write, .read = wire_read};
static struct pipit_transport wire = {&wire_type};
static struct pipit_framed_options line_options = {.wire = &wire,
                                                   .send_memory = frame_sent,
                                                   .send_bytes = sizeof(frame_sent),
                                                   .receive_memory = frame_received,
                                                   .receive_bytes = sizeof(frame_received),
                                                   .dial_ms = 200};
static const struct pipit_client_options client_options = {.transport = &line.base,
                                                           .receive_memory = receive_memory,
                                                           .receive_bytes = sizeof(receive_memory),
                                                           .send_memory = send_memory,
                                                           .send_bytes = sizeof(send_memory),
                                                           .flights = flights,
                                                           .flights_max = 4};
static struct pipit_config config = {.group = "demo",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 5,
                                     .resend_ms = 2000,
                                     .retry_base_ms = 50,
                                     .retry_cap_ms = 500};

static enum pipit_err open_device(void)
{
    config.device = board_argument(0);
    if (!board_entropy(&config.seed, sizeof(config.seed))) {
        return PIPIT_ERR_UNKNOWN;
    }
    line_options.call = (uint16_t)config.seed;
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    rc = rc == PIPIT_OK ? pipit_framed_init(&line, &line_options) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

int main(void)
{
    uint32_t published = 0;
    enum pipit_err rc = open_device();
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(1);
    }
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        if (published < READINGS && now_ms >= published * INTERVAL_MS &&
            pipit_publish(&device, "climate", PIPIT_UNSIGNED("number", published + 1),
                          PIPIT_UNSIGNED("square", (published + 1) * (published + 1))) ==
                PIPIT_OK) {
            published++;
        }
        if (published == READINGS && pipit_waiting(&device) == 0) {
            pipit_stop(&device);
        }
        if (now_ms > PATIENCE_MS) {
            board_exit(2);
        }
        (void)pipit_poll(&device, now_ms);
        board_idle();
    }
    board_print_number(pipit_counters(&device)->connects);
    board_print(" connections\n");
    board_exit(0);
}
