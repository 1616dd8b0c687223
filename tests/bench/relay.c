// relay - what the hub is measured against: bare libmosquitto, nothing stored, nothing remembered.
//   relay PORT count   only counts what it gets at QoS 1
//   relay PORT relay   keeps value < 50, doubles it, publishes JSON at QoS 1
//   relay PORT prompt  the same with the socket options that serve latency, not throughput
// Ends on SIGTERM, printing {"count":N,"last_us":T,"seconds":S}.
#include <inttypes.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipit/v1/pipit.pb-c.h"
#include "wire.h"

static volatile sig_atomic_t is_stopping;

struct relay {
    bool is_relaying;
    uint64_t count;
    int64_t first_us, last_us;
};

static void on_signal(int number)
{
    (void)number;
    is_stopping = 1;
}

static const Pipit__V1__Field *find_field(const Pipit__V1__Event *event, const char *name)
{
    for (size_t i = 0; i < event->n_fields; i++) {
        if (strcmp(event->fields[i]->name, name) == 0) {
            return event->fields[i];
        }
    }
    return NULL;
}

static void republish(struct mosquitto *mosquitto, const struct mosquitto_message *message)
{
    Pipit__V1__Event *event =
        pipit__v1__event__unpack(NULL, (size_t)message->payloadlen, message->payload);
    const Pipit__V1__Field *value = event == NULL ? NULL : find_field(event, "value");
    const Pipit__V1__Field *t = event == NULL ? NULL : find_field(event, "t");
    if (value != NULL && t != NULL && value->real < 50) {
        char topic[256], device[64], json[256];
        sscanf(message->topic, "pipit/v1/%*[^/]/%63[^/]", device);
        snprintf(topic, sizeof(topic), "out/%s", device);
        int len =
            snprintf(json, sizeof(json), "{\"device\":\"%s\",\"t\":%" PRIu64 ",\"twice\":%.17g}",
                     device, t->unsigned_, value->real * 2);
        mosquitto_publish(mosquitto, NULL, topic, len, json, 1, false);
    }
    if (event != NULL) {
        pipit__v1__event__free_unpacked(event, NULL);
    }
}

static void on_message(struct mosquitto *mosquitto, void *context,
                       const struct mosquitto_message *message)
{
    struct relay *relay = context;
    relay->last_us = wire_now_us();
    relay->first_us = relay->count++ == 0 ? relay->last_us : relay->first_us;
    if (relay->is_relaying) {
        republish(mosquitto, message);
    }
}

static void on_subscribe(struct mosquitto *mosquitto, void *context, int id, int count,
                         const int *qos)
{
    (void)mosquitto;
    (void)context;
    (void)id;
    (void)count;
    (void)qos;
    fprintf(stderr, "ready\n");
}

static void on_connect(struct mosquitto *mosquitto, void *context, int rc)
{
    (void)context;
    if (rc == 0) {
        mosquitto_subscribe(mosquitto, NULL, "pipit/v1/+/+/event/#", 1);
    }
}

// Else the broker's Nagle waits for our kernel's delayed acknowledgement.
static void confirm_read(struct mosquitto *mosquitto)
{
    int flag = 1;
    setsockopt(mosquitto_socket(mosquitto), IPPROTO_TCP, TCP_QUICKACK, &flag, sizeof(flag));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relay PORT count|relay|prompt\n");
        return 2;
    }
    struct relay relay = {.is_relaying = strcmp(argv[2], "count") != 0};
    bool is_prompt = strcmp(argv[2], "prompt") == 0;
    signal(SIGTERM, on_signal);
    mosquitto_lib_init();
    struct mosquitto *mosquitto = mosquitto_new("relay", true, &relay);
    mosquitto_message_callback_set(mosquitto, on_message);
    mosquitto_connect_callback_set(mosquitto, on_connect);
    mosquitto_subscribe_callback_set(mosquitto, on_subscribe);
    mosquitto_max_inflight_messages_set(mosquitto, 200);
    mosquitto_int_option(mosquitto, MOSQ_OPT_TCP_NODELAY, is_prompt);
    if (mosquitto_connect(mosquitto, "127.0.0.1", atoi(argv[1]), 60) != MOSQ_ERR_SUCCESS) {
        wire_fail("connect");
    }
    while (!is_stopping && mosquitto_loop(mosquitto, 100, 1) == MOSQ_ERR_SUCCESS) {
        if (is_prompt) {
            confirm_read(mosquitto);
        }
    }
    printf("{\"count\":%" PRIu64 ",\"last_us\":%" PRId64 ",\"seconds\":%.6f}\n", relay.count,
           relay.last_us, (double)(relay.last_us - relay.first_us) / 1e6);
    mosquitto_destroy(mosquitto);
    mosquitto_lib_cleanup();
    return 0;
}
