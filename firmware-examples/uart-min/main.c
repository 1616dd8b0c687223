// uart-min - a board with 8 KB of RAM publishes typed events through a modem, and keeps each until
// a hub has stored it. Argument: the device's name.
#include <pipit/client.h>
#include <pipit/uart.h>

#include "board.h"

#define READINGS    20u
#define INTERVAL_MS 50u
#define PATIENCE_MS 60000u

enum exit_code { EXIT_STORED = 0, EXIT_SETUP, EXIT_LATE };

int main(void);

static uint8_t spool_memory[1024], buffer[256], send_memory[256], receive_memory[256];
static struct pipit_flight flights[4];
static struct pipit_ram_spool spool;
static struct pipit_uart line;
static struct pipit_client client;
static struct pipit_device device;

static const struct pipit_uart_options line_options = {.write = board_uart_write,
                                                       .read = board_uart_read};
static const struct pipit_client_options client_options = {.transport = &line.base,
                                                           .receive_memory = receive_memory,
                                                           .receive_bytes = sizeof(receive_memory),
                                                           .send_memory = send_memory,
                                                           .send_bytes = sizeof(send_memory),
                                                           .flights = flights,
                                                           .flights_max = 4,
                                                           .timeout_s = 5};
// Short times, here and above: a serial line does not say that it is dead.
static struct pipit_config config = {.group = "demo",
                                     .device = "uart-min",
                                     .software = "uart-min 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 5};

static enum pipit_err open_device(void)
{
    const char *name = board_argument(0);
    config.device = name != NULL ? name : config.device;
    if (!board_entropy(&config.seed, sizeof(config.seed))) {
        return PIPIT_ERR_UNKNOWN; // Boot numbers must differ: better none than the same again.
    }
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    rc = rc == PIPIT_OK ? pipit_uart_init(&line, &line_options) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

// One reading each interval. A full spool refuses it, and it is tried again with the next poll.
static uint32_t publish_due(uint32_t published, uint32_t now_ms)
{
    if (published == READINGS || now_ms < published * INTERVAL_MS) {
        return published;
    }
    float celsius = 20.0f + 0.25f * (float)(published + 1);
    enum pipit_err rc = pipit_publish(&device, "climate", PIPIT_UNSIGNED("number", published + 1),
                                      PIPIT_FLOAT("celsius", celsius));
    return rc == PIPIT_OK ? published + 1 : published;
}

static void end(enum exit_code code)
{
    board_print_number(pipit_counters(&device)->confirmed);
    board_print(code == EXIT_STORED ? " readings stored by a hub\n"
                                    : " readings stored: too late\n");
    board_print("deepest stack: ");
    board_print_number((uint32_t)board_stack_used());
    board_print(" bytes\n");
    board_exit((int)code);
}

int main(void)
{
    uint32_t published = 0;
    enum pipit_err rc = open_device();
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(EXIT_SETUP);
    }
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        published = publish_due(published, now_ms);
        if (published == READINGS && pipit_waiting(&device) == 0) {
            pipit_stop(&device); // All are stored: say goodbye, so that nobody takes us for lost.
        }
        if (now_ms > PATIENCE_MS) {
            end(EXIT_LATE);
        }
        (void)pipit_poll(&device, now_ms);
        board_idle();
    }
    end(EXIT_STORED);
}
