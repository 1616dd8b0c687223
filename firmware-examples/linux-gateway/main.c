// gateway - several sensors of a Linux machine, each a device of its own with its own spool, in one
// process. A sensor is a file with a number in it, as the kernel shows them in /sys.
#include "link.h"

#include <errno.h>
#include <pipit/posix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SENSORS_MAX   32u
#define BUFFER_BYTES  512u
#define SPOOL_BYTES   (256u * 1024u)
#define PATH_BYTES    512u
#define EXIT_USAGE    2
#define EXIT_SPOOL    3
#define READING_BYTES 64u

struct sensor {
    const char *name;
    const char *path; // Of the reading.
    struct link *link;
    struct pipit_file_spool spool;
    struct pipit_device device;
    struct pipit_config config;
    uint32_t readings;    // That the spool has taken.
    enum pipit_err shown; // The link's error that was printed last.
    bool is_shown_online;
    bool is_unreadable;
    uint8_t buffer[BUFFER_BYTES];
    uint8_t record[BUFFER_BYTES];
    char spool_path[PATH_BYTES];
};

struct gateway {
    const char *url;
    const char *group;
    const char *directory;
    uint32_t interval_ms;
    uint32_t readings_max; // Of each sensor; 0: until a signal comes.
    uint32_t due_ms;
    unsigned sensors_count;
    struct sensor sensors[SENSORS_MAX];
};

static volatile sig_atomic_t must_stop;

static void on_signal(int number)
{
    (void)number;
    must_stop = 1;
}

static void usage(void)
{
    (void)fprintf(
        stderr,
        "usage: pipit-gateway [-u URL] [-g GROUP] [-d DIR] [-i MS] [-n COUNT] NAME=FILE...\n"
        "  -u mqtt://host:port   the broker (mqtt://127.0.0.1)\n"
        "  -g group              the devices' group (gateway)\n"
        "  -d directory          of the spools, a file for each sensor (.)\n"
        "  -i milliseconds       between readings (10000)\n"
        "  -n count              stop when so many readings of each are stored (0: never)\n");
}

// ---- sensors -----------------------------------------------------------------------------------

static enum pipit_err sensor_open_spool(struct sensor *sensor, const char *directory)
{
    int len = snprintf(sensor->spool_path, sizeof(sensor->spool_path), "%s/%s.spool", directory,
                       sensor->name);
    if (len < 0 || (size_t)len >= sizeof(sensor->spool_path)) {
        return PIPIT_ERR_SIZE;
    }
    struct pipit_file_options options = {.path = sensor->spool_path,
                                         .limit_bytes = SPOOL_BYTES,
                                         .policy = PIPIT_DROP_OLDEST,
                                         .memory = sensor->record,
                                         .memory_bytes = sizeof(sensor->record),
                                         .entropy = pipit_entropy()};
    return pipit_file_spool_open(&sensor->spool, &options);
}

static enum pipit_err sensor_open(struct sensor *sensor, const struct gateway *gateway)
{
    enum pipit_err rc = sensor_open_spool(sensor, gateway->directory);
    if (rc != PIPIT_OK) {
        const char *text = pipit_file_spool_error(&sensor->spool);
        (void)fprintf(stderr, "gateway: %s: %s\n", sensor->name,
                      text[0] != '\0' ? text : pipit_err_text(rc));
        return rc;
    }
    sensor->link = link_create(gateway->url);
    if (sensor->link == NULL) {
        (void)pipit_file_spool_close(&sensor->spool);
        return PIPIT_ERR_ARGUMENT;
    }
    sensor->config = (struct pipit_config){.group = gateway->group,
                                           .device = sensor->name,
                                           .software = "linux-gateway",
                                           .spool = &sensor->spool.base,
                                           .link = link_base(sensor->link),
                                           .buffer = sensor->buffer,
                                           .buffer_bytes = sizeof(sensor->buffer),
                                           .seed = pipit_entropy(),
                                           .clock_ms = pipit_wall_ms};
    rc = pipit_init(&sensor->device, &sensor->config);
    if (rc != PIPIT_OK) {
        (void)fprintf(stderr, "gateway: %s: %s\n", sensor->name, pipit_err_text(rc));
        link_destroy(sensor->link);
        (void)pipit_file_spool_close(&sensor->spool);
    }
    return rc;
}

