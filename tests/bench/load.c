// load - publishes Pipit events as fast as the broker takes them, or at a rate, at QoS 1.
//   load PORT COUNT RATE(0: as fast as it goes) WINDOW DEVICES BYTES [NAME]
// The device's fields: t (microseconds on the monotonic clock when it was sent), value (0..99),
// pad. Prints: {"count":N,"start_us":T,"seconds":S}
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipit/v1/pipit.pb-c.h"
#include "wire.h"

#define PAYLOAD_MAX 4096

struct load {
    uint32_t count, rate, window, devices, bytes;
    const char *name;
    uint32_t sent, acked;
    int64_t start_us;
};

static size_t encode(const struct load *load, uint32_t n, uint8_t *out)
{
    static char pad[PAYLOAD_MAX];
    memset(pad, 'x', sizeof(pad) - 1);
    Pipit__V1__Field fields[3] = {PIPIT__V1__FIELD__INIT, PIPIT__V1__FIELD__INIT,
                                  PIPIT__V1__FIELD__INIT};
    Pipit__V1__Field *list[] = {&fields[0], &fields[1], &fields[2]};
    fields[0].name = "t";
    fields[0].value_case = PIPIT__V1__FIELD__VALUE_UNSIGNED;
    fields[0].unsigned_ = (uint64_t)wire_now_us();
    fields[1].name = "value";
    fields[1].value_case = PIPIT__V1__FIELD__VALUE_REAL;
    fields[1].real = (double)((n + n / load->devices) % 100); // Half of each device's is below 50.
    fields[2].name = "pad";
    fields[2].value_case = PIPIT__V1__FIELD__VALUE_TEXT;
    fields[2].text = pad + sizeof(pad) - 1;
    Pipit__V1__Event event = PIPIT__V1__EVENT__INIT;
    event.boot = 1;
    event.sequence = n / load->devices + 1;
    event.type = "load";
    event.n_fields = 3;
    event.fields = list;
    event.wants_receipt = event.sequence % 32 == 0;
    size_t len = pipit__v1__event__get_packed_size(&event);
    if (len < load->bytes) {
        size_t extra = load->bytes - len;
        fields[2].text = pad + sizeof(pad) - 1 - (extra > 130 ? extra - 2 : extra);
    }
    return pipit__v1__event__pack(&event, out);
}

static void send_more(struct load *load, struct wire *wire)
{
    uint8_t payload[PAYLOAD_MAX + 256];
    char topic[128];
    uint64_t due = load->count;
    if (load->rate > 0) {
        due = (uint64_t)(wire_now_us() - load->start_us) * load->rate / 1000000;
    }
    while (load->sent < load->count && load->sent < due &&
           load->sent - load->acked < load->window) {
        snprintf(topic, sizeof(topic), "pipit/v1/%s/d%u/event/load", load->name,
                 load->sent % load->devices);
        size_t len = encode(load, load->sent, payload);
        if (!wire_publish(wire, topic, payload, len, (uint16_t)(load->sent % 65000 + 1))) {
            break;
        }
        load->sent++;
    }
    wire_flush(wire);
}

int main(int argc, char **argv)
{
    if (argc < 7) {
        fprintf(stderr, "usage: load PORT COUNT RATE WINDOW DEVICES BYTES [NAME]\n");
        return 2;
    }
    struct load load = {.count = (uint32_t)atol(argv[2]), .rate = (uint32_t)atol(argv[3])};
    load.window = (uint32_t)atol(argv[4]);
    load.devices = (uint32_t)atol(argv[5]);
    load.bytes = (uint32_t)atol(argv[6]);
    load.name = argc > 7 ? argv[7] : "load";
    static struct wire wire;
    char client[64];
    snprintf(client, sizeof(client), "load-%s", load.name);
    wire_open(&wire, atoi(argv[1]), client);
    load.start_us = wire_now_us();
    while (load.acked < load.count) {
        struct wire_packet packet;
        send_more(&load, &wire);
        bool is_waiting = load.sent == load.count || load.sent - load.acked >= load.window;
        wire_read(&wire, is_waiting ? 100 : load.rate > 0 ? 1 : 0);
        while (wire_next(&wire, &packet)) {
            load.acked += packet.type == 4;
        }
    }
    printf("{\"count\":%u,\"start_us\":%" PRId64 ",\"seconds\":%.6f}\n", load.count, load.start_us,
           (double)(wire_now_us() - load.start_us) / 1e6);
    wire_close(&wire);
    return 0;
}
