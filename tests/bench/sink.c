// sink - subscribes at QoS 1, counts, and measures how old messages are by the "t" in their JSON.
//   sink PORT FILTER COUNT IDLE_MS
// Ends after COUNT messages, or when nothing came for IDLE_MS. Prints a JSON line.
#define _GNU_SOURCE // memmem
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

struct sink {
    uint64_t count;
    int64_t first_us, last_us;
    int32_t *latency_us;
    uint64_t latency_count;
};

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct sink *sink, const struct wire_packet *packet, int64_t now_us)
{
    const char *t = memmem(packet->payload, packet->payload_len, "\"t\":", 4);
    if (t != NULL && packet->payload_len < 4096) {
        char number[24] = {0};
        size_t left = packet->payload_len - (size_t)((const uint8_t *)t + 4 - packet->payload);
        memcpy(number, t + 4, left < 20 ? left : 20);
        sink->latency_us[sink->latency_count++] = (int32_t)(now_us - strtoll(number, NULL, 10));
    }
}

static int32_t percentile(const struct sink *sink, double share)
{
    return sink->latency_count == 0
               ? -1
               : sink->latency_us[(uint64_t)((double)(sink->latency_count - 1) * share)];
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: sink PORT FILTER COUNT IDLE_MS\n");
        return 2;
    }
    static struct wire wire;
    struct sink sink = {0};
    uint64_t want = strtoull(argv[3], NULL, 10);
    int64_t idle_us = strtoll(argv[4], NULL, 10) * 1000, heard_us = wire_now_us();
    sink.latency_us = calloc(want + 1, sizeof(*sink.latency_us));
    wire_open(&wire, atoi(argv[1]), "sink");
    wire_subscribe(&wire, argv[2]);
    fprintf(stderr, "ready\n");
    while (sink.count < want && wire_now_us() - heard_us < idle_us) {
        struct wire_packet packet;
        wire_read(&wire, 100);
        int64_t now_us = wire_now_us();
        while (sink.count < want && wire_next(&wire, &packet)) {
            if (packet.type != 3) {
                continue;
            }
            if (packet.id != 0) {
                wire_acknowledge(&wire, packet.id);
            }
            sink.first_us = sink.count == 0 ? now_us : sink.first_us;
            sink.last_us = heard_us = now_us;
            sink.count++;
            measure(&sink, &packet, now_us);
        }
        wire_flush(&wire);
    }
    qsort(sink.latency_us, sink.latency_count, sizeof(*sink.latency_us), compare);
    printf("{\"count\":%" PRIu64 ",\"last_us\":%" PRId64
           ",\"seconds\":%.6f,\"p50_us\":%d,\"p99_us\":%d,\"p999_us\":%d}\n",
           sink.count, sink.last_us, (double)(sink.last_us - sink.first_us) / 1e6,
           percentile(&sink, 0.5), percentile(&sink, 0.99), percentile(&sink, 0.999));
    wire_close(&wire);
    free(sink.latency_us);
    return sink.count < want;
}