static void sensor_close(struct sensor *sensor)
{
    link_destroy(sensor->link);
    (void)pipit_file_spool_close(&sensor->spool);
}

static bool reading_take(const char *path, double *out_value)
{
    char text[READING_BYTES], *end;
    FILE *file = fopen(path, "r");
    bool is_read = file != NULL && fgets(text, sizeof(text), file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    *out_value = is_read ? strtod(text, &end) : 0;
    return is_read && end != text;
}

// A sensor that cannot be read is told about once, and again when it can.
static void sensor_read(struct sensor *sensor)
{
    double value;
    bool is_read = reading_take(sensor->path, &value);
    if (is_read == sensor->is_unreadable) {
        (void)fprintf(stderr, "gateway: %s: %s %s\n", sensor->name, sensor->path,
                      is_read ? "can be read again" : "holds no number");
        sensor->is_unreadable = !is_read;
    }
    if (is_read) {
        enum pipit_err rc = pipit_publish(&sensor->device, "reading", PIPIT_DOUBLE("value", value));
        if (rc != PIPIT_OK) {
            (void)fprintf(stderr, "gateway: %s: %s\n", sensor->name, pipit_err_text(rc));
        } else {
            sensor->readings++;
        }
    }
}

// Says when it is connected, and why it is not when the reason is another one.
static void sensor_show_link(struct sensor *sensor)
{
    bool is_online = pipit_is_online(&sensor->device);
    enum pipit_err rc = pipit_link_error(&sensor->device);
    char text[256];
    if (is_online && !sensor->is_shown_online) {
        (void)fprintf(stderr, "gateway: %s: connected\n", sensor->name);
    } else if (rc != PIPIT_OK && (rc != sensor->shown || sensor->is_shown_online)) {
        link_error(sensor->link, text, sizeof(text));
        (void)fprintf(stderr, "gateway: %s: %s: %s\n", sensor->name, pipit_err_text(rc), text);
    } else {
        return;
    }
    sensor->is_shown_online = is_online;
    sensor->shown = rc;
}

// ---- the loop ----------------------------------------------------------------------------------

static bool sensor_has_enough(const struct sensor *sensor, const struct gateway *gateway)
{
    return gateway->readings_max != 0 && sensor->readings >= gateway->readings_max;
}

static bool gateway_is_done(const struct gateway *gateway)
{
    for (unsigned i = 0; i < gateway->sensors_count; i++) {
        const struct sensor *sensor = &gateway->sensors[i];
        if (!sensor_has_enough(sensor, gateway) || pipit_waiting(&sensor->device) > 0) {
            return false;
        }
    }
    return true;
}

static void gateway_read(struct gateway *gateway, uint32_t now_ms)
{
    if ((int32_t)(now_ms - gateway->due_ms) < 0) {
        return;
    }
    gateway->due_ms = now_ms + gateway->interval_ms;
    for (unsigned i = 0; i < gateway->sensors_count; i++) {
        if (!sensor_has_enough(&gateway->sensors[i], gateway)) {
            sensor_read(&gateway->sensors[i]);
        }
    }
}

// One turn; the time until the next is due. PIPIT_ERR_IO ends the program: systemd starts it anew.
static enum pipit_err gateway_turn(struct gateway *gateway, uint32_t *out_wait_ms)
{
    uint32_t now_ms = pipit_now_ms();
    gateway_read(gateway, now_ms);
    *out_wait_ms = gateway->due_ms - now_ms;
    for (unsigned i = 0; i < gateway->sensors_count; i++) {
        struct sensor *sensor = &gateway->sensors[i];
        enum pipit_err rc = pipit_poll(&sensor->device, now_ms);
        if (rc != PIPIT_OK) {
            (void)fprintf(stderr, "gateway: %s: %s\n", sensor->name,
                          pipit_file_spool_error(&sensor->spool));
            return rc;
        }
        uint32_t next_ms = pipit_next_ms(&sensor->device);
        *out_wait_ms = next_ms < *out_wait_ms ? next_ms : *out_wait_ms;
        sensor_show_link(sensor);
    }
    return PIPIT_OK;
}

// Says goodbye for all devices at the same time; 5 s at most.
static void gateway_stop(struct gateway *gateway)
{
    bool is_stopped = false;
    for (unsigned i = 0; i < gateway->sensors_count; i++) {
        pipit_stop(&gateway->sensors[i].device);
    }
    while (!is_stopped) {
        is_stopped = true;
        for (unsigned i = 0; i < gateway->sensors_count; i++) {
            (void)pipit_poll(&gateway->sensors[i].device, pipit_now_ms());
            is_stopped = is_stopped && pipit_is_stopped(&gateway->sensors[i].device);
        }
        if (!is_stopped) {
            link_wait(20);
        }
    }
}

static int gateway_run(struct gateway *gateway)
{
    uint32_t wait_ms;
    enum pipit_err rc = PIPIT_OK;
    gateway->due_ms = pipit_now_ms();
    while (rc == PIPIT_OK && !must_stop && !gateway_is_done(gateway)) {
        rc = gateway_turn(gateway, &wait_ms);
        if (rc == PIPIT_OK) {
            link_wait(wait_ms);
        }
    }
    gateway_stop(gateway);
    if (rc == PIPIT_OK && !must_stop) {
        (void)printf("stored by a hub\n");
    }
    return rc == PIPIT_OK ? 0 : 1;
}

static bool number_take(const char *text, uint32_t *out_value)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *out_value = (uint32_t)value;
    return *text >= '0' && *text <= '9' && *end == '\0' && value <= INT32_MAX;
}

