// tls - a Cortex-M0 with 16 KB of RAM publishes typed events over TLS 1.2, and each is kept until a
// hub has stored it. It knows the broker by a key that both share, or by the CA of the broker's
// certificate, as its credentials say. Arguments, both optional: the device's name, how many
// readings.
#include <pipit/client.h>
#include <pipit/tls.h>
#include <pipit/uart.h>

#include "board.h"
#include "credentials.h"

#define READINGS    10u
#define INTERVAL_MS 50u
#define PATIENCE_MS 90000u
#define KEY_MS      5000u
#define CA_MS       40000u // A Cortex-M0 at 16 MHz computes 20 s for a handshake with certificates.
#define CONNECT_S   45u

// A refusal ends the program with EXIT_REFUSED plus its enum pipit_tls_reason.
enum exit_code { EXIT_STORED = 0, EXIT_SETUP, EXIT_LATE, EXIT_NO_CREDENTIALS, EXIT_REFUSED = 10 };

int main(void);

static uint8_t arena[ARENA_BYTES];
static uint8_t spool_memory[512], buffer[192], send_memory[192], receive_memory[192];
static struct pipit_flight flights[3];
static struct pipit_ram_spool spool;
static struct pipit_uart line;
static struct pipit_tls tls;
static struct pipit_client client;
static struct pipit_device device;

static bool entropy(void *context, uint8_t *ptr, size_t len)
{
    (void)context;
    return board_entropy(ptr, len);
}

static const struct pipit_uart_options line_options = {.write = board_uart_write,
                                                       .read = board_uart_read};
static struct pipit_tls_options tls_options = {
    .lower = &line.base, .entropy = entropy, .arena = arena, .arena_bytes = sizeof(arena)};
static const struct pipit_client_options client_options = {.transport = &tls.base,
                                                           .receive_memory = receive_memory,
                                                           .receive_bytes = sizeof(receive_memory),
                                                           .send_memory = send_memory,
                                                           .send_bytes = sizeof(send_memory),
                                                           .flights = flights,
                                                           .flights_max = 3,
                                                           .timeout_s = CONNECT_S};
// A short keepalive: a serial line does not say that it is dead.
static struct pipit_config config = {.group = "demo",
                                     .device = "tls",
                                     .software = "tls 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 5};

static enum pipit_err open_tls(const struct credentials *credentials)
{
    if (credentials->key_bytes > 0) {
        tls_options.psk = credentials->key;
        tls_options.psk_bytes = credentials->key_bytes;
        tls_options.psk_identity = credentials->identity;
        tls_options.handshake_ms = KEY_MS;
    } else {
        tls_options.ca = credentials->ca;
        tls_options.ca_bytes = credentials->ca_bytes;
        tls_options.host = credentials->host;
        tls_options.handshake_ms = CA_MS;
    }
    return pipit_tls_init(&tls, &tls_options);
}

static enum pipit_err open_device(const struct credentials *credentials)
{
    const char *name = board_argument(0);
    config.device = name != NULL ? name : config.device;
    if (!board_entropy(&config.seed, sizeof(config.seed))) {
        return PIPIT_ERR_UNKNOWN; // Without randomness there is no TLS.
    }
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    rc = rc == PIPIT_OK ? pipit_uart_init(&line, &line_options) : rc;
    rc = rc == PIPIT_OK ? open_tls(credentials) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

static uint32_t readings_wanted(void)
{
    const char *text = board_argument(1);
    uint32_t number = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint32_t)(*text - '0');
    }
    return number != 0 ? number : READINGS;
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

static bool is_refusal(enum pipit_tls_reason reason)
{
    return reason != PIPIT_TLS_NONE && reason != PIPIT_TLS_ENDED && reason != PIPIT_TLS_PEER &&
           reason != PIPIT_TLS_TIMEOUT;
}

// A product would go on trying, and tell its owner. What may be chance (a line that was cut, a
// session that an earlier start left behind) is tried again here too.
static enum pipit_tls_reason say_reason(enum pipit_tls_reason said)
{
    enum pipit_tls_reason reason = pipit_tls_reason(&tls);
    if (reason == said) {
        return said;
    }
    if (reason != PIPIT_TLS_NONE) {
        board_print(is_refusal(reason) ? "refused: " : "to be tried again: ");
        board_print(pipit_tls_reason_text(reason));
        board_print("\n");
    }
    if (is_refusal(reason)) {
        board_exit((int)EXIT_REFUSED + (int)reason);
    }
    return reason;
}

static void run(uint32_t readings)
{
    uint32_t published = 0;
    enum pipit_tls_reason reason = PIPIT_TLS_NONE;
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        published = publish_due(published, readings, now_ms);
        if (published == readings && pipit_waiting(&device) == 0) {
            pipit_stop(&device); // All are stored: say goodbye, so that nobody takes us for lost.
        }
        if (now_ms > PATIENCE_MS) {
            end(EXIT_LATE);
        }
        (void)pipit_poll(&device, now_ms);
        reason = say_reason(reason);
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
    run(readings_wanted());
    end(EXIT_STORED);
}
