// clients - what a publish at QoS 1 costs a device: the SDK's own client, its paho port, and
// libmosquitto, each with the same number of publishes under way.
//   clients PORT own|paho|mosquitto COUNT BYTES WINDOW
// Prints: {"seconds":S,"cpu_us":CPU-MICROSECONDS-EACH,"rss_mb":M}
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "pipit/paho.h"
#include "pipit/socket.h"
#include "wire.h"

#define BYTES_MAX  4096u
#define WINDOW_MAX PIPIT_PAHO_FLIGHTS_MAX
#define TOPIC      "bench/clients"
#define USAGE      "usage: clients PORT own|paho|mosquitto COUNT BYTES WINDOW"

struct bench {
    const char *port;
    uint32_t count, bytes, window;
    uint32_t sent, acked;
    uint8_t payload[BYTES_MAX];
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "clients: %s\n", what);
    exit(1);
}

// ---- through a link of the SDK ------------------------------------------------------------------

static void link_step(struct bench *bench, struct pipit_link *link, bool *is_up)
{
    struct pipit_link_event event;
    do {
        link->type->poll(link, pipit_now_ms(), &event);
        if (event.kind == PIPIT_LINK_DOWN) {
            fail("the broker is gone");
        }
        *is_up = *is_up || event.kind == PIPIT_LINK_UP;
        bench->acked += event.kind == PIPIT_LINK_ACKED ? 1 : 0;
    } while (event.kind != PIPIT_LINK_NOTHING);
    struct pipit_message message = {
        .topic = TOPIC, .payload = {bench->payload, bench->bytes}, .qos = 1};
    while (*is_up && bench->sent < bench->count && bench->sent - bench->acked < bench->window) {
        message.token = bench->sent + 1;
        if (link->type->publish(link, &message) != PIPIT_OK) {
            break;
        }
        bench->sent++;
    }
}

static const struct pipit_connect connect_options = {
    .client_id = "bench-client", .keepalive_s = 30, .is_clean_start = true};

static void run_own(struct bench *bench)
{
    static uint8_t send_memory[65536], receive_memory[4096];
    static struct pipit_flight flights[WINDOW_MAX];
    static struct pipit_socket socket;
    static struct pipit_client client;
    struct pipit_client_options options = {.transport = &socket.base,
                                           .receive_memory = receive_memory,
                                           .receive_bytes = sizeof(receive_memory),
                                           .send_memory = send_memory,
                                           .send_bytes = sizeof(send_memory),
                                           .flights = flights,
                                           .flights_max = WINDOW_MAX};
    bool is_up = false;
    pipit_socket_init(&socket, "127.0.0.1", bench->port);
    if (pipit_client_init(&client, &options) != PIPIT_OK ||
        client.base.type->connect(&client.base, &connect_options) != PIPIT_OK) {
        fail("connect");
    }
    while (bench->acked < bench->count) {
        link_step(bench, &client.base, &is_up);
        uint32_t next_ms = client.base.type->next_ms(&client.base);
        pipit_socket_wait(&socket, next_ms < 100 ? next_ms : 100);
    }
    socket.base.type->close(&socket.base);
}

static void run_paho(struct bench *bench)
{
    static struct pipit_paho paho;
    static char url[64];
    bool is_up = false;
    (void)snprintf(url, sizeof(url), "mqtt://127.0.0.1:%s", bench->port);
    if (pipit_paho_open(&paho, &(struct pipit_paho_options){.url = url}) != PIPIT_OK ||
        paho.base.type->connect(&paho.base, &connect_options) != PIPIT_OK) {
        fail("connect");
    }
    while (bench->acked < bench->count) {
        link_step(bench, &paho.base, &is_up);
        pipit_paho_wait(&paho, 100);
    }
    pipit_paho_close(&paho);
}

// ---- libmosquitto -------------------------------------------------------------------------------

static void on_publish(struct mosquitto *mosquitto, void *context, int id)
{
    struct bench *bench = context;
    (void)mosquitto;
    (void)id;
    bench->acked++;
}

static void run_mosquitto(struct bench *bench)
{
    (void)mosquitto_lib_init();
    struct mosquitto *mosquitto = mosquitto_new("bench-client", true, bench);
    mosquitto_publish_callback_set(mosquitto, on_publish);
    (void)mosquitto_int_option(mosquitto, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    (void)mosquitto_max_inflight_messages_set(mosquitto, bench->window);
    if (mosquitto_connect(mosquitto, "127.0.0.1", atoi(bench->port), 30) != MOSQ_ERR_SUCCESS) {
        fail("connect");
    }
    while (bench->acked < bench->count) {
        while (bench->sent < bench->count && bench->sent - bench->acked < bench->window) {
            if (mosquitto_publish(mosquitto, NULL, TOPIC, (int)bench->bytes, bench->payload, 1,
                                  false) != MOSQ_ERR_SUCCESS) {
                fail("publish");
            }
            bench->sent++;
        }
        if (mosquitto_loop(mosquitto, 100, 1) != MOSQ_ERR_SUCCESS) {
            fail("the broker is gone");
        }
    }
    mosquitto_destroy(mosquitto);
    (void)mosquitto_lib_cleanup();
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

// getrusage would count what the program had in memory before exec, too.
static double rss_mb(void)
{
    unsigned kb = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kb = (unsigned)strtoul(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kb / 1024.0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct bench *bench);
    } kinds[] = {{"own", run_own}, {"paho", run_paho}, {"mosquitto", run_mosquitto}};
    static struct bench bench;
    struct rusage usage;
    if (argc != 6) {
        fail(USAGE);
    }
    bench.port = argv[1];
    bench.count = (uint32_t)strtoul(argv[3], NULL, 10);
    bench.bytes = (uint32_t)strtoul(argv[4], NULL, 10);
    bench.window = (uint32_t)strtoul(argv[5], NULL, 10);
    if (bench.bytes > BYTES_MAX || bench.window == 0 || bench.window > WINDOW_MAX) {
        fail("at most 4096 bytes, and a window of 1 to 64");
    }
    int64_t began_us = wire_now_us();
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[2], kinds[i].name) == 0) {
            kinds[i].run(&bench);
        }
    }
    if (bench.count == 0 || bench.acked != bench.count) {
        fail(USAGE);
    }
    double seconds = (double)(wire_now_us() - began_us) / 1e6;
    (void)getrusage(RUSAGE_SELF, &usage);
    double cpu = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    (void)printf("{\"seconds\":%.3f,\"cpu_us\":%.2f,\"rss_mb\":%.2f}\n", seconds,
                 cpu * 1e6 / bench.count, rss_mb());
    return 0;
}
