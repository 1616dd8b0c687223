// ethernet - a board on an Ethernet, with lwIP: an address by DHCP, typed events over MQTT, each
// kept until a hub has stored it, also while the broker is away. Arguments, all optional:
//   0 the device's name   1 the broker's port   2 "5" or "3.1.1"   3 "dhcp" or "ours/router's"
//   4 how many readings   5 the broker's name or address
#include <pipit/client.h>
#include <pipit/lwip.h>
#include <string.h>

#include "board.h"
#include "network.h"

#define READINGS    20u
#define INTERVAL_MS 50u
#define PATIENCE_MS 120000u
#define BROKER      "10.0.2.2" // What QEMU calls the machine that it runs on.
#define BROKER_PORT 1883u

enum exit_code { EXIT_STORED = 0, EXIT_SETUP, EXIT_NO_ADDRESS, EXIT_LATE };

int main(void);

static uint8_t spool_memory[4096], buffer[512], send_memory[1024], receive_memory[512];
static struct pipit_flight flights[8];
static struct pipit_ram_spool spool;
static struct pipit_lwip tcp;
static struct pipit_client client;
static struct pipit_device device;

static struct pipit_client_options client_options = {.transport = &tcp.base,
                                                     .receive_memory = receive_memory,
                                                     .receive_bytes = sizeof(receive_memory),
                                                     .send_memory = send_memory,
                                                     .send_bytes = sizeof(send_memory),
                                                     .flights = flights,
                                                     .flights_max = 8};
static struct pipit_config config = {.group = "demo",
                                     .device = "ethernet",
                                     .software = "ethernet 1",
                                     .spool = &spool.base,
                                     .link = &client.base,
                                     .buffer = buffer,
                                     .buffer_bytes = sizeof(buffer),
                                     .keepalive_s = 10};

static const char *argument(unsigned index, const char *otherwise)
{
    const char *given = board_argument(index);
    return given != NULL && given[0] != '\0' ? given : otherwise;
}

static uint32_t number_argument(unsigned index, uint32_t otherwise)
{
    const char *text = argument(index, NULL);
    uint32_t number = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint32_t)(*text - '0');
    }
    return number != 0 ? number : otherwise;
}

static enum pipit_err open_device(void)
{
    config.device = argument(0, config.device);
    client_options.version = strcmp(argument(2, "5"), "3.1.1") == 0 ? PIPIT_MQTT_311 : PIPIT_MQTT_5;
    enum pipit_err rc = pipit_ram_spool_init(&spool, spool_memory, sizeof(spool_memory),
                                             PIPIT_REFUSE, pipit_boot_random(config.seed));
    if (rc == PIPIT_OK) {
        rc = pipit_lwip_init(&tcp, argument(5, BROKER), (uint16_t)number_argument(1, BROKER_PORT));
    }
    rc = rc == PIPIT_OK ? pipit_client_init(&client, &client_options) : rc;
    return rc == PIPIT_OK ? pipit_init(&device, &config) : rc;
}

// False: no network chip, or no randomness for it and the boot number.
static bool open_network(void)
{
    const char *address = argument(3, "dhcp");
    return board_entropy(&config.seed, sizeof(config.seed)) &&
           network_start(strcmp(address, "dhcp") == 0 ? NULL : address, config.seed);
}

static void wait_for_address(void)
{
    char text[NETWORK_ADDRESS_BYTES];
    while (!network_has_address()) {
        if (board_now_ms() > PATIENCE_MS) {
            board_print("no address\n");
            board_exit(EXIT_NO_ADDRESS);
        }
        network_poll();
        board_idle();
    }
    network_print_address(text);
    board_print("address: ");
    board_print(text);
    board_print("\n");
}

// One reading each interval. A full spool refuses it, and it is tried again with the next poll.
static uint32_t publish_due(uint32_t published, uint32_t readings, uint32_t elapsed_ms)
{
    if (published == readings || elapsed_ms < published * INTERVAL_MS) {
        return published;
    }
    float celsius = 20.0f + 0.25f * (float)(published + 1);
    enum pipit_err rc = pipit_publish(&device, "climate", PIPIT_UNSIGNED("number", published + 1),
                                      PIPIT_FLOAT("celsius", celsius));
    return rc == PIPIT_OK ? published + 1 : published;
}

static bool say_state(bool was_online)
{
    bool is_online = pipit_is_online(&device);
    if (is_online != was_online && !pipit_is_stopped(&device)) {
        board_print(is_online ? "online\n" : "offline\n");
    }
    return is_online;
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

static void run(uint32_t readings)
{
    uint32_t published = 0, begin_ms = board_now_ms();
    bool is_online = false;
    while (!pipit_is_stopped(&device)) {
        uint32_t now_ms = board_now_ms();
        network_poll();
        published = publish_due(published, readings, now_ms - begin_ms);
        if (published == readings && pipit_waiting(&device) == 0) {
            pipit_stop(&device); // All are stored: say goodbye, so that nobody takes us for lost.
        } else {
            is_online = say_state(is_online);
        }
        if (now_ms > PATIENCE_MS) {
            end(EXIT_LATE);
        }
        (void)pipit_poll(&device, now_ms);
        board_idle();
    }
}

int main(void)
{
    enum pipit_err rc = open_network() ? open_device() : PIPIT_ERR_UNREACHABLE;
    if (rc != PIPIT_OK) {
        board_print(pipit_err_text(rc));
        board_exit(EXIT_SETUP);
    }
    wait_for_address();
    run(number_argument(4, READINGS));
    end(EXIT_STORED);
}
