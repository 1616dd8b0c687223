// lamp - a lamp of a Linux machine that is told what to do, does it once, and says so.
// Usage: pipit-lamp [url [file]]. Anything that takes "1" and "0" is a lamp:
// /sys/class/leds/NAME/brightness, /sys/class/gpio/gpioN/value.
#include <errno.h>
#include <pipit/paho.h>
#include <signal.h>
#include <stdio.h>

#define REMEMBERED    8u
#define COMMAND_BYTES 192u // Id, name and reply of one.

// What a reply's status says beside PIPIT_OK and PIPIT_ERR_UNKNOWN; the numbers are our own.
enum { STATUS_NO_STATE = 1, STATUS_NOT_SWITCHED };

static volatile sig_atomic_t must_stop;

static void on_signal(int number)
{
    (void)number;
    must_stop = 1;
}

// The kernel says at the end of the writing whether it takes it.
static bool lamp_set(const char *path, bool is_on)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    bool is_written = fputs(is_on ? "1\n" : "0\n", file) >= 0;
    return fclose(file) == 0 && is_written;
}

static bool is_text(const struct pipit_field *field, const char *text)
{
    return field->kind == PIPIT_KIND_TEXT && field->value.bytes.len == strlen(text) &&
           memcmp(field->value.bytes.ptr, text, strlen(text)) == 0;
}

// light state=on|off: sets and does not toggle, so that doing it once more changes nothing.
static int32_t light(const char *path, const struct pipit_command *command,
                     struct pipit_sink *reply)
{
    struct pipit_field state;
    char why[80];
    bool is_given = pipit_command_field(command, "state", &state) == PIPIT_OK;
    bool is_on = is_given && is_text(&state, "on");
    if (!is_on && !(is_given && is_text(&state, "off"))) {
        (void)pipit_reply_text(reply, "state: a text, on or off");
        return STATUS_NO_STATE;
    }
    if (!lamp_set(path, is_on)) {
        (void)snprintf(why, sizeof(why), "not switched: %s", strerror(errno));
        (void)fprintf(stderr, "lamp: %s: %s\n", path, why);
        (void)pipit_reply_text(reply, why);
        return STATUS_NOT_SWITCHED;
    }
    (void)printf("switched %s\n", is_on ? "on" : "off");
    (void)pipit_reply_add(reply, &PIPIT_TEXT("state", is_on ? "on" : "off"));
    return PIPIT_OK;
}

static int32_t run(void *context, const struct pipit_command *command, struct pipit_sink *reply)
{
    if (pipit_command_is(command, "light")) {
        return light(context, command, reply);
    }
    return PIPIT_ERR_UNKNOWN; // "device does not know this command", whoever asks.
}

// Says when it is connected, and why it is not when the reason is another one.
static void show_link(const struct pipit_device *device, struct pipit_paho *link)
{
    static bool was_online;
    static enum pipit_err shown;
    char text[PIPIT_PAHO_ERROR_MAX];
    bool is_online = pipit_is_online(device);
    enum pipit_err rc = pipit_link_error(device);
    if (is_online && !was_online) {
        (void)printf("waiting for commands\n");
    } else if (rc != PIPIT_OK && rc != shown) {
        pipit_paho_error(link, text, sizeof(text));
        (void)fprintf(stderr, "lamp: %s %s\n", pipit_err_text(rc), text);
    }
    was_online = is_online;
    shown = rc;
}

// Until it is told to stop by SIGTERM; replies that are due go out first.
static enum pipit_err serve(struct pipit_device *device, struct pipit_paho *link)
{
    enum pipit_err rc = PIPIT_OK;
    while (rc == PIPIT_OK && !pipit_is_stopped(device)) {
        if (must_stop) {
            pipit_stop(device);
        }
        rc = pipit_poll(device, pipit_now_ms());
        show_link(device, link);
        pipit_paho_wait(link, pipit_next_ms(device));
    }
    return rc;
}

int main(int argc, char **argv)
{
    static uint8_t memory[256], buffer[512];
    static uint8_t recent[PIPIT_COMMAND_MEMORY(REMEMBERED, COMMAND_BYTES)];
    static char file[] = "lamp";
    struct sigaction action = {.sa_handler = on_signal};
    struct pipit_ram_spool spool;
    struct pipit_paho link;
    struct pipit_device device;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    pipit_ram_spool_init(&spool, memory, sizeof(memory), PIPIT_REFUSE,
                         pipit_boot_random(pipit_entropy()));
    enum pipit_err rc = pipit_paho_open(
        &link, &(struct pipit_paho_options){.url = argc > 1 ? argv[1] : "mqtt://127.0.0.1"});
    struct pipit_config config = {.group = "home",
                                  .device = "lamp",
                                  .software = "linux-lamp 1",
                                  .seed = pipit_entropy(),
                                  .spool = &spool.base,
                                  .link = &link.base,
                                  .buffer = buffer,
                                  .buffer_bytes = sizeof(buffer),
                                  .clock_ms = pipit_wall_ms,
                                  .on_command = run,
                                  .command_context = argc > 2 ? argv[2] : file,
                                  .command_memory = recent,
                                  .command_slots = REMEMBERED,
                                  .command_slot_bytes = PIPIT_COMMAND_SLOT(COMMAND_BYTES)};
    if (rc == PIPIT_OK) {
        rc = pipit_init(&device, &config);
    }
    if (rc == PIPIT_OK) {
        rc = serve(&device, &link);
    }
    if (rc != PIPIT_OK) {
        char text[PIPIT_PAHO_ERROR_MAX];
        pipit_paho_error(&link, text, sizeof(text));
        (void)fprintf(stderr, "lamp: %s %s\n", pipit_err_text(rc), text);
    }
    pipit_paho_close(&link);
    return rc == PIPIT_OK ? 0 : 1;
}
