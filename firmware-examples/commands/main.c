// commands - a board does what it is told, once, and says so; also when it is told twice.
// Argument: the device's name.
#include <pipit/client.h>
#include <pipit/uart.h>

#include "board.h"

#define PATIENCE_MS    120000u
#define REMEMBERED     4u
#define COMMAND_BYTES  96u // Id, name and reply of one.
#define TIMES_MAX      100
#define STATUS_TOO_BIG 1

enum exit_code { EXIT_TOLD = 0, EXIT_SETUP, EXIT_LATE };

int main(void);

static uint8_t spool_memory[512], buffer[256], send_memory[256], receive_memory[384];
static uint8_t command_memory[PIPIT_COMMAND_MEMORY(REMEMBERED, COMMAND_BYTES)];
static struct pipit_flight flights[4];
static struct pipit_ram_spool spool;
static struct pipit_uart line;
static struct pipit_client client;
static struct pipit_device device;
static uint32_t blinks;
static bool is_told_to_stop;

// blink times=N: what a lamp would do. Running it twice would show in the total.
static int32_t blink(const struct pipit_command *command, struct pipit_sink *reply)
{
    struct pipit_field times;
    if (pipit_command_field(command, "times", &times) != PIPIT_OK ||
        times.kind != PIPIT_KIND_SIGNED || times.value.integer < 1) {
        (void)pipit_reply_text(reply, "times: a whole number from 1 to 100");
        return PIPIT_ERR_ARGUMENT;
    }
    if (times.value.integer > TIMES_MAX) {
        (void)pipit_reply_text(reply, "times: at most 100");
        return STATUS_TOO_BIG;
    }
    blinks += (uint32_t)times.value.integer;
    (void)pipit_reply_add(reply, &PIPIT_UNSIGNED("total", blinks));
    board_print("blinked, in all ");
    board_print_number(blinks);
    board_print(" times\n");
    return PIPIT_OK;
}

static int32_t run(void *context, const struct pipit_command *command, struct pipit_sink *reply)
{
    (void)context;
    if (pipit_command_is(command, "blink")) {
        return blink(command, reply);
    }
    if (pipit_command_is(command, "stop")) {
        is_told_to_stop = true;
        return PIPIT_OK;
    }
    return PIPIT_ERR_UNKNOWN;
}

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
                                     .device = "commands",
                                     .software = "commands 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 5,
                                     .on_command = run,
                                     .command_memory = command_memory,
                                     .command_slots = REMEMBERED,
                                     .command_slot_bytes = PIPIT_COMMAND_SLOT(COMMAND_BYTES)};

static enum pipit_err open_device(void)
{
    const char *name = board_argument(0);
    config.device = name != NULL ? name : config.device;
    if (!board_entropy(&config.seed, sizeof(config.seed))) {
        return PIPIT_ERR_UNKNOWN;
    }
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    rc = rc == PIPIT_OK ? pipit_uart_init(&line, &line_options) : rc;
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

static void end(enum exit_code code)
{
    const struct pipit_counters *counters = pipit_counters(&device);
    board_print("commands run: ");
    board_print_number(counters->commands);
    board_print(", answered from memory: ");
    board_print_number(counters->repeated_commands);
    board_print("\n");
    board_exit((int)code);
}

int main(void)
{
    bool was_online = false;
    enum pipit_err rc = open_device();
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(EXIT_SETUP);
    }
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        (void)pipit_poll(&device, now_ms);
        if (!was_online && pipit_is_online(&device)) {
            was_online = true;
            board_print("waiting for commands\n");
        }
        if (is_told_to_stop) {
            pipit_stop(&device); // The reply goes out first.
        }
        if (now_ms > PATIENCE_MS) {
            end(EXIT_LATE);
        }
        board_idle();
    }
    end(EXIT_TOLD);
}
