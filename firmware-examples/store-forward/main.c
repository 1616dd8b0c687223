// store-forward - a board takes readings while nobody listens and keeps them in its NOR flash; a
// hub gets each one that was accepted, once and in order, whenever the power went.
// Arguments: the device's name, how many readings to take in all.
#include <pipit/client.h>
#include <pipit/flash.h>
#include <pipit/uart.h>

#include "board.h"

#define READINGS    600u
#define SECTORS     4u
#define EVENT_BYTES 128u

enum exit_code { EXIT_STORED = 0, EXIT_SETUP, EXIT_FLASH };

int main(void);

static _Alignas(4) uint8_t record_memory[PIPIT_FLASH_MEMORY(EVENT_BYTES, 4u)];
static uint8_t buffer[256], send_memory[512], receive_memory[256];
static struct pipit_flight flights[8];
static struct pipit_flash region; // Of the chip, for the spool.
static struct pipit_flash_spool spool;
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
                                                           .flights_max = 8};
// A short keepalive: a serial line does not say that it is dead.
static struct pipit_config config = {.group = "demo",
                                     .software = "store-forward 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 5};

static enum pipit_err open_device(void)
{
    const struct pipit_flash *chip = board_flash();
    struct pipit_flash_spool_options options = {
        .flash = &region, .memory = record_memory, .memory_bytes = sizeof(record_memory)};
    if (chip == NULL || !board_entropy(&config.seed, sizeof(config.seed))) {
        return PIPIT_ERR_IO; // No flash; or nothing to begin the boot numbers with.
    }
    config.device = board_argument(0);
    region = *chip;
    region.sector_count = SECTORS;
    options.entropy = config.seed;
    enum pipit_err rc = pipit_flash_spool_open(&spool, &options);
    rc = rc == PIPIT_OK ? pipit_uart_init(&line, &line_options) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

static void say(const char *before, uint32_t number, const char *after)
{
    board_print(before);
    board_print_number(number);
    board_print(after);
}

// The mark is in the flash with its reading or not at all: none is left out and none taken twice.
static enum pipit_err take_reading(uint64_t *taken)
{
    const uint32_t number = (uint32_t)*taken + 1;
    const struct pipit_event_options options = {.mark = number, .has_mark = true};
    const struct pipit_field field = PIPIT_UNSIGNED("number", number);
    enum pipit_err rc = pipit_publish_fields(&device, "reading", &field, 1, &options);
    if (rc == PIPIT_OK) { // The bracket at the end says that the line is whole.
        *taken = number;
        say("kept ", number, " (boot ");
        say("", spool.base.boot, ", event ");
        say("", (uint32_t)spool.base.next_sequence - 1, ")\n");
    }
    return rc;
}

static uint32_t readings_wanted(void)
{
    uint32_t number = 0;
    for (const char *text = board_argument(1); text != NULL && *text != '\0'; text++) {
        number = number * 10 + (uint32_t)(*text - '0');
    }
    return number != 0 ? number : READINGS;
}

int main(void)
{
    uint64_t taken = 0; // Unless the flash says otherwise.
    enum pipit_err rc = open_device(), former_rc = PIPIT_OK;
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(EXIT_SETUP);
    }
    (void)pipit_mark(&device, &taken);
    say("started: ", pipit_waiting(&device), " readings wait, ");
    say("", spool.damaged, " were cut\n");
    for (uint32_t wanted = readings_wanted(); !pipit_is_stopped(&device) && spool.failed == 0;
         former_rc = rc) {
        rc = taken < wanted ? take_reading(&taken) : PIPIT_ERR_EMPTY;
        if (rc == PIPIT_ERR_FULL && former_rc != rc) {
            say("full: reading ", (uint32_t)taken + 1, " has to wait\n");
        } else if (rc == PIPIT_ERR_EMPTY && pipit_waiting(&device) == 0) {
            pipit_stop(&device); // Says goodbye, so that nobody takes us for lost.
        }
        (void)pipit_poll(&device, board_now_ms());
        if (rc != PIPIT_OK) {
            board_idle();
        }
    }
    board_print(spool.failed == 0 ? "all readings are stored\n" : "the flash has failed\n");
    board_exit(spool.failed == 0 ? EXIT_STORED : EXIT_FLASH);
}