static bool gateway_options(struct gateway *gateway, int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "u:g:d:i:n:")) != -1) {
        bool is_right = true;
        switch (option) {
        case 'u':
            gateway->url = optarg;
            break;
        case 'g':
            gateway->group = optarg;
            break;
        case 'd':
            gateway->directory = optarg;
            break;
        case 'i':
            is_right = number_take(optarg, &gateway->interval_ms);
            break;
        case 'n':
            is_right = number_take(optarg, &gateway->readings_max);
            break;
        default:
            return false;
        }
        if (!is_right) {
            (void)fprintf(stderr, "gateway: -%c %s: not a number\n", option, optarg);
            return false;
        }
    }
    return true;
}

static bool gateway_sensors(struct gateway *gateway, int argc, char **argv)
{
    if (argc < 1 || argc > (int)SENSORS_MAX) {
        (void)fprintf(stderr, "gateway: one to %u sensors\n", SENSORS_MAX);
        return false;
    }
    for (int i = 0; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL || equals == argv[i] ||
            memchr(argv[i], '/', (size_t)(equals - argv[i])) != NULL) { // It becomes a file's name.
            (void)fprintf(stderr, "gateway: %s: a sensor is NAME=FILE\n", argv[i]);
            return false;
        }
        *equals = '\0';
        gateway->sensors[i].name = argv[i];
        gateway->sensors[i].path = equals + 1;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct gateway gateway = {
        .url = "mqtt://127.0.0.1", .group = "gateway", .directory = ".", .interval_ms = 10000};
    struct sigaction action = {.sa_handler = on_signal};
    if (!gateway_options(&gateway, argc, argv) ||
        !gateway_sensors(&gateway, argc - optind, argv + optind)) {
        usage();
        return EXIT_USAGE;
    }
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    int count = argc - optind, status = 0;
    while (status == 0 && gateway.sensors_count < (unsigned)count) {
        enum pipit_err rc = sensor_open(&gateway.sensors[gateway.sensors_count], &gateway);
        if (rc == PIPIT_OK) {
            gateway.sensors_count++;
        } else {
            status = rc == PIPIT_ERR_ARGUMENT || rc == PIPIT_ERR_TEXT ? EXIT_USAGE : EXIT_SPOOL;
        }
    }
    if (status == 0) {
        status = gateway_run(&gateway);
    }
    while (gateway.sensors_count > 0) {
        sensor_close(&gateway.sensors[--gateway.sensors_count]);
    }
    return status;
}
