// tls-ethernet - typed events from a Cortex-M4F on an Ethernet, over lwIP and TLS 1.2; each is kept
// until a hub has stored it. The broker's certificate may be one with ECDSA or with RSA.
// Arguments: 0 the device's name   1 the broker's port   2 how many readings.
#include <pipit/client.h>
#include <pipit/lwip.h>
#include <pipit/tls.h>

#include "board.h"
#include "credentials.h"
#include "network.h"

#define READINGS    20u
#define INTERVAL_MS 50u
#define PATIENCE_MS 90000u
#define BROKER      "10.0.2.2" // What QEMU calls the machine that it runs on.
#define BROKER_PORT 8883u

// A refusal ends the program with EXIT_REFUSED plus its enum pipit_tls_reason.
enum exit_code { EXIT_STORED = 0, EXIT_SETUP, EXIT_LATE, EXIT_NO_CREDENTIALS, EXIT_REFUSED = 10 };

int main(void);

static uint8_t arena[16384];
static uint8_t spool_memory[4096], buffer[512], send_memory[1024], receive_memory[512];
static struct pipit_flight flights[8];
static struct pipit_ram_spool spool;
static struct pipit_lwip tcp;
static struct pipit_tls tls;
static struct pipit_client client;
static struct pipit_device device;

static bool entropy(void *context, uint8_t *ptr, size_t len)
{
    (void)context;
    return board_entropy(ptr, len);
}

static struct pipit_tls_options tls_options = {
    .lower = &tcp.base, .entropy = entropy, .arena = arena, .arena_bytes = sizeof(arena)};
static const struct pipit_client_options client_options = {.transport = &tls.base,
                                                           .receive_memory = receive_memory,
                                                           .receive_bytes = sizeof(receive_memory),
                                                           .send_memory = send_memory,
                                                           .send_bytes = sizeof(send_memory),
                                                           .flights = flights,
                                                           .flights_max = 8};
static struct pipit_config config = {.group = "demo",
                                     .device = "tls-ethernet",
                                     .software = "tls-ethernet 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 10};

static uint32_t number_argument(unsigned index, uint32_t otherwise)
{
    const char *text = board_argument(index);
    uint32_t number = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint32_t)(*text - '0');
    }
    return number != 0 ? number : otherwise;
}

static enum pipit_err open_tls(const struct credentials *credentials)
{
    if (credentials->key_bytes > 0) {
        tls_options.psk = credentials->key;
        tls_options.psk_bytes = credentials->key_bytes;
        tls_options.psk_identity = credentials->identity;
    } else {
        tls_options.ca = credentials->ca;
        tls_options.ca_bytes = credentials->ca_bytes;
        tls_options.host = credentials->host;
    }
    return pipit_tls_init(&tls, &tls_options);
}

static enum pipit_err open_device(const struct credentials *credentials)
{
    const char *name = board_argument(0);
    config.device = name != NULL ? name : config.device;
    if (!board_entropy(&config.seed, sizeof(config.seed)) || !network_start(NULL, config.seed)) {
        return PIPIT_ERR_UNREACHABLE; // No randomness, or no network chip.
    }
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    if (rc == PIPIT_OK) {
        rc = pipit_lwip_init(&tcp, BROKER, (uint16_t)number_argument(1, BROKER_PORT));
    }
    rc = rc == PIPIT_OK ? open_tls(credentials) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

// One reading each interval. A full spool refuses it, and it is tried again with the next poll.
static uint32_t publish_due(uint32_t published, uint32_t readings, uint32_t now_ms)
{
    if (published == readings || now_ms < published * INTERVAL_MS) {
        return published;
    }
    enum pipit_err rc = pipit_publish(&device, "climate", PIPIT_UNSIGNED("number", published + 1),
                                      PIPIT_FLOAT("celsius", 20.0f + (float)published));
    return rc == PIPIT_OK ? published + 1 : published;
}

static void print_line(const char *name, uint32_t value, const char *unit)
{
    board_print(name);
    board_print_number(value);
    board_print(unit);
}

static void end(enum exit_code code)
{
    print_line("", pipit_counters(&device)->confirmed,
               code == EXIT_STORED ? " readings stored by a hub\n"
                                   : " readings stored: too late\n");
    print_line("arena: ", (uint32_t)pipit_tls_arena_peak(&tls), " bytes needed\n");
    print_line("deepest stack: ", (uint32_t)board_stack_used(), " bytes\n");
    board_exit((int)code);
}

// What a connection that was cut explains is tried again; the rest needs a person.
static void end_if_refused(void)
{
    enum pipit_tls_reason reason = pipit_tls_reason(&tls);
    if (reason == PIPIT_TLS_NONE || reason == PIPIT_TLS_ENDED || reason == PIPIT_TLS_TIMEOUT) {
        return;
    }
    board_print("refused: ");
    board_print(pipit_tls_reason_text(reason));
    board_print("\n");
    board_exit((int)EXIT_REFUSED + (int)reason);
}

// The network is polled from the start; until it has an address, connecting fails and is retried.
static void run(uint32_t readings)
{
    uint32_t published = 0;
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        network_poll();
        published = publish_due(published, readings, now_ms);
        if (published == readings && pipit_waiting(&device) == 0) {
            pipit_stop(&device); // All are stored: say goodbye, so that nobody takes us for lost.
        }
        if (now_ms > PATIENCE_MS) {
            end(EXIT_LATE);
        }
        (void)pipit_poll(&device, now_ms);
        end_if_refused();
        board_idle();
    }
}

int main(void)
{
    const struct credentials *credentials = credentials_find();
    if (credentials == NULL) {
        board_print("no credentials: write the page that provision.py makes\n");
        board_exit(EXIT_NO_CREDENTIALS);
    }
    enum pipit_err rc = open_device(credentials);
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(EXIT_SETUP);
    }
    run(number_argument(2, READINGS));
    end(EXIT_STORED);
}
